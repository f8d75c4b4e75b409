// The hypervisor's reads and writes of guest memory by way of the processor's translation cache: what a guest's own loads
// and stores would reach, and nothing that they wouldn't.

import { beforeEach, describe, expect, it } from "vitest";
import { CpuLayout } from "../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../hypervisor/machine/processor.ts";
import { Pte } from "../../../hypervisor/machine/pte.ts";
import { GuestAccess, makeWords } from "../../../hypervisor/memory/guest_access.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";
import { CODE, DATA, Machine, Reg } from "../machine/x86/harness.ts";

const USER = Pte.P | Pte.RW | Pte.US;
const data = DATA as Va;
let m: Machine;
let access: GuestAccess;
let vcpu: Vcpu;

beforeEach(() => {
  m = new Machine();
  access = new GuestAccess(m.memory, m.walker, m.processor.tlb);
  vcpu = { cpu: m.cpu } as Vcpu;
});

/** The guest reads, or writes RCX to, the eight bytes at an address. */
function guest(what: "reads" | "writes", address: number | bigint): void {
  m.set(Reg.RBX, address);
  expect(m.run(what === "reads" ? "488b03 f4" : "48890b f4")).toBe(Exit.Privileged);
}

const word = (mfn: Mfn, offset = 0): number => m.memory.u32[(mfn * 4096 + offset) >>> 2];
const frameOf = (address: number): Mfn => (m.at(address) >>> 12) as Mfn;

const flushes: [string, () => void][] = [
  ["the page", () => m.processor.tlb.flushPage(data)],
  ["the table", () => m.processor.tlb.flushTable(m.cr3)],
  ["everything", () => m.processor.tlb.flushAll()],
];

describe.each(flushes)("until %s is flushed", (_what, flush) => {
  it("a page that the guest has used stays what it was", () => {
    const old = frameOf(DATA);
    guest("writes", DATA);
    const now = m.map(DATA, USER);
    m.memory.u32[(now * 4096) >>> 2] = 99;
    expect(access.writeU32(vcpu, data, 7)).toBe(true);
    expect(access.readU32(vcpu, data)).toBe(7);
    expect([word(old), word(now)]).toEqual([7, 99]);
    flush();
    expect(access.readU32(vcpu, data)).toBe(99);
    expect(access.writeU32(vcpu, data, 8)).toBe(true);
    expect([word(old), word(now)]).toEqual([7, 8]);
  });

  it("a page that has become read-only is written", () => {
    guest("writes", DATA);
    m.map(DATA, Pte.P | Pte.US, 0, frameOf(DATA));
    expect(access.writeU32(vcpu, data, 7)).toBe(true);
    flush();
    expect(access.writeU32(vcpu, data, 8)).toBe(false);
    expect(access.readU32(vcpu, data)).toBe(7);
  });
});

it("a frame that is retired is not reached any more, flushed or not", () => {
  guest("writes", DATA);
  const old = frameOf(DATA);
  m.map(DATA, 0);
  expect(access.writeU32(vcpu, data, 7)).toBe(true);
  m.processor.tlb.retire(old);
  expect(access.writeU32(vcpu, data, 8)).toBe(false);
  expect(access.readU32(vcpu, data)).toBe(-1);
  expect(word(old)).toBe(7);
});

it("what only the hypervisor has used isn't kept: kernels that run without the cache don't flush it", () => {
  access.writeU32(vcpu, data, 7);
  m.map(DATA, USER);
  expect(access.readU32(vcpu, data)).toBe(0);
  expect(access.writeU32(vcpu, data, 8)).toBe(true);
  m.map(DATA, 0);
  expect(access.readU32(vcpu, data)).toBe(-1);
});

it("a page that the guest has only read is marked dirty when it is written", () => {
  guest("reads", DATA);
  expect(m.entry(DATA) & Pte.D).toBe(0);
  expect(access.writeU32(vcpu, data, 7)).toBe(true);
  expect(m.entry(DATA) & Pte.D).toBe(Pte.D);
  m.map(DATA + 4096, Pte.P | Pte.US);
  guest("reads", DATA + 4096);
  expect(access.writeU32(vcpu, (DATA + 4096) as Va, 7)).toBe(false);
});

it("one table's pages are not another's", () => {
  guest("writes", DATA);
  const mine = frameOf(DATA);
  const second = m.frame();
  m.cpu.setField(CpuLayout.cr3, second);
  expect(access.readU32(vcpu, data)).toBe(-1);
  expect(access.writeU32(vcpu, data, 7)).toBe(false);
  m.cpu.setField(CpuLayout.cr3, m.cr3);
  expect(access.writeU32(vcpu, data, 7)).toBe(true);
  expect(word(mine)).toBe(7);
});

it("pages that share a slot, in both halves of the address space", () => {
  const upper = 0x8880_0060_0000; // 0xffff888000600000
  const [low, high] = [frameOf(DATA), m.map(upper, USER)];
  m.set(Reg.RCX, 1);
  guest("writes", DATA);
  expect(access.readU32(vcpu, upper as Va)).toBe(0);
  m.set(Reg.RCX, 2);
  guest("writes", 0xffff_8880_0060_0000n);
  m.map(upper, 0);
  expect([access.readU32(vcpu, data), access.readU32(vcpu, upper as Va)]).toEqual([1, 2]);
  expect(access.writeU32(vcpu, (upper + 4) as Va, 4)).toBe(true);
  expect(access.writeU32(vcpu, (data + 4) as Va, 3)).toBe(true);
  expect([word(low, 4), word(high, 4)]).toEqual([3, 4]);
});

it("a large page's parts are translated each by itself", () => {
  const [large, frames] = [0x2000_0000, 1024];
  m.map(large, USER); // For the tables above; then its level-2 entry becomes a large page's.
  const l3 = m.memory.u32[m.cr3 * 1024] >>> 12;
  const at = (m.memory.u32[l3 * 1024] >>> 12) * 1024 + (large >>> 21) * 2;
  m.memory.u32[at] = frames * 4096 + (USER | Pte.PSE);
  guest("writes", large + 3 * 4096);
  m.memory.u32[at] = 0;
  expect(access.writeU32(vcpu, (large + 3 * 4096 + 8) as Va, 7)).toBe(true);
  expect(word((frames + 3) as Mfn, 8)).toBe(7);
  expect(access.readU32(vcpu, (large + 4 * 4096) as Va)).toBe(-1);
  m.processor.tlb.retire((frames + 3) as Mfn);
  expect(access.readU32(vcpu, (large + 3 * 4096) as Va)).toBe(-1);
});

describe("ranges that cross pages", () => {
  it.each([
    ["both are cached", [0, 1]],
    ["the first is", [0]],
    ["the second is", [1]],
    ["none is", []],
  ])("when %s", (_which, cached) => {
    const frames = [frameOf(DATA), m.map(DATA + 4096, USER, 0, (m.frame() + 3) as Mfn)];
    for (const page of cached) guest("writes", DATA + page * 4096);
    const from = makeWords(16);
    for (let i = 0; i < 16; i++) from.u32[i] = 100 + i;
    const va = (DATA + 4096 - 24) as Va;
    expect(access.writeWords(vcpu, va, from, 16)).toBe(true);
    expect([word(frames[0], 4092), word(frames[1], 0)]).toEqual([105, 106]);
    const into = makeWords(16);
    expect(access.readWords(vcpu, va, into, 16)).toBe(true);
    expect(into.u32).toEqual(from.u32);
    m.map(DATA + 4096, 0);
    m.processor.tlb.flushPage((DATA + 4096) as Va);
    expect(access.readWords(vcpu, va, into, 16)).toBe(false);
    expect(access.writeWords(vcpu, va, from, 16)).toBe(false);
  });
});

describe("decoded code", () => {
  // mov al, 1; mov byte [rbx], 5; hlt: with RBX far from the code, the page's entry is one that allows stores beside it.
  const code = "b001 c60305 f4";

  it.each([
    ["never stored to", DATA],
    ["stored to beside the code", CODE + 2048],
  ])("is dropped when its page is written: one %s", (_which, target) => {
    m.map(CODE, USER);
    m.set(Reg.RBX, target);
    expect(m.run(code)).toBe(Exit.Privileged);
    expect(access.writeU32(vcpu, CODE as Va, 0x03c602b0)).toBe(true); // mov al, 2
    m.cpu.setNum(Reg.RIP, CODE);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffn).toBe(2n);
  });

  it("is dropped when it is written through another address that was writable before it was decoded", () => {
    m.map(CODE, USER);
    const alias = DATA + 0x10000;
    m.map(alias, USER, 0, frameOf(CODE));
    guest("writes", alias + 2048);
    m.set(Reg.RBX, DATA);
    expect(m.run(code)).toBe(Exit.Privileged);
    expect(access.writeU32(vcpu, alias as Va, 0x03c602b0)).toBe(true);
    m.cpu.setNum(Reg.RIP, CODE);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffn).toBe(2n);
  });
});

it("a page that was replaced for one instruction is itself again", () => {
  const real = frameOf(DATA);
  const copy = m.frame();
  m.set(Reg.RBX, DATA);
  m.set(Reg.RCX, 5);
  m.load("48890b f4");
  m.processor.stepWithOverride(m.cpu, data, copy);
  expect([word(real), word(copy)]).toEqual([0, 5]);
  expect(access.readU32(vcpu, data)).toBe(0);
  expect(access.writeU32(vcpu, data, 6)).toBe(true);
  expect([word(real), word(copy)]).toEqual([6, 5]);
});

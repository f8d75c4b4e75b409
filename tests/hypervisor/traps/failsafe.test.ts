// The failsafe callback: which data segments can't be loaded again, the frame, and a stack or callback that isn't there. What real
// Xen does is in tests/guests/failsafe.

import { beforeEach, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg, Seg } from "../../../hypervisor/machine/cpu_state.ts";
import { checkDataSegments } from "../../../hypervisor/traps/failsafe.ts";
import type { Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const LDT = 0x3000;
const STACK = 0x8000;
const HANDLER = FLAT + 0x100;
/** Entry 1 of the LDT, at RPL 3. */
const SELECTOR = 0xf;
const DATA = 0x00cff300;
let hv: Hypervisor;
let a: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1);
  const { vcpu } = a;
  hv.current = vcpu;
  vcpu.failsafeCallback = HANDLER as Va;
  vcpu.cpu.setNum(Reg.RIP, FLAT + 0x500);
  vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
  vcpu.cpu.setNum(Reg.RCX, 0x111);
  vcpu.cpu.setNum(Reg.R11, 0x222);
  vcpu.cpu.setField(CpuLayout.ldtEntries, 2);
  vcpu.cpu.setField(CpuLayout.ldtBase, FLAT + LDT);
});

/** With this descriptor in the LDT, is the callback entered? */
function entered(hi: number, selector = SELECTOR): boolean {
  a.view.setUint32(LDT + 12, hi, true);
  a.vcpu.cpu.setNum(Reg.RIP, FLAT + 0x500);
  a.vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
  a.vcpu.cpu.setSelector(Seg.ES, selector);
  checkDataSegments(hv, a.vcpu);
  return a.vcpu.cpu.num(Reg.RIP) === HANDLER;
}

test("data, readable code and Xen's flat segments can be loaded; what is absent, a system's or other code can't", () => {
  expect([DATA, DATA & ~0x6000, 0x00affa00, 0x00af9e00].map((hi) => entered(hi))).toEqual(Array(4).fill(false));
  const bad = [0, DATA & ~0x8000, DATA & ~0x1000, 0x00aff800, 0x00affc00];
  expect(bad.map((hi) => entered(hi))).toEqual(bad.map(() => true));
  expect([0, 3, 0xe023, 0xe028, 0xe02b, 0xe033].map((selector) => entered(0, selector))).toEqual(Array(6).fill(false));
  expect([4, 0x17, 0xb, 0xe008, 0xe03b, 0xffff].map((selector) => entered(DATA, selector))).toEqual(
    Array(6).fill(true),
  );
});

test("the frame has the selectors between R11 and RIP; the bad one is null, its base and the others stay", () => {
  const { vcpu } = a;
  vcpu.cpu.setSelector(Seg.DS, 0xe02b);
  vcpu.cpu.setSelector(Seg.FS, SELECTOR);
  vcpu.cpu.setNum(Reg.FS_BASE, 0x1234);
  hv.memory.u8[vcpu.vcpuInfo + 1] = 0;
  checkDataSegments(hv, vcpu);
  const bottom = STACK - 88;
  expect(vcpu.cpu.num(Reg.RSP)).toBe(FLAT + bottom);
  const frame = Array.from({ length: 11 }, (_, i) => a.view.getBigUint64(bottom + i * 8, true));
  const rest = [BigInt(FLAT + 0x500), 0xe030n, 0x202n, BigInt(FLAT + STACK), 0xe02bn];
  expect(frame).toEqual([0x111n, 0x222n, 0xe02bn, 0n, 0xfn, 0n, ...rest]);
  expect([Seg.DS, Seg.ES, Seg.FS, Seg.GS].map((segment) => vcpu.cpu.selector(segment))).toEqual([0xe02b, 0, 0, 0]);
  expect(vcpu.cpu.num(Reg.FS_BASE)).toBe(0x1234);
  expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(0);
});

test.each([
  ["that is not mapped where the selectors go", FLAT + 0x1000 + 72],
  ["that ends where addresses begin", 64],
])("a stack %s ends the domain", (_what, rsp) => {
  if (rsp > FLAT) a.unmap(0);
  else {
    // The data at address 0, too, and something where a negative address would be taken to be.
    const set = (level: number, word: number, entry: number): void =>
      expect(hv.mm.setEntry(level, word, entry, 0, a.domain.id)).toBe(0);
    const below = (word: number): number => hv.memory.u32[word] >>> 12;
    const l3 = below(a.vcpu.guestTable * 1024);
    const l2 = below(l3 * 1024 + 2);
    const l1 = below(l2 * 1024);
    set(3, l3 * 1024, hv.memory.u32[l3 * 1024 + 2]);
    set(2, l2 * 1024 + 1022, hv.memory.u32[l2 * 1024]);
    set(1, l1 * 1024 + 1022, hv.memory.u32[l1 * 1024]);
  }
  a.vcpu.cpu.setNum(Reg.RSP, rsp);
  a.vcpu.cpu.setSelector(Seg.ES, SELECTOR);
  checkDataSegments(hv, a.vcpu);
  expect(a.domain.isShutDown).toBe(true);
});

test("without a callback it ends the domain; a vcpu that gets the processor is asked", () => {
  a.vcpu.failsafeCallback = -1;
  a.vcpu.cpu.setSelector(Seg.GS, SELECTOR);
  a.vcpu.down = false;
  hv.sched.unpause(a.domain);
  expect(a.domain.isShutDown).toBe(false);
  hv.step();
  expect(a.domain.isShutDown).toBe(true);
});

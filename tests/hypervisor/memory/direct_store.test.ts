// Direct stores to level-1 tables: carried out when allowed and valid, otherwise the guest gets its page fault with
// nothing changed. The processor is played by the fixture.

import { afterEach, beforeEach, expect, it } from "vitest";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../hypervisor/machine/processor.ts";
import { Fixture, type Guest, lo, P, RW, US } from "./fixture.ts";

const WRITABLE_PAGETABLES = 1 << 2;
let f: Fixture;
let a: Guest;
let b: Guest;

beforeEach(() => {
  f = new Fixture();
  a = f.guest(1);
  b = f.guest(2);
  a.domain.vmAssist = WRITABLE_PAGETABLES;
});
afterEach(() => f.clean());

/** A store to byte `offset` of page `page`, whose instruction does `store` to the words of the page. */
function fault(page: number, offset: number, store: (words: Uint32Array) => void, errorCode = 7): boolean {
  const { cpu } = a.vcpu;
  cpu.setField(CpuLayout.vector, 14);
  cpu.setField(CpuLayout.errorCode, errorCode);
  cpu.setNum(Reg.CR2, page * 4096 + offset);
  cpu.setNum(Reg.RIP, 0x1000);
  f.stepper.store = (words, state) => {
    store(words);
    state.setNum(Reg.RIP, 0x1007);
    return Exit.Budget;
  };
  return f.mm.handlePageFault(a.vcpu);
}

const rip = (): number => a.vcpu.cpu.num(Reg.RIP);

it("changes the entry, with all that an update changes", () => {
  const refs = f.frames.refCount[a.p2m[3]];
  const done = fault(a.l1Page, 100 * 8, (words) => {
    words[200] = lo(a.p2m[3], P | RW);
  });
  expect(done).toBe(true);
  expect(f.entry(a.l1[0], 100)).toEqual({ mfn: a.p2m[3], flags: P | RW | US, hi: 1 << 20 });
  expect(f.frames.refCount[a.p2m[3]]).toBe(refs + 1);
  expect(rip()).toBe(0x1007);
});

it("does a store that changes nothing", () => {
  expect(fault(a.l1Page, 0, () => {})).toBe(true);
  expect(rip()).toBe(0x1007);
});

it.each([
  ["another domain's frame", () => lo(b.p2m[3], P)],
  ["a table, writable", () => lo(a.l2, P | RW)],
])("gives the guest its fault for an entry that maps %s", (_name, value) => {
  const before = f.entry(a.l1[0], 100);
  expect(fault(a.l1Page, 800, (words) => (words[200] = value()))).toBe(false);
  expect(f.entry(a.l1[0], 100)).toEqual(before);
  expect(rip()).toBe(0x1000);
  expect(a.vcpu.cpu.num(Reg.CR2)).toBe(a.l1Page * 4096 + 800);
});

it("gives the guest its fault when two entries were stored to", () => {
  expect(
    fault(a.l1Page, 800, (words) => {
      words[200] = 0x1000;
      words[202] = 0x1000;
    }),
  ).toBe(false);
  expect(f.entry(a.l1[0], 100).mfn).toBe(0);
});

it("passes on a fault that the instruction takes elsewhere", () => {
  const { cpu } = a.vcpu;
  cpu.setField(CpuLayout.errorCode, 7);
  cpu.setField(CpuLayout.vector, 14);
  cpu.setNum(Reg.CR2, a.l1Page * 4096);
  f.stepper.store = (_words, state) => {
    f.stepper.retired = 0;
    state.setNum(Reg.CR2, 0x7000000);
    state.setField(CpuLayout.errorCode, 4);
    return Exit.Exception;
  };
  expect(f.mm.handlePageFault(a.vcpu)).toBe(false);
  expect(cpu.num(Reg.CR2)).toBe(0x7000000);
  expect(cpu.field(CpuLayout.errorCode)).toBe(4);
});

it("is for level-1 tables, kernel mode, present write faults and the assist only", () => {
  const store = (words: Uint32Array): void => {
    words[200] = 0;
  };
  expect(fault(a.l1Page + 1, 800, store)).toBe(false); // A level-2 table.
  expect(fault(3, 800, store)).toBe(false);
  expect(fault(a.l1Page, 800, store, 5)).toBe(false); // A read.
  expect(fault(a.l1Page, 800, store, 6)).toBe(false); // Not present.
  expect(fault(a.l1Page, 800, store, 15)).toBe(false); // Reserved bit.
  a.vcpu.kernelMode = false;
  expect(fault(a.l1Page, 800, store)).toBe(false);
  a.vcpu.kernelMode = true;
  a.domain.vmAssist = 0;
  expect(fault(a.l1Page, 800, store)).toBe(false);
  a.domain.vmAssist = WRITABLE_PAGETABLES;
  expect(fault(a.l1Page, 800, store)).toBe(true);
});

it("is not confused by accessed bits that the step itself sets in the table", () => {
  const done = fault(a.l1Page, 800, (words) => {
    f.memory.u32[a.l1[0] * 1024] |= 0x20; // The walk for the instruction's own page.
    f.memory.u32[a.l1[0] * 1024 + 2] |= 0x60;
    words[200] = lo(a.p2m[3], P);
  });
  expect(done).toBe(true);
  expect(f.entry(a.l1[0], 0).flags & 0x20).toBe(0x20);
});

// Whatever the hypervisor does for a guest costs the guest time, by the piece where there are many: what costs nothing never
// ends a slice, and on the virtual clock it would stop time for everybody.

import { beforeEach, expect, it } from "vitest";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../hypervisor/machine/cpu_state.ts";
import { emulatePrivileged } from "../../hypervisor/traps/emulate.ts";
import { __HYPERVISOR_set_trap_table, VMASST_TYPE_writable_pagetables } from "../../shared/abi/xen.ts";
import type { Mfn } from "../../shared/brand.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";
import { bareMachine } from "../harness/domu.ts";

let hv: Hypervisor;
let a: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1);
  hv.current = a.vcpu;
});

function cost(work: () => void): number {
  const before = hv.time.now();
  work();
  return hv.time.now() - before;
}

it("a trap table without an end costs by the entry, and so is preempted", () => {
  a.bytes.fill(1); // To where the mapping ends; with the same page everywhere it could be 2^47 bytes.
  const entries = a.bytes.length / 16;
  let result = 0;
  const ns = cost(() => {
    result = a.call(__HYPERVISOR_set_trap_table, FLAT);
  });
  expect(result).toBe(-22); // 0x0101010101010101 is not canonical.
  a.bytes.fill(0);
  for (let i = 0; i < entries; i++) a.bytes[i * 16 + 8] = 1;
  const all = cost(() => {
    result = a.call(__HYPERVISOR_set_trap_table, FLAT);
  });
  expect(result).toBe(-14);
  expect(all - ns).toBeGreaterThan(5 * entries);
});

it("a store to a page table costs as an update by hypercall does", () => {
  a.domain.vmAssist = 1 << VMASST_TYPE_writable_pagetables;
  // The last data page shows the level-1 table: mov [rbx], rax stores entry 120 of it.
  const l1 = (hv.mm.findL1(a.vcpu, FLAT as never) >>> 10) as Mfn;
  expect(hv.mm.setEntry(1, l1 * 1024 + 127 * 2, l1 * 4096 + 5, 0, a.domain.id)).toBe(0);
  a.bytes.set([0x48, 0x89, 0x03]);
  const { cpu } = a.vcpu;
  cpu.setNum(Reg.RIP, FLAT);
  cpu.setNum(Reg.RAX, 0);
  cpu.setNum(Reg.RBX, FLAT + 127 * 4096 + 120 * 8);
  cpu.setNum(Reg.CR2, FLAT + 127 * 4096 + 120 * 8);
  cpu.setField(CpuLayout.vector, 14);
  cpu.setField(CpuLayout.errorCode, 7);
  const ns = cost(() => hv.traps.exception(a.vcpu));
  expect([cpu.num(Reg.RIP), hv.mm.entryLo(l1 * 1024 + 120 * 2)]).toEqual([FLAT + 3, 0]);
  expect(ns).toBeGreaterThanOrEqual(500);
});

it("port strings cost by the element", () => {
  a.vcpu.iopl = 3;
  a.bytes.set([0xf3, 0x6e]); // rep outsb
  const { cpu } = a.vcpu;
  const elements = (count: number): number => {
    cpu.setNum(Reg.RIP, FLAT);
    cpu.setNum(Reg.RSI, FLAT + 4096);
    cpu.setNum(Reg.RCX, count);
    return cost(() => emulatePrivileged(hv, a.vcpu));
  };
  expect(elements(256) - elements(1)).toBeGreaterThanOrEqual(255 * 50);
});

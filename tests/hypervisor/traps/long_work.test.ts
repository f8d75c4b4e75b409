// Loading a level-4 table whose tree has never been checked takes as long as the guest made the tree: by `mov cr3` and by
// VCPUOP_initialise it is done in pieces too, between which others may run. In XSA-45, XSA-252 and XSA-290 it was not.

import { beforeEach, expect, it } from "vitest";
import { CONTINUE } from "../../../hypervisor/hypercalls/args.ts";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { emulatePrivileged } from "../../../hypervisor/traps/emulate.ts";
import { VcpuGuestContext, VGCF_in_kernel } from "../../../shared/abi/arch_x86.ts";
import { VCPUOP_initialise } from "../../../shared/abi/vcpu.ts";
import { __HYPERVISOR_vcpu_op } from "../../../shared/abi/xen.ts";
import type { Mfn } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const L1_TABLES = 20;
/** Entries looked at in one piece: nine tables' worth at most (memory/long_work.test.ts), however large the tree is. */
const PIECE = 512 * 9 + 1;
const MAPPED = 5;

let hv: Hypervisor;
let a: BareDomain;
let checker: () => string[];
let longest: number;

beforeEach(() => {
  const machine = bareMachine({ memoryMiB: 32 });
  hv = machine.hv;
  checker = () => machine.checker();
  a = new BareDomain(hv, 1, { vcpus: 2 });
  hv.current = a.vcpu;
  longest = 0;
  const charge = hv.charge.bind(hv);
  hv.charge = (ns) => {
    longest = Math.max(longest, hv.mm.types.work);
    charge(ns);
  };
});

const point = (table: Mfn, index: number, mfn: number, flags: number): void => {
  hv.memory.u32[table * 1024 + index * 2] = mfn * 4096 + flags;
  hv.memory.u32[table * 1024 + index * 2 + 1] = 0;
};

/** A tree of tables that has never been checked, with the data mapped as in the domain's first: its level-4 table. */
function tree(): Mfn {
  const [l4, l3, l2, ...l1] = Array.from({ length: 3 + L1_TABLES }, () => a.domain.memory.alloc() as Mfn);
  point(l4, 0, l3, 7);
  point(l3, FLAT / 2 ** 30, l2, 7);
  l1.forEach((table, i) => {
    point(l2, i, table, 7);
    for (let j = 0; j < 128; j++) point(table, j, a.data + j, MAPPED | (i === 0 ? 2 : 0));
  });
  return l4;
}

/** Executes `mov cr3, rax` as often as it takes: how often that was, or -1 for #GP. */
function loadCr3(l4: Mfn): number {
  a.bytes.set([0x0f, 0x22, 0xd8]);
  for (let pieces = 1; ; pieces++) {
    a.vcpu.cpu.setNum(Reg.RAX, l4 * 4096);
    a.vcpu.cpu.setNum(Reg.RIP, FLAT);
    if (!emulatePrivileged(hv, a.vcpu)) return -1;
    expect(checker()).toEqual([]);
    if (a.vcpu.cpu.num(Reg.RIP) !== FLAT) return pieces;
  }
}

it("mov cr3 goes over a new tree, and then over the old one's remains, by pieces", () => {
  const [one, two] = [tree(), tree()];
  expect(loadCr3(one)).toBeGreaterThan(L1_TABLES);
  expect(a.vcpu.guestTable).toBe(one);
  expect(loadCr3(two)).toBeGreaterThan(L1_TABLES);
  expect(loadCr3(one)).toBeGreaterThan(2 * L1_TABLES); // The first tree is undone, and checked again.
  expect(a.vcpu.cpu.field(CpuLayout.cr3)).toBe(one);
  expect(longest).toBeLessThan(PIECE);
});

it("mov cr3 to a tree that is wrong in its last corner is #GP, and leaves nothing", () => {
  const l4 = tree();
  const [l3] = [hv.memory.u32[l4 * 1024] >>> 12];
  const l2 = hv.memory.u32[l3 * 1024 + (FLAT / 2 ** 30) * 2] >>> 12;
  const last = hv.memory.u32[l2 * 1024 + (L1_TABLES - 1) * 2] >>> 12;
  point(last as Mfn, 511, 1, 1);
  expect(loadCr3(l4)).toBe(-1);
  expect(loadCr3(a.vcpu.guestTable)).toBeGreaterThan(0);
  expect(hv.frames.typeCount[l4]).toBe(0);
  expect(checker()).toEqual([]);
  expect(longest).toBeLessThan(PIECE);
});

it("VCPUOP_initialise likewise, also when the context is refused in the end", () => {
  const second = a.domain.vcpus[1];
  hv.mm.types.putPageAndType(second.guestTable);
  second.guestTable = 0 as Mfn;
  second.initialised = false;
  const initialise = (cs: number, l4: Mfn): [result: number, pieces: number] => {
    const c = VcpuGuestContext.create();
    c.flags_num = VGCF_in_kernel;
    c.user_regs.cs = cs;
    c.user_regs.ss = 0xe02b;
    c.ctrlreg.setNum(3, l4 * 4096);
    a.bytes.set(new Uint8Array(c.$view.buffer as ArrayBuffer), 0x4000);
    const { cpu } = a.vcpu;
    for (let pieces = 1; ; pieces++) {
      cpu.setNum(Reg.RAX, __HYPERVISOR_vcpu_op);
      cpu.setNum(Reg.RDI, VCPUOP_initialise);
      cpu.setNum(Reg.RSI, 1);
      cpu.setNum(Reg.RDX, FLAT + 0x4000);
      const result = hv.dispatcher.call(a.vcpu);
      expect(checker()).toEqual([]);
      if (result !== CONTINUE) return [result, pieces];
    }
  };
  const l4 = tree();
  const [refused, first] = initialise(0x8, l4);
  expect([refused, first > L1_TABLES]).toEqual([-22, true]);
  const [result, again] = initialise(0xe033, l4);
  expect([result, again > L1_TABLES, second.guestTable]).toEqual([0, true, l4]);
  expect(longest).toBeLessThan(PIECE);
});

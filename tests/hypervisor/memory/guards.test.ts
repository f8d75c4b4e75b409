// Guards of the memory hypercalls that mutation testing found unwatched: what is dropped when a page's contents change
// behind the guest's back, LDT edges, set_segment_base, base pointers of no frame, a trap table given in pieces.
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import {
  __HYPERVISOR_get_debugreg,
  __HYPERVISOR_mmuext_op,
  __HYPERVISOR_set_debugreg,
  __HYPERVISOR_set_segment_base,
  __HYPERVISOR_set_trap_table,
  MMUEXT_CLEAR_PAGE,
  MMUEXT_COPY_PAGE,
  MMUEXT_INVLPG_ALL,
  MMUEXT_INVLPG_LOCAL,
  MMUEXT_INVLPG_MULTI,
  MMUEXT_NEW_BASEPTR,
  MMUEXT_NEW_USER_BASEPTR,
  MMUEXT_SET_LDT,
  MMUEXT_TLB_FLUSH_ALL,
  MMUEXT_TLB_FLUSH_LOCAL,
  MMUEXT_TLB_FLUSH_MULTI,
} from "../../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const SELF = 0x7ff0;
const XEN = 0xffff_8000_0000_0000n;
let hv: Hypervisor;
let a: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1);
});

function ext(cmd: number, arg1: number | bigint, arg2: number | bigint = 0): number {
  a.view.setUint32(0, cmd, true);
  a.view.setBigUint64(8, BigInt.asUintN(64, BigInt(arg1)), true);
  a.view.setBigUint64(16, BigInt.asUintN(64, BigInt(arg2)), true);
  return a.call(__HYPERVISOR_mmuext_op, FLAT, 1, 0, SELF);
}

describe("a page whose contents the hypervisor changes", () => {
  test("keeps no decoded code", () => {
    const drop = vi.spyOn(hv.tlb, "dropCode");
    expect(ext(MMUEXT_CLEAR_PAGE, a.data + 20)).toBe(0);
    expect(drop).toHaveBeenCalledWith(a.data + 20);
    drop.mockClear();
    expect(ext(MMUEXT_COPY_PAGE, a.data + 21, a.data + 22)).toBe(0);
    expect(drop).toHaveBeenCalledWith(a.data + 21);
  });
});

describe("the last page of the lower half", () => {
  const TOP = 0x7ffffffff000;
  const bytes = new Uint8Array(64).fill(0x5a);

  test("is written up to its end, and not at all by what would go on into the hypervisor's range", () => {
    const [l3, l2, l1] = [0, 1, 2].map(() => a.domain.memory.alloc() as Mfn);
    for (const [table, mfn] of [
      [l3, l2],
      [l2, l1],
      [l1, a.data + 30],
    ])
      hv.memory.u32[table * 1024 + 1022] = mfn * 4096 + 3; // Without the user bit, which all get.
    const word = a.vcpu.guestTable * 1024 + 510;
    expect(hv.mm.setEntry(4, word, l3 * 4096 + 3, 0, a.domain.id)).toBe(0);
    // Tables get the user bit, those of level 4 the accessed bit too; a level-1 entry is marked as the kernel's.
    expect([hv.memory.u32[word], hv.memory.u32[l3 * 1024 + 1022]].map((lo) => lo & 0x3f)).toEqual([0x27, 7]);
    const end = (31 * 4096) as Va;
    expect(hv.access.write(a.vcpu, (TOP + 4096 - 64) as Va, bytes, 0, 64)).toBe(true);
    expect(a.bytes.slice(end - 64, end)).toEqual(bytes);
    a.bytes.fill(0, end - 64, end);
    expect(hv.access.write(a.vcpu, (TOP + 4096 - 32) as Va, bytes, 0, 64)).toBe(false);
    expect(a.bytes.slice(end - 64, end)).toEqual(new Uint8Array(64));
    expect(hv.access.write(a.vcpu, -1, bytes, 0, 64)).toBe(false);
  });
});

describe("flushes reach the translations of all vcpus, and those of no address in Xen's range", () => {
  test.each([MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_TLB_FLUSH_ALL, MMUEXT_TLB_FLUSH_MULTI])("all pages (%i)", (cmd) => {
    const flush = vi.spyOn(hv.tlb, "flushAll");
    expect(ext(cmd, 0, FLAT + 64)).toBe(0);
    expect(flush).toHaveBeenCalled();
  });

  test.each([MMUEXT_INVLPG_LOCAL, MMUEXT_INVLPG_ALL, MMUEXT_INVLPG_MULTI])("one page (%i)", (cmd) => {
    const flush = vi.spyOn(hv.tlb, "flushPage");
    expect(ext(cmd, FLAT + 0x5000, FLAT + 64)).toBe(0);
    expect(flush).toHaveBeenCalledWith(FLAT + 0x5000);
    flush.mockClear();
    ext(cmd, XEN, FLAT + 64);
    ext(cmd, 1n << 47n, FLAT + 64);
    expect(flush).not.toHaveBeenCalled();
  });
});

describe("base pointers", () => {
  test("a kernel has one always; a user's may be none", () => {
    const { guestTable } = a.vcpu;
    expect(ext(MMUEXT_NEW_BASEPTR, 0)).toBe(-22);
    expect(ext(MMUEXT_NEW_BASEPTR, a.data)).toBe(-22);
    expect(a.vcpu.guestTable).toBe(guestTable);
    const counts = (): number => hv.frames.typeCount[guestTable];
    const before = counts();
    expect(ext(MMUEXT_NEW_USER_BASEPTR, guestTable)).toBe(0);
    expect([a.vcpu.guestTableUser, counts()]).toEqual([guestTable, before + 1]);
    expect(ext(MMUEXT_NEW_USER_BASEPTR, 0)).toBe(0);
    expect([a.vcpu.guestTableUser, counts()]).toEqual([0, before]);
  });
});

describe("the LDT", () => {
  const ldt = (): [number, number] => {
    const { cpu } = a.vcpu;
    return [cpu.field(CpuLayout.ldtEntries), cpu.field(CpuLayout.ldtBase)];
  };

  test("is aligned, outside Xen's range, of 8192 entries at most; of none anywhere", () => {
    expect(ext(MMUEXT_SET_LDT, FLAT, 8192)).toBe(0);
    expect(ldt()).toEqual([8192, FLAT]);
    for (const [base, entries] of [
      [FLAT, 8193],
      [FLAT + 8, 1],
      [XEN, 1],
      [1n << 47n, 1],
    ] as const)
      expect([base, ext(MMUEXT_SET_LDT, base, entries)]).toEqual([base, -22]);
    expect(ldt()).toEqual([8192, FLAT]);
    expect(ext(MMUEXT_SET_LDT, 1n << 47n, 0)).toBe(0);
    expect(ldt()).toEqual([0, 0]);
  });
});

describe("set_segment_base", () => {
  const set = (which: number, base: number | bigint): number => a.call(__HYPERVISOR_set_segment_base, which, base);
  const bases = (): number[] => [Reg.FS_BASE, Reg.GS_BASE, Reg.GS_BASE_OTHER].map((reg) => a.vcpu.cpu.num(reg));

  test("each base its own register; what is not canonical, or no base, is refused", () => {
    expect([set(0, 0x1000), set(1, 0x2000), set(2, 0x3000)]).toEqual([0, 0, 0]);
    expect(bases()).toEqual([0x1000, 0x3000, 0x2000]);
    for (const which of [0, 1, 2]) expect(set(which, 1n << 47n)).toBe(-22);
    expect(set(4, 0x5000)).toBe(-22);
    expect(bases()).toEqual([0x1000, 0x3000, 0x2000]);
  });

  test("a selector loads its descriptor's base for user mode; null ones, and what isn't there, load 0", () => {
    // Entries 0 and 1 of an LDT: both are data segments, but 0 to 3 as a selector of the GDT is null.
    a.view.setBigUint64(0x1000, 0x00cf_f312_3456_ffffn, true);
    a.view.setBigUint64(0x1008, 0xabcf_f300_1000_ffffn, true);
    a.view.setBigUint64(0x1010, 0xabcf_7300_1000_ffffn, true);
    expect(ext(MMUEXT_SET_LDT, FLAT + 0x1000, 3)).toBe(0);
    expect(set(3, 0xc)).toBe(0);
    expect(bases()[2]).toBe(0xab001000);
    expect(set(3, 0x4)).toBe(0);
    expect(bases()[2]).toBe(0x123456);
    for (const selector of [0, 1, 2, 3, 0x14, 0x1c, 0xfff8, 0x10]) {
      set(1, 0x7000);
      expect([selector, set(3, selector), bases()[2]]).toEqual([selector, 0, 0]);
    }
  });
});

describe("debug registers", () => {
  test("hold what they are given, as far as it may be; 4, 5 and those above 7 are none", () => {
    expect(a.call(__HYPERVISOR_set_debugreg, 0, 0x1234)).toBe(0);
    expect(a.call(__HYPERVISOR_get_debugreg, 0)).toBe(0x1234);
    for (const reg of [8, 9, 0xffffffff]) {
      expect([reg, a.call(__HYPERVISOR_get_debugreg, reg)]).toEqual([reg, -19]);
      expect([reg, a.call(__HYPERVISOR_set_debugreg, reg, 0) < 0]).toEqual([reg, true]);
    }
    expect(a.call(__HYPERVISOR_set_debugreg, 7, 1)).toBe(-1);
    expect(a.call(__HYPERVISOR_set_debugreg, 0, XEN)).toBeLessThan(0);
    expect(a.call(__HYPERVISOR_get_debugreg, 0)).toBe(0x1234);
  });
});

describe("a trap table", () => {
  test("of 600 entries is taken in pieces while others wait, and ends up the same", () => {
    for (let i = 0; i < 600; i++) {
      a.view.setUint8(0x1000 + i * 16, i & 255);
      a.view.setBigUint64(0x1000 + i * 16 + 8, BigInt(0x10000 + i), true);
    }
    const check = vi.spyOn(hv, "preemptCheck").mockReturnValue(true);
    const read = vi.spyOn(hv.access, "read");
    expect(a.call(__HYPERVISOR_set_trap_table, FLAT + 0x1000)).toBe(0);
    expect(check.mock.calls.length).toBeGreaterThan(1);
    // Each entry was read once, whatever the pieces.
    expect(read.mock.calls.filter((call) => call[4] === 16).length).toBe(601);
    expect([0, 87, 88, 255].map((vector) => a.vcpu.traps.address(vector))).toEqual([
      0x10000 + 512,
      0x10000 + 599,
      0x10000 + 344,
      0x10000 + 511,
    ]);
  });
});

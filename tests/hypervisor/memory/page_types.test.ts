// Page tables as a guest changes them: what is accepted, what is refused and with which errno, and that a refusal changes
// nothing. After every test the walker over all counts and types must find nothing.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mmuUpdate } from "../../../hypervisor/hypercalls/mmu_update.ts";
import { updateVaMapping, updateVaMappingOtherdomain } from "../../../hypervisor/hypercalls/update_va_mapping.ts";
import { CpuLayout } from "../../../hypervisor/machine/cpu_state.ts";
import { PageType } from "../../../hypervisor/memory/frame_table.ts";
import { XEN_EBUSY, XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../../shared/abi/errno.ts";
import {
  DOMID_IO,
  DOMID_SELF,
  DOMID_XEN,
  MMUEXT_CLEAR_PAGE,
  MMUEXT_COPY_PAGE,
  MMUEXT_FLUSH_CACHE,
  MMUEXT_MARK_SUPER,
  MMUEXT_NEW_BASEPTR,
  MMUEXT_NEW_USER_BASEPTR,
  MMUEXT_PIN_L1_TABLE,
  MMUEXT_PIN_L2_TABLE,
  MMUEXT_PIN_L4_TABLE,
  MMUEXT_SET_LDT,
  MMUEXT_UNPIN_TABLE,
} from "../../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";
import { Fixture, type Guest, lo, P, RW, US } from "./fixture.ts";

const GUEST_KERNEL = 1 << 20;
const NX = 0x80000000;

let f: Fixture;
let a: Guest;
let b: Guest;

beforeEach(() => {
  f = new Fixture();
  a = f.guest(1);
  b = f.guest(2);
});
afterEach(() => f.clean());

/** Everything about a frame, and a hash of its contents but for accessed and dirty bits, which walks may set. */
function snapshot(mfn: Mfn): string {
  const { frames } = f;
  const state = [frames.type[mfn], frames.typeCount[mfn], frames.refCount[mfn], frames.flags[mfn], frames.owner[mfn]];
  let hash = 0;
  for (let i = 0; i < 1024; i++) hash = (Math.imul(hash, 31) + (f.memory.u32[mfn * 1024 + i] & ~0x60)) | 0;
  return `${state} ${hash}`;
}

describe("level-1 entries", () => {
  it("get the user bit and the guest-kernel mark when the guest left the user bit out", () => {
    expect(f.update(a, [[a.l1[0], 100, lo(a.p2m[3], P | RW)]])).toEqual({ error: 0, done: 1 });
    expect(f.entry(a.l1[0], 100)).toEqual({ mfn: a.p2m[3], flags: P | RW | US, hi: GUEST_KERNEL });
  });

  it("get the global bit when they are the user's", () => {
    f.update(a, [[a.l1[0], 100, lo(a.p2m[3], P | RW | US), NX]]);
    expect(f.entry(a.l1[0], 100)).toEqual({ mfn: a.p2m[3], flags: P | RW | US | 0x100, hi: NX });
  });

  it("keep anything at all while not present", () => {
    expect(f.update(a, [[a.l1[0], 100, 0xdeadbeee, 0xffffffff]]).error).toBe(0);
    expect(f.entry(a.l1[0], 100)).toEqual({ mfn: 0xdeadb, flags: 0xeee, hi: 0xffffffff });
  });

  it.each([
    ["another domain's frame", () => b.p2m[0], 0, XEN_EBUSY],
    ["a free frame", () => f.frames.totalFrames - 1, 0, XEN_EBUSY],
    ["the hypervisor's frame", () => 5, 0, XEN_EBUSY],
    ["frame 0", () => 0, 0, XEN_EBUSY],
    ["memory beyond the machine's", () => f.frames.totalFrames, 0, XEN_EPERM],
    ["an address above 4 GiB", () => a.p2m[0], 1, XEN_EPERM],
    ["the all-ones address", () => 0xfffff, 0xfffff, XEN_EINVAL],
  ])("refuse %s", (_name, mfn, hi, errno) => {
    const before = snapshot(a.l1[0]);
    expect(f.update(a, [[a.l1[0], 100, lo(mfn(), P), hi]])).toEqual({ error: -errno, done: 0 });
    expect(snapshot(a.l1[0])).toBe(before);
  });

  it.each([0x8, 0x10, 0x80])("refuse cache attribute %i to a domain without devices", (flag) => {
    expect(f.update(a, [[a.l1[0], 100, lo(a.p2m[3], P | flag)]]).error).toBe(-XEN_EINVAL);
  });

  it("never map a page table writable, though they may map it", () => {
    const before = f.frames.refCount[a.l2];
    expect(f.update(a, [[a.l1[0], 100, lo(a.l2, P | RW)]]).error).toBe(-XEN_EBUSY);
    expect(f.frames.refCount[a.l2]).toBe(before);
    expect(f.update(a, [[a.l1[0], 100, lo(a.l2, P)]]).error).toBe(0);
    expect(f.update(a, [[a.l1[0], 100, lo(a.l2, P | RW)]]).error).toBe(-XEN_EBUSY);
  });

  it("keep accessed and dirty bits with PRESERVE_AD and replace them without", () => {
    f.update(a, [[a.l1[0], 100, lo(a.p2m[3], P | RW | 0x60)]]);
    f.update(a, [[a.l1[0], 100, lo(a.p2m[3], P | RW), 0, 2]]);
    expect(f.entry(a.l1[0], 100).flags & 0x60).toBe(0x60);
    f.update(a, [[a.l1[0], 100, lo(a.p2m[3], P | RW)]]);
    expect(f.entry(a.l1[0], 100).flags & 0x60).toBe(0);
  });
});

describe("promotion to a table", () => {
  const fill = (table: Mfn, ...entries: [number, number, number][]): void => {
    f.update(a, [[a.l1[0], a.p2m.indexOf(table), 0]]); // Unmapped, so that nothing writable is left.
    for (const [index, mfn, flags] of entries) f.poke(table, index, mfn, flags);
  };

  it("is refused while the frame is mapped writable, and allowed once it is not", () => {
    expect(f.ext(a, MMUEXT_PIN_L1_TABLE, a.p2m[3])).toBe(-XEN_EINVAL);
    f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P)]]);
    expect(f.ext(a, MMUEXT_PIN_L1_TABLE, a.p2m[3])).toBe(0);
    expect(f.frames.type[a.p2m[3]]).toBe(PageType.L1);
  });

  it("takes all references of its entries, and gives them back when undone", () => {
    const before = f.frames.refCount[a.p2m[4]];
    fill(a.p2m[3], [0, a.p2m[4], P | RW], [511, a.p2m[4], P]);
    f.ext(a, MMUEXT_PIN_L1_TABLE, a.p2m[3]);
    expect(f.frames.refCount[a.p2m[4]]).toBe(before + 2);
    expect(f.ext(a, MMUEXT_UNPIN_TABLE, a.p2m[3])).toBe(0);
    expect(f.frames.refCount[a.p2m[4]]).toBe(before);
  });

  it("that fails at the last entry undoes all the others", () => {
    fill(a.p2m[3], [0, a.p2m[4], P | RW], [7, a.p2m[5], P], [511, b.p2m[0], P]);
    const before = [4, 5].map((page) => snapshot(a.p2m[page]));
    expect(f.ext(a, MMUEXT_PIN_L1_TABLE, a.p2m[3])).toBe(-XEN_EBUSY);
    expect([4, 5].map((page) => snapshot(a.p2m[page]))).toEqual(before);
    expect(f.frames.typeCount[a.p2m[3]]).toBe(0);
  });

  it("of a tree is undone from a failure three levels down", () => {
    fill(a.p2m[3], [0, a.p2m[8], P | RW]);
    fill(a.p2m[4], [0, a.p2m[3], P | RW]);
    fill(a.p2m[5], [1, a.p2m[4], P | RW]);
    fill(a.p2m[6], [0, a.p2m[5], P | RW], [1, a.p2m[9], P]); // Page 9 is mapped writable: no level-3 table.
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[6])).toBe(-XEN_EINVAL);
    for (const page of [3, 4, 5, 6]) expect(f.frames.typeCount[a.p2m[page]]).toBe(0);
    f.poke(a.p2m[6], 1, 0, 0);
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[6])).toBe(0);
    expect(f.frames.type[a.p2m[3]]).toBe(PageType.L1);
  });

  it.each([0x80, 0x100, 0x8, 0x10])("refuses flag %i above level 1", (flag) => {
    fill(a.p2m[3], [0, a.l1[0], P | RW | flag]);
    expect(f.ext(a, MMUEXT_PIN_L2_TABLE, a.p2m[3])).toBe(-XEN_EINVAL);
  });

  it("overwrites the hypervisor's slots of a level-4 table and shows the machine-to-physical table when loaded", () => {
    fill(a.p2m[3], [0, a.l3, P | RW], [256, b.p2m[0], P | RW], [271, b.p2m[1], P | RW]);
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[3])).toBe(0);
    expect(f.entry(a.p2m[3], 271)).toEqual({ mfn: 0, flags: 0, hi: 0 });
    expect(f.ext(a, MMUEXT_NEW_BASEPTR, a.p2m[3])).toBe(0);
    const words = new Uint8Array(8);
    const table = 0x800000000000 + a.p2m[7] * 8;
    expect(f.walker.walk(a.p2m[3], table as Va, 2)).toBe(-1);
    const at = f.walker.walk(a.p2m[3], table as Va, 0);
    words.set(f.memory.u8.subarray(at * 4096 + (table % 4096), at * 4096 + (table % 4096) + 8));
    expect(words[0]).toBe(7);
  });

  it("with m2p_strict doesn't show it in a table of user mode, not by a translation of before either", () => {
    const m2p = 0x800000000000 as Va;
    expect(f.tlb.access(a.vcpu, m2p, false)).toBe(f.frames.m2p.firstFrame);
    expect(f.ext(a, MMUEXT_NEW_USER_BASEPTR, a.l4)).toBe(0);
    expect(f.tlb.access(a.vcpu, m2p, false)).toBe(f.frames.m2p.firstFrame);
    a.domain.m2pStrict = true;
    expect(f.ext(a, MMUEXT_NEW_USER_BASEPTR, a.l4)).toBe(0);
    expect(f.tlb.access(a.vcpu, m2p, false)).toBe(-1);
    expect(f.ext(a, MMUEXT_NEW_BASEPTR, a.l4)).toBe(0);
    expect(f.tlb.access(a.vcpu, m2p, false)).toBe(f.frames.m2p.firstFrame);
    f.clean();
  });

  it("refuses changes of the hypervisor's slots", () => {
    expect(f.update(a, [[a.l4, 256, lo(a.l3, P)]]).error).toBe(-XEN_EINVAL);
    expect(f.update(a, [[a.l4, 271, 0]]).error).toBe(-XEN_EINVAL);
    expect(f.update(a, [[a.l4, 272, lo(a.l3, P | RW)]]).error).toBe(0);
  });
});

describe("linear page tables", () => {
  it("let a table map itself read-only, but not writable", () => {
    expect(f.update(a, [[a.l4, 300, lo(a.l4, P | RW)]]).error).toBe(-XEN_EINVAL);
    expect(f.update(a, [[a.l4, 300, lo(a.l4, P)]]).error).toBe(0);
    expect(f.frames.typeCount[a.l4]).toBe(2); // Pinned, and the base pointer.
    const va = (300 * 2 ** 39 + 300 * 2 ** 30 + 300 * 2 ** 21 + 300 * 2 ** 12) as Va;
    expect(f.walker.walk(a.l4, va, 0)).toBe(a.l4);
    expect(f.walker.walk(a.l4, va, 2)).toBe(-1);
  });

  it("let one table map another of its level, once, and never in a ring", () => {
    f.update(a, [
      [a.l1[0], 3, 0],
      [a.l1[0], 4, 0],
    ]);
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[3])).toBe(0);
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[4])).toBe(0);
    expect(f.update(a, [[a.p2m[3], 300, lo(a.p2m[4], P)]]).error).toBe(0);
    expect(f.update(a, [[a.p2m[4], 300, lo(a.p2m[3], P)]]).error).toBe(-XEN_EINVAL);
    expect(f.update(a, [[a.p2m[4], 300, lo(a.l4, P)]]).error).toBe(-XEN_EINVAL);
    expect(f.update(a, [[a.l4, 300, lo(a.p2m[3], P)]]).error).toBe(-XEN_EINVAL); // It has such an entry itself.
    f.clean();
    expect(f.ext(a, MMUEXT_UNPIN_TABLE, a.p2m[4])).toBe(0);
    expect(f.frames.type[a.p2m[4]]).toBe(PageType.L4);
    f.clean();
    expect(f.update(a, [[a.p2m[3], 300, 0]]).error).toBe(0);
    expect(f.frames.typeCount[a.p2m[4]]).toBe(0);
  });

  it("are undone with the table that they are in", () => {
    f.update(a, [
      [a.l1[0], 3, 0],
      [a.l1[0], 4, 0],
    ]);
    f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[3]);
    f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[4]);
    f.update(a, [[a.p2m[3], 300, lo(a.p2m[4], P)]]);
    f.ext(a, MMUEXT_UNPIN_TABLE, a.p2m[4]);
    expect(f.frames.linear[a.p2m[4]]).toBe(-1);
    expect(f.ext(a, MMUEXT_UNPIN_TABLE, a.p2m[3])).toBe(0);
    expect([f.frames.linear[a.p2m[4]], f.frames.typeCount[a.p2m[4]]]).toEqual([0, 0]);
  });

  it("are accepted in a table that is new", () => {
    f.update(a, [[a.l1[0], 3, 0]]);
    f.poke(a.p2m[3], 7, a.p2m[3], P);
    f.poke(a.p2m[3], 8, a.l3, P); // As a level-1 table it would pass too.
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[3])).toBe(0);
  });

  it("do not pass for level-1 tables", () => {
    expect(f.update(a, [[a.l2, 300, lo(a.l2, P)]]).error).toBe(0);
    const va = BigInt(300 * 2 ** 21);
    expect(f.call(a, updateVaMapping, va, BigInt(lo(a.p2m[3], P | RW)), 0)).toBe(-XEN_EINVAL);
  });

  it("do not keep a dying domain's frames", () => {
    f.update(a, [
      [a.l1[0], 3, 0],
      [a.l1[0], 4, 0],
    ]);
    f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[3]);
    f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[4]);
    f.update(a, [
      [a.p2m[3], 300, lo(a.p2m[4], P)],
      [a.l4, 301, lo(a.l4, P)],
    ]);
    expect(f.destroy(a)).toBe(0);
    expect(f.domains.has(a.domain.id)).toBe(false);
  });
});

describe("pins and base pointers", () => {
  it("refuse a second pin, an unpin without a pin, and a pin at another level", () => {
    expect(f.ext(a, MMUEXT_PIN_L4_TABLE, a.l4)).toBe(-XEN_EINVAL);
    expect(f.ext(a, MMUEXT_PIN_L2_TABLE, a.l4)).toBe(-XEN_EINVAL);
    expect(f.ext(a, MMUEXT_UNPIN_TABLE, a.l3)).toBe(-XEN_EINVAL);
    expect(f.ext(a, MMUEXT_UNPIN_TABLE, a.l4)).toBe(0);
    expect(f.ext(a, MMUEXT_UNPIN_TABLE, a.l4)).toBe(-XEN_EINVAL);
    expect(f.frames.type[a.l4]).toBe(PageType.L4); // The base pointer still holds it.
  });

  it("refuse a base pointer that is no level-4 table or not the domain's", () => {
    const cr3 = a.vcpu.cpu.field(CpuLayout.cr3);
    for (const mfn of [a.l3, a.p2m[0], b.l4, 0, 0xfffff, 2 ** 40])
      expect(f.ext(a, MMUEXT_NEW_BASEPTR, mfn)).toBe(-XEN_EINVAL);
    expect(a.vcpu.cpu.field(CpuLayout.cr3)).toBe(cr3);
  });

  it("take a user base pointer, and 0 for none", () => {
    expect(f.ext(a, MMUEXT_NEW_USER_BASEPTR, a.l4)).toBe(0);
    expect(f.frames.typeCount[a.l4]).toBe(3);
    expect(a.vcpu.guestTableUser).toBe(a.l4);
    expect(f.ext(a, MMUEXT_NEW_USER_BASEPTR, 0)).toBe(0);
    expect(f.frames.typeCount[a.l4]).toBe(2);
  });
});

describe("a stale translation", () => {
  it("cannot write to a frame that has become a page table", () => {
    expect(f.tlb.access(a.vcpu, (3 * 4096) as Va, true)).toBe(a.p2m[3]);
    f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P)]]);
    expect(f.tlb.access(a.vcpu, (3 * 4096) as Va, true)).toBe(a.p2m[3]); // Not flushed: the guest's own affair.
    f.clean();
    expect(f.ext(a, MMUEXT_PIN_L1_TABLE, a.p2m[3])).toBe(0);
    expect(f.tlb.access(a.vcpu, (3 * 4096) as Va, true)).toBe(-1);
  });

  it("cannot reach a frame that was given back", () => {
    expect(f.tlb.access(a.vcpu, (3 * 4096) as Va, true)).toBe(a.p2m[3]);
    f.update(a, [[a.l1[0], 3, 0]]);
    expect(a.domain.memory.free(a.p2m[3])).toBe(true);
    expect(f.tlb.access(a.vcpu, (3 * 4096) as Va, false)).toBe(-1);
  });

  it("of a former level-4 table is gone when the frame is one again", () => {
    f.update(a, [
      [a.l1[0], 3, 0],
      [a.l4, 5, lo(a.l3, P | RW)],
    ]);
    f.poke(a.p2m[3], 0, a.l3, P | RW);
    f.ext(a, MMUEXT_PIN_L4_TABLE, a.p2m[3]);
    f.ext(a, MMUEXT_NEW_BASEPTR, a.p2m[3]);
    expect(f.tlb.access(a.vcpu, 0 as Va, false)).toBe(a.p2m[0]);
    f.ext(a, MMUEXT_NEW_BASEPTR, a.l4);
    f.ext(a, MMUEXT_UNPIN_TABLE, a.p2m[3]);
    expect([...f.tlb.held.values()].filter((e) => e.cr3 === a.p2m[3])).toEqual([]);
  });
});

describe("mmu_update", () => {
  it("stops at the first failure and says how many were done", () => {
    const good = [a.l1[0], 100, lo(a.p2m[3], P)];
    const bad = [a.l1[0], 101, lo(b.p2m[0], P)];
    expect(f.update(a, [good, bad, [a.l1[0], 102, lo(a.p2m[3], P)]])).toEqual({ error: -XEN_EBUSY, done: 1 });
    expect(f.entry(a.l1[0], 102).flags).toBe(0);
  });

  it("continues where it was interrupted, and adds up the done count", () => {
    f.preempt = true;
    const requests = Array.from({ length: 150 }, (_, i) => [a.l1[0], 100 + i, lo(a.p2m[3], P)]);
    expect(f.update(a, requests).error).toBe(-0x10000);
    const { view, va } = f.arg(a);
    expect(view.getUint32(4092, true)).toBe(64);
    f.preempt = false;
    const rest = f.args(va + 64 * 16, (150 - 64) | 0x80000000, va + 4092, DOMID_SELF);
    expect(mmuUpdate(f.hv, a.vcpu, rest)).toBe(0);
    expect(view.getUint32(4092, true)).toBe(150);
    expect(f.entry(a.l1[0], 249).mfn).toBe(a.p2m[3]);
  });

  it("writes to a frame of its own that is no table, and to none of another's", () => {
    expect(f.update(a, [[a.p2m[3], 5, 0x1234, 0x5678]]).error).toBe(0);
    expect(f.memory.u32[a.p2m[3] * 1024 + 10]).toBe(0x1234);
    expect(f.update(a, [[b.p2m[3], 5, 1]]).error).toBe(-XEN_EINVAL);
    expect(f.update(a, [[a.p2m[3], 5, 1, 0, 4]]).error).toBe(-XEN_ENOSYS);
  });

  it("changes the machine-to-physical table for own frames only", () => {
    expect(f.update(a, [[a.p2m[3], 0, 0x777, 0, 1]]).error).toBe(0);
    expect(f.frames.m2p.get(a.p2m[3])).toBe(0x777);
    expect(f.update(a, [[b.p2m[3], 0, 0x777, 0, 1]]).error).toBe(-XEN_EINVAL);
    expect(f.frames.m2p.get(b.p2m[3])).toBe(3);
  });

  it("lets only a privileged domain name another's frames", () => {
    const dom0 = f.guest(0, true);
    const map = (g: Guest) => f.update(g, [[g.l1[0], 200, lo(b.p2m[3], P | RW)]], b.domain.id).error;
    expect(map(a)).toBe(-XEN_EPERM);
    expect(map(dom0)).toBe(0);
    expect(f.frames.refCount[b.p2m[3]]).toBe(3);
    expect(f.update(dom0, [[dom0.l1[0], 201, lo(b.l4, P | RW)]], b.domain.id).error).toBe(-XEN_EBUSY);
    expect(f.update(dom0, [[dom0.l1[0], 201, lo(a.p2m[3], P)]], b.domain.id).error).toBe(-XEN_EBUSY);
    expect(f.update(dom0, [[dom0.l2, 5, 0]], b.domain.id).error).toBe(-XEN_EINVAL); // Level 1 only.
    expect(f.update(a, [], 1).error).toBe(-XEN_ESRCH); // Itself, by number.
    expect(f.update(a, [], 77).error).toBe(-XEN_ESRCH);
    expect(f.update(a, [], (78 << 16) | DOMID_SELF).error).toBe(-XEN_ESRCH);
    expect(f.update(a, [[b.l1[0], 0, 0]], (3 << 16) | DOMID_SELF).error).toBe(-XEN_EPERM);
    expect(f.update(dom0, [[b.l1[0], 3, 0]], (3 << 16) | b.domain.id).error).toBe(0);
  });

  it("refuses requests that cannot be read", () => {
    const { va } = f.arg(a);
    for (const start of [0x7fffffffffffn, 0xffff800000000000n, 0x0000900000000000n, 0xffffffffffffffffn, 0x100000000n])
      expect(f.call(a, mmuUpdate, start, 1, 0, DOMID_SELF)).toBe(-XEN_EFAULT);
    expect(f.call(a, mmuUpdate, va, 0x7fffffff, 0, DOMID_SELF)).not.toBe(0);
  });
});

describe("update_va_mapping", () => {
  const call = (g: Guest, va: number | bigint, value: number, flags: number | bigint = 0): number =>
    f.call(g, updateVaMapping, va, value, flags);

  it("changes the entry that maps an address, and flushes as asked", () => {
    const va = 3 * 4096;
    for (const [flags, stale] of [
      [0, true],
      [2, false],
      [1, false],
      [6, false],
      [5, false],
    ] as const) {
      call(a, va, lo(a.p2m[3], P | RW), 2);
      expect(f.tlb.access(a.vcpu, va as Va, true)).toBe(a.p2m[3]);
      expect(call(a, va, lo(a.p2m[4], P | RW), flags)).toBe(0);
      expect(f.tlb.access(a.vcpu, va as Va, true)).toBe(stale ? a.p2m[3] : a.p2m[4]);
    }
  });

  it("reads a bitmap of vcpus, and refuses one that isn't there", () => {
    expect(call(a, 0x3000, lo(a.p2m[3], P | RW), 0x4000 | 1)).toBe(0);
    expect(call(a, 0x3000, lo(a.p2m[3], P | RW), 0x4000000 | 1)).toBe(-XEN_EFAULT);
  });

  it("refuses addresses without a level-1 table, and the hypervisor's", () => {
    for (const va of [0x40000000, 0xffff800000000000n, 0x0000900000000000n, -1n])
      expect(call(a, va, 0)).toBe(-XEN_EINVAL);
    expect(call(a, 0x3000, lo(b.p2m[3], P))).toBe(-XEN_EBUSY);
  });

  it("maps another domain's frames for a privileged domain only", () => {
    const dom0 = f.guest(0, true);
    const other = (g: Guest, domid: number, mfn: number): number =>
      f.call(g, updateVaMappingOtherdomain, 0x3000, lo(mfn, P | RW), 0, domid);
    expect(other(a, 2, b.p2m[3])).toBe(-XEN_EPERM);
    expect(other(a, 1, a.p2m[3])).toBe(-XEN_ESRCH);
    expect(other(dom0, 2, a.p2m[3])).toBe(-XEN_EBUSY);
    expect(other(dom0, 2, b.p2m[3])).toBe(0);
    expect(f.tlb.access(dom0.vcpu, 0x3000 as Va, true)).toBe(b.p2m[3]);
  });

  it("maps device frames and the machine-to-physical table for a privileged domain only", () => {
    const dom0 = f.guest(0, true);
    const m2p = f.frames.m2p.firstFrame;
    const other = (g: Guest, domid: number, mfn: number, flags: number): number =>
      f.call(g, updateVaMappingOtherdomain, 0x3000, lo(mfn, flags), 0, domid);
    f.frames.assignIo(3 as Mfn, 1);
    for (const domid of [DOMID_IO, DOMID_XEN]) expect(other(a, domid, 3, P)).toBe(-XEN_EPERM);
    expect(call(a, 0x3000, lo(3, P))).toBe(-XEN_EPERM);
    expect(other(dom0, DOMID_IO, 3, P | RW)).toBe(0);
    expect(other(dom0, DOMID_IO, dom0.p2m[5], P)).toBe(-XEN_EBUSY); // No device's.
    expect(f.update(dom0, [[dom0.l1[0], 3, lo(3, P | RW)]], DOMID_IO).error).toBe(0);
    expect(other(dom0, DOMID_XEN, m2p, P | RW)).toBe(-XEN_EBUSY);
    expect(other(dom0, DOMID_XEN, m2p, P)).toBe(0);
    expect(other(dom0, DOMID_XEN, 1, P)).toBe(-XEN_EBUSY);
  });
});

describe("mmuext_op", () => {
  it("clears and copies pages that may be written, and no others", () => {
    f.memory.frame(a.p2m[3]).fill(0x55);
    expect(f.ext(a, MMUEXT_COPY_PAGE, a.p2m[4], a.p2m[3])).toBe(0);
    expect(f.memory.frame(a.p2m[4])[4095]).toBe(0x55);
    expect(f.ext(a, MMUEXT_CLEAR_PAGE, a.p2m[4])).toBe(0);
    expect(f.memory.frame(a.p2m[4])[4095]).toBe(0);
    for (const mfn of [a.l4, a.l1[0], b.p2m[3], 5]) {
      const before = snapshot(mfn as Mfn);
      expect(f.ext(a, MMUEXT_CLEAR_PAGE, mfn)).toBe(-XEN_EINVAL);
      expect(f.ext(a, MMUEXT_COPY_PAGE, mfn, a.p2m[3])).toBe(-XEN_EINVAL);
      expect(snapshot(mfn as Mfn)).toBe(before);
    }
    expect(f.ext(a, MMUEXT_COPY_PAGE, a.p2m[4], b.p2m[3])).toBe(-XEN_EINVAL);
  });

  it("checks the LDT's arguments", () => {
    expect(f.ext(a, MMUEXT_SET_LDT, 0x5000, 8192)).toBe(0);
    expect(a.vcpu.cpu.field(CpuLayout.ldtEntries)).toBe(8192);
    expect(f.ext(a, MMUEXT_SET_LDT, 0x5000, 8193)).toBe(-XEN_EINVAL);
    expect(f.ext(a, MMUEXT_SET_LDT, 0x5008, 1)).toBe(-XEN_EINVAL);
    expect(f.ext(a, MMUEXT_SET_LDT, 0xffff800000000000n, 1)).toBe(-XEN_EINVAL);
    expect(f.ext(a, MMUEXT_SET_LDT, 0x5008, 0)).toBe(0);
    expect(a.vcpu.cpu.field(CpuLayout.ldtEntries)).toBe(0);
  });

  it("answers unknown and unsupported operations, and other domains' frames, as Xen does", () => {
    expect(f.ext(a, 14)).toBe(-XEN_ENOSYS);
    expect(f.ext(a, 21)).toBe(-XEN_ENOSYS);
    expect(f.ext(a, MMUEXT_MARK_SUPER)).toBe(-95);
    expect(f.ext(a, MMUEXT_FLUSH_CACHE)).toBe(-13);
    expect(f.ext(a, MMUEXT_PIN_L1_TABLE, b.p2m[0], 0, b.domain.id)).toBe(-XEN_EPERM);
    expect(f.ext(a, MMUEXT_PIN_L1_TABLE, b.p2m[0])).toBe(-XEN_EINVAL);
  });
});

// Mapping another domain's grants: what may be mapped, with which status it is refused, who holds what meanwhile, and that
// nothing is left with the mapper afterwards. The walker must find nothing after each test.

import { describe, expect, it } from "vitest";
import { CONTINUE } from "../../../hypervisor/hypercalls/args.ts";
import { grantTableOp } from "../../../hypervisor/hypercalls/grant_table_op.ts";
import { FRAME_SIZE } from "../../../hypervisor/machine/memory.ts";
import { XEN_EBUSY, XEN_EFAULT, XEN_EINVAL } from "../../../shared/abi/errno.ts";
import {
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_bad_dev_addr,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_bad_page,
  GNTST_general_error,
  GNTST_no_space,
  GNTST_okay,
  GNTTABOP_map_grant_ref,
  GNTTABOP_unmap_and_replace,
  GNTTABOP_unmap_grant_ref,
  GnttabMapGrantRef,
  GnttabUnmapAndReplace,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_writing,
} from "../../../shared/abi/grant_table.ts";
import type { Va } from "../../../shared/brand.ts";
import { lo, P, RW } from "../memory/fixture.ts";
import { AT, a, b, f, flagsOf, grant, granterAndMapper, map, SLOT, unmap } from "./fixture.ts";

const HOST = GNTMAP_host_map;
const RO = GNTMAP_readonly;

granterAndMapper();

describe("mapping", () => {
  it("gives the mapper the frame and marks the entry while it has it", () => {
    grant(b, 9, 1, b.p2m[3]);
    const { status, handle, bus } = map(a, 2, 9);
    expect([status, bus]).toEqual([GNTST_okay, b.p2m[3] * FRAME_SIZE]);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access | GTF_reading | GTF_writing);
    expect(f.tlb.access(a.vcpu, AT as Va, true)).toBe(b.p2m[3]);
    f.clean();
    expect(unmap(a, handle)).toBe(GNTST_okay);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access);
    expect(f.tlb.access(a.vcpu, AT as Va, false)).toBe(-1);
    expect(unmap(a, handle)).toBe(GNTST_bad_handle);
  });

  it("read-only gives no writing, and a read-only grant can be mapped in no other way", () => {
    grant(b, 9, 1, b.p2m[3], GTF_permit_access | GTF_readonly);
    expect(map(a, 2, 9).status).toBe(GNTST_general_error);
    expect(flagsOf(b, 9) & (GTF_reading | GTF_writing)).toBe(0);
    const { status, handle } = map(a, 2, 9, HOST | RO);
    expect(status).toBe(GNTST_okay);
    expect(flagsOf(b, 9) & (GTF_reading | GTF_writing)).toBe(GTF_reading);
    expect(f.tlb.access(a.vcpu, AT as Va, false)).toBe(b.p2m[3]);
    expect(f.tlb.access(a.vcpu, AT as Va, true)).toBe(-1);
    expect(unmap(a, handle)).toBe(GNTST_okay);
  });

  it("is refused without a grant, to another, of bad references and frames, and to bad places", () => {
    grant(b, 9, 1, b.p2m[3]);
    expect(map(a, 2, 8).status).toBe(GNTST_general_error);
    expect(map(a, 2, 512).status).toBe(GNTST_bad_gntref);
    expect(map(a, 2, 0xffffffff).status).toBe(GNTST_bad_gntref);
    expect(map(a, 77, 9).status).toBe(GNTST_bad_domain);
    expect(map(a, 2, 9, RO).status).toBe(GNTST_bad_gntref);
    const c = f.guest(3);
    expect(map(c, 2, 9).status).toBe(GNTST_general_error);
    for (const at of [0x40000000, 0xffff800000000000n, 0x0001000000000000n, -1n])
      expect(map(a, 2, 9, HOST, at).status).toBe(GNTST_general_error);
    for (const mfn of [a.p2m[3], 5, 0xfffff, 0xffffffff]) {
      grant(b, 10, 1, mfn);
      expect(map(a, 2, 10).status).toBe(GNTST_bad_page);
    }
    grant(b, 10, 1, b.l1[0]);
    expect(map(a, 2, 10).status).toBe(GNTST_general_error);
    expect(map(a, 2, 10, HOST | RO).status).toBe(GNTST_okay);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access);
  });

  it("replaces what was mapped there before", () => {
    f.update(a, [[a.l1[0], SLOT, lo(a.p2m[3], P | RW)]]);
    const refs = f.frames.refCount[a.p2m[3]];
    grant(b, 9, 1, b.p2m[3]);
    expect(map(a, 2, 9).status).toBe(GNTST_okay);
    expect(f.frames.refCount[a.p2m[3]]).toBe(refs - 1);
  });

  it("by the entry's machine address takes only an aligned entry of an own level-1 table", () => {
    grant(b, 9, 1, b.p2m[3]);
    const pte = a.l1[0] * FRAME_SIZE + SLOT * 8;
    const flags = HOST | GNTMAP_contains_pte;
    for (const at of [pte + 4, b.l1[0] * FRAME_SIZE, a.l2 * FRAME_SIZE, a.p2m[3] * FRAME_SIZE, 2 ** 40])
      expect(map(a, 2, 9, flags, at).status).toBe(GNTST_general_error);
    const { status, handle } = map(a, 2, 9, flags | (5 << 16), pte);
    expect(status).toBe(GNTST_okay);
    expect(f.entry(a.l1[0], SLOT).flags & 0xe00).toBe(5 << 9);
    expect(f.tlb.access(a.vcpu, AT as Va, true)).toBe(b.p2m[3]);
    expect(unmap(a, handle, pte)).toBe(GNTST_okay);
    expect(f.tlb.access(a.vcpu, AT as Va, false)).toBe(-1);
  });

  it("of the device kind holds the frame by itself", () => {
    grant(b, 9, 1, b.p2m[3]);
    const { handle, bus } = map(a, 2, 9, GNTMAP_device_map | HOST);
    f.clean();
    expect(unmap(a, handle, AT, bus + 4096)).toBe(GNTST_bad_dev_addr);
    expect(unmap(a, handle, AT)).toBe(GNTST_okay);
    expect(flagsOf(b, 9) & GTF_writing).toBe(GTF_writing);
    f.clean();
    expect(unmap(a, handle, 0, bus)).toBe(GNTST_okay);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access);
  });

  it("is bounded: by counters of one grant, and by maptrack", () => {
    grant(b, 9, 1, b.p2m[3]);
    const handles: number[] = [];
    for (let i = 0; i < 128; i++) {
      const { status, handle } = map(a, 2, 9, HOST | RO, (SLOT + i) * FRAME_SIZE);
      expect(status).toBe(GNTST_okay);
      handles.push(handle);
    }
    expect(new Set(handles).size).toBe(128);
    expect(map(a, 2, 9, HOST | RO, 100 * FRAME_SIZE).status).toBe(GNTST_general_error);
    for (const [ref, count] of [
      [10, 128],
      [12, 128],
      [13, 126],
    ]) {
      grant(b, ref, 1, b.p2m[4]);
      for (let i = 0; i < count; i++) expect(map(a, 2, ref, HOST | RO, AT).status).toBe(GNTST_okay);
    }
    grant(b, 11, 1, b.p2m[5]);
    expect([map(a, 2, 11).status, map(a, 2, 11).status, map(a, 2, 11).status]).toEqual([
      GNTST_okay,
      GNTST_okay,
      GNTST_no_space,
    ]);
    f.clean();
    expect(unmap(a, handles[7], (SLOT + 7) * FRAME_SIZE)).toBe(GNTST_okay);
    expect(map(a, 2, 9, HOST | RO, 100 * FRAME_SIZE).handle).toBe(handles[7]);
  });

  it("of one's own grant works as any other", () => {
    grant(a, 9, 1, a.p2m[3]);
    const { status, handle } = map(a, 1, 9);
    expect(status).toBe(GNTST_okay);
    f.clean();
    expect(unmap(a, handle)).toBe(GNTST_okay);
  });
});

describe("a mapped frame", () => {
  it("cannot become a page table of its owner, nor go to another domain", () => {
    f.update(b, [[b.l1[0], 3, 0]]);
    grant(b, 9, 1, b.p2m[3]);
    const { handle } = map(a, 2, 9);
    expect(f.ext(b, 0, b.p2m[3])).toBe(-XEN_EINVAL);
    expect(b.domain.memory.free(b.p2m[3])).toBe(true);
    expect(f.frames.ownerOf(b.p2m[3])).toBe(2);
    f.clean();
    expect(f.tlb.access(a.vcpu, AT as Va, true)).toBe(b.p2m[3]);
    const free = f.frames.freeFrames;
    unmap(a, handle);
    expect(f.frames.freeFrames).toBe(free + 1);
  });

  it("outlives its owner until it is unmapped", () => {
    grant(b, 9, 1, b.p2m[3]);
    const { handle } = map(a, 2, 9);
    expect(f.destroy(b)).toBe(1);
    f.clean();
    expect(f.domains.has(2 as never)).toBe(true);
    expect(unmap(a, handle)).toBe(GNTST_okay);
    expect(f.domains.has(2 as never)).toBe(false);
  });

  it("comes back when its mapper dies", () => {
    grant(b, 9, 1, b.p2m[3]);
    map(a, 2, 9);
    grant(b, 10, 1, b.p2m[4]);
    map(a, 2, 10, GNTMAP_device_map);
    const before = f.frames.refCount[b.p2m[3]];
    expect(f.destroy(a)).toBe(0);
    expect(f.frames.refCount[b.p2m[3]]).toBe(before - 1);
    expect([flagsOf(b, 9), flagsOf(b, 10)]).toEqual([GTF_permit_access, GTF_permit_access]);
  });

  it("is counted by the walker, use by use and user by user", () => {
    const { grants } = b.domain;
    grant(b, 9, 1, b.p2m[3]);
    const first = map(a, 2, 9);
    const second = map(a, 2, 9, HOST | RO, AT + FRAME_SIZE);
    expect(grants.pins[9]).toBe(0x101);
    f.clean();
    for (const wrong of [0x100, 0x102, 0x1000101, 0]) {
      grants.pins[9] = wrong;
      expect(f.checker.check()).toEqual([`grant 9 of d2: in use 0x${wrong.toString(16)}, mapped 0x101`]);
    }
    grants.pins[9] = 0x101;
    grants.pins[10] = 1;
    expect(f.checker.check()).toEqual(["grant 10 of d2: in use 0x1, mapped 0x0"]);
    grants.pins[10] = 0;
    grants.users[9] = 2;
    expect(f.checker.check()[0]).toBe("grant 9 of d2 is d1's, the table says d2");
    grants.users[9] = 1;
    // The mark of writing ends with the last that may write, that of reading with the last of all (XSA-230).
    expect(unmap(a, first.handle)).toBe(GNTST_okay);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access | GTF_reading);
    f.clean();
    expect(unmap(a, second.handle, AT + FRAME_SIZE)).toBe(GNTST_okay);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access);
    f.clean();
  });

  it("whose entry was overwritten stays marked, and cannot be unmapped a second time", () => {
    grant(b, 9, 1, b.p2m[3]);
    const { handle } = map(a, 2, 9);
    const before = f.frames.refCount[b.p2m[3]];
    f.update(a, [[a.l1[0], SLOT, 0]]);
    expect(f.frames.refCount[b.p2m[3]]).toBe(before - 1);
    expect(unmap(a, handle)).toBe(GNTST_general_error);
    expect(flagsOf(b, 9) & GTF_writing).toBe(GTF_writing);
    f.clean();
  });

  it("is unmapped only where it is mapped, and as it was", () => {
    grant(a, 9, 1, a.p2m[3]);
    const { handle } = map(a, 1, 9, HOST | RO);
    expect(unmap(a, handle, 3 * FRAME_SIZE)).toBe(GNTST_general_error); // The same frame, but writable.
    f.clean();
    expect(unmap(a, handle)).toBe(GNTST_okay);
    const writable = map(a, 1, 9);
    expect(unmap(a, writable.handle, 5 * FRAME_SIZE)).toBe(GNTST_general_error); // Another frame.
    expect(unmap(a, writable.handle)).toBe(GNTST_okay);
  });

  it("is its user's alone, even if the granter rewrites the entry", () => {
    grant(b, 9, 1, b.p2m[3]);
    map(a, 2, 9);
    const c = f.guest(3);
    grant(b, 9, 3, b.p2m[4], GTF_permit_access | GTF_reading | GTF_writing);
    expect(map(c, 2, 9).status).toBe(GNTST_general_error);
    expect(map(c, 2, 9, HOST | RO).status).toBe(GNTST_general_error);
    expect(map(a, 2, 9, HOST | RO, AT + FRAME_SIZE).bus).toBe(b.p2m[3] * FRAME_SIZE);
  });

  it("whose granter is gone can no longer be unmapped, and a new domain of its id is left alone", () => {
    grant(b, 9, 1, b.p2m[3]);
    const { handle } = map(a, 2, 9);
    f.update(a, [[a.l1[0], SLOT, 0]]);
    f.destroy(b);
    expect(f.domains.has(2 as never)).toBe(false);
    const again = f.guest(2);
    again.domain.grants.grow(1);
    grant(again, 9, 1, again.p2m[3]);
    expect(map(a, 2, 9).status).toBe(GNTST_okay);
    expect(unmap(a, handle)).toBe(GNTST_bad_domain);
    f.clean();
    expect(f.destroy(a)).toBe(0);
    expect(again.domain.grants.pins[9]).toBe(0);
  });

  it("whose granter is gone is no reason to write to what was its table", () => {
    grant(b, 9, 1, b.p2m[3]);
    map(a, 2, 9);
    const table = b.domain.grants.frames[0];
    f.update(a, [[a.l1[0], SLOT, 0]]);
    f.destroy(b);
    const c = f.guest(3);
    expect(f.frames.ownerOf(table)).toBe(3);
    const at = table * FRAME_SIZE + 9 * 8;
    const before = f.memory.view.getUint32(at, true);
    f.memory.view.setUint32(at, 0xffffffff, true);
    f.destroy(a);
    expect(f.memory.view.getUint32(at, true)).toBe(0xffffffff);
    f.memory.view.setUint32(at, before, true);
    expect(c.domain.memory.totPages).toBe(64);
  });

  it("cannot be mapped elsewhere, nor more widely, by mmu_update", () => {
    grant(b, 9, 1, b.p2m[3]);
    map(a, 2, 9, HOST | RO);
    expect(f.update(a, [[a.l1[0], SLOT, lo(b.p2m[3], P | RW)]]).error).toBe(-XEN_EBUSY);
    expect(f.update(a, [[a.l1[0], SLOT + 1, lo(b.p2m[3], P)]]).error).toBe(-XEN_EBUSY);
    expect(f.ext(a, 16, b.p2m[3])).toBe(-XEN_EINVAL);
  });
});

it("unmap_and_replace moves another entry into the place", () => {
  grant(b, 9, 1, b.p2m[3]);
  const { handle } = map(a, 2, 9);
  const refs = f.frames.refCount[a.p2m[5]];
  const { view, va } = f.arg(a);
  const replace = (address: number): number => {
    const op = GnttabUnmapAndReplace.at(view);
    op.host_addr_num = AT;
    op.new_addr_num = address;
    op.handle = handle;
    expect(f.call(a, grantTableOp, GNTTABOP_unmap_and_replace, va, 1)).toBe(0);
    return op.status;
  };
  expect(replace(0x7000000)).toBe(GNTST_general_error);
  expect(replace(AT)).toBe(GNTST_general_error);
  expect(replace(5 * FRAME_SIZE)).toBe(GNTST_okay);
  expect(f.entry(a.l1[0], SLOT).mfn).toBe(a.p2m[5]);
  expect(f.entry(a.l1[0], 5).flags).toBe(0);
  expect(f.frames.refCount[a.p2m[5]]).toBe(refs);
});

it("a long batch is continued where it stopped, and one that cannot be read stops", () => {
  grant(b, 9, 1, b.p2m[3]);
  const { view, va } = f.arg(a);
  for (let i = 0; i < 100; i++) {
    const op = GnttabMapGrantRef.at(view, i * 32);
    op.host_addr_num = (SLOT + i) * FRAME_SIZE;
    op.flags = HOST | RO;
    op.ref = 9;
    op.dom = 2;
  }
  f.preempt = true;
  const args = f.args(GNTTABOP_map_grant_ref, va, 100);
  expect(grantTableOp(f.hv, a.vcpu, args)).toBe(CONTINUE);
  expect([args.num(1), args.num(2)]).toEqual([va + 64 * 32, 36]);
  f.preempt = false;
  expect(grantTableOp(f.hv, a.vcpu, args)).toBe(0);
  expect(f.entry(a.l1[0], SLOT + 99).mfn).toBe(b.p2m[3]);
  expect(f.call(a, grantTableOp, GNTTABOP_unmap_grant_ref, 0x5000000, 1)).toBe(-XEN_EFAULT);
  expect(f.call(a, grantTableOp, GNTTABOP_unmap_grant_ref, 0x7fffffff0000n, 0x7fffffff)).toBe(-XEN_EFAULT);
});

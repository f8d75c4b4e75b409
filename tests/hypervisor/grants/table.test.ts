// The grant table itself, and what goes by it without a mapping: its size, version and entries that change places; copies;
// frames that are transferred. The walker must find nothing after each test.

import { describe, expect, it } from "vitest";
import { grantTableOp } from "../../../hypervisor/hypercalls/grant_table_op.ts";
import { XEN_EBUSY, XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../../shared/abi/errno.ts";
import {
  GNTCOPY_dest_gref,
  GNTCOPY_source_gref,
  GNTST_bad_copy_arg,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_page,
  GNTST_eagain,
  GNTST_general_error,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTABOP_cache_flush,
  GNTTABOP_copy,
  GNTTABOP_get_version,
  GNTTABOP_map_grant_ref,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_transfer,
  GnttabCopy,
  GnttabQuerySize,
  GnttabSetupTable,
  GnttabSwapGrantRef,
  GnttabTransfer,
  GTF_accept_transfer,
  GTF_permit_access,
  GTF_readonly,
} from "../../../shared/abi/grant_table.ts";
import { DOMID_SELF } from "../../../shared/abi/xen.ts";
import type { Mfn } from "../../../shared/brand.ts";
import { type Guest, lo, P, RW } from "../memory/fixture.ts";
import { a, b, f, flagsOf, grant, granterAndMapper, map, SLOT, unmap } from "./fixture.ts";

granterAndMapper();

describe("copying", () => {
  function copy(
    g: Guest,
    from: [number, number, number],
    to: [number, number, number],
    len: number,
    flags: number,
  ): number {
    const { view, va } = f.arg(g);
    const op = GnttabCopy.at(view);
    for (const [side, [domid, frame, offset]] of [
      [op.source, from],
      [op.dest, to],
    ] as const) {
      side.gmfn_num = frame;
      side.domid = domid;
      side.offset = offset;
    }
    op.len = len;
    op.flags = flags;
    expect(f.call(g, grantTableOp, GNTTABOP_copy, va, 1)).toBe(0);
    return op.status;
  }

  it("reads granted frames and writes to them, and leaves no mark", () => {
    grant(b, 9, 1, b.p2m[3]);
    f.memory.frame(b.p2m[3]).fill(7, 100, 200);
    expect(copy(a, [2, 9, 100], [DOMID_SELF, a.p2m[3], 4000], 96, GNTCOPY_source_gref)).toBe(GNTST_okay);
    expect(f.memory.frame(a.p2m[3])[4095]).toBe(7);
    expect(copy(a, [DOMID_SELF, a.p2m[3], 4000], [2, 9, 0], 10, GNTCOPY_dest_gref)).toBe(GNTST_okay);
    expect(f.memory.frame(b.p2m[3])[9]).toBe(7);
    expect(flagsOf(b, 9)).toBe(GTF_permit_access);
  });

  it("is refused where a mapping would be, beyond a page's end, and to tables", () => {
    grant(b, 9, 1, b.p2m[3], GTF_permit_access | GTF_readonly);
    grant(b, 10, 1, b.l1[0]);
    const own: [number, number, number] = [DOMID_SELF, a.p2m[3], 0];
    expect(copy(a, own, [2, 9, 0], 1, GNTCOPY_dest_gref)).toBe(GNTST_general_error);
    expect(copy(a, own, [2, 10, 0], 1, GNTCOPY_dest_gref)).toBe(GNTST_general_error);
    expect(copy(a, own, [DOMID_SELF, a.l1[0], 0], 1, 0)).toBe(GNTST_general_error);
    expect(copy(a, own, [DOMID_SELF, b.p2m[3], 0], 1, 0)).toBe(GNTST_bad_page);
    expect(copy(a, [2, b.p2m[3], 0], own, 1, 0)).toBe(GNTST_permission_denied);
    expect(copy(a, [1, a.p2m[3], 0], own, 1, 0)).toBe(GNTST_permission_denied);
    expect(copy(a, [2, 600, 0], own, 1, GNTCOPY_source_gref)).toBe(GNTST_bad_gntref);
    expect(copy(a, [66, 9, 0], own, 1, GNTCOPY_source_gref)).toBe(GNTST_bad_domain);
    expect(copy(a, [2, 9, 4090], own, 7, GNTCOPY_source_gref)).toBe(GNTST_bad_copy_arg);
    expect(copy(a, [2, 9, 0], [DOMID_SELF, a.p2m[3], 65535], 1, GNTCOPY_source_gref)).toBe(GNTST_bad_copy_arg);
    expect([flagsOf(b, 9), flagsOf(b, 10)]).toEqual([GTF_permit_access | GTF_readonly, GTF_permit_access]);
  });
});

it("transfer gives a frame that is in no other use to a domain that accepts one", () => {
  const transfer = (mfn: number, domid: number, ref: number): number => {
    const { view, va } = f.arg(a);
    const op = GnttabTransfer.at(view);
    op.mfn_num = mfn;
    op.domid = domid;
    op.ref = ref;
    expect(f.call(a, grantTableOp, GNTTABOP_transfer, va, 1)).toBe(0);
    return op.status;
  };
  grant(b, 9, 1, 0x1234, GTF_accept_transfer);
  b.domain.memory.maxPages++;
  expect(transfer(a.p2m[3], 2, 9)).toBe(GNTST_bad_page); // Still mapped.
  expect(transfer(b.p2m[3], 2, 9)).toBe(GNTST_bad_page);
  f.update(a, [[a.l1[0], 3, 0]]);
  f.memory.frame(a.p2m[3])[0] = 0x42;
  expect(transfer(a.p2m[3], 2, 9)).toBe(GNTST_okay);
  expect([flagsOf(b, 9), f.frames.ownerOf(a.p2m[3])]).toEqual([GTF_accept_transfer | 12, 2]);
  expect(f.memory.frame(a.p2m[3])[0]).toBe(0x42);
  expect(f.frames.m2p.get(a.p2m[3])).toBe(0x1234); // By the number that the entry asked for.
  expect([a.domain.memory.totPages, b.domain.memory.totPages]).toEqual([63, 65]);
  f.update(a, [[a.l1[0], 4, 0]]);
  expect(transfer(a.p2m[4], 2, 9)).toBe(GNTST_general_error); // As in Xen, the frame is lost to its owner all the same.
  expect(a.domain.memory.totPages).toBe(62);
});

describe("the table", () => {
  const setup = (g: Guest, frames: number, dom: number = DOMID_SELF): [number, number] => {
    const { view, va } = f.arg(g);
    const op = GnttabSetupTable.at(view);
    op.dom = dom;
    op.nr_frames = frames;
    op.frame_list_num = va + 512;
    return [f.call(g, grantTableOp, GNTTABOP_setup_table, va, 1), op.status];
  };

  it("grows up to its limit, and its frames can be mapped by their domain", () => {
    expect(setup(a, 3)).toEqual([0, GNTST_okay]);
    const { view, va } = f.arg(a);
    const mfn = Number(view.getBigUint64(512 + 16, true)) as Mfn;
    expect(mfn).toBe(a.domain.grants.frames[2]);
    expect(f.update(a, [[a.l1[0], SLOT, lo(mfn, P | RW)]]).error).toBe(0);
    expect(f.update(b, [[b.l1[0], SLOT, lo(mfn, P)]]).error).toBe(-XEN_EBUSY);
    expect(setup(a, 5)).toEqual([0, GNTST_general_error]);
    expect(setup(a, 1, 2)).toEqual([0, GNTST_permission_denied]);
    expect(setup(a, 1, 9)).toEqual([0, GNTST_bad_domain]);
    expect(setup(f.guest(0, true), 1, 2)).toEqual([0, GNTST_okay]);
    expect(f.call(a, grantTableOp, GNTTABOP_setup_table, va, 2)).toBe(-XEN_EINVAL);
    expect(f.call(a, grantTableOp, GNTTABOP_setup_table, 0x7fffffffffffn, 1)).toBe(-XEN_EFAULT);
  });

  it("tells its size and version, and knows version 1 only", () => {
    const { view, va } = f.arg(a);
    const op = GnttabQuerySize.at(view);
    op.dom = DOMID_SELF;
    expect(f.call(a, grantTableOp, GNTTABOP_query_size, va, 1)).toBe(0);
    expect([op.nr_frames, op.max_nr_frames, op.status]).toEqual([1, 4, GNTST_okay]);
    const version = (v: number): number => {
      view.setUint32(0, v, true);
      const result = f.call(a, grantTableOp, GNTTABOP_set_version, va, 1);
      expect(view.getUint32(0, true)).toBe(1);
      return result;
    };
    expect([version(1), version(2), version(3)]).toEqual([0, -XEN_ENOSYS, -XEN_EINVAL]);
    const getVersion = (dom: number): number => {
      view.setUint16(0, dom, true);
      return f.call(a, grantTableOp, GNTTABOP_get_version, va, 1);
    };
    expect([getVersion(1), getVersion(2), getVersion(5)]).toEqual([0, -XEN_EPERM, -XEN_ESRCH]);
    expect(f.call(a, grantTableOp, GNTTABOP_cache_flush, va, 1)).toBe(-XEN_ENOSYS);
    expect(f.call(a, grantTableOp, 99, va, 1)).toBe(-XEN_ENOSYS);
    expect(f.call(a, grantTableOp, 0x1000, va, 1)).toBe(-XEN_EINVAL);
    expect(f.call(a, grantTableOp, GNTTABOP_map_grant_ref, va, 0x80000000)).toBe(-XEN_EINVAL);
  });

  it("swaps entries that are not in use", () => {
    const swap = (x: number, y: number): number => {
      const { view, va } = f.arg(b);
      const op = GnttabSwapGrantRef.at(view);
      op.ref_a = x;
      op.ref_b = y;
      expect(f.call(b, grantTableOp, GNTTABOP_swap_grant_ref, va, 1)).toBe(0);
      return op.status;
    };
    grant(b, 9, 1, b.p2m[3]);
    expect(swap(9, 20)).toBe(GNTST_okay);
    expect([flagsOf(b, 9), flagsOf(b, 20)]).toEqual([0, GTF_permit_access]);
    const { handle } = map(a, 2, 20);
    expect(swap(9, 20)).toBe(GNTST_eagain);
    expect(swap(9, 512)).toBe(GNTST_bad_gntref);
    unmap(a, handle);
  });
});

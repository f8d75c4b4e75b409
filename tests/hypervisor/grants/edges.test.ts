// Grants at the numbers' edges: references, handles and extents one beyond what there is, and mappings by an entry's
// address that are to be replaced. The walker must find nothing after each test.
import { describe, expect, it } from "vitest";
import { grantTableOp } from "../../../hypervisor/hypercalls/grant_table_op.ts";
import { FRAME_SIZE } from "../../../hypervisor/machine/memory.ts";
import {
  GNTMAP_contains_pte,
  GNTMAP_host_map,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_general_error,
  GNTST_okay,
  GNTTABOP_transfer,
  GNTTABOP_unmap_and_replace,
  GnttabTransfer,
  GnttabUnmapAndReplace,
  GTF_accept_transfer,
} from "../../../shared/abi/grant_table.ts";
import { a, b, f, grant, granterAndMapper, map, SLOT, unmap } from "./fixture.ts";

/** Entries of one frame of the table. */
const ENTRIES = 512;

granterAndMapper();

describe("references and handles", () => {
  it("the last of the table is one, the next is none", () => {
    grant(b, ENTRIES - 1, 1, b.p2m[3]);
    expect(map(a, 2, ENTRIES - 1).status).toBe(GNTST_okay);
    for (const ref of [ENTRIES, 2 ** 31, 2 ** 32 - 1])
      expect([ref, map(a, 2, ref).status]).toEqual([ref, GNTST_bad_gntref]);
  });

  it("a handle that was never given, or was given back, is none", () => {
    grant(b, 9, 1, b.p2m[3]);
    const { handle } = map(a, 2, 9);
    for (const which of [handle + 1, 2 ** 31, 2 ** 32 - 1])
      expect([which, unmap(a, which)]).toEqual([which, GNTST_bad_handle]);
    expect([unmap(a, handle), unmap(a, handle)]).toEqual([GNTST_okay, GNTST_bad_handle]);
  });

  it("a frame is not transferred to an entry beyond the table, though the next frame's bytes would accept it", () => {
    const transfer = (ref: number): number => {
      const { view, va } = f.arg(a);
      const mfn = a.domain.memory.alloc() as number;
      const op = GnttabTransfer.at(view);
      op.mfn_num = mfn;
      op.domid = 2;
      op.ref = ref;
      expect(f.call(a, grantTableOp, GNTTABOP_transfer, va, 1)).toBe(0);
      return op.status;
    };
    a.domain.memory.maxPages += 4;
    b.domain.memory.maxPages += 4;
    grant(b, ENTRIES - 1, 1, 0, GTF_accept_transfer);
    const exchange = b.domain.grants.exchangeFlags.bind(b.domain.grants);
    const asked: number[] = [];
    b.domain.grants.exchangeFlags = (ref, ...rest) => {
      asked.push(ref);
      return exchange(ref, ...rest);
    };
    expect([ENTRIES, 2 ** 32 - 1].map(transfer)).toEqual([GNTST_general_error, GNTST_general_error]);
    expect(asked).toEqual([]);
    expect(transfer(ENTRIES - 1)).toBe(GNTST_okay);
  });
});

it("a mapping by its entry's address is not replaced by another address's entry", () => {
  grant(b, 9, 1, b.p2m[3]);
  const pte = a.l1[0] * FRAME_SIZE + SLOT * 8;
  const { status, handle } = map(a, 2, 9, GNTMAP_host_map | GNTMAP_contains_pte, pte);
  expect(status).toBe(GNTST_okay);
  const { view, va } = f.arg(a);
  const op = GnttabUnmapAndReplace.at(view);
  op.host_addr_num = pte;
  op.new_addr_num = 5 * FRAME_SIZE;
  op.handle = handle;
  expect(f.call(a, grantTableOp, GNTTABOP_unmap_and_replace, va, 1)).toBe(0);
  expect(op.status).toBe(GNTST_general_error);
  expect(f.entry(a.l1[0], SLOT).mfn).toBe(b.p2m[3]);
  expect(f.entry(a.l1[0], 5).mfn).toBe(a.p2m[5]);
});

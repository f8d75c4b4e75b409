// Long operations on trees of tables are done in pieces, and no piece is long, whatever the guest does between two of them.

import { afterEach, beforeEach, expect, it } from "vitest";
import type { Args } from "../../../hypervisor/hypercalls/args.ts";
import { CONTINUE } from "../../../hypervisor/hypercalls/args.ts";
import { mmuUpdate } from "../../../hypervisor/hypercalls/mmu_update.ts";
import { mmuextOp } from "../../../hypervisor/hypercalls/mmuext_op.ts";
import { updateVaMapping } from "../../../hypervisor/hypercalls/update_va_mapping.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../hypervisor/machine/processor.ts";
import { PageType } from "../../../hypervisor/memory/frame_table.ts";
import {
  DOMID_SELF,
  MMUEXT_CLEAR_PAGE,
  MMUEXT_PIN_L2_TABLE,
  MMUEXT_PIN_L4_TABLE,
  MMUEXT_UNPIN_TABLE,
  VMASST_TYPE_writable_pagetables,
} from "../../../shared/abi/xen.ts";
import type { Mfn } from "../../../shared/brand.ts";
import { Fixture, type Guest, lo, P, RW } from "./fixture.ts";

const L1_TABLES = 24;
/** Entries that one piece may look at: nine tables, for a table that is refused is met twice and undone at each level. */
const PIECE = 512 * 9;

let f: Fixture;
let a: Guest;
/** A tree: [l4, l3, l2, ...l1]. */
let tree: Mfn[];
let longest: number;

beforeEach(() => {
  f = new Fixture();
  a = f.guest(1);
  a.domain.memory.maxPages = 200;
  tree = Array.from({ length: L1_TABLES + 3 }, () => a.domain.memory.alloc() as Mfn);
  for (let i = 3; i < tree.length; i++) for (let j = 0; j < 512; j++) f.poke(tree[i], j, a.p2m[j % 40], P | RW);
  for (let i = 3; i < tree.length; i++) f.poke(tree[2], (i - 3) * 12, tree[i], P | RW);
  f.poke(tree[1], 7, tree[2], P | RW);
  f.poke(tree[0], 3, tree[1], P | RW);
  f.preempt = true;
  longest = 0;
});
afterEach(() => f.clean());

function extArgs(cmd: number, mfn: number): Args {
  const { view, va } = f.arg(a);
  view.setUint32(0, cmd, true);
  view.setBigUint64(8, BigInt(mfn), true);
  return f.args(va, 1, va + 4088, DOMID_SELF);
}

/** One piece of a call. */
function piece(handler: typeof mmuextOp, args: Args): number {
  const { types } = f.mm;
  let worst = 0;
  f.hv.charge = () => {
    worst = Math.max(worst, types.work);
  };
  const result = handler(f.hv, a.vcpu, args);
  longest = Math.max(longest, worst);
  f.clean();
  return result;
}

/** All of it: the result, and in how many pieces. */
function complete(handler: typeof mmuextOp, args: Args): [result: number, pieces: number] {
  for (let pieces = 1; ; pieces++) {
    const result = piece(handler, args);
    if (result !== CONTINUE) return [result, pieces];
  }
}

it("pins and unpins a tree table by table", () => {
  const [pinned, pieces] = complete(mmuextOp, extArgs(MMUEXT_PIN_L4_TABLE, tree[0]));
  expect(pinned).toBe(0);
  expect(pieces).toBeGreaterThan(L1_TABLES);
  expect(f.frames.typeCount[tree[3]]).toBe(1);
  expect(f.arg(a).view.getUint32(4088, true)).toBe(1);
  const [unpinned, undone] = complete(mmuextOp, extArgs(MMUEXT_UNPIN_TABLE, tree[0]));
  expect([unpinned, f.frames.typeCount[tree[0]], f.frames.typeCount[tree[20]]]).toEqual([0, 0, 0]);
  expect(undone).toBeGreaterThan(L1_TABLES);
  expect(longest).toBeLessThanOrEqual(PIECE);
});

it("refuses a tree that is wrong in its last corner, and undoes the rest by pieces", () => {
  f.poke(tree.at(-1) as Mfn, 511, 5, P);
  const [result, pieces] = complete(mmuextOp, extArgs(MMUEXT_PIN_L4_TABLE, tree[0]));
  expect(result).toBeLessThan(0);
  expect(pieces).toBeGreaterThan(2 * L1_TABLES - 10);
  for (const mfn of tree) expect(f.frames.typeCount[mfn]).toBe(0);
  expect(f.arg(a).view.getUint32(4088, true)).toBe(0);
  expect(longest).toBeLessThanOrEqual(PIECE);
});

it("hangs a tree into a table in use, and takes it out, by pieces", () => {
  const update = (value: number): [number, number] => {
    const { view, va } = f.arg(a);
    view.setBigUint64(0, BigInt(a.l4) * 4096n + 8n * 9n, true);
    view.setBigUint64(8, BigInt(value), true);
    return complete(mmuUpdate, f.args(va, 1, 0, DOMID_SELF));
  };
  const [result, pieces] = update(lo(tree[1], P | RW));
  expect([result, pieces > L1_TABLES]).toEqual([0, true]);
  expect(f.frames.type[tree[3]]).toBe(PageType.L1);
  const [gone, undone] = update(0);
  expect([gone, undone > L1_TABLES, f.frames.typeCount[tree[3]]]).toEqual([0, true, 0]);
  expect(longest).toBeLessThanOrEqual(PIECE);
});

it("keeps nothing for a call that is never continued, once another one is made", () => {
  const args = extArgs(MMUEXT_PIN_L4_TABLE, tree[0]);
  for (let i = 0; i < 10; i++) expect(piece(mmuextOp, args)).toBe(CONTINUE);
  expect(f.frames.typeCount[tree[3]]).toBe(1);
  const [result] = complete(mmuextOp, extArgs(MMUEXT_CLEAR_PAGE, a.p2m[3]));
  expect([result, f.frames.typeCount[tree[3]]]).toEqual([0, 0]);
});

it("goes on with what the guest has changed meanwhile", () => {
  const args = extArgs(MMUEXT_PIN_L2_TABLE, tree[2]);
  for (let i = 0; i < 5; i++) piece(mmuextOp, args);
  f.poke(tree[2], 511, 5, P | RW); // The level-2 table is not yet one, so the guest may write to it.
  expect(complete(mmuextOp, args)[0]).toBeLessThan(0);
  for (const mfn of tree) expect(f.frames.typeCount[mfn]).toBe(0);
});

it("carries the result of a finished batch to its end", () => {
  complete(mmuextOp, extArgs(MMUEXT_PIN_L4_TABLE, tree[0]));
  const { view, va } = f.arg(a);
  extArgs(MMUEXT_UNPIN_TABLE, tree[0]);
  view.setUint32(24, 99, true); // An unknown operation after it.
  expect(complete(mmuextOp, f.args(va, 2, va + 4088, DOMID_SELF))[0]).toBe(-38);
  expect(view.getUint32(4088, true)).toBe(1);
});

it("dies in the middle of it without a trace", () => {
  const free = f.frames.freeFrames;
  const frames = a.domain.memory.totPages;
  const args = extArgs(MMUEXT_PIN_L4_TABLE, tree[0]);
  for (let i = 0; i < 10; i++) piece(mmuextOp, args);
  expect(f.destroy(a)).toBe(0);
  expect(f.frames.freeFrames).toBe(free + frames);
});

/** Leaves all but one of the tree's level-1 tables to be undone: the call that unpins them is not continued. */
function leaveWork(): void {
  complete(mmuextOp, extArgs(MMUEXT_PIN_L2_TABLE, tree[2]));
  expect(piece(mmuextOp, extArgs(MMUEXT_UNPIN_TABLE, tree[2]))).toBe(CONTINUE);
  expect(a.domain.memory.deferred.length).toBe(L1_TABLES - 1);
}

it("is not done at once by a small operation that comes in between", () => {
  leaveWork();
  longest = 0;
  // Takes a writable mapping away, and with it a type.
  const [result, pieces] = complete(updateVaMapping, f.args(5 * 4096, 0, 0));
  expect([result, pieces >= L1_TABLES - 1]).toEqual([0, true]);
  expect(longest).toBeLessThanOrEqual(2 * 512);
});

it("is not done at all by one that no guest waits for, as the end of a mapping of another's", () => {
  leaveWork();
  f.mm.types.work = 0;
  f.mm.setEntry(1, a.l1[0] * 1024 + 5 * 2, 0, 0, a.domain.id);
  expect(f.mm.types.work).toBe(0);
  expect(a.domain.memory.deferred.length).toBe(L1_TABLES - 1);
});

it("leaves a table whole that is stored to while it waits to be undone", () => {
  // The guest sees the table, read-only, at an address where nothing was, and stores to it as it may.
  a.domain.vmAssist = 1 << VMASST_TYPE_writable_pagetables;
  leaveWork();
  const waiting = a.domain.memory.deferred.at(-1) as Mfn;
  expect(f.mm.setEntry(1, a.l1[0] * 1024 + 100 * 2, lo(waiting, P), 0, a.domain.id)).toBe(0);
  const { cpu } = a.vcpu;
  cpu.setField(CpuLayout.errorCode, 7);
  cpu.setNum(Reg.CR2, 100 * 4096 + 8);
  f.stepper.store = (words) => {
    words[2] = 0;
    return Exit.Budget;
  };
  expect(f.mm.handlePageFault(a.vcpu)).toBe(true);
  f.clean(); // Else the table's entries would keep what they map for ever, the domain's death included.
  complete(mmuextOp, extArgs(MMUEXT_CLEAR_PAGE, a.p2m[3]));
  expect(f.frames.typeCount[waiting]).toBe(0);
});

it("is left alone by one that undoes what it has made itself, at once", () => {
  leaveWork();
  const [l2, l1] = [a.domain.memory.alloc() as Mfn, a.domain.memory.alloc() as Mfn];
  f.poke(l2, 0, l1, P | RW);
  const { types } = f.mm;
  expect(types.getPageAndType(l2, a.domain.id, PageType.L2)).toBe(0);
  expect(f.frames.typeCount[l1]).toBe(1);
  types.putPageAndType(l2);
  expect([f.frames.typeCount[l1], a.domain.memory.deferred.length]).toEqual([0, L1_TABLES - 1]);
  f.poke(l2, 1, 5, P | RW);
  expect(types.getPageAndType(l2, a.domain.id, PageType.L2)).toBeLessThan(0);
  expect([f.frames.typeCount[l1], a.domain.memory.deferred.length]).toEqual([0, L1_TABLES - 1]);
});

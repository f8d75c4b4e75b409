// The common course of mmu_update and mmuext_op: (requests, count, pointer to the done count or NULL, domain). Each request
// is copied, made ready for, carried out; the first that fails ends the batch; the count of those done is written out. Long
// work is continued: in the middle of the batch by arguments that name the rest of it, and after its end, when only tables
// are left to be undone, by arguments that carry the result (Xen uses the same forms).

import { XEN_EFAULT, XEN_EINVAL } from "../../shared/abi/errno.ts";
import type { DomId, Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { PREEMPT_ENTRIES } from "../limits.ts";
import type { DomainMemory } from "../memory/domain_memory.ts";
import { startOk } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";
import { type Args, CONTINUE } from "./args.ts";
import { mayName } from "./page_owner.ts";

/** Set in the count of a continued call: the done count in guest memory is added to, not replaced. */
const MMU_UPDATE_PREEMPTED = 0x80000000;
/** Virtual-clock cost of each table entry that a request makes the hypervisor look at. */
const ENTRY_NS = 2;

/** A kind of request. `R` is the accessor of one in the hypervisor's scratch. */
export interface Kind<R> {
  /** Bytes of one request, and what one costs on the virtual clock. */
  readonly size: number;
  readonly costNs: number;
  open(hv: Hypervisor): R;
  /** Whether the request makes a table of level 2 to 4 of `mfn(request)`, which is checked ahead: the level, or 0. */
  becomes(hv: Hypervisor, request: R, tables: DomId): number;
  mfn(request: R): number;
  /** Carries it out: 0 or a negative errno. */
  perform(hv: Hypervisor, vcpu: Vcpu, request: R, tables: DomId, pages: DomId): number;
}

/** What is to be done before anything else: undoing what an earlier call left. A result, or undefined to go on. */
export function resume(hv: Hypervisor, vcpu: Vcpu, a: Args): number | undefined {
  const { memory } = vcpu.domain;
  if (memory.deferred.length > 0 && !hv.mm.types.settle(memory, () => pause(hv))) return CONTINUE;
  if (a.u32(1) !== MMU_UPDATE_PREEMPTED || !a.isNull(0)) return undefined;
  // A guest may make up such a call, and must not make up one of the dispatcher's own answers.
  const result = a.i32(3);
  return result > -4096 ? result : -XEN_EINVAL;
}

/** Whether the list of requests is the guest's: asked before anything else is said about the arguments. */
export function listOk(a: Args): boolean {
  return startOk(a.va(0));
}

/** The requests change tables of domain `tables`, if the caller may; their entries name frames of domain `pages`. */
export function runBatch<R>(hv: Hypervisor, vcpu: Vcpu, a: Args, kind: Kind<R>, tables: DomId, pages: DomId): number {
  const count = a.u32(1) & ~MMU_UPDATE_PREEMPTED;
  const start = a.va(0) as Va;
  const { size, costNs } = kind;
  const { types } = hv.mm;
  const memory = mayName(vcpu, tables) ? hv.frames.memoryOf(tables) : undefined;
  const request = kind.open(hv);
  let error = 0;
  let i = 0;
  let paused = false;
  while (i < count && error === 0 && !paused) {
    paused = i > 0 && i % PREEMPT_ENTRIES === 0 && pause(hv);
    if (paused) break;
    const level = hv.access.readWords(vcpu, (start + i * size) as Va, hv.scratchWords, size >>> 2)
      ? kind.becomes(hv, request, tables)
      : -1;
    if (level < 0) error = -XEN_EFAULT;
    else if (level > 0 && memory && !hv.mm.long.prepare(memory, kind.mfn(request), level, () => pause(hv)))
      paused = true;
    else {
      types.deferring = memory === vcpu.domain.memory;
      error = kind.perform(hv, vcpu, request, tables, pages);
      types.deferring = false;
      hv.charge(costNs);
      if (error === 0) i++;
      if (memory && memory.held.length + memory.deferred.length > 0) paused = !finish(hv, vcpu, memory);
    }
  }
  chargeWork(hv);
  if (!a.isNull(2)) {
    const before = a.u32(1) & MMU_UPDATE_PREEMPTED ? Math.max(hv.access.readU32(vcpu, a.va(2)), 0) : 0;
    hv.access.writeU32(vcpu, a.va(2), (before + i) >>> 0);
  }
  if (!paused) return error;
  if (error !== 0 || i === count) continueWith(a, 0, 0, 0, error);
  else continueWith(a, a.lo(0) + i * size, a.hi(0), count - i, undefined);
  return CONTINUE;
}

/** Only for itself does the caller leave work undone for a while: another domain's tables are seen to at once. */
function finish(hv: Hypervisor, vcpu: Vcpu, memory: DomainMemory): boolean {
  return hv.mm.long.finish(memory, () => memory === vcpu.domain.memory && pause(hv));
}

/** Leaves the rest of the batch in the arguments, or no batch but its result. */
function continueWith(a: Args, lo: number, hi: number, left: number, result: number | undefined): void {
  a.setHalves(0, lo >>> 0, (hi + (lo > 0xffffffff ? 1 : 0)) >>> 0);
  a.setNum(1, (left | MMU_UPDATE_PREEMPTED) >>> 0);
  if (result === undefined) return;
  a.setHalves(2, 0, 0);
  a.setNum(3, result >>> 0);
}

/** Charges for the work on tables so far, and asks whether others must run now. */
export function pause(hv: Hypervisor): boolean {
  chargeWork(hv);
  return hv.preemptCheck();
}

function chargeWork(hv: Hypervisor): void {
  if (hv.mm.types.work === 0) return;
  hv.charge(hv.mm.types.work * ENTRY_NS);
  hv.mm.types.work = 0;
}

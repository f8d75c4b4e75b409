// HYPERVISOR_mmu_update (public/xen.h): a batch of changes to page-table entries, and of the machine-to-physical table.
// Each request is copied, then checked, then carried out; the first that fails ends the batch, and the count of those
// done is written out. Rules are memory/mmu.ts; who may name whose frames, and error numbers, are those of Xen 4.17.

import { XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../shared/abi/errno.ts";
import type { Of } from "../../shared/abi/struct.ts";
import {
  MMU_MACHPHYS_UPDATE,
  MMU_PT_UPDATE_NO_TRANSLATE,
  MMU_PT_UPDATE_PRESERVE_AD,
  MmuUpdate,
} from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { PREEMPT_ENTRIES } from "../limits.ts";
import { PageType } from "../memory/frame_table.ts";
import { rangeOk } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";
import { type Args, CONTINUE, type Handler } from "./args.ts";
import { mayName, NO_OWNER, pageOwner } from "./page_owner.ts";

/** Set in the count of a continued call: the done count in guest memory is added to, not replaced. */
export const MMU_UPDATE_PREEMPTED = 0x80000000;
/** Virtual-clock cost of one request, and of each table entry that it made the hypervisor look at. */
const REQUEST_NS = 60;
export const ENTRY_NS = 2;

/** (requests, count, pointer to the done count or NULL, foreign domain | (table's domain + 1) << 16) */
export const mmuUpdate: Handler = (hv, vcpu, a) => {
  const count = a.u32(1) & ~MMU_UPDATE_PREEMPTED;
  const start = a.va(0);
  if (!rangeOk(start, count * MmuUpdate.size)) return -XEN_EFAULT;
  const foreign = a.u32(3);
  let tables = vcpu.domain.id;
  if (foreign >>> 16 !== 0) {
    const domain = hv.find((foreign >>> 16) - 1);
    if (!domain) return -XEN_ESRCH;
    if (domain.vcpus.length === 0) return -XEN_EINVAL;
    tables = domain.id;
  }
  const pages = pageOwner(hv, vcpu, foreign & 0xffff);
  if (pages === NO_OWNER) return -XEN_ESRCH;

  const request = MmuUpdate.at(hv.scratch);
  let error = 0;
  let i = 0;
  for (; i < count && error === 0; i++) {
    if (i > 0 && i % PREEMPT_ENTRIES === 0 && hv.preemptCheck()) break;
    const va = (start + i * MmuUpdate.size) as Va;
    if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, MmuUpdate.size)) error = -XEN_EFAULT;
    else error = update(hv, vcpu, request, tables, pages);
    hv.charge(REQUEST_NS + hv.mm.types.work * ENTRY_NS);
    hv.mm.types.work = 0;
  }
  const done = error === 0 ? i : i - 1;
  return finishBatch(hv, vcpu, a, done, MmuUpdate.size, count - done, error);
};

/**
 * The end, or a pause, of a batch of (pointer, count, done pointer, ...): writes the done count, and when requests are
 * left without an error leaves them for the continuation.
 */
export function finishBatch(
  hv: Hypervisor,
  vcpu: Vcpu,
  a: Args,
  done: number,
  size: number,
  left: number,
  error: number,
): number {
  if (!a.isNull(2)) {
    const before = a.u32(1) & MMU_UPDATE_PREEMPTED ? Math.max(hv.access.readU32(vcpu, a.va(2)), 0) : 0;
    hv.access.writeU32(vcpu, a.va(2), (before + done) >>> 0);
  }
  if (error !== 0 || left === 0) return error;
  const lo = a.lo(0) + done * size;
  a.setHalves(0, lo >>> 0, (a.hi(0) + (lo > 0xffffffff ? 1 : 0)) >>> 0);
  a.setNum(1, (left | MMU_UPDATE_PREEMPTED) >>> 0);
  return CONTINUE;
}

/** One request, copied out of guest memory. */
function update(hv: Hypervisor, vcpu: Vcpu, request: Of<typeof MmuUpdate>, tables: DomId, pages: DomId): number {
  const ptrLo = request.ptr_lo;
  const command = ptrLo & 7;
  const mfn = request.ptr_hi === 0 ? ptrLo >>> 12 : -1;
  const self = vcpu.domain;
  if (command === MMU_MACHPHYS_UPDATE) {
    if (tables !== self.id) return -XEN_EPERM;
    if (!mayName(vcpu, pages)) return -XEN_EPERM;
    if (!hv.frames.getPage(mfn, pages)) return -XEN_EINVAL;
    hv.frames.m2p.setHalves(mfn as Mfn, request.val_lo, request.val_hi);
    hv.frames.putPage(mfn as Mfn);
    return 0;
  }
  if (command > MMU_PT_UPDATE_NO_TRANSLATE) return -XEN_ENOSYS;
  if (!mayName(vcpu, pages) || !mayName(vcpu, tables)) return -XEN_EPERM;
  if (!hv.frames.getPage(mfn, tables)) return -XEN_EINVAL;
  const word = (mfn * 4096 + (ptrLo & 0xff8)) / 4;
  const error = store(hv, word, request.val_lo, request.val_hi, tables, pages, command === MMU_PT_UPDATE_PRESERVE_AD);
  hv.frames.putPage(mfn as Mfn);
  return error;
}

/** Changes the entry of a page table, or writes to a frame that is not in use as anything else. */
function store(hv: Hypervisor, word: number, lo: number, hi: number, tables: DomId, pages: DomId, ad: boolean): number {
  const { mm, frames } = hv;
  const mfn = (word >>> 10) as Mfn;
  const level = mm.tableLevel(mfn);
  if (level !== 0) {
    if (level > 1 && pages !== tables) return -XEN_EINVAL;
    return mm.setEntry(level, word, lo, hi, pages, ad);
  }
  if (frames.typeCount[mfn] !== 0 && frames.type[mfn] !== PageType.Writable) return -XEN_EINVAL;
  if (mm.types.get(mfn, PageType.Writable) !== 0) return -XEN_EINVAL;
  mm.storeRaw(word, lo, hi);
  mm.types.put(mfn);
  return 0;
}

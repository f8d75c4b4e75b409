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
import type { DomId, Mfn } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Pte, pteMfn } from "../machine/pte.ts";
import { PageType } from "../memory/frame_table.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Handler } from "./args.ts";
import { type Kind, listOk, resume, runBatch } from "./batch.ts";
import { mayName, NO_OWNER, pageOwner } from "./page_owner.ts";

type Request = Of<typeof MmuUpdate>;

/** Virtual-clock cost of one request. */
const REQUEST_NS = 60;

/** (requests, count, pointer to the done count or NULL, foreign domain | (table's domain + 1) << 16) */
export const mmuUpdate: Handler = (hv, vcpu, a) => {
  const result = resume(hv, vcpu, a);
  if (result !== undefined) return result;
  if (!listOk(a)) return -XEN_EFAULT;
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
  return runBatch(hv, vcpu, a, UPDATES, tables, pages);
};

const UPDATES: Kind<Request> = {
  size: MmuUpdate.size,
  costNs: REQUEST_NS,
  open: (hv) => hv.mmuRequest,
  becomes,
  mfn: (request) => pteMfn(request.val_lo, request.val_hi),
  perform: update,
};

/** A present entry of a table above level 2 makes a table of the frame that it maps. */
function becomes(hv: Hypervisor, request: Request, tables: DomId): number {
  const table = request.ptr_lo >>> 12;
  if (!(request.val_lo & Pte.P) || request.ptr_hi !== 0 || hv.frames.owner[table] !== tables) return 0;
  const level = hv.mm.tableLevel(table as Mfn);
  return level > 2 ? level - 1 : 0;
}

/** One request, copied out of guest memory. */
function update(hv: Hypervisor, vcpu: Vcpu, request: Request, tables: DomId, pages: DomId): number {
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

// HYPERVISOR_mmuext_op (public/xen.h): a batch of pins, base pointers, flushes, LDT and page operations. As mmu_update,
// each is copied, checked and done, and the first that fails ends the batch. One processor with one translation cache
// serves all vcpus, so flushes for some are flushes for all. Error numbers as in Xen 4.17. Left out: nothing; cache
// flushes have no effect to have, superpage marks are refused as Xen refuses them.

import {
  XEN_EACCES,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOSYS,
  XEN_EOPNOTSUPP,
  XEN_EPERM,
  XEN_ESRCH,
} from "../../shared/abi/errno.ts";
import type { Of } from "../../shared/abi/struct.ts";
import {
  MMUEXT_CLEAR_PAGE,
  MMUEXT_COPY_PAGE,
  MMUEXT_FLUSH_CACHE,
  MMUEXT_FLUSH_CACHE_GLOBAL,
  MMUEXT_INVLPG_ALL,
  MMUEXT_INVLPG_LOCAL,
  MMUEXT_INVLPG_MULTI,
  MMUEXT_MARK_SUPER,
  MMUEXT_NEW_BASEPTR,
  MMUEXT_NEW_USER_BASEPTR,
  MMUEXT_PIN_L1_TABLE,
  MMUEXT_PIN_L2_TABLE,
  MMUEXT_PIN_L3_TABLE,
  MMUEXT_PIN_L4_TABLE,
  MMUEXT_SET_LDT,
  MMUEXT_TLB_FLUSH_ALL,
  MMUEXT_TLB_FLUSH_LOCAL,
  MMUEXT_TLB_FLUSH_MULTI,
  MMUEXT_UNMARK_SUPER,
  MMUEXT_UNPIN_TABLE,
  MmuextOp,
} from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { CpuLayout, canonical } from "../machine/cpu_state.ts";
import { PageType } from "../memory/frame_table.ts";
import { addressOk } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Handler } from "./args.ts";
import { type Kind, listOk, resume, runBatch } from "./batch.ts";
import { mayName, NO_OWNER, pageOwner } from "./page_owner.ts";
import { vcpuMaskReadable } from "./update_va_mapping.ts";

/** Virtual-clock cost of one operation, and of clearing or copying a page. */
const OPERATION_NS = 100;
const PAGE_NS = 500;
const MAX_LDT_ENTRIES = 8192;

/** (operations, count, pointer to the done count or NULL, domain whose frames they name) */
export const mmuextOp: Handler = (hv, vcpu, a) => {
  const result = resume(hv, vcpu, a);
  if (result !== undefined) return result;
  if (!listOk(a)) return -XEN_EFAULT;
  const owner = pageOwner(hv, vcpu, a.u32(3));
  if (owner === NO_OWNER) return -XEN_ESRCH;
  if (owner !== vcpu.domain.id && !(vcpu.domain.privileged && mayName(vcpu, owner))) return -XEN_EPERM;
  return runBatch(hv, vcpu, a, OPERATIONS, owner, owner);
};

type Op = Of<typeof MmuextOp>;

const OPERATIONS: Kind<Op> = {
  size: MmuextOp.size,
  costNs: OPERATION_NS,
  open: (hv) => hv.mmuextRequest,
  becomes: (_hv, op) => LEVELS[op.cmd] ?? 0,
  mfn: (op) => op.arg1_mfn_num,
  perform: operation,
};

/** The level of table that an operation makes of its frame, where that can take long. */
const LEVELS: { readonly [command: number]: number } = {
  [MMUEXT_PIN_L2_TABLE]: 2,
  [MMUEXT_PIN_L3_TABLE]: 3,
  [MMUEXT_PIN_L4_TABLE]: 4,
  [MMUEXT_NEW_BASEPTR]: 4,
  [MMUEXT_NEW_USER_BASEPTR]: 4,
};

/** One operation, in scratch. */
function operation(hv: Hypervisor, vcpu: Vcpu, op: Op, owner: DomId): number {
  const { mm } = hv;
  const mfn = op.arg1_mfn_num;
  switch (op.cmd) {
    case MMUEXT_PIN_L1_TABLE:
      return mm.pin(mfn, PageType.L1, owner);
    case MMUEXT_PIN_L2_TABLE:
      return mm.pin(mfn, PageType.L2, owner);
    case MMUEXT_PIN_L3_TABLE:
      return mm.pin(mfn, PageType.L3, owner);
    case MMUEXT_PIN_L4_TABLE:
      return mm.pin(mfn, PageType.L4, owner);
    case MMUEXT_UNPIN_TABLE:
      return mm.unpin(mfn, owner);
    case MMUEXT_CLEAR_PAGE:
      return clearPage(hv, mfn, owner);
    case MMUEXT_COPY_PAGE:
      return copyPage(hv, mfn, op.arg2_src_mfn_num, owner);
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
      return -XEN_EOPNOTSUPP;
    default:
      return op.cmd > MMUEXT_UNMARK_SUPER || op.cmd === RESERVED ? -XEN_ENOSYS : ownOperation(hv, vcpu, op, owner);
  }
}

/** MMUEXT number that is not in use. */
const RESERVED = 14;

/** Operations on the caller itself: refused when they name another domain. */
function ownOperation(hv: Hypervisor, vcpu: Vcpu, op: Op, owner: DomId): number {
  const linear = canonical(op.arg1_linear_addr_lo, op.arg1_linear_addr_hi);
  if (owner !== vcpu.domain.id) return -XEN_EPERM;
  switch (op.cmd) {
    case MMUEXT_NEW_BASEPTR:
      return hv.mm.setGuestTable(vcpu, op.arg1_mfn_num, false);
    case MMUEXT_NEW_USER_BASEPTR:
      return hv.mm.setGuestTable(vcpu, op.arg1_mfn_num, true);
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI: {
      const all = op.cmd === MMUEXT_TLB_FLUSH_MULTI;
      if (!vcpuMaskReadable(hv, vcpu, canonical(op.arg2_vcpumask_lo, op.arg2_vcpumask_hi))) return -XEN_EINVAL;
      return flush(hv, all ? undefined : linear);
    }
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_TLB_FLUSH_ALL:
      return flush(hv, undefined);
    case MMUEXT_INVLPG_LOCAL:
    case MMUEXT_INVLPG_ALL:
      return flush(hv, linear);
    case MMUEXT_FLUSH_CACHE:
      return vcpu.domain.privileged ? 0 : -XEN_EACCES; // No cache to write back: memory is always up to date.
    case MMUEXT_FLUSH_CACHE_GLOBAL:
      return vcpu.domain.privileged ? 0 : -XEN_EINVAL;
    case MMUEXT_SET_LDT:
      return setLdt(hv, vcpu, linear, op.arg2_nr_ents);
    default:
      return -XEN_ENOSYS;
  }
}

/** Flushes one page, or everything; an address that is not the guest's is ignored, as Xen does. */
function flush(hv: Hypervisor, linear: Va | -1 | undefined): number {
  if (linear === undefined) hv.tlb.flushAll();
  else if (linear !== -1 && addressOk(linear)) hv.tlb.flushPage(linear);
  return 0;
}

/** The descriptors are read through the guest's own mapping when a segment is loaded, and checked then. */
function setLdt(hv: Hypervisor, vcpu: Vcpu, linear: Va | -1, entries: number): number {
  if (entries > MAX_LDT_ENTRIES) return -XEN_EINVAL;
  if (entries !== 0 && (linear === -1 || linear % 4096 !== 0 || !addressOk(linear))) return -XEN_EINVAL;
  const base = entries === 0 || linear === -1 ? 0 : linear;
  vcpu.cpu.setField(CpuLayout.ldtEntries, entries);
  hv.memory.view.setUint32(vcpu.cpu.address + CpuLayout.ldtBase, base >>> 0, true);
  hv.memory.view.setUint32(vcpu.cpu.address + CpuLayout.ldtBase + 4, Math.floor(base / 4294967296), true);
  return 0;
}

function clearPage(hv: Hypervisor, mfn: number, owner: DomId): number {
  const { types } = hv.mm;
  if (types.getPageAndType(mfn, owner, PageType.Writable) !== 0) return -XEN_EINVAL;
  hv.memory.frame(mfn as Mfn).fill(0);
  hv.tlb.dropCode(mfn as Mfn);
  types.putPageAndType(mfn as Mfn);
  hv.charge(PAGE_NS);
  return 0;
}

function copyPage(hv: Hypervisor, mfn: number, source: number, owner: DomId): number {
  const { types } = hv.mm;
  if (!hv.frames.getPage(source, owner)) return -XEN_EINVAL;
  const error = types.getPageAndType(mfn, owner, PageType.Writable) === 0 ? 0 : -XEN_EINVAL;
  if (!error) {
    hv.memory.frame(mfn as Mfn).set(hv.memory.frame(source as Mfn));
    hv.tlb.dropCode(mfn as Mfn);
    types.putPageAndType(mfn as Mfn);
    hv.charge(PAGE_NS);
  }
  hv.frames.putPage(source as Mfn);
  return error;
}

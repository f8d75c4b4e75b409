// HYPERVISOR_grant_table_op (public/grant_table.h): arguments in, status out, for each operation of a batch. What the
// operations do is in grants/. A long batch is continued: the count goes down and the pointer up. Left out: version 2
// (set_version(2) and get_status_frames answer as a 4.17 limited to version 1 does), dump_table, cache_flush.

import { XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../shared/abi/errno.ts";
import {
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_virt_addr,
  GNTST_eagain,
  GNTST_general_error,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTABOP_copy,
  GNTTABOP_get_status_frames,
  GNTTABOP_get_version,
  GNTTABOP_map_grant_ref,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_transfer,
  GNTTABOP_unmap_and_replace,
  GNTTABOP_unmap_grant_ref,
  GnttabCopy,
  GnttabGetStatusFrames,
  GnttabGetVersion,
  GnttabMapGrantRef,
  GnttabQuerySize,
  GnttabSetupTable,
  GnttabSetVersion,
  GnttabSwapGrantRef,
  GnttabTransfer,
  GnttabUnmapAndReplace,
  GnttabUnmapGrantRef,
} from "../../shared/abi/grant_table.ts";
import { DOMID_SELF } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import type { Halves } from "../grants/mapping.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { PREEMPT_ENTRIES } from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import { startOk } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";
import { type Args, CONTINUE, type Handler } from "./args.ts";

const ZERO: Halves = { lo: 0, hi: 0 };

/** One operation on the argument at scratch offset 0; the status is written into it. */
type Step = (hv: Hypervisor, vcpu: Vcpu, op: Arguments) => void;

/** The argument at scratch offset 0 in each form: made once, as operations are many. */
class Arguments {
  readonly map;
  readonly unmap;
  readonly replace;
  readonly copy;
  readonly transfer;
  readonly swap;

  constructor(scratch: DataView) {
    this.map = GnttabMapGrantRef.at(scratch);
    this.unmap = GnttabUnmapGrantRef.at(scratch);
    this.replace = GnttabUnmapAndReplace.at(scratch);
    this.copy = GnttabCopy.at(scratch);
    this.transfer = GnttabTransfer.at(scratch);
    this.swap = GnttabSwapGrantRef.at(scratch);
  }
}

const allArguments = new WeakMap<Hypervisor, Arguments>();

function argumentsOf(hv: Hypervisor): Arguments {
  let known = allArguments.get(hv);
  if (known === undefined) allArguments.set(hv, (known = new Arguments(hv.scratch)));
  return known;
}

/** Operations on arrays: size of an element, and what is done to each. */
const BATCHES: { readonly [command: number]: readonly [size: number, step: Step] } = {
  [GNTTABOP_map_grant_ref]: [GnttabMapGrantRef.size, map],
  [GNTTABOP_unmap_grant_ref]: [GnttabUnmapGrantRef.size, unmap],
  [GNTTABOP_unmap_and_replace]: [GnttabUnmapAndReplace.size, unmapAndReplace],
  [GNTTABOP_copy]: [GnttabCopy.size, copy],
  [GNTTABOP_transfer]: [GnttabTransfer.size, transfer],
  [GNTTABOP_swap_grant_ref]: [GnttabSwapGrantRef.size, swap],
};

/** (command, pointer, count) */
export const grantTableOp: Handler = (hv, vcpu, a) => {
  const command = a.u32(0);
  const count = a.u32(2);
  if (count > 0x7fffffff || command >>> 12 !== 0) return -XEN_EINVAL;
  const batch = BATCHES[command];
  if (batch) return batchOp(hv, vcpu, a, batch[0], batch[1]);
  const va = a.va(1);
  switch (command) {
    case GNTTABOP_setup_table:
      return count === 1 ? setupTable(hv, vcpu, va) : -XEN_EINVAL;
    case GNTTABOP_query_size:
      return count === 1 ? querySize(hv, vcpu, va) : -XEN_EINVAL;
    case GNTTABOP_get_status_frames:
      return count === 1 ? statusFrames(hv, vcpu, va) : -XEN_EINVAL;
    case GNTTABOP_set_version:
      return setVersion(hv, vcpu, va);
    case GNTTABOP_get_version:
      return getVersion(hv, vcpu, va);
    default:
      return -XEN_ENOSYS;
  }
};

function batchOp(hv: Hypervisor, vcpu: Vcpu, a: Args, size: number, step: Step): number {
  const count = a.u32(2);
  const start = a.va(1);
  if (!startOk(start)) return -XEN_EFAULT;
  const op = argumentsOf(hv);
  for (let i = 0; i < count; i++) {
    const va = (start + i * size) as Va;
    if (i > 0 && i % PREEMPT_ENTRIES === 0 && hv.preemptCheck()) {
      const lo = a.lo(1) + i * size;
      a.setHalves(1, lo >>> 0, (a.hi(1) + (lo > 0xffffffff ? 1 : 0)) >>> 0);
      a.setNum(2, count - i);
      return CONTINUE;
    }
    if (!hv.access.readWords(vcpu, va, hv.scratchWords, size / 4)) return -XEN_EFAULT;
    step(hv, vcpu, op);
    hv.charge(OPERATION_NS);
    if (!hv.access.writeWords(vcpu, va, hv.scratchWords, size / 4)) return -XEN_EFAULT;
  }
  return 0;
}

/** What an operation on a grant costs on the virtual clock. */
const OPERATION_NS = 300;

function map(hv: Hypervisor, vcpu: Vcpu, { map: op }: Arguments): void {
  const address = { lo: op.host_addr_lo, hi: op.host_addr_hi };
  op.status = hv.grants.mappings.map(vcpu, op.dom, op.ref, op.flags, address);
  if (op.status !== GNTST_okay) return;
  op.handle = hv.grants.mappings.handle;
  op.dev_bus_addr_num = hv.grants.mappings.mfn * 4096;
}

function unmap(hv: Hypervisor, vcpu: Vcpu, { unmap: op }: Arguments): void {
  const address = { lo: op.host_addr_lo, hi: op.host_addr_hi };
  const device = { lo: op.dev_bus_addr_lo, hi: op.dev_bus_addr_hi };
  op.status = hv.grants.mappings.unmap(vcpu, op.handle, address, device, ZERO);
}

function unmapAndReplace(hv: Hypervisor, vcpu: Vcpu, { replace: op }: Arguments): void {
  const address = { lo: op.host_addr_lo, hi: op.host_addr_hi };
  const replacement = { lo: op.new_addr_lo, hi: op.new_addr_hi };
  op.status = hv.grants.mappings.unmap(vcpu, op.handle, address, ZERO, replacement);
}

function copy(hv: Hypervisor, vcpu: Vcpu, { copy: op }: Arguments): void {
  op.status = hv.grants.copies.copy(vcpu.domain, op);
}

function transfer(hv: Hypervisor, vcpu: Vcpu, { transfer: op }: Arguments): void {
  op.status = hv.grants.copies.transfer(vcpu.domain, op.mfn_num, op.domid, op.ref);
}

function swap(_hv: Hypervisor, vcpu: Vcpu, { swap: op }: Arguments): void {
  const { grants } = vcpu.domain;
  if (op.ref_a >= grants.entries || op.ref_b >= grants.entries) op.status = GNTST_bad_gntref;
  else if (op.ref_a !== op.ref_b && (grants.pins[op.ref_a] | grants.pins[op.ref_b]) !== 0) op.status = GNTST_eagain;
  else {
    if (op.ref_a !== op.ref_b) grants.swap(op.ref_a, op.ref_b);
    op.status = GNTST_okay;
  }
}

/** The domain whose table an argument names: itself, or another for a privileged caller; else a GNTST_ error. */
function tableOwner(hv: Hypervisor, vcpu: Vcpu, domid: number): Domain | number {
  const domain = domid === DOMID_SELF ? vcpu.domain : hv.find(domid);
  if (!domain) return GNTST_bad_domain;
  return domain === vcpu.domain || vcpu.domain.privileged ? domain : GNTST_permission_denied;
}

function setupTable(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, GnttabSetupTable.size)) return -XEN_EFAULT;
  const op = GnttabSetupTable.at(hv.scratch);
  const list = canonical(op.frame_list_lo, op.frame_list_hi);
  if (!startOk(list)) return -XEN_EFAULT;
  const domain = tableOwner(hv, vcpu, op.dom);
  if (typeof domain === "number") op.status = domain;
  else if (op.nr_frames > domain.grants.maxFrames || !domain.grants.grow(op.nr_frames)) op.status = GNTST_general_error;
  else {
    op.status = GNTST_okay;
    for (let i = 0; i < op.nr_frames; i++)
      if (!hv.access.writeU64(vcpu, (list + i * 8) as Va, domain.grants.frames[i])) op.status = GNTST_bad_virt_addr;
  }
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, GnttabSetupTable.size) ? 0 : -XEN_EFAULT;
}

function querySize(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, GnttabQuerySize.size)) return -XEN_EFAULT;
  const op = GnttabQuerySize.at(hv.scratch);
  const domain = tableOwner(hv, vcpu, op.dom);
  if (typeof domain === "number") op.status = domain;
  else {
    op.nr_frames = domain.grants.frames.length;
    op.max_nr_frames = domain.grants.maxFrames;
    op.status = GNTST_okay;
  }
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, GnttabQuerySize.size) ? 0 : -XEN_EFAULT;
}

/** A table of version 1 has no status frames: asking for none is fine, for any is an error. */
function statusFrames(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, GnttabGetStatusFrames.size)) return -XEN_EFAULT;
  const op = GnttabGetStatusFrames.at(hv.scratch);
  const domain = tableOwner(hv, vcpu, op.dom);
  if (typeof domain === "number") op.status = domain;
  else op.status = op.nr_frames === 0 ? GNTST_okay : GNTST_general_error;
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, GnttabGetStatusFrames.size) ? 0 : -XEN_EFAULT;
}

function setVersion(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, GnttabSetVersion.size)) return -XEN_EFAULT;
  const op = GnttabSetVersion.at(hv.scratch);
  const result = op.version === 1 ? 0 : op.version === 2 ? -XEN_ENOSYS : -XEN_EINVAL;
  op.version = 1;
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, GnttabSetVersion.size) ? result : -XEN_EFAULT;
}

function getVersion(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, GnttabGetVersion.size)) return -XEN_EFAULT;
  const op = GnttabGetVersion.at(hv.scratch);
  const domain = tableOwner(hv, vcpu, op.dom);
  if (domain === GNTST_bad_domain) return -XEN_ESRCH;
  if (typeof domain === "number") return -XEN_EPERM;
  op.version = 1;
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, GnttabGetVersion.size) ? 0 : -XEN_EFAULT;
}

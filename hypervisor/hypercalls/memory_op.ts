// HYPERVISOR_memory_op (public/memory.h) for PV guests: growing and shrinking a domain's reservation, exchanging frames,
// and what a domain may ask about memory. Results as in Xen 4.17: the first three return how many extents were done,
// whatever stopped them. Left out (-ENOSYS): memory holes, sharing, paging, access control, claims, populate on demand,
// the machine's memory map, resources, NUMA. Superpages are only ever consecutive frames.

import {
  XEN_EACCES,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOMEM,
  XEN_ENOSYS,
  XEN_EOPNOTSUPP,
  XEN_EPERM,
  XEN_ESRCH,
} from "../../shared/abi/errno.ts";
import {
  E820Entry,
  E820MAX,
  XENMAPSPACE_gmfn_foreign,
  XENMEM_add_to_physmap,
  XENMEM_add_to_physmap_batch,
  XENMEM_claim_pages,
  XENMEM_current_reservation,
  XENMEM_decrease_reservation,
  XENMEM_exchange,
  XENMEM_get_pod_target,
  XENMEM_get_vnumainfo,
  XENMEM_increase_reservation,
  XENMEM_machine_memory_map,
  XENMEM_machphys_mapping,
  XENMEM_machphys_mfn_list,
  XENMEM_maximum_gpfn,
  XENMEM_maximum_ram_page,
  XENMEM_maximum_reservation,
  XENMEM_memory_map,
  XENMEM_populate_physmap,
  XENMEM_remove_from_physmap,
  XENMEM_set_memory_map,
  XENMEM_set_pod_target,
  XenAddToPhysmap,
  XenAddToPhysmapBatch,
  XenForeignMemoryMap,
  XenMachphysMapping,
  XenMachphysMfnList,
  XenMemoryDomain,
  XenMemoryExchange,
  XenMemoryMap,
  XenMemoryReservation,
  XenPodTarget,
  XenRemoveFromPhysmap,
} from "../../shared/abi/memory.ts";
import { DOMID_SELF, SharedInfo } from "../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { canonical } from "../machine/cpu_state.ts";
import { FRAME_SIZE } from "../machine/memory.ts";
import { rangeOk, startOk } from "../memory/guest_access.ts";
import { MACH2PHYS_VIRT_END, MACH2PHYS_VIRT_START } from "../memory/m2p.ts";
import type { Vcpu } from "../vcpu.ts";
import { type Args, CONTINUE, type Handler } from "./args.ts";

/** The command's upper bits say how many extents a continued call has done. */
const EXTENT_SHIFT = 6;
const COMMAND_MASK = (1 << EXTENT_SHIFT) - 1;
/** Most extents that a continuation can count. */
const MAX_EXTENTS = 0xffffffff >>> EXTENT_SHIFT;
/** Largest extents: 2^9 pages for a domU, 2^12 for the hardware domain. */
const MAX_ORDER = 9;
const MAX_ORDER_PRIVILEGED = 12;
/** Frames allocated or freed between looks at whether others must run. */
const PREEMPT_FRAMES = 256;
/** Virtual-clock cost of a frame allocated (it may have to be cleared) or freed. */
const FRAME_NS = 400;
/** And of a place looked at for consecutive ones. */
const SEARCH_NS = 2;

/** Commands that know no continuation: with anything in the upper bits they are commands that aren't (Xen's arch_memory_op). */
const WHOLE: ReadonlySet<number> = new Set([
  XENMEM_machphys_mfn_list,
  XENMEM_memory_map,
  XENMEM_machine_memory_map,
  XENMEM_machphys_mapping,
  XENMEM_set_memory_map,
  XENMEM_set_pod_target,
  XENMEM_get_pod_target,
]);

/** (command, pointer) */
export const memoryOp: Handler = (hv, vcpu, a) => {
  const command = a.u32(0) & COMMAND_MASK;
  const done = Math.floor(a.num(0) / (COMMAND_MASK + 1));
  if (done && WHOLE.has(command)) return -XEN_ENOSYS;
  switch (command) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
      return reservation(hv, vcpu, a, command, done);
    case XENMEM_exchange:
      return done ? -XEN_EINVAL : exchange(hv, vcpu, a.va(1));
    case XENMEM_maximum_ram_page:
      return done ? -XEN_EINVAL : hv.frames.totalFrames;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
      return done ? -XEN_EINVAL : ask(hv, vcpu, a.va(1), command);
    case XENMEM_add_to_physmap:
    case XENMEM_add_to_physmap_batch:
      return physmap(hv, vcpu, a.va(1), command);
    case XENMEM_remove_from_physmap:
      return done ? -XEN_EINVAL : physmap(hv, vcpu, a.va(1), command);
    case XENMEM_set_memory_map:
      return setMemoryMap(hv, vcpu, a.va(1));
    case XENMEM_memory_map:
      return memoryMap(hv, vcpu, a.va(1));
    case XENMEM_machine_memory_map:
      return vcpu.domain.privileged ? -XEN_ENOSYS : -XEN_EPERM;
    case XENMEM_machphys_mapping:
      return machphysMapping(hv, vcpu, a.va(1));
    case XENMEM_machphys_mfn_list:
      return machphysMfnList(hv, vcpu, a.va(1));
    case XENMEM_claim_pages:
      return done ? -XEN_EINVAL : claim(hv, vcpu, a.va(1));
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
      return hvmOnly(hv, vcpu, a.va(1));
    case XENMEM_get_vnumainfo:
      return done ? -XEN_EINVAL : vnumaInfo(hv, vcpu, a.va(1));
    default:
      return -XEN_ENOSYS;
  }
};

/** The domain that an argument names, whatever the caller's rights. */
function named(hv: Hypervisor, vcpu: Vcpu, domid: number): Domain | undefined {
  return domid === DOMID_SELF ? vcpu.domain : hv.find(domid);
}

function mayManage(vcpu: Vcpu, domain: Domain): boolean {
  return domain === vcpu.domain || vcpu.domain.privileged;
}

function maxOrder(vcpu: Vcpu): number {
  return vcpu.domain.privileged ? MAX_ORDER_PRIVILEGED : MAX_ORDER;
}

/** increase_reservation, decrease_reservation, populate_physmap: returns the number of extents done. */
function reservation(hv: Hypervisor, vcpu: Vcpu, a: Args, command: number, start: number): number {
  if (!hv.access.read(vcpu, a.va(1), hv.scratchBytes, 0, XenMemoryReservation.size)) return start;
  const r = XenMemoryReservation.at(hv.scratch);
  const count = r.nr_extents_num;
  const order = r.extent_order;
  const list = canonical(r.extent_start_lo, r.extent_start_hi);
  const isNull = (r.extent_start_lo | r.extent_start_hi) === 0;
  if (count > MAX_EXTENTS || start >= count || order > maxOrder(vcpu)) return start;
  const domain = named(hv, vcpu, r.domid);
  if (!domain || !mayManage(vcpu, domain)) return start;
  const optional = command === XENMEM_increase_reservation && isNull;
  if (!optional && !rangeOk(list, count * 8)) return start;
  let frames = 0;
  for (let i = start; i < count; i++) {
    if ((frames >= PREEMPT_FRAMES || (order > 0 && i > start)) && hv.preemptCheck()) {
      a.setNum(0, command + i * (COMMAND_MASK + 1));
      return CONTINUE;
    }
    const entry = optional ? -1 : ((list + i * 8) as Va);
    const ok =
      command === XENMEM_decrease_reservation
        ? shrink(hv, vcpu, domain, entry, order)
        : grow(hv, vcpu, domain, entry, order, command);
    hv.charge(FRAME_NS * 2 ** order);
    chargeSearch(hv);
    if (!ok) return i;
    frames = (frames >= PREEMPT_FRAMES ? 0 : frames) + 2 ** order;
  }
  return count;
}

/** Looking for consecutive frames takes long where memory is full and in pieces. */
function chargeSearch(hv: Hypervisor): void {
  hv.charge(hv.frames.searched * SEARCH_NS);
  hv.frames.searched = 0;
}

/** One extent more: its first frame is written to the list, and numbered as the list said if it is to be populated. */
function grow(hv: Hypervisor, vcpu: Vcpu, domain: Domain, entry: Va | -1, order: number, command: number): boolean {
  const pfn = command === XENMEM_populate_physmap ? hv.access.readU64(vcpu, entry) : 0;
  if (pfn === -1) return false;
  const mfn = domain.memory.allocExtent(order);
  if (mfn === -1) return false;
  if (command === XENMEM_populate_physmap)
    for (let k = 0; k < 2 ** order; k++) hv.frames.m2p.set((mfn + k) as Mfn, pfn + k);
  return entry === -1 || hv.access.writeU64(vcpu, entry, mfn);
}

function shrink(hv: Hypervisor, vcpu: Vcpu, domain: Domain, entry: Va | -1, order: number): boolean {
  const mfn = hv.access.readU64(vcpu, entry);
  if (mfn === -1) return false;
  for (let k = 0; k < 2 ** order; k++) if (!domain.memory.free(mfn + k)) return false;
  return true;
}

/** Gives frames back and gets others for them, chunk by chunk; the frames given must be in no use at all. */
function exchange(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenMemoryExchange.size)) return -XEN_EFAULT;
  const x = XenMemoryExchange.at(hv.scratch);
  const inOrder = x.in.extent_order;
  const outOrder = x.out.extent_order;
  const inCount = x.in.nr_extents_num;
  const domid = x.in.domid;
  const inList = canonical(x.in.extent_start_lo, x.in.extent_start_hi);
  const outList = canonical(x.out.extent_start_lo, x.out.extent_start_hi);
  let exchanged = x.nr_exchanged_num;
  // Counts may have all 64 bits: what is compared is compared whole.
  const inPages = x.in.nr_extents << BigInt(Math.min(inOrder, 64));
  const outPages = x.out.nr_extents << BigInt(Math.min(outOrder, 64));
  if (Math.max(inOrder, outOrder) > maxOrder(vcpu)) return -XEN_EPERM;
  if (x.nr_exchanged > x.in.nr_extents || domid !== x.out.domid) return -XEN_EINVAL;
  if (inPages >= 1n << 64n || inPages !== outPages) return -XEN_EINVAL;
  if (x.nr_exchanged === x.in.nr_extents) return 0;
  if (inCount > MAX_LIST || !startOk(inList) || !startOk(outList)) return -XEN_EFAULT;
  const domain = named(hv, vcpu, domid);
  if (!domain) return -XEN_ESRCH;
  if (!mayManage(vcpu, domain)) return -XEN_EPERM;
  const inPerChunk = 2 ** Math.max(outOrder - inOrder, 0);
  const outPerChunk = 2 ** Math.max(inOrder - outOrder, 0);
  const counter = (va + XenMemoryExchange.offsets.nr_exchanged) as Va;
  let error = 0;
  while (exchanged + inPerChunk <= inCount) {
    const chunk = Math.floor(exchanged / inPerChunk);
    const inAt = (inList + chunk * inPerChunk * 8) as Va;
    const outAt = (outList + chunk * outPerChunk * 8) as Va;
    error = exchangeChunk(hv, vcpu, domain, [inAt, inPerChunk, inOrder], [outAt, outPerChunk, outOrder]);
    hv.charge(FRAME_NS * 2 ** Math.max(inOrder, outOrder));
    chargeSearch(hv);
    if (error) break;
    exchanged += inPerChunk;
    if (hv.preemptCheck()) {
      if (!hv.access.writeU64(vcpu, counter, exchanged)) return -XEN_EFAULT;
      return CONTINUE;
    }
  }
  return hv.access.writeU64(vcpu, counter, exchanged) ? error : -XEN_EFAULT;
}

/** No list can be longer than the address space. */
const MAX_LIST = 2 ** 45;

type Extents = readonly [list: Va, count: number, order: number];

/** All of a chunk or nothing of it: 0 or a negative errno. */
function exchangeChunk(hv: Hypervisor, vcpu: Vcpu, domain: Domain, from: Extents, to: Extents): number {
  const { frames } = hv;
  const stolen: Mfn[] = [];
  const got: Mfn[] = [];
  let error = 0;
  for (let j = 0; j < from[1] && !error; j++) {
    const first = hv.access.readU64(vcpu, (from[0] + j * 8) as Va);
    if (first === -1) error = -XEN_EFAULT;
    for (let k = 0; k < 2 ** from[2] && !error; k++) {
      const mfn = first + k;
      if (frames.steal(mfn, domain)) stolen.push(mfn);
      else error = -XEN_EINVAL;
    }
  }
  for (let j = 0; j < to[1] && !error; j++) {
    const mfn = domain.memory.allocExtent(to[2]);
    if (mfn === -1) error = -XEN_ENOMEM;
    else got.push(mfn);
  }
  if (error) {
    for (const mfn of got) for (let k = 0; k < 2 ** to[2]; k++) domain.memory.free(mfn + k);
    for (const mfn of stolen) frames.adopt(mfn, domain);
    return error;
  }
  for (const mfn of stolen) frames.freeXen(mfn);
  for (let j = 0; j < to[1]; j++) {
    const at = (to[0] + j * 8) as Va;
    const pfn = hv.access.readU64(vcpu, at);
    if (pfn === -1) error = -XEN_EFAULT;
    else for (let k = 0; k < 2 ** to[2]; k++) frames.m2p.set((got[j] + k) as Mfn, pfn + k);
    if (!hv.access.writeU64(vcpu, at, got[j])) error = -XEN_EFAULT;
  }
  return error;
}

/** current_reservation, maximum_reservation, maximum_gpfn: a number of pages, or a frame number. */
function ask(hv: Hypervisor, vcpu: Vcpu, va: Va | -1, command: number): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenMemoryDomain.size)) return -XEN_EFAULT;
  const domain = named(hv, vcpu, XenMemoryDomain.at(hv.scratch).domid);
  if (!domain) return -XEN_ESRCH;
  if (!mayManage(vcpu, domain)) return -XEN_EPERM;
  if (command === XENMEM_current_reservation) return domain.memory.totPages;
  if (command === XENMEM_maximum_reservation) return domain.memory.maxPages;
  // A kernel that has not stored its number of frames is taken to have one.
  return Math.max(SharedInfo.at(hv.memory.view, domain.sharedInfo * FRAME_SIZE).arch.max_pfn_num, 1) - 1;
}

/** Only guests with translated memory have a physmap to change: a PV guest is told so after its arguments are read. */
function physmap(hv: Hypervisor, vcpu: Vcpu, va: Va | -1, command: number): number {
  const form =
    command === XENMEM_add_to_physmap
      ? XenAddToPhysmap
      : command === XENMEM_add_to_physmap_batch
        ? XenAddToPhysmapBatch
        : XenRemoveFromPhysmap;
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, form.size)) return -XEN_EFAULT;
  const foreign = XenAddToPhysmap.at(hv.scratch).space === XENMAPSPACE_gmfn_foreign;
  if (command === XENMEM_add_to_physmap && foreign) return -XEN_ENOSYS;
  return named(hv, vcpu, hv.scratch.getUint16(0, true)) ? -XEN_EACCES : -XEN_ESRCH;
}

/** Claims are left out: a privileged caller is told so, once its arguments are found good. */
function claim(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenMemoryReservation.size)) return -XEN_EFAULT;
  const r = XenMemoryReservation.at(hv.scratch);
  if ((r.extent_start_lo | r.extent_start_hi | r.extent_order | r.mem_flags) !== 0) return -XEN_EINVAL;
  if (!hv.find(r.domid)) return -XEN_EINVAL;
  return vcpu.domain.privileged ? -XEN_ENOSYS : -XEN_EPERM;
}

/** Populate-on-demand targets: no domain here has one. */
function hvmOnly(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenPodTarget.size)) return -XEN_EFAULT;
  return named(hv, vcpu, XenPodTarget.at(hv.scratch).domid) ? -XEN_EINVAL : -XEN_ESRCH;
}

/** No domain has virtual NUMA nodes. struct xen_vnuma_topology_info: u16 domid, u16 pad, then counts and addresses. */
function vnumaInfo(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, VNUMA_TOPOLOGY_BYTES)) return -XEN_EFAULT;
  if (hv.scratch.getUint16(2, true) !== 0) return -XEN_EINVAL;
  const domain = named(hv, vcpu, hv.scratch.getUint16(0, true));
  if (!domain) return -XEN_ESRCH;
  return mayManage(vcpu, domain) ? -XEN_EOPNOTSUPP : -XEN_EPERM;
}

const VNUMA_TOPOLOGY_BYTES = 40;

function setMemoryMap(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenForeignMemoryMap.size)) return -XEN_EFAULT;
  const { domid, map } = XenForeignMemoryMap.at(hv.scratch);
  if (map.nr_entries > E820MAX) return -XEN_EINVAL;
  const domain = named(hv, vcpu, domid);
  if (!domain) return -XEN_ESRCH;
  if (!mayManage(vcpu, domain)) return -XEN_EPERM;
  const entries = new Uint8Array(map.nr_entries * E820Entry.size);
  const buffer = canonical(map.buffer_lo, map.buffer_hi);
  if (!hv.access.read(vcpu, buffer, entries, 0, entries.length)) return -XEN_EFAULT;
  domain.memory.memoryMap = entries;
  return 0;
}

/** A domain without a map is told -ENOSYS, which old and new kernels take for "none". */
function memoryMap(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenMemoryMap.size)) return -XEN_EFAULT;
  const stored = vcpu.domain.memory.memoryMap;
  if (!stored || stored.length === 0) return -XEN_ENOSYS;
  const map = XenMemoryMap.at(hv.scratch);
  map.nr_entries = Math.min(map.nr_entries, stored.length / E820Entry.size);
  const buffer = canonical(map.buffer_lo, map.buffer_hi);
  if (!hv.access.write(vcpu, buffer, stored, 0, map.nr_entries * E820Entry.size)) return -XEN_EFAULT;
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, XenMemoryMap.size) ? 0 : -XEN_EFAULT;
}

function machphysMapping(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  const mapping = XenMachphysMapping.at(hv.scratch);
  const entries = (MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) / 8;
  mapping.v_start_lo = 0;
  mapping.v_start_hi = SIGN | Math.floor(MACH2PHYS_VIRT_START / 4294967296);
  mapping.v_end_lo = 0;
  mapping.v_end_hi = SIGN | Math.floor(MACH2PHYS_VIRT_END / 4294967296);
  mapping.max_mfn_num = (vcpu.domain.privileged ? hv.frames.totalFrames : entries) - 1;
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, XenMachphysMapping.size) ? 0 : -XEN_EFAULT;
}

/** Bits 63 to 48 of an address in the upper half. */
const SIGN = 0xffff0000;
/** The list has a frame number for each 2 MiB of the table. */
const EXTENT_FRAMES = 512;

function machphysMfnList(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, XenMachphysMfnList.size)) return -XEN_EFAULT;
  const list = XenMachphysMfnList.at(hv.scratch);
  const { m2p } = hv.frames;
  const count = Math.min(list.max_extents, Math.ceil(m2p.frames / EXTENT_FRAMES));
  const start = canonical(list.extent_start_lo, list.extent_start_hi);
  if (!rangeOk(start, count * 8)) return -XEN_EFAULT;
  for (let i = 0; i < count; i++)
    if (!hv.access.writeU64(vcpu, (start + i * 8) as Va, m2p.firstFrame + i * EXTENT_FRAMES)) return -XEN_EFAULT;
  list.nr_extents = count;
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, XenMachphysMfnList.size) ? 0 : -XEN_EFAULT;
}

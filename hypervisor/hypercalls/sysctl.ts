// HYPERVISOR_sysctl (public/sysctl.h): what a toolstack asks of the machine: -EPERM for all but dom0. One processor, one
// node, one CPU pool. Left out: power management, tracing buffers, live patching, coverage.

import { XenDomctlGetdomaininfo } from "../../shared/abi/domctl.ts";
import { XEN_E2BIG, XEN_EACCES, XEN_EFAULT, XEN_ENOSYS, XEN_EPERM } from "../../shared/abi/errno.ts";
import type { Of } from "../../shared/abi/struct.ts";
import {
  XEN_SYSCTL_availheap,
  XEN_SYSCTL_cputopoinfo,
  XEN_SYSCTL_debug_keys,
  XEN_SYSCTL_getcpuinfo,
  XEN_SYSCTL_getdomaininfolist,
  XEN_SYSCTL_INTERFACE_VERSION,
  XEN_SYSCTL_numainfo,
  XEN_SYSCTL_PHYSCAP_gnttab_v1,
  XEN_SYSCTL_PHYSCAP_pv,
  XEN_SYSCTL_physinfo,
  XEN_SYSCTL_readconsole,
  XEN_SYSCTL_sched_id,
  XEN_SYSCTL_scheduler_op,
  XenSysctl,
  XenSysctlCputopo,
  XenSysctlMeminfo,
} from "../../shared/abi/sysctl.ts";
import type { Va } from "../../shared/brand.ts";
import { debugKey } from "../debug_keys.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { CONSOLE_CHUNK_BYTES, LOG_LINE_CHARS } from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import { FRAME_SIZE } from "../machine/memory.ts";
import { cpuidLeaf } from "../traps/cpuid.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Handler } from "./args.ts";
import { copyIn, copyOut } from "./copy.ts";
import { fillDomainInfo } from "./domain_info.ts";
import { systemSchedulerOp } from "./scheduler_ctl.ts";

type Op = Of<typeof XenSysctl>;
const CPU_KHZ = 1_000_000;
/** Where in scratch the elements of lists are made, past the argument itself. */
const ELEMENT = 1024;

/** (xen_sysctl) */
export const sysctl: Handler = (hv, vcpu, a) => {
  const va = a.va(0);
  const op = copyIn(hv, vcpu, va, XenSysctl);
  if (op === undefined) return -XEN_EFAULT;
  if (op.interface_version !== XEN_SYSCTL_INTERFACE_VERSION) return -XEN_EACCES;
  if (!vcpu.domain.privileged) return -XEN_EPERM;
  const result = operate(hv, vcpu, op);
  if (result !== 0) return result;
  return copyOut(hv, vcpu, va, XenSysctl) ? 0 : -XEN_EFAULT;
};

function operate(hv: Hypervisor, vcpu: Vcpu, op: Op): number {
  switch (op.cmd) {
    case XEN_SYSCTL_readconsole:
      return readConsole(hv, vcpu, op.readconsole);
    case XEN_SYSCTL_debug_keys:
      return debugKeys(hv, vcpu, op.debug_keys);
    case XEN_SYSCTL_physinfo:
      return physinfo(hv, op.physinfo);
    case XEN_SYSCTL_sched_id:
      op.sched_id.sched_id = hv.sched.policy.id;
      return 0;
    case XEN_SYSCTL_getdomaininfolist:
      return domainInfoList(hv, vcpu, op.getdomaininfolist);
    case XEN_SYSCTL_getcpuinfo:
      return cpuInfo(hv, vcpu, op.getcpuinfo);
    case XEN_SYSCTL_availheap:
      op.availheap.avail_bytes_num = hv.frames.freeFrames * FRAME_SIZE;
      return 0;
    case XEN_SYSCTL_cputopoinfo:
      return cpuTopology(hv, vcpu, op.cputopoinfo);
    case XEN_SYSCTL_numainfo:
      return numa(hv, vcpu, op.numainfo);
    case XEN_SYSCTL_scheduler_op:
      return systemSchedulerOp(hv, op.scheduler_op);
    default:
      return -XEN_ENOSYS;
  }
}

function address(lo: number, hi: number): Va | -1 {
  return canonical(lo, hi);
}

/** Reads the log from its beginning, or on from `index`; gives where it stopped. */
function readConsole(hv: Hypervisor, vcpu: Vcpu, arg: Op["readconsole"]): number {
  const log = hv.log;
  // Positions wrap at 2^32 in the ABI; the log's own are within 2^53.
  const base = Math.floor(log.end / 4294967296) * 4294967296;
  let from = arg.incremental ? base + arg.index : log.start;
  if (from > log.end) from -= 4294967296;
  from = Math.max(from, log.start);
  const room = arg.count;
  let va = address(arg.buffer_lo, arg.buffer_hi);
  let done = 0;
  while (done < room && from + done < log.end) {
    const text = log.read(from + done, Math.min(room - done, CONSOLE_CHUNK_BYTES));
    for (let i = 0; i < text.length; i++) hv.scratchBytes[ELEMENT + i] = text.charCodeAt(i);
    if (va === -1 || !hv.access.write(vcpu, va, hv.scratchBytes, ELEMENT, text.length)) return -XEN_EFAULT;
    va = (va + text.length) as Va;
    done += text.length;
  }
  if (arg.clear) log.clear();
  arg.index = (from + done) % 4294967296;
  arg.count = done;
  return 0;
}

function debugKeys(hv: Hypervisor, vcpu: Vcpu, arg: Op["debug_keys"]): number {
  const va = address(arg.keys_lo, arg.keys_hi);
  // As many as an own line of the log holds: more would only push out one another's answers.
  if (arg.nr_keys > LOG_LINE_CHARS) return -XEN_E2BIG;
  if (va === -1 || !hv.access.read(vcpu, va, hv.scratchBytes, ELEMENT, arg.nr_keys)) return -XEN_EFAULT;
  const keys = String.fromCharCode(...hv.scratchBytes.subarray(ELEMENT, ELEMENT + arg.nr_keys));
  for (const key of keys) debugKey(hv, key);
  return 0;
}

function physinfo(hv: Hypervisor, info: Op["physinfo"]): number {
  info.threads_per_core = 1;
  info.cores_per_socket = 1;
  info.nr_cpus = 1;
  info.max_cpu_id = 0;
  info.nr_nodes = 1;
  info.max_node_id = 0;
  info.cpu_khz = CPU_KHZ;
  info.capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1;
  info.arch_capabilities = 0;
  info.total_pages_num = hv.frames.totalFrames;
  info.free_pages_num = hv.frames.freeFrames;
  info.scrub_pages_num = 0;
  info.outstanding_pages_num = 0;
  info.max_mfn_num = hv.frames.totalFrames - 1;
  for (let i = 0; i < 8; i++) info.hw_cap.set(i, 0);
  const basic = cpuidLeaf(hv, 1, 0);
  const extended = cpuidLeaf(hv, 0x80000001, 0);
  const words = [basic[3], basic[2], extended[3], extended[2]];
  words.forEach((word, i) => {
    info.hw_cap.set(i, word);
  });
  return 0;
}

function domainInfoList(hv: Hypervisor, vcpu: Vcpu, arg: Op["getdomaininfolist"]): number {
  const domains = [...hv.domains.values()].filter((d) => d.id >= arg.first_domain).sort((x, y) => x.id - y.id);
  const info = XenDomctlGetdomaininfo.at(hv.scratch, ELEMENT);
  let va = address(arg.buffer_lo, arg.buffer_hi);
  let count = 0;
  for (const domain of domains) {
    if (count === arg.max_domains) break;
    hv.scratchBytes.fill(0, ELEMENT, ELEMENT + XenDomctlGetdomaininfo.size);
    fillDomainInfo(hv, domain, info);
    if (va === -1 || !hv.access.write(vcpu, va, hv.scratchBytes, ELEMENT, XenDomctlGetdomaininfo.size))
      return -XEN_EFAULT;
    va = (va + XenDomctlGetdomaininfo.size) as Va;
    count++;
  }
  arg.num_domains = count;
  return 0;
}

function cpuInfo(hv: Hypervisor, vcpu: Vcpu, arg: Op["getcpuinfo"]): number {
  const count = Math.min(arg.max_cpus, 1);
  const idle = Math.floor(hv.sched.totalIdleNs);
  hv.scratch.setUint32(ELEMENT, idle >>> 0, true);
  hv.scratch.setUint32(ELEMENT + 4, Math.floor(idle / 4294967296), true);
  const va = address(arg.info_lo, arg.info_hi);
  if (count > 0 && !hv.access.write(vcpu, va, hv.scratchBytes, ELEMENT, 8)) return -XEN_EFAULT;
  arg.nr_cpus = count;
  return 0;
}

function cpuTopology(hv: Hypervisor, vcpu: Vcpu, arg: Op["cputopoinfo"]): number {
  const va = address(arg.cputopo_lo, arg.cputopo_hi);
  const room = arg.num_cpus;
  arg.num_cpus = 1;
  if ((arg.cputopo_lo | arg.cputopo_hi) === 0 || room === 0) return 0; // Only the number is asked for.
  hv.scratchBytes.fill(0, ELEMENT, ELEMENT + XenSysctlCputopo.size);
  return hv.access.write(vcpu, va, hv.scratchBytes, ELEMENT, XenSysctlCputopo.size) ? 0 : -XEN_EFAULT;
}

function numa(hv: Hypervisor, vcpu: Vcpu, arg: Op["numainfo"]): number {
  const room = arg.num_nodes;
  arg.num_nodes = 1;
  if (room === 0) return 0;
  const info = XenSysctlMeminfo.at(hv.scratch, ELEMENT);
  info.memsize_num = hv.frames.totalFrames * FRAME_SIZE;
  info.memfree_num = hv.frames.freeFrames * FRAME_SIZE;
  const meminfo = address(arg.meminfo_lo, arg.meminfo_hi);
  if ((arg.meminfo_lo | arg.meminfo_hi) !== 0)
    if (!hv.access.write(vcpu, meminfo, hv.scratchBytes, ELEMENT, XenSysctlMeminfo.size)) return -XEN_EFAULT;
  if ((arg.distance_lo | arg.distance_hi) === 0) return 0;
  return hv.access.writeU32(vcpu, address(arg.distance_lo, arg.distance_hi), 10) ? 0 : -XEN_EFAULT;
}

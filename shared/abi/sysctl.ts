// table
// public/sysctl.h, interface version 0x15: what a toolstack asks of the whole machine. The argument of each command lies
// in the union at byte 8 of struct xen_sysctl. All numbers are here; structures for the commands that this project knows.

import { array, bytes, i32, nested, overlay, struct, u8, u16, u32, u64 } from "./struct.ts";

export const XEN_SYSCTL_INTERFACE_VERSION = 0x15;

// Commands.
export const XEN_SYSCTL_readconsole = 1;
export const XEN_SYSCTL_tbuf_op = 2;
export const XEN_SYSCTL_physinfo = 3;
export const XEN_SYSCTL_sched_id = 4;
export const XEN_SYSCTL_perfc_op = 5;
export const XEN_SYSCTL_getdomaininfolist = 6;
export const XEN_SYSCTL_debug_keys = 7;
export const XEN_SYSCTL_getcpuinfo = 8;
export const XEN_SYSCTL_availheap = 9;
export const XEN_SYSCTL_get_pmstat = 10;
export const XEN_SYSCTL_cpu_hotplug = 11;
export const XEN_SYSCTL_pm_op = 12;
export const XEN_SYSCTL_page_offline_op = 14;
export const XEN_SYSCTL_lockprof_op = 15;
export const XEN_SYSCTL_cputopoinfo = 16;
export const XEN_SYSCTL_numainfo = 17;
export const XEN_SYSCTL_cpupool_op = 18;
export const XEN_SYSCTL_scheduler_op = 19;
export const XEN_SYSCTL_coverage_op = 20;
export const XEN_SYSCTL_psr_cmt_op = 21;
export const XEN_SYSCTL_pcitopoinfo = 22;
export const XEN_SYSCTL_psr_alloc = 23;
export const XEN_SYSCTL_get_cpu_levelling_caps = 25;
export const XEN_SYSCTL_get_cpu_featureset = 26;
export const XEN_SYSCTL_livepatch_op = 27;
export const XEN_SYSCTL_get_cpu_policy = 29;

export const XenSysctlReadconsole = struct("xen_sysctl_readconsole", 24, {
  clear: u8(0), // remove what was read
  incremental: u8(1), // start at index
  pad0: u8(2),
  pad1: u8(3),
  index: u32(4), // [XEN] where it ended
  buffer: u64(8), // address
  count: u32(16), // bytes; [XEN] how many
});

// xen_sysctl_physinfo.capabilities.
export const XEN_SYSCTL_PHYSCAP_hvm = 1;
export const XEN_SYSCTL_PHYSCAP_pv = 2;
export const XEN_SYSCTL_PHYSCAP_directio = 4;
export const XEN_SYSCTL_PHYSCAP_hap = 8;
export const XEN_SYSCTL_PHYSCAP_shadow = 16;
export const XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share = 32;
export const XEN_SYSCTL_PHYSCAP_vmtrace = 64;
export const XEN_SYSCTL_PHYSCAP_vpmu = 128;
export const XEN_SYSCTL_PHYSCAP_gnttab_v1 = 256;
export const XEN_SYSCTL_PHYSCAP_gnttab_v2 = 512;
export const XEN_SYSCTL_PHYSCAP_MAX = 512;

/** [XEN] all of it. */
export const XenSysctlPhysinfo = struct("xen_sysctl_physinfo", 112, {
  threads_per_core: u32(0),
  cores_per_socket: u32(4),
  nr_cpus: u32(8),
  max_cpu_id: u32(12),
  nr_nodes: u32(16),
  max_node_id: u32(20),
  cpu_khz: u32(24),
  capabilities: u32(28), // XEN_SYSCTL_PHYSCAP_*
  arch_capabilities: u32(32),
  pad: u32(36),
  total_pages: u64(40),
  free_pages: u64(48),
  scrub_pages: u64(56),
  outstanding_pages: u64(64),
  max_mfn: u64(72),
  hw_cap: array(u32, 80, 8), // CPUID 1 edx, ecx, 0x80000001 edx, ecx, ...
});

export const XenSysctlSchedId = struct("xen_sysctl_sched_id", 4, { sched_id: u32(0) }); // [XEN] XEN_SCHEDULER_*

export const XenSysctlGetdomaininfolist = struct("xen_sysctl_getdomaininfolist", 24, {
  first_domain: u16(0),
  max_domains: u32(4),
  buffer: u64(8), // address of xen_domctl_getdomaininfo
  num_domains: u32(16), // [XEN]
});

export const XenSysctlDebugKeys = struct("xen_sysctl_debug_keys", 16, {
  keys: u64(0), // address
  nr_keys: u32(8),
});

export const XenSysctlCpuinfo = struct("xen_sysctl_cpuinfo", 8, { idletime: u64(0) }); // [XEN] ns

export const XenSysctlGetcpuinfo = struct("xen_sysctl_getcpuinfo", 24, {
  max_cpus: u32(0),
  info: u64(8), // address of xen_sysctl_cpuinfo
  nr_cpus: u32(16), // [XEN]
});

export const XenSysctlAvailheap = struct("xen_sysctl_availheap", 24, {
  min_bitwidth: u32(0),
  max_bitwidth: u32(4),
  node: i32(8),
  avail_bytes: u64(16), // [XEN]
});

export const XenSysctlCputopo = struct("xen_sysctl_cputopo", 12, { core: u32(0), socket: u32(4), node: u32(8) });
export const XenSysctlCputopoinfo = struct("xen_sysctl_cputopoinfo", 16, {
  num_cpus: u32(0),
  cputopo: u64(8), // address of xen_sysctl_cputopo
});

export const XenSysctlMeminfo = struct("xen_sysctl_meminfo", 16, { memsize: u64(0), memfree: u64(8) });
export const XenSysctlNumainfo = struct("xen_sysctl_numainfo", 24, {
  num_nodes: u32(0),
  meminfo: u64(8), // address of xen_sysctl_meminfo
  distance: u64(16), // address of u32
});

export const XEN_SYSCTL_CPUPOOL_OP_CREATE = 1;
export const XEN_SYSCTL_CPUPOOL_OP_DESTROY = 2;
export const XEN_SYSCTL_CPUPOOL_OP_INFO = 3;
export const XEN_SYSCTL_CPUPOOL_OP_ADDCPU = 4;
export const XEN_SYSCTL_CPUPOOL_OP_RMCPU = 5;
export const XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN = 6;
export const XEN_SYSCTL_CPUPOOL_OP_FREEINFO = 7;

export const XEN_SYSCTL_SCHEDOP_putinfo = 0;
export const XEN_SYSCTL_SCHEDOP_getinfo = 1;

/** struct bvt_ctl of Xen 3.0's public/sched_ctl.h. Extension. */
export const BvtCtl = struct("bvt_ctl", 4, { ctx_allow: u32(0) }); // context-switch allowance, ns, at least 10 us

export const XenSysctlCreditSchedule = struct("xen_sysctl_credit_schedule", 12, {
  tslice_ms: u32(0),
  ratelimit_us: u32(4),
  vcpu_migr_delay_us: u32(8),
});
export const XenSysctlCredit2Schedule = struct("xen_sysctl_credit2_schedule", 4, { ratelimit_us: u32(0) });

export const XenSysctlSchedulerOp = struct("xen_sysctl_scheduler_op", 32, {
  cpupool_id: u32(0),
  sched_id: u32(4), // XEN_SCHEDULER_*
  cmd: u32(8), // XEN_SYSCTL_SCHEDOP_*
  sched_credit: overlay(nested(XenSysctlCreditSchedule, 16), "u.sched_credit"),
  sched_credit2: overlay(nested(XenSysctlCredit2Schedule, 16), "u.sched_credit2"),
  sched_bvt: overlay(nested(BvtCtl, 16), "u.sched_bvt"), // extension
});

/** The hypercall's argument. */
export const XenSysctl = struct("xen_sysctl", 136, {
  cmd: u32(0), // XEN_SYSCTL_*
  interface_version: u32(4), // XEN_SYSCTL_INTERFACE_VERSION
  readconsole: overlay(nested(XenSysctlReadconsole, 8), "u.readconsole"),
  physinfo: overlay(nested(XenSysctlPhysinfo, 8), "u.physinfo"),
  cputopoinfo: overlay(nested(XenSysctlCputopoinfo, 8), "u.cputopoinfo"),
  numainfo: overlay(nested(XenSysctlNumainfo, 8), "u.numainfo"),
  sched_id: overlay(nested(XenSysctlSchedId, 8), "u.sched_id"),
  getdomaininfolist: overlay(nested(XenSysctlGetdomaininfolist, 8), "u.getdomaininfolist"),
  debug_keys: overlay(nested(XenSysctlDebugKeys, 8), "u.debug_keys"),
  getcpuinfo: overlay(nested(XenSysctlGetcpuinfo, 8), "u.getcpuinfo"),
  availheap: overlay(nested(XenSysctlAvailheap, 8), "u.availheap"),
  scheduler_op: overlay(nested(XenSysctlSchedulerOp, 8), "u.scheduler_op"),
  pad: overlay(bytes(8, 128), "u.pad"),
});

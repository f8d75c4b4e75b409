// table
// public/domctl.h, interface version 0x15: what a toolstack does to domains. Used by dom0's toolstack and the hypervisor.
// The argument of each command lies in the union at byte 16 of struct xen_domctl. All numbers are here; structures are
// here for the commands that this project knows. BVT parameters are an extension in the form that Xen 3.0 had.

import { XenArchDomainconfig } from "./arch_x86.ts";
import { bytes, i32, i64, nested, overlay, struct, u8, u16, u32, u64 } from "./struct.ts";
import { XenctlBitmap } from "./xen.ts";

export const XEN_DOMCTL_INTERFACE_VERSION = 0x15;

// Commands.
export const XEN_DOMCTL_createdomain = 1;
export const XEN_DOMCTL_destroydomain = 2;
export const XEN_DOMCTL_pausedomain = 3;
export const XEN_DOMCTL_unpausedomain = 4;
export const XEN_DOMCTL_getdomaininfo = 5;
export const XEN_DOMCTL_setvcpuaffinity = 9;
export const XEN_DOMCTL_shadow_op = 10;
export const XEN_DOMCTL_max_mem = 11;
export const XEN_DOMCTL_setvcpucontext = 12;
export const XEN_DOMCTL_getvcpucontext = 13;
export const XEN_DOMCTL_getvcpuinfo = 14;
export const XEN_DOMCTL_max_vcpus = 15;
export const XEN_DOMCTL_scheduler_op = 16;
export const XEN_DOMCTL_setdomainhandle = 17;
export const XEN_DOMCTL_setdebugging = 18;
export const XEN_DOMCTL_irq_permission = 19;
export const XEN_DOMCTL_iomem_permission = 20;
export const XEN_DOMCTL_ioport_permission = 21;
export const XEN_DOMCTL_hypercall_init = 22;
export const XEN_DOMCTL_settimeoffset = 24;
export const XEN_DOMCTL_getvcpuaffinity = 25;
export const XEN_DOMCTL_real_mode_area = 26;
export const XEN_DOMCTL_resumedomain = 27;
export const XEN_DOMCTL_sendtrigger = 28;
export const XEN_DOMCTL_subscribe = 29;
export const XEN_DOMCTL_gethvmcontext = 33;
export const XEN_DOMCTL_sethvmcontext = 34;
export const XEN_DOMCTL_set_address_size = 35;
export const XEN_DOMCTL_get_address_size = 36;
export const XEN_DOMCTL_assign_device = 37;
export const XEN_DOMCTL_bind_pt_irq = 38;
export const XEN_DOMCTL_memory_mapping = 39;
export const XEN_DOMCTL_ioport_mapping = 40;
export const XEN_DOMCTL_set_ext_vcpucontext = 42;
export const XEN_DOMCTL_get_ext_vcpucontext = 43;
export const XEN_DOMCTL_set_opt_feature = 44;
export const XEN_DOMCTL_test_assign_device = 45;
export const XEN_DOMCTL_set_target = 46;
export const XEN_DOMCTL_deassign_device = 47;
export const XEN_DOMCTL_unbind_pt_irq = 48;
export const XEN_DOMCTL_get_device_group = 50;
export const XEN_DOMCTL_debug_op = 54;
export const XEN_DOMCTL_gethvmcontext_partial = 55;
export const XEN_DOMCTL_vm_event_op = 56;
export const XEN_DOMCTL_mem_sharing_op = 57;
export const XEN_DOMCTL_gettscinfo = 59;
export const XEN_DOMCTL_settscinfo = 60;
export const XEN_DOMCTL_getpageframeinfo3 = 61;
export const XEN_DOMCTL_setvcpuextstate = 62;
export const XEN_DOMCTL_getvcpuextstate = 63;
export const XEN_DOMCTL_set_access_required = 64;
export const XEN_DOMCTL_audit_p2m = 65;
export const XEN_DOMCTL_set_virq_handler = 66;
export const XEN_DOMCTL_set_broken_page_p2m = 67;
export const XEN_DOMCTL_setnodeaffinity = 68;
export const XEN_DOMCTL_getnodeaffinity = 69;
export const XEN_DOMCTL_cacheflush = 71;
export const XEN_DOMCTL_get_vcpu_msrs = 72;
export const XEN_DOMCTL_set_vcpu_msrs = 73;
export const XEN_DOMCTL_setvnumainfo = 74;
export const XEN_DOMCTL_psr_cmt_op = 75;
export const XEN_DOMCTL_monitor_op = 77;
export const XEN_DOMCTL_psr_alloc = 78;
export const XEN_DOMCTL_soft_reset = 79;
export const XEN_DOMCTL_vuart_op = 81;
export const XEN_DOMCTL_get_cpu_policy = 82;
export const XEN_DOMCTL_set_cpu_policy = 83;
export const XEN_DOMCTL_vmtrace_op = 84;
export const XEN_DOMCTL_get_paging_mempool_size = 85;
export const XEN_DOMCTL_set_paging_mempool_size = 86;
export const XEN_DOMCTL_gdbsx_guestmemio = 1000;
export const XEN_DOMCTL_gdbsx_pausevcpu = 1001;
export const XEN_DOMCTL_gdbsx_unpausevcpu = 1002;
export const XEN_DOMCTL_gdbsx_domstatus = 1003;

// xen_domctl_createdomain.flags.
export const XEN_DOMCTL_CDF_hvm = 1;
export const XEN_DOMCTL_CDF_hap = 2;
export const XEN_DOMCTL_CDF_s3_integrity = 4;
export const XEN_DOMCTL_CDF_oos_off = 8;
export const XEN_DOMCTL_CDF_xs_domain = 16;
export const XEN_DOMCTL_CDF_iommu = 32;
export const XEN_DOMCTL_CDF_nested_virt = 64;
export const XEN_DOMCTL_CDF_vpmu = 128;
export const XEN_DOMCTL_CDF_MAX = 128;
export const XEN_DOMCTL_GRANT_version_mask = 0xf;

/** createdomain; the new domain's id is wished for, and given back, in xen_domctl.domain. */
export const XenDomctlCreatedomain = struct("xen_domctl_createdomain", 64, {
  ssidref: u32(0),
  handle: bytes(4, 16), // UUID
  flags: u32(20), // XEN_DOMCTL_CDF_*
  iommu_opts: u32(24),
  max_vcpus: u32(28),
  max_evtchn_port: u32(32),
  max_grant_frames: i32(36), // below 0: the default
  max_maptrack_frames: i32(40), // below 0: the default
  grant_opts: u32(44), // greatest grant table version in the low 4 bits
  vmtrace_size: u32(48),
  cpupool_id: u32(52),
  arch: nested(XenArchDomainconfig, 56),
});

// xen_domctl_getdomaininfo.flags. The shutdown code is in bits 16 to 23.
export const XEN_DOMINF_dying = 1;
export const XEN_DOMINF_hvm_guest = 2;
export const XEN_DOMINF_shutdown = 4;
export const XEN_DOMINF_paused = 8;
export const XEN_DOMINF_blocked = 16;
export const XEN_DOMINF_running = 32;
export const XEN_DOMINF_debugged = 64;
export const XEN_DOMINF_xs_domain = 128;
export const XEN_DOMINF_hap = 256;
export const XEN_DOMINF_shutdownmask = 255;
export const XEN_DOMINF_shutdownshift = 16;
export const XEN_INVALID_MAX_VCPU_ID = 0xffffffff;

/** [XEN] all of it. Also the element of sysctl getdomaininfolist. */
export const XenDomctlGetdomaininfo = struct("xen_domctl_getdomaininfo", 112, {
  domain: u16(0),
  flags: u32(4), // XEN_DOMINF_*
  tot_pages: u64(8),
  max_pages: u64(16),
  outstanding_pages: u64(24),
  shr_pages: u64(32),
  paged_pages: u64(40),
  shared_info_frame: u64(48),
  cpu_time: u64(56), // ns
  nr_online_vcpus: u32(64),
  max_vcpu_id: u32(68),
  ssidref: u32(72),
  handle: bytes(76, 16),
  cpupool: u32(92),
  gpaddr_bits: u8(96),
  arch_config: nested(XenArchDomainconfig, 104),
});

// Types that getpageframeinfo3 gives back in the top 4 bits of each 32-bit value.
export const XEN_DOMCTL_PFINFO_NOTAB = 0;
export const XEN_DOMCTL_PFINFO_L1TAB = 0x10000000;
export const XEN_DOMCTL_PFINFO_L2TAB = 0x20000000;
export const XEN_DOMCTL_PFINFO_L3TAB = 0x30000000;
export const XEN_DOMCTL_PFINFO_L4TAB = 0x40000000;
export const XEN_DOMCTL_PFINFO_LTABTYPE_MASK = 0x70000000;
export const XEN_DOMCTL_PFINFO_LPINTAB = 0x80000000;
export const XEN_DOMCTL_PFINFO_XTAB = 0xf0000000;
export const XEN_DOMCTL_PFINFO_XALLOC = 0xe0000000;
export const XEN_DOMCTL_PFINFO_BROKEN = 0xd0000000;
export const XEN_DOMCTL_PFINFO_LTAB_MASK = 0xf0000000;

export const XenDomctlGetpageframeinfo3 = struct("xen_domctl_getpageframeinfo3", 16, {
  num: u64(0),
  array: u64(8), // address of num xen_pfn_t
});

export const XenDomctlMaxMem = struct("xen_domctl_max_mem", 8, { max_memkb: u64(0) });

/** setvcpucontext, getvcpucontext. */
export const XenDomctlVcpucontext = struct("xen_domctl_vcpucontext", 16, {
  vcpu: u32(0),
  ctxt: u64(8), // address of vcpu_guest_context
});

export const XenDomctlGetvcpuinfo = struct("xen_domctl_getvcpuinfo", 24, {
  vcpu: u32(0),
  online: u8(4), // [XEN], as the rest
  blocked: u8(5),
  running: u8(6),
  cpu_time: u64(8), // ns
  cpu: u32(16),
});

/** setnodeaffinity, getnodeaffinity. */
export const XenDomctlNodeaffinity = struct("xen_domctl_nodeaffinity", 16, { nodemap: nested(XenctlBitmap, 0) });

export const XEN_VCPUAFFINITY_HARD = 1;
export const XEN_VCPUAFFINITY_SOFT = 2;
export const XEN_VCPUAFFINITY_FORCE = 4;

/** setvcpuaffinity, getvcpuaffinity. */
export const XenDomctlVcpuaffinity = struct("xen_domctl_vcpuaffinity", 40, {
  vcpu: u32(0),
  flags: u32(4), // XEN_VCPUAFFINITY_*
  cpumap_hard: nested(XenctlBitmap, 8),
  cpumap_soft: nested(XenctlBitmap, 24),
});

export const XenDomctlMaxVcpus = struct("xen_domctl_max_vcpus", 4, { max: u32(0) });

/** Borrowed Virtual Time: 0, as in Xen 3.0 (SCHED_BVT); 4.17 has no such scheduler. Extension. */
export const XEN_SCHEDULER_BVT = 0;
export const XEN_SCHEDULER_CREDIT = 5;
export const XEN_SCHEDULER_CREDIT2 = 6;
export const XEN_SCHEDULER_ARINC653 = 7;
export const XEN_SCHEDULER_RTDS = 8;
export const XEN_SCHEDULER_NULL = 9;

export const XEN_DOMCTL_SCHEDOP_putinfo = 0;
export const XEN_DOMCTL_SCHEDOP_getinfo = 1;
export const XEN_DOMCTL_SCHEDOP_putvcpuinfo = 2;
export const XEN_DOMCTL_SCHEDOP_getvcpuinfo = 3;

/**
 * struct bvt_adjdom of Xen 3.0's public/sched_ctl.h: a domain's BVT parameters. Extension. The limits are in
 * milliseconds both ways (3.0 took milliseconds and gave nanoseconds back).
 */
export const BvtAdjdom = struct("bvt_adjdom", 32, {
  mcu_adv: u32(0), // inverse of weight, above 0
  warpback: u32(4), // warped or not
  warpvalue: i32(8), // virtual time by which a warped domain is ahead
  warpl: i64(16), // longest time warped at once, ms, 0: no bound
  warpu: i64(24), // least time unwarped between, ms
});

export const XenDomctlSchedCredit = struct("xen_domctl_sched_credit", 4, { weight: u16(0), cap: u16(2) });
export const XenDomctlSchedCredit2 = struct("xen_domctl_sched_credit2", 4, { weight: u16(0), cap: u16(2) });

export const XenDomctlSchedulerOp = struct("xen_domctl_scheduler_op", 40, {
  sched_id: u32(0), // XEN_SCHEDULER_*
  cmd: u32(4), // XEN_DOMCTL_SCHEDOP_*
  credit: overlay(nested(XenDomctlSchedCredit, 8), "u.credit"),
  credit2: overlay(nested(XenDomctlSchedCredit2, 8), "u.credit2"),
  bvt: overlay(nested(BvtAdjdom, 8), "u.bvt"), // extension
});

export const XenDomctlSetdomainhandle = struct("xen_domctl_setdomainhandle", 16, { handle: bytes(0, 16) });
export const XenDomctlSetdebugging = struct("xen_domctl_setdebugging", 1, { enable: u8(0) });

export const XenDomctlIrqPermission = struct("xen_domctl_irq_permission", 8, {
  pirq: u32(0),
  allow_access: u8(4),
});
export const XenDomctlIomemPermission = struct("xen_domctl_iomem_permission", 24, {
  first_mfn: u64(0),
  nr_mfns: u64(8),
  allow_access: u8(16),
});
export const XenDomctlIoportPermission = struct("xen_domctl_ioport_permission", 12, {
  first_port: u32(0),
  nr_ports: u32(4),
  allow_access: u8(8),
});

/** hypercall_init: fills a frame of the domain with the hypercall page. */
export const XenDomctlHypercallInit = struct("xen_domctl_hypercall_init", 8, { gmfn: u64(0) });

export const XenDomctlSettimeoffset = struct("xen_domctl_settimeoffset", 8, { time_offset_seconds: i64(0) });

/** gettscinfo, settscinfo. */
export const XenDomctlTscInfo = struct("xen_domctl_tsc_info", 24, {
  tsc_mode: u32(0),
  gtsc_khz: u32(4),
  incarnation: u32(8),
  pad: u32(12),
  elapsed_nsec: u64(16),
});

/** set_address_size, get_address_size: 64 or 32 bits. */
export const XenDomctlAddressSize = struct("xen_domctl_address_size", 4, { size: u32(0) });

export const XEN_DOMCTL_SENDTRIGGER_NMI = 0;
export const XEN_DOMCTL_SENDTRIGGER_RESET = 1;
export const XEN_DOMCTL_SENDTRIGGER_INIT = 2;
export const XEN_DOMCTL_SENDTRIGGER_POWER = 3;
export const XEN_DOMCTL_SENDTRIGGER_SLEEP = 4;
export const XenDomctlSendtrigger = struct("xen_domctl_sendtrigger", 8, { trigger: u32(0), vcpu: u32(4) });

export const XenDomctlSubscribe = struct("xen_domctl_subscribe", 4, { port: u32(0) });
export const XenDomctlSetVirqHandler = struct("xen_domctl_set_virq_handler", 4, { virq: u32(0) });

/** get_cpu_policy, set_cpu_policy. */
export const XenDomctlCpuPolicy = struct("xen_domctl_cpu_policy", 40, {
  nr_leaves: u32(0),
  nr_msrs: u32(4),
  leaves: u64(8), // address of xen_cpuid_leaf
  msrs: u64(16), // address of xen_msr_entry
  err_leaf: u32(24),
  err_subleaf: u32(28),
  err_msr: u32(32),
});

/** The hypercall's argument. */
export const XenDomctl = struct("xen_domctl", 144, {
  cmd: u32(0), // XEN_DOMCTL_*
  interface_version: u32(4), // XEN_DOMCTL_INTERFACE_VERSION
  domain: u16(8),
  createdomain: overlay(nested(XenDomctlCreatedomain, 16), "u.createdomain"),
  getdomaininfo: overlay(nested(XenDomctlGetdomaininfo, 16), "u.getdomaininfo"),
  getpageframeinfo3: overlay(nested(XenDomctlGetpageframeinfo3, 16), "u.getpageframeinfo3"),
  nodeaffinity: overlay(nested(XenDomctlNodeaffinity, 16), "u.nodeaffinity"),
  vcpuaffinity: overlay(nested(XenDomctlVcpuaffinity, 16), "u.vcpuaffinity"),
  max_mem: overlay(nested(XenDomctlMaxMem, 16), "u.max_mem"),
  vcpucontext: overlay(nested(XenDomctlVcpucontext, 16), "u.vcpucontext"),
  getvcpuinfo: overlay(nested(XenDomctlGetvcpuinfo, 16), "u.getvcpuinfo"),
  max_vcpus: overlay(nested(XenDomctlMaxVcpus, 16), "u.max_vcpus"),
  scheduler_op: overlay(nested(XenDomctlSchedulerOp, 16), "u.scheduler_op"),
  setdomainhandle: overlay(nested(XenDomctlSetdomainhandle, 16), "u.setdomainhandle"),
  setdebugging: overlay(nested(XenDomctlSetdebugging, 16), "u.setdebugging"),
  irq_permission: overlay(nested(XenDomctlIrqPermission, 16), "u.irq_permission"),
  iomem_permission: overlay(nested(XenDomctlIomemPermission, 16), "u.iomem_permission"),
  ioport_permission: overlay(nested(XenDomctlIoportPermission, 16), "u.ioport_permission"),
  hypercall_init: overlay(nested(XenDomctlHypercallInit, 16), "u.hypercall_init"),
  settimeoffset: overlay(nested(XenDomctlSettimeoffset, 16), "u.settimeoffset"),
  tsc_info: overlay(nested(XenDomctlTscInfo, 16), "u.tsc_info"),
  address_size: overlay(nested(XenDomctlAddressSize, 16), "u.address_size"),
  sendtrigger: overlay(nested(XenDomctlSendtrigger, 16), "u.sendtrigger"),
  subscribe: overlay(nested(XenDomctlSubscribe, 16), "u.subscribe"),
  set_virq_handler: overlay(nested(XenDomctlSetVirqHandler, 16), "u.set_virq_handler"),
  cpu_policy: overlay(nested(XenDomctlCpuPolicy, 16), "u.cpu_policy"),
  pad: overlay(bytes(16, 128), "u.pad"),
});

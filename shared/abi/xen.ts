// table
// public/xen.h: hypercall numbers, virtual interrupts, memory-management operations, domain ids, and the structures that
// a domain shares with the hypervisor from its start. 64-bit ABI of Xen 4.17. Used by every part. Who writes a shared
// field is marked [XEN], [GUEST]. Left out: VGA console information, 32-bit forms, tmem and xenoprof.

import { ArchSharedInfo, ArchVcpuInfo } from "./arch_x86.ts";
import { array, bytes, chars, i8, nested, overlay, struct, u8, u32, u64 } from "./struct.ts";

// Hypercall numbers: RAX, or the entry of the hypercall page times 32.
export const __HYPERVISOR_set_trap_table = 0;
export const __HYPERVISOR_mmu_update = 1;
export const __HYPERVISOR_set_gdt = 2;
export const __HYPERVISOR_stack_switch = 3;
export const __HYPERVISOR_set_callbacks = 4;
export const __HYPERVISOR_fpu_taskswitch = 5;
export const __HYPERVISOR_sched_op_compat = 6;
export const __HYPERVISOR_platform_op = 7;
export const __HYPERVISOR_set_debugreg = 8;
export const __HYPERVISOR_get_debugreg = 9;
export const __HYPERVISOR_update_descriptor = 10;
export const __HYPERVISOR_memory_op = 12;
export const __HYPERVISOR_multicall = 13;
export const __HYPERVISOR_update_va_mapping = 14;
export const __HYPERVISOR_set_timer_op = 15;
export const __HYPERVISOR_event_channel_op_compat = 16;
export const __HYPERVISOR_xen_version = 17;
export const __HYPERVISOR_console_io = 18;
export const __HYPERVISOR_physdev_op_compat = 19;
export const __HYPERVISOR_grant_table_op = 20;
export const __HYPERVISOR_vm_assist = 21;
export const __HYPERVISOR_update_va_mapping_otherdomain = 22;
export const __HYPERVISOR_iret = 23;
export const __HYPERVISOR_vcpu_op = 24;
export const __HYPERVISOR_set_segment_base = 25;
export const __HYPERVISOR_mmuext_op = 26;
export const __HYPERVISOR_xsm_op = 27;
export const __HYPERVISOR_nmi_op = 28;
export const __HYPERVISOR_sched_op = 29;
export const __HYPERVISOR_callback_op = 30;
export const __HYPERVISOR_xenoprof_op = 31;
export const __HYPERVISOR_event_channel_op = 32;
export const __HYPERVISOR_physdev_op = 33;
export const __HYPERVISOR_hvm_op = 34;
export const __HYPERVISOR_sysctl = 35;
export const __HYPERVISOR_domctl = 36;
export const __HYPERVISOR_kexec_op = 37;
export const __HYPERVISOR_tmem_op = 38;
export const __HYPERVISOR_argo_op = 39;
export const __HYPERVISOR_xenpmu_op = 40;
export const __HYPERVISOR_dm_op = 41;
export const __HYPERVISOR_hypfs_op = 42;
export const __HYPERVISOR_arch_0 = 48;
export const __HYPERVISOR_arch_1 = 49;
export const __HYPERVISOR_arch_2 = 50;
export const __HYPERVISOR_arch_3 = 51;
export const __HYPERVISOR_arch_4 = 52;
export const __HYPERVISOR_arch_5 = 53;
export const __HYPERVISOR_arch_6 = 54;
export const __HYPERVISOR_arch_7 = 55;

// Virtual interrupts, bound by EVTCHNOP_bind_virq. TIMER, DEBUG, XENOPROF and XENPMU are per vcpu, the others global.
export const VIRQ_TIMER = 0;
export const VIRQ_DEBUG = 1;
export const VIRQ_CONSOLE = 2;
export const VIRQ_DOM_EXC = 3;
export const VIRQ_TBUF = 4;
export const VIRQ_DEBUGGER = 6;
export const VIRQ_XENOPROF = 7;
export const VIRQ_CON_RING = 8;
export const VIRQ_PCPU_STATE = 9;
export const VIRQ_MEM_EVENT = 10;
export const VIRQ_ARGO = 11;
export const VIRQ_ENOMEM = 12;
export const VIRQ_XENPMU = 13;
export const VIRQ_ARCH_0 = 16;
export const VIRQ_ARCH_1 = 17;
export const VIRQ_ARCH_2 = 18;
export const VIRQ_ARCH_3 = 19;
export const VIRQ_ARCH_4 = 20;
export const VIRQ_ARCH_5 = 21;
export const VIRQ_ARCH_6 = 22;
export const VIRQ_ARCH_7 = 23;
export const NR_VIRQS = 24;

// mmu_update: the command in bits 0 and 1 of mmu_update.ptr.
export const MMU_NORMAL_PT_UPDATE = 0;
export const MMU_MACHPHYS_UPDATE = 1;
export const MMU_PT_UPDATE_PRESERVE_AD = 2;
export const MMU_PT_UPDATE_NO_TRANSLATE = 3;

// mmuext_op commands.
export const MMUEXT_PIN_L1_TABLE = 0;
export const MMUEXT_PIN_L2_TABLE = 1;
export const MMUEXT_PIN_L3_TABLE = 2;
export const MMUEXT_PIN_L4_TABLE = 3;
export const MMUEXT_UNPIN_TABLE = 4;
export const MMUEXT_NEW_BASEPTR = 5;
export const MMUEXT_TLB_FLUSH_LOCAL = 6;
export const MMUEXT_INVLPG_LOCAL = 7;
export const MMUEXT_TLB_FLUSH_MULTI = 8;
export const MMUEXT_INVLPG_MULTI = 9;
export const MMUEXT_TLB_FLUSH_ALL = 10;
export const MMUEXT_INVLPG_ALL = 11;
export const MMUEXT_FLUSH_CACHE = 12;
export const MMUEXT_SET_LDT = 13;
export const MMUEXT_NEW_USER_BASEPTR = 15;
export const MMUEXT_CLEAR_PAGE = 16;
export const MMUEXT_COPY_PAGE = 17;
export const MMUEXT_FLUSH_CACHE_GLOBAL = 18;
export const MMUEXT_MARK_SUPER = 19;
export const MMUEXT_UNMARK_SUPER = 20;

/** struct mmuext_op: one entry of mmuext_op's array. */
export const MmuextOp = struct("mmuext_op", 24, {
  cmd: u32(0), // MMUEXT_*
  arg1_mfn: overlay(u64(8), "arg1.mfn"), // pins, base pointers, CLEAR_PAGE, COPY_PAGE
  arg1_linear_addr: overlay(u64(8), "arg1.linear_addr"), // INVLPG, SET_LDT
  arg2_nr_ents: overlay(u32(16), "arg2.nr_ents"), // SET_LDT
  arg2_vcpumask: overlay(u64(16), "arg2.vcpumask"), // address of the bitmap of the MULTI forms
  arg2_src_mfn: overlay(u64(16), "arg2.src_mfn"), // COPY_PAGE
});

// update_va_mapping flags. With MULTI, the address of a vcpu bitmap is ORed in.
export const UVMF_NONE = 0;
export const UVMF_TLB_FLUSH = 1;
export const UVMF_INVLPG = 2;
export const UVMF_FLUSHTYPE_MASK = 3;
export const UVMF_MULTI = 0;
export const UVMF_LOCAL = 0;
export const UVMF_ALL = 4;

export const CONSOLEIO_write = 0;
export const CONSOLEIO_read = 1;

export const VMASST_CMD_enable = 0;
export const VMASST_CMD_disable = 1;
export const VMASST_TYPE_4gb_segments = 0;
export const VMASST_TYPE_4gb_segments_notify = 1;
export const VMASST_TYPE_writable_pagetables = 2;
export const VMASST_TYPE_pae_extended_cr3 = 3;
export const VMASST_TYPE_architectural_iopl = 4;
export const VMASST_TYPE_runstate_update_flag = 5;
export const VMASST_TYPE_m2p_strict = 32;

// Domain ids that name no ordinary domain.
export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOMID_SELF = 0x7ff0;
export const DOMID_IO = 0x7ff1;
export const DOMID_XEN = 0x7ff2;
export const DOMID_COW = 0x7ff3;
export const DOMID_INVALID = 0x7ff4;
export const DOMID_IDLE = 0x7fff;
export const DOMID_MASK = 0x7fff;

/** struct mmu_update: one entry of mmu_update's array. */
export const MmuUpdate = struct("mmu_update", 16, {
  ptr: u64(0), // machine address of the entry; bits 0 and 1: MMU_*
  val: u64(8),
});

/** struct multicall_entry. */
export const MulticallEntry = struct("multicall_entry", 64, {
  op: u64(0),
  result: u64(8), // [XEN]
  args: array(u64, 16, 6),
});

/**
 * struct vcpu_time_info: how to compute system time from the TSC. [XEN] all of it. The version is odd while Xen
 * writes; a reader takes the version, the values, and the version again until both are equal and even.
 */
export const VcpuTimeInfo = struct("vcpu_time_info", 32, {
  version: u32(0),
  tsc_timestamp: u64(8), // TSC when system_time was taken
  system_time: u64(16), // nanoseconds since boot
  tsc_to_system_mul: u32(24), // 32.32 fixed point factor, after the shift
  tsc_shift: i8(28),
  flags: u8(29), // XEN_PVCLOCK_*
});

export const XEN_PVCLOCK_TSC_STABLE_BIT = 1;
export const XEN_PVCLOCK_GUEST_STOPPED = 2;

/** struct vcpu_info: one per vcpu, in shared_info or where the guest registered it. */
export const VcpuInfo = struct("vcpu_info", 64, {
  evtchn_upcall_pending: u8(0), // [XEN] set with each event, [GUEST] clears
  evtchn_upcall_mask: u8(1), // [GUEST], and [XEN] on entry to a handler
  evtchn_pending_sel: u64(8), // [XEN,GUEST] which words of evtchn_pending have news
  arch: nested(ArchVcpuInfo, 16), // [XEN]
  time: nested(VcpuTimeInfo, 32), // [XEN]
});

/** Ports of the two-level ABI. */
export const EVTCHN_2L_NR_CHANNELS = 4096;
/** vcpus with a vcpu_info in shared_info; others must register theirs. */
export const XEN_LEGACY_MAX_VCPUS = 32;

/** struct shared_info: the page that a domain shares with Xen. */
export const SharedInfo = struct("shared_info", 3136, {
  vcpu_info: array(VcpuInfo, 0, XEN_LEGACY_MAX_VCPUS),
  evtchn_pending: array(u64, 2048, 64), // [XEN] sets, [GUEST] clears
  evtchn_mask: array(u64, 2560, 64), // [GUEST]
  wc_version: u32(3072), // [XEN] odd while being written
  wc_sec: u32(3076), // [XEN] wallclock at system time 0, low half of the seconds
  wc_nsec: u32(3080), // [XEN]
  wc_sec_hi: u32(3084), // [XEN]
  arch: nested(ArchSharedInfo, 3088),
});

export const MAX_GUEST_CMDLINE = 1024;

/** struct start_info: RSI points at it when a PV kernel starts. [XEN] (the domain builder) writes all of it. */
export const StartInfo = struct("start_info", 1168, {
  magic: chars(0, 32), // "xen-3.0-x86_64"
  nr_pages: u64(32),
  shared_info: u64(40), // machine address
  flags: u32(48), // SIF_*
  store_mfn: u64(56),
  store_evtchn: u32(64),
  console_domU_mfn: overlay(u64(72), "console.domU.mfn"),
  console_domU_evtchn: overlay(u32(80), "console.domU.evtchn"),
  console_dom0_info_off: overlay(u32(72), "console.dom0.info_off"),
  console_dom0_info_size: overlay(u32(76), "console.dom0.info_size"),
  pt_base: u64(88), // virtual address of the first L4
  nr_pt_frames: u64(96),
  mfn_list: u64(104), // virtual address of the pfn-to-mfn list
  mod_start: u64(112), // virtual address, or pfn with SIF_MOD_START_PFN
  mod_len: u64(120), // bytes
  cmd_line: chars(128, MAX_GUEST_CMDLINE),
  first_p2m_pfn: u64(1152),
  nr_p2m_frames: u64(1160),
});

export const SIF_PRIVILEGED = 1;
export const SIF_INITDOMAIN = 2;
export const SIF_MULTIBOOT_MOD = 4;
export const SIF_MOD_START_PFN = 8;
export const SIF_VIRT_P2M_4TOOLS = 16;
export const SIF_PM_MASK = 0xff00;

/** struct xen_multiboot_mod_list: one module of a SIF_MULTIBOOT_MOD package; one with mod_start 0 ends it. */
export const XenMultibootModList = struct("xen_multiboot_mod_list", 16, {
  mod_start: u32(0),
  mod_end: u32(4),
  cmdline: u32(8),
  pad: u32(12),
});

/** xen_domain_handle_t: a domain's UUID. */
export const XenDomainHandle = struct("xen_domain_handle", 16, { a: bytes(0, 16) });

/** struct xenctl_bitmap: a bitmap in the caller's memory. */
export const XenctlBitmap = struct("xenctl_bitmap", 16, {
  bitmap: u64(0), // address
  nr_bits: u32(8),
});

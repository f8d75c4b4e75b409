// table
// public/arch-x86/xen.h, xen-x86_64.h and cpuid.h: selectors, address ranges, the vcpu context, trap table and iret
// frames, Xen's CPUID leaves; and the page-table bits of the x86-64 architecture (AMD manual volume 2, 5.3), which
// public/xen.h describes in prose. Used by the hypervisor, the domain builder and kernels. Left out: 32-bit forms, HVM.

import { array, bytes, nested, struct, u8, u16, u32, u64 } from "./struct.ts";

/** GDT pages 14 and up, entry 7168 and up, are Xen's own. */
export const FIRST_RESERVED_GDT_PAGE = 14;
export const FIRST_RESERVED_GDT_BYTE = 57344;
export const FIRST_RESERVED_GDT_ENTRY = 7168;

// Flat segments in Xen's part of every GDT. FLAT_KERNEL_* and FLAT_USER_* are the same: both run at CPL 3.
export const FLAT_RING3_CS32 = 0xe023;
export const FLAT_RING3_CS64 = 0xe033;
export const FLAT_RING3_DS32 = 0xe02b;
export const FLAT_RING3_DS64 = 0;
export const FLAT_RING3_SS32 = 0xe02b;
export const FLAT_RING3_SS64 = 0xe02b;
export const FLAT_KERNEL_CS = 0xe033;
export const FLAT_KERNEL_DS = 0;
export const FLAT_KERNEL_SS = 0xe02b;
export const FLAT_USER_CS = 0xe033;
export const FLAT_USER_DS = 0;
export const FLAT_USER_SS = 0xe02b;

// Virtual addresses that belong to Xen in every address space: L4 slots 256 to 271.
export const HYPERVISOR_VIRT_START = 0xffff800000000000n;
export const HYPERVISOR_VIRT_END = 0xffff880000000000n;
/** The machine-to-physical table, readable by every guest: 8 bytes for each MFN. */
export const MACH2PHYS_VIRT_START = 0xffff800000000000n;
export const MACH2PHYS_VIRT_END = 0xffff804000000000n;

// Bits of a page-table entry. Bits 12 to 51 are the frame's machine address.
export const _PAGE_PRESENT = 0x001;
export const _PAGE_RW = 0x002;
export const _PAGE_USER = 0x004;
export const _PAGE_PWT = 0x008;
export const _PAGE_PCD = 0x010;
export const _PAGE_ACCESSED = 0x020;
export const _PAGE_DIRTY = 0x040;
/** PAT in an L1 entry, page size in L2 and L3 entries. */
export const _PAGE_PSE = 0x080;
export const _PAGE_GLOBAL = 0x100;
export const _PAGE_AVAIL = 0xe00;
/** No execute: bit 63, so bit 31 of the high half. */
export const _PAGE_NX = 0x8000000000000000n;

// Error code of a page fault.
export const PFEC_page_present = 1;
export const PFEC_write_access = 2;
export const PFEC_user_mode = 4;
export const PFEC_reserved_bit = 8;
export const PFEC_insn_fetch = 16;

// Exception vectors.
export const TRAP_divide_error = 0;
export const TRAP_debug = 1;
export const TRAP_nmi = 2;
export const TRAP_int3 = 3;
export const TRAP_overflow = 4;
export const TRAP_bounds = 5;
export const TRAP_invalid_op = 6;
export const TRAP_no_device = 7;
export const TRAP_double_fault = 8;
export const TRAP_copro_seg = 9;
export const TRAP_invalid_tss = 10;
export const TRAP_no_segment = 11;
export const TRAP_stack_error = 12;
export const TRAP_gp_fault = 13;
export const TRAP_page_fault = 14;
export const TRAP_spurious_int = 15;
export const TRAP_copro_error = 16;
export const TRAP_alignment_check = 17;
export const TRAP_machine_check = 18;
export const TRAP_simd_error = 19;

// set_segment_base: which.
export const SEGBASE_FS = 0;
export const SEGBASE_GS_USER = 1;
export const SEGBASE_GS_KERNEL = 2;
export const SEGBASE_GS_USER_SEL = 3;

/** trap_info.flags: bits 0 and 1 are the privilege from which `int n` may enter; bit 2 masks events on entry. */
export const TI_FLAG_DPL_MASK = 3;
export const TI_FLAG_IF = 4;

/** struct trap_info: an entry of set_trap_table's array, which ends with address 0. */
export const TrapInfo = struct("trap_info", 16, {
  vector: u8(0),
  flags: u8(1), // TI_FLAG_*
  cs: u16(2),
  address: u64(8),
});

/** struct iret_context: what RSP points at when the iret hypercall is issued. */
export const IretContext = struct("iret_context", 72, {
  rax: u64(0),
  r11: u64(8),
  rcx: u64(16),
  flags: u64(24), // VGCF_in_syscall
  rip: u64(32),
  cs: u64(40), // RPL 3: to user mode, else to kernel mode
  rflags: u64(48),
  rsp: u64(56),
  ss: u64(64),
});

export const VGCF_I387_VALID = 1;
export const VGCF_IN_KERNEL = 4;
export const VGCF_i387_valid = 1;
export const VGCF_in_kernel = 4;
export const VGCF_failsafe_disables_events = 8;
export const VGCF_syscall_disables_events = 16;
export const VGCF_online = 32;
export const VGCF_in_syscall = 256;

/** struct cpu_user_regs. */
export const CpuUserRegs = struct("cpu_user_regs", 200, {
  r15: u64(0),
  r14: u64(8),
  r13: u64(16),
  r12: u64(24),
  rbp: u64(32),
  rbx: u64(40),
  r11: u64(48),
  r10: u64(56),
  r9: u64(64),
  r8: u64(72),
  rax: u64(80),
  rcx: u64(88),
  rdx: u64(96),
  rsi: u64(104),
  rdi: u64(112),
  error_code: u32(120),
  entry_vector: u32(124),
  rip: u64(128),
  cs: u16(136),
  saved_upcall_mask: u8(140),
  rflags: u64(144),
  rsp: u64(152),
  ss: u16(160),
  es: u16(168),
  ds: u16(176),
  fs: u16(184),
  gs: u16(192),
});

/** struct vcpu_guest_context: a whole vcpu, for VCPUOP_initialise and the vcpucontext domctls. */
export const VcpuGuestContext = struct("vcpu_guest_context", 5168, {
  fpu_ctxt: bytes(0, 512), // FXSAVE form
  flags: u64(512), // VGCF_*
  user_regs: nested(CpuUserRegs, 520),
  trap_ctxt: array(TrapInfo, 720, 256),
  ldt_base: u64(4816),
  ldt_ents: u64(4824),
  gdt_frames: array(u64, 4832, 16),
  gdt_ents: u64(4960),
  kernel_ss: u64(4968),
  kernel_sp: u64(4976),
  ctrlreg: array(u64, 4984, 8), // [1]: the user's page-table base, [3]: the kernel's, both as xen_pfn_to_cr3 has them
  debugreg: array(u64, 5048, 8),
  event_callback_eip: u64(5112),
  failsafe_callback_eip: u64(5120),
  syscall_callback_eip: u64(5128),
  vm_assist: u64(5136),
  fs_base: u64(5144),
  gs_base_kernel: u64(5152),
  gs_base_user: u64(5160),
});

/** struct arch_vcpu_info. */
export const ArchVcpuInfo = struct("arch_vcpu_info", 16, {
  cr2: u64(0), // [XEN] address of the last page fault
  pad: u64(8),
});

/** struct arch_shared_info. [GUEST] tells the tools where its pfn-to-mfn list is. */
export const ArchSharedInfo = struct("arch_shared_info", 48, {
  max_pfn: u64(0), // [GUEST]
  pfn_to_mfn_frame_list_list: u64(8), // [GUEST]
  nmi_reason: u64(16), // [XEN]
  p2m_cr3: u64(24), // [GUEST]
  p2m_vaddr: u64(32), // [GUEST]
  p2m_generation: u64(40), // [GUEST]
});

/** struct xen_arch_domainconfig: zero for a PV domain. */
export const XenArchDomainconfig = struct("xen_arch_domainconfig", 8, {
  emulation_flags: u32(0), // XEN_X86_EMU_*
  misc_flags: u32(4), // XEN_X86_MSR_RELAXED
});
export const XEN_X86_MSR_RELAXED = 1;

/** struct xen_cpuid_leaf. */
export const XenCpuidLeaf = struct("xen_cpuid_leaf", 24, {
  leaf: u32(0),
  subleaf: u32(4),
  a: u32(8),
  b: u32(12),
  c: u32(16),
  d: u32(20),
});
export const XEN_CPUID_NO_SUBLEAF = 0xffffffff;

/** struct xen_msr_entry. */
export const XenMsrEntry = struct("xen_msr_entry", 16, { idx: u32(0), flags: u32(4), val: u64(8) });

// Xen's CPUID leaves start here: +0 signature "XenVMMXenVMM", +1 version, +2 hypercall pages and MSR base, +3 time,
// +4 HVM features, +5 PV parameters (EBX bits 0 to 7: width of a machine address).
export const XEN_CPUID_FIRST_LEAF = 0x40000000;
export const XEN_CPUID_SIGNATURE_EBX = 0x566e6558;
export const XEN_CPUID_SIGNATURE_ECX = 0x65584d4d;
export const XEN_CPUID_SIGNATURE_EDX = 0x4d4d566e;
export const XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD = 1;
export const XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK = 0xff;
export const XEN_CPUID_MAX_NUM_LEAVES = 5;

/** `ud2a; .ascii "xen"`: the prefix that makes the cpuid after it show what Xen gives the domain. */
export const XEN_EMULATE_PREFIX_BYTES = [0x0f, 0x0b, 0x78, 0x65, 0x6e] as const;

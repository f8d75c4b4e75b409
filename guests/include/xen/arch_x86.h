/* Generated from shared/abi/arch_x86.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_ARCH_X86_H
#define XENOLITH_ARCH_X86_H

#define FIRST_RESERVED_GDT_PAGE 14
#define FIRST_RESERVED_GDT_BYTE 0xe000
#define FIRST_RESERVED_GDT_ENTRY 0x1c00
#define FLAT_RING3_CS32 0xe023
#define FLAT_RING3_CS64 0xe033
#define FLAT_RING3_DS32 0xe02b
#define FLAT_RING3_DS64 0
#define FLAT_RING3_SS32 0xe02b
#define FLAT_RING3_SS64 0xe02b
#define FLAT_KERNEL_CS 0xe033
#define FLAT_KERNEL_DS 0
#define FLAT_KERNEL_SS 0xe02b
#define FLAT_USER_CS 0xe033
#define FLAT_USER_DS 0
#define FLAT_USER_SS 0xe02b
#define HYPERVISOR_VIRT_START 0xffff800000000000
#define HYPERVISOR_VIRT_END 0xffff880000000000
#define MACH2PHYS_VIRT_START 0xffff800000000000
#define MACH2PHYS_VIRT_END 0xffff804000000000
#define _PAGE_PRESENT 1
#define _PAGE_RW 2
#define _PAGE_USER 4
#define _PAGE_PWT 8
#define _PAGE_PCD 16
#define _PAGE_ACCESSED 32
#define _PAGE_DIRTY 64
#define _PAGE_PSE 128
#define _PAGE_GLOBAL 0x100
#define _PAGE_AVAIL 0xe00
#define _PAGE_NX 0x8000000000000000
#define PFEC_page_present 1
#define PFEC_write_access 2
#define PFEC_user_mode 4
#define PFEC_reserved_bit 8
#define PFEC_insn_fetch 16
#define TRAP_divide_error 0
#define TRAP_debug 1
#define TRAP_nmi 2
#define TRAP_int3 3
#define TRAP_overflow 4
#define TRAP_bounds 5
#define TRAP_invalid_op 6
#define TRAP_no_device 7
#define TRAP_double_fault 8
#define TRAP_copro_seg 9
#define TRAP_invalid_tss 10
#define TRAP_no_segment 11
#define TRAP_stack_error 12
#define TRAP_gp_fault 13
#define TRAP_page_fault 14
#define TRAP_spurious_int 15
#define TRAP_copro_error 16
#define TRAP_alignment_check 17
#define TRAP_machine_check 18
#define TRAP_simd_error 19
#define SEGBASE_FS 0
#define SEGBASE_GS_USER 1
#define SEGBASE_GS_KERNEL 2
#define SEGBASE_GS_USER_SEL 3
#define TI_FLAG_DPL_MASK 3
#define TI_FLAG_IF 4
#define VGCF_I387_VALID 1
#define VGCF_IN_KERNEL 4
#define VGCF_i387_valid 1
#define VGCF_in_kernel 4
#define VGCF_failsafe_disables_events 8
#define VGCF_syscall_disables_events 16
#define VGCF_online 32
#define VGCF_in_syscall 0x100
#define XEN_X86_MSR_RELAXED 1
#define XEN_CPUID_NO_SUBLEAF 0xffffffff
#define XEN_CPUID_FIRST_LEAF 0x40000000
#define XEN_CPUID_SIGNATURE_EBX 0x566e6558
#define XEN_CPUID_SIGNATURE_ECX 0x65584d4d
#define XEN_CPUID_SIGNATURE_EDX 0x4d4d566e
#define XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD 1
#define XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK 255
#define XEN_CPUID_MAX_NUM_LEAVES 5

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct trap_info {
  uint8_t vector;
  uint8_t flags;
  uint16_t cs;
  uint8_t _gap0[4];
  uint64_t address;
};
_Static_assert(offsetof(struct trap_info, vector) == 0, "trap_info.vector");
_Static_assert(offsetof(struct trap_info, flags) == 1, "trap_info.flags");
_Static_assert(offsetof(struct trap_info, cs) == 2, "trap_info.cs");
_Static_assert(offsetof(struct trap_info, address) == 8, "trap_info.address");
_Static_assert(sizeof(struct trap_info) == 16, "trap_info");

struct iret_context {
  uint64_t rax;
  uint64_t r11;
  uint64_t rcx;
  uint64_t flags;
  uint64_t rip;
  uint64_t cs;
  uint64_t rflags;
  uint64_t rsp;
  uint64_t ss;
};
_Static_assert(offsetof(struct iret_context, rax) == 0, "iret_context.rax");
_Static_assert(offsetof(struct iret_context, r11) == 8, "iret_context.r11");
_Static_assert(offsetof(struct iret_context, rcx) == 16, "iret_context.rcx");
_Static_assert(offsetof(struct iret_context, flags) == 24, "iret_context.flags");
_Static_assert(offsetof(struct iret_context, rip) == 32, "iret_context.rip");
_Static_assert(offsetof(struct iret_context, cs) == 40, "iret_context.cs");
_Static_assert(offsetof(struct iret_context, rflags) == 48, "iret_context.rflags");
_Static_assert(offsetof(struct iret_context, rsp) == 56, "iret_context.rsp");
_Static_assert(offsetof(struct iret_context, ss) == 64, "iret_context.ss");
_Static_assert(sizeof(struct iret_context) == 72, "iret_context");

struct cpu_user_regs {
  uint64_t r15;
  uint64_t r14;
  uint64_t r13;
  uint64_t r12;
  uint64_t rbp;
  uint64_t rbx;
  uint64_t r11;
  uint64_t r10;
  uint64_t r9;
  uint64_t r8;
  uint64_t rax;
  uint64_t rcx;
  uint64_t rdx;
  uint64_t rsi;
  uint64_t rdi;
  uint32_t error_code;
  uint32_t entry_vector;
  uint64_t rip;
  uint16_t cs;
  uint8_t _gap0[2];
  uint8_t saved_upcall_mask;
  uint8_t _gap1[3];
  uint64_t rflags;
  uint64_t rsp;
  uint16_t ss;
  uint8_t _gap2[6];
  uint16_t es;
  uint8_t _gap3[6];
  uint16_t ds;
  uint8_t _gap4[6];
  uint16_t fs;
  uint8_t _gap5[6];
  uint16_t gs;
  uint8_t _gap6[6];
};
_Static_assert(offsetof(struct cpu_user_regs, r15) == 0, "cpu_user_regs.r15");
_Static_assert(offsetof(struct cpu_user_regs, r14) == 8, "cpu_user_regs.r14");
_Static_assert(offsetof(struct cpu_user_regs, r13) == 16, "cpu_user_regs.r13");
_Static_assert(offsetof(struct cpu_user_regs, r12) == 24, "cpu_user_regs.r12");
_Static_assert(offsetof(struct cpu_user_regs, rbp) == 32, "cpu_user_regs.rbp");
_Static_assert(offsetof(struct cpu_user_regs, rbx) == 40, "cpu_user_regs.rbx");
_Static_assert(offsetof(struct cpu_user_regs, r11) == 48, "cpu_user_regs.r11");
_Static_assert(offsetof(struct cpu_user_regs, r10) == 56, "cpu_user_regs.r10");
_Static_assert(offsetof(struct cpu_user_regs, r9) == 64, "cpu_user_regs.r9");
_Static_assert(offsetof(struct cpu_user_regs, r8) == 72, "cpu_user_regs.r8");
_Static_assert(offsetof(struct cpu_user_regs, rax) == 80, "cpu_user_regs.rax");
_Static_assert(offsetof(struct cpu_user_regs, rcx) == 88, "cpu_user_regs.rcx");
_Static_assert(offsetof(struct cpu_user_regs, rdx) == 96, "cpu_user_regs.rdx");
_Static_assert(offsetof(struct cpu_user_regs, rsi) == 104, "cpu_user_regs.rsi");
_Static_assert(offsetof(struct cpu_user_regs, rdi) == 112, "cpu_user_regs.rdi");
_Static_assert(offsetof(struct cpu_user_regs, error_code) == 120, "cpu_user_regs.error_code");
_Static_assert(offsetof(struct cpu_user_regs, entry_vector) == 124, "cpu_user_regs.entry_vector");
_Static_assert(offsetof(struct cpu_user_regs, rip) == 128, "cpu_user_regs.rip");
_Static_assert(offsetof(struct cpu_user_regs, cs) == 136, "cpu_user_regs.cs");
_Static_assert(offsetof(struct cpu_user_regs, saved_upcall_mask) == 140, "cpu_user_regs.saved_upcall_mask");
_Static_assert(offsetof(struct cpu_user_regs, rflags) == 144, "cpu_user_regs.rflags");
_Static_assert(offsetof(struct cpu_user_regs, rsp) == 152, "cpu_user_regs.rsp");
_Static_assert(offsetof(struct cpu_user_regs, ss) == 160, "cpu_user_regs.ss");
_Static_assert(offsetof(struct cpu_user_regs, es) == 168, "cpu_user_regs.es");
_Static_assert(offsetof(struct cpu_user_regs, ds) == 176, "cpu_user_regs.ds");
_Static_assert(offsetof(struct cpu_user_regs, fs) == 184, "cpu_user_regs.fs");
_Static_assert(offsetof(struct cpu_user_regs, gs) == 192, "cpu_user_regs.gs");
_Static_assert(sizeof(struct cpu_user_regs) == 200, "cpu_user_regs");

struct vcpu_guest_context {
  uint8_t fpu_ctxt[512];
  uint64_t flags;
  struct cpu_user_regs user_regs;
  struct trap_info trap_ctxt[256];
  uint64_t ldt_base;
  uint64_t ldt_ents;
  uint64_t gdt_frames[16];
  uint64_t gdt_ents;
  uint64_t kernel_ss;
  uint64_t kernel_sp;
  uint64_t ctrlreg[8];
  uint64_t debugreg[8];
  uint64_t event_callback_eip;
  uint64_t failsafe_callback_eip;
  uint64_t syscall_callback_eip;
  uint64_t vm_assist;
  uint64_t fs_base;
  uint64_t gs_base_kernel;
  uint64_t gs_base_user;
};
_Static_assert(offsetof(struct vcpu_guest_context, fpu_ctxt) == 0, "vcpu_guest_context.fpu_ctxt");
_Static_assert(offsetof(struct vcpu_guest_context, flags) == 512, "vcpu_guest_context.flags");
_Static_assert(offsetof(struct vcpu_guest_context, user_regs) == 520, "vcpu_guest_context.user_regs");
_Static_assert(offsetof(struct vcpu_guest_context, trap_ctxt) == 720, "vcpu_guest_context.trap_ctxt");
_Static_assert(offsetof(struct vcpu_guest_context, ldt_base) == 4816, "vcpu_guest_context.ldt_base");
_Static_assert(offsetof(struct vcpu_guest_context, ldt_ents) == 4824, "vcpu_guest_context.ldt_ents");
_Static_assert(offsetof(struct vcpu_guest_context, gdt_frames) == 4832, "vcpu_guest_context.gdt_frames");
_Static_assert(offsetof(struct vcpu_guest_context, gdt_ents) == 4960, "vcpu_guest_context.gdt_ents");
_Static_assert(offsetof(struct vcpu_guest_context, kernel_ss) == 4968, "vcpu_guest_context.kernel_ss");
_Static_assert(offsetof(struct vcpu_guest_context, kernel_sp) == 4976, "vcpu_guest_context.kernel_sp");
_Static_assert(offsetof(struct vcpu_guest_context, ctrlreg) == 4984, "vcpu_guest_context.ctrlreg");
_Static_assert(offsetof(struct vcpu_guest_context, debugreg) == 5048, "vcpu_guest_context.debugreg");
_Static_assert(offsetof(struct vcpu_guest_context, event_callback_eip) == 5112, "vcpu_guest_context.event_callback_eip");
_Static_assert(offsetof(struct vcpu_guest_context, failsafe_callback_eip) == 5120, "vcpu_guest_context.failsafe_callback_eip");
_Static_assert(offsetof(struct vcpu_guest_context, syscall_callback_eip) == 5128, "vcpu_guest_context.syscall_callback_eip");
_Static_assert(offsetof(struct vcpu_guest_context, vm_assist) == 5136, "vcpu_guest_context.vm_assist");
_Static_assert(offsetof(struct vcpu_guest_context, fs_base) == 5144, "vcpu_guest_context.fs_base");
_Static_assert(offsetof(struct vcpu_guest_context, gs_base_kernel) == 5152, "vcpu_guest_context.gs_base_kernel");
_Static_assert(offsetof(struct vcpu_guest_context, gs_base_user) == 5160, "vcpu_guest_context.gs_base_user");
_Static_assert(sizeof(struct vcpu_guest_context) == 5168, "vcpu_guest_context");

struct arch_vcpu_info {
  uint64_t cr2;
  uint64_t pad;
};
_Static_assert(offsetof(struct arch_vcpu_info, cr2) == 0, "arch_vcpu_info.cr2");
_Static_assert(offsetof(struct arch_vcpu_info, pad) == 8, "arch_vcpu_info.pad");
_Static_assert(sizeof(struct arch_vcpu_info) == 16, "arch_vcpu_info");

struct arch_shared_info {
  uint64_t max_pfn;
  uint64_t pfn_to_mfn_frame_list_list;
  uint64_t nmi_reason;
  uint64_t p2m_cr3;
  uint64_t p2m_vaddr;
  uint64_t p2m_generation;
};
_Static_assert(offsetof(struct arch_shared_info, max_pfn) == 0, "arch_shared_info.max_pfn");
_Static_assert(offsetof(struct arch_shared_info, pfn_to_mfn_frame_list_list) == 8, "arch_shared_info.pfn_to_mfn_frame_list_list");
_Static_assert(offsetof(struct arch_shared_info, nmi_reason) == 16, "arch_shared_info.nmi_reason");
_Static_assert(offsetof(struct arch_shared_info, p2m_cr3) == 24, "arch_shared_info.p2m_cr3");
_Static_assert(offsetof(struct arch_shared_info, p2m_vaddr) == 32, "arch_shared_info.p2m_vaddr");
_Static_assert(offsetof(struct arch_shared_info, p2m_generation) == 40, "arch_shared_info.p2m_generation");
_Static_assert(sizeof(struct arch_shared_info) == 48, "arch_shared_info");

struct xen_arch_domainconfig {
  uint32_t emulation_flags;
  uint32_t misc_flags;
};
_Static_assert(offsetof(struct xen_arch_domainconfig, emulation_flags) == 0, "xen_arch_domainconfig.emulation_flags");
_Static_assert(offsetof(struct xen_arch_domainconfig, misc_flags) == 4, "xen_arch_domainconfig.misc_flags");
_Static_assert(sizeof(struct xen_arch_domainconfig) == 8, "xen_arch_domainconfig");

struct xen_cpuid_leaf {
  uint32_t leaf;
  uint32_t subleaf;
  uint32_t a;
  uint32_t b;
  uint32_t c;
  uint32_t d;
};
_Static_assert(offsetof(struct xen_cpuid_leaf, leaf) == 0, "xen_cpuid_leaf.leaf");
_Static_assert(offsetof(struct xen_cpuid_leaf, subleaf) == 4, "xen_cpuid_leaf.subleaf");
_Static_assert(offsetof(struct xen_cpuid_leaf, a) == 8, "xen_cpuid_leaf.a");
_Static_assert(offsetof(struct xen_cpuid_leaf, b) == 12, "xen_cpuid_leaf.b");
_Static_assert(offsetof(struct xen_cpuid_leaf, c) == 16, "xen_cpuid_leaf.c");
_Static_assert(offsetof(struct xen_cpuid_leaf, d) == 20, "xen_cpuid_leaf.d");
_Static_assert(sizeof(struct xen_cpuid_leaf) == 24, "xen_cpuid_leaf");

struct xen_msr_entry {
  uint32_t idx;
  uint32_t flags;
  uint64_t val;
};
_Static_assert(offsetof(struct xen_msr_entry, idx) == 0, "xen_msr_entry.idx");
_Static_assert(offsetof(struct xen_msr_entry, flags) == 4, "xen_msr_entry.flags");
_Static_assert(offsetof(struct xen_msr_entry, val) == 8, "xen_msr_entry.val");
_Static_assert(sizeof(struct xen_msr_entry) == 16, "xen_msr_entry");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_ARCH_X86_H */

/* Generated from shared/abi/xen.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_XEN_H
#define XENOLITH_XEN_H

#include <xen/arch_x86.h>

#define __HYPERVISOR_set_trap_table 0
#define __HYPERVISOR_mmu_update 1
#define __HYPERVISOR_set_gdt 2
#define __HYPERVISOR_stack_switch 3
#define __HYPERVISOR_set_callbacks 4
#define __HYPERVISOR_fpu_taskswitch 5
#define __HYPERVISOR_sched_op_compat 6
#define __HYPERVISOR_platform_op 7
#define __HYPERVISOR_set_debugreg 8
#define __HYPERVISOR_get_debugreg 9
#define __HYPERVISOR_update_descriptor 10
#define __HYPERVISOR_memory_op 12
#define __HYPERVISOR_multicall 13
#define __HYPERVISOR_update_va_mapping 14
#define __HYPERVISOR_set_timer_op 15
#define __HYPERVISOR_event_channel_op_compat 16
#define __HYPERVISOR_xen_version 17
#define __HYPERVISOR_console_io 18
#define __HYPERVISOR_physdev_op_compat 19
#define __HYPERVISOR_grant_table_op 20
#define __HYPERVISOR_vm_assist 21
#define __HYPERVISOR_update_va_mapping_otherdomain 22
#define __HYPERVISOR_iret 23
#define __HYPERVISOR_vcpu_op 24
#define __HYPERVISOR_set_segment_base 25
#define __HYPERVISOR_mmuext_op 26
#define __HYPERVISOR_xsm_op 27
#define __HYPERVISOR_nmi_op 28
#define __HYPERVISOR_sched_op 29
#define __HYPERVISOR_callback_op 30
#define __HYPERVISOR_xenoprof_op 31
#define __HYPERVISOR_event_channel_op 32
#define __HYPERVISOR_physdev_op 33
#define __HYPERVISOR_hvm_op 34
#define __HYPERVISOR_sysctl 35
#define __HYPERVISOR_domctl 36
#define __HYPERVISOR_kexec_op 37
#define __HYPERVISOR_tmem_op 38
#define __HYPERVISOR_argo_op 39
#define __HYPERVISOR_xenpmu_op 40
#define __HYPERVISOR_dm_op 41
#define __HYPERVISOR_hypfs_op 42
#define __HYPERVISOR_arch_0 48
#define __HYPERVISOR_arch_1 49
#define __HYPERVISOR_arch_2 50
#define __HYPERVISOR_arch_3 51
#define __HYPERVISOR_arch_4 52
#define __HYPERVISOR_arch_5 53
#define __HYPERVISOR_arch_6 54
#define __HYPERVISOR_arch_7 55
#define VIRQ_TIMER 0
#define VIRQ_DEBUG 1
#define VIRQ_CONSOLE 2
#define VIRQ_DOM_EXC 3
#define VIRQ_TBUF 4
#define VIRQ_DEBUGGER 6
#define VIRQ_XENOPROF 7
#define VIRQ_CON_RING 8
#define VIRQ_PCPU_STATE 9
#define VIRQ_MEM_EVENT 10
#define VIRQ_ARGO 11
#define VIRQ_ENOMEM 12
#define VIRQ_XENPMU 13
#define VIRQ_ARCH_0 16
#define VIRQ_ARCH_1 17
#define VIRQ_ARCH_2 18
#define VIRQ_ARCH_3 19
#define VIRQ_ARCH_4 20
#define VIRQ_ARCH_5 21
#define VIRQ_ARCH_6 22
#define VIRQ_ARCH_7 23
#define NR_VIRQS 24
#define MMU_NORMAL_PT_UPDATE 0
#define MMU_MACHPHYS_UPDATE 1
#define MMU_PT_UPDATE_PRESERVE_AD 2
#define MMU_PT_UPDATE_NO_TRANSLATE 3
#define MMUEXT_PIN_L1_TABLE 0
#define MMUEXT_PIN_L2_TABLE 1
#define MMUEXT_PIN_L3_TABLE 2
#define MMUEXT_PIN_L4_TABLE 3
#define MMUEXT_UNPIN_TABLE 4
#define MMUEXT_NEW_BASEPTR 5
#define MMUEXT_TLB_FLUSH_LOCAL 6
#define MMUEXT_INVLPG_LOCAL 7
#define MMUEXT_TLB_FLUSH_MULTI 8
#define MMUEXT_INVLPG_MULTI 9
#define MMUEXT_TLB_FLUSH_ALL 10
#define MMUEXT_INVLPG_ALL 11
#define MMUEXT_FLUSH_CACHE 12
#define MMUEXT_SET_LDT 13
#define MMUEXT_NEW_USER_BASEPTR 15
#define MMUEXT_CLEAR_PAGE 16
#define MMUEXT_COPY_PAGE 17
#define MMUEXT_FLUSH_CACHE_GLOBAL 18
#define MMUEXT_MARK_SUPER 19
#define MMUEXT_UNMARK_SUPER 20
#define UVMF_NONE 0
#define UVMF_TLB_FLUSH 1
#define UVMF_INVLPG 2
#define UVMF_FLUSHTYPE_MASK 3
#define UVMF_MULTI 0
#define UVMF_LOCAL 0
#define UVMF_ALL 4
#define CONSOLEIO_write 0
#define CONSOLEIO_read 1
#define VMASST_CMD_enable 0
#define VMASST_CMD_disable 1
#define VMASST_TYPE_4gb_segments 0
#define VMASST_TYPE_4gb_segments_notify 1
#define VMASST_TYPE_writable_pagetables 2
#define VMASST_TYPE_pae_extended_cr3 3
#define VMASST_TYPE_architectural_iopl 4
#define VMASST_TYPE_runstate_update_flag 5
#define VMASST_TYPE_m2p_strict 32
#define DOMID_FIRST_RESERVED 0x7ff0
#define DOMID_SELF 0x7ff0
#define DOMID_IO 0x7ff1
#define DOMID_XEN 0x7ff2
#define DOMID_COW 0x7ff3
#define DOMID_INVALID 0x7ff4
#define DOMID_IDLE 0x7fff
#define DOMID_MASK 0x7fff
#define XEN_PVCLOCK_TSC_STABLE_BIT 1
#define XEN_PVCLOCK_GUEST_STOPPED 2
#define EVTCHN_2L_NR_CHANNELS 0x1000
#define XEN_LEGACY_MAX_VCPUS 32
#define MAX_GUEST_CMDLINE 0x400
#define SIF_PRIVILEGED 1
#define SIF_INITDOMAIN 2
#define SIF_MULTIBOOT_MOD 4
#define SIF_MOD_START_PFN 8
#define SIF_VIRT_P2M_4TOOLS 16
#define SIF_PM_MASK 0xff00

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct mmuext_op {
  uint32_t cmd;
  uint8_t _gap0[4];
  union {
    uint64_t arg1_mfn;
    uint64_t arg1_linear_addr;
  };
  union {
    uint32_t arg2_nr_ents;
    uint64_t arg2_vcpumask;
    uint64_t arg2_src_mfn;
  };
};
_Static_assert(offsetof(struct mmuext_op, cmd) == 0, "mmuext_op.cmd");
_Static_assert(offsetof(struct mmuext_op, arg1_mfn) == 8, "mmuext_op.arg1_mfn");
_Static_assert(offsetof(struct mmuext_op, arg1_linear_addr) == 8, "mmuext_op.arg1_linear_addr");
_Static_assert(offsetof(struct mmuext_op, arg2_nr_ents) == 16, "mmuext_op.arg2_nr_ents");
_Static_assert(offsetof(struct mmuext_op, arg2_vcpumask) == 16, "mmuext_op.arg2_vcpumask");
_Static_assert(offsetof(struct mmuext_op, arg2_src_mfn) == 16, "mmuext_op.arg2_src_mfn");
_Static_assert(sizeof(struct mmuext_op) == 24, "mmuext_op");

struct mmu_update {
  uint64_t ptr;
  uint64_t val;
};
_Static_assert(offsetof(struct mmu_update, ptr) == 0, "mmu_update.ptr");
_Static_assert(offsetof(struct mmu_update, val) == 8, "mmu_update.val");
_Static_assert(sizeof(struct mmu_update) == 16, "mmu_update");

struct multicall_entry {
  uint64_t op;
  uint64_t result;
  uint64_t args[6];
};
_Static_assert(offsetof(struct multicall_entry, op) == 0, "multicall_entry.op");
_Static_assert(offsetof(struct multicall_entry, result) == 8, "multicall_entry.result");
_Static_assert(offsetof(struct multicall_entry, args) == 16, "multicall_entry.args");
_Static_assert(sizeof(struct multicall_entry) == 64, "multicall_entry");

struct vcpu_time_info {
  uint32_t version;
  uint8_t _gap0[4];
  uint64_t tsc_timestamp;
  uint64_t system_time;
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags;
  uint8_t _gap1[2];
};
_Static_assert(offsetof(struct vcpu_time_info, version) == 0, "vcpu_time_info.version");
_Static_assert(offsetof(struct vcpu_time_info, tsc_timestamp) == 8, "vcpu_time_info.tsc_timestamp");
_Static_assert(offsetof(struct vcpu_time_info, system_time) == 16, "vcpu_time_info.system_time");
_Static_assert(offsetof(struct vcpu_time_info, tsc_to_system_mul) == 24, "vcpu_time_info.tsc_to_system_mul");
_Static_assert(offsetof(struct vcpu_time_info, tsc_shift) == 28, "vcpu_time_info.tsc_shift");
_Static_assert(offsetof(struct vcpu_time_info, flags) == 29, "vcpu_time_info.flags");
_Static_assert(sizeof(struct vcpu_time_info) == 32, "vcpu_time_info");

struct vcpu_info {
  uint8_t evtchn_upcall_pending;
  uint8_t evtchn_upcall_mask;
  uint8_t _gap0[6];
  uint64_t evtchn_pending_sel;
  struct arch_vcpu_info arch;
  struct vcpu_time_info time;
};
_Static_assert(offsetof(struct vcpu_info, evtchn_upcall_pending) == 0, "vcpu_info.evtchn_upcall_pending");
_Static_assert(offsetof(struct vcpu_info, evtchn_upcall_mask) == 1, "vcpu_info.evtchn_upcall_mask");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "vcpu_info.evtchn_pending_sel");
_Static_assert(offsetof(struct vcpu_info, arch) == 16, "vcpu_info.arch");
_Static_assert(offsetof(struct vcpu_info, time) == 32, "vcpu_info.time");
_Static_assert(sizeof(struct vcpu_info) == 64, "vcpu_info");

struct shared_info {
  struct vcpu_info vcpu_info[32];
  uint64_t evtchn_pending[64];
  uint64_t evtchn_mask[64];
  uint32_t wc_version;
  uint32_t wc_sec;
  uint32_t wc_nsec;
  uint32_t wc_sec_hi;
  struct arch_shared_info arch;
};
_Static_assert(offsetof(struct shared_info, vcpu_info) == 0, "shared_info.vcpu_info");
_Static_assert(offsetof(struct shared_info, evtchn_pending) == 2048, "shared_info.evtchn_pending");
_Static_assert(offsetof(struct shared_info, evtchn_mask) == 2560, "shared_info.evtchn_mask");
_Static_assert(offsetof(struct shared_info, wc_version) == 3072, "shared_info.wc_version");
_Static_assert(offsetof(struct shared_info, wc_sec) == 3076, "shared_info.wc_sec");
_Static_assert(offsetof(struct shared_info, wc_nsec) == 3080, "shared_info.wc_nsec");
_Static_assert(offsetof(struct shared_info, wc_sec_hi) == 3084, "shared_info.wc_sec_hi");
_Static_assert(offsetof(struct shared_info, arch) == 3088, "shared_info.arch");
_Static_assert(sizeof(struct shared_info) == 3136, "shared_info");

struct start_info {
  char magic[32];
  uint64_t nr_pages;
  uint64_t shared_info;
  uint32_t flags;
  uint8_t _gap0[4];
  uint64_t store_mfn;
  uint32_t store_evtchn;
  uint8_t _gap1[4];
  union {
    uint64_t console_domU_mfn;
    struct { uint32_t console_dom0_info_off; uint32_t console_dom0_info_size; };
  };
  uint32_t console_domU_evtchn;
  uint8_t _gap2[4];
  uint64_t pt_base;
  uint64_t nr_pt_frames;
  uint64_t mfn_list;
  uint64_t mod_start;
  uint64_t mod_len;
  char cmd_line[1024];
  uint64_t first_p2m_pfn;
  uint64_t nr_p2m_frames;
};
_Static_assert(offsetof(struct start_info, magic) == 0, "start_info.magic");
_Static_assert(offsetof(struct start_info, nr_pages) == 32, "start_info.nr_pages");
_Static_assert(offsetof(struct start_info, shared_info) == 40, "start_info.shared_info");
_Static_assert(offsetof(struct start_info, flags) == 48, "start_info.flags");
_Static_assert(offsetof(struct start_info, store_mfn) == 56, "start_info.store_mfn");
_Static_assert(offsetof(struct start_info, store_evtchn) == 64, "start_info.store_evtchn");
_Static_assert(offsetof(struct start_info, console_domU_mfn) == 72, "start_info.console_domU_mfn");
_Static_assert(offsetof(struct start_info, console_domU_evtchn) == 80, "start_info.console_domU_evtchn");
_Static_assert(offsetof(struct start_info, console_dom0_info_off) == 72, "start_info.console_dom0_info_off");
_Static_assert(offsetof(struct start_info, console_dom0_info_size) == 76, "start_info.console_dom0_info_size");
_Static_assert(offsetof(struct start_info, pt_base) == 88, "start_info.pt_base");
_Static_assert(offsetof(struct start_info, nr_pt_frames) == 96, "start_info.nr_pt_frames");
_Static_assert(offsetof(struct start_info, mfn_list) == 104, "start_info.mfn_list");
_Static_assert(offsetof(struct start_info, mod_start) == 112, "start_info.mod_start");
_Static_assert(offsetof(struct start_info, mod_len) == 120, "start_info.mod_len");
_Static_assert(offsetof(struct start_info, cmd_line) == 128, "start_info.cmd_line");
_Static_assert(offsetof(struct start_info, first_p2m_pfn) == 1152, "start_info.first_p2m_pfn");
_Static_assert(offsetof(struct start_info, nr_p2m_frames) == 1160, "start_info.nr_p2m_frames");
_Static_assert(sizeof(struct start_info) == 1168, "start_info");

struct xen_multiboot_mod_list {
  uint32_t mod_start;
  uint32_t mod_end;
  uint32_t cmdline;
  uint32_t pad;
};
_Static_assert(offsetof(struct xen_multiboot_mod_list, mod_start) == 0, "xen_multiboot_mod_list.mod_start");
_Static_assert(offsetof(struct xen_multiboot_mod_list, mod_end) == 4, "xen_multiboot_mod_list.mod_end");
_Static_assert(offsetof(struct xen_multiboot_mod_list, cmdline) == 8, "xen_multiboot_mod_list.cmdline");
_Static_assert(offsetof(struct xen_multiboot_mod_list, pad) == 12, "xen_multiboot_mod_list.pad");
_Static_assert(sizeof(struct xen_multiboot_mod_list) == 16, "xen_multiboot_mod_list");

struct xen_domain_handle {
  uint8_t a[16];
};
_Static_assert(offsetof(struct xen_domain_handle, a) == 0, "xen_domain_handle.a");
_Static_assert(sizeof(struct xen_domain_handle) == 16, "xen_domain_handle");

struct xenctl_bitmap {
  uint64_t bitmap;
  uint32_t nr_bits;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct xenctl_bitmap, bitmap) == 0, "xenctl_bitmap.bitmap");
_Static_assert(offsetof(struct xenctl_bitmap, nr_bits) == 8, "xenctl_bitmap.nr_bits");
_Static_assert(sizeof(struct xenctl_bitmap) == 16, "xenctl_bitmap");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_XEN_H */

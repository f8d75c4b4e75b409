/* Generated from shared/abi/domctl.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_DOMCTL_H
#define XENOLITH_DOMCTL_H

#include <xen/arch_x86.h>
#include <xen/xen.h>

#define XEN_DOMCTL_INTERFACE_VERSION 21
#define XEN_DOMCTL_createdomain 1
#define XEN_DOMCTL_destroydomain 2
#define XEN_DOMCTL_pausedomain 3
#define XEN_DOMCTL_unpausedomain 4
#define XEN_DOMCTL_getdomaininfo 5
#define XEN_DOMCTL_setvcpuaffinity 9
#define XEN_DOMCTL_shadow_op 10
#define XEN_DOMCTL_max_mem 11
#define XEN_DOMCTL_setvcpucontext 12
#define XEN_DOMCTL_getvcpucontext 13
#define XEN_DOMCTL_getvcpuinfo 14
#define XEN_DOMCTL_max_vcpus 15
#define XEN_DOMCTL_scheduler_op 16
#define XEN_DOMCTL_setdomainhandle 17
#define XEN_DOMCTL_setdebugging 18
#define XEN_DOMCTL_irq_permission 19
#define XEN_DOMCTL_iomem_permission 20
#define XEN_DOMCTL_ioport_permission 21
#define XEN_DOMCTL_hypercall_init 22
#define XEN_DOMCTL_settimeoffset 24
#define XEN_DOMCTL_getvcpuaffinity 25
#define XEN_DOMCTL_real_mode_area 26
#define XEN_DOMCTL_resumedomain 27
#define XEN_DOMCTL_sendtrigger 28
#define XEN_DOMCTL_subscribe 29
#define XEN_DOMCTL_gethvmcontext 33
#define XEN_DOMCTL_sethvmcontext 34
#define XEN_DOMCTL_set_address_size 35
#define XEN_DOMCTL_get_address_size 36
#define XEN_DOMCTL_assign_device 37
#define XEN_DOMCTL_bind_pt_irq 38
#define XEN_DOMCTL_memory_mapping 39
#define XEN_DOMCTL_ioport_mapping 40
#define XEN_DOMCTL_set_ext_vcpucontext 42
#define XEN_DOMCTL_get_ext_vcpucontext 43
#define XEN_DOMCTL_set_opt_feature 44
#define XEN_DOMCTL_test_assign_device 45
#define XEN_DOMCTL_set_target 46
#define XEN_DOMCTL_deassign_device 47
#define XEN_DOMCTL_unbind_pt_irq 48
#define XEN_DOMCTL_get_device_group 50
#define XEN_DOMCTL_debug_op 54
#define XEN_DOMCTL_gethvmcontext_partial 55
#define XEN_DOMCTL_vm_event_op 56
#define XEN_DOMCTL_mem_sharing_op 57
#define XEN_DOMCTL_gettscinfo 59
#define XEN_DOMCTL_settscinfo 60
#define XEN_DOMCTL_getpageframeinfo3 61
#define XEN_DOMCTL_setvcpuextstate 62
#define XEN_DOMCTL_getvcpuextstate 63
#define XEN_DOMCTL_set_access_required 64
#define XEN_DOMCTL_audit_p2m 65
#define XEN_DOMCTL_set_virq_handler 66
#define XEN_DOMCTL_set_broken_page_p2m 67
#define XEN_DOMCTL_setnodeaffinity 68
#define XEN_DOMCTL_getnodeaffinity 69
#define XEN_DOMCTL_cacheflush 71
#define XEN_DOMCTL_get_vcpu_msrs 72
#define XEN_DOMCTL_set_vcpu_msrs 73
#define XEN_DOMCTL_setvnumainfo 74
#define XEN_DOMCTL_psr_cmt_op 75
#define XEN_DOMCTL_monitor_op 77
#define XEN_DOMCTL_psr_alloc 78
#define XEN_DOMCTL_soft_reset 79
#define XEN_DOMCTL_vuart_op 81
#define XEN_DOMCTL_get_cpu_policy 82
#define XEN_DOMCTL_set_cpu_policy 83
#define XEN_DOMCTL_vmtrace_op 84
#define XEN_DOMCTL_get_paging_mempool_size 85
#define XEN_DOMCTL_set_paging_mempool_size 86
#define XEN_DOMCTL_gdbsx_guestmemio 0x3e8
#define XEN_DOMCTL_gdbsx_pausevcpu 0x3e9
#define XEN_DOMCTL_gdbsx_unpausevcpu 0x3ea
#define XEN_DOMCTL_gdbsx_domstatus 0x3eb
#define XEN_DOMCTL_CDF_hvm 1
#define XEN_DOMCTL_CDF_hap 2
#define XEN_DOMCTL_CDF_s3_integrity 4
#define XEN_DOMCTL_CDF_oos_off 8
#define XEN_DOMCTL_CDF_xs_domain 16
#define XEN_DOMCTL_CDF_iommu 32
#define XEN_DOMCTL_CDF_nested_virt 64
#define XEN_DOMCTL_CDF_vpmu 128
#define XEN_DOMCTL_CDF_MAX 128
#define XEN_DOMCTL_GRANT_version_mask 15
#define XEN_DOMINF_dying 1
#define XEN_DOMINF_hvm_guest 2
#define XEN_DOMINF_shutdown 4
#define XEN_DOMINF_paused 8
#define XEN_DOMINF_blocked 16
#define XEN_DOMINF_running 32
#define XEN_DOMINF_debugged 64
#define XEN_DOMINF_xs_domain 128
#define XEN_DOMINF_hap 0x100
#define XEN_DOMINF_shutdownmask 255
#define XEN_DOMINF_shutdownshift 16
#define XEN_INVALID_MAX_VCPU_ID 0xffffffff
#define XEN_DOMCTL_PFINFO_NOTAB 0
#define XEN_DOMCTL_PFINFO_L1TAB 0x10000000
#define XEN_DOMCTL_PFINFO_L2TAB 0x20000000
#define XEN_DOMCTL_PFINFO_L3TAB 0x30000000
#define XEN_DOMCTL_PFINFO_L4TAB 0x40000000
#define XEN_DOMCTL_PFINFO_LTABTYPE_MASK 0x70000000
#define XEN_DOMCTL_PFINFO_LPINTAB 0x80000000
#define XEN_DOMCTL_PFINFO_XTAB 0xf0000000
#define XEN_DOMCTL_PFINFO_XALLOC 0xe0000000
#define XEN_DOMCTL_PFINFO_BROKEN 0xd0000000
#define XEN_DOMCTL_PFINFO_LTAB_MASK 0xf0000000
#define XEN_VCPUAFFINITY_HARD 1
#define XEN_VCPUAFFINITY_SOFT 2
#define XEN_VCPUAFFINITY_FORCE 4
#define XEN_SCHEDULER_BVT 0
#define XEN_SCHEDULER_CREDIT 5
#define XEN_SCHEDULER_CREDIT2 6
#define XEN_SCHEDULER_ARINC653 7
#define XEN_SCHEDULER_RTDS 8
#define XEN_SCHEDULER_NULL 9
#define XEN_DOMCTL_SCHEDOP_putinfo 0
#define XEN_DOMCTL_SCHEDOP_getinfo 1
#define XEN_DOMCTL_SCHEDOP_putvcpuinfo 2
#define XEN_DOMCTL_SCHEDOP_getvcpuinfo 3
#define XEN_DOMCTL_SENDTRIGGER_NMI 0
#define XEN_DOMCTL_SENDTRIGGER_RESET 1
#define XEN_DOMCTL_SENDTRIGGER_INIT 2
#define XEN_DOMCTL_SENDTRIGGER_POWER 3
#define XEN_DOMCTL_SENDTRIGGER_SLEEP 4

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xen_domctl_createdomain {
  uint32_t ssidref;
  uint8_t handle[16];
  uint32_t flags;
  uint32_t iommu_opts;
  uint32_t max_vcpus;
  uint32_t max_evtchn_port;
  int32_t max_grant_frames;
  int32_t max_maptrack_frames;
  uint32_t grant_opts;
  uint32_t vmtrace_size;
  uint32_t cpupool_id;
  struct xen_arch_domainconfig arch;
};
_Static_assert(offsetof(struct xen_domctl_createdomain, ssidref) == 0, "xen_domctl_createdomain.ssidref");
_Static_assert(offsetof(struct xen_domctl_createdomain, handle) == 4, "xen_domctl_createdomain.handle");
_Static_assert(offsetof(struct xen_domctl_createdomain, flags) == 20, "xen_domctl_createdomain.flags");
_Static_assert(offsetof(struct xen_domctl_createdomain, iommu_opts) == 24, "xen_domctl_createdomain.iommu_opts");
_Static_assert(offsetof(struct xen_domctl_createdomain, max_vcpus) == 28, "xen_domctl_createdomain.max_vcpus");
_Static_assert(offsetof(struct xen_domctl_createdomain, max_evtchn_port) == 32, "xen_domctl_createdomain.max_evtchn_port");
_Static_assert(offsetof(struct xen_domctl_createdomain, max_grant_frames) == 36, "xen_domctl_createdomain.max_grant_frames");
_Static_assert(offsetof(struct xen_domctl_createdomain, max_maptrack_frames) == 40, "xen_domctl_createdomain.max_maptrack_frames");
_Static_assert(offsetof(struct xen_domctl_createdomain, grant_opts) == 44, "xen_domctl_createdomain.grant_opts");
_Static_assert(offsetof(struct xen_domctl_createdomain, vmtrace_size) == 48, "xen_domctl_createdomain.vmtrace_size");
_Static_assert(offsetof(struct xen_domctl_createdomain, cpupool_id) == 52, "xen_domctl_createdomain.cpupool_id");
_Static_assert(offsetof(struct xen_domctl_createdomain, arch) == 56, "xen_domctl_createdomain.arch");
_Static_assert(sizeof(struct xen_domctl_createdomain) == 64, "xen_domctl_createdomain");

struct xen_domctl_getdomaininfo {
  uint16_t domain;
  uint8_t _gap0[2];
  uint32_t flags;
  uint64_t tot_pages;
  uint64_t max_pages;
  uint64_t outstanding_pages;
  uint64_t shr_pages;
  uint64_t paged_pages;
  uint64_t shared_info_frame;
  uint64_t cpu_time;
  uint32_t nr_online_vcpus;
  uint32_t max_vcpu_id;
  uint32_t ssidref;
  uint8_t handle[16];
  uint32_t cpupool;
  uint8_t gpaddr_bits;
  uint8_t _gap1[7];
  struct xen_arch_domainconfig arch_config;
};
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, domain) == 0, "xen_domctl_getdomaininfo.domain");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, flags) == 4, "xen_domctl_getdomaininfo.flags");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, tot_pages) == 8, "xen_domctl_getdomaininfo.tot_pages");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, max_pages) == 16, "xen_domctl_getdomaininfo.max_pages");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, outstanding_pages) == 24, "xen_domctl_getdomaininfo.outstanding_pages");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, shr_pages) == 32, "xen_domctl_getdomaininfo.shr_pages");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, paged_pages) == 40, "xen_domctl_getdomaininfo.paged_pages");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, shared_info_frame) == 48, "xen_domctl_getdomaininfo.shared_info_frame");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, cpu_time) == 56, "xen_domctl_getdomaininfo.cpu_time");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, nr_online_vcpus) == 64, "xen_domctl_getdomaininfo.nr_online_vcpus");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, max_vcpu_id) == 68, "xen_domctl_getdomaininfo.max_vcpu_id");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, ssidref) == 72, "xen_domctl_getdomaininfo.ssidref");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, handle) == 76, "xen_domctl_getdomaininfo.handle");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, cpupool) == 92, "xen_domctl_getdomaininfo.cpupool");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, gpaddr_bits) == 96, "xen_domctl_getdomaininfo.gpaddr_bits");
_Static_assert(offsetof(struct xen_domctl_getdomaininfo, arch_config) == 104, "xen_domctl_getdomaininfo.arch_config");
_Static_assert(sizeof(struct xen_domctl_getdomaininfo) == 112, "xen_domctl_getdomaininfo");

struct xen_domctl_getpageframeinfo3 {
  uint64_t num;
  uint64_t array;
};
_Static_assert(offsetof(struct xen_domctl_getpageframeinfo3, num) == 0, "xen_domctl_getpageframeinfo3.num");
_Static_assert(offsetof(struct xen_domctl_getpageframeinfo3, array) == 8, "xen_domctl_getpageframeinfo3.array");
_Static_assert(sizeof(struct xen_domctl_getpageframeinfo3) == 16, "xen_domctl_getpageframeinfo3");

struct xen_domctl_max_mem {
  uint64_t max_memkb;
};
_Static_assert(offsetof(struct xen_domctl_max_mem, max_memkb) == 0, "xen_domctl_max_mem.max_memkb");
_Static_assert(sizeof(struct xen_domctl_max_mem) == 8, "xen_domctl_max_mem");

struct xen_domctl_vcpucontext {
  uint32_t vcpu;
  uint8_t _gap0[4];
  uint64_t ctxt;
};
_Static_assert(offsetof(struct xen_domctl_vcpucontext, vcpu) == 0, "xen_domctl_vcpucontext.vcpu");
_Static_assert(offsetof(struct xen_domctl_vcpucontext, ctxt) == 8, "xen_domctl_vcpucontext.ctxt");
_Static_assert(sizeof(struct xen_domctl_vcpucontext) == 16, "xen_domctl_vcpucontext");

struct xen_domctl_getvcpuinfo {
  uint32_t vcpu;
  uint8_t online;
  uint8_t blocked;
  uint8_t running;
  uint8_t _gap0[1];
  uint64_t cpu_time;
  uint32_t cpu;
  uint8_t _gap1[4];
};
_Static_assert(offsetof(struct xen_domctl_getvcpuinfo, vcpu) == 0, "xen_domctl_getvcpuinfo.vcpu");
_Static_assert(offsetof(struct xen_domctl_getvcpuinfo, online) == 4, "xen_domctl_getvcpuinfo.online");
_Static_assert(offsetof(struct xen_domctl_getvcpuinfo, blocked) == 5, "xen_domctl_getvcpuinfo.blocked");
_Static_assert(offsetof(struct xen_domctl_getvcpuinfo, running) == 6, "xen_domctl_getvcpuinfo.running");
_Static_assert(offsetof(struct xen_domctl_getvcpuinfo, cpu_time) == 8, "xen_domctl_getvcpuinfo.cpu_time");
_Static_assert(offsetof(struct xen_domctl_getvcpuinfo, cpu) == 16, "xen_domctl_getvcpuinfo.cpu");
_Static_assert(sizeof(struct xen_domctl_getvcpuinfo) == 24, "xen_domctl_getvcpuinfo");

struct xen_domctl_nodeaffinity {
  struct xenctl_bitmap nodemap;
};
_Static_assert(offsetof(struct xen_domctl_nodeaffinity, nodemap) == 0, "xen_domctl_nodeaffinity.nodemap");
_Static_assert(sizeof(struct xen_domctl_nodeaffinity) == 16, "xen_domctl_nodeaffinity");

struct xen_domctl_vcpuaffinity {
  uint32_t vcpu;
  uint32_t flags;
  struct xenctl_bitmap cpumap_hard;
  struct xenctl_bitmap cpumap_soft;
};
_Static_assert(offsetof(struct xen_domctl_vcpuaffinity, vcpu) == 0, "xen_domctl_vcpuaffinity.vcpu");
_Static_assert(offsetof(struct xen_domctl_vcpuaffinity, flags) == 4, "xen_domctl_vcpuaffinity.flags");
_Static_assert(offsetof(struct xen_domctl_vcpuaffinity, cpumap_hard) == 8, "xen_domctl_vcpuaffinity.cpumap_hard");
_Static_assert(offsetof(struct xen_domctl_vcpuaffinity, cpumap_soft) == 24, "xen_domctl_vcpuaffinity.cpumap_soft");
_Static_assert(sizeof(struct xen_domctl_vcpuaffinity) == 40, "xen_domctl_vcpuaffinity");

struct xen_domctl_max_vcpus {
  uint32_t max;
};
_Static_assert(offsetof(struct xen_domctl_max_vcpus, max) == 0, "xen_domctl_max_vcpus.max");
_Static_assert(sizeof(struct xen_domctl_max_vcpus) == 4, "xen_domctl_max_vcpus");

struct bvt_adjdom {
  uint32_t mcu_adv;
  uint32_t warpback;
  int32_t warpvalue;
  uint8_t _gap0[4];
  int64_t warpl;
  int64_t warpu;
};
_Static_assert(offsetof(struct bvt_adjdom, mcu_adv) == 0, "bvt_adjdom.mcu_adv");
_Static_assert(offsetof(struct bvt_adjdom, warpback) == 4, "bvt_adjdom.warpback");
_Static_assert(offsetof(struct bvt_adjdom, warpvalue) == 8, "bvt_adjdom.warpvalue");
_Static_assert(offsetof(struct bvt_adjdom, warpl) == 16, "bvt_adjdom.warpl");
_Static_assert(offsetof(struct bvt_adjdom, warpu) == 24, "bvt_adjdom.warpu");
_Static_assert(sizeof(struct bvt_adjdom) == 32, "bvt_adjdom");

struct xen_domctl_sched_credit {
  uint16_t weight;
  uint16_t cap;
};
_Static_assert(offsetof(struct xen_domctl_sched_credit, weight) == 0, "xen_domctl_sched_credit.weight");
_Static_assert(offsetof(struct xen_domctl_sched_credit, cap) == 2, "xen_domctl_sched_credit.cap");
_Static_assert(sizeof(struct xen_domctl_sched_credit) == 4, "xen_domctl_sched_credit");

struct xen_domctl_sched_credit2 {
  uint16_t weight;
  uint16_t cap;
};
_Static_assert(offsetof(struct xen_domctl_sched_credit2, weight) == 0, "xen_domctl_sched_credit2.weight");
_Static_assert(offsetof(struct xen_domctl_sched_credit2, cap) == 2, "xen_domctl_sched_credit2.cap");
_Static_assert(sizeof(struct xen_domctl_sched_credit2) == 4, "xen_domctl_sched_credit2");

struct xen_domctl_scheduler_op {
  uint32_t sched_id;
  uint32_t cmd;
  union {
    struct xen_domctl_sched_credit credit;
    struct xen_domctl_sched_credit2 credit2;
    struct bvt_adjdom bvt;
  };
};
_Static_assert(offsetof(struct xen_domctl_scheduler_op, sched_id) == 0, "xen_domctl_scheduler_op.sched_id");
_Static_assert(offsetof(struct xen_domctl_scheduler_op, cmd) == 4, "xen_domctl_scheduler_op.cmd");
_Static_assert(offsetof(struct xen_domctl_scheduler_op, credit) == 8, "xen_domctl_scheduler_op.credit");
_Static_assert(offsetof(struct xen_domctl_scheduler_op, credit2) == 8, "xen_domctl_scheduler_op.credit2");
_Static_assert(offsetof(struct xen_domctl_scheduler_op, bvt) == 8, "xen_domctl_scheduler_op.bvt");
_Static_assert(sizeof(struct xen_domctl_scheduler_op) == 40, "xen_domctl_scheduler_op");

struct xen_domctl_setdomainhandle {
  uint8_t handle[16];
};
_Static_assert(offsetof(struct xen_domctl_setdomainhandle, handle) == 0, "xen_domctl_setdomainhandle.handle");
_Static_assert(sizeof(struct xen_domctl_setdomainhandle) == 16, "xen_domctl_setdomainhandle");

struct xen_domctl_setdebugging {
  uint8_t enable;
};
_Static_assert(offsetof(struct xen_domctl_setdebugging, enable) == 0, "xen_domctl_setdebugging.enable");
_Static_assert(sizeof(struct xen_domctl_setdebugging) == 1, "xen_domctl_setdebugging");

struct xen_domctl_irq_permission {
  uint32_t pirq;
  uint8_t allow_access;
  uint8_t _gap0[3];
};
_Static_assert(offsetof(struct xen_domctl_irq_permission, pirq) == 0, "xen_domctl_irq_permission.pirq");
_Static_assert(offsetof(struct xen_domctl_irq_permission, allow_access) == 4, "xen_domctl_irq_permission.allow_access");
_Static_assert(sizeof(struct xen_domctl_irq_permission) == 8, "xen_domctl_irq_permission");

struct xen_domctl_iomem_permission {
  uint64_t first_mfn;
  uint64_t nr_mfns;
  uint8_t allow_access;
  uint8_t _gap0[7];
};
_Static_assert(offsetof(struct xen_domctl_iomem_permission, first_mfn) == 0, "xen_domctl_iomem_permission.first_mfn");
_Static_assert(offsetof(struct xen_domctl_iomem_permission, nr_mfns) == 8, "xen_domctl_iomem_permission.nr_mfns");
_Static_assert(offsetof(struct xen_domctl_iomem_permission, allow_access) == 16, "xen_domctl_iomem_permission.allow_access");
_Static_assert(sizeof(struct xen_domctl_iomem_permission) == 24, "xen_domctl_iomem_permission");

struct xen_domctl_ioport_permission {
  uint32_t first_port;
  uint32_t nr_ports;
  uint8_t allow_access;
  uint8_t _gap0[3];
};
_Static_assert(offsetof(struct xen_domctl_ioport_permission, first_port) == 0, "xen_domctl_ioport_permission.first_port");
_Static_assert(offsetof(struct xen_domctl_ioport_permission, nr_ports) == 4, "xen_domctl_ioport_permission.nr_ports");
_Static_assert(offsetof(struct xen_domctl_ioport_permission, allow_access) == 8, "xen_domctl_ioport_permission.allow_access");
_Static_assert(sizeof(struct xen_domctl_ioport_permission) == 12, "xen_domctl_ioport_permission");

struct xen_domctl_hypercall_init {
  uint64_t gmfn;
};
_Static_assert(offsetof(struct xen_domctl_hypercall_init, gmfn) == 0, "xen_domctl_hypercall_init.gmfn");
_Static_assert(sizeof(struct xen_domctl_hypercall_init) == 8, "xen_domctl_hypercall_init");

struct xen_domctl_settimeoffset {
  int64_t time_offset_seconds;
};
_Static_assert(offsetof(struct xen_domctl_settimeoffset, time_offset_seconds) == 0, "xen_domctl_settimeoffset.time_offset_seconds");
_Static_assert(sizeof(struct xen_domctl_settimeoffset) == 8, "xen_domctl_settimeoffset");

struct xen_domctl_tsc_info {
  uint32_t tsc_mode;
  uint32_t gtsc_khz;
  uint32_t incarnation;
  uint32_t pad;
  uint64_t elapsed_nsec;
};
_Static_assert(offsetof(struct xen_domctl_tsc_info, tsc_mode) == 0, "xen_domctl_tsc_info.tsc_mode");
_Static_assert(offsetof(struct xen_domctl_tsc_info, gtsc_khz) == 4, "xen_domctl_tsc_info.gtsc_khz");
_Static_assert(offsetof(struct xen_domctl_tsc_info, incarnation) == 8, "xen_domctl_tsc_info.incarnation");
_Static_assert(offsetof(struct xen_domctl_tsc_info, pad) == 12, "xen_domctl_tsc_info.pad");
_Static_assert(offsetof(struct xen_domctl_tsc_info, elapsed_nsec) == 16, "xen_domctl_tsc_info.elapsed_nsec");
_Static_assert(sizeof(struct xen_domctl_tsc_info) == 24, "xen_domctl_tsc_info");

struct xen_domctl_address_size {
  uint32_t size;
};
_Static_assert(offsetof(struct xen_domctl_address_size, size) == 0, "xen_domctl_address_size.size");
_Static_assert(sizeof(struct xen_domctl_address_size) == 4, "xen_domctl_address_size");

struct xen_domctl_sendtrigger {
  uint32_t trigger;
  uint32_t vcpu;
};
_Static_assert(offsetof(struct xen_domctl_sendtrigger, trigger) == 0, "xen_domctl_sendtrigger.trigger");
_Static_assert(offsetof(struct xen_domctl_sendtrigger, vcpu) == 4, "xen_domctl_sendtrigger.vcpu");
_Static_assert(sizeof(struct xen_domctl_sendtrigger) == 8, "xen_domctl_sendtrigger");

struct xen_domctl_subscribe {
  uint32_t port;
};
_Static_assert(offsetof(struct xen_domctl_subscribe, port) == 0, "xen_domctl_subscribe.port");
_Static_assert(sizeof(struct xen_domctl_subscribe) == 4, "xen_domctl_subscribe");

struct xen_domctl_set_virq_handler {
  uint32_t virq;
};
_Static_assert(offsetof(struct xen_domctl_set_virq_handler, virq) == 0, "xen_domctl_set_virq_handler.virq");
_Static_assert(sizeof(struct xen_domctl_set_virq_handler) == 4, "xen_domctl_set_virq_handler");

struct xen_domctl_cpu_policy {
  uint32_t nr_leaves;
  uint32_t nr_msrs;
  uint64_t leaves;
  uint64_t msrs;
  uint32_t err_leaf;
  uint32_t err_subleaf;
  uint32_t err_msr;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct xen_domctl_cpu_policy, nr_leaves) == 0, "xen_domctl_cpu_policy.nr_leaves");
_Static_assert(offsetof(struct xen_domctl_cpu_policy, nr_msrs) == 4, "xen_domctl_cpu_policy.nr_msrs");
_Static_assert(offsetof(struct xen_domctl_cpu_policy, leaves) == 8, "xen_domctl_cpu_policy.leaves");
_Static_assert(offsetof(struct xen_domctl_cpu_policy, msrs) == 16, "xen_domctl_cpu_policy.msrs");
_Static_assert(offsetof(struct xen_domctl_cpu_policy, err_leaf) == 24, "xen_domctl_cpu_policy.err_leaf");
_Static_assert(offsetof(struct xen_domctl_cpu_policy, err_subleaf) == 28, "xen_domctl_cpu_policy.err_subleaf");
_Static_assert(offsetof(struct xen_domctl_cpu_policy, err_msr) == 32, "xen_domctl_cpu_policy.err_msr");
_Static_assert(sizeof(struct xen_domctl_cpu_policy) == 40, "xen_domctl_cpu_policy");

struct xen_domctl {
  uint32_t cmd;
  uint32_t interface_version;
  uint16_t domain;
  uint8_t _gap0[6];
  union {
    struct xen_domctl_createdomain createdomain;
    struct xen_domctl_getdomaininfo getdomaininfo;
    struct xen_domctl_getpageframeinfo3 getpageframeinfo3;
    struct xen_domctl_nodeaffinity nodeaffinity;
    struct xen_domctl_vcpuaffinity vcpuaffinity;
    struct xen_domctl_max_mem max_mem;
    struct xen_domctl_vcpucontext vcpucontext;
    struct xen_domctl_getvcpuinfo getvcpuinfo;
    struct xen_domctl_max_vcpus max_vcpus;
    struct xen_domctl_scheduler_op scheduler_op;
    struct xen_domctl_setdomainhandle setdomainhandle;
    struct xen_domctl_setdebugging setdebugging;
    struct xen_domctl_irq_permission irq_permission;
    struct xen_domctl_iomem_permission iomem_permission;
    struct xen_domctl_ioport_permission ioport_permission;
    struct xen_domctl_hypercall_init hypercall_init;
    struct xen_domctl_settimeoffset settimeoffset;
    struct xen_domctl_tsc_info tsc_info;
    struct xen_domctl_address_size address_size;
    struct xen_domctl_sendtrigger sendtrigger;
    struct xen_domctl_subscribe subscribe;
    struct xen_domctl_set_virq_handler set_virq_handler;
    struct xen_domctl_cpu_policy cpu_policy;
    uint8_t pad[128];
  };
};
_Static_assert(offsetof(struct xen_domctl, cmd) == 0, "xen_domctl.cmd");
_Static_assert(offsetof(struct xen_domctl, interface_version) == 4, "xen_domctl.interface_version");
_Static_assert(offsetof(struct xen_domctl, domain) == 8, "xen_domctl.domain");
_Static_assert(offsetof(struct xen_domctl, createdomain) == 16, "xen_domctl.createdomain");
_Static_assert(offsetof(struct xen_domctl, getdomaininfo) == 16, "xen_domctl.getdomaininfo");
_Static_assert(offsetof(struct xen_domctl, getpageframeinfo3) == 16, "xen_domctl.getpageframeinfo3");
_Static_assert(offsetof(struct xen_domctl, nodeaffinity) == 16, "xen_domctl.nodeaffinity");
_Static_assert(offsetof(struct xen_domctl, vcpuaffinity) == 16, "xen_domctl.vcpuaffinity");
_Static_assert(offsetof(struct xen_domctl, max_mem) == 16, "xen_domctl.max_mem");
_Static_assert(offsetof(struct xen_domctl, vcpucontext) == 16, "xen_domctl.vcpucontext");
_Static_assert(offsetof(struct xen_domctl, getvcpuinfo) == 16, "xen_domctl.getvcpuinfo");
_Static_assert(offsetof(struct xen_domctl, max_vcpus) == 16, "xen_domctl.max_vcpus");
_Static_assert(offsetof(struct xen_domctl, scheduler_op) == 16, "xen_domctl.scheduler_op");
_Static_assert(offsetof(struct xen_domctl, setdomainhandle) == 16, "xen_domctl.setdomainhandle");
_Static_assert(offsetof(struct xen_domctl, setdebugging) == 16, "xen_domctl.setdebugging");
_Static_assert(offsetof(struct xen_domctl, irq_permission) == 16, "xen_domctl.irq_permission");
_Static_assert(offsetof(struct xen_domctl, iomem_permission) == 16, "xen_domctl.iomem_permission");
_Static_assert(offsetof(struct xen_domctl, ioport_permission) == 16, "xen_domctl.ioport_permission");
_Static_assert(offsetof(struct xen_domctl, hypercall_init) == 16, "xen_domctl.hypercall_init");
_Static_assert(offsetof(struct xen_domctl, settimeoffset) == 16, "xen_domctl.settimeoffset");
_Static_assert(offsetof(struct xen_domctl, tsc_info) == 16, "xen_domctl.tsc_info");
_Static_assert(offsetof(struct xen_domctl, address_size) == 16, "xen_domctl.address_size");
_Static_assert(offsetof(struct xen_domctl, sendtrigger) == 16, "xen_domctl.sendtrigger");
_Static_assert(offsetof(struct xen_domctl, subscribe) == 16, "xen_domctl.subscribe");
_Static_assert(offsetof(struct xen_domctl, set_virq_handler) == 16, "xen_domctl.set_virq_handler");
_Static_assert(offsetof(struct xen_domctl, cpu_policy) == 16, "xen_domctl.cpu_policy");
_Static_assert(offsetof(struct xen_domctl, pad) == 16, "xen_domctl.pad");
_Static_assert(sizeof(struct xen_domctl) == 144, "xen_domctl");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_DOMCTL_H */

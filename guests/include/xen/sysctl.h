/* Generated from shared/abi/sysctl.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_SYSCTL_H
#define XENOLITH_SYSCTL_H

#define XEN_SYSCTL_INTERFACE_VERSION 21
#define XEN_SYSCTL_readconsole 1
#define XEN_SYSCTL_tbuf_op 2
#define XEN_SYSCTL_physinfo 3
#define XEN_SYSCTL_sched_id 4
#define XEN_SYSCTL_perfc_op 5
#define XEN_SYSCTL_getdomaininfolist 6
#define XEN_SYSCTL_debug_keys 7
#define XEN_SYSCTL_getcpuinfo 8
#define XEN_SYSCTL_availheap 9
#define XEN_SYSCTL_get_pmstat 10
#define XEN_SYSCTL_cpu_hotplug 11
#define XEN_SYSCTL_pm_op 12
#define XEN_SYSCTL_page_offline_op 14
#define XEN_SYSCTL_lockprof_op 15
#define XEN_SYSCTL_cputopoinfo 16
#define XEN_SYSCTL_numainfo 17
#define XEN_SYSCTL_cpupool_op 18
#define XEN_SYSCTL_scheduler_op 19
#define XEN_SYSCTL_coverage_op 20
#define XEN_SYSCTL_psr_cmt_op 21
#define XEN_SYSCTL_pcitopoinfo 22
#define XEN_SYSCTL_psr_alloc 23
#define XEN_SYSCTL_get_cpu_levelling_caps 25
#define XEN_SYSCTL_get_cpu_featureset 26
#define XEN_SYSCTL_livepatch_op 27
#define XEN_SYSCTL_get_cpu_policy 29
#define XEN_SYSCTL_PHYSCAP_hvm 1
#define XEN_SYSCTL_PHYSCAP_pv 2
#define XEN_SYSCTL_PHYSCAP_directio 4
#define XEN_SYSCTL_PHYSCAP_hap 8
#define XEN_SYSCTL_PHYSCAP_shadow 16
#define XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share 32
#define XEN_SYSCTL_PHYSCAP_vmtrace 64
#define XEN_SYSCTL_PHYSCAP_vpmu 128
#define XEN_SYSCTL_PHYSCAP_gnttab_v1 0x100
#define XEN_SYSCTL_PHYSCAP_gnttab_v2 0x200
#define XEN_SYSCTL_PHYSCAP_MAX 0x200
#define XEN_SYSCTL_CPUPOOL_OP_CREATE 1
#define XEN_SYSCTL_CPUPOOL_OP_DESTROY 2
#define XEN_SYSCTL_CPUPOOL_OP_INFO 3
#define XEN_SYSCTL_CPUPOOL_OP_ADDCPU 4
#define XEN_SYSCTL_CPUPOOL_OP_RMCPU 5
#define XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN 6
#define XEN_SYSCTL_CPUPOOL_OP_FREEINFO 7
#define XEN_SYSCTL_SCHEDOP_putinfo 0
#define XEN_SYSCTL_SCHEDOP_getinfo 1

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xen_sysctl_readconsole {
  uint8_t clear;
  uint8_t incremental;
  uint8_t pad0;
  uint8_t pad1;
  uint32_t index;
  uint64_t buffer;
  uint32_t count;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct xen_sysctl_readconsole, clear) == 0, "xen_sysctl_readconsole.clear");
_Static_assert(offsetof(struct xen_sysctl_readconsole, incremental) == 1, "xen_sysctl_readconsole.incremental");
_Static_assert(offsetof(struct xen_sysctl_readconsole, pad0) == 2, "xen_sysctl_readconsole.pad0");
_Static_assert(offsetof(struct xen_sysctl_readconsole, pad1) == 3, "xen_sysctl_readconsole.pad1");
_Static_assert(offsetof(struct xen_sysctl_readconsole, index) == 4, "xen_sysctl_readconsole.index");
_Static_assert(offsetof(struct xen_sysctl_readconsole, buffer) == 8, "xen_sysctl_readconsole.buffer");
_Static_assert(offsetof(struct xen_sysctl_readconsole, count) == 16, "xen_sysctl_readconsole.count");
_Static_assert(sizeof(struct xen_sysctl_readconsole) == 24, "xen_sysctl_readconsole");

struct xen_sysctl_physinfo {
  uint32_t threads_per_core;
  uint32_t cores_per_socket;
  uint32_t nr_cpus;
  uint32_t max_cpu_id;
  uint32_t nr_nodes;
  uint32_t max_node_id;
  uint32_t cpu_khz;
  uint32_t capabilities;
  uint32_t arch_capabilities;
  uint32_t pad;
  uint64_t total_pages;
  uint64_t free_pages;
  uint64_t scrub_pages;
  uint64_t outstanding_pages;
  uint64_t max_mfn;
  uint32_t hw_cap[8];
};
_Static_assert(offsetof(struct xen_sysctl_physinfo, threads_per_core) == 0, "xen_sysctl_physinfo.threads_per_core");
_Static_assert(offsetof(struct xen_sysctl_physinfo, cores_per_socket) == 4, "xen_sysctl_physinfo.cores_per_socket");
_Static_assert(offsetof(struct xen_sysctl_physinfo, nr_cpus) == 8, "xen_sysctl_physinfo.nr_cpus");
_Static_assert(offsetof(struct xen_sysctl_physinfo, max_cpu_id) == 12, "xen_sysctl_physinfo.max_cpu_id");
_Static_assert(offsetof(struct xen_sysctl_physinfo, nr_nodes) == 16, "xen_sysctl_physinfo.nr_nodes");
_Static_assert(offsetof(struct xen_sysctl_physinfo, max_node_id) == 20, "xen_sysctl_physinfo.max_node_id");
_Static_assert(offsetof(struct xen_sysctl_physinfo, cpu_khz) == 24, "xen_sysctl_physinfo.cpu_khz");
_Static_assert(offsetof(struct xen_sysctl_physinfo, capabilities) == 28, "xen_sysctl_physinfo.capabilities");
_Static_assert(offsetof(struct xen_sysctl_physinfo, arch_capabilities) == 32, "xen_sysctl_physinfo.arch_capabilities");
_Static_assert(offsetof(struct xen_sysctl_physinfo, pad) == 36, "xen_sysctl_physinfo.pad");
_Static_assert(offsetof(struct xen_sysctl_physinfo, total_pages) == 40, "xen_sysctl_physinfo.total_pages");
_Static_assert(offsetof(struct xen_sysctl_physinfo, free_pages) == 48, "xen_sysctl_physinfo.free_pages");
_Static_assert(offsetof(struct xen_sysctl_physinfo, scrub_pages) == 56, "xen_sysctl_physinfo.scrub_pages");
_Static_assert(offsetof(struct xen_sysctl_physinfo, outstanding_pages) == 64, "xen_sysctl_physinfo.outstanding_pages");
_Static_assert(offsetof(struct xen_sysctl_physinfo, max_mfn) == 72, "xen_sysctl_physinfo.max_mfn");
_Static_assert(offsetof(struct xen_sysctl_physinfo, hw_cap) == 80, "xen_sysctl_physinfo.hw_cap");
_Static_assert(sizeof(struct xen_sysctl_physinfo) == 112, "xen_sysctl_physinfo");

struct xen_sysctl_sched_id {
  uint32_t sched_id;
};
_Static_assert(offsetof(struct xen_sysctl_sched_id, sched_id) == 0, "xen_sysctl_sched_id.sched_id");
_Static_assert(sizeof(struct xen_sysctl_sched_id) == 4, "xen_sysctl_sched_id");

struct xen_sysctl_getdomaininfolist {
  uint16_t first_domain;
  uint8_t _gap0[2];
  uint32_t max_domains;
  uint64_t buffer;
  uint32_t num_domains;
  uint8_t _gap1[4];
};
_Static_assert(offsetof(struct xen_sysctl_getdomaininfolist, first_domain) == 0, "xen_sysctl_getdomaininfolist.first_domain");
_Static_assert(offsetof(struct xen_sysctl_getdomaininfolist, max_domains) == 4, "xen_sysctl_getdomaininfolist.max_domains");
_Static_assert(offsetof(struct xen_sysctl_getdomaininfolist, buffer) == 8, "xen_sysctl_getdomaininfolist.buffer");
_Static_assert(offsetof(struct xen_sysctl_getdomaininfolist, num_domains) == 16, "xen_sysctl_getdomaininfolist.num_domains");
_Static_assert(sizeof(struct xen_sysctl_getdomaininfolist) == 24, "xen_sysctl_getdomaininfolist");

struct xen_sysctl_debug_keys {
  uint64_t keys;
  uint32_t nr_keys;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct xen_sysctl_debug_keys, keys) == 0, "xen_sysctl_debug_keys.keys");
_Static_assert(offsetof(struct xen_sysctl_debug_keys, nr_keys) == 8, "xen_sysctl_debug_keys.nr_keys");
_Static_assert(sizeof(struct xen_sysctl_debug_keys) == 16, "xen_sysctl_debug_keys");

struct xen_sysctl_cpuinfo {
  uint64_t idletime;
};
_Static_assert(offsetof(struct xen_sysctl_cpuinfo, idletime) == 0, "xen_sysctl_cpuinfo.idletime");
_Static_assert(sizeof(struct xen_sysctl_cpuinfo) == 8, "xen_sysctl_cpuinfo");

struct xen_sysctl_getcpuinfo {
  uint32_t max_cpus;
  uint8_t _gap0[4];
  uint64_t info;
  uint32_t nr_cpus;
  uint8_t _gap1[4];
};
_Static_assert(offsetof(struct xen_sysctl_getcpuinfo, max_cpus) == 0, "xen_sysctl_getcpuinfo.max_cpus");
_Static_assert(offsetof(struct xen_sysctl_getcpuinfo, info) == 8, "xen_sysctl_getcpuinfo.info");
_Static_assert(offsetof(struct xen_sysctl_getcpuinfo, nr_cpus) == 16, "xen_sysctl_getcpuinfo.nr_cpus");
_Static_assert(sizeof(struct xen_sysctl_getcpuinfo) == 24, "xen_sysctl_getcpuinfo");

struct xen_sysctl_availheap {
  uint32_t min_bitwidth;
  uint32_t max_bitwidth;
  int32_t node;
  uint8_t _gap0[4];
  uint64_t avail_bytes;
};
_Static_assert(offsetof(struct xen_sysctl_availheap, min_bitwidth) == 0, "xen_sysctl_availheap.min_bitwidth");
_Static_assert(offsetof(struct xen_sysctl_availheap, max_bitwidth) == 4, "xen_sysctl_availheap.max_bitwidth");
_Static_assert(offsetof(struct xen_sysctl_availheap, node) == 8, "xen_sysctl_availheap.node");
_Static_assert(offsetof(struct xen_sysctl_availheap, avail_bytes) == 16, "xen_sysctl_availheap.avail_bytes");
_Static_assert(sizeof(struct xen_sysctl_availheap) == 24, "xen_sysctl_availheap");

struct xen_sysctl_cputopo {
  uint32_t core;
  uint32_t socket;
  uint32_t node;
};
_Static_assert(offsetof(struct xen_sysctl_cputopo, core) == 0, "xen_sysctl_cputopo.core");
_Static_assert(offsetof(struct xen_sysctl_cputopo, socket) == 4, "xen_sysctl_cputopo.socket");
_Static_assert(offsetof(struct xen_sysctl_cputopo, node) == 8, "xen_sysctl_cputopo.node");
_Static_assert(sizeof(struct xen_sysctl_cputopo) == 12, "xen_sysctl_cputopo");

struct xen_sysctl_cputopoinfo {
  uint32_t num_cpus;
  uint8_t _gap0[4];
  uint64_t cputopo;
};
_Static_assert(offsetof(struct xen_sysctl_cputopoinfo, num_cpus) == 0, "xen_sysctl_cputopoinfo.num_cpus");
_Static_assert(offsetof(struct xen_sysctl_cputopoinfo, cputopo) == 8, "xen_sysctl_cputopoinfo.cputopo");
_Static_assert(sizeof(struct xen_sysctl_cputopoinfo) == 16, "xen_sysctl_cputopoinfo");

struct xen_sysctl_meminfo {
  uint64_t memsize;
  uint64_t memfree;
};
_Static_assert(offsetof(struct xen_sysctl_meminfo, memsize) == 0, "xen_sysctl_meminfo.memsize");
_Static_assert(offsetof(struct xen_sysctl_meminfo, memfree) == 8, "xen_sysctl_meminfo.memfree");
_Static_assert(sizeof(struct xen_sysctl_meminfo) == 16, "xen_sysctl_meminfo");

struct xen_sysctl_numainfo {
  uint32_t num_nodes;
  uint8_t _gap0[4];
  uint64_t meminfo;
  uint64_t distance;
};
_Static_assert(offsetof(struct xen_sysctl_numainfo, num_nodes) == 0, "xen_sysctl_numainfo.num_nodes");
_Static_assert(offsetof(struct xen_sysctl_numainfo, meminfo) == 8, "xen_sysctl_numainfo.meminfo");
_Static_assert(offsetof(struct xen_sysctl_numainfo, distance) == 16, "xen_sysctl_numainfo.distance");
_Static_assert(sizeof(struct xen_sysctl_numainfo) == 24, "xen_sysctl_numainfo");

struct bvt_ctl {
  uint32_t ctx_allow;
};
_Static_assert(offsetof(struct bvt_ctl, ctx_allow) == 0, "bvt_ctl.ctx_allow");
_Static_assert(sizeof(struct bvt_ctl) == 4, "bvt_ctl");

struct xen_sysctl_credit_schedule {
  uint32_t tslice_ms;
  uint32_t ratelimit_us;
  uint32_t vcpu_migr_delay_us;
};
_Static_assert(offsetof(struct xen_sysctl_credit_schedule, tslice_ms) == 0, "xen_sysctl_credit_schedule.tslice_ms");
_Static_assert(offsetof(struct xen_sysctl_credit_schedule, ratelimit_us) == 4, "xen_sysctl_credit_schedule.ratelimit_us");
_Static_assert(offsetof(struct xen_sysctl_credit_schedule, vcpu_migr_delay_us) == 8, "xen_sysctl_credit_schedule.vcpu_migr_delay_us");
_Static_assert(sizeof(struct xen_sysctl_credit_schedule) == 12, "xen_sysctl_credit_schedule");

struct xen_sysctl_credit2_schedule {
  uint32_t ratelimit_us;
};
_Static_assert(offsetof(struct xen_sysctl_credit2_schedule, ratelimit_us) == 0, "xen_sysctl_credit2_schedule.ratelimit_us");
_Static_assert(sizeof(struct xen_sysctl_credit2_schedule) == 4, "xen_sysctl_credit2_schedule");

struct xen_sysctl_scheduler_op {
  uint32_t cpupool_id;
  uint32_t sched_id;
  uint32_t cmd;
  uint8_t _gap0[4];
  union {
    struct xen_sysctl_credit_schedule sched_credit;
    struct xen_sysctl_credit2_schedule sched_credit2;
    struct bvt_ctl sched_bvt;
  };
  uint8_t _gap1[4];
};
_Static_assert(offsetof(struct xen_sysctl_scheduler_op, cpupool_id) == 0, "xen_sysctl_scheduler_op.cpupool_id");
_Static_assert(offsetof(struct xen_sysctl_scheduler_op, sched_id) == 4, "xen_sysctl_scheduler_op.sched_id");
_Static_assert(offsetof(struct xen_sysctl_scheduler_op, cmd) == 8, "xen_sysctl_scheduler_op.cmd");
_Static_assert(offsetof(struct xen_sysctl_scheduler_op, sched_credit) == 16, "xen_sysctl_scheduler_op.sched_credit");
_Static_assert(offsetof(struct xen_sysctl_scheduler_op, sched_credit2) == 16, "xen_sysctl_scheduler_op.sched_credit2");
_Static_assert(offsetof(struct xen_sysctl_scheduler_op, sched_bvt) == 16, "xen_sysctl_scheduler_op.sched_bvt");
_Static_assert(sizeof(struct xen_sysctl_scheduler_op) == 32, "xen_sysctl_scheduler_op");

struct xen_sysctl {
  uint32_t cmd;
  uint32_t interface_version;
  union {
    struct xen_sysctl_readconsole readconsole;
    struct xen_sysctl_physinfo physinfo;
    struct xen_sysctl_cputopoinfo cputopoinfo;
    struct xen_sysctl_numainfo numainfo;
    struct xen_sysctl_sched_id sched_id;
    struct xen_sysctl_getdomaininfolist getdomaininfolist;
    struct xen_sysctl_debug_keys debug_keys;
    struct xen_sysctl_getcpuinfo getcpuinfo;
    struct xen_sysctl_availheap availheap;
    struct xen_sysctl_scheduler_op scheduler_op;
    uint8_t pad[128];
  };
};
_Static_assert(offsetof(struct xen_sysctl, cmd) == 0, "xen_sysctl.cmd");
_Static_assert(offsetof(struct xen_sysctl, interface_version) == 4, "xen_sysctl.interface_version");
_Static_assert(offsetof(struct xen_sysctl, readconsole) == 8, "xen_sysctl.readconsole");
_Static_assert(offsetof(struct xen_sysctl, physinfo) == 8, "xen_sysctl.physinfo");
_Static_assert(offsetof(struct xen_sysctl, cputopoinfo) == 8, "xen_sysctl.cputopoinfo");
_Static_assert(offsetof(struct xen_sysctl, numainfo) == 8, "xen_sysctl.numainfo");
_Static_assert(offsetof(struct xen_sysctl, sched_id) == 8, "xen_sysctl.sched_id");
_Static_assert(offsetof(struct xen_sysctl, getdomaininfolist) == 8, "xen_sysctl.getdomaininfolist");
_Static_assert(offsetof(struct xen_sysctl, debug_keys) == 8, "xen_sysctl.debug_keys");
_Static_assert(offsetof(struct xen_sysctl, getcpuinfo) == 8, "xen_sysctl.getcpuinfo");
_Static_assert(offsetof(struct xen_sysctl, availheap) == 8, "xen_sysctl.availheap");
_Static_assert(offsetof(struct xen_sysctl, scheduler_op) == 8, "xen_sysctl.scheduler_op");
_Static_assert(offsetof(struct xen_sysctl, pad) == 8, "xen_sysctl.pad");
_Static_assert(sizeof(struct xen_sysctl) == 136, "xen_sysctl");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_SYSCTL_H */

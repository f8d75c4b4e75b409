/* Generated from shared/abi/memory.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_MEMORY_H
#define XENOLITH_MEMORY_H

#define XENMEM_increase_reservation 0
#define XENMEM_decrease_reservation 1
#define XENMEM_maximum_ram_page 2
#define XENMEM_current_reservation 3
#define XENMEM_maximum_reservation 4
#define XENMEM_machphys_mfn_list 5
#define XENMEM_populate_physmap 6
#define XENMEM_add_to_physmap 7
#define XENMEM_memory_map 9
#define XENMEM_machine_memory_map 10
#define XENMEM_exchange 11
#define XENMEM_machphys_mapping 12
#define XENMEM_set_memory_map 13
#define XENMEM_maximum_gpfn 14
#define XENMEM_remove_from_physmap 15
#define XENMEM_set_pod_target 16
#define XENMEM_get_pod_target 17
#define XENMEM_get_sharing_freed_pages 18
#define XENMEM_get_sharing_shared_pages 19
#define XENMEM_paging_op 20
#define XENMEM_access_op 21
#define XENMEM_sharing_op 22
#define XENMEM_add_to_physmap_batch 23
#define XENMEM_claim_pages 24
#define XENMEM_machphys_compat_mfn_list 25
#define XENMEM_get_vnumainfo 26
#define XENMEM_reserved_device_memory_map 27
#define XENMEM_acquire_resource 28
#define XENMEMF_populate_on_demand 0x10000
#define XENMEMF_exact_node_request 0x20000
#define XENMEMF_vnode 0x40000
#define XENMAPSPACE_shared_info 0
#define XENMAPSPACE_grant_table 1
#define XENMAPSPACE_gmfn 2
#define XENMAPSPACE_gmfn_range 3
#define XENMAPSPACE_gmfn_foreign 4
#define XENMAPSPACE_dev_mmio 5
#define XENMAPIDX_grant_table_status 0x80000000
#define E820_RAM 1
#define E820_RESERVED 2
#define E820_ACPI 3
#define E820_NVS 4
#define E820_UNUSABLE 5
#define E820MAX 128
#define XENMEM_resource_ioreq_server 0
#define XENMEM_resource_grant_table 1
#define XENMEM_resource_vmtrace_buf 2
#define XENMEM_resource_grant_table_id_shared 0
#define XENMEM_resource_grant_table_id_status 1

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xen_memory_reservation {
  uint64_t extent_start;
  uint64_t nr_extents;
  uint32_t extent_order;
  uint32_t mem_flags;
  uint16_t domid;
  uint8_t _gap0[6];
};
_Static_assert(offsetof(struct xen_memory_reservation, extent_start) == 0, "xen_memory_reservation.extent_start");
_Static_assert(offsetof(struct xen_memory_reservation, nr_extents) == 8, "xen_memory_reservation.nr_extents");
_Static_assert(offsetof(struct xen_memory_reservation, extent_order) == 16, "xen_memory_reservation.extent_order");
_Static_assert(offsetof(struct xen_memory_reservation, mem_flags) == 20, "xen_memory_reservation.mem_flags");
_Static_assert(offsetof(struct xen_memory_reservation, domid) == 24, "xen_memory_reservation.domid");
_Static_assert(sizeof(struct xen_memory_reservation) == 32, "xen_memory_reservation");

struct xen_memory_exchange {
  struct xen_memory_reservation in;
  struct xen_memory_reservation out;
  uint64_t nr_exchanged;
};
_Static_assert(offsetof(struct xen_memory_exchange, in) == 0, "xen_memory_exchange.in");
_Static_assert(offsetof(struct xen_memory_exchange, out) == 32, "xen_memory_exchange.out");
_Static_assert(offsetof(struct xen_memory_exchange, nr_exchanged) == 64, "xen_memory_exchange.nr_exchanged");
_Static_assert(sizeof(struct xen_memory_exchange) == 72, "xen_memory_exchange");

struct xen_memory_domain {
  uint16_t domid;
};
_Static_assert(offsetof(struct xen_memory_domain, domid) == 0, "xen_memory_domain.domid");
_Static_assert(sizeof(struct xen_memory_domain) == 2, "xen_memory_domain");

struct xen_machphys_mfn_list {
  uint32_t max_extents;
  uint8_t _gap0[4];
  uint64_t extent_start;
  uint32_t nr_extents;
  uint8_t _gap1[4];
};
_Static_assert(offsetof(struct xen_machphys_mfn_list, max_extents) == 0, "xen_machphys_mfn_list.max_extents");
_Static_assert(offsetof(struct xen_machphys_mfn_list, extent_start) == 8, "xen_machphys_mfn_list.extent_start");
_Static_assert(offsetof(struct xen_machphys_mfn_list, nr_extents) == 16, "xen_machphys_mfn_list.nr_extents");
_Static_assert(sizeof(struct xen_machphys_mfn_list) == 24, "xen_machphys_mfn_list");

struct xen_machphys_mapping {
  uint64_t v_start;
  uint64_t v_end;
  uint64_t max_mfn;
};
_Static_assert(offsetof(struct xen_machphys_mapping, v_start) == 0, "xen_machphys_mapping.v_start");
_Static_assert(offsetof(struct xen_machphys_mapping, v_end) == 8, "xen_machphys_mapping.v_end");
_Static_assert(offsetof(struct xen_machphys_mapping, max_mfn) == 16, "xen_machphys_mapping.max_mfn");
_Static_assert(sizeof(struct xen_machphys_mapping) == 24, "xen_machphys_mapping");

struct xen_add_to_physmap {
  uint16_t domid;
  uint16_t size;
  uint32_t space;
  uint64_t idx;
  uint64_t gpfn;
};
_Static_assert(offsetof(struct xen_add_to_physmap, domid) == 0, "xen_add_to_physmap.domid");
_Static_assert(offsetof(struct xen_add_to_physmap, size) == 2, "xen_add_to_physmap.size");
_Static_assert(offsetof(struct xen_add_to_physmap, space) == 4, "xen_add_to_physmap.space");
_Static_assert(offsetof(struct xen_add_to_physmap, idx) == 8, "xen_add_to_physmap.idx");
_Static_assert(offsetof(struct xen_add_to_physmap, gpfn) == 16, "xen_add_to_physmap.gpfn");
_Static_assert(sizeof(struct xen_add_to_physmap) == 24, "xen_add_to_physmap");

struct xen_add_to_physmap_batch {
  uint16_t domid;
  uint16_t space;
  uint16_t size;
  uint16_t foreign_domid;
  uint64_t idxs;
  uint64_t gpfns;
  uint64_t errs;
};
_Static_assert(offsetof(struct xen_add_to_physmap_batch, domid) == 0, "xen_add_to_physmap_batch.domid");
_Static_assert(offsetof(struct xen_add_to_physmap_batch, space) == 2, "xen_add_to_physmap_batch.space");
_Static_assert(offsetof(struct xen_add_to_physmap_batch, size) == 4, "xen_add_to_physmap_batch.size");
_Static_assert(offsetof(struct xen_add_to_physmap_batch, foreign_domid) == 6, "xen_add_to_physmap_batch.foreign_domid");
_Static_assert(offsetof(struct xen_add_to_physmap_batch, idxs) == 8, "xen_add_to_physmap_batch.idxs");
_Static_assert(offsetof(struct xen_add_to_physmap_batch, gpfns) == 16, "xen_add_to_physmap_batch.gpfns");
_Static_assert(offsetof(struct xen_add_to_physmap_batch, errs) == 24, "xen_add_to_physmap_batch.errs");
_Static_assert(sizeof(struct xen_add_to_physmap_batch) == 32, "xen_add_to_physmap_batch");

struct xen_remove_from_physmap {
  uint16_t domid;
  uint8_t _gap0[6];
  uint64_t gpfn;
};
_Static_assert(offsetof(struct xen_remove_from_physmap, domid) == 0, "xen_remove_from_physmap.domid");
_Static_assert(offsetof(struct xen_remove_from_physmap, gpfn) == 8, "xen_remove_from_physmap.gpfn");
_Static_assert(sizeof(struct xen_remove_from_physmap) == 16, "xen_remove_from_physmap");

struct xen_memory_map {
  uint32_t nr_entries;
  uint8_t _gap0[4];
  uint64_t buffer;
};
_Static_assert(offsetof(struct xen_memory_map, nr_entries) == 0, "xen_memory_map.nr_entries");
_Static_assert(offsetof(struct xen_memory_map, buffer) == 8, "xen_memory_map.buffer");
_Static_assert(sizeof(struct xen_memory_map) == 16, "xen_memory_map");

struct xen_foreign_memory_map {
  uint16_t domid;
  uint8_t _gap0[6];
  struct xen_memory_map map;
};
_Static_assert(offsetof(struct xen_foreign_memory_map, domid) == 0, "xen_foreign_memory_map.domid");
_Static_assert(offsetof(struct xen_foreign_memory_map, map) == 8, "xen_foreign_memory_map.map");
_Static_assert(sizeof(struct xen_foreign_memory_map) == 24, "xen_foreign_memory_map");

struct xen_e820entry {
  uint32_t addr_lo;
  uint32_t addr_hi;
  uint32_t size_lo;
  uint32_t size_hi;
  uint32_t type;
};
_Static_assert(offsetof(struct xen_e820entry, addr_lo) == 0, "xen_e820entry.addr_lo");
_Static_assert(offsetof(struct xen_e820entry, addr_hi) == 4, "xen_e820entry.addr_hi");
_Static_assert(offsetof(struct xen_e820entry, size_lo) == 8, "xen_e820entry.size_lo");
_Static_assert(offsetof(struct xen_e820entry, size_hi) == 12, "xen_e820entry.size_hi");
_Static_assert(offsetof(struct xen_e820entry, type) == 16, "xen_e820entry.type");
_Static_assert(sizeof(struct xen_e820entry) == 20, "xen_e820entry");

struct xen_pod_target {
  uint64_t target_pages;
  uint64_t tot_pages;
  uint64_t pod_cache_pages;
  uint64_t pod_entries;
  uint16_t domid;
  uint8_t _gap0[6];
};
_Static_assert(offsetof(struct xen_pod_target, target_pages) == 0, "xen_pod_target.target_pages");
_Static_assert(offsetof(struct xen_pod_target, tot_pages) == 8, "xen_pod_target.tot_pages");
_Static_assert(offsetof(struct xen_pod_target, pod_cache_pages) == 16, "xen_pod_target.pod_cache_pages");
_Static_assert(offsetof(struct xen_pod_target, pod_entries) == 24, "xen_pod_target.pod_entries");
_Static_assert(offsetof(struct xen_pod_target, domid) == 32, "xen_pod_target.domid");
_Static_assert(sizeof(struct xen_pod_target) == 40, "xen_pod_target");

struct xen_mem_acquire_resource {
  uint16_t domid;
  uint16_t type;
  uint32_t id;
  uint32_t nr_frames;
  uint32_t pad;
  uint64_t frame;
  uint64_t frame_list;
};
_Static_assert(offsetof(struct xen_mem_acquire_resource, domid) == 0, "xen_mem_acquire_resource.domid");
_Static_assert(offsetof(struct xen_mem_acquire_resource, type) == 2, "xen_mem_acquire_resource.type");
_Static_assert(offsetof(struct xen_mem_acquire_resource, id) == 4, "xen_mem_acquire_resource.id");
_Static_assert(offsetof(struct xen_mem_acquire_resource, nr_frames) == 8, "xen_mem_acquire_resource.nr_frames");
_Static_assert(offsetof(struct xen_mem_acquire_resource, pad) == 12, "xen_mem_acquire_resource.pad");
_Static_assert(offsetof(struct xen_mem_acquire_resource, frame) == 16, "xen_mem_acquire_resource.frame");
_Static_assert(offsetof(struct xen_mem_acquire_resource, frame_list) == 24, "xen_mem_acquire_resource.frame_list");
_Static_assert(sizeof(struct xen_mem_acquire_resource) == 32, "xen_mem_acquire_resource");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_MEMORY_H */

// table
// public/memory.h: a domain's reservation, and what it may ask about memory. Left out: sharing, paging, access control,
// vNUMA, reserved device memory (their numbers answer -ENOSYS).

import { nested, overlay, struct, u16, u32, u64 } from "./struct.ts";

export const XENMEM_increase_reservation = 0;
export const XENMEM_decrease_reservation = 1;
export const XENMEM_maximum_ram_page = 2;
export const XENMEM_current_reservation = 3;
export const XENMEM_maximum_reservation = 4;
export const XENMEM_machphys_mfn_list = 5;
export const XENMEM_populate_physmap = 6;
export const XENMEM_add_to_physmap = 7;
export const XENMEM_memory_map = 9;
export const XENMEM_machine_memory_map = 10;
export const XENMEM_exchange = 11;
export const XENMEM_machphys_mapping = 12;
export const XENMEM_set_memory_map = 13;
export const XENMEM_maximum_gpfn = 14;
export const XENMEM_remove_from_physmap = 15;
export const XENMEM_set_pod_target = 16;
export const XENMEM_get_pod_target = 17;
export const XENMEM_get_sharing_freed_pages = 18;
export const XENMEM_get_sharing_shared_pages = 19;
export const XENMEM_paging_op = 20;
export const XENMEM_access_op = 21;
export const XENMEM_sharing_op = 22;
export const XENMEM_add_to_physmap_batch = 23;
export const XENMEM_claim_pages = 24;
export const XENMEM_machphys_compat_mfn_list = 25;
export const XENMEM_get_vnumainfo = 26;
export const XENMEM_reserved_device_memory_map = 27;
export const XENMEM_acquire_resource = 28;

// xen_memory_reservation.mem_flags: width of the address in the low 8 bits, NUMA node plus one in the next 8.
export const XENMEMF_populate_on_demand = 0x10000;
export const XENMEMF_exact_node_request = 0x20000;
export const XENMEMF_vnode = 0x40000;

export const XenMemoryReservation = struct("xen_memory_reservation", 32, {
  extent_start: u64(0), // address of nr_extents xen_pfn_t
  nr_extents: u64(8),
  extent_order: u32(16), // each extent is 2^order pages
  mem_flags: u32(20), // XENMEMF_*
  domid: u16(24),
});

export const XenMemoryExchange = struct("xen_memory_exchange", 72, {
  in: nested(XenMemoryReservation, 0),
  out: nested(XenMemoryReservation, 32),
  nr_exchanged: u64(64), // [GUEST] zero, [XEN]
});

/** Argument of current_reservation, maximum_reservation and maximum_gpfn. */
export const XenMemoryDomain = struct("xen_memory_domain", 2, { domid: u16(0) });

export const XenMachphysMfnList = struct("xen_machphys_mfn_list", 24, {
  max_extents: u32(0),
  extent_start: u64(8), // address of max_extents xen_pfn_t
  nr_extents: u32(16), // [XEN]
});

/** [XEN] all of it. */
export const XenMachphysMapping = struct("xen_machphys_mapping", 24, {
  v_start: u64(0),
  v_end: u64(8),
  max_mfn: u64(16),
});

export const XENMAPSPACE_shared_info = 0;
export const XENMAPSPACE_grant_table = 1;
export const XENMAPSPACE_gmfn = 2;
export const XENMAPSPACE_gmfn_range = 3;
export const XENMAPSPACE_gmfn_foreign = 4;
export const XENMAPSPACE_dev_mmio = 5;
export const XENMAPIDX_grant_table_status = 0x80000000;

export const XenAddToPhysmap = struct("xen_add_to_physmap", 24, {
  domid: u16(0),
  size: u16(2),
  space: u32(4), // XENMAPSPACE_*
  idx: u64(8),
  gpfn: u64(16),
});

export const XenAddToPhysmapBatch = struct("xen_add_to_physmap_batch", 32, {
  domid: u16(0),
  space: u16(2),
  size: u16(4),
  foreign_domid: overlay(u16(6), "u.foreign_domid"),
  idxs: u64(8),
  gpfns: u64(16),
  errs: u64(24),
});

export const XenRemoveFromPhysmap = struct("xen_remove_from_physmap", 16, { domid: u16(0), gpfn: u64(8) });

export const XenMemoryMap = struct("xen_memory_map", 16, {
  nr_entries: u32(0), // room on entry, [XEN] number stored
  buffer: u64(8), // address of e820entry
});

export const XenForeignMemoryMap = struct("xen_foreign_memory_map", 24, {
  domid: u16(0),
  map: nested(XenMemoryMap, 8),
});

/** One entry of a memory map: 20 bytes, packed as the BIOS gave it, so the length is in halves. */
export const E820Entry = struct("xen_e820entry", 20, {
  addr_lo: u32(0), // bytes
  addr_hi: u32(4),
  size_lo: u32(8), // bytes
  size_hi: u32(12),
  type: u32(16), // E820_*
});
export const E820_RAM = 1;
export const E820_RESERVED = 2;
export const E820_ACPI = 3;
export const E820_NVS = 4;
export const E820_UNUSABLE = 5;
/** Most entries that one map may have. */
export const E820MAX = 128;

export const XenPodTarget = struct("xen_pod_target", 40, {
  target_pages: u64(0),
  tot_pages: u64(8),
  pod_cache_pages: u64(16),
  pod_entries: u64(24),
  domid: u16(32),
});

export const XENMEM_resource_ioreq_server = 0;
export const XENMEM_resource_grant_table = 1;
export const XENMEM_resource_vmtrace_buf = 2;
export const XENMEM_resource_grant_table_id_shared = 0;
export const XENMEM_resource_grant_table_id_status = 1;

export const XenMemAcquireResource = struct("xen_mem_acquire_resource", 32, {
  domid: u16(0),
  type: u16(2), // XENMEM_resource_*
  id: u32(4),
  nr_frames: u32(8),
  pad: u32(12),
  frame: u64(16),
  frame_list: u64(24), // address of nr_frames xen_pfn_t
});

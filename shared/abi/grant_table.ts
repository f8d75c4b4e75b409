// table
// public/grant_table.h: grant entries, operations and their arguments. Left out: version 2 entries (its operations have
// numbers here). Rights protocol of a version 1 entry:
// 1. [GUEST] writes domid and frame, then, after a write barrier, flags with GTF_permit_access.
// 2. [XEN] sets GTF_reading, and GTF_writing with it for a writable use, while the peer has the frame.
// 3. [GUEST] takes the grant back by compare-and-exchange of flags to 0, which fails while Xen's bits are set.

import { i16, nested, overlay, struct, u16, u32, u64 } from "./struct.ts";

/** struct grant_entry_v1: one entry of the shared table. */
export const GrantEntryV1 = struct("grant_entry_v1", 8, {
  flags: u16(0), // [XEN,GUEST] GTF_*
  domid: u16(2), // [GUEST]
  frame: u32(4), // [GUEST], [XEN] after a transfer
});

export const GNTTAB_NR_RESERVED_ENTRIES = 8;
export const GNTTAB_RESERVED_CONSOLE = 0;
export const GNTTAB_RESERVED_XENSTORE = 1;

export const GTF_invalid = 0;
export const GTF_permit_access = 1;
export const GTF_accept_transfer = 2;
export const GTF_transitive = 3;
export const GTF_type_mask = 3;
export const GTF_readonly = 4;
export const GTF_reading = 8;
export const GTF_writing = 16;
export const GTF_PWT = 32;
export const GTF_PCD = 64;
export const GTF_PAT = 128;
export const GTF_sub_page = 256;
export const GTF_transfer_committed = 4;
export const GTF_transfer_completed = 8;

export const GNTTABOP_map_grant_ref = 0;
export const GNTTABOP_unmap_grant_ref = 1;
export const GNTTABOP_setup_table = 2;
export const GNTTABOP_dump_table = 3;
export const GNTTABOP_transfer = 4;
export const GNTTABOP_copy = 5;
export const GNTTABOP_query_size = 6;
export const GNTTABOP_unmap_and_replace = 7;
export const GNTTABOP_set_version = 8;
export const GNTTABOP_get_status_frames = 9;
export const GNTTABOP_get_version = 10;
export const GNTTABOP_swap_grant_ref = 11;
export const GNTTABOP_cache_flush = 12;

export const GnttabMapGrantRef = struct("gnttab_map_grant_ref", 32, {
  host_addr: u64(0), // virtual address, or machine address of an L1 entry with GNTMAP_contains_pte
  flags: u32(8), // GNTMAP_*
  ref: u32(12),
  dom: u16(16),
  status: i16(18), // [XEN] GNTST_*
  handle: u32(20), // [XEN]
  dev_bus_addr: u64(24), // [XEN]
});

export const GnttabUnmapGrantRef = struct("gnttab_unmap_grant_ref", 24, {
  host_addr: u64(0),
  dev_bus_addr: u64(8),
  handle: u32(16),
  status: i16(20), // [XEN]
});

export const GnttabSetupTable = struct("gnttab_setup_table", 24, {
  dom: u16(0),
  nr_frames: u32(4),
  status: i16(8), // [XEN]
  frame_list: u64(16), // address of nr_frames xen_pfn_t
});

export const GnttabDumpTable = struct("gnttab_dump_table", 4, { dom: u16(0), status: i16(2) });

export const GnttabTransfer = struct("gnttab_transfer", 24, {
  mfn: u64(0),
  domid: u16(8),
  ref: u32(12),
  status: i16(16), // [XEN]
});

/** One side of a copy: a grant reference of `domid`, or a frame of it (of the caller, unless privileged). */
export const GnttabCopyPtr = struct("gnttab_copy_ptr", 16, {
  ref: overlay(u32(0), "u.ref"),
  gmfn: overlay(u64(0), "u.gmfn"),
  domid: u16(8),
  offset: u16(10),
});

export const GnttabCopy = struct("gnttab_copy", 40, {
  source: nested(GnttabCopyPtr, 0),
  dest: nested(GnttabCopyPtr, 16),
  len: u16(32), // bytes; neither side may cross its page's end
  flags: u16(34), // GNTCOPY_*
  status: i16(36), // [XEN]
});
export const GNTCOPY_source_gref = 1;
export const GNTCOPY_dest_gref = 2;

export const GnttabQuerySize = struct("gnttab_query_size", 16, {
  dom: u16(0),
  nr_frames: u32(4), // [XEN]
  max_nr_frames: u32(8), // [XEN]
  status: i16(12), // [XEN]
});

export const GnttabUnmapAndReplace = struct("gnttab_unmap_and_replace", 24, {
  host_addr: u64(0),
  new_addr: u64(8),
  handle: u32(16),
  status: i16(20), // [XEN]
});

export const GnttabSetVersion = struct("gnttab_set_version", 4, { version: u32(0) });

export const GnttabGetStatusFrames = struct("gnttab_get_status_frames", 16, {
  nr_frames: u32(0),
  dom: u16(4),
  status: i16(6), // [XEN]
  frame_list: u64(8),
});

export const GnttabGetVersion = struct("gnttab_get_version", 8, {
  dom: u16(0),
  pad: u16(2),
  version: u32(4), // [XEN]
});

export const GnttabSwapGrantRef = struct("gnttab_swap_grant_ref", 12, {
  ref_a: u32(0),
  ref_b: u32(4),
  status: i16(8), // [XEN]
});

export const GnttabCacheFlush = struct("gnttab_cache_flush", 16, {
  dev_bus_addr: overlay(u64(0), "a.dev_bus_addr"),
  ref: overlay(u32(0), "a.ref"),
  offset: u16(8),
  length: u16(10),
  op: u32(12),
});

export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;
export const GNTMAP_application_map = 8;
export const GNTMAP_contains_pte = 16;
export const _GNTMAP_guest_avail0 = 16;
export const GNTMAP_guest_avail_mask = 0xffff0000;

export const GNTST_okay = 0;
export const GNTST_general_error = -1;
export const GNTST_bad_domain = -2;
export const GNTST_bad_gntref = -3;
export const GNTST_bad_handle = -4;
export const GNTST_bad_virt_addr = -5;
export const GNTST_bad_dev_addr = -6;
export const GNTST_no_device_space = -7;
export const GNTST_permission_denied = -8;
export const GNTST_bad_page = -9;
export const GNTST_bad_copy_arg = -10;
export const GNTST_address_too_big = -11;
export const GNTST_eagain = -12;
export const GNTST_no_space = -13;

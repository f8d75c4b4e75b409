/* Generated from shared/abi/grant_table.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_GRANT_TABLE_H
#define XENOLITH_GRANT_TABLE_H

#define GNTTAB_NR_RESERVED_ENTRIES 8
#define GNTTAB_RESERVED_CONSOLE 0
#define GNTTAB_RESERVED_XENSTORE 1
#define GTF_invalid 0
#define GTF_permit_access 1
#define GTF_accept_transfer 2
#define GTF_transitive 3
#define GTF_type_mask 3
#define GTF_readonly 4
#define GTF_reading 8
#define GTF_writing 16
#define GTF_PWT 32
#define GTF_PCD 64
#define GTF_PAT 128
#define GTF_sub_page 0x100
#define GTF_transfer_committed 4
#define GTF_transfer_completed 8
#define GNTTABOP_map_grant_ref 0
#define GNTTABOP_unmap_grant_ref 1
#define GNTTABOP_setup_table 2
#define GNTTABOP_dump_table 3
#define GNTTABOP_transfer 4
#define GNTTABOP_copy 5
#define GNTTABOP_query_size 6
#define GNTTABOP_unmap_and_replace 7
#define GNTTABOP_set_version 8
#define GNTTABOP_get_status_frames 9
#define GNTTABOP_get_version 10
#define GNTTABOP_swap_grant_ref 11
#define GNTTABOP_cache_flush 12
#define GNTCOPY_source_gref 1
#define GNTCOPY_dest_gref 2
#define GNTMAP_device_map 1
#define GNTMAP_host_map 2
#define GNTMAP_readonly 4
#define GNTMAP_application_map 8
#define GNTMAP_contains_pte 16
#define _GNTMAP_guest_avail0 16
#define GNTMAP_guest_avail_mask 0xffff0000
#define GNTST_okay 0
#define GNTST_general_error (-1)
#define GNTST_bad_domain (-2)
#define GNTST_bad_gntref (-3)
#define GNTST_bad_handle (-4)
#define GNTST_bad_virt_addr (-5)
#define GNTST_bad_dev_addr (-6)
#define GNTST_no_device_space (-7)
#define GNTST_permission_denied (-8)
#define GNTST_bad_page (-9)
#define GNTST_bad_copy_arg (-10)
#define GNTST_address_too_big (-11)
#define GNTST_eagain (-12)
#define GNTST_no_space (-13)

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct grant_entry_v1 {
  uint16_t flags;
  uint16_t domid;
  uint32_t frame;
};
_Static_assert(offsetof(struct grant_entry_v1, flags) == 0, "grant_entry_v1.flags");
_Static_assert(offsetof(struct grant_entry_v1, domid) == 2, "grant_entry_v1.domid");
_Static_assert(offsetof(struct grant_entry_v1, frame) == 4, "grant_entry_v1.frame");
_Static_assert(sizeof(struct grant_entry_v1) == 8, "grant_entry_v1");

struct gnttab_map_grant_ref {
  uint64_t host_addr;
  uint32_t flags;
  uint32_t ref;
  uint16_t dom;
  int16_t status;
  uint32_t handle;
  uint64_t dev_bus_addr;
};
_Static_assert(offsetof(struct gnttab_map_grant_ref, host_addr) == 0, "gnttab_map_grant_ref.host_addr");
_Static_assert(offsetof(struct gnttab_map_grant_ref, flags) == 8, "gnttab_map_grant_ref.flags");
_Static_assert(offsetof(struct gnttab_map_grant_ref, ref) == 12, "gnttab_map_grant_ref.ref");
_Static_assert(offsetof(struct gnttab_map_grant_ref, dom) == 16, "gnttab_map_grant_ref.dom");
_Static_assert(offsetof(struct gnttab_map_grant_ref, status) == 18, "gnttab_map_grant_ref.status");
_Static_assert(offsetof(struct gnttab_map_grant_ref, handle) == 20, "gnttab_map_grant_ref.handle");
_Static_assert(offsetof(struct gnttab_map_grant_ref, dev_bus_addr) == 24, "gnttab_map_grant_ref.dev_bus_addr");
_Static_assert(sizeof(struct gnttab_map_grant_ref) == 32, "gnttab_map_grant_ref");

struct gnttab_unmap_grant_ref {
  uint64_t host_addr;
  uint64_t dev_bus_addr;
  uint32_t handle;
  int16_t status;
  uint8_t _gap0[2];
};
_Static_assert(offsetof(struct gnttab_unmap_grant_ref, host_addr) == 0, "gnttab_unmap_grant_ref.host_addr");
_Static_assert(offsetof(struct gnttab_unmap_grant_ref, dev_bus_addr) == 8, "gnttab_unmap_grant_ref.dev_bus_addr");
_Static_assert(offsetof(struct gnttab_unmap_grant_ref, handle) == 16, "gnttab_unmap_grant_ref.handle");
_Static_assert(offsetof(struct gnttab_unmap_grant_ref, status) == 20, "gnttab_unmap_grant_ref.status");
_Static_assert(sizeof(struct gnttab_unmap_grant_ref) == 24, "gnttab_unmap_grant_ref");

struct gnttab_setup_table {
  uint16_t dom;
  uint8_t _gap0[2];
  uint32_t nr_frames;
  int16_t status;
  uint8_t _gap1[6];
  uint64_t frame_list;
};
_Static_assert(offsetof(struct gnttab_setup_table, dom) == 0, "gnttab_setup_table.dom");
_Static_assert(offsetof(struct gnttab_setup_table, nr_frames) == 4, "gnttab_setup_table.nr_frames");
_Static_assert(offsetof(struct gnttab_setup_table, status) == 8, "gnttab_setup_table.status");
_Static_assert(offsetof(struct gnttab_setup_table, frame_list) == 16, "gnttab_setup_table.frame_list");
_Static_assert(sizeof(struct gnttab_setup_table) == 24, "gnttab_setup_table");

struct gnttab_dump_table {
  uint16_t dom;
  int16_t status;
};
_Static_assert(offsetof(struct gnttab_dump_table, dom) == 0, "gnttab_dump_table.dom");
_Static_assert(offsetof(struct gnttab_dump_table, status) == 2, "gnttab_dump_table.status");
_Static_assert(sizeof(struct gnttab_dump_table) == 4, "gnttab_dump_table");

struct gnttab_transfer {
  uint64_t mfn;
  uint16_t domid;
  uint8_t _gap0[2];
  uint32_t ref;
  int16_t status;
  uint8_t _gap1[6];
};
_Static_assert(offsetof(struct gnttab_transfer, mfn) == 0, "gnttab_transfer.mfn");
_Static_assert(offsetof(struct gnttab_transfer, domid) == 8, "gnttab_transfer.domid");
_Static_assert(offsetof(struct gnttab_transfer, ref) == 12, "gnttab_transfer.ref");
_Static_assert(offsetof(struct gnttab_transfer, status) == 16, "gnttab_transfer.status");
_Static_assert(sizeof(struct gnttab_transfer) == 24, "gnttab_transfer");

struct gnttab_copy_ptr {
  union {
    uint32_t ref;
    uint64_t gmfn;
  };
  uint16_t domid;
  uint16_t offset;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct gnttab_copy_ptr, ref) == 0, "gnttab_copy_ptr.ref");
_Static_assert(offsetof(struct gnttab_copy_ptr, gmfn) == 0, "gnttab_copy_ptr.gmfn");
_Static_assert(offsetof(struct gnttab_copy_ptr, domid) == 8, "gnttab_copy_ptr.domid");
_Static_assert(offsetof(struct gnttab_copy_ptr, offset) == 10, "gnttab_copy_ptr.offset");
_Static_assert(sizeof(struct gnttab_copy_ptr) == 16, "gnttab_copy_ptr");

struct gnttab_copy {
  struct gnttab_copy_ptr source;
  struct gnttab_copy_ptr dest;
  uint16_t len;
  uint16_t flags;
  int16_t status;
  uint8_t _gap0[2];
};
_Static_assert(offsetof(struct gnttab_copy, source) == 0, "gnttab_copy.source");
_Static_assert(offsetof(struct gnttab_copy, dest) == 16, "gnttab_copy.dest");
_Static_assert(offsetof(struct gnttab_copy, len) == 32, "gnttab_copy.len");
_Static_assert(offsetof(struct gnttab_copy, flags) == 34, "gnttab_copy.flags");
_Static_assert(offsetof(struct gnttab_copy, status) == 36, "gnttab_copy.status");
_Static_assert(sizeof(struct gnttab_copy) == 40, "gnttab_copy");

struct gnttab_query_size {
  uint16_t dom;
  uint8_t _gap0[2];
  uint32_t nr_frames;
  uint32_t max_nr_frames;
  int16_t status;
  uint8_t _gap1[2];
};
_Static_assert(offsetof(struct gnttab_query_size, dom) == 0, "gnttab_query_size.dom");
_Static_assert(offsetof(struct gnttab_query_size, nr_frames) == 4, "gnttab_query_size.nr_frames");
_Static_assert(offsetof(struct gnttab_query_size, max_nr_frames) == 8, "gnttab_query_size.max_nr_frames");
_Static_assert(offsetof(struct gnttab_query_size, status) == 12, "gnttab_query_size.status");
_Static_assert(sizeof(struct gnttab_query_size) == 16, "gnttab_query_size");

struct gnttab_unmap_and_replace {
  uint64_t host_addr;
  uint64_t new_addr;
  uint32_t handle;
  int16_t status;
  uint8_t _gap0[2];
};
_Static_assert(offsetof(struct gnttab_unmap_and_replace, host_addr) == 0, "gnttab_unmap_and_replace.host_addr");
_Static_assert(offsetof(struct gnttab_unmap_and_replace, new_addr) == 8, "gnttab_unmap_and_replace.new_addr");
_Static_assert(offsetof(struct gnttab_unmap_and_replace, handle) == 16, "gnttab_unmap_and_replace.handle");
_Static_assert(offsetof(struct gnttab_unmap_and_replace, status) == 20, "gnttab_unmap_and_replace.status");
_Static_assert(sizeof(struct gnttab_unmap_and_replace) == 24, "gnttab_unmap_and_replace");

struct gnttab_set_version {
  uint32_t version;
};
_Static_assert(offsetof(struct gnttab_set_version, version) == 0, "gnttab_set_version.version");
_Static_assert(sizeof(struct gnttab_set_version) == 4, "gnttab_set_version");

struct gnttab_get_status_frames {
  uint32_t nr_frames;
  uint16_t dom;
  int16_t status;
  uint64_t frame_list;
};
_Static_assert(offsetof(struct gnttab_get_status_frames, nr_frames) == 0, "gnttab_get_status_frames.nr_frames");
_Static_assert(offsetof(struct gnttab_get_status_frames, dom) == 4, "gnttab_get_status_frames.dom");
_Static_assert(offsetof(struct gnttab_get_status_frames, status) == 6, "gnttab_get_status_frames.status");
_Static_assert(offsetof(struct gnttab_get_status_frames, frame_list) == 8, "gnttab_get_status_frames.frame_list");
_Static_assert(sizeof(struct gnttab_get_status_frames) == 16, "gnttab_get_status_frames");

struct gnttab_get_version {
  uint16_t dom;
  uint16_t pad;
  uint32_t version;
};
_Static_assert(offsetof(struct gnttab_get_version, dom) == 0, "gnttab_get_version.dom");
_Static_assert(offsetof(struct gnttab_get_version, pad) == 2, "gnttab_get_version.pad");
_Static_assert(offsetof(struct gnttab_get_version, version) == 4, "gnttab_get_version.version");
_Static_assert(sizeof(struct gnttab_get_version) == 8, "gnttab_get_version");

struct gnttab_swap_grant_ref {
  uint32_t ref_a;
  uint32_t ref_b;
  int16_t status;
  uint8_t _gap0[2];
};
_Static_assert(offsetof(struct gnttab_swap_grant_ref, ref_a) == 0, "gnttab_swap_grant_ref.ref_a");
_Static_assert(offsetof(struct gnttab_swap_grant_ref, ref_b) == 4, "gnttab_swap_grant_ref.ref_b");
_Static_assert(offsetof(struct gnttab_swap_grant_ref, status) == 8, "gnttab_swap_grant_ref.status");
_Static_assert(sizeof(struct gnttab_swap_grant_ref) == 12, "gnttab_swap_grant_ref");

struct gnttab_cache_flush {
  union {
    uint64_t dev_bus_addr;
    uint32_t ref;
  };
  uint16_t offset;
  uint16_t length;
  uint32_t op;
};
_Static_assert(offsetof(struct gnttab_cache_flush, dev_bus_addr) == 0, "gnttab_cache_flush.dev_bus_addr");
_Static_assert(offsetof(struct gnttab_cache_flush, ref) == 0, "gnttab_cache_flush.ref");
_Static_assert(offsetof(struct gnttab_cache_flush, offset) == 8, "gnttab_cache_flush.offset");
_Static_assert(offsetof(struct gnttab_cache_flush, length) == 10, "gnttab_cache_flush.length");
_Static_assert(offsetof(struct gnttab_cache_flush, op) == 12, "gnttab_cache_flush.op");
_Static_assert(sizeof(struct gnttab_cache_flush) == 16, "gnttab_cache_flush");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_GRANT_TABLE_H */

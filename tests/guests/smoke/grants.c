/* grant_table_op: the domain grants pages to itself, maps, copies and takes them back. */
#include "smoke.h"

#include <xen/grant_table.h>

static struct grant_entry_v1 table[512] PAGE_ALIGNED; /* over it, the grant table's first frame */
static volatile char granted[PAGE_SIZE] PAGE_ALIGNED;
static volatile char window[PAGE_SIZE] PAGE_ALIGNED;
static volatile char other[PAGE_SIZE] PAGE_ALIGNED;

#define REF 8

static void setup(void) {
  struct gnttab_query_size size = {.dom = DOMID_SELF};
  show("query_size", HYPERVISOR_grant_table_op(GNTTABOP_query_size, &size, 1));
  printf("smoke: grant table: status %d, at most %u frames\n", size.status, size.max_nr_frames);
  uint64_t frames[1] = {0};
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  show("setup_table", HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1));
  show("its status", setup.status);
  show("map the table", set_page(table, frames[0] * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW));
  printf("smoke: entries of console and xenstore: flags 0x%x to %u, flags 0x%x to %u\n", table[0].flags & 7, table[0].domid,
         table[1].flags & 7, table[1].domid);
  setup.nr_frames = 100000;
  show("setup_table of 100000 frames", HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1));
  show("its status", setup.status);
  setup.dom = 0;
  setup.nr_frames = 1;
  show("setup_table of domain 0", HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1));
  show("its status", setup.status);
  struct gnttab_get_version version = {.dom = DOMID_SELF};
  show("get_version", HYPERVISOR_grant_table_op(GNTTABOP_get_version, &version, 1));
  show("the version", version.version);
  struct gnttab_set_version set = {.version = 1};
  show("set_version 1", HYPERVISOR_grant_table_op(GNTTABOP_set_version, &set, 1));
  set.version = 3;
  show("set_version 3", HYPERVISOR_grant_table_op(GNTTABOP_set_version, &set, 1));
  show("command 99", HYPERVISOR_grant_table_op(99, &set, 1));
}

static uint32_t handle;
static uint16_t own_domid = DOMID_SELF;

static void map(const char *what, uint32_t ref, uint32_t flags, uint64_t address) {
  struct gnttab_map_grant_ref op = {.host_addr = address, .flags = flags, .ref = ref, .dom = own_domid};
  long result = HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &op, 1);
  printf("smoke: %s: %ld, status %d, entry 0x%x\n", what, result, op.status, table[REF].flags);
  if (result == 0 && op.status == 0) handle = op.handle;
}

static void unmap(const char *what, uint32_t h, uint64_t address) {
  struct gnttab_unmap_grant_ref op = {.host_addr = address, .handle = h};
  long result = HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1);
  printf("smoke: %s: %ld, status %d, entry 0x%x\n", what, result, op.status, table[REF].flags);
}

static void mapping(void) {
  uint64_t at = (uint64_t)window;
  table[REF].frame = (uint32_t)mfn_of(granted);
  set_page(window, 0);
  map("map for DOMID_SELF", REF, GNTMAP_host_map, at);
  char domid[8];
  xenstore_read("domid", domid, sizeof domid);
  own_domid = 0;
  for (char *c = domid; *c; c++) own_domid = (uint16_t)(own_domid * 10 + *c - '0');
  map("map what isn't granted", REF, GNTMAP_host_map, at);
  table[REF].domid = 0x7000;
  table[REF].flags = GTF_permit_access;
  map("map what another is granted", REF, GNTMAP_host_map, at);
  table[REF].domid = own_domid;
  map("map", REF, GNTMAP_host_map, at);
  granted[5] = 'g';
  show("read through the mapping", window[5]);
  window[6] = 'w';
  show("write through the mapping", granted[6]);
  unmap("unmap with a wrong address", handle, (uint64_t)other);
  unmap("unmap", handle, at);
  unmap("unmap again", handle, at);
  unmap("unmap a handle that isn't", 1 << 20, at);
  show("read after unmap faults", try_touch((void *)window, 0));
  table[REF].flags = GTF_permit_access | GTF_readonly;
  map("map writable what is granted read-only", REF, GNTMAP_host_map, at);
  map("map read-only", REF, GNTMAP_host_map | GNTMAP_readonly, at);
  show("write to it faults", try_touch((void *)window, 1));
  unmap("unmap it", handle, at);
  table[REF].flags = GTF_permit_access;
  map("map with the address of an entry", REF, GNTMAP_host_map | GNTMAP_contains_pte, entry_address(window, 1));
  unmap("unmap by the entry", handle, entry_address(window, 1));
  map("map at nowhere", REF, GNTMAP_host_map, NOWHERE);
  map("map at Xen's", REF, GNTMAP_host_map, HYPERVISOR_VIRT_START);
  map("map without a flag", REF, 0, at);
  map("map a reference past the table", 100000, GNTMAP_host_map, at);
  table[REF].frame = 0xfffff;
  map("map a frame that isn't ours", REF, GNTMAP_host_map, at);
  table[REF].frame = (uint32_t)mfn_of(granted);
  set_page(window, mfn_of(window) * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW);
}

static void copy(const char *what, struct gnttab_copy op) {
  long result = HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1);
  printf("smoke: %s: %ld, status %d, entry 0x%x\n", what, result, op.status, table[REF].flags);
}

static void copying(void) {
  struct gnttab_copy_ptr gref = {.ref = REF, .domid = DOMID_SELF, .offset = 16};
  struct gnttab_copy_ptr mfn = {.gmfn = mfn_of(other), .domid = DOMID_SELF, .offset = 32};
  granted[16] = 'c';
  copy("copy from a grant", (struct gnttab_copy){.source = gref, .dest = mfn, .len = 8, .flags = GNTCOPY_source_gref});
  show("what was copied", other[32]);
  other[32] = 'd';
  copy("copy to a grant", (struct gnttab_copy){.source = mfn, .dest = gref, .len = 8, .flags = GNTCOPY_dest_gref});
  show("what was copied", granted[16]);
  copy("copy past a page's end", (struct gnttab_copy){.source = gref, .dest = mfn, .len = 4090, .flags = GNTCOPY_source_gref});
  table[REF].flags = GTF_permit_access | GTF_readonly;
  copy("copy to a read-only grant", (struct gnttab_copy){.source = mfn, .dest = gref, .len = 8, .flags = GNTCOPY_dest_gref});
  table[REF].flags = 0;
  copy("copy from what isn't granted", (struct gnttab_copy){.source = gref, .dest = mfn, .len = 8, .flags = GNTCOPY_source_gref});
  mfn.domid = 0;
  copy("copy to a frame of domain 0", (struct gnttab_copy){.source = mfn, .dest = mfn, .len = 8});
}

static void transferring(void) {
  struct gnttab_transfer op = {.mfn = 0xfffff, .domid = DOMID_SELF, .ref = REF};
  show("transfer a frame that isn't ours", HYPERVISOR_grant_table_op(GNTTABOP_transfer, &op, 1));
  show("its status", op.status);
  struct gnttab_swap_grant_ref swap = {.ref_a = 9, .ref_b = 10};
  show("swap_grant_ref", HYPERVISOR_grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1));
  show("its status", swap.status);
  struct gnttab_dump_table dump = {.dom = DOMID_SELF};
  show("dump_table", HYPERVISOR_grant_table_op(GNTTABOP_dump_table, &dump, 1));
  show("map_grant_ref of none", HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &dump, 0));
  show("map_grant_ref from nowhere", HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, NOWHERE, 1));
}

void smoke_grants(void) {
  setup();
  mapping();
  copying();
  transferring();
}

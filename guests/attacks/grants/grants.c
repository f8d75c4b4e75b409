/* grants: references, handles, lengths, flags and addresses at every edge; mapping for reading what is then written, more often
 * than can be counted, at addresses that are not its own; unmapping twice, elsewhere, by another's handle, after the entry was
 * overwritten; changing the grant while it is mapped; giving a mapped frame back. A broken hypervisor loses count: a frame is
 * freed or retyped while a stranger can write to it, or a status says 0 where the transcript has an error. */
#define NAME "grants"
#include "../attack.h"

#include <xen/grant_table.h>

static volatile struct grant_entry_v1 table[512] PAGE_ALIGNED;
static volatile uint64_t granted[512] PAGE_ALIGNED;
static volatile uint64_t window[2][512] PAGE_ALIGNED;
static uint16_t self;
static uint32_t handle;

static int map(uint32_t ref, uint16_t dom, uint32_t flags, uint64_t address) {
  struct gnttab_map_grant_ref op = {.host_addr = address, .flags = flags, .ref = ref, .dom = dom, .status = 99};
  long result = HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &op, 1);
  if (result) return (int)result - 1000;
  if (op.status == 0) handle = op.handle;
  return op.status;
}

static int unmap(uint32_t h, uint64_t address, uint64_t device) {
  struct gnttab_unmap_grant_ref op = {.host_addr = address, .dev_bus_addr = device, .handle = h, .status = 99};
  long result = HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1);
  return result ? (int)result - 1000 : op.status;
}

static int replace(uint32_t h, uint64_t address, uint64_t by) {
  struct gnttab_unmap_and_replace op = {.host_addr = address, .new_addr = by, .handle = h, .status = 99};
  long result = HYPERVISOR_grant_table_op(GNTTABOP_unmap_and_replace, &op, 1);
  return result ? (int)result - 1000 : op.status;
}

static void grant(uint32_t ref, uint16_t flags, uint16_t domid, uint64_t mfn) {
  table[ref].frame = (uint32_t)mfn;
  table[ref].domid = domid;
  __asm__ volatile("" ::: "memory");
  table[ref].flags = flags;
}

#define W ((uint64_t)window[0])

static void edges(void) {
  static const uint32_t refs[] = {0, 7, 8, 9, 511, 512, 1023, 32767, 32768, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
  static const uint16_t domains[] = {0, 2, 3, 0x7fef, DOMID_SELF, DOMID_IO, DOMID_XEN, DOMID_INVALID, 0x8000, 0xffff};
  static const uint64_t addresses[] = {0,         1,           NOT_CANONICAL, HYPERVISOR_VIRT_START, HYPERVISOR_VIRT_END - 4096,
                                       -4096ul,   -1ul,        0x1000,        1ul << 52};
  printf(NAME ": map by reference:");
  for (unsigned i = 0; i < sizeof refs / sizeof *refs; i++) printf(" %d", map(refs[i], self, GNTMAP_host_map, W));
  printf("\n" NAME ": map of domain:");
  for (unsigned i = 0; i < sizeof domains / sizeof *domains; i++)
    printf(" %d", domains[i] == 0 ? 0 : map(9, domains[i], GNTMAP_host_map, W));
  grant(9, GTF_permit_access, self, mfn_of(granted));
  printf("\n" NAME ": map at:");
  for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++) printf(" %d", map(9, self, GNTMAP_host_map, addresses[i]));
  printf("\n" NAME ": map by the entry's address:");
  for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++)
    printf(" %d", map(9, self, GNTMAP_host_map | GNTMAP_contains_pte, addresses[i]));
  printf(" %d", map(9, self, GNTMAP_host_map | GNTMAP_contains_pte, entry_address(window[0], 1) + 4));
  printf(" %d", map(9, self, GNTMAP_host_map | GNTMAP_contains_pte, entry_address(window[0], 2)));
  printf(" %d", map(9, self, GNTMAP_host_map | GNTMAP_contains_pte, frame(mfn_of(granted), 8)));
  printf(" %d", map(9, self, GNTMAP_host_map | GNTMAP_contains_pte, frame(foreign, 8)));
  printf("\n" NAME ": map with flags:");
  for (uint32_t flags = 0; flags < 64; flags++) {
    if (flags & GNTMAP_contains_pte) continue;
    int status = map(9, self, flags, W);
    printf(" %d", status);
    if (status == 0) {
      unmap(handle, flags & GNTMAP_host_map ? W : 0, flags & GNTMAP_device_map ? frame(mfn_of(granted), 0) : 0);
      printf("/%x", table[9].flags);
    }
  }
  printf("\n" NAME ": unmap handle:");
  for (unsigned i = 0; i < sizeof refs / sizeof *refs; i++) printf(" %d", refs[i] < 8 ? 0 : unmap(refs[i] + 1000, W, 0));
  printf("\n" NAME ": entry's flags:");
  for (uint32_t flags = 0; flags < 0x200; flags = flags < 32 ? flags + 1 : flags * 2) {
    grant(10, (uint16_t)flags, self, mfn_of(granted));
    int status = map(10, self, GNTMAP_host_map, W), reading;
    if (status == 0) unmap(handle, W, 0);
    reading = map(10, self, GNTMAP_host_map | GNTMAP_readonly, W);
    if (reading == 0) unmap(handle, W, 0);
    printf(" %d/%d", status, reading);
  }
  printf("\n");
}

static void counting(void) {
  static uint32_t handles[300];
  int n = 0, status = 0;
  grant(9, GTF_permit_access, self, mfn_of(granted));
  while (n < 300 && (status = map(9, self, GNTMAP_device_map, 0)) == 0) handles[n++] = handle;
  printf(NAME ": device mappings of one grant: %d, then %d\n", n, status);
  show("give the frame back meanwhile", set_page(granted, 0));
  uint64_t list[1] = {mfn_of(granted)};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  show("map it again", set_page(granted, frame(mfn_of(granted), RW)));
  int good = 0;
  for (int i = 0; i < n; i++) good += unmap(handles[i], 0, frame(mfn_of(granted), 0)) == 0;
  show("all unmapped", good == n);
  show("flags of the entry", table[9].flags);
  (void)r;
}

static void changing(void) {
  uint64_t mfn = mfn_of(granted), other = mfn_of(window[1]);
  grant(9, GTF_permit_access | GTF_readonly, self, mfn);
  show("map a read-only grant to write", map(9, self, GNTMAP_host_map, W));
  show("map it to read", map(9, self, GNTMAP_host_map | GNTMAP_readonly, W));
  show_touch("write through it", window[0], 1);
  show("make its entry writable", HYPERVISOR_update_va_mapping(window, frame(mfn, RW), UVMF_INVLPG));
  show("unmap it with the entry changed", unmap(handle, W, 0));
  show("put the entry back", HYPERVISOR_update_va_mapping(window, frame(mfn, RO), UVMF_INVLPG));
  show("unmap it then", unmap(handle, W, 0));
  show("unmap it twice", unmap(handle, W, 0));
  table[9].flags = 0;
  grant(9, GTF_permit_access, self, mfn);
  show("map a writable grant", map(9, self, GNTMAP_host_map, W));
  uint32_t writable = handle;
  table[9].frame = (uint32_t)other;
  show("with another frame meanwhile, map again", map(9, self, GNTMAP_host_map, (uint64_t)window[1]));
  show("unmap the first", unmap(writable, W, 0));
  show("unmap the second at the first's address", unmap(handle, W, 0));
  show("unmap the second", unmap(handle, (uint64_t)window[1], 0));
  set_page(window[1], frame(other, RW));
  grant(9, GTF_permit_access, self, mfn);
  show("map", map(9, self, GNTMAP_host_map, W));
  uint32_t first = handle;
  table[9].domid = 0;
  show("with another domain meanwhile, map again", map(9, self, GNTMAP_host_map, (uint64_t)window[1]));
  table[9].flags = 0;
  show("with no flags meanwhile, unmap", unmap(first, W, 0));
  show("the entry's flags", table[9].flags);
}

static void moving(void) {
  uint64_t mfn = mfn_of(granted);
  set_page(window[1], frame(mfn_of(window[1]), RW));
  grant(9, GTF_permit_access, self, mfn);
  show("map", map(9, self, GNTMAP_host_map, W));
  show("replace by an address of Xen's", replace(handle, W, HYPERVISOR_VIRT_START));
  show("replace by one without a table", replace(handle, W, 0x123456789000));
  show("replace at another address", replace(handle, (uint64_t)table, (uint64_t)window[1]));
  /* Xen has taken the replacement away all the same. */
  set_page(window[1], frame(mfn_of(window[1]), RW));
  window[1][3] = 33;
  show("replace by a page", replace(handle, W, (uint64_t)window[1]));
  show("the page is there", (long)window[0][3]);
  show_touch("and not where it was", window[1], 0);
  show("unmap it after that", unmap(handle, W, 0));
  set_page(window[0], 0);
  set_page(window[1], frame(mfn_of(window[1]), RW));
  show("map", map(9, self, GNTMAP_host_map, W));
  show("overwrite the entry", set_page(window[0], frame(mfn_of(window[0]), RW)));
  show("unmap what was overwritten", unmap(handle, W, 0));
  set_page(window[0], 0);
  show("map", map(9, self, GNTMAP_host_map, W));
  show("replace by itself", replace(handle, W, W));
  set_page(window[0], 0);
  show("flags of the entry", table[9].flags);
  show("the frame as a table", (memset((void *)granted, 0, PAGE_SIZE), set_page(granted, frame(mfn, RO)), ext(MMUEXT_PIN_L1_TABLE, mfn)));
  ext(MMUEXT_UNPIN_TABLE, mfn);
  set_page(granted, frame(mfn, RW));
}

static void copying(void) {
  static const struct { uint16_t from, to, len; } edges[] = {
      {0, 0, 0},       {0, 0, 4096},    {0, 0, 4097}, {1, 0, 4096}, {0, 1, 4096}, {4095, 0, 1},     {4096, 0, 0},
      {4096, 0, 1},    {4095, 4095, 1}, {4095, 0, 2}, {0, 4096, 0}, {0, 65535, 1}, {65535, 65535, 65535}, {0, 0, 65535},
  };
  uint64_t mfn = mfn_of(granted), to = mfn_of(window[1]);
  grant(11, GTF_permit_access | GTF_readonly, self, mfn);
  grant(12, GTF_permit_access, self, to);
  printf(NAME ": copies from grant to grant:");
  for (unsigned i = 0; i < sizeof edges / sizeof *edges; i++) {
    struct gnttab_copy op = {.source = {.ref = 11, .domid = self, .offset = edges[i].from},
                             .dest = {.ref = 12, .domid = self, .offset = edges[i].to},
                             .len = edges[i].len,
                             .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
                             .status = 99};
    HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1);
    printf(" %d", op.status);
  }
  struct gnttab_copy op = {.source = {.ref = 12, .domid = self},
                           .dest = {.ref = 11, .domid = self},
                           .len = 8,
                           .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref};
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1);
  printf("\n");
  show("copy to a read-only grant", op.status);
  op.dest.ref = 100000;
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1);
  show("copy to a reference that isn't", op.status);
  op.flags = 0xffff;
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1);
  show("copy with all flags", op.status);
  op = (struct gnttab_copy){.source = {.gmfn = -1ul, .domid = DOMID_SELF}, .dest = {.gmfn = to, .domid = DOMID_SELF}, .len = 8};
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1);
  show("copy from frame -1", op.status);
  struct gnttab_swap_grant_ref swap = {.ref_a = 9, .ref_b = 100000};
  HYPERVISOR_grant_table_op(GNTTABOP_swap_grant_ref, &swap, 1);
  show("swap with a reference that isn't", swap.status);
  struct gnttab_transfer transfer = {.mfn = mfn, .domid = self, .ref = 13};
  HYPERVISOR_grant_table_op(GNTTABOP_transfer, &transfer, 1);
  show("transfer what is mapped", transfer.status);
}

void guest_main(void) {
  uint64_t frames[1];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  find_frames();
  self = own_domid();
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(table, frame(frames[0], RW));
  set_page(window[0], 0);
  edges();
  counting();
  changing();
  moving();
  copying();
  printf(NAME ": done\n");
}

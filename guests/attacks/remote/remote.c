/* remote: keeps translations on one vcpu while another takes away what allowed them: the page becomes a page table (pinned, or
 * hooked up in another), is given back, is exchanged, or was mapped by a grant that ends; and nobody asks for a flush. The first vcpu
 * then has the second one touch it again, with the same level-4 table and with one of its own, and while it stores without
 * a pause. A broken hypervisor flushes where the call was made and nowhere else: the second vcpu writes page-table entries as it likes,
 * or to a frame that is somebody else's by then. (stale does the same on one vcpu.) */
#define NAME "remote"
#define CPUS 2
#include "../../../tests/guests/smp/smp.h"

#include <xen/grant_table.h>

#define VIRT_BASE_ADDRESS 0xffffffff80000000ul

static volatile uint64_t table[512] PAGE_ALIGNED, window[512] PAGE_ALIGNED, own_l4[512] PAGE_ALIGNED;
static volatile struct grant_entry_v1 grants[512] PAGE_ALIGNED;

/* Errands of vcpu 1: -1, or the error code of the page fault. */
static volatile uint64_t *touched;
static void touch(int write) { this_cpu()->result = try_touch((void *)&touched[1], write) ? (long)fault_error : -1; }
static void write_it(void) { touch(1); }
static void read_it(void) { touch(0); }
static volatile long stores; /* until the fault */
static void write_on(void) {
  for (stores = 0; !try_touch((void *)&touched[1], 1);) stores++;
  this_cpu()->result = (long)fault_error;
}
static void load_l4(void) {
  struct mmuext_op op = {.cmd = MMUEXT_NEW_BASEPTR, .arg1_mfn = mfn_of(own_l4)};
  this_cpu()->result = HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

static void vcpu1(const char *what, errand fn, volatile uint64_t *page) {
  touched = page;
  show(what, run(1, fn));
}

static long ext(uint32_t cmd, uint64_t mfn) {
  struct mmuext_op op = {.cmd = cmd, .arg1_mfn = mfn};
  return HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

static long update(uint64_t ptr, uint64_t val) {
  struct mmu_update request = {.ptr = ptr, .val = val};
  return HYPERVISOR_mmu_update(&request, 1, 0, DOMID_SELF);
}

/* Changes a mapping of vcpu 0's and 1's, without any flush. */
static long remap(const volatile void *page, uint64_t entry) { return update(entry_address(page, 1), entry); }

static void pinned(void) {
  static const uint32_t pins[] = {MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE};
  uint64_t mfn = mfn_of(table);
  for (int level = 1; level <= 4; level++) {
    printf(NAME ": -- pinned as a table of level %d\n", level);
    memset((void *)table, 0, PAGE_SIZE);
    vcpu1("vcpu 1 writes", write_it, table);
    show("make it read-only", remap(table, mfn * PAGE_SIZE | RO));
    show("pin it", ext(pins[level - 1], mfn));
    vcpu1("vcpu 1 writes", write_it, table);
    vcpu1("vcpu 1 reads", read_it, table);
    show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
    remap(table, mfn * PAGE_SIZE | RW);
  }
}

/* Nothing is pinned: the page is a table for as long as an entry of level 2 says so. */
static void hooked_up(void) {
  uint64_t mfn = mfn_of(table), l2 = entry_address(window, 2) + 8 * 200;
  printf(NAME ": -- hooked up as a table of level 1\n");
  memset((void *)table, 0, PAGE_SIZE);
  vcpu1("vcpu 1 writes", write_it, table);
  show("make it read-only", remap(table, mfn * PAGE_SIZE | RO));
  show("hook it up", update(l2, mfn * PAGE_SIZE | RW | _PAGE_USER));
  vcpu1("vcpu 1 writes", write_it, table);
  show("unhook it", update(l2, 0));
  remap(table, mfn * PAGE_SIZE | RW);
  vcpu1("vcpu 1 writes", write_it, table);
}

static void while_it_stores(void) {
  uint64_t mfn = mfn_of(table);
  printf(NAME ": -- while it stores\n");
  memset((void *)table, 0, PAGE_SIZE);
  stores = 0;
  touched = table;
  start(1, write_on);
  while (stores < 100) yield();
  show("make it read-only", remap(table, mfn * PAGE_SIZE | RO));
  show("pin it", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show("vcpu 1 ended with", finish(1));
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  remap(table, mfn * PAGE_SIZE | RW);
}

static uint64_t pfn_of(const volatile void *page) { return ((uint64_t)page - VIRT_BASE_ADDRESS) / PAGE_SIZE; }

/* Puts the frame that memory_op gave at the page's place. */
static void put_back(uint64_t mfn) {
  ((uint64_t *)start_info->mfn_list)[pfn_of(table)] = mfn;
  show("map the frame that came", remap(table, mfn * PAGE_SIZE | RW));
  vcpu1("vcpu 1 writes", write_it, table);
}

static void given_back(void) {
  uint64_t list[1] = {mfn_of(table)};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  printf(NAME ": -- given back\n");
  vcpu1("vcpu 1 writes", write_it, table);
  show("unmap it", remap(table, 0));
  show("give it back", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  vcpu1("vcpu 1 writes", write_it, table);
  list[0] = pfn_of(table);
  show("get a frame", HYPERVISOR_memory_op(XENMEM_populate_physmap, &r));
  put_back(list[0]);
}

static void exchanged(void) {
  uint64_t in[1] = {mfn_of(table)}, out[1] = {pfn_of(table)};
  struct xen_memory_exchange x = {.in = {.extent_start = (uint64_t)in, .nr_extents = 1, .domid = DOMID_SELF},
                                  .out = {.extent_start = (uint64_t)out, .nr_extents = 1, .domid = DOMID_SELF}};
  printf(NAME ": -- exchanged\n");
  vcpu1("vcpu 1 writes", write_it, table);
  show("unmap it", remap(table, 0));
  show("exchange it", HYPERVISOR_memory_op(XENMEM_exchange, &x));
  vcpu1("vcpu 1 writes", write_it, table);
  put_back(out[0]);
}

static void by_grant(uint16_t self) {
  uint64_t mfn = mfn_of(table);
  struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)window, .flags = GNTMAP_host_map, .ref = 9, .dom = self};
  struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window};
  printf(NAME ": -- mapped by a grant\n");
  memset((void *)table, 0, PAGE_SIZE);
  grants[9].frame = (uint32_t)mfn;
  grants[9].domid = self;
  grants[9].flags = GTF_permit_access;
  remap(window, 0);
  show("map it", (HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1), map.status));
  unmap.handle = map.handle;
  vcpu1("vcpu 1 writes", write_it, window);
  show("make the page read-only", remap(table, mfn * PAGE_SIZE | RO));
  show("pin it while it is mapped", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show("unmap it", (HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1), unmap.status));
  show("pin it", ext(MMUEXT_PIN_L1_TABLE, mfn));
  vcpu1("vcpu 1 writes", write_it, window);
  vcpu1("vcpu 1 reads", read_it, window);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  grants[9].flags = 0;
  remap(table, mfn * PAGE_SIZE | RW);
  remap(window, mfn_of(window) * PAGE_SIZE | RW);
}

static void everything(uint16_t self) {
  pinned();
  hooked_up();
  while_it_stores();
  given_back();
  exchanged();
  by_grant(self);
}

void guest_main(void) {
  uint64_t frames[1];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
  smp_init();
  show("bring up vcpu 1", bring_up(1));
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frames[0] * PAGE_SIZE | RW);
  /* The domain's own id: Xen puts it where a port is offered to DOMID_SELF. */
  HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
  struct evtchn_status status = {.dom = DOMID_SELF, .port = alloc.port};
  HYPERVISOR_event_channel_op(EVTCHNOP_status, &status);
  everything(status.unbound_dom);
  printf(NAME ": ---- vcpu 1 with a level-4 table of its own\n");
  memcpy((void *)own_l4, (void *)start_info->pt_base, PAGE_SIZE);
  show("make it read-only", remap(own_l4, mfn_of(own_l4) * PAGE_SIZE | RO));
  show("pin it", ext(MMUEXT_PIN_L4_TABLE, mfn_of(own_l4)));
  show("vcpu 1 loads it", run(1, load_l4));
  everything(status.unbound_dom);
  vcpu_op(VCPUOP_down, 1);
  printf(NAME ": done\n");
}

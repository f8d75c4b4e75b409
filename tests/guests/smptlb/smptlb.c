/* smptlb: translations that one vcpu holds while another changes the tables: each kind of shootdown by mmuext_op and
 * update_va_mapping must reach it, in its own page table too; and without any, type safety must hold all the same: a page
 * that became a table, or that was given back, can't be written by what the other vcpu remembers. */
#define NAME "smptlb"
#define CPUS 2
#include "../smp/smp.h"

static volatile uint64_t first[512] PAGE_ALIGNED, second[512] PAGE_ALIGNED, window[512] PAGE_ALIGNED;
static volatile uint64_t table[512] PAGE_ALIGNED, own_l4[512] PAGE_ALIGNED;

/* Errands of vcpu 1. */
static void read_window(void) { this_cpu()->result = (long)window[0]; }

static void write_table(void) { this_cpu()->result = try_touch((void *)&table[1], 1) ? (long)fault_error : -1; }

static void read_table(void) { this_cpu()->result = try_touch((void *)&table[1], 0) ? (long)fault_error : -1; }

static uint64_t l4_mfn;

static void load_l4(void) {
  struct mmuext_op op = {.cmd = MMUEXT_NEW_BASEPTR, .arg1_mfn = l4_mfn};
  this_cpu()->result = HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

static void flush_local(void) {
  struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_LOCAL};
  this_cpu()->result = HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

/* Points the window elsewhere, without a flush. */
static long point(const volatile void *page, uint64_t flags) {
  struct mmu_update request = {.ptr = entry_address(window, 1), .val = mfn_of(page) * PAGE_SIZE | flags};
  return HYPERVISOR_mmu_update(&request, 1, 0, DOMID_SELF);
}

static long remap(const volatile void *page, uint64_t entry) {
  struct mmu_update request = {.ptr = entry_address(page, 1), .val = entry};
  return HYPERVISOR_mmu_update(&request, 1, 0, DOMID_SELF);
}

static long flush(uint32_t cmd, uint64_t mask) {
  struct mmuext_op op = {.cmd = cmd, .arg1_linear_addr = (uint64_t)window, .arg2_vcpumask = mask};
  return HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

/* vcpu 1 reads through the window, which then moves; what it reads after the flush. */
static void shoot(const char *what, uint32_t cmd, uint64_t mask) {
  point(first, RW);
  run(1, flush_local);
  run(1, read_window);
  point(second, RW);
  show(what, flush(cmd, mask));
  show("vcpu 1 reads", run(1, read_window));
}

static void shoot_by_va(const char *what, uint64_t flags) {
  point(first, RW);
  run(1, flush_local);
  run(1, read_window);
  show(what, HYPERVISOR_update_va_mapping(window, mfn_of(second) * PAGE_SIZE | RW, flags));
  show("vcpu 1 reads", run(1, read_window));
}

static void shootdowns(void) {
  static uint64_t mask1 = 2, all = ~0ul;
  shoot("INVLPG_MULTI for vcpu 1", MMUEXT_INVLPG_MULTI, (uint64_t)&mask1);
  shoot("TLB_FLUSH_MULTI for vcpu 1", MMUEXT_TLB_FLUSH_MULTI, (uint64_t)&mask1);
  shoot("TLB_FLUSH_MULTI for vcpus that are not there, too", MMUEXT_TLB_FLUSH_MULTI, (uint64_t)&all);
  shoot("INVLPG_ALL", MMUEXT_INVLPG_ALL, 0);
  shoot("TLB_FLUSH_ALL", MMUEXT_TLB_FLUSH_ALL, 0);
  shoot_by_va("update_va_mapping, page, for vcpu 1", UVMF_INVLPG | (uint64_t)&mask1);
  shoot_by_va("update_va_mapping, all pages, for vcpu 1", UVMF_TLB_FLUSH | (uint64_t)&mask1);
  shoot_by_va("update_va_mapping, page, everywhere", UVMF_INVLPG | UVMF_ALL);
  shoot_by_va("update_va_mapping, all pages, everywhere", UVMF_TLB_FLUSH | UVMF_ALL);
  show("TLB_FLUSH_MULTI by a mask nowhere", flush(MMUEXT_TLB_FLUSH_MULTI, NOWHERE));
  show("INVLPG_MULTI by a mask nowhere", flush(MMUEXT_INVLPG_MULTI, NOWHERE));
}

/* Another level-4 table for vcpu 1, with the same entries. */
static void other_table(void) {
  memcpy((void *)own_l4, (void *)start_info->pt_base, PAGE_SIZE);
  l4_mfn = mfn_of(own_l4);
  show("make a second level-4 table read-only", set_page(own_l4, l4_mfn * PAGE_SIZE | RO));
  struct mmuext_op pin = {.cmd = MMUEXT_PIN_L4_TABLE, .arg1_mfn = l4_mfn};
  show("pin it", HYPERVISOR_mmuext_op(&pin, 1, 0, DOMID_SELF));
  show("vcpu 1 loads it", run(1, load_l4));
  shootdowns();
  pin.cmd = MMUEXT_UNPIN_TABLE;
  show("unpin it while vcpu 1 uses it", HYPERVISOR_mmuext_op(&pin, 1, 0, DOMID_SELF));
  shoot("INVLPG_ALL", MMUEXT_INVLPG_ALL, 0);
  show("make it writable", set_page(own_l4, l4_mfn * PAGE_SIZE | RW));
}

/* vcpu 1 may write the page, and knows it; then it becomes something else, and nobody tells vcpu 1. */
static void as_table(const char *what, uint32_t pin) {
  uint64_t mfn = mfn_of(table);
  struct mmuext_op op = {.cmd = pin, .arg1_mfn = mfn};
  printf(NAME ": -- %s\n", what);
  memset((void *)table, 0, PAGE_SIZE);
  run(1, flush_local);
  show("vcpu 1 writes it", run(1, write_table));
  show("pin it while it is writable", HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
  show("make it read-only, no flush", remap(table, mfn * PAGE_SIZE | RO));
  show("pin it", HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
  show("vcpu 1 writes it", run(1, write_table));
  show("vcpu 1 reads it", run(1, read_table));
  op.cmd = MMUEXT_UNPIN_TABLE;
  show("unpin it", HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
  show("make it writable", remap(table, mfn * PAGE_SIZE | RW));
  show("vcpu 1 writes it", run(1, write_table));
}

static void given_back(void) {
  uint64_t list[1] = {mfn_of(table)};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  printf(NAME ": -- given back\n");
  show("vcpu 1 writes it", run(1, write_table));
  show("unmap it, no flush", remap(table, 0));
  show("give the frame back", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  show("vcpu 1 writes it", run(1, write_table));
  show("vcpu 1 reads it", run(1, read_table));
  list[0] = ((uint64_t)table - 0xffffffff80000000) / PAGE_SIZE;
  show("get a frame", HYPERVISOR_memory_op(XENMEM_populate_physmap, &r));
  ((uint64_t *)start_info->mfn_list)[((uint64_t)table - 0xffffffff80000000) / PAGE_SIZE] = list[0];
  show("map it", remap(table, list[0] * PAGE_SIZE | RW));
  show("vcpu 1 writes it", run(1, write_table));
}

void guest_main(void) {
  smp_init();
  show("bring up vcpu 1", bring_up(1));
  first[0] = 111;
  second[0] = 222;
  shootdowns();
  as_table("a level-1 table", MMUEXT_PIN_L1_TABLE);
  as_table("a level-2 table", MMUEXT_PIN_L2_TABLE);
  as_table("a level-4 table", MMUEXT_PIN_L4_TABLE);
  given_back();
  printf(NAME ": -- vcpu 1 with a level-4 table of its own\n");
  other_table();
  as_table("a level-1 table again", MMUEXT_PIN_L1_TABLE);
  given_back();
  printf(NAME ": done\n");
}

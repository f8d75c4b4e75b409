/* foreign: names frames that are another domain's, the hypervisor's, nobody's, a device's or past the end of memory, in every
 * call that takes a frame's number: mappings of each level, pins, base pointers, copies, descriptor tables, the machine-to-
 * physical table, giving back, exchange, vcpu_info, grants of what isn't its own; and names other domains. A broken hypervisor
 * answers 0 and the guest has read or changed somebody else's memory. */
#define NAME "foreign"
#include "../attack.h"

#include <xen/grant_table.h>
#include <xen/vcpu.h>

static volatile uint64_t window[512] PAGE_ALIGNED;
static volatile uint64_t table[512] PAGE_ALIGNED;
static volatile uint64_t plain[512] PAGE_ALIGNED;
static struct grant_entry_v1 grants[512] PAGE_ALIGNED;

static uint64_t in_hypervisors_slot;

static void reservation(const char *what, uint32_t cmd, uint64_t mfn) {
  uint64_t list[1] = {mfn};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  show(what, HYPERVISOR_memory_op(cmd, &r));
}

static void exchange(uint64_t mfn) {
  uint64_t in[1] = {mfn}, out[1] = {7};
  struct xen_memory_exchange x = {.in = {.extent_start = (uint64_t)in, .nr_extents = 1, .domid = DOMID_SELF},
                                  .out = {.extent_start = (uint64_t)out, .nr_extents = 1, .domid = DOMID_SELF}};
  show("exchange it", HYPERVISOR_memory_op(XENMEM_exchange, &x));
}

static void in_a_table(const char *what, uint32_t pin, uint64_t entry) {
  set_page(table, frame(mfn_of(table), RW));
  memset((void *)table, 0, PAGE_SIZE);
  table[0] = frame(mfn_of(plain), RO);
  if (pin != MMUEXT_PIN_L1_TABLE) table[0] = 0;
  table[511] = entry;
  set_page(table, frame(mfn_of(table), RO));
  show(what, ext(pin, mfn_of(table)));
}

static void grant(uint64_t mfn) {
  uint16_t self = own_domid();
  grants[9].frame = (uint32_t)mfn;
  grants[9].domid = self;
  grants[9].flags = GTF_permit_access;
  struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)window, .flags = GNTMAP_host_map, .ref = 9, .dom = self};
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("grant it to itself and map that", map.status);
  map.flags = GNTMAP_host_map | GNTMAP_readonly;
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("the same, read-only", map.status);
  struct gnttab_copy copy = {.source = {.ref = 9, .domid = self},
                             .dest = {.gmfn = mfn_of(plain), .domid = DOMID_SELF},
                             .len = 8,
                             .flags = GNTCOPY_source_gref};
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &copy, 1);
  show("copy from that grant", copy.status);
  copy.source.gmfn = mfn;
  copy.source.domid = DOMID_SELF;
  copy.flags = 0;
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &copy, 1);
  show("copy from it as an own frame", copy.status);
  copy.source.domid = 0;
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &copy, 1);
  show("copy from it as a frame of domain 0", copy.status);
  struct gnttab_transfer transfer = {.mfn = mfn, .domid = self, .ref = 9};
  HYPERVISOR_grant_table_op(GNTTABOP_transfer, &transfer, 1);
  show("transfer it", transfer.status);
}

static void all(const char *whose, uint64_t mfn) {
  printf(NAME ": -- %s\n", whose);
  uint64_t l1 = entry_address(window, 1), l2 = entry_address(window, 2) + 8 * 300, l3 = entry_address(window, 3) - 8 * 100,
           l4 = frame(mfn_of((void *)start_info->pt_base), 8 * 300);
  show("update_va_mapping, read-only", set_page(window, frame(mfn, RO)));
  show("update_va_mapping, writable", set_page(window, frame(mfn, RW)));
  show("mmu_update of a level-1 entry", update(l1, frame(mfn, RO)));
  show("mmu_update of a level-2 entry", update(l2, frame(mfn, RO | _PAGE_USER)));
  show("mmu_update of a level-3 entry", update(l3, frame(mfn, RO | _PAGE_USER)));
  show("mmu_update of a level-4 entry", update(l4, frame(mfn, RO | _PAGE_USER)));
  show("mmu_update in it", update(frame(mfn, 0), frame(mfn_of(plain), RW)));
  show("machine-to-physical entry", update(frame(mfn, MMU_MACHPHYS_UPDATE), 5));
  in_a_table("pin a level-1 table that maps it", MMUEXT_PIN_L1_TABLE, frame(mfn, RO));
  in_a_table("pin a level-2 table that has it", MMUEXT_PIN_L2_TABLE, frame(mfn, RO | _PAGE_USER));
  in_a_table("pin a level-4 table that has it", MMUEXT_PIN_L4_TABLE, frame(mfn, RO | _PAGE_USER));
  for (uint32_t level = 1; level <= 4; level++) show("pin it", ext(MMUEXT_PIN_L1_TABLE + level - 1, mfn));
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  show("base pointer", ext(MMUEXT_NEW_BASEPTR, mfn));
  show("user base pointer", ext(MMUEXT_NEW_USER_BASEPTR, mfn));
  show("clear it", ext(MMUEXT_CLEAR_PAGE, mfn));
  show("copy to it", ext2(MMUEXT_COPY_PAGE, mfn, mfn_of(plain)));
  show("copy from it", ext2(MMUEXT_COPY_PAGE, mfn_of(plain), mfn));
  show("GDT", hypercall2(__HYPERVISOR_set_gdt, &mfn, 512));
  show("update_descriptor", hypercall2(__HYPERVISOR_update_descriptor, frame(mfn, 8), 0x00cff3000000ffff));
  struct vcpu_register_vcpu_info info = {.mfn = mfn, .offset = 0};
  show("vcpu_info", HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
  reservation("give it back", XENMEM_decrease_reservation, mfn);
  exchange(mfn);
  grant(mfn);
}

static long as(uint32_t domid, uint64_t entry) {
  struct mmu_update request = {.ptr = entry_address(window, 1), .val = entry};
  return HYPERVISOR_mmu_update(&request, 1, 0, domid);
}

static void of_domains(void) {
  static const uint32_t ids[] = {0, 1, 2, 3, 0x7fef, DOMID_IO, DOMID_XEN, DOMID_COW, DOMID_INVALID, DOMID_IDLE, 0x8000, 0xffff};
  uint16_t self = own_domid();
  for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
    if (ids[i] == self || ids[i] == 2) continue;
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L1_TABLE, .arg1_mfn = foreign};
    uint64_t list[1] = {foreign};
    struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = (uint16_t)ids[i]};
    printf(NAME ": as domain 0x%x: mmu_update %ld, its table %ld, otherdomain %ld, mmuext_op %ld, decrease %ld, populate %ld, "
           "current %ld\n",
           ids[i], as(ids[i], frame(foreign, RO)), as(ids[i] << 16 | DOMID_SELF, frame(foreign, RO)),
           hypercall4(__HYPERVISOR_update_va_mapping_otherdomain, window, frame(foreign, RO), 0, ids[i]),
           HYPERVISOR_mmuext_op(&op, 1, 0, ids[i]), HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r),
           HYPERVISOR_memory_op(XENMEM_populate_physmap, &r), HYPERVISOR_memory_op(XENMEM_current_reservation, &r.domid));
  }
  show("a table of domain 0", as(1 << 16 | 0, frame(foreign, RO)));
  show("a table of a domain that isn't", as(0x7000 << 16 | DOMID_SELF, frame(foreign, RO)));
}

void guest_main(void) {
  uint64_t frames[1];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  find_frames();
  in_hypervisors_slot = ((uint64_t *)start_info->pt_base)[256] / PAGE_SIZE & 0xfffffffff;
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frame(frames[0], RW));
  all("a frame of another domain", foreign);
  all("a frame that no domain has", unowned);
  all("a frame of the machine-to-physical table", hypervisors);
  all("the table behind the hypervisor's slot", in_hypervisors_slot);
  all("frame 0", 0);
  all("past the end of memory", 0xfffff);
  all("far past it", 0x3ffffffffff);
  of_domains();
  printf(NAME ": done\n");
}

/* memory_op: reservation up and down, exchange, maps and limits. */
#include "smoke.h"

#include <xen/memory.h>

static char page[PAGE_SIZE] PAGE_ALIGNED;

static struct xen_memory_reservation reservation(uint64_t *list, uint64_t n) {
  return (struct xen_memory_reservation){.extent_start = (uint64_t)list, .nr_extents = n, .domid = DOMID_SELF};
}

static void limits(void) {
  struct xen_memory_domain self = {.domid = DOMID_SELF}, zero = {.domid = 0};
  show("current_reservation less nr_pages",
       HYPERVISOR_memory_op(XENMEM_current_reservation, &self) - (long)start_info->nr_pages);
  show("maximum_reservation is no less", HYPERVISOR_memory_op(XENMEM_maximum_reservation, &self) >= (long)start_info->nr_pages);
  show("maximum_gpfn", HYPERVISOR_memory_op(XENMEM_maximum_gpfn, &self) >= 0);
  show("current_reservation of domain 0", HYPERVISOR_memory_op(XENMEM_current_reservation, &zero));
  show("maximum_ram_page is something", HYPERVISOR_memory_op(XENMEM_maximum_ram_page, 0) > 0);
  struct xen_machphys_mapping m2p;
  show("machphys_mapping", HYPERVISOR_memory_op(XENMEM_machphys_mapping, &m2p));
  show_hex("v_start", m2p.v_start);
  show_hex("v_end", m2p.v_end);
  uint64_t list[1] = {0};
  struct xen_machphys_mfn_list mfns = {.max_extents = 1, .extent_start = (uint64_t)list};
  show("machphys_mfn_list", HYPERVISOR_memory_op(XENMEM_machphys_mfn_list, &mfns));
}

static void maps(void) {
  static struct xen_e820entry entries[32];
  struct xen_memory_map map = {.nr_entries = 32, .buffer = (uint64_t)entries};
  show("memory_map", HYPERVISOR_memory_op(XENMEM_memory_map, &map));
  show("machine_memory_map", HYPERVISOR_memory_op(XENMEM_machine_memory_map, &map));
  struct xen_foreign_memory_map foreign = {.domid = DOMID_SELF, .map = {.nr_entries = 1, .buffer = (uint64_t)entries}};
  entries[0] = (struct xen_e820entry){.size_lo = 0x800000, .type = E820_RAM};
  show("set_memory_map", HYPERVISOR_memory_op(XENMEM_set_memory_map, &foreign));
  map.nr_entries = 32;
  show("memory_map then", HYPERVISOR_memory_op(XENMEM_memory_map, &map));
  show("its entries", map.nr_entries);
}

/* Gives the page's frame back and takes another for it. */
static void balloon(void) {
  uint64_t mfn = mfn_of(page), old = mfn, pfn = ((uint64_t *)MACH2PHYS_VIRT_START)[mfn];
  struct xen_memory_reservation r = reservation(&mfn, 1);
  show("decrease_reservation of a mapped page", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  show("is it gone from the map", set_page(page, mfn * PAGE_SIZE | _PAGE_PRESENT) != 0);
  set_page(page, 0);
  struct xen_memory_domain self = {.domid = DOMID_SELF};
  show("current_reservation less nr_pages",
       HYPERVISOR_memory_op(XENMEM_current_reservation, &self) - (long)start_info->nr_pages);
  show("decrease_reservation again", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  mfn = pfn;
  show("populate_physmap", HYPERVISOR_memory_op(XENMEM_populate_physmap, &r));
  show("the new frame's pfn is right", ((uint64_t *)MACH2PHYS_VIRT_START)[mfn] == pfn);
  show("map it", set_page(page, mfn * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW));
  long sum = 0;
  for (unsigned i = 0; i < PAGE_SIZE; i++) sum += ((volatile char *)page)[i];
  show("a sum over its bytes", sum);
  ((uint64_t *)start_info->mfn_list)[pfn] = mfn;
  (void)old;
}

static void exchange(void) {
  uint64_t in = mfn_of(page), out = ((uint64_t *)MACH2PHYS_VIRT_START)[in], pfn = out;
  set_page(page, 0);
  struct xen_memory_exchange e = {.in = reservation(&in, 1), .out = reservation(&out, 1)};
  show("exchange", HYPERVISOR_memory_op(XENMEM_exchange, &e));
  show("exchanged", (long)e.nr_exchanged);
  show("map the frame got", set_page(page, out * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW));
  ((uint64_t *)start_info->mfn_list)[pfn] = out;
  e.out.nr_extents = 2;
  e.nr_exchanged = 0;
  show("exchange of one for two", HYPERVISOR_memory_op(XENMEM_exchange, &e));
}

static void refused(void) {
  uint64_t list[2] = {0xfffff, 0};
  struct xen_memory_reservation r = reservation(list, 1);
  show("decrease_reservation of a frame that isn't ours", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  r.extent_order = 20;
  show("increase_reservation of order 20", HYPERVISOR_memory_op(XENMEM_increase_reservation, &r));
  r.extent_order = 0;
  r.nr_extents = 1ul << 52;
  show("increase_reservation of 2^52", HYPERVISOR_memory_op(XENMEM_increase_reservation, &r));
  r.nr_extents = 1;
  r.domid = 0;
  show("increase_reservation of domain 0", HYPERVISOR_memory_op(XENMEM_increase_reservation, &r));
  r.domid = DOMID_SELF;
  r.extent_start = NOWHERE;
  show("decrease_reservation from nowhere", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  struct xen_add_to_physmap add = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = 1};
  show("add_to_physmap", HYPERVISOR_memory_op(XENMEM_add_to_physmap, &add));
  struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = 1};
  show("remove_from_physmap", HYPERVISOR_memory_op(XENMEM_remove_from_physmap, &remove));
  struct xen_pod_target pod = {.domid = DOMID_SELF};
  show("get_pod_target", HYPERVISOR_memory_op(XENMEM_get_pod_target, &pod));
  show("claim_pages", HYPERVISOR_memory_op(XENMEM_claim_pages, &r));
  show("get_vnumainfo from nowhere", HYPERVISOR_memory_op(XENMEM_get_vnumainfo, NOWHERE));
  show("command 63", HYPERVISOR_memory_op(63, &r));
}

void smoke_memory(void) {
  limits();
  maps();
  balloon();
  exchange();
  refused();
}

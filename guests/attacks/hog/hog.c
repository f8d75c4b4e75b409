/* hog: takes all that it can get of everything and keeps it: frames, grant frames, mappings, ports, page tables in the deepest
 * shapes, timers, and floods its console; then ends without giving anything back. A broken hypervisor gives it more than its
 * limits, runs out of something that others need, or cannot take it all back when the domain is destroyed. */
#define NAME "hog"
#include "../attack.h"

#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define TABLES 256

static volatile uint64_t tables[TABLES][512] PAGE_ALIGNED;
static volatile struct grant_entry_v1 grants[512] PAGE_ALIGNED;
static volatile uint64_t plain[512] PAGE_ALIGNED;

static void frames(void) {
  static uint64_t list[64];
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 64, .domid = DOMID_SELF};
  long n, all = 0;
  while ((n = HYPERVISOR_memory_op(XENMEM_increase_reservation, &r)) > 0) all += n;
  struct xen_memory_domain self = {DOMID_SELF};
  show("has all that it may have",
       HYPERVISOR_memory_op(XENMEM_current_reservation, &self) == HYPERVISOR_memory_op(XENMEM_maximum_reservation, &self));
  r.extent_order = 4;
  show("sixteen more", HYPERVISOR_memory_op(XENMEM_increase_reservation, &r));
  r.extent_order = 0;
  r.nr_extents = 1ul << 20;
  show("a million more", HYPERVISOR_memory_op(XENMEM_increase_reservation, &r));
}

static void granting(void) {
  static uint64_t list[64];
  uint16_t self = own_domid();
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 64, .frame_list = (uint64_t)list};
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  show("64 grant frames", setup.status);
  set_page(grants, frame(list[0], RW));
  int mapped = 0;
  for (uint32_t ref = 16; ref < 24; ref++) {
    grants[ref].frame = (uint32_t)mfn_of(plain);
    grants[ref].domid = self;
    grants[ref].flags = GTF_permit_access;
    for (int i = 0; i < 100; i++) {
      struct gnttab_map_grant_ref map = {.flags = GNTMAP_device_map, .ref = ref, .dom = self};
      HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
      mapped += map.status == 0;
    }
  }
  show("mappings of grants", mapped);
}

static void channels(void) {
  int n = 0;
  struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
  while (HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc) == 0) n++;
  show("more than a thousand ports", n > 1000);
}

/* A chain as deep and wide as there are levels: each table full of entries for one of the next level. */
static void deep(void) {
  for (int i = 0; i < TABLES; i++) {
    int level = i % 4;
    for (int k = 0; k < 512; k++) {
      if (level == 3 && (k >= 256 && k < 272)) continue;
      tables[i][k] = level == 0 ? frame(mfn_of(plain), RO) : frame(mfn_of(tables[i - 1]), RW | _PAGE_USER);
    }
  }
  for (int i = 0; i < TABLES; i++) set_page(tables[i], frame(mfn_of(tables[i]), RO));
  int pinned = 0;
  for (int i = 3; i < TABLES; i += 4) pinned += ext(MMUEXT_PIN_L4_TABLE, mfn_of(tables[i])) == 0;
  show("level-4 tables, every entry of every level in use", pinned);
  /* And a level-2 table with an entry to each of the level-1 tables. */
  show("unpin one", ext(MMUEXT_UNPIN_TABLE, mfn_of(tables[3])));
  show("pin it anew", ext(MMUEXT_PIN_L4_TABLE, mfn_of(tables[3])));
}

static void timers(void) {
  struct sched_watchdog dog = {.id = 0, .timeout = 1000};
  int n = 0;
  /* Xen widens the error without its sign. */
  while (n < 10 && (int)HYPERVISOR_sched_op(SCHEDOP_watchdog, &dog) > 0) n++;
  show("watchdogs", n);
  struct vcpu_set_periodic_timer period = {.period_ns = 1};
  show("a period of 1 ns", HYPERVISOR_vcpu_op(VCPUOP_set_periodic_timer, 0, &period));
  period.period_ns = -1;
  show("a period of 2^64 ns", HYPERVISOR_vcpu_op(VCPUOP_set_periodic_timer, 0, &period));
}

void guest_main(void) {
  for (int i = 0; i < 100; i++) printf(NAME ": line %d of a flood of the console, each of which takes its time\n", i);
  frames();
  granting();
  channels();
  deep();
  timers();
  printf(NAME ": done\n");
}

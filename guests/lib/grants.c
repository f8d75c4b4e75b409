/* Grants of version 1 (public/grant_table.h): an entry is written by the guest, domain and frame first, then the flags that
 * make it valid; Xen sets the flags that say it is in use. */
#include "frontend.h"

#include <xen/grant_table.h>

#define FRAMES 4
#define ENTRIES (FRAMES * PAGE_SIZE / sizeof(struct grant_entry_v1))

static volatile struct grant_entry_v1 table[ENTRIES] PAGE_ALIGNED;

void grants_init(void) {
  uint64_t frames[FRAMES];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = FRAMES, .frame_list = (uint64_t)frames};
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  for (int i = 0; i < FRAMES; i++)
    set_page((char *)table + i * PAGE_SIZE, frames[i] * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW);
}

uint32_t grant(uint16_t domid, const volatile void *page, int readonly) {
  static uint32_t next = GNTTAB_NR_RESERVED_ENTRIES;
  for (uint32_t tries = 0; tries < ENTRIES; tries++) {
    uint32_t ref = next;
    next = next + 1 < ENTRIES ? next + 1 : GNTTAB_NR_RESERVED_ENTRIES;
    if (table[ref].flags != 0) continue;
    table[ref].domid = domid;
    table[ref].frame = (uint32_t)mfn_of(page);
    barrier();
    table[ref].flags = GTF_permit_access | (readonly ? GTF_readonly : 0);
    return ref;
  }
  return 0;
}

int grant_end(uint32_t ref) {
  uint16_t flags = table[ref].flags;
  /* Xen may set a use at any moment: the flags go only as they were when they showed none. */
  return !(flags & (GTF_reading | GTF_writing)) && __sync_bool_compare_and_swap(&table[ref].flags, flags, 0);
}

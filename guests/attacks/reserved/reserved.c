/* reserved: puts bits into page-table entries that must not be there (frame numbers past 52 bits, superpage, global and cache
 * bits above level 1, software bits that Xen keeps for itself), and entries into the slots of a level-4 table that are Xen's, by
 * mmu_update and in a table that is then pinned. A broken hypervisor takes them: then a walk goes to a frame that was never
 * checked, or the guest maps something over Xen itself. */
#define NAME "reserved"
#include "../attack.h"

static volatile uint64_t window[512] PAGE_ALIGNED;
static volatile uint64_t table[512] PAGE_ALIGNED;
static volatile uint64_t plain[512] PAGE_ALIGNED;

static void bits(void) {
  uint64_t at[5] = {0, entry_address(window, 1), entry_address(window, 2) + 8 * 300, entry_address(window, 3) - 8 * 100,
                    frame(mfn_of((void *)start_info->pt_base), 8 * 300)};
  uint64_t good[5] = {0, frame(mfn_of(plain), RW | _PAGE_USER), frame(table_of(window, 1), RW | _PAGE_USER),
                      frame(table_of(window, 2), RW | _PAGE_USER), frame(table_of(window, 3), RW | _PAGE_USER)};
  for (int level = 1; level <= 4; level++) {
    printf(NAME ": level %d, bits 3 to 63, one at a time:", level);
    for (int bit = 3; bit < 64; bit++) {
      /* Accessed and dirty are anybody's; frame numbers change what is mapped, below the end of memory. */
      if (bit == 5 || bit == 6 || (bit >= 12 && bit < 36)) continue;
      printf(" %ld", update(at[level], good[level] ^ 1ul << bit));
    }
    printf("\n");
    show("not present, all else set", update(at[level], ~1ul));
    show("empty it", update(at[level], 0));
  }
  set_page(window, frame(mfn_of(window), RW));
}

static void slots(void) {
  uint64_t l4 = mfn_of((void *)start_info->pt_base), l3 = table_of(window, 3);
  printf(NAME ": slots 255 to 272 of the level-4 table:");
  for (uint64_t slot = 255; slot <= 272; slot++) {
    printf(" %ld", update(frame(l4, slot * 8), frame(l3, RW | _PAGE_USER)));
    if (slot == 255 || slot == 272) update(frame(l4, slot * 8), 0);
  }
  printf("\n" NAME ": emptied:");
  for (uint64_t slot = 256; slot <= 271; slot++) printf(" %ld", update(frame(l4, slot * 8), 0));
  printf("\n");
  show("without the present bit", update(frame(l4, 257 * 8), frame(l3, 0)));
  memset((void *)table, 0, PAGE_SIZE);
  for (int slot = 256; slot <= 271; slot++) table[slot] = frame(l3, RW | _PAGE_USER);
  set_page(table, frame(mfn_of(table), RO));
  show("pin a level-4 table with all of Xen's slots filled", ext(MMUEXT_PIN_L4_TABLE, mfn_of(table)));
  int kept = 0;
  for (int slot = 256; slot <= 271; slot++) kept += (table[slot] & ~0xffful) == frame(l3, 0);
  show("how many of them are left", kept);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn_of(table)));
  set_page(table, frame(mfn_of(table), RW));
  for (int slot = 0; slot < 512; slot++) table[slot] = 0;
  for (int slot = 257; slot <= 271; slot++) table[slot] = 0xffffffffffffffff;
  set_page(table, frame(mfn_of(table), RO));
  show("pin one with nonsense in them", ext(MMUEXT_PIN_L4_TABLE, mfn_of(table)));
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn_of(table)));
}

static void requests(void) {
  uint64_t at = entry_address(window, 1), good = frame(mfn_of(window), RW);
  for (uint64_t command = 0; command < 8; command++) {
    if (command == MMU_MACHPHYS_UPDATE) continue;
    show("mmu_update with a command", update(at | command, good));
  }
  show("machine address past 52 bits", update(at | 1ul << 52, good));
  show("machine address past memory", update(at | 1ul << 45, good));
  show("all bits", update(~7ul, good));
  /* Only the reading side of the table: its window is the hypervisor's. */
  show_touch("read the machine-to-physical table", (void *)MACH2PHYS_VIRT_START, 0);
  show_touch("write to it", (void *)MACH2PHYS_VIRT_START, 1);
  show_touch("read behind it", (void *)0xffff810000000000, 0);
  show_touch("read at the end of Xen's range", (void *)0xffff87fffffffff8, 0);
  show("map over it", HYPERVISOR_update_va_mapping(MACH2PHYS_VIRT_START, good, 0));
  show("map at the end of Xen's range", HYPERVISOR_update_va_mapping(0xffff87fffffff000, good, 0));
  show("map where it is not canonical", HYPERVISOR_update_va_mapping(NOT_CANONICAL, good, 0));
  show("map at the last page", HYPERVISOR_update_va_mapping(0xfffffffffffff000, good, 0));
}

void guest_main(void) {
  bits();
  slots();
  requests();
  printf(NAME ": done\n");
}

/* badtraps: registers handlers at addresses that can't be: one that isn't canonical, which is refused with an errno, and
 * ones where nothing is mapped, which is accepted. Then it faults: entering the handler faults again, and so on, until
 * the stack ends at a page that isn't mapped. It must be crashed then, alone. */
#include <lib.h>

static char area[2 * 4096] PAGE_ALIGNED;

void guest_main(void) {
  static struct trap_info table[3] = {{.vector = TRAP_page_fault, .cs = FLAT_KERNEL_CS, .address = 0x800000000000},
                                      {.vector = TRAP_int3, .cs = FLAT_KERNEL_CS, .address = 0x123456789000}};
  printf("badtraps: a handler that isn't canonical: %ld\n", HYPERVISOR_set_trap_table(table));
  table[0].address = 0x123456789000;
  printf("badtraps: a handler that isn't mapped: %ld\n", HYPERVISOR_set_trap_table(table));
  printf("badtraps: hole below the stack: %ld\n", set_page(area, 0));
  console_drain();
  __asm__ volatile("mov %0, %%rsp; int3; ud2" : : "r"(area + sizeof area));
}

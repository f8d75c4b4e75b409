/* faultloop: its page-fault handler faults itself, so each fault nests in the one before and takes more of the stack,
 * until the frame of the next doesn't fit: below the stack lies a page that isn't mapped. It must be crashed then, with a
 * reason that says that its stack could not be written. */
#include <lib.h>

static char area[2 * 4096] PAGE_ALIGNED;

void faulting_handler(void);
__asm__(".pushsection .text\n"
        "faulting_handler:\n"
        "  movabs 0x123456789000, %al\n"
        "  ud2\n"
        ".popsection");

void guest_main(void) {
  static struct trap_info table[2] = {{.vector = TRAP_page_fault, .cs = FLAT_KERNEL_CS}};
  table[0].address = (uint64_t)faulting_handler;
  long result = HYPERVISOR_set_trap_table(table);
  printf("faultloop: trap table %ld, hole below the stack %ld\n", result, set_page(area, 0));
  console_drain();
  __asm__ volatile("mov %0, %%rsp; movabs 0x123456789000, %%al" : : "r"(area + sizeof area));
}

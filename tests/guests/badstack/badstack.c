/* badstack: points its stack pointer to where nothing is mapped, and raises an exception. The frame can't be written, so
 * it must be crashed, with a reason that says so. */
#include <lib.h>

void guest_main(void) {
  printf("badstack: going\n");
  console_drain();
  __asm__ volatile("mov %0, %%rsp; int3; ud2" : : "r"(0x123456789000));
}

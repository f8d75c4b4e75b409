/* garbage: takes its trap table away and executes bytes that are no instruction. It must be crashed, alone, with a
 * reason in the hypervisor's log that names the invalid opcode. */
#include <lib.h>

void guest_main(void) {
  printf("garbage: no trap table: %ld\n", HYPERVISOR_set_trap_table(0));
  console_drain();
  __asm__ volatile(".byte 0x0f, 0x0b, 0xff, 0xff, 0x06, 0x82, 0xd6");
  printf("garbage: still alive\n");
}

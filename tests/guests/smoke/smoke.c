/* smoke: issues every hypercall that a start-of-day kernel needs, each in ways that succeed and ways that fail, and
 * prints results and errnos that don't depend on the machine. Its transcript is real Xen's: each line that differs here
 * is a difference in the ABI. One file for each part of it. */
#include "smoke.h"

void show(const char *what, long result) { printf("smoke: %s: %ld\n", what, result); }

void show_hex(const char *what, unsigned long value) { printf("smoke: %s: 0x%lx\n", what, value); }

void guest_main(void) {
  smoke_version();
  smoke_misc();
  smoke_traps();
  smoke_events();
  smoke_grants();
  smoke_sched();
  smoke_vcpu();
  smoke_memory();
  smoke_mmu();
  smoke_user();
  printf("smoke: done\n");
}

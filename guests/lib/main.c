/* From the first instruction in C to guest_main, and the end of the domain. */
#include "lib.h"

#include <xen/sched.h>

struct start_info *start_info;

void guest_start(struct start_info *info) {
  start_info = info;
  HYPERVISOR_update_va_mapping(&shared_info, info->shared_info | _PAGE_PRESENT | _PAGE_RW, UVMF_INVLPG);
  traps_init();
  events_init();
  guest_main();
  shutdown(SHUTDOWN_poweroff);
}

void shutdown(unsigned reason) {
  struct sched_shutdown arg = {.reason = reason};
  console_drain();
  for (;;) HYPERVISOR_sched_op(SCHEDOP_shutdown, &arg);
}

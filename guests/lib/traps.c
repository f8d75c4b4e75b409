/* The trap table, and what happens at an exception: the bound handler is asked; if there is none or it declines, the
 * registers are printed and the domain ends as crashed. */
#include "lib.h"

#include <xen/sched.h>

#define ENTRIES(X) X(0) X(1) X(3) X(4) X(5) X(6) X(7) X(10) X(11) X(12) X(13) X(14) X(16) X(17) X(19)
#define DECLARE(n) extern char trap_##n[];
ENTRIES(DECLARE)

extern int probe(void *address, int write);
extern char probe_read[], probe_write[], probe_failed[];
uint64_t fault_address, fault_error;
static trap_handler handlers[20];
void (*syscall_handler)(struct regs *regs);

/* Only int3 and overflow may be raised by `int n` of user code. */
#define ENTRY(n) {.vector = n, .flags = (n == 3 || n == 4) ? 3 : 0, .cs = FLAT_KERNEL_CS, .address = (uint64_t)trap_##n},
static struct trap_info table[16];

static int probing(struct regs *regs) {
  if (regs->rip != (uint64_t)probe_read && regs->rip != (uint64_t)probe_write) return 0;
  fault_address = shared_info.vcpu_info[0].arch.cr2;
  fault_error = regs->error;
  regs->rip = (uint64_t)probe_failed;
  return 1;
}

void traps_init(void) {
  struct trap_info entries[] = {ENTRIES(ENTRY)};
  memcpy(table, entries, sizeof entries);
  HYPERVISOR_set_trap_table(table);
  trap_bind(TRAP_page_fault, probing);
}

void trap_bind(unsigned vector, trap_handler handler) { handlers[vector] = handler; }

int try_touch(void *address, int write) { return probe(address, write); }

/* Called by start.S. */
void guest_entry(struct regs *regs) {
  if (regs->vector == 256) {
    events_upcall();
    return;
  }
  if (regs->vector == 257) {
    syscall_handler(regs);
    return;
  }
  trap_handler handler = handlers[regs->vector];
  if (handler && handler(regs)) return;
  printf("exception %lu, error code 0x%lx, at 0x%lx, stack 0x%lx, cr2 0x%lx\n", regs->vector, regs->error, regs->rip,
         regs->rsp, shared_info.vcpu_info[0].arch.cr2);
  shutdown(SHUTDOWN_crash);
}

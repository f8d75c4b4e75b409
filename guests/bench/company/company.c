/* company: what a domain finds beside itself on a busy machine, chosen by the command line. "spin" counts; "hypercalls" asks
 * the hypervisor for cheap and for costly things without end; "faults" does nothing but take page faults; "sleep" wakes
 * every 2 ms and tells how late: "company: late by N ns, N ns, N ns" (median, 99th percentile, most, of 500; of 50 with
 * "nap"). For `npm run bench -- bvt`: each must get its share of the processor, no more and no less. */
#include <lib.h>

#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define WAKES 500
#define FEW_WAKES 50
#define PERIOD_NS 2000000ul

static volatile uint64_t counter;
static volatile char table[PAGE_SIZE] PAGE_ALIGNED;

static void spin(void) {
  for (;;) counter++;
}

static void hypercalls(void) {
  set_page(table, mfn_of(table) * PAGE_SIZE | _PAGE_PRESENT);
  struct mmuext_op pin[2] = {{.cmd = MMUEXT_PIN_L4_TABLE, .arg1_mfn = mfn_of(table)},
                             {.cmd = MMUEXT_UNPIN_TABLE, .arg1_mfn = mfn_of(table)}};
  for (;; counter++) {
    for (int i = 0; i < 16; i++) HYPERVISOR_xen_version(XENVER_version, 0);
    HYPERVISOR_mmuext_op(pin, 2, 0, DOMID_SELF);
  }
}

static void faults(void) {
  for (;; counter++) try_touch(0, 0);
}

static void woken(uint32_t port) { (void)port; }

static void sleeper(int wakes) {
  static uint64_t late[WAKES];
  virq_bind(VIRQ_TIMER, woken);
  for (;;) {
    for (int i = 0; i < wakes; i++) {
      events_disable();
      uint64_t due = system_time() + PERIOD_NS;
      HYPERVISOR_set_timer_op(due);
      uint64_t now;
      while ((now = system_time()) < due) {
        event_block();
        events_disable();
      }
      int at = i;
      for (; at > 0 && late[at - 1] > now - due; at--) late[at] = late[at - 1];
      late[at] = now - due;
    }
    printf("company: late by %lu ns, %lu ns, %lu ns\n", late[wakes / 2], late[wakes * 99 / 100], late[wakes - 1]);
  }
}

void guest_main(void) {
  /* Xen's 100 Hz tick is nobody's wish here. */
  hypercall3(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
  const char *line = (const char *)start_info->cmd_line;
  if (!strcmp(line, "hypercalls")) hypercalls();
  if (!strcmp(line, "faults")) faults();
  if (!strcmp(line, "sleep")) sleeper(WAKES);
  if (!strcmp(line, "nap")) sleeper(FEW_WAKES);
  spin();
}

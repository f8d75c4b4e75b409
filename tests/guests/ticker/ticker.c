/* ticker: prints a numbered line every 100 ms, by the vcpu's one-shot timer and an upcall, until it is destroyed. Beside
 * a spinning guest it shows that timers preempt and that the console is drained. */
#include <lib.h>

#include <xen/vcpu.h>

static volatile int fired;

static void on_timer(uint32_t port) {
  (void)port;
  fired = 1;
}

void guest_main(void) {
  HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
  virq_bind(VIRQ_TIMER, on_timer);
  uint64_t next = system_time();
  for (int n = 1;; n++) {
    struct vcpu_set_singleshot_timer timer = {.timeout_abs_ns = next += 100000000};
    fired = 0;
    HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer);
    events_disable();
    while (!fired) {
      event_block();
      events_disable();
    }
    events_enable();
    printf("ticker: %d\n", n);
  }
}

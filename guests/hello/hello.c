/* hello: the first guest. It shows that a kernel written from the ABI alone starts, and that each of the things that
 * every kernel needs works: the console's ring, xenstore, a hypercall with a result, timer events taken by upcall, the
 * clock, an exception handled by its own handler, and an orderly end. Its transcript under real Xen is transcript.txt;
 * only the domain id and the digits of the times may differ. */
#include <lib.h>

#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

static volatile int ticks;

static void on_timer(uint32_t port) {
  (void)port;
  ticks++;
}

void guest_main(void) {
  char domid[16], name[64];
  if (xenstore_read("domid", domid, sizeof domid) < 0 || xenstore_read("name", name, sizeof name) < 0) {
    printf("hello: xenstore doesn't answer\n");
    shutdown(SHUTDOWN_crash);
  }
  printf("hello: I am domain %s, %s\n", domid, name);

  long version = HYPERVISOR_xen_version(XENVER_version, 0);
  printf("hello: the hypervisor is Xen %ld.%ld\n", version >> 16, version & 0xffff);

  /* Xen starts every vcpu with a periodic timer of 10 ms, which runs while the vcpu does. */
  HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
  virq_bind(VIRQ_TIMER, on_timer);
  for (int n = 1; n <= 3; n++) {
    uint64_t start = system_time();
    HYPERVISOR_set_timer_op(start + 100000000);
    events_disable();
    while (ticks < n) {
      event_block();
      events_disable();
    }
    events_enable();
    uint64_t now = system_time();
    printf("hello: tick %d at system time %lu.%09lu s%s\n", n, now / 1000000000, now % 1000000000,
           now - start < 99000000 ? ", too early" : ""); /* Xen's timers may come 50 us early */
  }

  if (try_touch((void *)0x123456789000, 1))
    printf("hello: handled a page fault at 0x%lx, error code 0x%lx\n", fault_address, fault_error);
  else
    printf("hello: no page fault where there is nothing\n");
  printf("hello: good bye\n");
}

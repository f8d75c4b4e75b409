/* sched_op and set_timer_op. */
#include "smoke.h"

#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

static volatile int ticks;

static void on_timer(uint32_t port) {
  (void)port;
  ticks++;
}

void smoke_sched(void) {
  uint32_t timer = virq_bind(VIRQ_TIMER, on_timer);
  uint64_t end = system_time() + 500000000;
  while (ticks < 3 && system_time() < end) {}
  show("a periodic timer runs from the start", ticks >= 3);
  show("stop_periodic_timer", HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, 0));
  ticks = 0;
  show("yield", HYPERVISOR_sched_op(SCHEDOP_yield, 0));

  events_disable();
  show("set_timer_op", HYPERVISOR_set_timer_op(system_time() + 20000000));
  show("block until the timer", HYPERVISOR_sched_op(SCHEDOP_block, 0));
  show("ticks", ticks);
  show("the mask after block", shared_info.vcpu_info[0].evtchn_upcall_mask);
  show("set_timer_op of the past", HYPERVISOR_set_timer_op(1000));
  uint64_t until = system_time() + 50000000;
  while (ticks < 2 && system_time() < until) {}
  show("ticks", ticks);
  show("set_timer_op off", HYPERVISOR_set_timer_op(0));

  /* A port that never comes: poll ends with the timeout. */
  struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
  HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &unbound);
  uint32_t ports[2] = {unbound.port, timer};
  struct sched_poll poll = {.ports = (uint64_t)ports, .nr_ports = 1, .timeout = system_time() + 20000000};
  show("poll with a timeout", HYPERVISOR_sched_op(SCHEDOP_poll, &poll));
  show("the timeout was waited for", system_time() + 1000000 >= poll.timeout);
  poll.nr_ports = 0;
  poll.timeout = system_time() + 1000000;
  show("poll of no ports with a timeout", HYPERVISOR_sched_op(SCHEDOP_poll, &poll));
  poll.nr_ports = 129;
  show("poll of 129 ports", HYPERVISOR_sched_op(SCHEDOP_poll, &poll));
  ports[0] = 5000;
  poll.nr_ports = 1;
  show("poll of port 5000", HYPERVISOR_sched_op(SCHEDOP_poll, &poll));
  poll.ports = NOWHERE;
  show("poll of ports nowhere", HYPERVISOR_sched_op(SCHEDOP_poll, &poll));

  struct sched_watchdog dog = {.id = 0, .timeout = 100};
  long id = HYPERVISOR_sched_op(SCHEDOP_watchdog, &dog);
  show("watchdog", id);
  dog.id = (uint32_t)id;
  show("watchdog again", HYPERVISOR_sched_op(SCHEDOP_watchdog, &dog));
  dog.timeout = 0;
  show("watchdog off", HYPERVISOR_sched_op(SCHEDOP_watchdog, &dog));
  dog.id = 77;
  show("watchdog 77", HYPERVISOR_sched_op(SCHEDOP_watchdog, &dog));

  struct sched_remote_shutdown remote = {.domain_id = 0, .reason = SHUTDOWN_crash};
  show("remote_shutdown of domain 0", HYPERVISOR_sched_op(SCHEDOP_remote_shutdown, &remote));
  struct sched_pin_override pin = {.pcpu = 0};
  show("pin_override", HYPERVISOR_sched_op(SCHEDOP_pin_override, &pin));
  show("command 99", HYPERVISOR_sched_op(99, &pin));
  show("shutdown from nowhere", HYPERVISOR_sched_op(SCHEDOP_shutdown, NOWHERE));
  show("sched_op_compat yield", hypercall2(__HYPERVISOR_sched_op_compat, SCHEDOP_yield, 0));
  show("sched_op_compat 3", hypercall2(__HYPERVISOR_sched_op_compat, 3, 0));
}

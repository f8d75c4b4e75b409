/* event_channel_op: every operation of the two-level ABI, on channels of the domain with itself. */
#include "smoke.h"

#include <xen/event_channel.h>
#include <xen/sched.h>

static volatile int upcalls;

static void on_event(uint32_t port) {
  (void)port;
  upcalls++;
}

static void status(const char *what, uint32_t port) {
  struct evtchn_status s = {.dom = DOMID_SELF, .port = port};
  long result = HYPERVISOR_event_channel_op(EVTCHNOP_status, &s);
  printf("smoke: status of %s: %ld, %u, vcpu %u\n", what, result, s.status, s.vcpu);
}

#define PORT_OP(name, op, type, number)                     \
  static long name(uint32_t port) {                         \
    struct type arg = {.port = port};                       \
    return HYPERVISOR_event_channel_op(op, &arg);           \
  }
PORT_OP(op_send, EVTCHNOP_send, evtchn_send, port)
PORT_OP(op_close, EVTCHNOP_close, evtchn_close, port)
PORT_OP(op_unmask, EVTCHNOP_unmask, evtchn_unmask, port)

static int pending(uint32_t port) { return shared_info.evtchn_pending[port / 64] >> (port % 64) & 1; }

static void interdomain(void) {
  struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
  show("alloc_unbound", HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &unbound));
  uint32_t a = unbound.port;
  status("an unbound port", a);
  show("send on an unbound port", op_send(a));
  struct evtchn_bind_interdomain bind = {.remote_dom = DOMID_SELF, .remote_port = a};
  show("bind_interdomain", HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &bind));
  uint32_t b = bind.local_port;
  show("the new port is pending", pending(b));
  status("the bound port", a);
  status("its peer", b);
  show("bind to it again", HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &bind));
  bind.remote_port = 4000;
  show("bind to a port that isn't", HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &bind));
  bind.remote_dom = 0x7000;
  show("bind to a domain that isn't", HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &bind));
  upcalls = 0;
  event_bind(a, on_event);
  show("upcalls after unmasking", upcalls);
  show("send", op_send(b));
  show("upcalls after a send", upcalls);
  events_disable();
  show("send with upcalls off", op_send(b));
  show("send twice", op_send(b));
  show("upcalls meanwhile", upcalls);
  events_enable();
  show("upcalls when on again", upcalls);
  shared_info.evtchn_mask[a / 64] |= 1ul << (a % 64);
  op_send(b);
  show("upcalls of a masked port", upcalls);
  show("it is pending", pending(a));
  show("unmask", op_unmask(a));
  show("upcalls after that", upcalls);
  struct evtchn_bind_vcpu vcpu = {.port = a, .vcpu = 0};
  show("bind_vcpu 0", HYPERVISOR_event_channel_op(EVTCHNOP_bind_vcpu, &vcpu));
  vcpu.vcpu = 1;
  show("bind_vcpu 1", HYPERVISOR_event_channel_op(EVTCHNOP_bind_vcpu, &vcpu));
  show("close", op_close(b));
  status("the port whose peer closed", a);
  status("the closed port", b);
  show("close again", op_close(b));
  show("send on a closed port", op_send(b));
  show("close the other", op_close(a));
}

static void virtual(void) {
  struct evtchn_bind_virq virq = {.virq = VIRQ_DEBUG, .vcpu = 0};
  show("bind_virq", HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &virq));
  status("a VIRQ's port", virq.port);
  uint32_t port = virq.port;
  show("bind_virq again", HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &virq));
  show("send on a VIRQ's port", op_send(port));
  struct evtchn_bind_vcpu vcpu = {.port = port, .vcpu = 0};
  show("bind_vcpu of a VIRQ's port", HYPERVISOR_event_channel_op(EVTCHNOP_bind_vcpu, &vcpu));
  show("close a VIRQ's port", op_close(port));
  virq.virq = NR_VIRQS;
  show("bind_virq of one that isn't", HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &virq));
  virq.virq = VIRQ_DEBUG;
  virq.vcpu = 1;
  show("bind_virq on a vcpu that isn't", HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &virq));
  virq.virq = VIRQ_DOM_EXC;
  virq.vcpu = 0;
  show("bind_virq of dom0's", HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &virq));
  if (virq.port) op_close(virq.port);
  struct evtchn_bind_ipi ipi = {.vcpu = 0};
  show("bind_ipi", HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &ipi));
  status("an IPI's port", ipi.port);
  upcalls = 0;
  event_bind(ipi.port, on_event);
  show("send on an IPI's port", op_send(ipi.port));
  show("upcalls of it", upcalls);
  show("close an IPI's port", op_close(ipi.port));
  ipi.vcpu = 1;
  show("bind_ipi on a vcpu that isn't", HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &ipi));
  struct evtchn_bind_pirq pirq = {.pirq = 1};
  show("bind_pirq", HYPERVISOR_event_channel_op(EVTCHNOP_bind_pirq, &pirq));
}

static void edges(void) {
  show("send on port 0", op_send(0));
  show("send on port 4096", op_send(4096));
  show("send on port 2^32 - 1", op_send(~0u));
  show("close port 0", op_close(0));
  show("unmask port 0", op_unmask(0));
  show("unmask port 4096", op_unmask(4096));
  status("port 0", 0);
  status("port 4096", 4096);
  struct evtchn_status other = {.dom = 0, .port = 1};
  show("status in domain 0", HYPERVISOR_event_channel_op(EVTCHNOP_status, &other));
  struct evtchn_alloc_unbound unbound = {.dom = 0, .remote_dom = DOMID_SELF};
  show("alloc_unbound in domain 0", HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &unbound));
  unbound.dom = DOMID_SELF;
  unbound.remote_dom = 0x7000;
  show("alloc_unbound for a domain that isn't", HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &unbound));
  if (unbound.port) op_close(unbound.port);
  struct evtchn_reset reset = {.dom = 0};
  show("reset of domain 0", HYPERVISOR_event_channel_op(EVTCHNOP_reset, &reset));
  show("command 99", HYPERVISOR_event_channel_op(99, &reset));
  show("alloc_unbound from nowhere", HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, NOWHERE));
  struct evtchn_set_priority priority = {.port = 1, .priority = 7};
  show("set_priority", HYPERVISOR_event_channel_op(EVTCHNOP_set_priority, &priority));
}

void smoke_events(void) {
  interdomain();
  virtual();
  edges();
}

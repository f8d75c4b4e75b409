/* Generated from shared/abi/event_channel.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_EVENT_CHANNEL_H
#define XENOLITH_EVENT_CHANNEL_H

#define EVTCHNOP_bind_interdomain 0
#define EVTCHNOP_bind_virq 1
#define EVTCHNOP_bind_pirq 2
#define EVTCHNOP_close 3
#define EVTCHNOP_send 4
#define EVTCHNOP_status 5
#define EVTCHNOP_alloc_unbound 6
#define EVTCHNOP_bind_ipi 7
#define EVTCHNOP_bind_vcpu 8
#define EVTCHNOP_unmask 9
#define EVTCHNOP_reset 10
#define EVTCHNOP_init_control 11
#define EVTCHNOP_expand_array 12
#define EVTCHNOP_set_priority 13
#define EVTCHNSTAT_closed 0
#define EVTCHNSTAT_unbound 1
#define EVTCHNSTAT_interdomain 2
#define EVTCHNSTAT_pirq 3
#define EVTCHNSTAT_virq 4
#define EVTCHNSTAT_ipi 5
#define BIND_PIRQ__WILL_SHARE 1

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct evtchn_alloc_unbound {
  uint16_t dom;
  uint16_t remote_dom;
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_alloc_unbound, dom) == 0, "evtchn_alloc_unbound.dom");
_Static_assert(offsetof(struct evtchn_alloc_unbound, remote_dom) == 2, "evtchn_alloc_unbound.remote_dom");
_Static_assert(offsetof(struct evtchn_alloc_unbound, port) == 4, "evtchn_alloc_unbound.port");
_Static_assert(sizeof(struct evtchn_alloc_unbound) == 8, "evtchn_alloc_unbound");

struct evtchn_bind_interdomain {
  uint16_t remote_dom;
  uint8_t _gap0[2];
  uint32_t remote_port;
  uint32_t local_port;
};
_Static_assert(offsetof(struct evtchn_bind_interdomain, remote_dom) == 0, "evtchn_bind_interdomain.remote_dom");
_Static_assert(offsetof(struct evtchn_bind_interdomain, remote_port) == 4, "evtchn_bind_interdomain.remote_port");
_Static_assert(offsetof(struct evtchn_bind_interdomain, local_port) == 8, "evtchn_bind_interdomain.local_port");
_Static_assert(sizeof(struct evtchn_bind_interdomain) == 12, "evtchn_bind_interdomain");

struct evtchn_bind_virq {
  uint32_t virq;
  uint32_t vcpu;
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_bind_virq, virq) == 0, "evtchn_bind_virq.virq");
_Static_assert(offsetof(struct evtchn_bind_virq, vcpu) == 4, "evtchn_bind_virq.vcpu");
_Static_assert(offsetof(struct evtchn_bind_virq, port) == 8, "evtchn_bind_virq.port");
_Static_assert(sizeof(struct evtchn_bind_virq) == 12, "evtchn_bind_virq");

struct evtchn_bind_pirq {
  uint32_t pirq;
  uint32_t flags;
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_bind_pirq, pirq) == 0, "evtchn_bind_pirq.pirq");
_Static_assert(offsetof(struct evtchn_bind_pirq, flags) == 4, "evtchn_bind_pirq.flags");
_Static_assert(offsetof(struct evtchn_bind_pirq, port) == 8, "evtchn_bind_pirq.port");
_Static_assert(sizeof(struct evtchn_bind_pirq) == 12, "evtchn_bind_pirq");

struct evtchn_bind_ipi {
  uint32_t vcpu;
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_bind_ipi, vcpu) == 0, "evtchn_bind_ipi.vcpu");
_Static_assert(offsetof(struct evtchn_bind_ipi, port) == 4, "evtchn_bind_ipi.port");
_Static_assert(sizeof(struct evtchn_bind_ipi) == 8, "evtchn_bind_ipi");

struct evtchn_close {
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_close, port) == 0, "evtchn_close.port");
_Static_assert(sizeof(struct evtchn_close) == 4, "evtchn_close");

struct evtchn_send {
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_send, port) == 0, "evtchn_send.port");
_Static_assert(sizeof(struct evtchn_send) == 4, "evtchn_send");

struct evtchn_status {
  uint16_t dom;
  uint8_t _gap0[2];
  uint32_t port;
  uint32_t status;
  uint32_t vcpu;
  union {
    uint16_t unbound_dom;
    uint16_t interdomain_dom;
    uint32_t pirq;
    uint32_t virq;
  };
  uint32_t interdomain_port;
};
_Static_assert(offsetof(struct evtchn_status, dom) == 0, "evtchn_status.dom");
_Static_assert(offsetof(struct evtchn_status, port) == 4, "evtchn_status.port");
_Static_assert(offsetof(struct evtchn_status, status) == 8, "evtchn_status.status");
_Static_assert(offsetof(struct evtchn_status, vcpu) == 12, "evtchn_status.vcpu");
_Static_assert(offsetof(struct evtchn_status, unbound_dom) == 16, "evtchn_status.unbound_dom");
_Static_assert(offsetof(struct evtchn_status, interdomain_dom) == 16, "evtchn_status.interdomain_dom");
_Static_assert(offsetof(struct evtchn_status, interdomain_port) == 20, "evtchn_status.interdomain_port");
_Static_assert(offsetof(struct evtchn_status, pirq) == 16, "evtchn_status.pirq");
_Static_assert(offsetof(struct evtchn_status, virq) == 16, "evtchn_status.virq");
_Static_assert(sizeof(struct evtchn_status) == 24, "evtchn_status");

struct evtchn_bind_vcpu {
  uint32_t port;
  uint32_t vcpu;
};
_Static_assert(offsetof(struct evtchn_bind_vcpu, port) == 0, "evtchn_bind_vcpu.port");
_Static_assert(offsetof(struct evtchn_bind_vcpu, vcpu) == 4, "evtchn_bind_vcpu.vcpu");
_Static_assert(sizeof(struct evtchn_bind_vcpu) == 8, "evtchn_bind_vcpu");

struct evtchn_unmask {
  uint32_t port;
};
_Static_assert(offsetof(struct evtchn_unmask, port) == 0, "evtchn_unmask.port");
_Static_assert(sizeof(struct evtchn_unmask) == 4, "evtchn_unmask");

struct evtchn_reset {
  uint16_t dom;
};
_Static_assert(offsetof(struct evtchn_reset, dom) == 0, "evtchn_reset.dom");
_Static_assert(sizeof(struct evtchn_reset) == 2, "evtchn_reset");

struct evtchn_init_control {
  uint64_t control_gfn;
  uint32_t offset;
  uint32_t vcpu;
  uint8_t link_bits;
  uint8_t _gap0[7];
};
_Static_assert(offsetof(struct evtchn_init_control, control_gfn) == 0, "evtchn_init_control.control_gfn");
_Static_assert(offsetof(struct evtchn_init_control, offset) == 8, "evtchn_init_control.offset");
_Static_assert(offsetof(struct evtchn_init_control, vcpu) == 12, "evtchn_init_control.vcpu");
_Static_assert(offsetof(struct evtchn_init_control, link_bits) == 16, "evtchn_init_control.link_bits");
_Static_assert(sizeof(struct evtchn_init_control) == 24, "evtchn_init_control");

struct evtchn_expand_array {
  uint64_t array_gfn;
};
_Static_assert(offsetof(struct evtchn_expand_array, array_gfn) == 0, "evtchn_expand_array.array_gfn");
_Static_assert(sizeof(struct evtchn_expand_array) == 8, "evtchn_expand_array");

struct evtchn_set_priority {
  uint32_t port;
  uint32_t priority;
};
_Static_assert(offsetof(struct evtchn_set_priority, port) == 0, "evtchn_set_priority.port");
_Static_assert(offsetof(struct evtchn_set_priority, priority) == 4, "evtchn_set_priority.priority");
_Static_assert(sizeof(struct evtchn_set_priority) == 8, "evtchn_set_priority");

struct evtchn_op {
  uint32_t cmd;
  union {
    uint32_t send_port;
    struct evtchn_status status;
  };
};
_Static_assert(offsetof(struct evtchn_op, cmd) == 0, "evtchn_op.cmd");
_Static_assert(offsetof(struct evtchn_op, send_port) == 4, "evtchn_op.send_port");
_Static_assert(offsetof(struct evtchn_op, status) == 4, "evtchn_op.status");
_Static_assert(sizeof(struct evtchn_op) == 28, "evtchn_op");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_EVENT_CHANNEL_H */

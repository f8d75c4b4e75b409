/* Event channels by the two-level bitmaps of shared_info (public/event_channel.h, public/xen.h).
 * 1. Xen sets a port's pending bit; if its mask bit is clear, the selector's bit and evtchn_upcall_pending as well.
 * 2. If evtchn_upcall_mask is clear, Xen enters event_entry, with the mask set; iret restores the mask.
 * 3. The upcall clears evtchn_upcall_pending, takes the selector whole, and takes each unmasked pending port. */
#include "lib.h"

#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/sched.h>

extern char event_entry[], failsafe_entry[];
static event_handler handlers[256];

#define vcpu0 (shared_info.vcpu_info[0])

static void set_bit(volatile uint64_t *map, uint32_t bit) {
  __asm__ volatile("lock btsq %1, %0" : "+m"(*map) : "r"((uint64_t)bit) : "memory", "cc");
}

static void clear_bit(volatile uint64_t *map, uint32_t bit) {
  __asm__ volatile("lock btrq %1, %0" : "+m"(*map) : "r"((uint64_t)bit) : "memory", "cc");
}

static void register_callback(uint16_t type, void *address) {
  struct callback_register arg = {.type = type, .address = (uint64_t)address};
  HYPERVISOR_callback_op(CALLBACKOP_register, &arg);
}

void events_init(void) {
  for (int i = 0; i < 64; i++) shared_info.evtchn_mask[i] = ~0ul;
  register_callback(CALLBACKTYPE_event, event_entry);
  register_callback(CALLBACKTYPE_failsafe, failsafe_entry);
  events_enable();
}

void event_bind(uint32_t port, event_handler handler) {
  handlers[port] = handler;
  struct evtchn_unmask arg = {.port = port};
  HYPERVISOR_event_channel_op(EVTCHNOP_unmask, &arg);
}

uint32_t virq_bind(uint32_t virq, event_handler handler) {
  struct evtchn_bind_virq arg = {.virq = virq, .vcpu = 0};
  HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &arg);
  event_bind(arg.port, handler);
  return arg.port;
}

void event_notify(uint32_t port) {
  struct evtchn_send arg = {.port = port};
  HYPERVISOR_event_channel_op(EVTCHNOP_send, &arg);
}

void events_disable(void) {
  vcpu0.evtchn_upcall_mask = 1;
  __asm__ volatile("" ::: "memory");
}

void events_enable(void) {
  __asm__ volatile("" ::: "memory");
  vcpu0.evtchn_upcall_mask = 0;
  __asm__ volatile("" ::: "memory");
  /* Xen looks at the mask only when it enters the guest, so what came meanwhile is taken here, masked as in an upcall. */
  while (vcpu0.evtchn_upcall_pending) {
    events_disable();
    events_upcall();
    vcpu0.evtchn_upcall_mask = 0;
    __asm__ volatile("" ::: "memory");
  }
}

void event_block(void) { HYPERVISOR_sched_op(SCHEDOP_block, 0); }

void event_poll(uint32_t port) { event_poll_any(&port, 1, 0); }

void event_poll_any(const uint32_t *ports, uint32_t n, uint64_t until) {
  struct sched_poll arg = {.ports = (uint64_t)ports, .nr_ports = n, .timeout = until};
  HYPERVISOR_sched_op(SCHEDOP_poll, &arg);
  for (uint32_t i = 0; i < n; i++) clear_bit(&shared_info.evtchn_pending[ports[i] / 64], ports[i] % 64);
}

void events_upcall(void) {
  vcpu0.evtchn_upcall_pending = 0;
  uint64_t selector = 0;
  __asm__ volatile("xchgq %0, %1" : "+r"(selector), "+m"(vcpu0.evtchn_pending_sel) : : "memory");
  for (; selector; selector &= selector - 1) {
    uint32_t word = (uint32_t)__builtin_ctzl(selector);
    uint64_t pending;
    while ((pending = shared_info.evtchn_pending[word] & ~shared_info.evtchn_mask[word]) != 0) {
      uint32_t port = word * 64 + (uint32_t)__builtin_ctzl(pending);
      clear_bit(&shared_info.evtchn_pending[word], port % 64);
      if (port < 256 && handlers[port]) handlers[port](port);
      else set_bit(&shared_info.evtchn_mask[word], port % 64);
    }
  }
}

/* Generated from shared/abi/sched.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_SCHED_H
#define XENOLITH_SCHED_H

#define SCHEDOP_yield 0
#define SCHEDOP_block 1
#define SCHEDOP_shutdown 2
#define SCHEDOP_poll 3
#define SCHEDOP_remote_shutdown 4
#define SCHEDOP_shutdown_code 5
#define SCHEDOP_watchdog 6
#define SCHEDOP_pin_override 7
#define SHUTDOWN_poweroff 0
#define SHUTDOWN_reboot 1
#define SHUTDOWN_suspend 2
#define SHUTDOWN_crash 3
#define SHUTDOWN_watchdog 4
#define SHUTDOWN_soft_reset 5
#define SHUTDOWN_MAX 5

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct sched_shutdown {
  uint32_t reason;
};
_Static_assert(offsetof(struct sched_shutdown, reason) == 0, "sched_shutdown.reason");
_Static_assert(sizeof(struct sched_shutdown) == 4, "sched_shutdown");

struct sched_poll {
  uint64_t ports;
  uint32_t nr_ports;
  uint8_t _gap0[4];
  uint64_t timeout;
};
_Static_assert(offsetof(struct sched_poll, ports) == 0, "sched_poll.ports");
_Static_assert(offsetof(struct sched_poll, nr_ports) == 8, "sched_poll.nr_ports");
_Static_assert(offsetof(struct sched_poll, timeout) == 16, "sched_poll.timeout");
_Static_assert(sizeof(struct sched_poll) == 24, "sched_poll");

struct sched_remote_shutdown {
  uint16_t domain_id;
  uint8_t _gap0[2];
  uint32_t reason;
};
_Static_assert(offsetof(struct sched_remote_shutdown, domain_id) == 0, "sched_remote_shutdown.domain_id");
_Static_assert(offsetof(struct sched_remote_shutdown, reason) == 4, "sched_remote_shutdown.reason");
_Static_assert(sizeof(struct sched_remote_shutdown) == 8, "sched_remote_shutdown");

struct sched_watchdog {
  uint32_t id;
  uint32_t timeout;
};
_Static_assert(offsetof(struct sched_watchdog, id) == 0, "sched_watchdog.id");
_Static_assert(offsetof(struct sched_watchdog, timeout) == 4, "sched_watchdog.timeout");
_Static_assert(sizeof(struct sched_watchdog) == 8, "sched_watchdog");

struct sched_pin_override {
  int32_t pcpu;
};
_Static_assert(offsetof(struct sched_pin_override, pcpu) == 0, "sched_pin_override.pcpu");
_Static_assert(sizeof(struct sched_pin_override) == 4, "sched_pin_override");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_SCHED_H */

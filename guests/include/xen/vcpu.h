/* Generated from shared/abi/vcpu.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_VCPU_H
#define XENOLITH_VCPU_H

#define VCPUOP_initialise 0
#define VCPUOP_up 1
#define VCPUOP_down 2
#define VCPUOP_is_up 3
#define VCPUOP_get_runstate_info 4
#define VCPUOP_register_runstate_memory_area 5
#define VCPUOP_set_periodic_timer 6
#define VCPUOP_stop_periodic_timer 7
#define VCPUOP_set_singleshot_timer 8
#define VCPUOP_stop_singleshot_timer 9
#define VCPUOP_register_vcpu_info 10
#define VCPUOP_send_nmi 11
#define VCPUOP_get_physid 12
#define VCPUOP_register_vcpu_time_memory_area 13
#define RUNSTATE_running 0
#define RUNSTATE_runnable 1
#define RUNSTATE_blocked 2
#define RUNSTATE_offline 3
#define XEN_RUNSTATE_UPDATE 0x8000000000000000
#define VCPU_SSHOTTMR_future 1

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct vcpu_runstate_info {
  int32_t state;
  uint8_t _gap0[4];
  uint64_t state_entry_time;
  uint64_t time[4];
};
_Static_assert(offsetof(struct vcpu_runstate_info, state) == 0, "vcpu_runstate_info.state");
_Static_assert(offsetof(struct vcpu_runstate_info, state_entry_time) == 8, "vcpu_runstate_info.state_entry_time");
_Static_assert(offsetof(struct vcpu_runstate_info, time) == 16, "vcpu_runstate_info.time");
_Static_assert(sizeof(struct vcpu_runstate_info) == 48, "vcpu_runstate_info");

struct vcpu_register_runstate_memory_area {
  union {
    uint64_t v;
    uint64_t p;
  };
};
_Static_assert(offsetof(struct vcpu_register_runstate_memory_area, v) == 0, "vcpu_register_runstate_memory_area.v");
_Static_assert(offsetof(struct vcpu_register_runstate_memory_area, p) == 0, "vcpu_register_runstate_memory_area.p");
_Static_assert(sizeof(struct vcpu_register_runstate_memory_area) == 8, "vcpu_register_runstate_memory_area");

struct vcpu_set_periodic_timer {
  uint64_t period_ns;
};
_Static_assert(offsetof(struct vcpu_set_periodic_timer, period_ns) == 0, "vcpu_set_periodic_timer.period_ns");
_Static_assert(sizeof(struct vcpu_set_periodic_timer) == 8, "vcpu_set_periodic_timer");

struct vcpu_set_singleshot_timer {
  uint64_t timeout_abs_ns;
  uint32_t flags;
  uint8_t _gap0[4];
};
_Static_assert(offsetof(struct vcpu_set_singleshot_timer, timeout_abs_ns) == 0, "vcpu_set_singleshot_timer.timeout_abs_ns");
_Static_assert(offsetof(struct vcpu_set_singleshot_timer, flags) == 8, "vcpu_set_singleshot_timer.flags");
_Static_assert(sizeof(struct vcpu_set_singleshot_timer) == 16, "vcpu_set_singleshot_timer");

struct vcpu_register_vcpu_info {
  uint64_t mfn;
  uint32_t offset;
  uint32_t rsvd;
};
_Static_assert(offsetof(struct vcpu_register_vcpu_info, mfn) == 0, "vcpu_register_vcpu_info.mfn");
_Static_assert(offsetof(struct vcpu_register_vcpu_info, offset) == 8, "vcpu_register_vcpu_info.offset");
_Static_assert(offsetof(struct vcpu_register_vcpu_info, rsvd) == 12, "vcpu_register_vcpu_info.rsvd");
_Static_assert(sizeof(struct vcpu_register_vcpu_info) == 16, "vcpu_register_vcpu_info");

struct vcpu_get_physid {
  uint64_t phys_id;
};
_Static_assert(offsetof(struct vcpu_get_physid, phys_id) == 0, "vcpu_get_physid.phys_id");
_Static_assert(sizeof(struct vcpu_get_physid) == 8, "vcpu_get_physid");

struct vcpu_register_time_memory_area {
  union {
    uint64_t v;
    uint64_t p;
  };
};
_Static_assert(offsetof(struct vcpu_register_time_memory_area, v) == 0, "vcpu_register_time_memory_area.v");
_Static_assert(offsetof(struct vcpu_register_time_memory_area, p) == 0, "vcpu_register_time_memory_area.p");
_Static_assert(sizeof(struct vcpu_register_time_memory_area) == 8, "vcpu_register_time_memory_area");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_VCPU_H */

/* vcpu_op: runstate, timers, registered areas, other vcpus. */
#include "smoke.h"

#include <xen/vcpu.h>

static struct vcpu_runstate_info area;
static struct vcpu_time_info time_area;
static volatile struct vcpu_info own_info __attribute__((aligned(64)));

static void timers(void) {
  show("stop_periodic_timer", HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, 0));
  struct vcpu_set_periodic_timer periodic = {.period_ns = 1000};
  show("set_periodic_timer of 1 us", HYPERVISOR_vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
  periodic.period_ns = 10000000;
  show("set_periodic_timer of 10 ms", HYPERVISOR_vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
  HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
  struct vcpu_set_singleshot_timer shot = {.timeout_abs_ns = 1, .flags = VCPU_SSHOTTMR_future};
  show("set_singleshot_timer in the past, with future", HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 0, &shot));
  shot.timeout_abs_ns = system_time() + 1000000000;
  show("set_singleshot_timer", HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 0, &shot));
  show("set_singleshot_timer of another vcpu", HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 1, &shot));
  show("stop_singleshot_timer", HYPERVISOR_vcpu_op(VCPUOP_stop_singleshot_timer, 0, 0));
}

static void areas(void) {
  struct vcpu_runstate_info state;
  show("get_runstate_info", HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 0, &state));
  show("the state", state.state);
  show("its times add up to less than the system time",
       state.time[0] + state.time[1] + state.time[2] + state.time[3] <= system_time());
  show("get_runstate_info to nowhere", HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 0, NOWHERE));
  struct vcpu_register_runstate_memory_area runstate = {.v = (uint64_t)&area};
  area.state = 99;
  show("register_runstate_memory_area", HYPERVISOR_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &runstate));
  show("the state there", area.state);
  runstate.v = NOWHERE;
  show("register_runstate_memory_area nowhere", HYPERVISOR_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &runstate));
  struct vcpu_register_time_memory_area time = {.v = (uint64_t)&time_area};
  show("register_vcpu_time_memory_area", HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time));
  show("the factor there is the same", time_area.tsc_to_system_mul == shared_info.vcpu_info[0].time.tsc_to_system_mul);
}

static void others(void) {
  show("is_up 0", HYPERVISOR_vcpu_op(VCPUOP_is_up, 0, 0));
  show("is_up 1", HYPERVISOR_vcpu_op(VCPUOP_is_up, 1, 0));
  show("is_up 40", HYPERVISOR_vcpu_op(VCPUOP_is_up, 40, 0));
  show("up 0", HYPERVISOR_vcpu_op(VCPUOP_up, 0, 0));
  show("up 1", HYPERVISOR_vcpu_op(VCPUOP_up, 1, 0));
  show("initialise 0", HYPERVISOR_vcpu_op(VCPUOP_initialise, 0, NOWHERE));
  show("initialise 1", HYPERVISOR_vcpu_op(VCPUOP_initialise, 1, NOWHERE));
  struct vcpu_get_physid physid;
  show("get_physid", HYPERVISOR_vcpu_op(VCPUOP_get_physid, 0, &physid));
  show("command 99", HYPERVISOR_vcpu_op(99, 0, 0));
}

static void registered(void) {
  struct vcpu_register_vcpu_info info = {.mfn = mfn_of(&own_info), .offset = 4090};
  show("register_vcpu_info across a page's end", HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
  info.offset = (uint64_t)&own_info % PAGE_SIZE + 4;
  show("register_vcpu_info, not aligned", HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
  info.offset = 0;
  info.mfn = 0xfffff;
  show("register_vcpu_info of a frame that isn't ours", HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, 0, &info));
}

void smoke_vcpu(void) {
  timers();
  areas();
  others();
  registered();
}

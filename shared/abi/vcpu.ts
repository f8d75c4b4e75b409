// table
// public/vcpu.h: operations on virtual processors: bring-up, runstate, timers, registered areas.

import { array, i32, overlay, struct, u32, u64 } from "./struct.ts";

export const VCPUOP_initialise = 0;
export const VCPUOP_up = 1;
export const VCPUOP_down = 2;
export const VCPUOP_is_up = 3;
export const VCPUOP_get_runstate_info = 4;
export const VCPUOP_register_runstate_memory_area = 5;
export const VCPUOP_set_periodic_timer = 6;
export const VCPUOP_stop_periodic_timer = 7;
export const VCPUOP_set_singleshot_timer = 8;
export const VCPUOP_stop_singleshot_timer = 9;
export const VCPUOP_register_vcpu_info = 10;
export const VCPUOP_send_nmi = 11;
export const VCPUOP_get_physid = 12;
export const VCPUOP_register_vcpu_time_memory_area = 13;

export const RUNSTATE_running = 0;
export const RUNSTATE_runnable = 1;
export const RUNSTATE_blocked = 2;
export const RUNSTATE_offline = 3;

/** Set in state_entry_time while Xen writes a registered copy, with VMASST_TYPE_runstate_update_flag. */
export const XEN_RUNSTATE_UPDATE = 0x8000000000000000n;

/** struct vcpu_runstate_info. [XEN] all of it. */
export const VcpuRunstateInfo = struct("vcpu_runstate_info", 48, {
  state: i32(0), // RUNSTATE_*
  state_entry_time: u64(8), // system time, ns
  time: array(u64, 16, 4), // ns in each RUNSTATE_*
});

export const VcpuRegisterRunstateMemoryArea = struct("vcpu_register_runstate_memory_area", 8, {
  v: overlay(u64(0), "addr.v"), // virtual address
  p: overlay(u64(0), "addr.p"),
});

export const VcpuSetPeriodicTimer = struct("vcpu_set_periodic_timer", 8, { period_ns: u64(0) });

export const VcpuSetSingleshotTimer = struct("vcpu_set_singleshot_timer", 16, {
  timeout_abs_ns: u64(0), // system time
  flags: u32(8), // VCPU_SSHOTTMR_*
});
export const VCPU_SSHOTTMR_future = 1;

export const VcpuRegisterVcpuInfo = struct("vcpu_register_vcpu_info", 16, {
  mfn: u64(0),
  offset: u32(8), // bytes within the page; the structure must not cross its end
  rsvd: u32(12),
});

export const VcpuGetPhysid = struct("vcpu_get_physid", 8, { phys_id: u64(0) });

export const VcpuRegisterTimeMemoryArea = struct("vcpu_register_time_memory_area", 8, {
  v: overlay(u64(0), "addr.v"),
  p: overlay(u64(0), "addr.p"),
});

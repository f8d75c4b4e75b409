// table
// public/sched.h: scheduler operations of a guest, and why a domain shut down.

import { i32, struct, u16, u32, u64 } from "./struct.ts";

export const SCHEDOP_yield = 0;
export const SCHEDOP_block = 1;
export const SCHEDOP_shutdown = 2;
export const SCHEDOP_poll = 3;
export const SCHEDOP_remote_shutdown = 4;
export const SCHEDOP_shutdown_code = 5;
export const SCHEDOP_watchdog = 6;
export const SCHEDOP_pin_override = 7;

export const SHUTDOWN_poweroff = 0;
export const SHUTDOWN_reboot = 1;
export const SHUTDOWN_suspend = 2;
export const SHUTDOWN_crash = 3;
export const SHUTDOWN_watchdog = 4;
export const SHUTDOWN_soft_reset = 5;
export const SHUTDOWN_MAX = 5;

export const SchedShutdown = struct("sched_shutdown", 4, { reason: u32(0) }); // SHUTDOWN_*

export const SchedPoll = struct("sched_poll", 24, {
  ports: u64(0), // address of evtchn_port_t (u32)
  nr_ports: u32(8),
  timeout: u64(16), // absolute system time in nanoseconds, 0: none
});

export const SchedRemoteShutdown = struct("sched_remote_shutdown", 8, { domain_id: u16(0), reason: u32(4) });

export const SchedWatchdog = struct("sched_watchdog", 8, {
  id: u32(0),
  timeout: u32(4), // seconds
});

export const SchedPinOverride = struct("sched_pin_override", 4, { pcpu: i32(0) });

// The hypervisor's public face: the only file that dom0/ and whatever hosts a machine may import.

import type { KernelMain } from "../shared/kernel.ts";
import type { Domain } from "./domain.ts";
import type { HypervisorLog } from "./log.ts";
import type { DeviceBus } from "./machine/devices.ts";
import type { Trace } from "./trace.ts";

/** The host's clocks, injected. */
export interface HostClock {
  /** Monotonic nanoseconds. */
  nowNs(): number;
  /** Nanoseconds since 1970. */
  wallclockNs(): bigint;
}

export interface MachineOptions {
  /** A memory made by allocateMemory (shared with the device thread), or its size. */
  readonly memory: WebAssembly.Memory | { readonly mib: number };
  /** "real" needs `hostClock`; "virtual" counts instructions, and its wallclock starts at `wallclockNs`. */
  readonly clock: "real" | "virtual";
  readonly hostClock?: HostClock;
  readonly wallclockNs?: bigint;
  /** Seed of whatever the hypervisor draws at random. */
  readonly seed?: number;
  readonly dom0?: { readonly main: KernelMain; readonly memoryMiB: number };
  readonly devices?: DeviceBus;
  /** Let every domU write to the log by console_io (default false: -EPERM, as Debian's Xen). */
  readonly guestConsoleIo?: boolean;
}

export interface Machine {
  readonly log: HypervisorLog;
  readonly trace: Trace;
  readonly domains: ReadonlyMap<number, Domain>;
  /** One turn of the main loop: 0: call again; else nanoseconds to sleep, Infinity: until the doorbell. */
  step(): number;
  /**
   * Steps until `done` says so (asked between steps), nothing will ever run again, or `limitSteps` are over. On the
   * virtual clock idle time is skipped. Returns whether `done` was reached.
   */
  runUntil(done: () => boolean, limitSteps?: number): boolean;
  /** Undefined while dom0 lives; then its SHUTDOWN_ reason. */
  readonly exitStatus: number | undefined;
  /** The walker over page types and counts: a list of what is wrong, empty when all is well. */
  checker(): string[];
}

export declare function createMachine(options: MachineOptions): Machine;
export { allocateMemory } from "./machine/memory.ts";

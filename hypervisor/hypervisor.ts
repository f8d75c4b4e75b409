// The hypervisor: its parts wired together, and the main loop: serve interrupts and due timers, choose a vcpu, deliver
// its pending upcall, run it, handle the exit. Made by index.ts; called by the machine's host loop through step().
// There is no state outside of this object. What each part does is in its own file; what a hypercall does in hypercalls/.

import type { DomId } from "../shared/brand.ts";
import type { Domain } from "./domain.ts";
import type { Events } from "./events/events.ts";
import type { Grants } from "./grants/grants.ts";
import type { HypervisorLog } from "./log.ts";
import type { DeviceBus } from "./machine/devices.ts";
import type { MachineMemory } from "./machine/memory.ts";
import type { Processor, Tlb } from "./machine/processor.ts";
import type { PageWalker } from "./machine/walk.ts";
import type { FrameTable } from "./memory/frame_table.ts";
import type { GuestAccess } from "./memory/guest_access.ts";
import type { MemoryManagement } from "./memory/mmu.ts";
import type { SchedCore } from "./sched/core.ts";
import type { Time } from "./time/time.ts";
import type { Trace } from "./trace.ts";
import type { Vcpu } from "./vcpu.ts";

export declare class Hypervisor {
  readonly memory: MachineMemory;
  readonly walker: PageWalker;
  readonly tlb: Tlb;
  /** Runs machine code. A domain names its own processor in `domain.processor`. */
  readonly x86: Processor;
  readonly devices: DeviceBus | undefined;
  readonly frames: FrameTable;
  readonly mm: MemoryManagement;
  readonly access: GuestAccess;
  readonly grants: Grants;
  readonly events: Events;
  readonly sched: SchedCore;
  readonly time: Time;
  readonly log: HypervisorLog;
  readonly trace: Trace;
  readonly domains: Map<DomId, Domain>;
  /** May a domU write to the log by console_io? Debian's Xen says no. */
  readonly guestConsoleIo: boolean;
  /** The vcpu whose hypercall, trap or slice is being handled. */
  current: Vcpu;
  /** 64 KiB for copied arguments; handlers that call each other agree on who uses what. */
  readonly scratch: DataView<ArrayBuffer>;
  readonly scratchBytes: Uint8Array<ArrayBuffer>;

  /** The domain with this id, if it is not dead. No DOMID_SELF here. */
  find(id: number): Domain | undefined;
  /** As find, for a domain id out of a guest's argument: DOMID_SELF is the current one; another needs privilege. */
  resolve(id: number): Domain | undefined;
  /** Charges the running vcpu for work done for it: advances the virtual clock, shortens the slice. */
  charge(ns: number): void;
  /** Is something more urgent than the running vcpu's long hypercall? Then it returns CONTINUE. */
  preemptCheck(): boolean;
  /** domain_crash: logs why and shuts the domain down with SHUTDOWN_crash. The caller then returns. */
  crash(domain: Domain, reason: string): void;
  /**
   * Carries out the hypercall that the vcpu's registers describe, continuations included, and sets RAX: for the
   * TypeScript processor, whose kernels call. False: the domain was ended or must yield before going on.
   */
  hypercall(vcpu: Vcpu): boolean;
  /** `out` of `bytes` (1, 2, 4) to a port; false: not permitted, #GP. */
  portOut(vcpu: Vcpu, port: number, bytes: number, value: number): boolean;
  /**
   * One turn of the main loop. 0: call again at once. Otherwise nanoseconds until the next timer is due (Infinity: none):
   * nothing is runnable, sleep until then or until the doorbell.
   */
  step(): number;
}

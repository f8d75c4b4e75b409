// One virtual processor of a domain: its register block and all that the hypervisor keeps beside it.
// Scheduling state is the scheduler's, trap state the traps' part's, timers the time's; all keep it here so that it dies
// with the vcpu. The registers themselves are in machine memory, where the processor works on them (cpu_state.ts).

import { RUNSTATE_offline } from "../shared/abi/vcpu.ts";
import type { Mfn, Port, Va } from "../shared/brand.ts";
import type { Domain } from "./domain.ts";
import { asDoubles } from "./doubles.ts";
import type { CpuState } from "./machine/cpu_state.ts";
import { Timer } from "./time/timers.ts";
import { TrapTable } from "./traps/trap_table.ts";

/** What the vcpu asks of time and events: the functions that its timers call. */
export interface VcpuHooks {
  singleshot(vcpu: Vcpu): void;
  periodic(vcpu: Vcpu): void;
  pollTimeout(vcpu: Vcpu): void;
}

/** Addresses and times. */
const DOUBLES = [
  "vcpuInfo",
  "eventCallback",
  "failsafeCallback",
  "syscallCallback",
  "sysenterCallback",
  "syscall32Callback",
  "kernelSp",
  "runstateArea",
  "timeArea",
  "runstateSince",
  "periodicLast",
] as const;

export class Vcpu {
  readonly domain: Domain;
  readonly id: number;
  readonly cpu: CpuState;

  /** Guest kernel mode (both modes run at CPL 3). `cpu`'s cr3 and GS bases are those of the current mode. */
  kernelMode = true;
  /** Level-4 table of kernel mode, pinned down by a type reference that the vcpu holds; 0: none yet. */
  guestTable = 0 as Mfn;
  /** Level-4 table of user mode, likewise; 0: none. */
  guestTableUser = 0 as Mfn;
  /** Byte address in machine memory of its vcpu_info: in shared_info, or where the guest registered it. */
  vcpuInfo = 0;
  /** Frame of a registered vcpu_info, of which the vcpu holds a reference and a writable type; 0: none. */
  vcpuInfoFrame = 0 as Mfn;

  // Traps. Set by set_callbacks, callback_op, stack_switch: where the kernel wants to be entered (-1: not registered).
  eventCallback: Va | -1 = -1;
  failsafeCallback: Va | -1 = -1;
  syscallCallback: Va | -1 = -1;
  sysenterCallback: Va | -1 = -1;
  syscall32Callback: Va | -1 = -1;
  failsafeDisablesEvents = false;
  syscallDisablesEvents = false;
  sysenterDisablesEvents = false;
  syscall32DisablesEvents = false;
  kernelSs = 0;
  /** RSP0 as stack_switch gave it, -1 when it is not canonical (an entry from user mode then crashes the domain). */
  kernelSp: Va | -1 = 0 as Va;
  readonly traps = new TrapTable();
  /** CR0.TS as the guest sees it. */
  cr0Ts = false;
  /** Virtual IOPL, 0 to 3, of PHYSDEVOP_set_iopl. */
  iopl = 0;
  /** I/O permission bitmap of PHYSDEVOP_set_iobitmap: address and number of ports. */
  ioBitmap: Va | -1 = -1;
  ioBitmapPorts = 0;
  /** Debug registers as the guest set them (they hold values; breakpoints are not carried out). */
  readonly debugReg = new BigUint64Array(8);
  /** An NMI waits; while its handler runs (until iret) the next is held back. */
  nmiPending = false;
  nmiMasked = false;

  /** True from the first context on (VCPUOP_initialise, or the builder's). */
  initialised = false;

  // Scheduling.
  /** VCPUOP_down, or not yet up. */
  down = true;
  /** SCHEDOP_block: waits for an event. */
  blocked = false;
  /** Ports that a sched_op poll waits for; undefined when it does not poll. */
  polling: readonly Port[] | undefined = undefined;
  pauseCount = 0;
  /** Runnable, and known to the policy. */
  queued = false;
  runstate: number = RUNSTATE_offline;
  /** System time at which it took this runstate, and ns spent in each RUNSTATE_ before. */
  runstateSince = 0;
  readonly runstateTime = new Float64Array(4);
  /** Where the guest wants a copy of its runstate, and of its time (kernel virtual addresses). */
  runstateArea: Va | -1 = -1;
  timeArea: Va | -1 = -1;

  // Timers.
  readonly singleshotTimer: Timer;
  readonly periodicTimer: Timer;
  readonly pollTimer: Timer;
  /** 0: no periodic timer. */
  periodicNs = 0;
  periodicLast = 0;

  constructor(domain: Domain, id: number, cpu: CpuState, hooks: VcpuHooks) {
    asDoubles<(typeof DOUBLES)[number]>(this, DOUBLES);
    this.domain = domain;
    this.id = id;
    this.cpu = cpu;
    this.singleshotTimer = new Timer(() => hooks.singleshot(this));
    this.periodicTimer = new Timer(() => hooks.periodic(this));
    this.pollTimer = new Timer(() => hooks.pollTimeout(this));
  }
}

// One virtual processor of a domain: its register block and all that the hypervisor keeps beside it.
// Scheduling state is the scheduler's, trap state the traps' part's; both keep it here so that it dies with the vcpu.

import type { Mfn, Port, Va } from "../shared/brand.ts";
import type { Domain } from "./domain.ts";
import type { CpuState } from "./machine/cpu_state.ts";

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
  /** Ports that a sched_op poll waits for; undefined when it does not poll. */
  polling: readonly Port[] | undefined = undefined;

  // Set by set_callbacks, callback_op, stack_switch: where the kernel wants to be entered (-1: not registered).
  eventCallback: Va | -1 = -1;
  failsafeCallback: Va | -1 = -1;
  syscallCallback: Va | -1 = -1;
  nmiCallback: Va | -1 = -1;
  failsafeDisablesEvents = false;
  syscallDisablesEvents = false;
  kernelSs = 0;
  /** RSP0 as stack_switch gave it, -1 when it is not canonical (an entry from user mode then crashes the domain). */
  kernelSp: Va | -1 = 0 as Va;

  /** True from the first vcpu up call (VCPUOP_up, or the builder's context) on. */
  initialised = false;
  /** VCPUOP_down, or not yet up. */
  down = true;

  constructor(domain: Domain, id: number, cpu: CpuState) {
    this.domain = domain;
    this.id = id;
    this.cpu = cpu;
  }
}

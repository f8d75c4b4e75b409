// A domain: the unit of isolation. It ties its parts together and has a life cycle; each part's own file says what that
// part does. Made by domctl createdomain (dom0's by the machine itself), ended by domctl destroydomain: lifecycle.ts.

import type { DomId, Mfn, Port } from "../shared/brand.ts";
import type { EventChannels } from "./events/event_channels.ts";
import type { GrantTable } from "./grants/grant_table.ts";
import type { Processor } from "./machine/processor.ts";
import type { DomainMemory } from "./memory/domain_memory.ts";
import type { Timer } from "./time/timers.ts";
import type { Vcpu } from "./vcpu.ts";

/** How far the end of a domain has come: its memory is given back while Dying; at Dead only others' references keep it. */
export const Dying = { Alive: 0, Dying: 1, Dead: 2 } as const;
export type Dying = (typeof Dying)[keyof typeof Dying];

export class Domain {
  readonly id: DomId;
  /** May use domctl, sysctl, foreign mappings, and I/O ports: dom0. */
  readonly privileged: boolean;
  readonly vcpus: Vcpu[] = [];
  /** How many vcpus it may have (createdomain's max_vcpus). */
  maxVcpus = 1;
  /** Which processor runs its vcpus: machine code, or a TypeScript kernel. */
  processor: Processor;
  /** The toolstack's UUID for it, 16 bytes. */
  readonly handle: Uint8Array;
  /** XEN_DOMCTL_CDF_ flags as given to createdomain. */
  createFlags = 0;
  ssidref = 0;

  // The parts, set once by whoever creates the domain, before it can be found by its id.
  memory!: DomainMemory;
  events!: EventChannels;
  grants!: GrantTable;
  /** The shared_info frame: the hypervisor's own, shared with the domain. */
  sharedInfo = 0 as Mfn;

  /** VMASST_TYPE_ bits that the guest has enabled (bit n: type n). m2p_strict, type 32, is kept apart. */
  vmAssist = 0;
  m2pStrict = false;
  /** How many reasons there are not to run it (pause, a new domain's first one, shutdown). */
  pauseCount = 0;
  /** How many of them are the toolstack's. */
  controllerPauseCount = 0;
  /** vcpus that poll. */
  pollers = 0;
  dying: Dying = Dying.Alive;
  /** SHUTDOWN_ reason once it has shut down, crashed or said why it will, -1 before. */
  shutdownReason = -1;
  isShutDown = false;
  /** XEN_DOMCTL_subscribe: the port of its own by which its peer is told when it suspends; 0: none. */
  suspendPort = 0 as Port;
  /** XEN_DOMCTL_settimeoffset, seconds. */
  timeOffsetSeconds = 0;
  /** SCHEDOP_watchdog timers, undefined while not in use. */
  readonly watchdogs: (Timer | undefined)[] = [];
  /** What it wrote to the console and has not yet ended with a newline. */
  consoleLine = "";
  /** I/O ports that it may use (XEN_DOMCTL_ioport_permission). */
  ioPorts: [first: number, last: number][] = [];

  constructor(id: DomId, privileged: boolean, processor: Processor, handle: Uint8Array) {
    this.id = id;
    this.privileged = privileged;
    this.processor = processor;
    this.handle = handle;
  }

  /** Has it enabled VMASST_TYPE_ `type`? */
  assists(type: number): boolean {
    return (this.vmAssist & (1 << type)) !== 0;
  }
}

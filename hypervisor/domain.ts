// A domain: the unit of isolation. It ties its parts together and has a life cycle; each part's own file says what that
// part does. Made by domctl createdomain (dom0's by the machine itself), ended by domctl destroydomain.

import type { DomId, Mfn } from "../shared/brand.ts";
import type { EventChannels } from "./events/event_channels.ts";
import type { GrantTable } from "./grants/grant_table.ts";
import type { Processor } from "./machine/processor.ts";
import type { DomainMemory } from "./memory/domain_memory.ts";
import type { Vcpu } from "./vcpu.ts";

/** How far the end of a domain has come: its memory is given back while Dying; at Dead only others' references keep it. */
export const Dying = { Alive: 0, Dying: 1, Dead: 2 } as const;
export type Dying = (typeof Dying)[keyof typeof Dying];

export class Domain {
  readonly id: DomId;
  /** May use domctl, sysctl, foreign mappings, and I/O ports: dom0. */
  readonly privileged: boolean;
  readonly vcpus: Vcpu[] = [];
  /** Which processor runs its vcpus: machine code, or a TypeScript kernel. */
  readonly processor: Processor;
  /** The toolstack's UUID for it, 16 bytes. */
  readonly handle: Uint8Array;

  // The parts, set once by whoever creates the domain, before it can be found by its id.
  memory!: DomainMemory;
  events!: EventChannels;
  grants!: GrantTable;
  /** The shared_info frame: the hypervisor's own, shared with the domain. */
  sharedInfo = 0 as Mfn;

  /** VMASST_TYPE_ bits that the guest has enabled. */
  vmAssist = 0;
  /** How many reasons there are not to run it (pause, a new domain's first one, shutdown). */
  pauseCount = 0;
  dying: Dying = Dying.Alive;
  /** SHUTDOWN_ reason once it has shut down or crashed, -1 before. */
  shutdownReason = -1;

  constructor(id: DomId, privileged: boolean, processor: Processor, handle: Uint8Array) {
    this.id = id;
    this.privileged = privileged;
    this.processor = processor;
    this.handle = handle;
  }
}

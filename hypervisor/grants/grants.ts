// The grants part as the hypervisor holds it (public/grant_table.h, version 1): what spans two domains, mappings and copies. Each
// domain's own table is grant_table.ts, its record of what it has mapped maptrack.ts. Called by hypercalls/grant_table_op.ts and
// when a domain dies. Left out: version 2.

import type { Domain } from "../domain.ts";
import type { MachineMemory } from "../machine/memory.ts";
import type { Tlb } from "../machine/processor.ts";
import type { MemoryManagement } from "../memory/mmu.ts";
import { GrantCopies } from "./copy.ts";
import { GrantMappings } from "./mapping.ts";

export class Grants {
  readonly mappings: GrantMappings;
  readonly copies: GrantCopies;

  /** `find` gives every domain that still exists, dying and dead ones included: their frames may still be mapped. */
  constructor(memory: MachineMemory, tlb: Tlb, mm: MemoryManagement, find: (id: number) => Domain | undefined) {
    this.mappings = new GrantMappings(mm, tlb, find);
    this.copies = new GrantCopies(memory, tlb, mm, find);
  }
}

// Keeps one hypercall from holding the processor for long. Checking a tree of tables, or undoing one, costs a walk over all
// its entries: a tenth of a second for 4 GiB. So tables are checked ahead from the bottom up, and held, as far as time
// allows; the call is continued; in the end the root's own check finds all below it done. Undoing goes from the top down:
// page_types.ts defers the tables below, and they are settled as far as time allows. Between two pieces every frame is in
// an ordinary state, so a guest that never continues only keeps tables of its own for longer. Used by mmu_update,
// mmuext_op and relinquish.

import type { Mfn } from "../../shared/brand.ts";
import type { MachineMemory } from "../machine/memory.ts";
import { ENTRIES_PER_TABLE, Pte, pteMfn } from "../machine/pte.ts";
import type { DomainMemory } from "./domain_memory.ts";
import { tableFlagsOk } from "./entries.ts";
import { type FrameTable, PageType } from "./frame_table.ts";
import { isXenSlot, type PageTypes } from "./page_types.ts";

const Ahead = { Done: 0, Stopped: 1, Hopeless: 2 } as const;
type Ahead = (typeof Ahead)[keyof typeof Ahead];

export class LongWork {
  readonly #memory: MachineMemory;
  readonly #frames: FrameTable;
  readonly #types: PageTypes;
  /** Tables between the root and where the walk is: an entry that leads back to one of them is for the root's check. */
  readonly #path: Mfn[] = [];

  constructor(memory: MachineMemory, frames: FrameTable, types: PageTypes) {
    this.#memory = memory;
    this.#frames = frames;
    this.#types = types;
  }

  /**
   * Checks and holds the tables below `mfn`, which is to become a table of `level`. False when `stop` said so before all
   * were done: to be called again. True: `mfn` can be checked at little cost, or it will be refused.
   */
  prepare(memory: DomainMemory, mfn: number, level: number, stop: () => boolean): boolean {
    const f = this.#frames;
    if (level < PageType.L2 || !f.isValid(mfn) || f.owner[mfn] !== memory.id || f.typeCount[mfn] !== 0) return true;
    this.#path.length = 0;
    return this.#below(memory, mfn, level, stop) !== Ahead.Stopped;
  }

  #below(memory: DomainMemory, table: Mfn, level: number, stop: () => boolean): Ahead {
    const f = this.#frames;
    const { u32 } = this.#memory;
    this.#path.push(table);
    for (let i = 0; i < ENTRIES_PER_TABLE; i++) {
      const lo = u32[table * 1024 + i * 2];
      if (!(lo & Pte.P)) {
        i = this.#memory.nextPresent(table, i + 1) - 1;
        continue;
      }
      if (level === 4 && isXenSlot(i)) continue;
      const mfn = pteMfn(lo, u32[table * 1024 + i * 2 + 1]);
      if (mfn === -1 || !f.isValid(mfn) || f.owner[mfn] !== memory.id || !tableFlagsOk(lo)) return Ahead.Hopeless;
      if (f.typeCount[mfn] !== 0 || this.#path.includes(mfn)) continue;
      const below = level > PageType.L2 ? this.#below(memory, mfn, level - 1, stop) : Ahead.Done;
      if (below !== Ahead.Done) return below;
      if (this.#types.getPageAndType(mfn, memory.id, (level - 1) as PageType) !== 0) return Ahead.Hopeless;
      memory.held.push(mfn);
      if (stop()) return Ahead.Stopped;
    }
    this.#path.pop();
    return Ahead.Done;
  }

  /** After the operation: lets go of what was held for it, and undoes what it left. False: to be called again. */
  finish(memory: DomainMemory, stop: () => boolean): boolean {
    if (memory.held.length === 0 && memory.deferred.length === 0) return true;
    for (const mfn of memory.held.splice(0)) this.#types.defer(memory, mfn);
    return this.#types.settle(memory, stop);
  }
}

// Taking back the memory of a dying domain, a piece at a time. Called through MemoryManagement.relinquish by domctl
// destroydomain, again and again until nothing is left. First the shared frames, then one pass over the domain's own:
// each loses its pin and its allocation. No table holds itself up without one of these: entries refer to lower levels, and
// linear page tables form no rings, so with the last pin the whole tree is undone.

import type { DomainMemory } from "./domain_memory.ts";
import { type FrameTable, PageFlag } from "./frame_table.ts";
import type { LongWork } from "./long_work.ts";
import type { PageTypes } from "./page_types.ts";

/** Entries of a table undone that take as long as a frame looked at. */
const ENTRIES_A_FRAME = 16;

/** Looks at up to `budget` frames, fewer if they are tables, and returns how many are left to look at, 0 when all is done. */
export function relinquish(
  f: FrameTable,
  long: LongWork,
  types: PageTypes,
  memory: DomainMemory,
  budget: number,
): number {
  if (!memory.dying) {
    memory.dying = true;
    memory.relinquishLeft = memory.totPages;
    for (const mfn of memory.sharedFrames) f.putAllocation(mfn);
  }
  let frames = 0;
  const before = types.work;
  const stop = (): boolean => frames + (types.work - before) / ENTRIES_A_FRAME >= budget;
  types.deferring = true;
  while (long.finish(memory, stop) && !stop() && memory.relinquishLeft > 0 && memory.head !== 0) {
    frames++;
    // Frames that have been looked at go to the end, so those not yet seen are always in front.
    const mfn = memory.head;
    memory.relinquishLeft--;
    f.moveToTail(mfn, memory);
    f.refCount[mfn]++;
    if (f.flags[mfn] & PageFlag.Pinned) {
      f.flags[mfn] &= ~PageFlag.Pinned;
      types.putPageAndType(mfn);
    }
    f.putAllocation(mfn);
    f.putPage(mfn);
  }
  types.deferring = false;
  return memory.head === 0 ? 0 : memory.relinquishLeft + memory.deferred.length;
}

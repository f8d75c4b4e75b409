// Taking back the memory of a dying domain, a piece at a time. Called through MemoryManagement.relinquish by domctl
// destroydomain, again and again until nothing is left. Four passes over the domain's frames: the shared ones; then
// pins and allocations dropped and level-4 tables undone; then level 3; then level 2. Undoing by force is what breaks
// rings of linear page tables; nobody uses the tables any more, for no other domain can, and this one's vcpus are gone.

import type { DomainMemory } from "./domain_memory.ts";
import { type FrameTable, PageFlag, PageType } from "./frame_table.ts";
import type { PageTypes } from "./page_types.ts";

const LEVELS = [PageType.None, PageType.L4, PageType.L3, PageType.L2] as const;

/** Looks at up to `budget` frames and returns how many are left to look at, 0 when all is done. */
export function relinquish(f: FrameTable, types: PageTypes, memory: DomainMemory, budget: number): number {
  memory.dying = true;
  while (budget > 0 && memory.relinquishPass < LEVELS.length) {
    if (memory.relinquishPass === 0) {
      for (const mfn of memory.sharedFrames) f.putAllocation(mfn);
    } else if (memory.relinquishLeft > 0 && memory.head !== 0) {
      // Frames that have been looked at go to the end, so those not yet seen are always in front.
      const mfn = memory.head;
      memory.relinquishLeft--;
      budget--;
      f.moveToTail(mfn, memory);
      f.refCount[mfn]++;
      if (f.flags[mfn] & PageFlag.Pinned) {
        f.flags[mfn] &= ~PageFlag.Pinned;
        types.putPageAndType(mfn);
      }
      f.putAllocation(mfn);
      if (f.type[mfn] === LEVELS[memory.relinquishPass] && f.flags[mfn] & PageFlag.Validated) types.devalidate(mfn);
      f.putPage(mfn);
      continue;
    }
    memory.relinquishPass++;
    memory.relinquishLeft = memory.totPages;
  }
  const passesLeft = LEVELS.length - memory.relinquishPass;
  return passesLeft === 0 ? 0 : Math.max(memory.relinquishLeft, 1);
}

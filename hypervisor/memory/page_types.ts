// Page types: the heart of isolation. A frame becomes a table or descriptor page only when its whole contents have been
// checked, recursively, and stays one, never writable, while anything uses it as such. Called by mmu.ts for every change
// to page tables, by the hypercall handlers and by grants/. The invariants stand at the head of frame_table.ts; what
// one entry may be is entries.ts. Rules and error numbers are those of Xen 4.17 for 64-bit PV guests, linear page tables
// included. One call checks or undoes one tree of tables at once, unless the caller goes by long_work.ts.

import { XEN_EINVAL } from "../../shared/abi/errno.ts";
import { DOMID_IO } from "../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";
import type { MachineMemory } from "../machine/memory.ts";
import type { Tlb } from "../machine/processor.ts";
import { ENTRIES_PER_TABLE, Pte, pteLo, pteMfn } from "../machine/pte.ts";
import { descriptorPageOk } from "./descriptors.ts";
import type { DomainMemory } from "./domain_memory.ts";
import { adjustHi, adjustLo, checkL1, tableFlagsOk } from "./entries.ts";
import { type FrameTable, PageFlag, PageType } from "./frame_table.ts";
import { MACH2PHYS_SLOT } from "./m2p.ts";

/** Slots of a level-4 table that are the hypervisor's: 256 to 271. */
export const FIRST_XEN_SLOT = 256;
export const LAST_XEN_SLOT = 271;

export class PageTypes {
  /** Entries looked at since somebody last set this to 0. */
  work = 0;
  /** True while somebody takes care of `deferred` tables himself; otherwise they are undone before a call returns. */
  deferring = false;
  #deferred = 0;
  readonly #frames: FrameTable;
  readonly #tlb: Tlb;
  readonly #memory: MachineMemory;
  readonly #u32: Uint32Array;

  constructor(memory: MachineMemory, frames: FrameTable, tlb: Tlb) {
    this.#memory = memory;
    this.#u32 = memory.u32;
    this.#frames = frames;
    this.#tlb = tlb;
  }

  /** Takes a page and a type reference to a frame of `id`: 0 or -EINVAL. */
  getPageAndType(mfn: number, id: number, type: PageType): number {
    if (!this.#frames.getPage(mfn, id)) return -XEN_EINVAL;
    const error = this.get(mfn as Mfn, type);
    if (error) this.#frames.putPage(mfn as Mfn);
    return error;
  }

  putPageAndType(mfn: Mfn): void {
    this.put(mfn);
    this.#frames.putPage(mfn);
  }

  /** Takes a type reference to a frame to which the caller holds a page reference: 0, or a negative errno. */
  get(mfn: Mfn, type: PageType): number {
    const f = this.#frames;
    if (f.typeCount[mfn] !== 0) {
      // While a table is being checked nobody can ask for it as the same type: its entries ask for lower levels.
      if (f.type[mfn] !== type) return -XEN_EINVAL;
      f.typeCount[mfn]++;
      return 0;
    }
    if (f.type[mfn] !== type) {
      if (type !== PageType.Writable) this.#tlb.retire(mfn); // Also what was decoded from it: its entries are changed.
      f.type[mfn] = type;
      f.flags[mfn] &= ~PageFlag.Validated;
    }
    f.typeCount[mfn] = 1;
    if (f.flags[mfn] & PageFlag.Validated) return 0;
    const before = this.#deferred;
    const error = this.#promote(mfn, type);
    if (error) {
      f.typeCount[mfn] = 0;
      f.type[mfn] = PageType.None;
      f.linear[mfn] = 0;
      this.#settleIfDue(mfn, before);
    } else f.flags[mfn] |= PageFlag.Validated;
    return error;
  }

  /** Drops a type reference. `parent` is the table whose entry held it, if it was one. */
  put(mfn: Mfn, parent: Mfn | -1 = -1): void {
    const f = this.#frames;
    if (f.typeCount[mfn] === 0) throw new Error(`type count of frame ${mfn} would fall below zero`);
    const before = this.#deferred;
    const linear = parent !== -1 && f.type[parent] === f.type[mfn];
    if (f.typeCount[mfn] === 1 && isTable(f.type[mfn])) this.#demote(mfn);
    f.typeCount[mfn]--;
    if (linear) this.#dropLinear(mfn, parent);
    this.#settleIfDue(mfn, before);
  }

  #dropLinear(mfn: Mfn, parent: Mfn): void {
    this.#frames.linear[mfn]++;
    this.#frames.linear[parent]--;
  }

  /** Undoes what the present call has deferred; what was so `before` stays, for it may be much. */
  #settleIfDue(mfn: Mfn, before: number): void {
    if (this.#deferred <= before || this.deferring) return;
    const memory = this.#frames.memoryOf(this.#frames.ownerOf(mfn));
    if (memory) this.settle(memory, () => this.#deferred <= before);
  }

  /** Undoes a domain's deferred tables, each at the cost of one table, until `stop` says so: true when none is left. */
  settle(memory: DomainMemory, stop: () => boolean): boolean {
    const before = this.deferring;
    this.deferring = true;
    while (memory.deferred.length > 0) {
      this.#deferred--;
      this.putPageAndType(memory.deferred.pop() as Mfn);
      if (memory.deferred.length > 0 && stop()) break;
    }
    this.deferring = before;
    return memory.deferred.length === 0;
  }

  /** Puts off dropping a page and a type reference to a table until the next settle. */
  defer(memory: DomainMemory, mfn: Mfn): void {
    memory.deferred.push(mfn);
    this.#deferred++;
  }

  // One entry

  /**
   * Takes the references that a present entry of a table of `level` needs: 0, or a negative errno and nothing taken.
   * `owner` is the table's; a level-1 entry may map a frame of `pageOwner`, which the caller has the right to name.
   */
  getEntry(level: number, table: Mfn, lo: number, hi: number, owner: DomId, pageOwner: DomId): number {
    if (level === 1) return this.#getL1(lo, hi, owner, pageOwner);
    if (!tableFlagsOk(lo)) return -XEN_EINVAL;
    const mfn = pteMfn(lo, hi);
    if (mfn === -1) return -XEN_EINVAL;
    const error = this.getPageAndType(mfn, owner, (level - 1) as PageType);
    return error && this.#getLinear(level, table, lo, mfn, owner) ? 0 : error;
  }

  /** Drops what `getEntry` took. Entries that are not present took nothing. */
  putEntry(level: number, table: Mfn, lo: number, hi: number): void {
    if (!(lo & Pte.P)) return;
    const mfn = pteMfn(lo, hi);
    if (level === 1) {
      if (mfn === -1 || !this.#frames.isValid(mfn) || this.#frames.owner[mfn] === DOMID_IO) return;
      if (lo & Pte.RW) this.put(mfn);
      this.#frames.putPage(mfn);
    } else if (mfn !== -1 && mfn !== table) {
      this.put(mfn, table);
      this.#frames.putPage(mfn);
    }
  }

  #getL1(lo: number, hi: number, owner: DomId, pageOwner: DomId): number {
    const f = this.#frames;
    const verdict = checkL1(f, lo, hi, owner, pageOwner);
    if (verdict <= 0) return verdict;
    const mfn = (lo >>> 12) as Mfn;
    f.refCount[mfn]++;
    if (lo & Pte.RW && this.get(mfn, PageType.Writable) !== 0) {
      f.putPage(mfn);
      return -verdict;
    }
    return 0;
  }

  /**
   * A read-only entry that maps a table of the same level: itself, or a validated one that has no such entries of its
   * own, from one that is not itself so mapped. The second rule keeps such references from forming rings.
   */
  #getLinear(level: number, table: Mfn, lo: number, mfn: Mfn, owner: DomId): boolean {
    if (lo & Pte.RW) return false;
    if (mfn === table) return true;
    const f = this.#frames;
    if (f.owner[table] !== owner || f.linear[table] < 0) return false;
    if (f.type[mfn] !== level || f.typeCount[mfn] === 0 || !(f.flags[mfn] & PageFlag.Validated)) return false;
    if (f.linear[mfn] > 0 || !f.getPage(mfn, owner)) return false;
    f.linear[table]++;
    f.linear[mfn]--;
    f.typeCount[mfn]++;
    return true;
  }

  // Whole frames

  #promote(mfn: Mfn, type: PageType): number {
    if (type === PageType.Writable) return 0;
    this.work += ENTRIES_PER_TABLE;
    if (type === PageType.SegDesc) return descriptorPageOk(this.#u32, mfn) ? 0 : -XEN_EINVAL;
    const error = this.#getEntries(mfn, type);
    if (!error && type === PageType.L4) {
      // Whatever the guest had in the hypervisor's slots goes.
      this.#u32.fill(0, mfn * 1024 + FIRST_XEN_SLOT * 2, mfn * 1024 + (LAST_XEN_SLOT + 1) * 2);
      this.#tlb.flushTable(mfn);
    }
    return error;
  }

  /** Lets go of all that a table's entries refer to. */
  #demote(mfn: Mfn): void {
    const f = this.#frames;
    const level = f.type[mfn];
    f.flags[mfn] &= ~PageFlag.Validated;
    if (level === PageType.L4) this.#tlb.flushTable(mfn); // The frame may become another domain's level-4 table.
    this.#putEntries(mfn, level, ENTRIES_PER_TABLE);
  }

  #getEntries(table: Mfn, level: number): number {
    const u32 = this.#u32;
    const owner = this.#frames.ownerOf(table);
    for (let i = 0; i < ENTRIES_PER_TABLE; i++) {
      const at = table * 1024 + i * 2;
      const lo = u32[at];
      if (!(lo & Pte.P)) {
        i = this.#memory.nextPresent(table, i + 1) - 1;
        continue;
      }
      if (level === 4 && isXenSlot(i)) continue;
      const hi = u32[at + 1];
      const error = this.getEntry(level, table, lo, hi, owner, owner);
      if (error) {
        this.#putEntries(table, level, i);
        return error;
      }
      u32[at] = adjustLo(level, lo, hi);
      u32[at + 1] = adjustHi(level, lo, hi);
    }
    return 0;
  }

  #putEntries(table: Mfn, level: number, count: number): void {
    const u32 = this.#u32;
    this.work += count;
    for (let i = 0; i < count; i++) {
      const at = table * 1024 + i * 2;
      if (!(u32[at] & Pte.P)) {
        i = this.#memory.nextPresent(table, i + 1) - 1;
        continue;
      }
      if (level === 4 && isXenSlot(i)) continue;
      if (level === 1 || !this.#deferEntry(table, pteMfn(u32[at], u32[at + 1])))
        this.putEntry(level, table, u32[at], u32[at + 1]);
    }
  }

  /** A table that only this entry keeps is not undone now, so that no call goes down a whole tree. */
  #deferEntry(table: Mfn, mfn: Mfn | -1): boolean {
    const f = this.#frames;
    if (mfn === -1 || mfn === table || f.typeCount[mfn] !== 1) return false;
    const memory = f.memoryOf(f.ownerOf(mfn));
    if (!memory) return false;
    if (f.type[mfn] === f.type[table]) this.#dropLinear(mfn, table);
    this.defer(memory, mfn);
    return true;
  }

  /**
   * Puts the machine-to-physical table into slot 256 of a validated level-4 table, or takes it out. Nothing else of the
   * hypervisor is in a guest's address space.
   */
  showM2p(l4: Mfn, shown: boolean): void {
    this.#u32[l4 * 1024 + MACH2PHYS_SLOT * 2] = shown ? pteLo(this.#frames.m2p.level3, Pte.P | Pte.US | Pte.A) : 0;
  }
}

/** A slot of a level-4 table that is not the guest's. */
export function isXenSlot(slot: number): boolean {
  return slot >= FIRST_XEN_SLOT && slot <= LAST_XEN_SLOT;
}

export function isTable(type: number): boolean {
  return type >= PageType.L1 && type <= PageType.L4;
}

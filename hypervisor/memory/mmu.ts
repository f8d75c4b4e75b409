// Memory management of PV guests: changing page-table entries, pinning, base pointers, and giving back what a vcpu or a
// domain holds. The hypercall handlers (mmu_update, update_va_mapping, mmuext_op, grant mappings) and the traps call it;
// the rules are page_types.ts and entries.ts. Meaning and error numbers of public/xen.h as in Xen 4.17. Left out: guests
// with translated memory (shadow or hardware-assisted paging).

import { XEN_EINVAL } from "../../shared/abi/errno.ts";
import type { DomId, Mfn, Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import { CpuLayout } from "../machine/cpu_state.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";
import type { Tlb } from "../machine/processor.ts";
import { Pte, pteMfn } from "../machine/pte.ts";
import type { Vcpu } from "../vcpu.ts";
import { DirectStores, type Stepper } from "./direct_store.ts";
import type { DomainMemory } from "./domain_memory.ts";
import { adjustHi, adjustLo, l1FlagsOk, onlyHarmlessChange, tableFlagsOk } from "./entries.ts";
import { type FrameTable, PageFlag, PageType } from "./frame_table.ts";
import { addressOk } from "./guest_access.ts";
import { LongWork } from "./long_work.ts";
import { isTable, isXenSlot, PageTypes } from "./page_types.ts";
import { relinquish } from "./relinquish.ts";

/** Frames of a guest's GDT. */
const GDT_FRAMES = 14;

export class MemoryManagement {
  readonly types: PageTypes;
  readonly long: LongWork;
  readonly frames: FrameTable;
  readonly #u32: Uint32Array;
  readonly #tlb: Tlb;
  readonly #stores: DirectStores;

  constructor(memory: MachineMemory, frames: FrameTable, tlb: Tlb, x86: Stepper) {
    this.#u32 = memory.u32;
    this.#tlb = tlb;
    this.frames = frames;
    this.types = new PageTypes(memory, frames, tlb);
    this.long = new LongWork(memory, frames, this.types);
    this.#stores = new DirectStores(memory, this, x86);
  }

  // Entries. An entry is named by its word index in machine memory: machine address / 4.

  /**
   * Replaces an entry of a validated table of `level` in the frame that holds `word`; the caller holds a reference to the
   * table. `pageOwner` is the domain whose frame a level-1 entry may map. 0, or a negative errno and nothing changed.
   */
  setEntry(level: number, word: number, lo: number, hi: number, pageOwner: DomId, preserveAd = false): number {
    const f = this.frames;
    const table = (word >>> 10) as Mfn;
    const owner = f.ownerOf(table);
    if (level === 4 && isXenSlot((word & 1023) >>> 1)) return -XEN_EINVAL;
    const oldLo = this.#u32[word];
    const oldHi = this.#u32[word + 1];
    const present = (lo & Pte.P) !== 0;
    let newLo = lo;
    let newHi = hi;
    if (present) {
      const privileged = f.memoryOf(owner)?.privileged === true;
      if (!(level === 1 ? l1FlagsOk(lo, privileged) : tableFlagsOk(lo))) return -XEN_EINVAL;
      newLo = adjustLo(level, lo, hi);
      newHi = adjustHi(level, lo, hi);
    }
    if (!present || !onlyHarmlessChange(oldLo, oldHi, newLo, newHi)) {
      // The table must stay one until this is done, and may be let go by its last user in between.
      f.typeCount[table]++;
      const error = present ? this.types.getEntry(level, table, newLo, newHi, owner, pageOwner) : 0;
      if (!error) {
        this.#write(word, newLo, newHi, oldLo, preserveAd);
        this.types.putEntry(level, table, oldLo, oldHi);
        // Guests count on tables above level 1 to take effect at once, linear mappings of them included.
        if (level > 1 && oldLo & Pte.P) this.#tlb.flushAll();
      }
      this.types.put(table);
      return error;
    }
    this.#write(word, newLo, newHi, oldLo, preserveAd);
    return 0;
  }

  /** Stores an entry as it is. References are the caller's affair (grant mappings; raw writes to writable frames). */
  storeRaw(word: number, lo: number, hi: number): void {
    this.#u32[word] = lo;
    this.#u32[word + 1] = hi;
    this.#tlb.dropCode((word >>> 10) as Mfn);
  }

  entryLo(word: number): number {
    return this.#u32[word];
  }

  entryHi(word: number): number {
    return this.#u32[word + 1];
  }

  /** The level of a frame that is a validated page table in use, 0 if it is not one. */
  tableLevel(mfn: Mfn): number {
    const f = this.frames;
    const valid = f.typeCount[mfn] !== 0 && f.flags[mfn] & PageFlag.Validated;
    return valid && isTable(f.type[mfn]) ? f.type[mfn] : 0;
  }

  /**
   * The level-1 entry for `va` in the vcpu's kernel page tables, as a word index, or -1: the address is the hypervisor's
   * or not canonical, a level above is missing, or what is there is not a level-1 table. Those are the domain's own.
   */
  findL1(vcpu: Vcpu, va: Va | -1): number {
    if (va === -1 || !addressOk(va)) return -1;
    let table = vcpu.guestTable;
    if (table === 0) return -1;
    const top = Math.floor(va / 1073741824); // Address bits 30 to 47: the indexes at levels 4 and 3.
    const low = (va % 1073741824) >>> 12; // Bits 12 to 29: levels 2 and 1.
    for (let level = 4; level > 1; level--) {
      const index = level === 4 ? top >>> 9 : level === 3 ? top & 511 : low >>> 9;
      const word = table * 1024 + index * 2;
      const mfn = pteMfn(this.#u32[word], this.#u32[word + 1]);
      if (!(this.#u32[word] & Pte.P) || this.#u32[word] & Pte.PSE || mfn === -1) return -1;
      table = mfn;
    }
    // A linear mapping leads to a table of another level.
    if (this.tableLevel(table) !== 1) return -1;
    return table * 1024 + (low & 511) * 2;
  }

  // Whole tables

  /** MMUEXT_PIN_Ln_TABLE for a frame of domain `id`. */
  pin(mfn: number, level: PageType, id: DomId): number {
    const error = this.types.getPageAndType(mfn, id, level);
    if (error) return error;
    if (this.frames.flags[mfn] & PageFlag.Pinned) {
      this.types.putPageAndType(mfn as Mfn);
      return -XEN_EINVAL;
    }
    this.frames.flags[mfn] |= PageFlag.Pinned;
    return 0;
  }

  /** MMUEXT_UNPIN_TABLE. */
  unpin(mfn: number, id: DomId): number {
    const f = this.frames;
    if (!f.getPage(mfn, id)) return -XEN_EINVAL;
    const pinned = (f.flags[mfn] & PageFlag.Pinned) !== 0;
    if (pinned) {
      f.flags[mfn] &= ~PageFlag.Pinned;
      this.types.putPageAndType(mfn as Mfn);
    }
    f.putPage(mfn as Mfn);
    return pinned ? 0 : -XEN_EINVAL;
  }

  /**
   * MMUEXT_NEW_BASEPTR or, for user mode, MMUEXT_NEW_USER_BASEPTR (which may be 0: none). The vcpu holds the table from
   * then on. As on the hardware, no translation of that table made before survives.
   */
  setGuestTable(vcpu: Vcpu, mfn: number, user: boolean): number {
    const old = user ? vcpu.guestTableUser : vcpu.guestTable;
    if (mfn === 0 && !user) return -XEN_EINVAL; // A new vcpu has none yet, so that it isn't its old one either.
    if (mfn !== old) {
      if (mfn !== 0) {
        const error = this.types.getPageAndType(mfn, vcpu.domain.id, PageType.L4);
        if (error) return error;
      }
      const table = (mfn | 0) as Mfn; // Not a double, whatever it was computed from.
      if (user) vcpu.guestTableUser = table;
      else vcpu.guestTable = table;
      if (!user) vcpu.cpu.setField(CpuLayout.ldtTable, mfn);
      this.loadCr3(vcpu);
      if (old !== 0) this.types.putPageAndType(old);
    }
    if (mfn === 0) return 0;
    // The kernel's tables show the machine-to-physical table; a user's don't once the guest asked for that.
    if (!user) this.types.showM2p(mfn as Mfn, true);
    else if (vcpu.domain.m2pStrict) this.types.showM2p(mfn as Mfn, false);
    this.#tlb.flushTable(mfn as Mfn);
    return 0;
  }

  /**
   * Does `work`, which makes level-4 tables of `tables` (frame numbers as a guest gave them), a piece at a time: undefined when
   * `stop` said so before it could be done, and it is to be asked for again. What it leaves to be undone is undone as far as
   * time allows, the rest by whatever changes tables next.
   */
  inPieces<R>(memory: DomainMemory, tables: readonly number[], stop: () => boolean, work: () => R): R | undefined {
    const { long, types } = this;
    if (!types.settle(memory, stop)) return undefined;
    for (const mfn of tables) if (!long.prepare(memory, mfn, PageType.L4, stop)) return undefined;
    types.deferring = true;
    const result = work();
    types.deferring = false;
    long.finish(memory, stop);
    return result;
  }

  /** Makes the processor use the table of the vcpu's current mode; a vcpu without a user table uses the kernel's. */
  loadCr3(vcpu: Vcpu): void {
    const user = !vcpu.kernelMode && vcpu.guestTableUser !== 0;
    vcpu.cpu.setField(CpuLayout.cr3, user ? vcpu.guestTableUser : vcpu.guestTable);
  }

  /** HYPERVISOR_set_gdt: `frames` descriptor pages, of which the first `entries` entries are the GDT. */
  setGdt(vcpu: Vcpu, frames: readonly number[], entries: number): number {
    for (let i = 0; i < frames.length; i++) {
      const error = this.types.getPageAndType(frames[i], vcpu.domain.id, PageType.SegDesc);
      if (!error) continue;
      while (i-- > 0) this.types.putPageAndType(frames[i] as Mfn);
      return -XEN_EINVAL;
    }
    this.#dropGdt(vcpu);
    for (let i = 0; i < frames.length; i++) vcpu.cpu.setField(CpuLayout.gdtFrames + i * 4, frames[i]);
    vcpu.cpu.setField(CpuLayout.gdtEntries, entries);
    return 0;
  }

  #dropGdt(vcpu: Vcpu): void {
    for (let i = 0; i < GDT_FRAMES; i++) {
      const mfn = vcpu.cpu.field(CpuLayout.gdtFrames + i * 4) as Mfn;
      if (mfn !== 0) this.types.putPageAndType(mfn);
      vcpu.cpu.setField(CpuLayout.gdtFrames + i * 4, 0);
    }
    vcpu.cpu.setField(CpuLayout.gdtEntries, 0);
  }

  /** MMU_MACHPHYS_UPDATE and the builder: what the machine-to-physical table says of a frame (-1: nothing). */
  setM2p(mfn: Mfn, pfn: number): void {
    this.frames.m2p.set(mfn, pfn);
  }

  // Ends

  /** Drops a vcpu's tables and GDT; the tables are undone by relinquish. It never runs again. */
  releaseVcpu(vcpu: Vcpu): void {
    const tables = [vcpu.guestTable, vcpu.guestTableUser];
    vcpu.guestTable = 0 as Mfn;
    vcpu.guestTableUser = 0 as Mfn;
    vcpu.cpu.setField(CpuLayout.cr3, 0);
    for (const table of tables) if (table !== 0) this.types.defer(vcpu.domain.memory, table);
    this.#dropGdt(vcpu);
    vcpu.cpu.setField(CpuLayout.ldtEntries, 0);
  }

  /**
   * Takes a dying domain's frames back, its vcpus having been released and its grant mappings dropped. Does about
   * `budget` frames and returns how many are left to look at: 0 when done, though frames that others still map only come
   * back when those let go (DomainMemory.whenReleased).
   */
  relinquish(domain: Domain, budget: number): number {
    return relinquish(this.frames, this.long, this.types, domain.memory, budget);
  }

  // Faults

  /** True when the page fault that the vcpu's state describes was a store to a page table, and has been carried out. */
  handlePageFault(vcpu: Vcpu): boolean {
    return this.#stores.handle(vcpu);
  }

  #write(word: number, lo: number, hi: number, oldLo: number, preserveAd: boolean): void {
    this.storeRaw(word, preserveAd ? (lo | (oldLo & (Pte.A | Pte.D))) >>> 0 : lo, hi);
  }
}

/** Word index of the entry at a machine address (a multiple of 8, in machine memory). */
export function wordOf(mfn: Mfn, offset: number): number {
  return (mfn * FRAME_SIZE + offset) / 4;
}

// The translation cache, in machine memory where generated code looks it up inline (DESIGN, "A TLB entry is tagged with
// its address space"). Data and code have caches of their own, both direct-mapped by page number. A tag is the page's full
// address with, in its low 12 bits, an address space number (ASID) that stands for one level-4 table since its last
// flush: flushing gives the table a new number, so that its old entries can never match again. The x86 processor fills
// it; the hypervisor flushes it through the Tlb contract of processor.ts, and copies from and to guests by its entries: the
// guest, which runs at CPL 3 with the same table, could do the same at once, so what is safe for it is safe for them.
//
// Data entry, 32 bytes: u64 tag for reading, u64 tag for writing, u32 host page address minus guest page address (mod
//   2^32, to be added to an address), u32 frame, u32 granules. The tag for writing is there only once the dirty bit is
//   set, and never while the frame holds decoded code: then `granules`, if not 0, is the address of 256 bytes, one for
//   each 16 bytes of the frame, and stores to those whose byte is 0 are allowed.
// Code entry, 16 bytes: u64 tag, u32 address of the frame's map from offset to decoded operation, u32 frame.

import type { Mfn, Va } from "../../shared/brand.ts";
import { vaHigh } from "./cpu_state.ts";
import type { MachineMemory } from "./memory.ts";
import type { Tlb } from "./processor.ts";

/** log2 of the number of entries. 4096 entries reach 16 MiB, a Linux kernel's text; a record of a frame's slots has 12 bits for each. */
export const DATA_BITS = 12;
export const CODE_BITS = 12;
export const DATA_ENTRY = 32;
export const CODE_ENTRY = 16;
const DATA_SLOTS = 1 << DATA_BITS;
const CODE_SLOTS = 1 << CODE_BITS;
const ASIDS = 4096;
const MANY = 0xffff;

/** What the TLB must know of the decoded code that the processor keeps. */
export interface CodeFrames {
  /** Is anything decoded from this frame kept? */
  has(mfn: Mfn): boolean;
  /** Drops it. */
  drop(mfn: Mfn): void;
}

export class SoftTlb implements Tlb {
  readonly dataAddress: number;
  readonly codeAddress: number;
  readonly #u32: Uint32Array;
  readonly #data: number;
  readonly #code: number;
  #asids = new Map<number, number>();
  #nextAsid = 1;
  #lastTable = -1;
  #lastAsid = 0;
  /**
   * Where each frame may be in the data cache: bits 0-11 and 12-23 the slots of up to two entries, bits 24-25 how
   * many, 3 for more than two. It may name entries that are gone, never miss one that is there.
   */
  readonly #slots: Uint32Array;
  /** Where each frame may be in the code cache: 0 nowhere, slot + 1, or MANY. */
  readonly #codeSlots: Uint16Array;
  readonly #codeFrames: CodeFrames;
  /** How many devices may write to each frame. */
  readonly #writers: Uint32Array;
  /** Frames with writers from which code was executed since `dropDeviceCode`. */
  readonly #deviceCode = new Set<Mfn>();

  constructor(memory: MachineMemory, codeFrames: CodeFrames) {
    this.dataAddress = memory.reserve(DATA_SLOTS * DATA_ENTRY);
    this.codeAddress = memory.reserve(CODE_SLOTS * CODE_ENTRY);
    this.#u32 = memory.u32;
    this.#data = this.dataAddress >>> 2;
    this.#code = this.codeAddress >>> 2;
    this.#slots = new Uint32Array(memory.frames);
    this.#codeSlots = new Uint16Array(memory.frames);
    this.#codeFrames = codeFrames;
    this.#writers = new Uint32Array(memory.frames);
  }

  /** The number that stands for this table now, 1 to 4095. */
  asid(cr3: Mfn): number {
    if (cr3 === this.#lastTable) return this.#lastAsid;
    this.#lastAsid = this.#find(cr3);
    this.#lastTable = cr3;
    return this.#lastAsid;
  }

  #find(cr3: Mfn): number {
    const known = this.#asids.get(cr3);
    if (known !== undefined) return known;
    if (this.#nextAsid === ASIDS) this.#reset();
    const asid = this.#nextAsid++;
    this.#asids.set(cr3, asid);
    return asid;
  }

  lookup(cr3: Mfn, va: Va, write: boolean): Mfn {
    const at = this.#data + ((va >>> 12) & (DATA_SLOTS - 1)) * (DATA_ENTRY / 4);
    const tag = write ? at + 2 : at;
    const hit = this.#u32[tag] === ((va & ~4095) | this.asid(cr3)) >>> 0 && this.#u32[tag + 1] === vaHigh(va);
    return (hit ? this.#u32[at + 5] : 0) as Mfn;
  }

  /** Enters a page that the walker has found; `write` if it may be written from now on without another walk, `granules` if in part. */
  fillData(asid: number, va: Va, mfn: Mfn, write: boolean, granules = 0): void {
    const page = (va - (va & 4095)) as Va;
    const slot = (page >>> 12) & (DATA_SLOTS - 1);
    const at = this.#data + slot * (DATA_ENTRY / 4);
    const u32 = this.#u32;
    const lo = ((page >>> 0) | asid) >>> 0;
    const hi = vaHigh(page);
    u32[at] = lo;
    u32[at + 1] = hi;
    u32[at + 2] = write ? lo : 0;
    u32[at + 3] = write ? hi : 0;
    u32[at + 4] = mfn * 4096 - (page >>> 0);
    u32[at + 5] = mfn;
    u32[at + 6] = granules;
    const known = this.#slots[mfn];
    const count = known >>> 24;
    if (count === 0) this.#slots[mfn] = (1 << 24) | slot;
    else if (count === 1) {
      if ((known & 0xfff) !== slot) this.#slots[mfn] = (2 << 24) | (slot << 12) | (known & 0xfff);
    } else if (count === 2 && (known & 0xfff) !== slot && ((known >>> 12) & 0xfff) !== slot) this.#slots[mfn] = 3 << 24;
  }

  /** Enters a page of code whose frame's map of decoded operations lies at `map`. */
  fillCode(asid: number, va: Va, mfn: Mfn, map: number): void {
    const page = (va - (va & 4095)) as Va;
    const slot = (page >>> 12) & (CODE_SLOTS - 1);
    const at = this.#code + slot * (CODE_ENTRY / 4);
    this.#u32[at] = (page >>> 0) | asid;
    this.#u32[at + 1] = vaHigh(page);
    this.#u32[at + 2] = map;
    this.#u32[at + 3] = mfn;
    const known = this.#codeSlots[mfn];
    if (known !== slot + 1) this.#codeSlots[mfn] = known === 0 ? slot + 1 : MANY;
    if (this.#writers[mfn] !== 0) this.#deviceCode.add(mfn);
  }

  /** Every translation for data that a processor would still use: for the walker over page types. */
  *entries(): Generator<{ cr3: Mfn; va: Va; mfn: Mfn; writable: boolean }> {
    const tables = new Map([...this.#asids].map(([cr3, asid]) => [asid, cr3 as Mfn]));
    for (let slot = 0; slot < DATA_SLOTS; slot++) {
      const at = this.#data + slot * (DATA_ENTRY / 4);
      const [lo, hi, writeLo] = [this.#u32[at], this.#u32[at + 1], this.#u32[at + 2]];
      const cr3 = tables.get(lo & 0xfff);
      const va = ((hi & 0xffff) * 4294967296 + lo - (lo & 0xfff)) as Va;
      if (cr3 !== undefined && lo !== 0) yield { cr3, va, mfn: this.#u32[at + 5] as Mfn, writable: writeLo === lo };
    }
  }

  /** The map address of the code page at `va`, or 0 when it isn't entered. */
  findCode(asid: number, va: Va): number {
    const page = (va - (va & 4095)) as Va;
    const at = this.#code + ((page >>> 12) & (CODE_SLOTS - 1)) * (CODE_ENTRY / 4);
    const hit = this.#u32[at] === ((page >>> 0) | asid) >>> 0 && this.#u32[at + 1] === vaHigh(page);
    return hit ? this.#u32[at + 2] : 0;
  }

  /** The frame of the code page at `va`, which `findCode` has just found. */
  codeFrame(va: Va): Mfn {
    return this.#u32[this.#code + ((va >>> 12) & (CODE_SLOTS - 1)) * (CODE_ENTRY / 4) + 3] as Mfn;
  }

  flushAll(): void {
    this.#asids.clear();
    this.#lastTable = -1;
  }

  flushTable(cr3: Mfn): void {
    this.#asids.delete(cr3);
    if (cr3 === this.#lastTable) this.#lastTable = -1;
  }

  flushPage(va: Va): void {
    this.#clearData((va >>> 12) & (DATA_SLOTS - 1));
    this.#clearCode((va >>> 12) & (CODE_SLOTS - 1));
  }

  retire(mfn: Mfn): void {
    if (this.#codeFrames.has(mfn)) this.dropCode(mfn);
    const known = this.#slots[mfn];
    if (known === 0) return;
    this.#slots[mfn] = 0;
    const count = known >>> 24;
    if (count === 3) {
      for (let slot = 0; slot < DATA_SLOTS; slot++) this.#clearDataOf(slot, mfn);
      return;
    }
    this.#clearDataOf(known & 0xfff, mfn);
    if (count === 2) this.#clearDataOf((known >>> 12) & 0xfff, mfn);
  }

  dropCode(mfn: Mfn): void {
    if (!this.#codeFrames.has(mfn)) return;
    this.#codeFrames.drop(mfn);
    const known = this.#codeSlots[mfn];
    this.#codeSlots[mfn] = 0;
    if (known === MANY) for (let slot = 0; slot < CODE_SLOTS; slot++) this.#clearCodeOf(slot, mfn);
    else if (known !== 0) this.#clearCodeOf(known - 1, mfn);
  }

  deviceWrites(mfn: Mfn, may: boolean): void {
    this.#writers[mfn] += may ? 1 : -1;
    // Before: so that it is entered again and noticed. After: for the last thing that was written.
    this.dropCode(mfn);
  }

  dropDeviceCode(): void {
    if (this.#deviceCode.size === 0) return;
    for (const mfn of this.#deviceCode) this.dropCode(mfn);
    this.#deviceCode.clear();
  }

  #clearCodeOf(slot: number, mfn: Mfn): void {
    if (this.#u32[this.#code + slot * (CODE_ENTRY / 4) + 3] === mfn) this.#clearCode(slot);
  }

  /** Forgets every entry for code: the decoded operations are about to be thrown away all at once. */
  flushCode(): void {
    this.#u32.fill(0, this.#code, this.#code + CODE_SLOTS * (CODE_ENTRY / 4));
    for (let slot = 0; slot < DATA_SLOTS; slot++) this.#u32[this.#data + slot * (DATA_ENTRY / 4) + 6] = 0;
  }

  /** Takes away the right to write to a frame without a walk, since code is being decoded from it. */
  protect(mfn: Mfn): void {
    const known = this.#slots[mfn];
    const count = known >>> 24;
    if (count === 3) for (let slot = 0; slot < DATA_SLOTS; slot++) this.#protectSlot(slot, mfn);
    if (count === 1 || count === 2) this.#protectSlot(known & 0xfff, mfn);
    if (count === 2) this.#protectSlot((known >>> 12) & 0xfff, mfn);
  }

  #protectSlot(slot: number, mfn: Mfn): void {
    const at = this.#data + slot * (DATA_ENTRY / 4);
    if (this.#u32[at + 5] !== mfn) return;
    this.#u32[at + 2] = 0;
    this.#u32[at + 3] = 0;
    this.#u32[at + 6] = 0;
  }

  #clearDataOf(slot: number, mfn: Mfn): void {
    if (this.#u32[this.#data + slot * (DATA_ENTRY / 4) + 5] === mfn) this.#clearData(slot);
  }

  #clearData(slot: number): void {
    const at = this.#data + slot * (DATA_ENTRY / 4);
    for (let i = 0; i < 7; i++) this.#u32[at + i] = 0;
  }

  #clearCode(slot: number): void {
    const at = this.#code + slot * (CODE_ENTRY / 4);
    for (let i = 0; i < 4; i++) this.#u32[at + i] = 0;
  }

  /** All ASIDs are used up: clears everything and starts over. */
  #reset(): void {
    this.#u32.fill(0, this.#data, this.#data + DATA_SLOTS * (DATA_ENTRY / 4));
    this.flushCode();
    this.#slots.fill(0);
    this.#asids.clear();
    this.#nextAsid = 1;
  }
}

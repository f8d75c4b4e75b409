// The machine-to-physical table: for each machine frame the pseudo-physical number by which its owner calls it, 8 bytes
// each, as public/arch-x86/xen-x86_64.h has it. Guests read it at its architectural address through slot 256 of every
// level-4 table; MMU_MACHPHYS_UPDATE, the memory operations and the domain builder write it. The hypervisor itself never
// believes it. Its own page tables are made here. Left out: the 32-bit table, superpages.

import type { Mfn } from "../../shared/brand.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";

/** Where guests see the table (48-bit form), and the level-4 slot that this address is in. */
export const MACH2PHYS_VIRT_START = 0x800000000000;
export const MACH2PHYS_SLOT = 256;
/** The architectural end of the window, and so the number of entries it has room for. */
export const MACH2PHYS_VIRT_END = 0x804000000000;

const ENTRIES = 512;
/** Present and user: read-only for everybody, never executed. */
const READ_ONLY = 0x5;
const NO_EXECUTE = 0x80000000;

export class MachineToPhys {
  /** The table's own frames, consecutive. */
  readonly firstFrame: Mfn;
  readonly frames: number;
  /** Level-3 table for slot 256. */
  readonly level3: Mfn;
  readonly #u32: Uint32Array;
  readonly #word: number;

  constructor(memory: MachineMemory) {
    this.#u32 = memory.u32;
    const sizeBytes = memory.frames * 8;
    this.frames = Math.ceil(sizeBytes / FRAME_SIZE);
    const address = memory.reserve(sizeBytes);
    this.firstFrame = (address / FRAME_SIZE) as Mfn;
    this.#word = address >>> 2;
    this.#u32.fill(0xffffffff, this.#word, this.#word + this.frames * (FRAME_SIZE >>> 2));
    const tables = memory.reserve((2 + Math.ceil(this.frames / ENTRIES)) * FRAME_SIZE) / FRAME_SIZE;
    this.level3 = tables as Mfn;
    this.#point(tables, 0, tables + 1, 0);
    for (let i = 0; i * ENTRIES < this.frames; i++) this.#point(tables + 1, i, tables + 2 + i, 0);
    for (let i = 0; i < this.frames; i++)
      this.#point(tables + 2 + Math.floor(i / ENTRIES), i % ENTRIES, this.firstFrame + i, NO_EXECUTE);
  }

  /** What the table says, or -1 (INVALID_M2P_ENTRY) when it says nothing below 2^53. */
  get(mfn: Mfn): number {
    const at = this.#word + mfn * 2;
    const hi = this.#u32[at + 1];
    return hi > 0x1fffff ? -1 : this.#u32[at] + hi * 4294967296;
  }

  /** Sets an entry to a pseudo-physical frame number, or with -1 to INVALID_M2P_ENTRY. */
  set(mfn: Mfn, pfn: number): void {
    this.setHalves(mfn, pfn >>> 0, Math.floor(pfn / 4294967296) >>> 0);
  }

  setHalves(mfn: Mfn, lo: number, hi: number): void {
    const at = this.#word + mfn * 2;
    this.#u32[at] = lo;
    this.#u32[at + 1] = hi;
  }

  #point(table: number, slot: number, mfn: number, hi: number): void {
    const at = (table * FRAME_SIZE + slot * 8) >>> 2;
    this.#u32[at] = ((mfn << 12) | READ_ONLY) >>> 0;
    this.#u32[at + 1] = hi;
  }
}

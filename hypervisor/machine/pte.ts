// Page-table entries as two 32-bit halves: the one module that knows that a machine frame number fits in 20 bits, so
// that an entry's frame lies wholly in its low half (DESIGN, principle 4). Intel SDM volume 3, 4.5 (4-level paging); the
// guest-kernel mark is Xen's. Used by the walker, the page-type code and the domain builder.

import type { Mfn, Va } from "../../shared/brand.ts";

/** Flags in the low half. */
export const Pte = {
  P: 0x001,
  RW: 0x002,
  US: 0x004,
  PWT: 0x008,
  PCD: 0x010,
  A: 0x020,
  D: 0x040,
  /** Page size, at levels 2 and 3. At level 1 the same bit is PAT. */
  PSE: 0x080,
  PAT: 0x080,
  G: 0x100,
  /** The three bits left to software. */
  AVAIL: 0xe00,
} as const;

/** Flags in the high half. */
export const PteHi = {
  /** Bit 52, Xen's _PAGE_GUEST_KERNEL: the guest gave this entry without the user bit. */
  GUEST_KERNEL: 1 << 20,
  /** Bits 52 to 62, which the processor ignores. */
  AVAIL: 0x7ff00000,
  /** Bit 63: no execution. */
  NX: 0x80000000,
  /** Address bits above the 32 that a machine address has: reserved here, must be zero. */
  RESERVED: 0x000fffff,
} as const;

/** Low-half mask of the flag bits. */
export const PTE_FLAGS = 0xfff;
export const ENTRIES_PER_TABLE = 512;

/** The frame that an entry maps, or -1 when its address is beyond 32 bits. */
export function pteMfn(lo: number, hi: number): Mfn | -1 {
  return hi & PteHi.RESERVED ? -1 : ((lo >>> 12) as Mfn);
}

/** The low half of an entry for a frame with the given low flags. */
export function pteLo(mfn: Mfn, flags: number): number {
  return ((mfn << 12) | flags) >>> 0;
}

/** Index of the entry for `va` in its table of `level` 1 to 4. */
export function tableIndex(va: Va, level: number): number {
  return Math.floor(va / 2 ** (3 + 9 * level)) & 511;
}

// The page walk: from a level-4 table and an address to a frame, as the processor does it (Intel SDM volume 3, 4.5 to
// 4.8), with the accessed and dirty bits set and precise page-fault error codes. The processors fill their TLBs by it, and
// the hypervisor reads and writes guest memory by it. Every access is one of CPL 3, as PV guests' all are; NXE and WP are
// on, SMEP, SMAP and protection keys don't exist. The caller has refused non-canonical addresses.

import type { Mfn, Va } from "../../shared/brand.ts";
import type { MachineMemory } from "./memory.ts";
import { Pte, PteHi } from "./pte.ts";

/** What is to be done with the address: the bits are those of the page-fault error code. */
export const Access = { READ: 0, WRITE: 2, EXEC: 16 } as const;

/** Page-fault error code (SDM volume 3, 4.7). */
export const PageFaultCode = { P: 1, W: 2, U: 4, RSVD: 8, I: 16 } as const;

/** Page size at level 3 and 2 in frames; address bits below the page that must be zero in the entry. */
const GIB_FRAMES = 1 << 18;
const TWO_MIB_FRAMES = 1 << 9;

/** A walker's results stay in its fields until its next walk; nothing is allocated. */
export class PageWalker {
  readonly #u32: Uint32Array;
  readonly #frames: number;
  /** Of the last walk: error code of the page fault, when it gave -1. */
  errorCode = 0;
  /** Of the last walk: byte address of the entry that maps the page (level 1, or a large page's), or 0 if not reached. */
  entry = 0;
  /** Of the last walk: level of that entry, 1 to 3. */
  level = 0;
  /** Of the last successful walk: whether all levels allow writing. */
  writable = false;
  /** Of the last successful walk: whether all levels allow execution. */
  executable = false;
  /** Of the last successful walk: whether the dirty bit is set now, so that a write needs no further walk. */
  dirty = false;

  constructor(memory: MachineMemory) {
    this.#u32 = memory.u32;
    this.#frames = memory.frames;
  }

  /**
   * Translates `va` for one of `Access`. Returns the 4 KiB frame (within a large page: the one that `va` is in) and sets
   * A, and D when writing; or returns -1, `errorCode` set and no table changed.
   */
  walk(cr3: Mfn, va: Va, access: number): Mfn | -1 {
    const u32 = this.#u32;
    const hi = (va / 65536) >>> 14; // bits 30 to 47
    const lo = (va & 0x3fffffff) >>> 12; // bits 12 to 29; `%` of a number this large calls C, for 40 ns
    const fail = access | PageFaultCode.U;
    this.entry = 0;
    this.level = 0;
    if (cr3 >= this.#frames) return this.#fault(fail | PageFaultCode.P | PageFaultCode.RSVD);

    const at4 = cr3 * 1024 + ((hi >>> 9) & 511) * 2;
    const lo4 = u32[at4];
    const hi4 = u32[at4 + 1];
    if (!(lo4 & Pte.P)) return this.#fault(fail);
    if (hi4 & PteHi.RESERVED || lo4 & Pte.PSE || lo4 >>> 12 >= this.#frames) return this.#reserved(fail);

    const at3 = (lo4 >>> 12) * 1024 + (hi & 511) * 2;
    const lo3 = u32[at3];
    const hi3 = u32[at3 + 1];
    if (!(lo3 & Pte.P)) return this.#fault(fail);
    if (hi3 & PteHi.RESERVED || lo3 >>> 12 >= this.#frames) return this.#reserved(fail);
    if (lo3 & Pte.PSE) {
      if (lo3 & 0x3fffe000) return this.#reserved(fail);
      const mfn = ((lo3 >>> 12) & -GIB_FRAMES) + (lo & (GIB_FRAMES - 1));
      if (!this.#leaf(access, at3, 3, mfn, lo4 & lo3, hi4 | hi3)) return -1;
      u32[at4] = lo4 | Pte.A;
      return mfn as Mfn;
    }

    const at2 = (lo3 >>> 12) * 1024 + ((lo >>> 9) & 511) * 2;
    const lo2 = u32[at2];
    const hi2 = u32[at2 + 1];
    if (!(lo2 & Pte.P)) return this.#fault(fail);
    if (hi2 & PteHi.RESERVED || lo2 >>> 12 >= this.#frames) return this.#reserved(fail);
    if (lo2 & Pte.PSE) {
      if (lo2 & 0x001fe000) return this.#reserved(fail);
      const mfn = ((lo2 >>> 12) & -TWO_MIB_FRAMES) + (lo & (TWO_MIB_FRAMES - 1));
      if (!this.#leaf(access, at2, 2, mfn, lo4 & lo3 & lo2, hi4 | hi3 | hi2)) return -1;
      u32[at4] = lo4 | Pte.A;
      u32[at3] = lo3 | Pte.A;
      return mfn as Mfn;
    }

    const at1 = (lo2 >>> 12) * 1024 + (lo & 511) * 2;
    const lo1 = u32[at1];
    const hi1 = u32[at1 + 1];
    this.entry = at1 * 4;
    this.level = 1;
    if (!(lo1 & Pte.P)) return this.#fault(fail);
    if (hi1 & PteHi.RESERVED) return this.#reserved(fail);
    const mfn = lo1 >>> 12;
    if (!this.#leaf(access, at1, 1, mfn, lo4 & lo3 & lo2 & lo1, hi4 | hi3 | hi2 | hi1)) return -1;
    if (!(lo4 & Pte.A)) u32[at4] = lo4 | Pte.A;
    if (!(lo3 & Pte.A)) u32[at3] = lo3 | Pte.A;
    if (!(lo2 & Pte.A)) u32[at2] = lo2 | Pte.A;
    return mfn as Mfn;
  }

  /** Checks rights at the entry that maps the page, and marks it; `all` is the AND of the low halves, `any` the OR of the high. */
  #leaf(access: number, at: number, level: number, mfn: number, all: number, any: number): boolean {
    this.entry = at * 4;
    this.level = level;
    if (mfn >= this.#frames) {
      this.#reserved(access | PageFaultCode.U);
      return false;
    }
    const writable = (all & Pte.RW) !== 0;
    const executable = (any & PteHi.NX) === 0;
    const denied = !(all & Pte.US) || (access & Access.WRITE && !writable) || (access & Access.EXEC && !executable);
    if (denied) {
      this.#fault(access | PageFaultCode.U | PageFaultCode.P);
      return false;
    }
    const marks = access & Access.WRITE ? Pte.A | Pte.D : Pte.A;
    const entry = this.#u32[at];
    if ((entry & marks) !== marks) this.#u32[at] = entry | marks;
    this.writable = writable;
    this.executable = executable;
    this.dirty = ((entry | marks) & Pte.D) !== 0;
    return true;
  }

  #fault(errorCode: number): -1 {
    this.errorCode = errorCode;
    return -1;
  }

  #reserved(errorCode: number): -1 {
    return this.#fault(errorCode | PageFaultCode.P | PageFaultCode.RSVD);
  }
}

// What the TLB doesn't answer: misses, operands that cross a page, stores to frames that hold decoded code, faults. Called
// by the emitted helper functions (helpers.ts) and by instructions written in TypeScript. Exception vectors and error
// codes: Intel SDM volume 3, chapter 6.

import type { Mfn, Va } from "../../../shared/brand.ts";
import { canonical } from "../cpu_state.ts";
import type { MachineMemory } from "../memory.ts";
import { Exit } from "../processor.ts";
import type { SoftTlb } from "../tlb.ts";
import { Access, type PageWalker } from "../walk.ts";
import type { GuestPort } from "./host.ts";
import { Slot, State } from "./layout.ts";

const PAGE_FAULT = 14;

/** What must be known of decoded code when something is written. */
export interface WrittenCode {
  touches(mfn: Mfn, offset: number, bytes: number): boolean;
  granules(mfn: Mfn): number;
}

export class X86Mmu implements GuestPort {
  readonly #memory: MachineMemory;
  readonly #walker: PageWalker;
  readonly #tlb: SoftTlb;
  readonly #state: number;
  readonly #code: WrittenCode;
  /** Which vector a non-canonical address raises: 12 for stack accesses, else 13. Asked only then. */
  readonly #badAddressVector: () => number;
  /** Is the run to end rather than look for another page? */
  readonly #overdue: () => boolean;
  cr3 = 0 as Mfn;
  asid = 0;
  /** One page whose translation is replaced for a single instruction, or -1. */
  overridePage = -1;
  overrideFrame = 0 as Mfn;
  // The store that is in the bounce buffer: two host addresses, and how many bytes belong to the first.
  #first = 0;
  #second = 0;
  #firstBytes = 0;
  #bytes = 0;

  constructor(
    memory: MachineMemory,
    walker: PageWalker,
    tlb: SoftTlb,
    state: number,
    code: WrittenCode,
    badAddressVector: () => number,
    overdue: () => boolean,
  ) {
    this.#memory = memory;
    this.#walker = walker;
    this.#tlb = tlb;
    this.#state = state;
    this.#code = code;
    this.#badAddressVector = badAddressVector;
    this.#overdue = overdue;
  }

  /**
   * Host address of a byte, its page entered into the TLB; or 0, the fault noted. `bytes` are to be accessed, as far as
   * they are in its page: what was decoded from them is dropped if they are to be written.
   */
  translate(lo: number, hi: number, access: number, bytes: number): number {
    const va = canonical(lo, hi);
    if (va === -1) {
      this.note(this.#badAddressVector(), 0);
      return 0;
    }
    const offset = lo & 4095;
    if (va - offset === this.overridePage) {
      this.#tlb.fillData(this.asid, va, this.overrideFrame, true);
      return (this.overrideFrame * 4096 + offset) >>> 0;
    }
    const mfn = this.#walker.walk(this.cr3, va, access);
    if (mfn === -1) {
      this.notePageFault(va, this.#walker.errorCode);
      return 0;
    }
    if (access === Access.WRITE && this.#code.touches(mfn, offset, bytes)) this.#tlb.dropCode(mfn);
    const write = this.#walker.writable && this.#walker.dirty;
    const granules = this.#code.granules(mfn);
    this.#tlb.fillData(this.asid, va, mfn, write && granules === 0, write ? granules : 0);
    return (mfn * 4096 + offset) >>> 0;
  }

  /** The instruction ends without effect, and the run with it: it is executed by the next. */
  interrupt(): 0 {
    this.#memory.u32[(this.#state + State.exitKind) >>> 2] = Exit.Interrupted;
    return 0;
  }

  note(vector: number, errorCode: number): void {
    const word = this.#state >>> 2;
    this.#memory.u32[word + (State.vector >>> 2)] = vector;
    this.#memory.u32[word + (State.errorCode >>> 2)] = errorCode;
    this.#memory.u32[word + (State.exitKind >>> 2)] = Exit.Exception;
  }

  notePageFault(va: Va, errorCode: number): void {
    this.note(PAGE_FAULT, errorCode);
    const at = (this.#state >>> 2) + Slot.CR2 * 2;
    this.#memory.u32[at] = va >>> 0;
    const hi = Math.floor(va / 4294967296);
    this.#memory.u32[at + 1] = hi & 0x8000 ? (hi | 0xffff0000) >>> 0 : hi;
  }

  /** Import of the emitted code: host address of an operand to be read, or 0. A crossing one is put together aside. */
  readonly missRead = (lo: number, hi: number, bytes: number): number => {
    if (this.#overdue()) return this.interrupt();
    const inPage = 4096 - (lo & 4095);
    const first = this.translate(lo, hi, Access.READ, bytes);
    if (inPage >= bytes || first === 0) return first;
    const next = (lo + inPage) >>> 0;
    const second = this.translate(next, next === 0 ? (hi + 1) >>> 0 : hi, Access.READ, bytes - inPage);
    if (second === 0) return 0;
    const bounce = this.#state + State.bounceRead;
    const u8 = this.#memory.u8;
    for (let i = 0; i < bytes; i++) u8[bounce + i] = u8[i < inPage ? first + i : second + i - inPage];
    return bounce;
  };

  /** The same for an operand to be written; for a crossing one `pending` is set, and `commit` carries the store out. */
  readonly missWrite = (lo: number, hi: number, bytes: number): number => {
    if (this.#overdue()) return this.interrupt();
    const inPage = 4096 - (lo & 4095);
    const first = this.translate(lo, hi, Access.WRITE, bytes);
    if (inPage >= bytes || first === 0) return first;
    const next = (lo + inPage) >>> 0;
    const second = this.translate(next, next === 0 ? (hi + 1) >>> 0 : hi, Access.WRITE, bytes - inPage);
    if (second === 0) return 0;
    const bounce = this.#state + State.bounceWrite;
    const u8 = this.#memory.u8;
    for (let i = 0; i < bytes; i++) u8[bounce + i] = u8[i < inPage ? first + i : second + i - inPage];
    this.#first = first;
    this.#second = second;
    this.#firstBytes = inPage;
    this.#bytes = bytes;
    this.#memory.u32[(this.#state + State.pending) >>> 2] = 1;
    return bounce;
  };

  readonly commit = (): void => {
    const bounce = this.#state + State.bounceWrite;
    const u8 = this.#memory.u8;
    for (let i = 0; i < this.#bytes; i++) {
      u8[i < this.#firstBytes ? this.#first + i : this.#second + i - this.#firstBytes] = u8[bounce + i];
    }
    this.#memory.u32[(this.#state + State.pending) >>> 2] = 0;
  };

  readBytes(lo: number, hi: number, into: Uint8Array): boolean {
    return this.#copy(lo, hi, into, Access.READ);
  }

  readBytesBy(table: number, lo: number, hi: number, into: Uint8Array): boolean {
    const va = canonical(lo, hi);
    const mfn = va === -1 ? -1 : this.#walker.walk(table as Mfn, va, Access.READ);
    if (va === -1) this.note(this.#badAddressVector(), 0);
    else if (mfn === -1) this.notePageFault(va, this.#walker.errorCode);
    else into.set(this.#memory.u8.subarray(mfn * 4096 + (lo & 4095), mfn * 4096 + (lo & 4095) + into.length));
    return mfn !== -1;
  }

  writeBytes(lo: number, hi: number, from: Uint8Array): boolean {
    // All pages are checked before the first byte is written.
    for (let at = 0; at < from.length; ) {
      const low = lo + at;
      const high = (hi + (low > 0xffffffff ? 1 : 0)) >>> 0;
      if (this.translate(low >>> 0, high, Access.WRITE, from.length - at) === 0) return false;
      at += 4096 - (low & 4095);
    }
    return this.#copy(lo, hi, from, Access.WRITE);
  }

  #copy(lo: number, hi: number, bytes: Uint8Array, access: number): boolean {
    for (let at = 0; at < bytes.length; ) {
      const low = lo + at;
      const high = (hi + (low > 0xffffffff ? 1 : 0)) >>> 0;
      const host = this.translate(low >>> 0, high, access, bytes.length - at);
      if (host === 0) return false;
      const length = Math.min(bytes.length - at, 4096 - (low & 4095));
      if (access === Access.WRITE) this.#memory.u8.set(bytes.subarray(at, at + length), host);
      else bytes.set(this.#memory.u8.subarray(host, host + length), at);
      at += length;
    }
    return true;
  }
}

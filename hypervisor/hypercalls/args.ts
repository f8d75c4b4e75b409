// The arguments of one hypercall, copied out of the registers (or out of a multicall entry) before its handler sees
// them, so that nothing changes under it. Made once per level of calling, refilled for each call. Which registers: public/
// arch-x86/xen-x86_64.h (RDI, RSI, RDX, R10, R8, R9; the number in RAX, the result in RAX).

import { MulticallEntry } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { type CpuState, canonical, Reg, vaHigh } from "../machine/cpu_state.ts";
import { makeWords } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";

/** A handler's result is >= 0, a negative errno, or CONTINUE. Results from the handler are whole numbers below 2^53. */
export type Handler = (hv: Hypervisor, vcpu: Vcpu, a: Args) => number;

/**
 * "Not done yet": the handler has put the rest of its work into the arguments with setNum, and is to be called with them
 * again after others had their chance to run. Outside the range of errno values (above -4096).
 */
export const CONTINUE = -0x10000;
/** The handler has set the registers itself, RAX too (iret), or the domain is no more. */
export const NO_RESULT = -0x10001;

const ARGUMENT_REGISTERS = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9] as const;

export class Args {
  /** What multicall reads its entries into: the last 48 bytes are the arguments. */
  readonly entry = makeWords(MulticallEntry.size / 4);
  /** Six arguments as halves: lo at 2i, hi at 2i + 1. */
  readonly #words = this.entry.u32.subarray(MulticallEntry.offsets.args / 4);
  /** Bit i set: argument i was changed by setNum since it was loaded. */
  changed = 0;

  /** Takes the first `count` arguments at least, 4 at most: no hypercall has more. Written out: as a loop it took twice as long. */
  loadRegisters(cpu: CpuState, count: number): void {
    const words = this.#words;
    this.changed = 0;
    words[0] = cpu.lo(Reg.RDI);
    words[1] = cpu.hi(Reg.RDI);
    words[2] = cpu.lo(Reg.RSI);
    words[3] = cpu.hi(Reg.RSI);
    if (count <= 2) return;
    words[4] = cpu.lo(Reg.RDX);
    words[5] = cpu.hi(Reg.RDX);
    words[6] = cpu.lo(Reg.R10);
    words[7] = cpu.hi(Reg.R10);
  }

  /** Writes the changed arguments back, so that the call issued again goes on where it stopped. */
  storeRegisters(cpu: CpuState): void {
    for (let i = 0; i < 6; i++) if (this.changed & (1 << i)) cpu.set(ARGUMENT_REGISTERS[i], this.lo(i), this.hi(i));
  }

  /** The first `count` arguments, for traces. */
  values(count: number): bigint[] {
    return Array.from({ length: count }, (_, i) => (BigInt(this.hi(i)) << 32n) | BigInt(this.lo(i)));
  }

  /** Argument `i` (0 to 5): its low half, unsigned. */
  lo(i: number): number {
    return this.#words[i * 2];
  }

  /** Its high half, unsigned. */
  hi(i: number): number {
    return this.#words[i * 2 + 1];
  }

  /** The argument as C's `unsigned int` parameter sees it: the high half is ignored. */
  u32(i: number): number {
    return this.#words[i * 2];
  }

  /** As C's `int` parameter sees it. */
  i32(i: number): number {
    return this.#words[i * 2] | 0;
  }

  /** All 64 bits, unsigned; rounded from 2^53 up, so that range checks still fail closed. */
  num(i: number): number {
    return this.#words[i * 2] + this.#words[i * 2 + 1] * 4294967296;
  }

  /** As a virtual address, -1 when it is not canonical. */
  va(i: number): Va | -1 {
    return canonical(this.#words[i * 2], this.#words[i * 2 + 1]);
  }

  /** True for a NULL handle. */
  isNull(i: number): boolean {
    return (this.#words[i * 2] | this.#words[i * 2 + 1]) === 0;
  }

  /** Changes the argument for the continuation; `value` is a whole number, 0 to 2^53. */
  setNum(i: number, value: number): void {
    this.setHalves(i, value >>> 0, Math.floor(value / 4294967296) >>> 0);
  }

  /** Changes the argument to an address. */
  setVa(i: number, va: Va): void {
    this.setHalves(i, va >>> 0, vaHigh(va));
  }

  setHalves(i: number, lo: number, hi: number): void {
    this.#words[i * 2] = lo;
    this.#words[i * 2 + 1] = hi;
    this.changed |= 1 << i;
  }
}

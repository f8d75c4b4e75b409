// The x87 unit on a vcpu's fxsave image: the register stack, control and status words, and how exceptions, masked or not,
// decide what becomes of a result. Intel SDM volume 1, chapter 8. Called by instructions/x87.ts. Left out: the pointers to
// the last instruction and its operand, which stay as they are.

import { type Environment, Operation, operate } from "./arithmetic.ts";
import {
  F80,
  F80_DOUBLE,
  F80_SINGLE,
  Flag,
  type Format,
  HUGE,
  indefinite,
  type Num,
  pack,
  TINY,
  TINY_EXACT,
  unpack,
} from "./format.ts";

/** Bits of the status word beside the exceptions. */
export const Status = { SF: 0x40, ES: 0x80, C0: 0x100, C1: 0x200, C2: 0x400, C3: 0x4000, B: 0x8000 } as const;
export const CONDITIONS = Status.C0 | Status.C1 | Status.C2 | Status.C3;

/** Offsets in the image. */
const CONTROL = 0;
const STATUS = 2;
const TAGS = 4;
const REGISTERS = 32;

/** What stops a result from being stored: exceptions found before it was computed. */
const BEFORE = Flag.IE | Flag.DE | Flag.ZE;
/** How far unmasked overflow and underflow move the exponent of a result in a register. */
const BIAS_ADJUSTMENT = 24576;

export class X87Unit implements Environment {
  readonly view: DataView;
  readonly u8: Uint8Array;
  flags = 0;
  roundedUp = false;
  rounding = 0;
  readonly flushToZero = false;
  readonly x87 = true;
  /** The last exception was one of the stack, and which: C1 tells overflow. */
  #stackFault = false;
  #stackOverflow = false;
  #at = 0;

  constructor(view: DataView, u8: Uint8Array) {
    this.view = view;
    this.u8 = u8;
  }

  /** Begins an instruction on the image at this host address. */
  begin(image: number): void {
    this.#at = image;
    this.flags = 0;
    this.roundedUp = false;
    this.#stackFault = false;
    this.#stackOverflow = false;
    this.rounding = (this.control >>> 10) & 3;
  }

  get control(): number {
    return this.view.getUint16(this.#at + CONTROL, true);
  }
  set control(value: number) {
    this.view.setUint16(this.#at + CONTROL, value, true);
  }
  get status(): number {
    return this.view.getUint16(this.#at + STATUS, true);
  }
  set status(value: number) {
    this.view.setUint16(this.#at + STATUS, value, true);
  }
  /** One bit for each physical register: not empty. */
  get tags(): number {
    return this.u8[this.#at + TAGS];
  }
  set tags(value: number) {
    this.u8[this.#at + TAGS] = value;
  }
  get top(): number {
    return (this.status >>> 11) & 7;
  }

  /** Is an unmasked exception waiting to be reported? */
  get pending(): boolean {
    return (this.status & Status.ES) !== 0;
  }

  /** Makes ES and B agree with the exceptions and their masks. */
  summarize(): void {
    const pending = this.status & ~this.control & 0x3f;
    this.status = (this.status & ~(Status.ES | Status.B)) | (pending ? Status.ES | Status.B : 0);
  }

  conditions(bits: number): void {
    this.status = (this.status & ~CONDITIONS) | bits;
  }

  empty(i: number): boolean {
    return (this.tags & (1 << ((this.top + i) & 7))) === 0;
  }
  setEmpty(i: number, empty: boolean): void {
    const bit = 1 << ((this.top + i) & 7);
    this.tags = empty ? this.tags & ~bit : this.tags | bit;
  }

  /** ST(i) as 80 bits. */
  bits(i: number): bigint {
    const at = this.#at + REGISTERS + i * 16;
    return this.view.getBigUint64(at, true) | (BigInt(this.view.getUint16(at + 8, true)) << 64n);
  }
  setBits(i: number, bits: bigint): void {
    const at = this.#at + REGISTERS + i * 16;
    this.view.setBigUint64(at, BigInt.asUintN(64, bits), true);
    this.view.setUint16(at + 8, Number(bits >> 64n), true);
    this.setEmpty(i, false);
  }
  num(i: number): Num {
    return unpack(this.bits(i), F80);
  }

  /** Moves TOP; the image holds the registers in the stack's order, so they move along. */
  rotate(by: 1 | -1): void {
    const first = this.#at + REGISTERS;
    const edge = by === 1 ? first : first + 112;
    const kept = this.u8.slice(edge, edge + 16);
    if (by === 1) this.u8.copyWithin(first, first + 16, first + 128);
    else this.u8.copyWithin(first + 16, first, first + 112);
    this.u8.set(kept, by === 1 ? first + 112 : first);
    this.status = (this.status & ~0x3800) | (((this.top + by) & 7) << 11);
  }
  pop(): void {
    this.setEmpty(0, true);
    this.rotate(1);
  }

  /** Notes stack underflow if one of the registers is empty. */
  underflow(...registers: readonly number[]): boolean {
    if (!registers.some((i) => this.empty(i))) return false;
    this.#stackFault = true;
    this.flags |= Flag.IE;
    return true;
  }

  /** Pushes what `compute` gives; a full stack gets the indefinite NaN, or nothing if that is unmasked. */
  push(compute: () => bigint): void {
    let bits: bigint;
    if (!this.empty(7)) {
      this.#stackFault = true;
      this.#stackOverflow = true;
      this.flags |= Flag.IE;
      bits = pack(indefinite(), F80, 0, this);
    } else bits = compute();
    if (!this.settle()) return;
    this.rotate(-1);
    this.setBits(0, bits);
  }

  /**
   * Adds what was raised to the status word. False when an exception forbids that the result be stored, to memory if
   * that is where it goes. C1 becomes 0 unless it tells something, or is kept where an instruction leaves it alone.
   */
  settle(memory = false, keepsC1 = false): boolean {
    const unmasked = ~this.control & 0x3f;
    let flags = this.flags & 0x3f;
    if (this.flags & TINY && unmasked & Flag.UE) flags |= Flag.UE;
    if (this.flags & TINY_EXACT && !(unmasked & Flag.UE)) flags |= Flag.PE;
    if (this.flags & HUGE && !(unmasked & Flag.OE)) flags |= Flag.PE;
    const stopped = (flags & unmasked & BEFORE) !== 0 || (memory && (flags & unmasked & (Flag.OE | Flag.UE)) !== 0);
    if (flags & unmasked & BEFORE) flags &= BEFORE;
    // What can't be stored in memory is not rounded either.
    else if (stopped) flags &= ~Flag.PE;
    let status = (keepsC1 && !this.#stackFault ? this.status : this.status & ~Status.C1) | flags;
    if (this.#stackFault) status |= Status.SF | (this.#stackOverflow ? Status.C1 : 0);
    else if (flags & Flag.PE && this.roundedUp) status |= Status.C1;
    this.status = status;
    this.summarize();
    return !stopped;
  }

  /** The format that results of arithmetic are rounded to, by precision control. */
  get format(): Format {
    return [F80_SINGLE, F80, F80_DOUBLE, F80][(this.control >>> 8) & 3];
  }

  /**
   * Rounds to a register in full precision; under unmasked overflow or underflow the exponent comes back into range
   * instead.
   */
  round(number: Num): bigint {
    const finish = (n: Num) => pack(n, F80, this.rounding, this);
    const before = this.flags;
    const bits = finish(number);
    const unmasked = ~this.control & this.flags & ~before;
    const over = unmasked & Flag.OE;
    const under = ~this.control & Flag.UE && (this.flags & ~before & (Flag.UE | TINY)) !== 0;
    if (!over && !under) return bits;
    this.flags = before;
    const exponent = number.exponent + (over ? -BIAS_ADJUSTMENT : BIAS_ADJUSTMENT);
    const result = finish({ ...number, exponent });
    this.flags |= over ? Flag.OE : Flag.UE;
    return result;
  }

  /** One of `Operation`, rounded to a register. */
  arithmetic(operation: number, a: Num, b: Num): bigint {
    const before = this.flags;
    const bits = operate(operation, a, b, this.format, this);
    const raised = this.flags & ~before;
    const over = raised & Flag.OE & ~this.control;
    const under = (raised & (Flag.UE | TINY)) !== 0 && !(this.control & Flag.UE);
    if (!over && !under) return bits;
    // The same operation on an operand whose exponent brings the result back into range.
    const change = over ? -BIAS_ADJUSTMENT : BIAS_ADJUSTMENT;
    const moved = { ...a, exponent: a.exponent + change };
    const other = operation <= Operation.SUB ? { ...b, exponent: b.exponent + change } : b;
    this.flags = before;
    const result = operate(operation, moved, other, this.format, this);
    this.flags |= over ? Flag.OE : Flag.UE;
    return result;
  }
}

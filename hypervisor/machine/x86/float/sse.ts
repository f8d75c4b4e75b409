// Floating-point arithmetic of SSE and SSE2 on operands in machine memory: results, MXCSR's flags, and whether an unmasked
// exception is to be raised. Intel SDM volume 1, 11.5 and appendix E. The exact way, by arithmetic.ts; the usual case is
// done by sse_fast.ts. Called by the instructions in instructions/sse_float.ts.

import { compare, type Environment, fromInteger, nanOf, Operation, operate, toInteger } from "./arithmetic.ts";
import { F32, Flag, type Format, HUGE, Kind, type Num, pack, Rounding, TINY, TINY_EXACT, unpack } from "./format.ts";

const DAZ = 0x40;
const FTZ = 0x8000;

export class SseUnit implements Environment {
  readonly view: DataView;
  flags = 0;
  roundedUp = false;
  rounding: number = Rounding.NEAREST;
  flushToZero = false;
  readonly x87 = false;
  #mxcsr = 0;
  #daz = false;

  constructor(view: DataView) {
    this.view = view;
  }

  /** Begins an instruction that runs under this MXCSR. */
  begin(mxcsr: number): void {
    this.#mxcsr = mxcsr;
    this.flags = 0;
    this.rounding = (mxcsr >>> 13) & 3;
    this.flushToZero = (mxcsr & FTZ) !== 0 && (mxcsr & 0x800) !== 0;
    this.#daz = (mxcsr & DAZ) !== 0;
  }

  /** MXCSR with what was raised since `begin`. */
  get mxcsr(): number {
    return this.#mxcsr | this.#counted();
  }

  /** Is one of the raised exceptions unmasked? Then nothing but MXCSR may change. */
  get unmasked(): boolean {
    return (this.#counted() & ~(this.#mxcsr >>> 7) & 0x3f) !== 0;
  }

  /**
   * An exact tiny result counts as underflow only while that exception is unmasked; and an unmasked exception of the
   * operands, in any lane, keeps those of the results from being found.
   */
  #counted(): number {
    const tiny = this.flags & TINY && !(this.#mxcsr & 0x800) ? Flag.UE : 0;
    const huge = this.flags & HUGE && this.#mxcsr & 0x400 ? Flag.PE : 0;
    const few = this.flags & TINY_EXACT && this.#mxcsr & 0x800 ? Flag.PE : 0;
    const flags = (this.flags & 0x3f) | tiny | huge | few;
    const before = Flag.IE | Flag.DE | Flag.ZE;
    return flags & before & ~(this.#mxcsr >>> 7) ? flags & before : flags;
  }

  num(bits: bigint, format: Format): Num {
    return unpack(bits, format, this.#daz);
  }

  bits(at: number, format: Format): bigint {
    return format === F32 ? BigInt(this.view.getUint32(at, true)) : this.view.getBigUint64(at, true);
  }

  put(at: number, format: Format, bits: bigint): void {
    if (format === F32) this.view.setUint32(at, Number(bits), true);
    else this.view.setBigUint64(at, bits, true);
  }

  /** One of `Operation` on the numbers at `a` and `b`, as encoded bits. */
  arithmetic(operation: number, format: Format, a: number, b: number): bigint {
    const x = this.num(this.bits(a, format), format);
    const y = this.num(this.bits(b, format), format);
    if (operation === Operation.SQRT) return operate(operation, y, y, format, this);
    return operate(operation, x, y, format, this);
  }

  /** min and max: the second operand unless the first is truly less (or greater). */
  extreme(max: boolean, format: Format, a: number, b: number): bigint {
    const x = this.num(this.bits(a, format), format);
    const y = this.num(this.bits(b, format), format);
    if (x.kind === Kind.NAN || y.kind === Kind.NAN) {
      this.flags |= Flag.IE;
      return y.kind === Kind.ZERO ? pack(y, format, 0, this) : this.bits(b, format);
    }
    this.#denormals(x, y);
    const order = compare(x, y)!;
    const chosen = (max ? order > 0 : order < 0) ? x : y;
    return chosen.kind === Kind.ZERO ? pack(chosen, format, 0, this) : this.bits(chosen === x ? a : b, format);
  }

  /** One of cmpxx's eight predicates. */
  predicate(which: number, format: Format, a: number, b: number): boolean {
    const order = this.order(format, a, b, (which & 3) === 1 || (which & 3) === 2);
    const unordered = order === undefined;
    const holds = [order === 0, order === -1, order === -1 || order === 0, unordered][which & 3];
    return which & 4 ? !holds : holds;
  }

  /** -1, 0, 1 or undefined; IE for a signalling NaN, and for any NaN if `signals`. */
  order(format: Format, a: number, b: number, signals: boolean): number | undefined {
    const x = this.num(this.bits(a, format), format);
    const y = this.num(this.bits(b, format), format);
    if (x.kind === Kind.NAN || y.kind === Kind.NAN) {
      if (signals || x.signalling || y.signalling) this.flags |= Flag.IE;
      return undefined;
    }
    this.#denormals(x, y);
    return compare(x, y);
  }

  #denormals(x: Num, y: Num): void {
    if (x.denormal || y.denormal) this.flags |= Flag.DE;
  }

  /** To a whole number of 32 or 64 bits; the "integer indefinite" when it doesn't fit. */
  integer(format: Format, at: number, bits: 32 | 64, truncate: boolean): bigint {
    const saved = this.rounding;
    if (truncate) this.rounding = Rounding.ZERO;
    const value = toInteger(this.num(this.bits(at, format), format), bits, this);
    this.rounding = saved;
    return BigInt.asUintN(bits, value ?? 1n << BigInt(bits - 1));
  }

  /** From a whole number. */
  fromInteger(value: bigint, format: Format): bigint {
    return pack(fromInteger(value), format, this.rounding, this);
  }

  /** From one format to the other. */
  convert(at: number, from: Format, to: Format): bigint {
    const x = this.num(this.bits(at, from), from);
    const nan = nanOf(x, x, this);
    if (x.denormal) this.flags |= Flag.DE;
    return pack(nan ?? x, to, this.rounding, this, false, this.flushToZero);
  }
}

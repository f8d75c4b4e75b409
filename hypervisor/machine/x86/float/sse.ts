// Floating-point arithmetic of SSE and SSE2 on operands in machine memory: results, MXCSR's flags, and whether an unmasked
// exception is to be raised. Intel SDM volume 1, 11.5 and appendix E. Where operands and result are ordinary numbers, PE
// is set already (it is sticky) and rounding is to nearest, the host's own arithmetic gives the same; anything else goes
// through arithmetic.ts. Called by the instructions in instructions/sse_float.ts.

import { compare, type Environment, fromInteger, nanOf, Operation, operate, toInteger } from "./arithmetic.ts";
import { F32, Flag, type Format, HUGE, Kind, type Num, pack, Rounding, TINY, TINY_EXACT, unpack } from "./format.ts";

const MIN_F32 = 2 ** -126;
const MAX_F32 = 3.4028234663852886e38;
const MIN_F64 = 2 ** -1022;
/** MXCSR: PE set, all exceptions masked, rounding to nearest, no DAZ or FTZ. */
const PLAIN = 0x1fa0;
const PLAIN_MASK = 0xffe0;
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
    if ((this.#mxcsr & PLAIN_MASK) === (PLAIN & PLAIN_MASK)) {
      const fast = format === F32 ? this.#fast32(operation, a, b) : this.#fast64(operation, a, b);
      if (fast) return this.#result(format);
    }
    const x = this.num(this.bits(a, format), format);
    const y = this.num(this.bits(b, format), format);
    if (operation === Operation.SQRT) return operate(operation, y, y, format, this);
    return operate(operation, x, y, format, this);
  }

  readonly #scratch = new DataView(new ArrayBuffer(8));

  #result(format: Format): bigint {
    return format === F32 ? BigInt(this.#scratch.getUint32(0, true)) : this.#scratch.getBigUint64(0, true);
  }

  #fast32(operation: number, a: number, b: number): boolean {
    const y = this.view.getFloat32(b, true);
    const x = operation === Operation.SQRT ? y : this.view.getFloat32(a, true);
    // With twice the precision and two bits more, rounding twice gives what rounding once does.
    const result = Math.fround(host(operation, x, y));
    this.#scratch.setFloat32(0, result, true);
    return ordinary(operation, x, y, result, MIN_F32, MAX_F32);
  }

  #fast64(operation: number, a: number, b: number): boolean {
    const y = this.view.getFloat64(b, true);
    const x = operation === Operation.SQRT ? y : this.view.getFloat64(a, true);
    const result = host(operation, x, y);
    this.#scratch.setFloat64(0, result, true);
    return ordinary(operation, x, y, result, MIN_F64, Number.MAX_VALUE);
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

function host(operation: number, x: number, y: number): number {
  if (operation === Operation.ADD) return x + y;
  if (operation === Operation.SUB) return x - y;
  if (operation === Operation.MUL) return x * y;
  if (operation === Operation.DIV) return x / y;
  return Math.sqrt(y);
}

/** Are operands and result such that nothing but PE can have been raised? A NaN fails every comparison. */
function ordinary(operation: number, x: number, y: number, result: number, min: number, max: number): boolean {
  const fine = (value: number) => {
    const magnitude = Math.abs(value);
    return magnitude >= min && magnitude <= max;
  };
  if (!((fine(x) || x === 0) && (fine(y) || y === 0))) return false;
  // The least normal number may be one that was rounded up from below: a tiny one.
  if (Math.abs(result) > min && Math.abs(result) <= max) return true;
  if (result !== 0) return false;
  return operation <= Operation.SUB || x === 0 || (operation === Operation.MUL && y === 0);
}

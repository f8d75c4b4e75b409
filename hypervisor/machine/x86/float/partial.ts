// x87 instructions that take numbers apart: fprem and fprem1 (partial remainder), fscale, fxtract. Intel SDM volume 2.
// Called by instructions/x87.ts.

import { fromInteger, nanOf } from "./arithmetic.ts";
import { bitLength, F80, Flag, finite, indefinite, infinity, Kind, type Num, pack, zero } from "./format.ts";
import { Status, type X87Unit } from "./x87.ts";

function invalid(unit: X87Unit): bigint {
  unit.flags |= Flag.IE;
  return pack(indefinite(), F80, 0, unit);
}

/** Exponent of the leading bit. */
const magnitude = (n: Num): number => n.exponent + bitLength(n.significand) - 1;

/**
 * Remainder of a by b, quotient rounded towards zero or to nearest. When the quotient has more than 63 bits only part of it
 * is taken off, and C2 says so; else C0, C3, C1 are its last three bits.
 */
export function remainder(unit: X87Unit, a: Num, b: Num, nearest: boolean): { bits: bigint; codes?: number } {
  const special = nanOf(a, b, unit);
  if (special) return { bits: pack(special, F80, 0, unit) };
  if (a.kind === Kind.INFINITE || b.kind === Kind.ZERO) return { bits: invalid(unit) };
  if (a.denormal || b.denormal) unit.flags |= Flag.DE;
  const asIs = () => unit.round(a);
  if (a.kind === Kind.ZERO || b.kind === Kind.INFINITE) return { bits: asIs(), codes: 0 };
  const distance = magnitude(a) - magnitude(b);
  if (distance < (nearest ? -1 : 0)) return { bits: asIs(), codes: 0 };
  if (distance >= 64) {
    // So much of the quotient that at least 32 bits are taken off.
    const taken = 32 + (distance % 32);
    const divisor = { ...b, exponent: b.exponent + distance - taken };
    const { rest } = divide(a, divisor, false);
    return { bits: unit.round(rest), codes: Status.C2 };
  }
  const { quotient, rest } = divide(a, b, nearest);
  const bit = (n: bigint, code: number) => (quotient & n ? code : 0);
  const codes = bit(4n, Status.C0) | bit(2n, Status.C3) | bit(1n, Status.C1);
  return { bits: unit.round(rest), codes };
}

/** Quotient of the magnitudes, and a minus that many times b; a rest of 0 keeps a's sign. */
function divide(a: Num, b: Num, nearest: boolean): { quotient: bigint; rest: Num } {
  const exponent = Math.min(a.exponent, b.exponent);
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(b.exponent - exponent);
  let quotient = x / y;
  let rest = x % y;
  let negative = a.negative;
  if (nearest && (rest * 2n > y || (rest * 2n === y && quotient & 1n))) {
    quotient += 1n;
    rest = y - rest;
    negative = !negative;
  }
  return { quotient, rest: rest === 0n ? zero(a.negative) : finite(negative, rest, exponent) };
}

/** a times 2 to the power of b's whole part. */
export function scale(unit: X87Unit, a: Num, b: Num): bigint {
  const special = nanOf(a, b, unit);
  if (special) return pack(special, F80, 0, unit);
  if (b.kind === Kind.INFINITE) {
    if (a.kind === Kind.ZERO && !b.negative) return invalid(unit);
    if (a.kind === Kind.INFINITE && b.negative) return invalid(unit);
    if (a.denormal) unit.flags |= Flag.DE;
    return pack(b.negative ? zero(a.negative) : infinity(a.negative), F80, 0, unit);
  }
  if (a.denormal || b.denormal) unit.flags |= Flag.DE;
  if (a.kind !== Kind.FINITE || b.kind === Kind.ZERO) return pack(a, F80, 0, unit);
  // Beyond this every result overflows or underflows alike.
  const limit = 0x20000;
  const size = magnitude(b);
  let by = 0;
  if (size >= 17) by = limit;
  else if (size >= 0)
    by = Number(b.exponent >= 0 ? b.significand << BigInt(b.exponent) : b.significand >> BigInt(-b.exponent));
  return unit.round({ ...a, exponent: a.exponent + (b.negative ? -by : by) });
}

/** ST(0) becomes its exponent, and its significand is pushed. */
export function extract(unit: X87Unit): void {
  if (unit.underflow(0)) {
    const bits = pack(indefinite(), F80, 0, unit);
    if (!unit.settle()) return;
    unit.setBits(0, bits);
    unit.rotate(-1);
    unit.setBits(0, bits);
    return;
  }
  if (!unit.empty(7)) {
    // A full stack: both become the indefinite NaN.
    const bits = pack(indefinite(), F80, 0, unit);
    const { top } = unit;
    unit.push(() => bits);
    if (unit.top !== top) unit.setBits(1, bits);
    return;
  }
  const a = unit.num(0);
  const special = nanOf(a, a, unit);
  let exponent: Num;
  let significand: Num = a;
  if (special) {
    exponent = special;
    significand = special;
  } else if (a.kind === Kind.ZERO) {
    unit.flags |= Flag.ZE;
    exponent = infinity(true);
  } else if (a.kind === Kind.INFINITE) exponent = infinity(false);
  else {
    if (a.denormal) unit.flags |= Flag.DE;
    exponent = fromInteger(BigInt(magnitude(a)));
    significand = finite(a.negative, a.significand, 1 - bitLength(a.significand));
  }
  const bits = pack(exponent, F80, 0, unit);
  const pushed = pack(significand, F80, 0, unit);
  if (!unit.settle()) return;
  unit.setBits(0, bits);
  unit.rotate(-1);
  unit.setBits(0, pushed);
}

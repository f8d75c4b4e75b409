// The x87's transcendental instructions and its packed decimal numbers: special operands, exceptions and what becomes of
// the stack. The numbers come from float/transcendental.ts. Intel SDM volume 2. Outside the range for which the manual
// defines a result, f2xm1 leaves its operand as it is, and so does fyl2xp1 where there is no logarithm; AMD's do the same.

import type { Description } from "../describe.ts";
import { fromInteger, nanOf, toInteger } from "../float/arithmetic.ts";
import { F80, Flag, finite, indefinite, infinity, Kind, type Num, pack, zero } from "../float/format.ts";
import {
  arctangent,
  log2,
  log2Plus1,
  magnitude,
  piQuarters,
  power2Minus1,
  product,
  reduce,
  sine,
  tangent,
} from "../float/transcendental.ts";
import { Status, type X87Unit } from "../float/x87.ts";
import { nan, put, x87 } from "./x87.ts";

/** Angles from 2 to the power of this up are refused: C2. */
const ANGLE_LIMIT = 63;
const one = finite(false, 1n, 0);

function invalid(unit: X87Unit): Num {
  unit.flags |= Flag.IE;
  return indefinite();
}

/** An angle to one or two numbers; the second is pushed. */
function angle(name: string, form: string, compute: (x: Num) => readonly Num[], second: boolean): Description {
  return x87(name, [form], ({ unit }) => {
    if (second && !unit.underflow(0) && !unit.empty(7)) {
      // A full stack: both become the indefinite NaN.
      const { top } = unit;
      const bits = pack(indefinite(), F80, 0, unit);
      unit.push(() => bits);
      if (unit.top !== top) unit.setBits(1, bits);
      unit.status &= ~Status.C2;
      return;
    }
    let results: bigint[];
    if (unit.underflow(0)) results = [nan(unit), nan(unit)];
    else {
      const x = unit.num(0);
      const special = nanOf(x, x, unit) ?? (x.kind === Kind.INFINITE ? invalid(unit) : undefined);
      if (special) results = [pack(special, F80, 0, unit), pack(special, F80, 0, unit)];
      else if (x.kind === Kind.FINITE && magnitude(x) >= ANGLE_LIMIT) {
        unit.status = (unit.status & ~Status.C1) | Status.C2;
        return;
      } else {
        if (x.denormal) unit.flags |= Flag.DE;
        results = compute(x).map((result) => unit.round(result));
      }
    }
    unit.status &= ~Status.C2;
    if (!unit.settle()) return;
    unit.setBits(0, results[0]);
    if (!second) return;
    unit.rotate(-1);
    unit.setBits(0, results[1]);
  });
}

const sineOf = (x: Num): Num => (x.kind === Kind.ZERO ? x : sine(reduce(x), 0));
const cosineOf = (x: Num): Num => (x.kind === Kind.ZERO ? one : sine(reduce(x), 1));

/** ST(1) := f(ST(1), ST(0)), and a pop. */
function binary(name: string, form: string, compute: (unit: X87Unit, y: Num, x: Num) => Num): Description {
  return x87(name, [form], ({ unit }) => {
    let bits: bigint;
    if (unit.underflow(0, 1)) bits = nan(unit);
    else {
      const [x, y] = [unit.num(0), unit.num(1)];
      const special = nanOf(y, x, unit);
      if (special) bits = pack(special, F80, 0, unit);
      else {
        const before = unit.flags;
        const result = compute(unit, y, x);
        if ((unit.flags & ~Flag.PE) === before && (x.denormal || y.denormal)) unit.flags |= Flag.DE;
        bits = result.kind === Kind.FINITE ? unit.round(result) : pack(result, F80, 0, unit);
      }
    }
    if (!unit.settle()) return;
    unit.setBits(1, bits);
    unit.pop();
  });
}

function patan(_unit: X87Unit, y: Num, x: Num): Num {
  const { negative } = y;
  if (y.kind === Kind.INFINITE) {
    if (x.kind !== Kind.INFINITE) return piQuarters(2, negative);
    return piQuarters(x.negative ? 3 : 1, negative);
  }
  if (x.kind === Kind.INFINITE || y.kind === Kind.ZERO) return x.negative ? piQuarters(4, negative) : zero(negative);
  if (x.kind === Kind.ZERO) return piQuarters(2, negative);
  return arctangent(y, x);
}

/** y times a logarithm, given what that is: a number, a zero of a sign, or an infinity. */
function timesLogarithm(unit: X87Unit, y: Num, logarithm: Num): Num {
  const negative = y.negative !== logarithm.negative;
  const kinds = [y.kind, logarithm.kind];
  if (kinds.includes(Kind.INFINITE)) return kinds.includes(Kind.ZERO) ? invalid(unit) : infinity(negative);
  if (kinds.includes(Kind.ZERO)) return zero(negative);
  return product(y, logarithm);
}

function yLog2(unit: X87Unit, y: Num, x: Num): Num {
  if (x.kind === Kind.ZERO) {
    if (y.kind === Kind.FINITE) unit.flags |= Flag.ZE;
    return timesLogarithm(unit, y, infinity(true));
  }
  if (x.negative) return invalid(unit);
  return timesLogarithm(unit, y, x.kind === Kind.INFINITE ? x : log2(x));
}

function yLog2Plus1(unit: X87Unit, y: Num, x: Num): Num {
  if (x.kind === Kind.ZERO) return timesLogarithm(unit, y, x);
  if (x.kind === Kind.INFINITE) return x.negative ? invalid(unit) : timesLogarithm(unit, y, x);
  if (magnitude(x) < -1) return timesLogarithm(unit, y, log2Plus1(x));
  // 1 + x itself, as far as digits of both can matter.
  const exponent = Math.max(Math.min(x.exponent, 0), -128);
  const units = 1n << BigInt(-exponent);
  const shift = x.exponent - exponent;
  const size = shift >= 0 ? x.significand << BigInt(shift) : x.significand >> BigInt(-shift);
  const sum = x.negative ? units - size : units + size;
  if (sum <= 0n) {
    if (y.kind === Kind.ZERO) return zero(false);
    unit.flags |= Flag.PE;
    return x;
  }
  return timesLogarithm(unit, y, log2(finite(false, sum, exponent)));
}

const DIGITS = 18;
const DECIMAL_INDEFINITE = 0xffffc000000000000000n;

export const fpuFunctions: readonly Description[] = [
  angle("fsin", "d9!fe", (x) => [sineOf(x)], false),
  angle("fcos", "d9!ff", (x) => [cosineOf(x)], false),
  angle("fsincos", "d9!fb", (x) => [sineOf(x), cosineOf(x)], true),
  angle("fptan", "d9!f2", (x) => [x.kind === Kind.ZERO ? x : tangent(reduce(x)), one], true),
  binary("fpatan", "d9!f3", patan),
  binary("fyl2x", "d9!f1", yLog2),
  binary("fyl2xp1", "d9!f9", yLog2Plus1),
  x87("f2xm1", ["d9!f0"], ({ unit }) => {
    let bits: bigint;
    if (unit.underflow(0)) bits = nan(unit);
    else {
      const x = unit.num(0);
      const special = nanOf(x, x, unit);
      if (special) bits = pack(special, F80, 0, unit);
      else if (x.kind === Kind.INFINITE) bits = pack(x.negative ? finite(true, 1n, 0) : x, F80, 0, unit);
      else {
        if (x.denormal) unit.flags |= Flag.DE;
        const size = x.kind === Kind.ZERO ? -Infinity : magnitude(x);
        const whole = size === 0 && x.significand === 1n << BigInt(-x.exponent);
        let result = x;
        if (whole) result = x.negative ? finite(true, 1n, -1) : one;
        else if (x.kind === Kind.FINITE && size < 0) result = power2Minus1(x);
        bits = result.kind === Kind.FINITE ? unit.round(result) : pack(result, F80, 0, unit);
        if (result === x && x.kind === Kind.FINITE) unit.flags |= Flag.PE;
      }
    }
    if (unit.settle()) unit.setBits(0, bits);
  }),

  x87("fbld", ["df/4 M"], ({ unit, read }) => {
    const view = read(10);
    if (!view) return false;
    let value = 0n;
    for (let at = 8; at >= 0; at--) {
      const byte = view.getUint8(at);
      value = value * 100n + BigInt((byte >>> 4) * 10 + (byte & 15));
    }
    const negative = (view.getUint8(9) & 0x80) !== 0;
    const number = value === 0n ? zero(negative) : fromInteger(negative ? -value : value);
    unit.push(() => pack(number, F80, 0, unit));
  }),
  x87("fbstp", ["df/6 M"], (work) => {
    const { unit } = work;
    let bits = DECIMAL_INDEFINITE;
    if (!unit.underflow(0)) {
      const x = unit.num(0);
      const before = unit.flags;
      const value = toInteger(x, 64, unit);
      if (value !== undefined && (value < 0n ? -value : value) < 10n ** BigInt(DIGITS)) {
        let rest = value < 0n ? -value : value;
        bits = x.negative ? 1n << 79n : 0n;
        for (let digit = 0n; digit < DIGITS; digit++) {
          bits |= (rest % 10n) << (digit * 4n);
          rest /= 10n;
        }
      } else unit.flags = before | Flag.IE;
    }
    return put(work, bits, 10, true);
  }),
];

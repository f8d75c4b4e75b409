// The x87's transcendental functions: sine, cosine, tangent, arctangent, logarithms and powers of 2 (Intel SDM volume 1, 8.3.5
// and 8.3.8, volume 2). Called by instructions/x87_functions.ts. Computed in whole numbers to over 130 significant bits and
// rounded once, so a result is right to half a unit of the last place where real processors are off by up to one: their
// last bits may differ. Angles are reduced by the 66-bit pi that Intel documents.

import { bitLength, finite, type Num, zero } from "./format.ts";

/** Bits behind the point of fixed-point numbers; more where a result is small. */
const BASE = 140;
/** Below 2 to the power of this a function is its series' first term, and a trace of the second for the rounding. */
const SMALL = -70;
const ONE = 1n;

/** pi of 66 bits, C90FDAA22168C234C in units of 2^-66 (the significand 0.C90F... times 4). */
const PI_66 = 0xc90fdaa22168c234cn;
const PI_66_BITS = 66;

export const magnitude = (n: Num): number => n.exponent + bitLength(n.significand) - 1;

function fixed(n: Num, bits: number): bigint {
  const shift = n.exponent + bits;
  const value = shift >= 0 ? n.significand << BigInt(shift) : n.significand >> BigInt(-shift);
  return n.negative ? -value : value;
}
function fromFixed(value: bigint, bits: number): Num {
  return value === 0n ? zero(false) : finite(value < 0n, value < 0n ? -value : value, -bits);
}

/** x times a little less (-1) or more (1) than 1. */
function nearly(x: Num, towards: 1 | -1): Num {
  const shift = 80;
  return finite(x.negative, (x.significand << BigInt(shift)) + BigInt(towards), x.exponent - shift);
}

/** atanh(z) or atan(z) by series; |z| below 1/2. */
function inverseTangent(z: bigint, bits: number, hyperbolic: boolean): bigint {
  const b = BigInt(bits);
  const square = (z * z) >> b;
  let power = z;
  let sum = z;
  for (let n = 3n; power !== 0n && power !== -ONE; n += 2n) {
    power = (power * square) >> b;
    if (!hyperbolic) power = -power;
    sum += power / n;
  }
  return sum;
}

const cache = new Map<string, bigint>();
function constant(name: string, bits: number, compute: () => bigint): bigint {
  const key = `${name}${bits}`;
  let value = cache.get(key);
  if (value === undefined) {
    value = compute();
    if (cache.size > 400) cache.clear();
    cache.set(key, value);
  }
  return value;
}
/** 2 atanh(1/3). */
const ln2 = (bits: number): bigint =>
  constant("ln2", bits, () => 2n * (inverseTangent((ONE << BigInt(bits + 16)) / 3n, bits + 16, true) >> 16n));
/** Machin's formula. */
const pi = (bits: number): bigint =>
  constant("pi", bits, () => {
    const one = ONE << BigInt(bits + 16);
    const quarter = 4n * inverseTangent(one / 5n, bits + 16, false) - inverseTangent(one / 239n, bits + 16, false);
    return (4n * quarter) >> 16n;
  });

// ---- Sine, cosine, tangent --------------------------------------------------------------------------------------

export interface Reduced {
  /** Which quarter of the circle, 0 to 3, the angle was brought from. */
  readonly quarter: number;
  /** What is left, between -pi/4 and pi/4. */
  readonly rest: Num;
}

/** Brings an angle below 2^63 to the quarter around 0. */
export function reduce(x: Num): Reduced {
  if (magnitude(x) < -1) return { quarter: 0, rest: x };
  // In units of 2^-bits; half pi is PI_66 of 2^-(66 + 1).
  const bits = Math.max(-x.exponent, PI_66_BITS + 1);
  const half = PI_66 << BigInt(bits - PI_66_BITS - 1);
  const value = x.significand << BigInt(x.exponent + bits);
  const quotient = (2n * value + half) / (2n * half);
  const rest = value - quotient * half;
  const quarter = Number(quotient & 3n);
  const signed = x.negative ? -rest : rest;
  return { quarter: x.negative ? (4 - quarter) & 3 : quarter, rest: fromFixed(signed, bits) };
}

/** Sine and cosine of what `reduce` left; fixed point. */
function circle(rest: Num): { sine: bigint; cosine: bigint; bits: number } {
  const bits = BASE + Math.max(0, -magnitude(rest));
  const b = BigInt(bits);
  const x = fixed(rest, bits);
  const square = (x * x) >> b;
  let sine = x;
  let term = x;
  for (let n = 2n; term !== 0n && term !== -ONE; n += 2n) {
    term = -((term * square) >> b) / (n * (n + 1n));
    sine += term;
  }
  let cosine = ONE << b;
  term = cosine;
  for (let n = 1n; term !== 0n && term !== -ONE; n += 2n) {
    term = -((term * square) >> b) / (n * (n + 1n));
    cosine += term;
  }
  return { sine, cosine, bits };
}

/** `quarters` 0 for the sine, 1 for the cosine. */
export function sine({ quarter, rest }: Reduced, quarters: 0 | 1): Num {
  const turn = (quarter + quarters) & 3;
  const negated = (n: Num): Num => (turn >= 2 ? { ...n, negative: !n.negative } : n);
  const cosine = (turn & 1) === 1;
  if (magnitude(rest) < SMALL) return negated(cosine ? nearly(finite(false, ONE, 0), -1) : nearly(rest, -1));
  const both = circle(rest);
  return negated(fromFixed(cosine ? both.cosine : both.sine, both.bits));
}

export function tangent({ quarter, rest }: Reduced): Num {
  const turned = (quarter & 1) === 1;
  if (magnitude(rest) < SMALL && !turned) return nearly(rest, 1);
  const { sine: s, cosine: c, bits } = circle(rest);
  const [over, under] = turned ? [-c, s] : [s, c];
  const extra = bits + BASE;
  return fromFixed((over << BigInt(extra)) / under, extra);
}

// ---- Arctangent ---------------------------------------------------------------------------------------------------

/** Angle of (x, y), both finite and not zero, between -pi and pi. */
export function arctangent(y: Num, x: Num): Num {
  const distance = magnitude(y) - magnitude(x);
  const upright = (n: Num): Num => ({ ...n, negative: y.negative });
  if (distance < SMALL && !x.negative) {
    // The quotient itself, a little less.
    const shift = 160;
    const quotient = (y.significand << BigInt(shift)) / x.significand;
    return finite(y.negative, (quotient << 8n) - (ONE << 4n), y.exponent - x.exponent - shift - 8);
  }
  const bits = BASE + Math.max(0, -distance, distance) + 8;
  // Differences of such size are lost against pi, but not their direction.
  const capped = Math.min(bits, BASE + 160);
  const b = BigInt(capped);
  const steep = distance > 0 || (distance === 0 && compareMagnitudes(y, x) > 0);
  const [small, large] = steep ? [x, y] : [y, x];
  let z = ratio(small, large, capped);
  if (z === 0n) z = ONE;
  let angle: bigint;
  if (z * 5n > ONE << (b + 1n)) {
    // atan z = pi/4 - atan((1 - z) / (1 + z)).
    const one = ONE << b;
    angle = pi(capped) / 4n - inverseTangent(((one - z) << b) / (one + z), capped, false);
  } else angle = inverseTangent(z, capped, false);
  if (steep) angle = x.negative ? pi(capped) / 2n + angle : pi(capped) / 2n - angle;
  else if (x.negative) angle = pi(capped) - angle;
  return upright(fromFixed(angle, capped));
}

function ratio(over: Num, under: Num, bits: number): bigint {
  const shift = over.exponent - under.exponent + bits;
  if (shift >= 0) return (over.significand << BigInt(shift)) / under.significand;
  return shift < -400 ? 0n : (over.significand >> BigInt(-shift)) / under.significand;
}
function compareMagnitudes(a: Num, b: Num): number {
  const exponent = Math.min(a.exponent, b.exponent);
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(b.exponent - exponent);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** pi times a fraction in quarters (1 to 4), with a sign: the arctangents of axes and infinities. */
export function piQuarters(quarters: number, negative: boolean): Num {
  return { ...fromFixed((pi(BASE) * BigInt(quarters)) / 4n, BASE), negative };
}

// ---- Logarithms and powers ----------------------------------------------------------------------------------------

/** log2 of a positive finite number; exact when it is a whole number. */
export function log2(x: Num): Num {
  const length = bitLength(x.significand);
  let whole = x.exponent + length - 1;
  if (x.significand === ONE << BigInt(length - 1)) {
    return finite(whole < 0, BigInt(Math.abs(whole)), 0);
  }
  // A significand between 1/sqrt 2 and sqrt 2, and so a logarithm that isn't the difference of two large parts.
  const bits = BASE + 70;
  let m = x.significand << BigInt(bits - length + 1);
  if (m * m > ONE << BigInt(2 * bits + 1)) {
    m >>= 1n;
    whole++;
  }
  return fromFixed((BigInt(whole) << BigInt(bits)) + log2Near(m, bits), bits);
}

/** log2(1 + x), |x| below 1/2; not zero. */
export function log2Plus1(x: Num): Num {
  if (magnitude(x) < SMALL) {
    // x / ln 2, a little less for positive x and more for negative.
    const quotient = (x.significand << BigInt(2 * BASE)) / ln2(BASE);
    return nearly(finite(x.negative, quotient, x.exponent - BASE), x.negative ? 1 : -1);
  }
  const bits = BASE + 140;
  return fromFixed(log2Near((ONE << BigInt(bits)) + fixed(x, bits), bits), bits);
}

function log2Near(m: bigint, bits: number): bigint {
  const b = BigInt(bits);
  const one = ONE << b;
  const z = ((m - one) << b) / (m + one);
  return ((2n * inverseTangent(z, bits, true)) << b) / ln2(bits);
}

/** 2^x - 1, |x| at most 1; not zero. */
export function power2Minus1(x: Num): Num {
  if (magnitude(x) < SMALL) {
    const product = finite(x.negative, x.significand * ln2(BASE), x.exponent - BASE);
    return nearly(product, x.negative ? -1 : 1);
  }
  const bits = BASE + 80;
  const b = BigInt(bits);
  const t = (fixed(x, bits) * ln2(bits)) >> b;
  let term = t;
  let sum = t;
  for (let n = 2n; term !== 0n && term !== -ONE; n++) {
    term = ((term * t) >> b) / n;
    sum += term;
  }
  return fromFixed(sum, bits);
}

/** a times b. */
export function product(a: Num, b: Num): Num {
  return finite(a.negative !== b.negative, a.significand * b.significand, a.exponent + b.exponent);
}

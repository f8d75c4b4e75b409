// Exact arithmetic on unpacked numbers, one rounding at the end: the operations of the x87 and SSE units, with the
// exceptions that each raises and the NaN that each gives (Intel SDM volume 1, 4.8.3.5 and 8.5, 11.5). Called by the x87
// instructions always, by the SSE ones whenever the host's own arithmetic could differ. The two units choose between two
// NaNs differently, so that a caller says which it is.

import {
  bitLength,
  Flag,
  type Format,
  finite,
  indefinite,
  infinity,
  Kind,
  type Num,
  pack,
  quieted,
  type Raised,
  roundTo,
  zero,
} from "./format.ts";

export const Operation = { ADD: 0, SUB: 1, MUL: 2, DIV: 3, SQRT: 4 } as const;

export interface Environment extends Raised {
  rounding: number;
  /** MXCSR.FTZ while underflow is masked. */
  flushToZero: boolean;
  /** x87: of two NaNs the one with the larger significand; SSE: the first. */
  x87: boolean;
}

/** Rounds the result of an operation into a format. For SQRT, `b` is not looked at. */
export function operate(operation: number, a: Num, b: Num, format: Format, env: Environment): bigint {
  const zeroDivides = env.flags & Flag.ZE;
  env.flags &= ~Flag.ZE;
  const special = nanOf(a, operation === Operation.SQRT ? a : b, env);
  if (special) {
    env.flags |= zeroDivides;
    return pack(special, format, env.rounding, env);
  }
  let result: Num;
  let sticky = false;
  switch (operation) {
    case Operation.ADD:
      result = add(a, b, env);
      break;
    case Operation.SUB:
      result = add(a, { ...b, negative: !b.negative }, env);
      break;
    case Operation.MUL:
      result = multiply(a, b, env);
      break;
    case Operation.DIV:
      ({ result, sticky } = divide(a, b, format, env));
      break;
    default:
      ({ result, sticky } = squareRoot(a, format, env));
  }
  const invalid = result.kind === Kind.NAN;
  const unary = operation === Operation.SQRT;
  const byZero = (env.flags & Flag.ZE) !== 0;
  env.flags |= zeroDivides;
  if (!invalid && !byZero && (a.denormal || (!unary && b.denormal))) env.flags |= Flag.DE;
  return pack(result, format, env.rounding, env, sticky, env.flushToZero);
}

/** The NaN that operands give, if one is a NaN; raises IE for a signalling one. */
export function nanOf(a: Num, b: Num, env: Environment): Num | undefined {
  const aNan = a.kind === Kind.NAN;
  const bNan = b.kind === Kind.NAN;
  if (!aNan && !bNan) return undefined;
  if ((aNan && a.signalling) || (bNan && b.signalling)) env.flags |= Flag.IE;
  if (a.unsupported || b.unsupported) return indefinite();
  if (!aNan) return quieted(b);
  if (!bNan) return quieted(a);
  if (!env.x87) return quieted(a);
  // x87 (table 4-7): a quiet NaN wins over a signalling one, else the larger significand, else the positive one.
  if (a.signalling !== b.signalling) return quieted(a.signalling ? b : a);
  if (a.significand !== b.significand) return quieted(a.significand > b.significand ? a : b);
  return quieted(a.negative ? b : a);
}

function invalid(env: Environment): Num {
  env.flags |= Flag.IE;
  return indefinite();
}

function add(a: Num, b: Num, env: Environment): Num {
  if (a.kind === Kind.INFINITE || b.kind === Kind.INFINITE) {
    if (a.kind === b.kind && a.negative !== b.negative) return invalid(env);
    return a.kind === Kind.INFINITE ? a : b;
  }
  const signed = ({ negative, significand }: Num) => (negative ? -significand : significand);
  const exponent = Math.min(
    a.kind === Kind.ZERO ? b.exponent : a.exponent,
    b.kind === Kind.ZERO ? a.exponent : b.exponent,
  );
  const shifted = (n: Num) => (n.kind === Kind.ZERO ? 0n : signed(n) << BigInt(n.exponent - exponent));
  const sum = shifted(a) + shifted(b);
  if (sum !== 0n) return finite(sum < 0n, sum < 0n ? -sum : sum, exponent);
  // Zeros of one sign keep it; otherwise the sum is negative only when rounding down.
  if (a.kind === Kind.ZERO && b.kind === Kind.ZERO && a.negative === b.negative) return zero(a.negative);
  return zero(env.rounding === 1);
}

function multiply(a: Num, b: Num, env: Environment): Num {
  const negative = a.negative !== b.negative;
  if (a.kind === Kind.INFINITE || b.kind === Kind.INFINITE) {
    return a.kind === Kind.ZERO || b.kind === Kind.ZERO ? invalid(env) : infinity(negative);
  }
  return finite(negative, a.significand * b.significand, a.exponent + b.exponent);
}

function divide(a: Num, b: Num, format: Format, env: Environment): { result: Num; sticky: boolean } {
  const negative = a.negative !== b.negative;
  const exactly = (result: Num) => ({ result, sticky: false });
  if (a.kind === Kind.INFINITE) return exactly(b.kind === Kind.INFINITE ? invalid(env) : infinity(negative));
  if (b.kind === Kind.INFINITE) return exactly(zero(negative));
  if (b.kind === Kind.ZERO) {
    if (a.kind === Kind.ZERO) return exactly(invalid(env));
    env.flags |= Flag.ZE;
    return exactly(infinity(negative));
  }
  if (a.kind === Kind.ZERO) return exactly(zero(negative));
  // Two bits more than the format has, so that what the remainder adds is less than half a unit.
  const shift = Math.max(0, format.precision + 3 + bitLength(b.significand) - bitLength(a.significand));
  const dividend = a.significand << BigInt(shift);
  const result = finite(negative, dividend / b.significand, a.exponent - b.exponent - shift);
  return { result, sticky: dividend % b.significand !== 0n };
}

function squareRoot(a: Num, format: Format, env: Environment): { result: Num; sticky: boolean } {
  if (a.kind === Kind.ZERO) return { result: a, sticky: false };
  if (a.negative) return { result: invalid(env), sticky: false };
  if (a.kind === Kind.INFINITE) return { result: a, sticky: false };
  let shift = Math.max(0, 2 * format.precision + 6 - bitLength(a.significand));
  if ((a.exponent - shift) & 1) shift++;
  const radicand = a.significand << BigInt(shift);
  const root = integerRoot(radicand);
  return { result: finite(false, root, (a.exponent - shift) / 2), sticky: root * root !== radicand };
}

/** Floor of the square root, by Newton's iteration from above. */
function integerRoot(value: bigint): bigint {
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** How two numbers compare: -1, 0, 1, or undefined when unordered. */
export function compare(a: Num, b: Num): number | undefined {
  if (a.kind === Kind.NAN || b.kind === Kind.NAN) return undefined;
  const rank = (n: Num) => (n.kind === Kind.ZERO ? 0 : n.negative ? -1 : 1);
  if (rank(a) !== rank(b)) return rank(a) < rank(b) ? -1 : 1;
  const sign = rank(a);
  if (sign === 0) return 0;
  if (a.kind === Kind.INFINITE || b.kind === Kind.INFINITE) {
    if (a.kind === b.kind) return 0;
    return a.kind === Kind.INFINITE ? sign : -sign;
  }
  const exponent = Math.min(a.exponent, b.exponent);
  const x = a.significand << BigInt(a.exponent - exponent);
  const y = b.significand << BigInt(b.exponent - exponent);
  return x === y ? 0 : x < y ? -sign : sign;
}

/** A whole number of `bits` bits, or undefined (and IE) when it does not fit; raises PE when it is not exact. */
export function toInteger(a: Num, bits: number, env: Environment): bigint | undefined {
  if (a.kind === Kind.ZERO) return 0n;
  // Far too large a number is refused before it is shifted to its full length.
  if (a.kind === Kind.FINITE && a.exponent + bitLength(a.significand) <= bits + 1) {
    const { value, inexact, up } = roundTo(a, 0, env.rounding, false);
    const signed = a.negative ? -value : value;
    if (signed === BigInt.asIntN(bits, signed)) {
      if (inexact) env.flags |= Flag.PE;
      env.roundedUp = up;
      return signed;
    }
  }
  env.flags |= Flag.IE;
  return undefined;
}

/** A whole number as a number. */
export function fromInteger(value: bigint): Num {
  return value < 0n ? finite(true, -value, 0) : finite(false, value, 0);
}

/** Rounds to a whole number in the number's own format. */
export function roundToInteger(a: Num, env: Environment): Num {
  if (a.kind !== Kind.FINITE || a.exponent >= 0) return a;
  const { value, inexact, up } = roundTo(a, 0, env.rounding, false);
  if (inexact) env.flags |= Flag.PE;
  env.roundedUp = up;
  return finite(a.negative, value, 0);
}

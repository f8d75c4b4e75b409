// DEFLATE (RFC 1951), decoding. Called by gzip.ts. Our own because it must be synchronous, run without Node, and stop at
// a bound: DecompressionStream is asynchronous, node:zlib isn't in a browser, and a dependency for 150 lines is too much.
//
// Codes of up to FAST_BITS bits are looked up in one step; the rare longer ones are decoded bit by bit from counts.

import { ImageError } from "./error.ts";
import type { Output } from "./output.ts";

const FAST_BITS = 10;
const MAX_BITS = 15;
const MAX_MATCH = 258;
/** Output is made room for in steps of this size, so that the inner loop asks seldom. */
const STEP = 1 << 16;

// biome-ignore format: a table
const LENGTH_BASE = new Uint16Array([3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
  131, 163, 195, 227, 258]);
// biome-ignore format: a table
const LENGTH_EXTRA = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]);
// biome-ignore format: a table
const DISTANCE_BASE = new Uint16Array([1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025,
  1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577]);
// biome-ignore format: a table
const DISTANCE_EXTRA = new Uint8Array([0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12,
  12, 13, 13]);
/** In this order a dynamic block gives the lengths of the codes that its code lengths are written in. */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const corrupt = (what: string) => new ImageError(`is corrupt: ${what} of the deflate data`);
const truncated = () => new ImageError("is truncated: the deflate data ends too soon");

/** A prefix code. */
class Code {
  /** By the next FAST_BITS bits: symbol << 4 | length, or 0 when the code is longer or unassigned. */
  readonly fast = new Uint16Array(1 << FAST_BITS);
  readonly counts = new Uint16Array(MAX_BITS + 1);
  readonly symbols = new Uint16Array(288);

  /**
   * Sets the code from its lengths. `lone` allows an incomplete code of one symbol (or none), which encoders write for
   * distances. Throws ImageError when more codes are given than there are.
   */
  set(lengths: Uint8Array, lone: boolean): void {
    const { counts, symbols, fast } = this;
    counts.fill(0);
    fast.fill(0);
    for (const length of lengths) counts[length]++;
    const used = lengths.length - counts[0];
    counts[0] = 0;
    let left = 1;
    const next = new Uint16Array(MAX_BITS + 2);
    const codes = new Uint16Array(MAX_BITS + 2);
    for (let length = 1; length <= MAX_BITS; length++) {
      left = left * 2 - counts[length];
      if (left < 0) throw corrupt("a code");
      next[length + 1] = next[length] + counts[length];
      codes[length + 1] = (codes[length] + counts[length]) << 1;
    }
    if (left > 0 && !(lone && used <= 1)) throw corrupt("a code");
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      const length = lengths[symbol];
      if (length === 0) continue;
      symbols[next[length]++] = symbol;
      const code = codes[length]++;
      if (length > FAST_BITS) continue;
      let reversed = 0;
      for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
      for (let i = reversed; i < fast.length; i += 1 << length) fast[i] = (symbol << 4) | length;
    }
  }
}

const fixedLiterals = new Code();
const fixedDistances = new Code();
fixedLiterals.set(
  new Uint8Array(288).map((_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)),
  false,
);
fixedDistances.set(new Uint8Array(32).fill(5), false);

export class Inflater {
  private readonly input: Uint8Array;
  private readonly output: Output;
  private readonly start: number;
  private readonly literals = new Code();
  private readonly distances = new Code();
  private at: number;
  /** Bits read and not yet used, `bits` of them. */
  private hold = 0;
  private bits = 0;

  /** Will read from `at` and append to `output`; matches don't reach before what it holds now. */
  constructor(input: Uint8Array, at: number, output: Output) {
    this.input = input;
    this.at = at;
    this.output = output;
    this.start = output.length;
  }

  /** Decodes to the end of the last block; returns the position after it. Throws ImageError. */
  run(): number {
    let last = 0;
    do {
      last = this.take(1);
      const type = this.take(2);
      if (type === 0) {
        this.stored();
      } else if (type === 1) {
        this.compressed(fixedLiterals, fixedDistances);
      } else if (type === 2) {
        this.readCodes();
        this.compressed(this.literals, this.distances);
      } else {
        throw corrupt("a block type");
      }
    } while (last === 0);
    return this.at - (this.bits >> 3);
  }

  private take(count: number): number {
    while (this.bits < count) {
      if (this.at >= this.input.length) throw truncated();
      this.hold |= this.input[this.at++] << this.bits;
      this.bits += 8;
    }
    const value = this.hold & ((1 << count) - 1);
    this.hold >>>= count;
    this.bits -= count;
    return value;
  }

  private stored(): void {
    const { input, output } = this;
    const at = this.at - (this.bits >> 3);
    this.hold = this.bits = 0;
    if (at + 4 > input.length) throw truncated();
    const size = input[at] | (input[at + 1] << 8);
    if ((size ^ 0xffff) !== (input[at + 2] | (input[at + 3] << 8))) throw corrupt("a stored block's size");
    this.at = at + 4 + size;
    if (this.at > input.length) throw truncated();
    output.reserve(size);
    output.bytes.set(input.subarray(at + 4, this.at), output.length);
    output.length += size;
  }

  private readCodes(): void {
    const literalCount = this.take(5) + 257;
    const distanceCount = this.take(5) + 1;
    const lengthCount = this.take(4) + 4;
    if (literalCount > 286 || distanceCount > 30) throw corrupt("a block header");
    const lengths = new Uint8Array(320);
    for (let i = 0; i < lengthCount; i++) lengths[LENGTH_ORDER[i]] = this.take(3);
    this.literals.set(lengths.subarray(0, 19), false);
    lengths.fill(0);
    const total = literalCount + distanceCount;
    for (let i = 0; i < total; ) {
      const symbol = this.symbol(this.literals);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw corrupt("a code length");
      const value = symbol === 16 ? lengths[i - 1] : 0;
      const end = i + (symbol === 16 ? 3 + this.take(2) : symbol === 17 ? 3 + this.take(3) : 11 + this.take(7));
      if (end > total) throw corrupt("a code length");
      lengths.fill(value, i, end);
      i = end;
    }
    if (lengths[256] === 0) throw corrupt("a block without an end");
    this.literals.set(lengths.subarray(0, literalCount), true);
    this.distances.set(lengths.subarray(literalCount, total), true);
  }

  /** One symbol, slowly: for code lengths, long codes, and the last bytes of the input. */
  private symbol(code: Code): number {
    let value = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= MAX_BITS; length++) {
      value |= this.take(1);
      const count = code.counts[length];
      if (value - count < first) return code.symbols[index + value - first];
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    throw corrupt("a code");
  }

  private compressed(literals: Code, distances: Code): void {
    const { input, output, start } = this;
    const fastLiterals = literals.fast;
    const fastDistances = distances.fast;
    const mask = (1 << FAST_BITS) - 1;
    let out = output.bytes;
    let to = output.length;
    let room = to;
    for (;;) {
      if (to + MAX_MATCH > room) {
        output.length = to;
        output.reserve(STEP);
        out = output.bytes;
        room = out.length;
      }
      while (this.bits <= 16 && this.at < input.length) {
        this.hold |= input[this.at++] << this.bits;
        this.bits += 8;
      }
      let entry = fastLiterals[this.hold & mask];
      let length = entry & 15;
      let symbol = entry >> 4;
      if (length !== 0 && length <= this.bits) {
        this.hold >>>= length;
        this.bits -= length;
      } else {
        symbol = this.symbol(literals);
      }
      if (symbol < 256) {
        out[to++] = symbol;
        continue;
      }
      if (symbol === 256) break;
      symbol -= 257;
      if (symbol >= 29) throw corrupt("a match length");
      length = LENGTH_BASE[symbol] + this.take(LENGTH_EXTRA[symbol]);
      while (this.bits <= 16 && this.at < input.length) {
        this.hold |= input[this.at++] << this.bits;
        this.bits += 8;
      }
      entry = fastDistances[this.hold & mask];
      symbol = entry >> 4;
      if ((entry & 15) !== 0 && (entry & 15) <= this.bits) {
        this.hold >>>= entry & 15;
        this.bits -= entry & 15;
      } else {
        symbol = this.symbol(distances);
      }
      if (symbol >= 30) throw corrupt("a match distance");
      const distance = DISTANCE_BASE[symbol] + this.take(DISTANCE_EXTRA[symbol]);
      if (distance > to - start) throw corrupt("a match distance");
      const end = to + length;
      for (let from = to - distance; to < end; ) out[to++] = out[from++];
    }
    output.length = to;
  }
}

// zstd's entropy codes (RFC 8878, section 4): FSE tables, Huffman tables, and the bit streams read backwards that both
// are decoded from. Called by zstd_block.ts. Everything is checked here: a table that comes out is complete, so that
// whatever bits follow, decoding with it stays inside it.

import { ImageError } from "./error.ts";

const HUFFMAN_MAX_BITS = 11;
const HUFFMAN_WEIGHT_ACCURACY = 6;

export const corrupt = (what: string) => new ImageError(`is corrupt: ${what} of the zstd data`);

/** The index of the highest bit set; `n` is above zero. */
export const highBit = (n: number) => 31 - Math.clz32(n);

/** Bits from the end of a byte range towards its start. Before the start there are zeros, and `left` is negative. */
export class BackwardBits {
  private readonly bytes: Uint8Array;
  private readonly start: number;
  /** Bits not read yet; below zero by as many as were read too many. */
  left: number;

  /** The last byte's highest set bit ends the stream. Throws ImageError when there is none. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    if (end <= start || bytes[end - 1] === 0) throw corrupt("the end of a bit stream");
    this.bytes = bytes;
    this.start = start;
    this.left = (end - start - 1) * 8 + highBit(bytes[end - 1]);
  }

  /** The next `count` bits, at most 24, the first of them highest. */
  read(count: number): number {
    const at = (this.left -= count);
    const mask = (1 << count) - 1;
    // Too far: at the end of a stream decoders look for more than there is, and then see that `left` is negative.
    if (at < 0) return at <= -24 ? 0 : (this.word(this.start) << -at) & mask;
    // Past the end of `bytes` there is undefined, which counts as zero; the mask drops it anyhow.
    return (this.word(this.start + (at >> 3)) >>> (at & 7)) & mask;
  }

  private word(at: number): number {
    const { bytes } = this;
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  }
}

/** An FSE decoding table: for each state a symbol, how many bits to read, and what to add them to for the next state. */
export interface FseTable {
  accuracy: number;
  symbols: Uint8Array;
  bits: Uint8Array;
  base: Uint16Array;
}

/** A table with a single state that reads no bits (the RLE mode). */
export function fseOfOne(symbol: number): FseTable {
  return { accuracy: 0, symbols: new Uint8Array([symbol]), bits: new Uint8Array(1), base: new Uint16Array(1) };
}

/** The table for probabilities that sum up to 2^accuracy, -1 counting as one (4.1.1). */
export function fseTable(probabilities: ArrayLike<number>, accuracy: number): FseTable {
  const size = 1 << accuracy;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const base = new Uint16Array(size);
  const next = new Uint16Array(probabilities.length);
  let high = size;
  for (let symbol = 0; symbol < probabilities.length; symbol++) {
    if (probabilities[symbol] === -1) symbols[--high] = symbol;
    next[symbol] = Math.abs(probabilities[symbol]);
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  for (let symbol = 0; symbol < probabilities.length; symbol++) {
    for (let i = 0; i < probabilities[symbol]; i++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at >= high && high > 0);
    }
  }
  for (let state = 0; state < size; state++) {
    const from = next[symbols[state]]++;
    bits[state] = accuracy - highBit(from);
    base[state] = (from << bits[state]) - size;
  }
  return { accuracy, symbols, bits, base };
}

/** Reads an FSE table's description from `at`, not past `end`. Throws ImageError. */
export function readFse(
  bytes: Uint8Array,
  at: number,
  end: number,
  maxAccuracy: number,
  maxSymbol: number,
): { table: FseTable; at: number } {
  let bit = at * 8;
  const peek = (count: number) => {
    const byte = bit >> 3;
    return ((bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16)) >> (bit & 7)) & ((1 << count) - 1);
  };
  const accuracy = peek(4) + 5;
  bit += 4;
  if (accuracy > maxAccuracy) throw corrupt("the accuracy of a table");
  const probabilities: number[] = [];
  let remaining = 1 << accuracy;
  while (remaining > 0) {
    if (probabilities.length > maxSymbol || bit > end * 8) throw corrupt("a table");
    const count = highBit(remaining + 1) + 1;
    const lowMask = (1 << (count - 1)) - 1;
    const short = (1 << count) - 2 - remaining;
    let value = peek(count);
    if ((value & lowMask) < short) {
      value &= lowMask;
      bit += count - 1;
    } else {
      if (value > lowMask) value -= short;
      bit += count;
    }
    const probability = value - 1;
    probabilities.push(probability);
    remaining -= Math.abs(probability);
    if (probability !== 0) continue;
    let more = 3;
    while (more === 3) {
      more = peek(2);
      bit += 2;
      for (let i = 0; i < more; i++) probabilities.push(0);
      if (probabilities.length > maxSymbol + 1) throw corrupt("a table");
    }
  }
  const after = (bit + 7) >> 3;
  if (remaining < 0 || after > end) throw corrupt("a table");
  return { table: fseTable(probabilities, accuracy), at: after };
}

/** A Huffman decoding table: for the next `maxBits` bits a symbol and how many of them it takes. */
export interface HuffmanTable {
  maxBits: number;
  symbols: Uint8Array;
  bits: Uint8Array;
}

/** Reads a Huffman tree's description (4.2.1) from `at`, not past `end`. Throws ImageError. */
export function readHuffman(bytes: Uint8Array, at: number, end: number): { table: HuffmanTable; at: number } {
  if (at >= end) throw corrupt("a Huffman tree");
  const weights: number[] = [];
  const header = bytes[at++];
  if (header >= 128) {
    const count = header - 127;
    const size = (count + 1) >> 1;
    if (at + size > end) throw corrupt("a Huffman tree");
    for (let i = 0; i < count; i++) {
      const pair = bytes[at + (i >> 1)];
      weights.push(i & 1 ? pair & 15 : pair >> 4);
    }
    at += size;
  } else {
    if (at + header > end) throw corrupt("a Huffman tree");
    readWeights(bytes, at, at + header, weights);
    at += header;
  }
  return { table: huffmanTable(weights), at };
}

/** Weights compressed with FSE: two states take turns until the bits are used up. */
function readWeights(bytes: Uint8Array, start: number, end: number, weights: number[]): void {
  const { table, at } = readFse(bytes, start, end, HUFFMAN_WEIGHT_ACCURACY, 255);
  const stream = new BackwardBits(bytes, at, end);
  let state = stream.read(table.accuracy);
  let other = stream.read(table.accuracy);
  if (stream.left < 0) throw corrupt("a Huffman tree");
  while (weights.length < 255) {
    weights.push(table.symbols[state]);
    const next = table.base[state] + stream.read(table.bits[state]);
    if (stream.left < 0) {
      weights.push(table.symbols[other]);
      return;
    }
    state = other;
    other = next;
  }
  throw corrupt("a Huffman tree");
}

function huffmanTable(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > HUFFMAN_MAX_BITS) throw corrupt("a Huffman tree");
    sum += weight > 0 ? 1 << (weight - 1) : 0;
  }
  if (sum === 0 || weights.length > 255) throw corrupt("a Huffman tree");
  const maxBits = highBit(sum) + 1;
  // The last weight isn't written: it is what makes the sum a power of two.
  const rest = (1 << maxBits) - sum;
  if (maxBits > HUFFMAN_MAX_BITS || (rest & (rest - 1)) !== 0) throw corrupt("a Huffman tree");
  weights.push(highBit(rest) + 1);
  const symbols = new Uint8Array(1 << maxBits);
  const bits = new Uint8Array(1 << maxBits);
  let at = 0;
  for (let weight = 1; weight <= maxBits; weight++) {
    for (let symbol = 0; symbol < weights.length; symbol++) {
      if (weights[symbol] !== weight) continue;
      const end = at + (1 << (weight - 1));
      symbols.fill(symbol, at, end);
      bits.fill(maxBits + 1 - weight, at, end);
      at = end;
    }
  }
  return { maxBits, symbols, bits };
}

/** Decodes `count` symbols of one Huffman stream into `out` at `to`. The stream must end with the last of them. */
export function decodeHuffman(
  table: HuffmanTable,
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  to: number,
  count: number,
): void {
  const { maxBits, symbols, bits } = table;
  const mask = (1 << maxBits) - 1;
  let left = new BackwardBits(bytes, start, end).left;
  for (const stop = to + count; to < stop; to++) {
    // Inlined from BackwardBits.read: this loop is most of the time that literals take.
    const from = left - maxBits;
    let index: number;
    if (from >= 0) {
      const at = start + (from >> 3);
      index = ((bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) >> (from & 7)) & mask;
    } else {
      if (left < 0) break;
      index = ((bytes[start] | (bytes[start + 1] << 8)) << -from) & mask;
    }
    out[to] = symbols[index];
    left -= bits[index];
  }
  if (left !== 0) throw corrupt("a Huffman stream");
}

// A compressed block of a zstd frame (RFC 8878, section 3.1.1.3): literals, then sequences of "so many literals, then a
// match". Called by zstd.ts; tables and recent offsets carry over from block to block of a frame, and live here.

import type { Output } from "./output.ts";
import {
  BackwardBits,
  corrupt,
  decodeHuffman,
  type FseTable,
  fseOfOne,
  fseTable,
  type HuffmanTable,
  readFse,
  readHuffman,
} from "./zstd_entropy.ts";

/** Most bytes a block unpacks to. */
export const ZSTD_MAX_BLOCK = 128 * 1024;
/** Largest offset code: 2^29 is the limit on what an image unpacks to. */
const MAX_OFFSET_CODE = 29;

// biome-ignore format: tables of RFC 8878, 3.1.1.3.2.1.1
const LITERAL_BASE = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256,
  512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
// biome-ignore format: a table
const LITERAL_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13,
  14, 15, 16];
// biome-ignore format: a table
const MATCH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
  31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539];
// biome-ignore format: a table
const MATCH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1,
  1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

// The predefined distributions (3.1.1.3.2.2).
// biome-ignore format: a table
const LITERAL_DEFAULT = fseTable([4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1,
  1, -1, -1, -1, -1], 6);
// biome-ignore format: a table
const MATCH_DEFAULT = fseTable([1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1], 6);
// biome-ignore format: a table
const OFFSET_DEFAULT = fseTable([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
  5);

/** Decodes the blocks of one frame. */
export class ZstdBlocks {
  private readonly output: Output;
  private readonly frameStart: number;
  private readonly windowSize: number;
  private readonly literals = new Uint8Array(ZSTD_MAX_BLOCK);
  private huffman: HuffmanTable | undefined;
  private literalTable: FseTable | undefined;
  private offsetTable: FseTable | undefined;
  private matchTable: FseTable | undefined;
  private recent1 = 1;
  private recent2 = 4;
  private recent3 = 8;

  constructor(output: Output, windowSize: number) {
    this.output = output;
    this.frameStart = output.length;
    this.windowSize = windowSize;
  }

  /** Unpacks one block, `input` from `at` to `end`, into the output. Throws ImageError. */
  compressed(input: Uint8Array, at: number, end: number): void {
    const { count, at: sequencesAt } = this.readLiterals(input, at, end);
    this.output.reserve(ZSTD_MAX_BLOCK);
    this.readSequences(input, sequencesAt, end, count);
  }

  /** Fills `literals`; returns how many there are and where the input goes on. */
  private readLiterals(input: Uint8Array, at: number, end: number): { count: number; at: number } {
    if (end - at < 2) throw corrupt("a block");
    const { literals } = this;
    const type = input[at] & 3;
    const format = (input[at] >> 2) & 3;
    if (type < 2) {
      // Raw, or one byte repeated.
      const size = format === 1 ? 2 : format === 3 ? 3 : 1;
      const header = input[at] | (input[at + 1] << 8) | (size === 3 ? input[at + 2] << 16 : 0);
      const count = size === 1 ? (header & 0xff) >> 3 : header >> 4;
      at += size;
      const packed = type === 0 ? count : 1;
      if (count > ZSTD_MAX_BLOCK || at + packed > end) throw corrupt("the literals");
      if (type === 0) literals.set(input.subarray(at, at + count));
      else literals.fill(input[at], 0, count);
      return { count, at: at + packed };
    }
    const headerSize = format < 2 ? 3 : format + 2;
    const width = format < 2 ? 10 : format === 2 ? 14 : 18;
    if (at + headerSize > end) throw corrupt("the literals");
    // 20, 28 or 36 bits in all: more than fit in an integer, so the two numbers are taken apart as floats.
    let header = 0;
    for (let i = headerSize - 1; i >= 0; i--) header = header * 256 + input[at + i];
    header = Math.floor(header / 16);
    const count = header % 2 ** width;
    const packed = Math.floor(header / 2 ** width);
    at += headerSize;
    const stop = at + packed;
    if (count > ZSTD_MAX_BLOCK || stop > end) throw corrupt("the literals");
    let from = at;
    if (type === 2) {
      const tree = readHuffman(input, at, stop);
      this.huffman = tree.table;
      from = tree.at;
    }
    if (!this.huffman) throw corrupt("literals without their Huffman tree");
    if (format === 0) {
      decodeHuffman(this.huffman, input, from, stop, literals, 0, count);
    } else {
      this.fourStreams(this.huffman, input, from, stop, count);
    }
    return { count, at: stop };
  }

  private fourStreams(table: HuffmanTable, input: Uint8Array, at: number, end: number, count: number): void {
    const each = (count + 3) >> 2;
    if (end - at < 6 || each * 3 > count) throw corrupt("the literals");
    let from = at + 6;
    for (let i = 0; i < 4; i++) {
      const size = i < 3 ? input[at + 2 * i] | (input[at + 2 * i + 1] << 8) : end - from;
      if (from + size > end) throw corrupt("the literals");
      decodeHuffman(table, input, from, from + size, this.literals, each * i, i < 3 ? each : count - 3 * each);
      from += size;
    }
  }

  /** Reads the table that `mode` says for one of the three codes; returns where the input goes on. */
  private readTable(
    input: Uint8Array,
    at: number,
    end: number,
    mode: number,
    use: { last: FseTable | undefined; byDefault: FseTable; maxAccuracy: number; maxSymbol: number },
  ): { table: FseTable; at: number } {
    if (mode === 0) return { table: use.byDefault, at };
    if (mode === 2) return readFse(input, at, end, use.maxAccuracy, use.maxSymbol);
    if (mode === 3) {
      if (!use.last) throw corrupt("a repeated table");
      return { table: use.last, at };
    }
    if (at >= end || input[at] > use.maxSymbol) throw corrupt("a table");
    return { table: fseOfOne(input[at]), at: at + 1 };
  }

  private readSequences(input: Uint8Array, at: number, end: number, literalCount: number): void {
    const { output, literals } = this;
    const out = output.bytes;
    let to = output.length;
    let literal = 0;
    if (at >= end) throw corrupt("the sequences");
    let count = input[at++];
    if (count >= 128) {
      if (at + (count === 255 ? 2 : 1) > end) throw corrupt("the sequences");
      if (count === 255) {
        count = 0x7f00 + input[at] + (input[at + 1] << 8);
        at += 2;
      } else {
        count = ((count - 128) << 8) + input[at++];
      }
    }
    if (count === 0) {
      if (at !== end) throw corrupt("the sequences");
    } else {
      if (at >= end || (input[at] & 3) !== 0) throw corrupt("the sequences");
      const modes = input[at++];
      const { literalTable, offsetTable, matchTable } = this;
      const ll = this.readTable(input, at, end, modes >> 6, {
        last: literalTable,
        byDefault: LITERAL_DEFAULT,
        maxAccuracy: 9,
        maxSymbol: 35,
      });
      const of = this.readTable(input, ll.at, end, (modes >> 4) & 3, {
        last: offsetTable,
        byDefault: OFFSET_DEFAULT,
        maxAccuracy: 8,
        maxSymbol: 31,
      });
      const ml = this.readTable(input, of.at, end, (modes >> 2) & 3, {
        last: matchTable,
        byDefault: MATCH_DEFAULT,
        maxAccuracy: 9,
        maxSymbol: 52,
      });
      this.literalTable = ll.table;
      this.offsetTable = of.table;
      this.matchTable = ml.table;

      const stream = new BackwardBits(input, ml.at, end);
      const frameEnd = to + ZSTD_MAX_BLOCK;
      let lState = stream.read(ll.table.accuracy);
      let oState = stream.read(of.table.accuracy);
      let mState = stream.read(ml.table.accuracy);
      for (;;) {
        const offsetCode = of.table.symbols[oState];
        if (offsetCode > MAX_OFFSET_CODE) throw corrupt("an offset");
        let offset = 1 << offsetCode;
        if (offsetCode > 16) {
          offset += stream.read(offsetCode - 16) << 16;
          offset += stream.read(16);
        } else {
          offset += stream.read(offsetCode);
        }
        const matchCode = ml.table.symbols[mState];
        const matchLength = MATCH_BASE[matchCode] + stream.read(MATCH_BITS[matchCode]);
        const literalCode = ll.table.symbols[lState];
        const literalLength = LITERAL_BASE[literalCode] + stream.read(LITERAL_BITS[literalCode]);
        offset = this.distance(offset, literalLength === 0);

        if (literalLength > literalCount - literal || to + literalLength + matchLength > frameEnd) {
          throw corrupt("the lengths in a block");
        }
        for (const stop = literal + literalLength; literal < stop; ) out[to++] = literals[literal++];
        if (offset <= 0 || offset > to - this.frameStart || offset > this.windowSize) throw corrupt("an offset");
        for (let from = to - offset, stop = to + matchLength; to < stop; ) out[to++] = out[from++];

        if (--count === 0) break;
        lState = ll.table.base[lState] + stream.read(ll.table.bits[lState]);
        mState = ml.table.base[mState] + stream.read(ml.table.bits[mState]);
        oState = of.table.base[oState] + stream.read(of.table.bits[oState]);
        if (stream.left < 0) break;
      }
      if (stream.left !== 0) throw corrupt("the sequences");
    }
    const rest = literalCount - literal;
    if (to + rest > output.length + ZSTD_MAX_BLOCK) throw corrupt("the lengths in a block");
    out.set(literals.subarray(literal, literalCount), to);
    output.length = to + rest;
  }

  /** The distance that an offset value means, given the recent ones (3.1.1.5), which it updates. */
  private distance(value: number, noLiterals: boolean): number {
    if (value > 3) {
      this.recent3 = this.recent2;
      this.recent2 = this.recent1;
      return (this.recent1 = value - 3);
    }
    const index = noLiterals ? value : value - 1;
    const { recent1, recent2, recent3 } = this;
    if (index === 0) return recent1;
    const distance = index === 1 ? recent2 : index === 2 ? recent3 : recent1 - 1;
    if (index > 1) this.recent3 = recent2;
    this.recent2 = recent1;
    return (this.recent1 = distance);
  }
}

// The LZMA decoder proper: the range coder, the probability model and the match copier that both xz's LZMA2 chunks
// (lzma2.ts) and the older .lzma files (lzma_alone.ts) are made of. Implements the LZMA specification of the LZMA SDK
// (public domain text). Leaves out containers, filters and checks.
//
// It is one long function on purpose. The range coder's three words must live in registers, and JavaScript has no
// way to pass them to a function and back without memory. Debian's kernel, 7.7 MiB packed and 62.9 MiB unpacked, takes 1.1 s
// with its filter and checksum, twice as long as native xz.

import { ImageError } from "./error.ts";

/** Where each group of probabilities begins. A bit tree's index 0 is unused. */
const IS_MATCH = 0;
const IS_REP = 192;
const IS_REP_G0 = 204;
const IS_REP_G1 = 216;
const IS_REP_G2 = 228;
const IS_REP0_LONG = 240;
const POS_SLOT = 432;
const SPECIAL = 688;
const ALIGN = 816;
const MATCH_LEN = 832;
const REP_LEN = 1346;
const LITERAL = 1860;

/** Within a length coder: two choice bits, 16 trees of 8, 16 trees of 8, one of 256. */
const LEN_LOW = 2;
const LEN_MID = 130;
const LEN_HIGH = 258;

/** The most input that one symbol can use, which whoever supplies it must have readable after its end. */
export const LZMA_INPUT_MARGIN = 32;

const CORRUPT = "is corrupt: the LZMA data";

export class LzmaDecoder {
  private readonly probs: Uint16Array;
  private lc = 0;
  private literalPosMask = 0;
  private posMask = 0;
  private state = 0;
  private rep0 = 0;
  private rep1 = 0;
  private rep2 = 0;
  private rep3 = 0;
  private range = -1;
  private code = 0;
  /** Bytes of the last match that did not fit before the output's end. */
  private pending = 0;
  /** Set by the end marker. */
  ended = false;
  /** Where reading stopped. */
  inputAt = 0;

  /** `maxLiteralBits` is the largest lc + lp that will be asked for. */
  constructor(maxLiteralBits: number) {
    this.probs = new Uint16Array(LITERAL + (0x300 << maxLiteralBits));
  }

  /** Sets lc, lp and pb from the properties byte. False if it is not a valid one, or lc + lp is above 4. */
  setProperties(byte: number): boolean {
    const lc = byte % 9;
    const lp = ((byte / 9) | 0) % 5;
    const pb = (byte / 45) | 0;
    if (pb > 4 || lc + lp > 4) return false;
    this.lc = lc;
    this.literalPosMask = (1 << lp) - 1;
    this.posMask = (1 << pb) - 1;
    return true;
  }

  resetState(): void {
    this.state = 0;
    this.rep0 = this.rep1 = this.rep2 = this.rep3 = 0;
    this.pending = 0;
    this.probs.fill(1024);
  }

  /** Takes the range coder's five first bytes, at `at`. False if they can't be. */
  startRange(input: Uint8Array, at: number): boolean {
    this.range = -1;
    this.code = (input[at + 1] << 24) | (input[at + 2] << 16) | (input[at + 3] << 8) | input[at + 4];
    this.inputAt = at + 5;
    return input[at] === 0;
  }

  /** True when the range coder stands where a finished encoder leaves it, and no match is half copied. */
  get finished(): boolean {
    return this.code === 0 && this.pending === 0;
  }

  /**
   * Decodes from `input` at `inputAt`, not past `inputEnd` (LZMA_INPUT_MARGIN bytes after it must be readable), into
   * `out` from `outAt` to `outEnd` or the end marker; returns where it stopped. Matches reach back to `dictStart`, at
   * most `dictSize` bytes. Throws ImageError for what no encoder writes, and when the input ends too soon.
   */
  decode(
    input: Uint8Array,
    inputEnd: number,
    out: Uint8Array,
    outAt: number,
    outEnd: number,
    dictStart: number,
    dictSize: number,
  ): number {
    const probs = this.probs;
    const lc = this.lc;
    const literalPosMask = this.literalPosMask;
    const posMask = this.posMask;
    let { state, rep0, rep1, rep2, rep3, range, code, inputAt: at, pending: len } = this;
    let p = 0;
    let bound = 0;
    let index = 0;

    for (;;) {
      if (len > 0) {
        // Copy the match, or as much of it as there is room for.
        const distance = rep0 + 1;
        if (distance > outAt - dictStart || distance > dictSize || distance <= 0) {
          throw new ImageError(`${CORRUPT} refers to bytes before its beginning`);
        }
        const copyEnd = Math.min(outAt + len, outEnd);
        len -= copyEnd - outAt;
        for (let from = outAt - distance; outAt < copyEnd; ) out[outAt++] = out[from++];
      }
      if (outAt === outEnd) break;
      if (at > inputEnd) throw new ImageError("is truncated: the LZMA data ends too soon");
      const posState = (outAt - dictStart) & posMask;

      // Match or literal.
      index = IS_MATCH + (state << 4) + posState;
      p = probs[index];
      bound = Math.imul(range >>> 11, p);
      if (code >>> 0 < bound >>> 0) {
        range = bound;
        probs[index] = p + ((2048 - p) >>> 5);
        if ((range & 0xff000000) === 0) {
          range <<= 8;
          code = (code << 8) | input[at++];
        }
        const previous = outAt === dictStart ? 0 : out[outAt - 1];
        const base = LITERAL + 0x300 * ((((outAt - dictStart) & literalPosMask) << lc) + (previous >>> (8 - lc)));
        let symbol = 1;
        if (state >= 7) {
          if (rep0 >= outAt - dictStart) throw new ImageError(`${CORRUPT} refers to bytes before its beginning`);
          let match = out[outAt - rep0 - 1] << 1;
          let offset = 0x100;
          do {
            const matchBit = match & offset;
            match <<= 1;
            index = base + offset + matchBit + symbol;
            p = probs[index];
            bound = Math.imul(range >>> 11, p);
            if (code >>> 0 < bound >>> 0) {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
              symbol <<= 1;
              offset &= ~matchBit;
            } else {
              range = (range - bound) | 0;
              code = (code - bound) | 0;
              probs[index] = p - (p >>> 5);
              symbol = (symbol << 1) | 1;
              offset &= matchBit;
            }
            if ((range & 0xff000000) === 0) {
              range <<= 8;
              code = (code << 8) | input[at++];
            }
          } while (symbol < 0x100);
        } else {
          do {
            index = base + symbol;
            p = probs[index];
            bound = Math.imul(range >>> 11, p);
            if (code >>> 0 < bound >>> 0) {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
              symbol <<= 1;
            } else {
              range = (range - bound) | 0;
              code = (code - bound) | 0;
              probs[index] = p - (p >>> 5);
              symbol = (symbol << 1) | 1;
            }
            if ((range & 0xff000000) === 0) {
              range <<= 8;
              code = (code << 8) | input[at++];
            }
          } while (symbol < 0x100);
        }
        out[outAt++] = symbol;
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }
      range = (range - bound) | 0;
      code = (code - bound) | 0;
      probs[index] = p - (p >>> 5);
      if ((range & 0xff000000) === 0) {
        range <<= 8;
        code = (code << 8) | input[at++];
      }

      // A new distance, or one of the last four.
      let lenBase = MATCH_LEN;
      let repeated = false;
      index = IS_REP + state;
      p = probs[index];
      bound = Math.imul(range >>> 11, p);
      if (code >>> 0 < bound >>> 0) {
        range = bound;
        probs[index] = p + ((2048 - p) >>> 5);
      } else {
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        probs[index] = p - (p >>> 5);
        repeated = true;
        lenBase = REP_LEN;
      }
      if ((range & 0xff000000) === 0) {
        range <<= 8;
        code = (code << 8) | input[at++];
      }
      if (repeated) {
        index = IS_REP_G0 + state;
        p = probs[index];
        bound = Math.imul(range >>> 11, p);
        if (code >>> 0 < bound >>> 0) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          if ((range & 0xff000000) === 0) {
            range <<= 8;
            code = (code << 8) | input[at++];
          }
          index = IS_REP0_LONG + (state << 4) + posState;
          p = probs[index];
          bound = Math.imul(range >>> 11, p);
          if (code >>> 0 < bound >>> 0) {
            range = bound;
            probs[index] = p + ((2048 - p) >>> 5);
            if ((range & 0xff000000) === 0) {
              range <<= 8;
              code = (code << 8) | input[at++];
            }
            state = state < 7 ? 9 : 11;
            len = 1;
            continue;
          }
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probs[index] = p - (p >>> 5);
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probs[index] = p - (p >>> 5);
          if ((range & 0xff000000) === 0) {
            range <<= 8;
            code = (code << 8) | input[at++];
          }
          index = IS_REP_G1 + state;
          p = probs[index];
          bound = Math.imul(range >>> 11, p);
          let distance = rep1;
          if (code >>> 0 < bound >>> 0) {
            range = bound;
            probs[index] = p + ((2048 - p) >>> 5);
          } else {
            range = (range - bound) | 0;
            code = (code - bound) | 0;
            probs[index] = p - (p >>> 5);
            if ((range & 0xff000000) === 0) {
              range <<= 8;
              code = (code << 8) | input[at++];
            }
            index = IS_REP_G2 + state;
            p = probs[index];
            bound = Math.imul(range >>> 11, p);
            if (code >>> 0 < bound >>> 0) {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
              distance = rep2;
            } else {
              range = (range - bound) | 0;
              code = (code - bound) | 0;
              probs[index] = p - (p >>> 5);
              distance = rep3;
              rep3 = rep2;
            }
            rep2 = rep1;
          }
          rep1 = rep0;
          rep0 = distance;
        }
        if ((range & 0xff000000) === 0) {
          range <<= 8;
          code = (code << 8) | input[at++];
        }
        state = state < 7 ? 8 : 11;
      } else {
        rep3 = rep2;
        rep2 = rep1;
        rep1 = rep0;
        state = state < 7 ? 7 : 10;
      }

      // The length: two choice bits, then a tree.
      let tree = lenBase + LEN_LOW + (posState << 3);
      let limit = 8;
      len = 2 - 8;
      index = lenBase;
      p = probs[index];
      bound = Math.imul(range >>> 11, p);
      if (code >>> 0 < bound >>> 0) {
        range = bound;
        probs[index] = p + ((2048 - p) >>> 5);
      } else {
        range = (range - bound) | 0;
        code = (code - bound) | 0;
        probs[index] = p - (p >>> 5);
        if ((range & 0xff000000) === 0) {
          range <<= 8;
          code = (code << 8) | input[at++];
        }
        index = lenBase + 1;
        p = probs[index];
        bound = Math.imul(range >>> 11, p);
        if (code >>> 0 < bound >>> 0) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          tree = lenBase + LEN_MID + (posState << 3);
          len = 2 + 8 - 8;
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probs[index] = p - (p >>> 5);
          tree = lenBase + LEN_HIGH;
          limit = 256;
          len = 2 + 16 - 256;
        }
      }
      if ((range & 0xff000000) === 0) {
        range <<= 8;
        code = (code << 8) | input[at++];
      }
      let m = 1;
      do {
        index = tree + m;
        p = probs[index];
        bound = Math.imul(range >>> 11, p);
        if (code >>> 0 < bound >>> 0) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          m <<= 1;
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probs[index] = p - (p >>> 5);
          m = (m << 1) | 1;
        }
        if ((range & 0xff000000) === 0) {
          range <<= 8;
          code = (code << 8) | input[at++];
        }
      } while (m < limit);
      len += m;
      if (repeated) continue;

      // The distance: a slot, then direct and reversed bits.
      tree = POS_SLOT + ((len < 6 ? len - 2 : 3) << 6);
      m = 1;
      do {
        index = tree + m;
        p = probs[index];
        bound = Math.imul(range >>> 11, p);
        if (code >>> 0 < bound >>> 0) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          m <<= 1;
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probs[index] = p - (p >>> 5);
          m = (m << 1) | 1;
        }
        if ((range & 0xff000000) === 0) {
          range <<= 8;
          code = (code << 8) | input[at++];
        }
      } while (m < 64);
      const slot = m - 64;
      if (slot < 4) {
        rep0 = slot;
        continue;
      }
      let bits = (slot >>> 1) - 1;
      rep0 = 2 | (slot & 1);
      if (slot < 14) {
        rep0 <<= bits;
        tree = SPECIAL + rep0 - slot;
      } else {
        for (bits -= 4; bits > 0; bits--) {
          range >>>= 1;
          code = (code - range) | 0;
          const borrow = code >> 31;
          code = (code + (range & borrow)) | 0;
          rep0 = (rep0 << 1) + (borrow + 1);
          if ((range & 0xff000000) === 0) {
            range <<= 8;
            code = (code << 8) | input[at++];
          }
        }
        rep0 <<= 4;
        bits = 4;
        tree = ALIGN;
      }
      m = 1;
      for (let bit = 0; bit < bits; bit++) {
        index = tree + m;
        p = probs[index];
        bound = Math.imul(range >>> 11, p);
        if (code >>> 0 < bound >>> 0) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          m <<= 1;
        } else {
          range = (range - bound) | 0;
          code = (code - bound) | 0;
          probs[index] = p - (p >>> 5);
          m = (m << 1) | 1;
          rep0 += 1 << bit;
        }
        if ((range & 0xff000000) === 0) {
          range <<= 8;
          code = (code << 8) | input[at++];
        }
      }
      if (rep0 === -1) {
        // Distance 2^32 is the end marker; its length means nothing.
        len = 0;
        this.ended = true;
        break;
      }
    }

    if (at > inputEnd) throw new ImageError("is truncated: the LZMA data ends too soon");
    this.state = state;
    this.rep0 = rep0;
    this.rep1 = rep1;
    this.rep2 = rep2;
    this.rep3 = rep3;
    this.range = range;
    this.code = code;
    this.inputAt = at;
    this.pending = len;
    return outAt;
  }
}

// LZMA2: the chunks that an xz block's data is made of, each LZMA or stored, at most 2 MiB unpacked. Called by xz.ts.
// Implements the xz format's section 5.3.1 and the control bytes as xz's documentation of LZMA2 gives them. The
// dictionary is the output itself.

import { ImageError } from "./error.ts";
import { LZMA_INPUT_MARGIN, LzmaDecoder } from "./lzma.ts";
import type { Output } from "./output.ts";

/** Most compressed bytes in a chunk. */
const MAX_PACKED = 0x10000;

const corrupt = (what: string) => new ImageError(`is corrupt: ${what}`);
const truncated = () => new ImageError("is truncated: the xz data ends too soon");

export class Lzma2Decoder {
  private readonly lzma = new LzmaDecoder(4);
  /** A chunk's input with the margin that the decoder may read past its end. */
  private readonly chunk = new Uint8Array(MAX_PACKED + LZMA_INPUT_MARGIN);

  /**
   * Decodes from `input` at `at` to the end of the LZMA2 data, appending to `output`; returns where the input goes on.
   * Matches reach back at most `dictSize` bytes. Throws ImageError.
   */
  decode(input: Uint8Array, at: number, output: Output, dictSize: number): number {
    const { lzma, chunk } = this;
    let dictStart = output.length;
    let needDict = true;
    let needProperties = true;
    let needState = true;
    for (;;) {
      if (at >= input.length) throw truncated();
      const control = input[at++];
      if (control === 0) return at;
      if (control === 1 || control >= 0xe0) {
        dictStart = output.length;
        needDict = false;
        needProperties = true;
      } else if (needDict) {
        throw corrupt("the LZMA2 data doesn't begin with a new dictionary");
      }

      if (control < 0x80) {
        if (control > 2) throw corrupt(`LZMA2 control byte 0x${control.toString(16)}`);
        if (at + 2 > input.length) throw truncated();
        const size = (input[at] << 8) + input[at + 1] + 1;
        at += 2;
        if (at + size > input.length) throw truncated();
        output.reserve(size);
        output.bytes.set(input.subarray(at, at + size), output.length);
        output.length += size;
        at += size;
        continue;
      }

      if (at + 5 > input.length) throw truncated();
      const unpacked = ((control & 0x1f) << 16) + (input[at] << 8) + input[at + 1] + 1;
      const packed = (input[at + 2] << 8) + input[at + 3] + 1;
      at += 4;
      if (control >= 0xc0) {
        if (!lzma.setProperties(input[at++])) throw corrupt("the LZMA2 properties byte");
        needProperties = false;
      } else if (needProperties) {
        throw corrupt("an LZMA2 chunk comes without its properties");
      }
      if (control >= 0xa0) {
        lzma.resetState();
        needState = false;
      } else if (needState) {
        throw corrupt("an LZMA2 chunk comes without a state reset");
      }
      if (at + packed > input.length) throw truncated();
      chunk.set(input.subarray(at, at + packed));
      if (packed < 5 || !lzma.startRange(chunk, 0)) throw corrupt("the first bytes of an LZMA2 chunk");
      output.reserve(unpacked);
      const end = output.length + unpacked;
      lzma.decode(chunk, packed, output.bytes, output.length, end, dictStart, dictSize);
      if (lzma.ended || lzma.inputAt !== packed || !lzma.finished) {
        throw corrupt("an LZMA2 chunk isn't as long as it says");
      }
      output.length = end;
      at += packed;
    }
  }
}

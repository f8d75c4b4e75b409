// Unpacks .lzma files ("LZMA alone"), the form before .xz that kernels may still be built with (CONFIG_KERNEL_LZMA):
// a properties byte, a dictionary size, the unpacked size or all ones, then LZMA data with or without an end marker.
// Called by unpack.ts. Implements the .lzma file format of the LZMA SDK's specification. It carries no checksum.

import { ImageError } from "./error.ts";
import { LZMA_INPUT_MARGIN, LzmaDecoder } from "./lzma.ts";
import type { Output } from "./output.ts";

const HEADER_SIZE = 13;
/** Output is made room for in steps of this size. */
const STEP = 1 << 20;
const SIZE_UNKNOWN = 0xffffffff;

/**
 * True when the bytes look like a .lzma file as encoders make them: valid properties, a dictionary of 2^n or 2^n + 2^(n-1)
 * bytes, a size unknown or below 2^38, and the range coder's first byte. There is no magic, so it is asked last.
 */
export function isLzmaAlone(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_SIZE + 5 || bytes[0] >= 225 || bytes[HEADER_SIZE] !== 0) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  const dictSize = view.getUint32(1, true);
  const rest = dictSize & (dictSize - 1);
  const high = view.getUint32(9, true);
  if (dictSize < 4096 || (rest !== 0 && (rest & (rest - 1)) !== 0)) return false;
  return high < 64 || (high === SIZE_UNKNOWN && view.getUint32(5, true) === SIZE_UNKNOWN);
}

/** Unpacks `input` into `output`. The data must fill `input`. Throws ImageError. */
export function unpackLzmaAlone(input: Uint8Array, output: Output): void {
  if (input.length < HEADER_SIZE + 5) throw new ImageError("is truncated: the LZMA data ends too soon");
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const lzma = new LzmaDecoder(4);
  if (!lzma.setProperties(input[0]))
    throw new ImageError("has LZMA properties that aren't supported (lc + lp above 4)");
  const dictSize = Math.max(4096, view.getUint32(1, true));
  const sizeLow = view.getUint32(5, true);
  const sizeHigh = view.getUint32(9, true);
  const unknown = sizeLow === SIZE_UNKNOWN && sizeHigh === SIZE_UNKNOWN;
  const size = unknown ? Number.POSITIVE_INFINITY : sizeLow + sizeHigh * 2 ** 32;

  const padded = new Uint8Array(input.length + LZMA_INPUT_MARGIN);
  padded.set(input);
  lzma.resetState();
  if (!lzma.startRange(padded, HEADER_SIZE)) throw new ImageError("is corrupt: the first bytes of the LZMA data");
  const start = output.length;
  while (!lzma.ended && output.length - start < size) {
    const step = Math.min(STEP, size - (output.length - start));
    output.reserve(step);
    const end = output.length + step;
    output.length = lzma.decode(padded, input.length, output.bytes, output.length, end, start, dictSize);
  }
  if (!unknown && output.length - start < size) throw new ImageError("is corrupt: the LZMA data ends before its size");
  if (!lzma.ended && lzma.inputAt < input.length) {
    // An end marker may follow a known size. Whatever else is decoded here is too much.
    output.reserve(1);
    lzma.decode(padded, input.length, output.bytes, output.length, output.length + 1, start, dictSize);
    if (!lzma.ended) throw new ImageError("is corrupt: the LZMA data goes on after its size");
  }
  if (!lzma.finished || lzma.inputAt < input.length) {
    throw new ImageError("is corrupt: the LZMA data doesn't end where the file does");
  }
}

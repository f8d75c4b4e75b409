// Unpacks LZ4's legacy frame (`lz4 -l`), the one that Linux's build makes with CONFIG_KERNEL_LZ4: a magic, then blocks of
// at most 8 MiB unpacked, each with its packed size in front. Called by unpack.ts. Implements the LZ4 block format and
// the legacy frame as the LZ4 project documents them. It carries no checksum. Leaves out the newer frame format.

import { ImageError } from "./error.ts";
import type { Output } from "./output.ts";

const MAGIC = 0x184c2102;
const BLOCK_SIZE = 8 << 20;

const corrupt = (what: string) => new ImageError(`is corrupt: ${what} of the lz4 data`);
const truncated = () => new ImageError("is truncated: the lz4 data ends too soon");

const word = (bytes: Uint8Array, at: number) =>
  (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;

/** True for the legacy frame's magic. */
export function isLz4Legacy(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && word(bytes, 0) === MAGIC;
}

/** Unpacks `input` into `output`. Throws ImageError. */
export function unpackLz4(input: Uint8Array, output: Output): void {
  const end = input.length;
  let at = 4;
  while (at < end) {
    if (at + 4 > end) throw truncated();
    const size = word(input, at);
    at += 4;
    if (size === MAGIC) continue; // another frame, appended
    if (at + size > end) throw truncated();
    output.reserve(Math.min(BLOCK_SIZE, size * 255));
    block(input, at, at + size, output);
    at += size;
  }
}

function block(input: Uint8Array, start: number, end: number, output: Output): void {
  const outStart = output.length;
  const out = output.bytes;
  const outEnd = Math.min(out.length, outStart + BLOCK_SIZE);
  let at = start;
  let to = outStart;
  for (;;) {
    if (at >= end) throw corrupt("the end of a block");
    const token = input[at++];
    let literals = token >> 4;
    if (literals === 15) {
      let byte = 255;
      while (byte === 255) {
        if (at >= end) throw corrupt("a length");
        byte = input[at++];
        literals += byte;
      }
    }
    if (literals > end - at) throw corrupt("a length");
    if (literals > outEnd - to) throw corrupt("the size of a block");
    for (const stop = at + literals; at < stop; ) out[to++] = input[at++];
    if (at === end) break;

    if (at + 2 > end) throw corrupt("the end of a block");
    const distance = input[at] | (input[at + 1] << 8);
    at += 2;
    if (distance === 0 || distance > to - outStart) throw corrupt("a match");
    let length = (token & 15) + 4;
    if (length === 19) {
      let byte = 255;
      while (byte === 255) {
        if (at >= end) throw corrupt("a length");
        byte = input[at++];
        length += byte;
      }
    }
    if (length > outEnd - to) throw corrupt("the size of a block");
    for (let from = to - distance, stop = to + length; to < stop; ) out[to++] = out[from++];
  }
  output.length = to;
}

// Unpacks .zst files (RFC 8878): what Linux's build makes with CONFIG_KERNEL_ZSTD, with windows up to 128 MiB. Called by
// unpack.ts. The content size and the checksum are verified where a frame has them. Leaves out dictionaries.
//
// Our own, although npm's fzstd exists: that one verifies no checksum, believes sizes, and a frame of 22 bytes
// kept it busy for over 100 seconds, because it doesn't check lengths against the block they are in.

import { ImageError } from "./error.ts";
import type { Output } from "./output.ts";
import { xxhash64Low } from "./xxhash64.ts";
import { ZSTD_MAX_BLOCK, ZstdBlocks } from "./zstd_block.ts";
import { corrupt } from "./zstd_entropy.ts";

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;

const truncated = () => new ImageError("is truncated: the zstd data ends too soon");

/** True for the magic of a zstd frame. */
export function isZstd(bytes: Uint8Array): boolean {
  return bytes[0] === 0x28 && bytes[1] === 0xb5 && bytes[2] === 0x2f && bytes[3] === 0xfd;
}

/** Unpacks the frames that fill `input` into `output`. Throws ImageError. */
export function unpackZstd(input: Uint8Array, output: Output): void {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  for (let at = 0; at < input.length; ) {
    if (at + 8 > input.length) throw truncated();
    const magic = view.getUint32(at, true);
    if (magic === MAGIC) at = frame(input, view, at + 4, output);
    else if ((magic & 0xfffffff0) === SKIPPABLE) at += 8 + view.getUint32(at + 4, true);
    else throw new ImageError("is corrupt: what follows the zstd data is no more of it");
    if (at > input.length) throw truncated();
  }
}

function frame(input: Uint8Array, view: DataView, at: number, output: Output): number {
  const start = output.length;
  const descriptor = input[at++];
  const singleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 4) !== 0;
  if (descriptor & 8) throw corrupt("the frame header");
  let windowSize = 0;
  if (!singleSegment) {
    const base = 2 ** (10 + (input[at] >> 3));
    windowSize = base + (base / 8) * (input[at] & 7);
    at++;
  }
  const dictionarySize = [0, 1, 2, 4][descriptor & 3];
  const sizeSize = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6];
  if (at + dictionarySize + sizeSize > input.length) throw truncated();
  for (let i = 0; i < dictionarySize; i++) {
    if (input[at++] !== 0) throw new ImageError("needs a zstd dictionary, which isn't supported");
  }
  let contentSize = -1;
  if (sizeSize === 1) contentSize = input[at];
  else if (sizeSize === 2) contentSize = view.getUint16(at, true) + 256;
  else if (sizeSize === 4) contentSize = view.getUint32(at, true);
  else if (sizeSize === 8) contentSize = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  at += sizeSize;
  if (singleSegment) windowSize = contentSize;

  const blocks = new ZstdBlocks(output, windowSize);
  const maxBlock = Math.min(windowSize, ZSTD_MAX_BLOCK);
  for (let last = 0; last === 0; ) {
    if (at + 3 > input.length) throw truncated();
    const header = input[at] | (input[at + 1] << 8) | (input[at + 2] << 16);
    at += 3;
    last = header & 1;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    const packed = type === 1 ? 1 : size;
    if (type === 3 || size > maxBlock) throw corrupt("a block header");
    if (at + packed > input.length) throw truncated();
    if (type === 2) {
      blocks.compressed(input, at, at + packed);
    } else {
      output.reserve(size);
      if (type === 0) output.bytes.set(input.subarray(at, at + size), output.length);
      else output.bytes.fill(input[at], output.length, output.length + size);
      output.length += size;
    }
    at += packed;
    if (contentSize >= 0 && output.length - start > contentSize) throw corrupt("the content size");
  }
  if (contentSize >= 0 && output.length - start !== contentSize) throw corrupt("the content size");
  if (hasChecksum) {
    if (at + 4 > input.length) throw truncated();
    if (view.getUint32(at, true) !== xxhash64Low(output.bytes, start, output.length)) {
      throw new ImageError("is corrupt: the checksum of its data is wrong");
    }
    at += 4;
  }
  return at;
}

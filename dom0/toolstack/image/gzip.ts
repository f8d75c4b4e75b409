// Unpacks .gz files (RFC 1952): what Linux's build makes with CONFIG_KERNEL_GZIP, and how people keep kernels and
// ramdisks. Called by unpack.ts. Both the CRC32 and the size of each member are verified.

import { crc32 } from "./checksums.ts";
import { ImageError } from "./error.ts";
import { Inflater } from "./inflate.ts";
import type { Output } from "./output.ts";

const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const RESERVED = 0xe0;

const truncated = () => new ImageError("is truncated: the gzip data ends too soon");

/** True for the magic of a gzip member with its one compression method. */
export function isGzip(bytes: Uint8Array, at = 0): boolean {
  return bytes[at] === 0x1f && bytes[at + 1] === 0x8b && bytes[at + 2] === 8;
}

/** Unpacks one gzip member or several, with nothing but zeros after them, into `output`. Throws ImageError. */
export function unpackGzip(input: Uint8Array, output: Output): void {
  let at = member(input, 0, output);
  while (at < input.length && isGzip(input, at)) at = member(input, at, output);
  for (; at < input.length; at++) {
    if (input[at] !== 0) throw new ImageError("is corrupt: what follows the gzip data is no more of it");
  }
}

function member(input: Uint8Array, start: number, output: Output): number {
  if (start + 18 > input.length) throw truncated();
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const flags = input[start + 3];
  if (flags & RESERVED) throw new ImageError("has gzip flags that this decoder doesn't know");
  let at = start + 10;
  if (flags & FEXTRA) at += 2 + view.getUint16(at, true);
  for (const text of [FNAME, FCOMMENT]) {
    if (!(flags & text)) continue;
    const end = input.indexOf(0, at);
    if (end < 0) throw truncated();
    at = end + 1;
  }
  if (flags & FHCRC) {
    if (at + 2 > input.length) throw truncated();
    if ((crc32(input, start, at) & 0xffff) !== view.getUint16(at, true)) {
      throw new ImageError("is corrupt: the checksum of the gzip header is wrong");
    }
    at += 2;
  }
  const outStart = output.length;
  at = new Inflater(input, at, output).run();
  if (at + 8 > input.length) throw truncated();
  if (
    view.getUint32(at, true) !== crc32(output.bytes, outStart, output.length) ||
    view.getUint32(at + 4, true) !== output.length - outStart
  ) {
    throw new ImageError("is corrupt: the checksum of its data is wrong");
  }
  return at + 8;
}

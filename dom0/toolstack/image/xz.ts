// Unpacks .xz files: the xz file format 1.0.4 (public domain), with LZMA2 and the x86 branch filter: what Linux's build
// makes (`xz --check=crc32 --x86 --lzma2`) and what people's own kernels use. Called by unpack.ts. Every check the file
// carries is verified: CRC32 of headers and index, CRC32, CRC64 or SHA-256 of the data. Leaves out the other filters.

import { undoBcjX86 } from "./bcj_x86.ts";
import { crc32, crc64 } from "./checksums.ts";
import { ImageError } from "./error.ts";
import { Lzma2Decoder } from "./lzma2.ts";
import type { Output } from "./output.ts";
import { sha256 } from "./sha256.ts";

const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
const FILTER_NAMES: Record<number, string> = {
  3: "delta",
  5: "PowerPC",
  6: "IA-64",
  7: "ARM",
  8: "ARM Thumb",
  9: "SPARC",
  10: "ARM64",
};

const CHECK_NONE = 0;
const CHECK_CRC32 = 1;
const CHECK_CRC64 = 4;
const CHECK_SHA256 = 10;
/** Bytes of the check field by check type (2.1.1.2). */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

const corrupt = (what: string) => new ImageError(`is corrupt: ${what}`);
const truncated = () => new ImageError("is truncated: the xz data ends too soon");

/** True for the magic of an .xz file. */
export function isXz(bytes: Uint8Array): boolean {
  return (
    bytes[0] === 0xfd &&
    bytes[1] === 0x37 &&
    bytes[2] === 0x7a &&
    bytes[3] === 0x58 &&
    bytes[4] === 0x5a &&
    bytes[5] === 0
  );
}

/**
 * Unpacks one xz stream, or several one after another with padding of zeros, into `output`. The streams must fill
 * `input`. Throws ImageError.
 */
export function unpackXz(input: Uint8Array, output: Output): void {
  const decoder = new XzDecoder(input, output);
  decoder.stream();
  while (decoder.skipPadding()) decoder.stream();
}

interface Block {
  /** Without padding, as the index records it. */
  unpaddedSize: number;
  unpackedSize: number;
}

class XzDecoder {
  private readonly input: Uint8Array;
  private readonly view: DataView;
  private readonly output: Output;
  private readonly lzma2 = new Lzma2Decoder();
  private at = 0;

  constructor(input: Uint8Array, output: Output) {
    this.input = input;
    this.view = new DataView(input.buffer, input.byteOffset, input.byteLength);
    this.output = output;
  }

  /** Skips zeros in fours after a stream. True if another stream follows. */
  skipPadding(): boolean {
    const start = this.at;
    while (this.at < this.input.length && this.input[this.at] === 0) this.at++;
    if ((this.at - start) % 4 !== 0) throw corrupt("padding after the xz stream");
    return this.at < this.input.length;
  }

  stream(): void {
    const start = this.at;
    this.need(12);
    if (!isXz(this.input.subarray(start))) throw corrupt("what follows the xz stream is not another");
    const flags = this.view.getUint16(start + 6, true);
    this.checkCrc("stream header", start + 6, start + 8);
    const check = flags >>> 8;
    if ((flags & 0xff) !== 0 || check > 15) throw new ImageError("has xz stream flags that this decoder doesn't know");
    this.at += 12;

    const blocks: Block[] = [];
    for (;;) {
      this.need(1);
      if (this.input[this.at] === 0) break;
      blocks.push(this.block(check));
    }
    const indexSize = this.index(blocks);

    this.need(12);
    const footer = this.at;
    this.checkCrcAt("stream footer", footer, footer + 4, footer + 10);
    const backwardSize = (this.view.getUint32(footer + 4, true) + 1) * 4;
    if (
      backwardSize !== indexSize ||
      this.view.getUint16(footer + 8, true) !== flags ||
      this.view.getUint16(footer + 10) !== 0x595a
    ) {
      throw corrupt("the xz stream footer doesn't agree with its header");
    }
    this.at += 12;
  }

  private block(check: number): Block {
    const { input } = this;
    const start = this.at;
    const headerSize = (input[start] + 1) * 4;
    this.need(headerSize);
    const headerEnd = start + headerSize - 4;
    this.checkCrc("block header", start, headerEnd);
    const flags = input[start + 1];
    if (flags & 0x3c) throw new ImageError("has xz block flags that this decoder doesn't know");
    this.at = start + 2;
    const packedSize = flags & 0x40 ? this.number(headerEnd) : -1;
    const unpackedSize = flags & 0x80 ? this.number(headerEnd) : -1;
    const { dictSize, bcjOffset } = this.filters((flags & 3) + 1, headerEnd);
    for (; this.at < headerEnd; this.at++) if (input[this.at] !== 0) throw corrupt("padding of the xz block header");
    this.at = start + headerSize;

    const { output } = this;
    const dataStart = this.at;
    const outStart = output.length;
    this.at = this.lzma2.decode(input, this.at, output, dictSize);
    const block = {
      unpaddedSize: headerSize + (this.at - dataStart) + CHECK_SIZES[check],
      unpackedSize: output.length - outStart,
    };
    if (
      (packedSize >= 0 && packedSize !== this.at - dataStart) ||
      (unpackedSize >= 0 && unpackedSize !== block.unpackedSize)
    ) {
      throw corrupt("an xz block isn't as long as its header says");
    }
    if (bcjOffset !== undefined) undoBcjX86(output.bytes, outStart, output.length, bcjOffset);
    this.skipToFour(dataStart, "padding of an xz block");
    this.need(CHECK_SIZES[check]);
    this.verify(check, outStart);
    this.at += CHECK_SIZES[check];
    return block;
  }

  private filters(count: number, end: number): { dictSize: number; bcjOffset: number | undefined } {
    const { input } = this;
    let bcjOffset: number | undefined;
    for (let i = 0; i < count; i++) {
      const id = this.number(end);
      const size = this.number(end);
      const properties = this.at;
      if (size > end - properties) throw corrupt("the xz block header");
      this.at += size;
      const last = i === count - 1;
      if (id === FILTER_LZMA2 && last) {
        const bits = input[properties];
        if (size !== 1 || bits > 40) throw corrupt("the dictionary size in the xz block header");
        const dictSize = bits === 40 ? 0xffffffff : (2 | (bits & 1)) * 2 ** ((bits >>> 1) + 11);
        return { dictSize, bcjOffset };
      }
      if (id !== FILTER_X86 || last || bcjOffset !== undefined || (size !== 0 && size !== 4)) {
        const name = FILTER_NAMES[id] ?? `0x${id.toString(16)}`;
        throw new ImageError(`uses an xz filter chain (filter ${name}) that isn't supported: x86 and LZMA2 are`);
      }
      bcjOffset = size === 4 ? this.view.getUint32(properties, true) : 0;
    }
    throw corrupt("the xz block header");
  }

  private verify(check: number, start: number): void {
    const { output, view, at } = this;
    let good: boolean;
    if (check === CHECK_NONE) {
      good = true;
    } else if (check === CHECK_CRC32) {
      good = crc32(output.bytes, start, output.length) === view.getUint32(at, true);
    } else if (check === CHECK_CRC64) {
      const { lo, hi } = crc64(output.bytes, start, output.length);
      good = lo === view.getUint32(at, true) && hi === view.getUint32(at + 4, true);
    } else if (check === CHECK_SHA256) {
      const digest = sha256(output.bytes.subarray(start, output.length));
      good = digest.every((byte, i) => byte === this.input[at + i]);
    } else {
      throw new ImageError(
        `has an xz check of type ${check}, which isn't supported: none, CRC32, CRC64 and SHA-256 are`,
      );
    }
    if (!good) throw corrupt("the checksum of its data is wrong");
  }

  /** Reads the index, and compares it with the blocks seen. Returns its size. */
  private index(blocks: readonly Block[]): number {
    const start = this.at++;
    const end = this.input.length;
    let agrees = this.number(end) === blocks.length;
    for (let i = 0; agrees && i < blocks.length; i++) {
      agrees = this.number(end) === blocks[i].unpaddedSize && this.number(end) === blocks[i].unpackedSize;
    }
    if (!agrees) throw corrupt("the xz index doesn't agree with the blocks");
    this.skipToFour(start, "padding of the xz index");
    this.checkCrc("index", start, this.at);
    this.at += 4;
    return this.at - start;
  }

  /** A variable-length number (1.2), which must end before `end`. Above 2^53 it is rounded, and so equals no size. */
  private number(end: number): number {
    let value = 0;
    for (let i = 0; i < 9; i++) {
      if (this.at >= end) throw end === this.input.length ? truncated() : corrupt("the xz block header");
      const byte = this.input[this.at++];
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (!(byte & 0x80)) {
        if (byte === 0 && i > 0) break;
        return value;
      }
    }
    throw corrupt("a number in an xz header");
  }

  private skipToFour(start: number, what: string): void {
    while ((this.at - start) % 4 !== 0) {
      this.need(1);
      if (this.input[this.at++] !== 0) throw corrupt(what);
    }
  }

  private checkCrc(what: string, start: number, end: number): void {
    this.checkCrcAt(what, end, start, end);
  }

  private checkCrcAt(what: string, crcAt: number, start: number, end: number): void {
    if (crcAt + 4 > this.input.length) throw truncated();
    if (crc32(this.input, start, end) !== this.view.getUint32(crcAt, true)) {
      throw corrupt(`the checksum of the xz ${what} is wrong`);
    }
  }

  private need(count: number): void {
    if (this.at + count > this.input.length) throw truncated();
  }
}

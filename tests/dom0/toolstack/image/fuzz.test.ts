// Whatever the bytes are, unpacking ends with an ELF file or an ImageError; and where a form carries a checksum, what it
// unpacks to is what was compressed.

import { deflateRawSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32 } from "../../../../dom0/toolstack/image/checksums.ts";
import { ImageError, isElf, unpackKernel } from "../../../../dom0/toolstack/image/index.ts";
import { Inflater } from "../../../../dom0/toolstack/image/inflate.ts";
import { Output } from "../../../../dom0/toolstack/image/output.ts";
import { bzImage, vector } from "./helpers.ts";
import { original } from "./vectors/original.ts";

const limit = 1 << 20;
const plain = original();

/** The result, or undefined for an ImageError; any other error passes through and fails the test. */
function attempt(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return unpackKernel(bytes, limit);
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
}

const change = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom("flip", "set", "cut", "double", "drop"),
  value: fc.integer({ min: 0, max: 255 }),
});

function apply(bytes: Uint8Array, changes: { at: number; kind: string; value: number }[]): Uint8Array {
  let result = bytes.slice();
  for (const { at, kind, value } of changes) {
    // Half of the changes go to the first bytes: headers are where most decisions are made.
    const place = at % (at & 1 ? result.length : Math.min(64, result.length));
    if (kind === "flip") result[place] ^= 1 << (value & 7);
    else if (kind === "set") result[place] = value;
    else if (kind === "cut") result = result.slice(0, Math.max(1, result.length - value));
    else if (kind === "double") result.copyWithin(place, 0, value);
    else result.copyWithin(place, place + 1 + (value & 7));
  }
  return result;
}

const all = [
  "kernel.xz",
  "default.xz",
  "sha256.xz",
  "nocheck.xz",
  "blocks.xz",
  "default.gz",
  "fixed.gz",
  "legacy.lz4",
  "unknown.lzma",
  "sized.lzma",
  "fast.zst",
  "best.zst",
  "frames.zst",
];
const checked = ["kernel.xz", "default.xz", "sha256.xz", "default.gz", "fast.zst", "kernel.zst"];

describe("damaged images", () => {
  test.each(all)("%s: an ELF file or an ImageError", (name) => {
    const bytes = vector(name);
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const result = attempt(apply(bytes, changes));
        if (result) expect(isElf(result)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test.each(checked)("%s: never something else than was compressed", (name) => {
    const bytes = vector(name);
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 2 }), (changes) => {
        const result = attempt(apply(bytes, changes));
        if (result) expect(Buffer.compare(result, plain)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test("a damaged bzImage", () => {
    const image = bzImage(vector("default.gz"));
    fc.assert(
      fc.property(fc.nat(0x60), fc.integer({ min: 0, max: 255 }), fc.nat(image.length), (at, value, size) => {
        const bytes = image.slice(0, size);
        if (bytes.length > 0x1f0 + at) bytes[0x1f0 + at] = value;
        attempt(bytes);
      }),
      { numRuns: 300 },
    );
  });
});

describe("noise after a magic", () => {
  const magics: Record<string, number[]> = {
    nothing: [],
    gzip: [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0],
    // One frame whose content size is unknown, and the header of a compressed block of 200 bytes.
    zstd: [0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 0x45, 0x06, 0],
    lz4: [0x02, 0x21, 0x4c, 0x18, 200, 0, 0, 0],
    lzma: [0x5d, 0, 0, 0x10, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0],
  };
  test.each(Object.keys(magics))("%s", (name) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 200, maxLength: 400 }), (noise) => {
        attempt(new Uint8Array([...magics[name], ...noise]));
      }),
      { numRuns: 400 },
    );
  });
});

test("a zstd block whose lengths are far beyond it is refused at once", () => {
  // One literal, then 98,000 sequences of the longest literals and matches, from tables of one symbol: 22 bytes that keep
  // a decoder busy for minutes when it carries out lengths before it checks them.
  const block = [9, 65, 255, 255, 255, 0x54, 35, 0, 52, 1];
  const header = 1 | (2 << 1) | (block.length << 3);
  const frame = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 2, 0, header & 255, header >> 8, 0, ...block];
  expect(attempt(new Uint8Array(frame))).toBeUndefined();
});

describe("against node:zlib", () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 3000 }),
    fc.array(fc.constantFrom(0, 1, 65, 255), { maxLength: 5000 }).map((list) => new Uint8Array(list)),
    fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(3000)).map(([unit, count]) => {
      return new Uint8Array(unit.length * count).map((_, i) => unit[i % unit.length]);
    }),
  );

  test("inflate gives back what deflate was given", () => {
    fc.assert(
      fc.property(content, fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 4 }), (bytes, level, strategy) => {
        const packed = deflateRawSync(bytes, { level, strategy });
        const output = new Output(1 << 24);
        expect(new Inflater(packed, 0, output).run()).toBe(packed.length);
        expect(Buffer.compare(output.finish(), bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("CRC32 of any range", () => {
    fc.assert(
      fc.property(content, fc.nat(20), (bytes, skip) => {
        const start = Math.min(skip, bytes.length);
        const gzip = gzipSync(bytes.subarray(start));
        expect(crc32(bytes, start)).toBe(gzip.readUInt32LE(gzip.length - 8));
      }),
    );
  });
});

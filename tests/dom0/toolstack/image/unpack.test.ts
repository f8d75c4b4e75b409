// Kernel images are recognized and unpacked, whatever compressor made them, and every damage gets one clear line.

import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ImageError, unpackKernel } from "../../../../dom0/toolstack/image/index.ts";
import { bzImage, concat, sizeWord, vector } from "./helpers.ts";
import { original } from "./vectors/original.ts";

const plain = original();
const payload = (name: string) => concat(vector(name), sizeWord(plain.length));
const message = (bytes: Uint8Array, limit?: number) => {
  try {
    unpackKernel(bytes, limit);
  } catch (error) {
    if (error instanceof ImageError) return error.message;
    throw error;
  }
  return "no error";
};

describe("each compressed form unpacks to what was compressed", () => {
  test.each([
    ["xz, CRC32 and the x86 filter, as Linux's build makes it", "kernel.xz"],
    ["xz as the tool makes it, CRC64", "default.xz"],
    ["xz with SHA-256", "sha256.xz"],
    ["xz without a check, literal position bits", "nocheck.xz"],
    ["xz in blocks with sizes, the x86 filter from an offset", "blocks.xz"],
    ["two xz streams with padding between", "streams.xz"],
    ["gzip", "default.gz"],
    ["gzip with a name", "named.gz"],
    ["two gzip members, the second in stored blocks", "stored.gz"],
    ["gzip with the fixed code", "fixed.gz"],
    ["lz4's legacy frame", "legacy.lz4"],
    ["two lz4 frames", "frames.lz4"],
    ["lzma of unknown size with an end marker", "unknown.lzma"],
    ["lzma of known size with an end marker", "sized.lzma"],
    ["zstd", "fast.zst"],
    ["zstd without a checksum", "best.zst"],
    ["zstd from a pipe, as Linux's build makes it", "kernel.zst"],
    ["two zstd frames with a skippable one between", "frames.zst"],
  ])("%s", (_, name) => {
    expect(Buffer.compare(unpackKernel(vector(name)), plain)).toBe(0);
  });
});

describe("a bzImage gives the ELF file in its payload", () => {
  test.each(["kernel.xz", "legacy.lz4", "unknown.lzma", "kernel.zst"])("%s and its size", (name) => {
    expect(Buffer.compare(unpackKernel(bzImage(payload(name))), plain)).toBe(0);
  });

  test("gzip, whose size is its own", () => {
    expect(Buffer.compare(unpackKernel(bzImage(vector("default.gz"))), plain)).toBe(0);
  });

  test("not compressed at all", () => {
    expect(Buffer.compare(unpackKernel(bzImage(plain)), plain)).toBe(0);
  });

  test("and may itself be compressed", () => {
    expect(Buffer.compare(unpackKernel(gzipSync(bzImage(payload("kernel.xz")))), plain)).toBe(0);
  });

  test("in a view that doesn't begin at its buffer's start", () => {
    const image = concat([1, 2, 3], bzImage(payload("kernel.xz"))).subarray(3);
    expect(Buffer.compare(unpackKernel(image), plain)).toBe(0);
  });

  test("zero setup sectors mean four", () => {
    const image = bzImage(payload("kernel.xz"), (header) => header.setUint8(0x1f1, 0));
    const moved = concat(image.subarray(0, 5 * 512), image.subarray(8 * 512));
    expect(Buffer.compare(unpackKernel(moved), plain)).toBe(0);
  });
});

test("an ELF file passes through unchanged", () => {
  expect(unpackKernel(plain)).toBe(plain);
});

describe("what can't be unpacked is named", () => {
  const image = bzImage(payload("kernel.xz"));
  test.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /not a kernel image/],
    ["text", new TextEncoder().encode("name = 'guest'\n".repeat(100)), /not a kernel image: neither an ELF file/],
    ["bzip2", vector("other.bz2"), /bzip2, which isn't supported: gzip, xz/],
    ["bzip2 in a bzImage", bzImage(concat(vector("other.bz2"), sizeWord(1))), /bzip2, which isn't supported/],
    ["lz4's newer frame", vector("modern.lz4"), /legacy one \(lz4 -l\)/],
    ["noise in a bzImage", bzImage(new Uint8Array(64).fill(0x55)), /Linux image compressed in a way/],
    ["a cut bzImage", image.subarray(0, 6000), /is truncated: a Linux image with its compressed kernel at 4429 to/],
    ["an old protocol", bzImage([], (h) => h.setUint16(0x206, 0x207, true)), /boot protocol 2\.07; .* 2\.08 or later/],
    ["no payload", bzImage([], (h) => h.setUint32(0x24c, 0, true)), /no compressed kernel inside/],
    ["a payload outside", bzImage([], (h) => h.setUint32(0x248, 0xfffffff0, true)), /no compressed kernel inside/],
    ["a wrong size", bzImage(concat(vector("kernel.xz"), sizeWord(5))), /unpacks to 98304 bytes, and says 5/],
    ["text compressed", gzipSync("hello"), /not a kernel image/],
    ["too many layers", gzipSync(gzipSync(gzipSync(gzipSync(plain)))), /more often/],
  ])("%s", (_, bytes, expected) => {
    expect(message(bytes)).toMatch(expected);
  });
});

describe("damage is found", () => {
  test.each([
    "kernel.xz",
    "default.xz",
    "sha256.xz",
    "blocks.xz",
    "default.gz",
    "legacy.lz4",
    "unknown.lzma",
    "kernel.zst",
    "best.zst",
  ])("%s cut off anywhere", (name) => {
    const whole = vector(name);
    for (let i = 1; i <= 64; i++) {
      const size = Math.floor((whole.length * i) / 64) - 1;
      // A cut between two of lz4's blocks can't be seen; these vectors have one.
      expect(message(whole.subarray(0, size)), `${size} bytes`).toMatch(/truncated|corrupt|not a kernel image/);
    }
  });

  test.each(["kernel.xz", "default.xz", "sha256.xz", "kernel.zst", "default.gz"])(
    "%s with a wrong checksum of its data",
    (name) => {
      const bytes = vector(name);
      // In gzip and zstd the checksum is at the end; in xz it is before the index and the footer, which say how long they are.
      const footer = new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
      const end = name.endsWith(".xz") ? bytes.length - 12 - (footer + 1) * 4 : bytes.length;
      bytes[end - (name.endsWith(".gz") ? 5 : 1)] ^= 1;
      expect(message(bytes)).toBe("is corrupt: the checksum of its data is wrong");
    },
  );

  test.each([
    ["kernel.xz", 8, /checksum of the xz stream header/],
    ["kernel.xz", 16, /checksum of the xz block header/],
    ["default.gz", 3, /gzip flags/],
  ])("%s with byte %i changed", (name, at, expected) => {
    const bytes = vector(name);
    bytes[at] ^= 0x80;
    expect(message(bytes)).toMatch(expected);
  });

  test("something after the end", () => {
    for (const name of ["kernel.xz", "default.gz", "kernel.zst", "legacy.lz4"]) {
      expect(message(concat(vector(name), [1, 2, 3, 4, 5, 6, 7, 8])), name).toMatch(/corrupt|truncated/);
    }
  });
});

describe("a bomb is stopped at the limit", () => {
  const limit = 50_000;
  test.each(["kernel.xz", "blocks.xz", "stored.gz", "default.gz", "legacy.lz4", "unknown.lzma", "kernel.zst"])(
    "%s",
    (name) => {
      expect(message(vector(name), limit)).toBe("unpacks to more than 50000 bytes, the limit");
    },
  );

  test("and exactly the limit is allowed", () => {
    for (const name of ["kernel.xz", "default.gz", "legacy.lz4", "unknown.lzma", "kernel.zst"]) {
      expect(unpackKernel(vector(name), plain.length).length, name).toBe(plain.length);
      expect(message(vector(name), plain.length - 1), name).toMatch(/the limit/);
    }
  });

  test("64 MiB of zeros in 64 KiB of gzip", () => {
    expect(message(gzipSync(new Uint8Array(64 << 20)), 1 << 20)).toMatch(/the limit/);
  });

  test("a size that a header declares isn't believed", () => {
    expect(message(bzImage(concat(vector("kernel.xz"), [255, 255, 255, 255])))).toMatch(
      /unpacks to 98304 bytes, and says/,
    );
  });
});

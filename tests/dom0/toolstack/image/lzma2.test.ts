// LZMA2's chunk rules, on chunks put together by hand: what an encoder never writes is refused, and stored chunks may
// stand between others.

import { describe, expect, test } from "vitest";
import { ImageError } from "../../../../dom0/toolstack/image/index.ts";
import { Lzma2Decoder } from "../../../../dom0/toolstack/image/lzma2.ts";
import { Output } from "../../../../dom0/toolstack/image/output.ts";
import { concat, vector } from "./helpers.ts";
import { original } from "./vectors/original.ts";

const DICT = 1 << 20;

/** The first chunk in an xz file: LZMA, with a new dictionary and properties. */
function firstChunk(): Uint8Array {
  const file = vector("default.xz");
  const start = 12 + (file[12] + 1) * 4;
  expect(file[start]).toBeGreaterThanOrEqual(0xe0);
  const packed = (file[start + 3] << 8) + file[start + 4] + 1;
  return file.slice(start, start + 6 + packed);
}

const stored = (control: number, bytes: ArrayLike<number>) =>
  concat([control, (bytes.length - 1) >> 8, (bytes.length - 1) & 255], bytes);

function decode(...chunks: ArrayLike<number>[]): Uint8Array {
  const output = new Output(1 << 24);
  const input = concat(...chunks);
  expect(new Lzma2Decoder().decode(input, 0, output, DICT)).toBe(input.length);
  return output.finish();
}

const chunk = firstChunk();
const withControl = (control: number) => {
  const copy = chunk.slice();
  copy[0] = control | (chunk[0] & 0x1f);
  return copy;
};
const unpacked = original().subarray(0, ((chunk[0] & 0x1f) << 16) + (chunk[1] << 8) + chunk[2] + 1);
const zeros = new Uint8Array(64);

describe("chunks are decoded", () => {
  test("a stored chunk and the end", () => {
    expect([...decode(stored(1, [1, 2, 3]), [0])]).toEqual([1, 2, 3]);
  });

  test("nothing but the end", () => {
    expect(decode([0]).length).toBe(0);
  });

  test("an LZMA chunk after a stored one goes on with its dictionary", () => {
    // 64 zeros before it look to the decoder as the beginning of the dictionary did to the encoder.
    const result = decode(stored(1, zeros), withControl(0xc0), [0]);
    expect(Buffer.compare(result, concat(zeros, unpacked))).toBe(0);
  });

  test("a new dictionary forgets what was before", () => {
    const result = decode(chunk, stored(1, [9, 9]), withControl(0xe0), [0]);
    expect(Buffer.compare(result, concat(unpacked, [9, 9], unpacked))).toBe(0);
  });
});

describe("chunks that no encoder writes are refused", () => {
  test.each<[string, ArrayLike<number>[]]>([
    ["a stored chunk without a dictionary", [stored(2, [1]), [0]]],
    ["an LZMA chunk without a dictionary", [withControl(0xc0), [0]]],
    ["an LZMA chunk without properties", [stored(1, zeros), withControl(0xa0), [0]]],
    ["an LZMA chunk without a state reset", [stored(1, zeros), withControl(0x80), [0]]],
    ["a reserved control byte", [stored(3, [1]), [0]]],
    ["no end", [stored(1, [1])]],
    ["a stored chunk cut off", [[1, 0, 5, 1, 2]]],
    ["an LZMA chunk cut off", [chunk.subarray(0, 100)]],
    ["a header cut off", [chunk.subarray(0, 3)]],
    ["properties with lc + lp above 4", [concat(chunk.subarray(0, 5), [4 + 9 * 3], chunk.subarray(6)), [0]]],
    ["a range coder that begins with 1", [concat(chunk.subarray(0, 6), [1], chunk.subarray(7)), [0]]],
    ["one byte more than it says", [concat(chunk.subarray(0, 2), [chunk[2] - 1], chunk.subarray(3)), [0]]],
  ])("%s", (_, chunks) => {
    expect(() => decode(...chunks)).toThrow(ImageError);
  });

  test("a match farther back than the dictionary is long", () => {
    const output = new Output(1 << 24);
    expect(() => new Lzma2Decoder().decode(concat(chunk, [0]), 0, output, 4096)).toThrow(/before its beginning/);
  });
});

// shared/abi/struct.ts: what a declaration is checked for when it is loaded, and that the accessors made of it read and write the
// fields where they are, at the edges of their types.

import { describe, expect, test } from "vitest";
import {
  array,
  bytes,
  chars,
  i8,
  i16,
  i32,
  i64,
  nested,
  overlay,
  struct,
  u8,
  u16,
  u32,
  u64,
} from "../../../shared/abi/struct.ts";

const Inner = struct("inner", 16, { a: u32(0), b: u64(8) });
const Outer = struct("outer", 96, {
  byte: u8(0),
  small: i8(1),
  half: u16(2),
  word: u32(4),
  wide: u64(8),
  signed: i64(16),
  neg: i32(24),
  shrt: i16(28),
  inner: nested(Inner, 32),
  name: chars(48, 8),
  raw: bytes(56, 4),
  list: array(u16, 60, 2),
  asNumber: overlay(u64(64)),
  asHalves: overlay(nested(Inner, 64)),
  high: overlay(u32(68)),
  wides: array(u64, 80, 2),
});

function sample() {
  const buffer = new ArrayBuffer(128);
  const view = new DataView(buffer, 8);
  return { view, bytes: new Uint8Array(buffer), x: Outer.at(view, 16) };
}

describe("accessors", () => {
  test("read and write each field at its offset, little-endian, and nothing else", () => {
    const { view, bytes: all, x } = sample();
    x.byte = 0x12;
    x.small = -2;
    x.half = 0x3456;
    x.word = 0x89abcdef;
    x.wide = 0x1122334455667788n;
    x.signed = -2n;
    x.neg = -3;
    x.shrt = -4;
    const at = 8 + 16;
    const want = new Uint8Array(128);
    want.set([0x12, 0xfe, 0x56, 0x34, 0xef, 0xcd, 0xab, 0x89], at);
    want.set([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11], at + 8);
    want.set([0xfe, 255, 255, 255, 255, 255, 255, 255, 0xfd, 255, 255, 255, 0xfc, 255], at + 16);
    expect(all).toEqual(want);
    expect([x.byte, x.small, x.half, x.word, x.wide, x.signed, x.neg, x.shrt]).toEqual([
      0x12,
      -2,
      0x3456,
      0x89abcdef,
      0x1122334455667788n,
      -2n,
      -3,
      -4,
    ]);
    expect(x.$view).toBe(view);
  });

  test("show a 64-bit field as halves and as a number", () => {
    const { x } = sample();
    x.wide_lo = 0xfffffffe;
    x.wide_hi = 0x80000001;
    expect(x.wide).toBe(0x80000001fffffffen);
    expect(x.wide_num).toBe(0x80000001 * 2 ** 32 + 0xfffffffe);
    x.wide_num = 2 ** 52 + 1;
    expect(x.wide).toBe(2n ** 52n + 1n);
    x.signed_num = -5;
    expect([x.signed, x.signed_num, x.signed_hi]).toEqual([-5n, -5, 0xffffffff]);
    expect(() => {
      x.wide_num = 2 ** 54;
    }).toThrow(RangeError);
    expect(() => {
      x.wide_num = 1.5;
    }).toThrow(RangeError);
  });

  test("reach nested structures, arrays, strings and bytes", () => {
    const { x } = sample();
    x.inner.b_num = 77;
    expect(Inner.at(x.$view, x.$base + 32).b).toBe(77n);
    x.name = "a name too long";
    expect(x.name).toBe("a name ");
    x.name = "ab";
    expect(x.name).toBe("ab");
    x.raw = new Uint8Array([1, 2, 3, 4]);
    x.raw = new Uint8Array([9]);
    expect([...x.raw]).toEqual([9, 0, 0, 0]);
    x.list.set(1, 0xbeef);
    expect([x.list.get(0), x.list.get(1), x.list.length]).toEqual([0, 0xbeef, 2]);
    x.wides.setHalves(1, 5, 6);
    expect([x.wides.get(1), x.wides.lo(1), x.wides.hi(1), x.wides.num(1)]).toEqual([0x600000005n, 5, 6, 0x600000005]);
    expect(() => x.list.get(2)).toThrow(RangeError);
  });

  test("see the same bytes through every member of a union", () => {
    const { x } = sample();
    x.asNumber = 0x0000000500000007n;
    expect([x.asHalves.a, x.high]).toEqual([7, 5]);
  });

  test("move with $at, their nested parts too", () => {
    const view = new DataView(new ArrayBuffer(192));
    const x = Outer.at(view, 0);
    x.inner.a = 1;
    x.$at(96).inner.a = 2;
    expect([view.getUint32(32, true), view.getUint32(128, true)]).toEqual([1, 2]);
    expect(() => x.$at(97)).toThrow(RangeError);
  });

  test("are refused where the structure doesn't fit in the view", () => {
    expect(() => Inner.at(new DataView(new ArrayBuffer(16)), 1)).toThrow(RangeError);
    expect(() => Inner.at(new DataView(new ArrayBuffer(16)), -1)).toThrow(RangeError);
  });
});

describe("a declaration is refused", () => {
  const cases: [string, () => unknown, RegExp][] = [
    ["when a field is not aligned", () => struct("s", 8, { a: u32(2) }), /aligned to 4/],
    ["when fields overlap", () => struct("s", 8, { a: u32(0), b: u16(2) }), /overlaps/],
    ["when fields are out of order", () => struct("s", 8, { a: u32(4), b: u32(0) }), /out of order/],
    ["when a field ends past the size", () => struct("s", 4, { a: u64(0) }), /past the size/],
    ["when the size is not a multiple of the alignment", () => struct("s", 12, { a: u64(0) }), /multiple/],
    ["when a union overlaps what is before it", () => struct("s", 8, { a: u32(0), b: overlay(u32(0)) }), /overlaps/],
    ["when a field overlaps a union", () => struct("s", 8, { a: overlay(u64(0)), b: u32(4) }), /overlaps/],
    ["when a nested structure is not aligned", () => struct("s", 24, { a: nested(Inner, 4) }), /aligned to 8/],
    ["when a name is the accessor's own", () => struct("s", 8, { $view: u32(0) }), /own/],
    ["when a 64-bit field's half has another's name", () => struct("s", 16, { a: u64(0), a_lo: u32(8) }), /taken/],
  ];
  test.each(cases)("%s", (_name, declare, message) => {
    expect(declare).toThrow(message);
  });
});

test("size, alignment and offsets are given", () => {
  expect([Outer.size, Outer.align, Outer.offsets.inner, Outer.create().$view.byteLength]).toEqual([96, 8, 32, 96]);
});

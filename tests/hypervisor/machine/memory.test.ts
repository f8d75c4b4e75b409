// Machine memory moved by the frame: what is filled, copied and found different, and nothing beside it, up to the last frame.
import { beforeEach, expect, test } from "vitest";
import { allocateMemory, FRAME_SIZE, MachineMemory } from "../../../hypervisor/machine/memory.ts";
import type { Mfn } from "../../../shared/brand.ts";

let memory: MachineMemory;
const [a, b] = [10 as Mfn, 20 as Mfn];

beforeEach(() => {
  memory = new MachineMemory(allocateMemory(1));
  for (let at = 0; at < memory.u8.length; at++) memory.u8[at] = (at * 7 + (at >>> 12)) & 0xff;
});

test.each([10, 255])("zeroing frame %i leaves its neighbours alone", (mfn) => {
  const before = Uint8Array.from(memory.u8);
  memory.zero(mfn as Mfn);
  before.fill(0, mfn * FRAME_SIZE, (mfn + 1) * FRAME_SIZE);
  expect(Buffer.compare(memory.u8, before)).toBe(0);
});

test("a copy has the bytes that were there before, also where both overlap", () => {
  const before = Uint8Array.from(memory.u8);
  memory.copy(5001, 5000, 3000);
  before.copyWithin(5001, 5000, 8000);
  expect(Buffer.compare(memory.u8, before)).toBe(0);
});

test("differing frames: where, to 8 bytes, and where next", () => {
  const last = (memory.frames - 1) as Mfn;
  for (const other of [b, last]) {
    memory.copy(other * FRAME_SIZE, a * FRAME_SIZE, FRAME_SIZE);
    expect(memory.differ(a, other, 0)).toBe(FRAME_SIZE);
    for (const at of [0, 1003, FRAME_SIZE - 1]) memory.u8[other * FRAME_SIZE + at] ^= 1;
    expect(memory.differ(a, other, 0)).toBe(0);
    expect(memory.differ(a, other, 8)).toBe(1000);
    expect(memory.differ(other, a, 1008)).toBe(FRAME_SIZE - 8);
    expect(memory.differ(a, other, FRAME_SIZE)).toBe(FRAME_SIZE);
  }
});

test("the next present entry of a table, the one asked from included, and none behind the last", () => {
  const last = (memory.frames - 1) as Mfn;
  for (const table of [a, last]) {
    memory.zero(table);
    expect(memory.nextPresent(table, 0)).toBe(512);
    for (const index of [3, 4, 511]) memory.u32[table * 1024 + index * 2] = 0xfffff001;
    memory.u32[table * 1024 + 2] = 0xfffffffe;
    memory.u32[table * 1024 + 3] = 0xffffffff;
    const found = [0, 3, 4, 5, 511, 512].map((from) => memory.nextPresent(table, from));
    expect(found).toEqual([3, 3, 4, 511, 511, 512]);
  }
});

test("words and bytes are changed in place, and what was there is told, as Atomics would", () => {
  const end = memory.frames * FRAME_SIZE;
  for (const at of [4096, 0x5004, end - 4]) {
    const before = Uint8Array.from(memory.u8);
    const words = new Int32Array(before.buffer);
    words[at / 4] = memory.i32[at / 4] = 0x80000005 | 0;
    expect(memory.atomicLoad(at)).toBe(0x80000005 | 0);
    expect(memory.atomicOr(at, 0x82)).toBe(Atomics.or(words, at / 4, 0x82));
    expect(memory.atomicAnd(at, ~0x80000004)).toBe(Atomics.and(words, at / 4, ~0x80000004));
    expect(memory.atomicExchange8(at + 3, 0xfe)).toBe(Atomics.exchange(before, at + 3, 0xfe));
    expect(memory.atomicExchange8(at + 3, 1)).toBe(Atomics.exchange(before, at + 3, 1));
    expect(memory.atomicLoad(at)).toBe(0x01000083);
    expect(Buffer.compare(memory.u8, before)).toBe(0);
  }
});

// The hypervisor's reads and writes of guest memory: pages that straddle, rights, and addresses that are not the guest's.

import { afterEach, beforeEach, expect, it } from "vitest";
import { makeWords } from "../../../hypervisor/memory/guest_access.ts";
import type { Va } from "../../../shared/brand.ts";
import { Fixture, type Guest, lo, P } from "./fixture.ts";

let f: Fixture;
let a: Guest;

beforeEach(() => {
  f = new Fixture();
  a = f.guest(1);
});
afterEach(() => f.clean());

const bytes = Uint8Array.from({ length: 64 }, (_, i) => i + 1);

it("copies across pages that are not neighbours in machine memory", () => {
  f.update(a, [
    [a.l1[0], 3, lo(a.p2m[9], P | 2)],
    [a.l1[0], 4, lo(a.p2m[7], P | 2)],
  ]);
  const va = (5 * 4096 - 4096 - 20) as Va;
  expect(f.access.write(a.vcpu, va, bytes, 0, 64)).toBe(true);
  expect(f.memory.frame(a.p2m[9])[4095]).toBe(20);
  expect(f.memory.frame(a.p2m[7])[0]).toBe(21);
  const back = new Uint8Array(70);
  expect(f.access.read(a.vcpu, va, back, 6, 64)).toBe(true);
  expect(back.slice(6)).toEqual(bytes);
});

it("refuses what is not mapped, and to write what is read-only", () => {
  const into = new Uint8Array(16);
  expect(f.access.read(a.vcpu, 0x300000 as Va, into, 0, 16)).toBe(false);
  expect(f.access.read(a.vcpu, -1, into, 0, 16)).toBe(false);
  expect(f.access.read(a.vcpu, (a.l1Page * 4096) as Va, into, 0, 16)).toBe(true);
  const before = f.entry(a.l1[0], 0);
  expect(f.access.write(a.vcpu, (a.l1Page * 4096) as Va, bytes, 0, 16)).toBe(false);
  expect(f.entry(a.l1[0], 0)).toEqual(before);
});

it("refuses the hypervisor's range, even though a guest can read part of it, and ranges that reach or wrap into it", () => {
  const into = new Uint8Array(64);
  for (const va of [0x800000000000, 0x800000000000 - 8, 0x87fffffffff8, 2 ** 48 - 8])
    expect(f.access.read(a.vcpu, va as Va, into, 0, 16)).toBe(false);
  expect(f.walker.walk(a.l4, 0x800000000000 as Va, 0)).not.toBe(-1);
  expect(f.access.read(a.vcpu, 0 as Va, into, 0, 0)).toBe(true);
  // The last page of the lower half, mapped: what lies behind it is not.
  f.update(a, [
    [a.l4, 255, lo(a.l3, P)],
    [a.l3, 511, lo(a.l2, P)],
    [a.l2, 511, lo(a.l1[0], P)],
    [a.l1[0], 511, lo(a.p2m[3], P)],
  ]);
  expect(f.access.read(a.vcpu, (0x800000000000 - 16) as Va, into, 0, 16)).toBe(true);
  expect(f.access.read(a.vcpu, (0x800000000000 - 8) as Va, into, 0, 16)).toBe(false);
});

it("marks pages accessed and dirty", () => {
  f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P | 2)]]);
  f.access.readU32(a.vcpu, 0x3000 as Va);
  expect(f.entry(a.l1[0], 3).flags & 0x60).toBe(0x20);
  f.access.writeU64(a.vcpu, 0x3008 as Va, 2 ** 40 + 7);
  expect(f.entry(a.l1[0], 3).flags & 0x60).toBe(0x60);
  expect(f.access.readU64(a.vcpu, 0x3008 as Va)).toBe(2 ** 40 + 7);
});

it("moves words as it moves bytes: aligned or not, across pages, and refuses the same", () => {
  f.update(a, [
    [a.l1[0], 3, lo(a.p2m[9], P | 2)],
    [a.l1[0], 4, lo(a.p2m[7], P | 2)],
  ]);
  const from = makeWords(16);
  from.u8.set(bytes);
  for (const offset of [0x3000, 0x3100, 0x3101, 0x4000 - 64, 0x4000 - 60, 0x4000 - 3]) {
    const va = offset as Va;
    const [into, back] = [makeWords(16), new Uint8Array(64)];
    f.memory.zero(a.p2m[9]);
    f.memory.zero(a.p2m[7]);
    expect(f.access.writeWords(a.vcpu, va, from, 15)).toBe(true);
    expect(f.access.read(a.vcpu, va, back, 0, 64)).toBe(true);
    expect(back).toEqual(Uint8Array.from({ length: 64 }, (_, i) => (i < 60 ? i + 1 : 0)));
    expect(f.access.readWords(a.vcpu, va, into, 13)).toBe(true);
    expect(into.u8.slice(0, 52)).toEqual(bytes.slice(0, 52));
    expect(into.u32[13]).toBe(0);
  }
  const words = makeWords(4);
  for (const va of [0x300000, -1, 0x800000000000, 0x800000000000 - 8, 2 ** 48 - 8])
    expect(f.access.readWords(a.vcpu, va as Va, words, 4)).toBe(false);
  expect(f.access.writeWords(a.vcpu, (a.l1Page * 4096) as Va, words, 4)).toBe(false);
});

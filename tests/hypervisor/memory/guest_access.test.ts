// The hypervisor's reads and writes of guest memory: pages that straddle, rights, and addresses that are not the guest's.

import { afterEach, beforeEach, expect, it } from "vitest";
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

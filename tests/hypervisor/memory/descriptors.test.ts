// GDT frames and segment descriptors: nothing below ring 3, no gates but call gates, and no writing behind the check.

import { afterEach, beforeEach, expect, it } from "vitest";
import { setGdt, updateDescriptor } from "../../../hypervisor/hypercalls/descriptors.ts";
import { CpuLayout } from "../../../hypervisor/machine/cpu_state.ts";
import { DescriptorCheck } from "../../../hypervisor/memory/descriptors.ts";
import { PageType } from "../../../hypervisor/memory/frame_table.ts";
import { XEN_EBUSY, XEN_EFAULT, XEN_EINVAL } from "../../../shared/abi/errno.ts";
import { Fixture, type Guest, lo, P, RW } from "./fixture.ts";

let f: Fixture;
let a: Guest;
let b: Guest;

beforeEach(() => {
  f = new Fixture();
  a = f.guest(1);
  b = f.guest(2);
});
afterEach(() => f.clean());

const CODE64 = 0x00af9b00;
const CALL_GATE = 0x8c00;

it("raises every segment to ring 3", () => {
  const check = new DescriptorCheck();
  for (const [hi, expected] of [
    [CODE64, CODE64 | 0x6000],
    [0x00cf9300 | 0x2000, 0x00cf9300 | 0x6000],
    [0x00cff300, 0x00cff300],
  ]) {
    expect(check.accept(0xffff, hi)).toBe(true);
    expect(check.hi).toBe(expected);
  }
});

it("refuses system descriptors but for call gates, and takes what is not present", () => {
  const check = new DescriptorCheck();
  for (let type = 1; type < 16; type++) expect(check.accept(0, 0x8000 | (type << 8))).toBe(type === 12);
  for (let type = 0; type < 16; type++) expect(check.accept(0x12345678, (type << 8) | 0x60)).toBe(true);
  expect(check.accept(0, 0x8000)).toBe(true);
});

it("disarms call gates, and refuses those to the hypervisor's segments", () => {
  const check = new DescriptorCheck();
  expect(check.accept(0x00081234, CALL_GATE | 0x6000)).toBe(true);
  expect([check.lo, check.hi]).toEqual([0x000b1234, CALL_GATE]);
  expect(check.accept(0xe0331234, CALL_GATE)).toBe(true);
  for (const selector of [0xe000, 0xe008, 0xe010, 0xe02b, 0xfff8])
    expect(check.accept((selector << 16) >>> 0, CALL_GATE)).toBe(false);
  expect(check.accept(0x00080000, CALL_GATE | 1)).toBe(false);
});

function gdt(g: Guest, frames: number[], entries: number): number {
  const { view, va } = f.arg(g);
  frames.forEach((mfn, i) => {
    view.setBigUint64(i * 8, BigInt(mfn), true);
  });
  return f.call(g, setGdt, va, entries);
}

it("takes frames that are not writable anywhere, and holds them until others come", () => {
  expect(gdt(a, [a.p2m[3]], 10)).toBe(-XEN_EINVAL); // Mapped writable.
  f.update(a, [
    [a.l1[0], 3, lo(a.p2m[3], P)],
    [a.l1[0], 4, lo(a.p2m[4], P)],
  ]);
  expect(gdt(a, [a.p2m[3], a.p2m[4]], 600)).toBe(0);
  expect(f.frames.type[a.p2m[3]]).toBe(PageType.SegDesc);
  expect(a.vcpu.cpu.field(CpuLayout.gdtEntries)).toBe(600);
  expect(a.vcpu.cpu.field(CpuLayout.gdtFrames + 4)).toBe(a.p2m[4]);
  f.clean();
  expect(f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P | RW)]]).error).toBe(-XEN_EBUSY);
  expect(gdt(a, [], 0)).toBe(0);
  expect(f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P | RW)]]).error).toBe(0);
});

it("refuses others' frames, too many entries, bad contents and unreadable lists, and keeps the old one", () => {
  f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P)]]);
  expect(gdt(a, [a.p2m[3]], 1)).toBe(0);
  f.memory.u32[a.p2m[5] * 1024 + 1] = 0x8900; // A task state segment.
  f.update(a, [[a.l1[0], 5, lo(a.p2m[5], P)]]);
  expect(gdt(a, [a.p2m[3], a.p2m[5]], 600)).toBe(-XEN_EINVAL);
  expect(gdt(a, [b.p2m[3]], 1)).toBe(-XEN_EINVAL);
  expect(gdt(a, [2 ** 33 + a.p2m[3]], 1)).toBe(-XEN_EINVAL);
  expect(gdt(a, [a.p2m[3]], 7169)).toBe(-XEN_EINVAL);
  expect(f.call(a, setGdt, 0xffff800000000000n, 1)).toBe(-XEN_EFAULT);
  expect(a.vcpu.cpu.field(CpuLayout.gdtFrames)).toBe(a.p2m[3]);
});

it("changes a descriptor in a GDT frame or an unused one, checked, and in no page table", () => {
  f.update(a, [[a.l1[0], 3, lo(a.p2m[3], P)]]);
  gdt(a, [a.p2m[3]], 10);
  const write = (mfn: number, offset: number, value: bigint): number =>
    f.call(a, updateDescriptor, BigInt(mfn) * 4096n + BigInt(offset), value);
  expect(write(a.p2m[3], 8, 0x00af9b000000ffffn)).toBe(0);
  expect(f.memory.u32[a.p2m[3] * 1024 + 3]).toBe(0x00affb00);
  expect(write(a.p2m[4], 8, 0x00af9b000000ffffn)).toBe(0);
  expect(write(a.p2m[3], 8, 0x0000890000000000n)).toBe(-XEN_EINVAL);
  expect(write(a.p2m[3], 4, 0n)).toBe(-XEN_EINVAL);
  expect(write(a.l1[0], 8, 0x00af9b000000ffffn)).toBe(-XEN_EINVAL);
  expect(write(b.p2m[3], 8, 0x00af9b000000ffffn)).toBe(-XEN_EINVAL);
});

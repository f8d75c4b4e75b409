// The allocator, a domain's reservation (memory_op) and the end of a domain: who gets which frame, that a frame handed out
// reads zero, and that frames come back exactly when nobody refers to them any more.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CONTINUE } from "../../../hypervisor/hypercalls/args.ts";
import { memoryOp } from "../../../hypervisor/hypercalls/memory_op.ts";
import { FRAME_SIZE } from "../../../hypervisor/machine/memory.ts";
import { XEN_EACCES, XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../../shared/abi/errno.ts";
import {
  XENMEM_add_to_physmap,
  XENMEM_claim_pages,
  XENMEM_current_reservation,
  XENMEM_decrease_reservation,
  XENMEM_exchange,
  XENMEM_increase_reservation,
  XENMEM_machphys_mapping,
  XENMEM_machphys_mfn_list,
  XENMEM_maximum_ram_page,
  XENMEM_maximum_reservation,
  XENMEM_memory_map,
  XENMEM_populate_physmap,
  XENMEM_set_memory_map,
  XenMemoryReservation,
} from "../../../shared/abi/memory.ts";
import { DOMID_SELF } from "../../../shared/abi/xen.ts";
import type { Mfn } from "../../../shared/brand.ts";
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

/** A reservation call; the list, if any, is put 512 bytes into the argument page and returned afterwards. */
function reserve(g: Guest, op: number, list: number[], order = 0, domid: number = DOMID_SELF): [number, number[]] {
  const { view, va } = f.arg(g);
  const r = XenMemoryReservation.at(view);
  r.extent_start_num = list.length ? va + 512 : 0;
  r.nr_extents_num = list.length || 1;
  r.extent_order = order;
  r.mem_flags = 0;
  r.domid = domid;
  list.forEach((v, i) => {
    view.setBigUint64(512 + i * 8, BigInt(v), true);
  });
  const result = f.call(g, memoryOp, op, va);
  return [result, list.map((_, i) => Number(view.getBigUint64(512 + i * 8, true)))];
}

describe("the allocator", () => {
  it("looks for consecutive frames on from where it last found some, and tells how long it looked", () => {
    const greedy = f.guest(3, false, 64);
    greedy.domain.memory.maxPages = f.frames.totalFrames;
    const got: Mfn[] = [];
    for (let mfn = greedy.domain.memory.alloc(); mfn !== -1; mfn = greedy.domain.memory.alloc()) got.push(mfn);
    got.sort((x, y) => x - y);
    // Every second frame comes back, and at the end of memory 20 consecutive ones.
    const end = got.length - 20;
    for (const mfn of got.filter((_, i) => i >= end || i % 2 === 0)) greedy.domain.memory.free(mfn);
    f.frames.searched = 0;
    expect(greedy.domain.memory.allocExtent(1)).toBeGreaterThan(0);
    const far = f.frames.searched;
    expect(far).toBeGreaterThan(got.length / 4);
    for (let i = 0; i < 7; i++) expect(greedy.domain.memory.allocExtent(1)).toBeGreaterThan(0);
    expect(f.frames.searched - far).toBeLessThan(100);
    for (let i = 0; i < 3; i++) greedy.domain.memory.allocExtent(1);
    expect(greedy.domain.memory.allocExtent(1)).toBe(-1);
    expect(greedy.domain.memory.allocExtent(3)).toBe(-1);
    f.destroy(greedy);
  });

  it("takes consecutive frames among those used before, and looks again only when one came back", () => {
    const g = f.guest(3, false, 64);
    g.domain.memory.maxPages = f.frames.totalFrames;
    const extents = Array.from({ length: 4 }, () => g.domain.memory.allocExtent(4) as Mfn);
    const fourth = extents[3];
    for (const mfn of extents) for (let i = 0; i < 16; i++) g.domain.memory.free(mfn + i);
    const again = Array.from({ length: 4 }, () => g.domain.memory.allocExtent(4) as Mfn);
    expect(again.sort((x, y) => x - y)).toEqual(extents);
    expect(g.domain.memory.allocExtent(4)).toBeGreaterThan(fourth);
    // Now 15 frames of an extent: not enough for 16, which is found out once.
    for (let i = 0; i < 15; i++) g.domain.memory.free(fourth + i);
    const spare = g.domain.memory.allocExtent(4) as Mfn;
    for (let i = 1; i < 16; i += 2) g.domain.memory.free(spare + i);
    g.domain.memory.allocExtent(4);
    f.frames.searched = 0;
    for (let i = 0; i < 4; i++) g.domain.memory.allocExtent(4);
    expect(f.frames.searched).toBe(0);
    g.domain.memory.free(fourth + 15);
    expect(g.domain.memory.allocExtent(4)).toBe(fourth);
    f.destroy(g);
  });

  it("finds the last consecutive frames of all, where those used before meet those never used", () => {
    const g = f.guest(3, false, 64);
    const { memory } = g.domain;
    const { frames } = f;
    memory.maxPages = frames.totalFrames;
    const last = Math.floor(frames.totalFrames / 16) * 16 - 16;
    const singles: Mfn[] = [];
    do singles.push(memory.alloc() as Mfn);
    while ((singles.at(-1) as Mfn) < last + 7);
    // Half of the last extent, and before it as many as make one, but no two beside each other.
    for (let i = 0; i < 8; i++) memory.free(last + i);
    for (let i = 1; i <= 10; i++) memory.free(last - 2 * i);
    frames.searched = 0;
    expect(memory.allocExtent(4)).toBe(last);
    const places = Math.floor((frames.totalFrames - Math.ceil(frames.first / 16) * 16) / 16);
    expect(frames.searched).toBeLessThanOrEqual(2 * places);
    frames.searched = 0;
    expect(memory.allocExtent(4)).toBe(-1);
    expect(frames.searched).toBeLessThanOrEqual(places);
    f.destroy(g);
  });

  it("takes those never used without a search when too few came back, those used before when just enough did", () => {
    const g = f.guest(3, false, 64);
    const { memory } = g.domain;
    const { frames } = f;
    memory.maxPages = frames.totalFrames;
    const extent = memory.allocExtent(4) as Mfn;
    while ((memory.alloc() as Mfn) < extent); // What was skipped for the extent's sake.
    for (let i = 0; i < 15; i++) memory.free(extent + i);
    frames.searched = 0;
    const next = memory.allocExtent(4) as Mfn;
    expect([next > extent, frames.searched]).toEqual([true, 0]);
    while (frames.freeFrames > frames.totalFrames - next - 16) memory.alloc(); // Those again, and the 15.
    for (let i = 0; i < 16; i++) memory.free(extent + i);
    expect(memory.allocExtent(4)).toBe(extent);
    f.destroy(g);
  });

  it("hands out freed frames first, cleared", () => {
    f.update(a, [[a.l1[0], 3, 0]]);
    f.memory.frame(a.p2m[3]).fill(0xaa);
    expect(reserve(a, XENMEM_decrease_reservation, [a.p2m[3]])[0]).toBe(1);
    expect(f.frames.m2p.get(a.p2m[3])).toBe(-1);
    const [, [got]] = reserve(b, XENMEM_increase_reservation, [0]);
    expect(got).toBe(0); // At its limit.
    b.domain.memory.maxPages++;
    const [done, [mfn]] = reserve(b, XENMEM_increase_reservation, [0]);
    expect([done, mfn]).toEqual([1, a.p2m[3]]);
    expect(f.memory.frame(a.p2m[3]).every((byte) => byte === 0)).toBe(true);
  });

  it("finds aligned runs among freed and untouched frames", () => {
    b.domain.memory.maxPages = 1000;
    const [done, [first]] = reserve(b, XENMEM_increase_reservation, [0], 7);
    expect(done).toBe(1);
    expect(first % 128).toBe(0);
    for (let i = 0; i < 128; i++) expect(f.frames.ownerOf((first + i) as Mfn)).toBe(2);
    expect(reserve(b, XENMEM_decrease_reservation, [first], 7)[0]).toBe(1);
    b.domain.memory.maxPages = 5000;
    const singles = f.frames.freeFrames;
    expect(reserve(b, XENMEM_increase_reservation, [0], 9)[0]).toBe(1);
    expect(f.frames.freeFrames).toBe(singles - 512);
  });

  it("gives nothing when memory is full, and everything back afterwards", () => {
    const free = f.frames.freeFrames;
    b.domain.memory.maxPages = 100000;
    while (b.domain.memory.alloc() !== -1);
    expect(f.frames.freeFrames).toBe(0);
    expect(reserve(b, XENMEM_increase_reservation, [0])[0]).toBe(0);
    f.clean();
    expect(f.destroy(b)).toBe(0);
    expect(f.frames.freeFrames).toBe(free + 64);
  });
});

describe("memory_op", () => {
  it("populates with the numbers that the guest gives, and says so in the machine-to-physical table", () => {
    a.domain.memory.maxPages += 2;
    const [done, mfns] = reserve(a, XENMEM_populate_physmap, [1000, 1001]);
    expect(done).toBe(2);
    expect(mfns.map((mfn) => f.frames.m2p.get(mfn as Mfn))).toEqual([1000, 1001]);
    expect(mfns.map((mfn) => f.frames.ownerOf(mfn as Mfn))).toEqual([1, 1]);
  });

  it("stops at the domain's limit and tells how far it came", () => {
    a.domain.memory.maxPages += 1;
    expect(reserve(a, XENMEM_populate_physmap, [1, 2, 3])[0]).toBe(1);
  });

  it("gives back own frames only, and keeps one that is still mapped until it is not", () => {
    expect(reserve(a, XENMEM_decrease_reservation, [b.p2m[0]])[0]).toBe(0);
    expect(reserve(a, XENMEM_decrease_reservation, [2 ** 40, 5])[0]).toBe(0);
    const before = a.domain.memory.totPages;
    expect(reserve(a, XENMEM_decrease_reservation, [a.p2m[3]])[0]).toBe(1);
    expect(a.domain.memory.totPages).toBe(before);
    expect(f.frames.ownerOf(a.p2m[3])).toBe(1);
    expect(reserve(a, XENMEM_decrease_reservation, [a.p2m[3]])[0]).toBe(1); // As in Xen: it is there, and has no more to give.
    f.update(a, [[a.l1[0], 3, 0]]);
    expect(a.domain.memory.totPages).toBe(before - 1);
  });

  it("continues a long call where it stopped", () => {
    f.preempt = true;
    a.domain.memory.maxPages += 400;
    const list = Array.from({ length: 400 }, (_, i) => 2000 + i);
    expect(reserve(a, XENMEM_populate_physmap, list)[0]).toBe(CONTINUE);
    f.preempt = false;
    const { va } = f.arg(a);
    expect(f.call(a, memoryOp, XENMEM_populate_physmap + 256 * 64, va)).toBe(400);
    expect(a.domain.memory.totPages).toBe(464);
  });

  it("asks after each extent of several frames whether others must run, and does one before", () => {
    f.preempt = true;
    a.domain.memory.maxPages += 6;
    for (let done = 1; done <= 2; done++) {
      expect(reserve(a, XENMEM_increase_reservation + (done - 1) * 64, [0, 0, 0], 1)[0]).toBe(CONTINUE);
      expect(a.domain.memory.totPages).toBe(64 + 2 * done);
    }
    expect(reserve(a, XENMEM_increase_reservation + 2 * 64, [0, 0, 0], 1)[0]).toBe(3);
  });

  it("works on another domain only with privilege", () => {
    const dom0 = f.guest(0, true);
    b.domain.memory.maxPages++;
    expect(reserve(a, XENMEM_populate_physmap, [7], 0, 2)[0]).toBe(0);
    expect(reserve(dom0, XENMEM_populate_physmap, [7], 0, 2)[0]).toBe(1);
    expect(reserve(dom0, XENMEM_populate_physmap, [7], 0, 99)[0]).toBe(0);
    expect(b.domain.memory.totPages).toBe(65);
  });

  it("refuses extents that are too large, and lists that cannot be read", () => {
    a.domain.memory.maxPages = 2000;
    expect(reserve(a, XENMEM_increase_reservation, [0], 10)[0]).toBe(0);
    f.update(a, [[a.l1[0], 0, 0]]);
    expect(reserve(a, XENMEM_populate_physmap, [])[0]).toBe(0); // A null list, now that nothing is there.
    expect(f.call(a, memoryOp, XENMEM_populate_physmap, 0xffff800000000000n)).toBe(0);
  });

  it("exchanges frames that are in no other use, all of a chunk or nothing", () => {
    const exchange = (mfn: number, pfn: number): number => {
      const { view, va } = f.arg(a);
      for (const [at, value] of [
        [0, mfn],
        [8, 0],
      ])
        view.setBigUint64(512 + at, BigInt(value), true);
      view.setBigUint64(520, BigInt(pfn), true);
      for (const [base, list] of [
        [0, va + 512],
        [32, va + 520],
      ]) {
        const r = XenMemoryReservation.at(view, base);
        r.extent_start_num = list;
        r.nr_extents_num = 1;
        r.extent_order = 0;
        r.domid = DOMID_SELF;
      }
      view.setBigUint64(64, 0n, true);
      return f.call(a, memoryOp, XENMEM_exchange, va);
    };
    a.domain.memory.maxPages++;
    expect(exchange(a.p2m[3], 3)).toBe(-XEN_EINVAL); // Mapped.
    expect(exchange(b.p2m[3], 3)).toBe(-XEN_EINVAL);
    f.update(a, [[a.l1[0], 3, 0]]);
    expect(exchange(a.p2m[3], 3)).toBe(0);
    const { view } = f.arg(a);
    const got = Number(view.getBigUint64(520, true));
    expect(f.frames.ownerOf(got as Mfn)).toBe(1);
    expect(f.frames.m2p.get(got as Mfn)).toBe(3);
    expect(a.domain.memory.totPages).toBe(64);
    expect(view.getBigUint64(64, true)).toBe(1n);
  });

  it("answers questions", () => {
    const { view, va } = f.arg(a);
    const ask = (op: number, domid: number): number => {
      view.setUint16(0, domid, true);
      return f.call(a, memoryOp, op, va);
    };
    expect(ask(XENMEM_current_reservation, DOMID_SELF)).toBe(64);
    expect(ask(XENMEM_maximum_reservation, 1)).toBe(64);
    expect(ask(XENMEM_current_reservation, 2)).toBe(-XEN_EPERM);
    expect(ask(XENMEM_current_reservation, 5)).toBe(-XEN_ESRCH);
    expect(f.call(a, memoryOp, XENMEM_maximum_ram_page, 0)).toBe(f.frames.totalFrames);
    expect(f.call(a, memoryOp, XENMEM_machphys_mapping, va)).toBe(0);
    expect(view.getBigUint64(0, true)).toBe(0xffff800000000000n);
    expect(view.getBigUint64(8, true)).toBe(0xffff804000000000n);
    expect(view.getBigUint64(16, true)).toBe(2n ** 35n - 1n);
    view.setUint32(0, 8, true);
    view.setBigUint64(8, BigInt(va + 512), true);
    expect(f.call(a, memoryOp, XENMEM_machphys_mfn_list, va)).toBe(0);
    expect(view.getUint32(16, true)).toBe(1);
    expect(view.getUint32(512, true)).toBe(f.frames.m2p.firstFrame);
    expect(f.call(a, memoryOp, XENMEM_claim_pages, va)).toBe(-XEN_EINVAL);
    expect(f.call(a, memoryOp, 18, va)).toBe(-XEN_ENOSYS);
    expect(f.call(a, memoryOp, XENMEM_add_to_physmap, va)).toBe(-XEN_ESRCH);
    view.setUint16(0, DOMID_SELF, true);
    expect(f.call(a, memoryOp, XENMEM_add_to_physmap, va)).toBe(-XEN_EACCES);
  });

  it("keeps the memory map that the toolstack gave, and has none before", () => {
    const { view, va } = f.arg(a);
    const memoryMap = (room: number): number => {
      view.setUint32(0, room, true);
      view.setBigUint64(8, BigInt(va + 1024), true);
      return f.call(a, memoryOp, XENMEM_memory_map, va);
    };
    expect(memoryMap(4)).toBe(-XEN_ENOSYS);
    const set = (count: number, buffer: number): number => {
      view.setUint16(0, DOMID_SELF, true);
      view.setUint32(8, count, true);
      view.setBigUint64(16, BigInt(buffer), true);
      return f.call(a, memoryOp, XENMEM_set_memory_map, va);
    };
    for (let i = 0; i < 40; i++) view.setUint8(512 + i, i);
    expect(set(129, va + 512)).toBe(-XEN_EINVAL);
    expect(set(2, 0x1000000)).toBe(-XEN_EFAULT);
    expect(set(2, va + 512)).toBe(0);
    expect(memoryMap(4)).toBe(0);
    expect(view.getUint32(0, true)).toBe(2);
    expect(new Uint8Array(view.buffer, view.byteOffset + 1024, 40)).toEqual(
      Uint8Array.from({ length: 40 }, (_, i) => i),
    );
    expect(memoryMap(1)).toBe(0);
    expect(view.getUint32(0, true)).toBe(1);
  });
});

describe("a domain's end", () => {
  it("gives all its frames back, tables and pins or not", () => {
    const free = f.frames.freeFrames;
    expect(f.destroy(a)).toBe(0);
    expect(f.frames.freeFrames).toBe(free + 64);
    expect(f.domains.has(1 as never)).toBe(false);
  });

  it("takes back as many frames in a piece as it is told, if they are no tables", () => {
    const g = f.guest(3, false, 64);
    g.domain.memory.maxPages = 200;
    for (let i = 0; i < 100; i++) g.domain.memory.alloc();
    const taken: number[] = [];
    for (let before = 164, left = 1; left > 0; before = left) {
      left = f.mm.relinquish(g.domain, 10);
      taken.push(before - left);
    }
    expect(taken.filter((n) => n === 10).length).toBeGreaterThan(8);
    expect(taken.slice(0, -1).every((n) => n <= 10)).toBe(true);
    f.destroy(g);
  });

  it("leaves the frames that a privileged domain has mapped, until it lets go", () => {
    const dom0 = f.guest(0, true);
    expect(f.update(dom0, [[dom0.l1[0], 200, lo(a.p2m[3], P | RW)]], 1).error).toBe(0);
    const free = f.frames.freeFrames;
    expect(f.destroy(a)).toBe(1);
    f.clean();
    expect(f.frames.freeFrames).toBe(free + 63);
    expect(f.domains.has(1 as never)).toBe(true);
    f.memory.u8[a.p2m[3] * FRAME_SIZE] = 1;
    f.update(dom0, [[dom0.l1[0], 200, 0]]);
    expect(f.frames.freeFrames).toBe(free + 64);
    expect(f.domains.has(1 as never)).toBe(false);
  });

  it("frees the shared frames last", () => {
    const mfn = f.frames.allocXen() as Mfn;
    f.frames.shareWithGuest(mfn, a.domain, false);
    expect(f.update(a, [[a.l1[0], 200, lo(mfn, P | RW)]]).error).toBe(0);
    expect(f.update(b, [[b.l1[0], 200, lo(mfn, P | RW)]]).error).toBeLessThan(0);
    const readonly = f.frames.allocXen() as Mfn;
    f.frames.shareWithGuest(readonly, a.domain, true);
    expect(f.update(a, [[a.l1[0], 201, lo(readonly, P | RW)]]).error).toBeLessThan(0);
    expect(f.update(a, [[a.l1[0], 201, lo(readonly, P)]]).error).toBe(0);
    expect(f.ext(a, 0, mfn)).toBe(-XEN_EINVAL); // No table can be made of it.
    f.clean();
    const free = f.frames.freeFrames;
    expect(f.destroy(a)).toBe(0);
    expect(f.frames.freeFrames).toBe(free + 66);
  });
});

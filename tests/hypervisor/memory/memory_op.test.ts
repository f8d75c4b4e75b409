// memory_op, by hypercall, at its edges: lists and counts of every size, whose memory it may be, exchange of extents of
// different orders, maps, and what is for translated guests only.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import {
  XENMEM_add_to_physmap,
  XENMEM_claim_pages,
  XENMEM_current_reservation,
  XENMEM_decrease_reservation,
  XENMEM_exchange,
  XENMEM_get_pod_target,
  XENMEM_get_vnumainfo,
  XENMEM_increase_reservation,
  XENMEM_machine_memory_map,
  XENMEM_machphys_mfn_list,
  XENMEM_maximum_gpfn,
  XENMEM_maximum_ram_page,
  XENMEM_maximum_reservation,
  XENMEM_memory_map,
  XENMEM_populate_physmap,
  XENMEM_set_memory_map,
} from "../../../shared/abi/memory.ts";
import { __HYPERVISOR_memory_op } from "../../../shared/abi/xen.ts";
import type { Mfn } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const SELF = 0x7ff0;
const LIST = 0x1000;
const OUT = 0x2000;
const XEN = 0xffff_8000_0000_0000n;
let hv: Hypervisor;
let dom0: BareDomain;
let a: BareDomain;
let b: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  a = new BareDomain(hv, 1);
  b = new BareDomain(hv, 2);
  a.domain.memory.maxPages = 2000;
});

const call = (d: BareDomain, cmd: number | bigint, va: number | bigint = FLAT): number =>
  d.call(__HYPERVISOR_memory_op, cmd, va);

/** struct xen_memory_reservation: extent_start, nr_extents, extent_order, mem_flags, domid. */
function put(d: BareDomain, at: number, list: bigint, count: bigint, order: number, domid: number): void {
  d.view.setBigUint64(at, list, true);
  d.view.setBigUint64(at + 8, count, true);
  d.view.setUint32(at + 16, order, true);
  d.view.setUint32(at + 20, 0, true);
  d.view.setUint32(at + 24, domid, true);
}
function reserve(d: BareDomain, cmd: number, list: bigint, count: bigint, order = 0, domid = SELF): number {
  put(d, 0, list, count, order, domid);
  return call(d, cmd);
}
const words = (d: BareDomain, at: number, values: number[]): void => {
  values.forEach((value, i) => {
    d.view.setBigUint64(at + i * 8, BigInt(value), true);
  });
};
const read = (d: BareDomain, at: number): number => Number(d.view.getBigUint64(at, true));
const AT = BigInt(FLAT + LIST);

describe("reservations", () => {
  test("counts of 2^32 and more do nothing, whatever their low half", () => {
    const before = a.domain.memory.totPages;
    for (const count of [1n << 32n, (1n << 32n) + 1n, 1n << 63n, (1n << 26n) + 0n, 0xffff_ffff_ffff_ffffn])
      for (const cmd of [XENMEM_increase_reservation, XENMEM_decrease_reservation, XENMEM_populate_physmap])
        expect([cmd, count, reserve(a, cmd, AT, count)]).toEqual([cmd, count, 0]);
    expect(a.domain.memory.totPages).toBe(before);
  });

  test("a list in Xen's range, not canonical, or running out of its page", () => {
    for (const list of [XEN, 1n << 47n, 0x1000n, 0x7fff_ffff_fff8n])
      for (const cmd of [XENMEM_increase_reservation, XENMEM_decrease_reservation, XENMEM_populate_physmap])
        expect([cmd, list, reserve(a, cmd, list, 2n)]).toEqual([cmd, list, 0]);
    a.unmap(0x3000);
    words(a, 0x2ff8, [5]);
    const before = a.domain.memory.totPages;
    const totals = reserve(a, XENMEM_populate_physmap, BigInt(FLAT + 0x2ff8), 2n);
    expect([totals, a.domain.memory.totPages - before]).toEqual([1, 1]);
  });

  test("increase without a list gives frames whose numbers are not told; orders up to 9 for a domU, 12 for dom0", () => {
    const before = a.domain.memory.totPages;
    expect(reserve(a, XENMEM_increase_reservation, 0n, 2n, 1)).toBe(2);
    expect(a.domain.memory.totPages - before).toBe(4);
    expect(reserve(a, XENMEM_decrease_reservation, 0n, 1n)).toBe(0);
    expect(reserve(a, XENMEM_increase_reservation, AT, 1n, 9)).toBe(1);
    expect(read(a, LIST) % 512).toBe(0);
    expect(reserve(a, XENMEM_increase_reservation, AT, 1n, 10)).toBe(0);
    dom0.domain.memory.maxPages = 100_000;
    expect(reserve(dom0, XENMEM_increase_reservation, AT, 1n, 10)).toBe(1);
    expect(reserve(dom0, XENMEM_increase_reservation, AT, 1n, 13)).toBe(0);
  });

  test("populate numbers every frame of an extent, and no more", () => {
    const next = hv.frames.m2p.get((a.data + 127) as Mfn);
    words(a, LIST, [1000]);
    expect(reserve(a, XENMEM_populate_physmap, AT, 1n, 2)).toBe(1);
    const mfn = read(a, LIST);
    expect([0, 1, 2, 3].map((k) => hv.frames.m2p.get((mfn + k) as Mfn))).toEqual([1000, 1001, 1002, 1003]);
    expect(hv.frames.m2p.get((mfn + 4) as Mfn)).not.toBe(1004);
    expect(hv.frames.m2p.get((a.data + 127) as Mfn)).toBe(next);
  });

  test("a start beyond the count, as a forged continuation has it, does nothing", () => {
    put(a, 0, AT, 4n, 0, SELF);
    words(a, LIST, [1, 2, 3, 4]);
    expect(call(a, XENMEM_populate_physmap + 3 * 64)).toBe(4);
    expect(call(a, XENMEM_populate_physmap + 4 * 64)).toBe(4);
    expect(call(a, XENMEM_populate_physmap + 5 * 64)).toBe(5);
    expect(read(a, LIST)).toBe(1);
    for (const cmd of [XENMEM_exchange, XENMEM_maximum_ram_page, XENMEM_current_reservation, XENMEM_claim_pages])
      expect([cmd, call(a, cmd + 64)]).toEqual([cmd, -22]);
    expect(call(a, XENMEM_get_vnumainfo + 64)).toBe(-22);
  });

  test("what can't be read does nothing", () => {
    expect(call(a, XENMEM_populate_physmap, 0x1000)).toBe(0);
    expect(call(a, XENMEM_populate_physmap + 2 * 64, 0x1000)).toBe(2);
  });
});

describe("exchange", () => {
  interface Sides {
    in?: [list: bigint, count: bigint, order: number, domid?: number];
    out?: [list: bigint, count: bigint, order: number, domid?: number];
    done?: bigint;
  }
  const IN = BigInt(FLAT + LIST);
  const TO = BigInt(FLAT + OUT);
  function exchange(d: BareDomain, sides: Sides): number {
    const given = sides.in ?? [IN, 1n, 0];
    const taken = sides.out ?? [TO, 1n, 0];
    put(d, 0, given[0], given[1], given[2], given[3] ?? SELF);
    put(d, 32, taken[0], taken[1], taken[2], taken[3] ?? SELF);
    d.view.setBigUint64(64, sides.done ?? 0n, true);
    return call(d, XENMEM_exchange);
  }
  const fresh = (d: BareDomain, order = 0): number => d.domain.memory.allocExtent(order) as number;

  test("refuses orders, counts, domains and lists that can't be", () => {
    words(a, LIST, [fresh(a)]);
    words(a, OUT, [77]);
    const before = a.domain.memory.totPages;
    expect(call(a, XENMEM_exchange, 0x1000)).toBe(-14);
    for (const [sides, result] of [
      [{ in: [IN, 1n, 10], out: [TO, 1n, 10] }, -1],
      [{ in: [IN, 512n, 0], out: [TO, 0n, 10] }, -1],
      [{ done: 2n }, -22],
      [{ done: 1n << 32n }, -22],
      [{ in: [IN, 1n, 0, 1] }, -22],
      [{ out: [TO, 2n, 0] }, -22],
      [{ in: [IN, 1n, 1] }, -22],
      [{ in: [IN, (1n << 32n) + 1n, 0] }, -22],
      [{ in: [IN, 1n << 55n, 9], out: [TO, 1n << 55n, 9] }, -22],
      [{ in: [IN, 1n << 46n, 0], out: [TO, 1n << 46n, 0] }, -14],
      [{ in: [XEN, 1n, 0] }, -14],
      [{ in: [1n << 47n, 1n, 0] }, -14],
      [{ out: [XEN, 1n, 0] }, -14],
      [{ in: [0x1000n, 1n, 0] }, -14],
      [{ in: [IN, 1n, 0, 77], out: [TO, 1n, 0, 77] }, -3],
      [{ in: [IN, 1n, 0, 2], out: [TO, 1n, 0, 2] }, -1],
      [{ done: 1n }, 0],
      [{ in: [IN, 0n, 0], out: [TO, 0n, 0] }, 0],
    ] as [Sides, number][])
      expect([sides, exchange(a, sides)]).toEqual([sides, result]);
    expect([a.domain.memory.totPages, read(a, OUT)]).toEqual([before, 77]);
  });

  test("of two frames for one of twice the size, and back", () => {
    words(a, LIST, [fresh(a), fresh(a)]);
    words(a, OUT, [600]);
    const before = a.domain.memory.totPages;
    expect(exchange(a, { in: [IN, 2n, 0], out: [TO, 1n, 1] })).toBe(0);
    expect(a.view.getBigUint64(64, true)).toBe(2n);
    const mfn = read(a, OUT);
    expect([mfn % 2, hv.frames.m2p.get(mfn as Mfn), hv.frames.m2p.get((mfn + 1) as Mfn)]).toEqual([0, 600, 601]);
    expect(hv.frames.m2p.get((mfn + 2) as Mfn)).not.toBe(602);
    words(a, LIST, [mfn]);
    words(a, OUT, [700, 701]);
    expect(exchange(a, { in: [IN, 1n, 1], out: [TO, 2n, 0] })).toBe(0);
    expect(a.view.getBigUint64(64, true)).toBe(1n);
    expect([read(a, OUT), read(a, OUT + 8)].map((m) => hv.frames.m2p.get(m as Mfn))).toEqual([700, 701]);
    expect(a.domain.memory.totPages).toBe(before);
  });

  test("a chunk with one frame that can't be given gives none of it", () => {
    const good = fresh(a);
    for (const bad of [a.data, b.domain.memory.alloc() as number, 1 << 30, good]) {
      words(a, LIST, [good, bad]);
      words(a, OUT, [5]);
      const counts = [hv.frames.refCount[good], a.domain.memory.totPages, hv.frames.freeFrames];
      expect([bad, exchange(a, { in: [IN, 2n, 0], out: [TO, 1n, 1] })]).toEqual([bad, -22]);
      expect([hv.frames.refCount[good], a.domain.memory.totPages, hv.frames.freeFrames]).toEqual(counts);
      expect(hv.frames.ownerOf(good as Mfn)).toBe(1);
      expect(a.view.getBigUint64(64, true)).toBe(0n);
    }
  });

  test("goes on from what was exchanged before, and tells how far it came", () => {
    const [x, y] = [fresh(a), fresh(a)];
    words(a, LIST, [a.data, x, y]); // The first has been done.
    words(a, OUT, [1, 2, 3]);
    expect(exchange(a, { in: [IN, 3n, 0], out: [TO, 3n, 0], done: 1n })).toBe(0);
    expect([a.view.getBigUint64(64, true), read(a, OUT)]).toEqual([3n, 1]);
    expect(hv.frames.refCount[a.data]).toBeGreaterThan(1); // Still the domain's, and mapped.
    expect([read(a, OUT + 8), read(a, OUT + 16)].map((mfn) => hv.frames.m2p.get(mfn as Mfn))).toEqual([2, 3]);
    words(a, LIST, [fresh(a), a.data]);
    expect(exchange(a, { in: [IN, 2n, 0], out: [TO, 2n, 0] })).toBe(-22);
    expect(a.view.getBigUint64(64, true)).toBe(1n);
  });

  test("the privileged exchange others' frames", () => {
    const mine = fresh(b);
    words(dom0, LIST, [mine]);
    words(dom0, OUT, [900]);
    expect(exchange(dom0, { in: [IN, 1n, 0, 2], out: [TO, 1n, 0, 2] })).toBe(0);
    expect(hv.frames.ownerOf(read(dom0, OUT) as Mfn)).toBe(2);
  });
});

describe("questions", () => {
  const ask = (d: BareDomain, cmd: number, domid: number): number => {
    d.view.setUint16(0, domid, true);
    return call(d, cmd);
  };

  test("each its own answer", () => {
    a.domain.memory.maxPages = 500;
    expect(ask(a, XENMEM_current_reservation, SELF)).toBe(132);
    expect(ask(a, XENMEM_maximum_reservation, SELF)).toBe(500);
    expect(ask(a, XENMEM_maximum_gpfn, SELF)).toBe(0);
    const maxPfn = a.domain.sharedInfo * 4096 + 3088;
    hv.memory.view.setBigUint64(maxPfn, 321n, true);
    expect(ask(dom0, XENMEM_maximum_gpfn, 1)).toBe(320);
    expect([XENMEM_current_reservation, XENMEM_maximum_reservation].map((cmd) => ask(dom0, cmd, 1))).toEqual([
      132, 500,
    ]);
    for (const cmd of [XENMEM_current_reservation, XENMEM_maximum_reservation, XENMEM_maximum_gpfn]) {
      expect([cmd, ask(b, cmd, 1)]).toEqual([cmd, -1]);
      expect([cmd, ask(b, cmd, 77)]).toEqual([cmd, -3]);
      expect([cmd, call(b, cmd, 0x1000)]).toEqual([cmd, -14]);
    }
    expect([call(a, XENMEM_machine_memory_map), call(dom0, XENMEM_machine_memory_map)]).toEqual([-1, -38]);
  });

  test("what is for translated guests, or left out, is refused after its arguments are read", () => {
    a.bytes.fill(0, 0, 128);
    expect(call(a, XENMEM_add_to_physmap, 0x1000)).toBe(-14);
    a.view.setUint16(0, SELF, true);
    expect(call(a, XENMEM_add_to_physmap)).toBe(-13);
    a.view.setUint32(4, 4, true); // XENMAPSPACE_gmfn_foreign
    expect(call(a, XENMEM_add_to_physmap)).toBe(-38);
    a.bytes.fill(0, 0, 128);
    a.view.setUint16(0, 77, true);
    expect(call(a, XENMEM_add_to_physmap)).toBe(-3);

    put(a, 0, 0n, 1n, 0, 2);
    expect(call(a, XENMEM_claim_pages)).toBe(-1);
    put(dom0, 0, 0n, 1n, 0, 2);
    expect(call(dom0, XENMEM_claim_pages)).toBe(-38);
    put(dom0, 0, 0n, 1n, 1, 2);
    expect(call(dom0, XENMEM_claim_pages)).toBe(-22);
    put(dom0, 0, 0n, 1n, 0, 77);
    expect(call(dom0, XENMEM_claim_pages)).toBe(-22);
    expect(call(dom0, XENMEM_claim_pages, 0x1000)).toBe(-14);

    a.bytes.fill(0, 0, 128);
    a.view.setUint16(32, SELF, true);
    expect(call(a, XENMEM_get_pod_target, 0x1000)).toBe(-14);
    expect([-22, -3]).toContain(call(a, XENMEM_get_pod_target));
    a.view.setUint16(0, SELF, true);
    expect(call(a, XENMEM_get_vnumainfo)).toBe(-95);
    a.view.setUint16(0, 2, true);
    expect(call(a, XENMEM_get_vnumainfo)).toBe(-1);
    a.view.setUint16(0, 77, true);
    expect(call(a, XENMEM_get_vnumainfo)).toBe(-3);
    a.view.setUint16(2, 1, true);
    expect(call(a, XENMEM_get_vnumainfo)).toBe(-22);
    expect(call(a, XENMEM_get_vnumainfo, 0x1000)).toBe(-14);
    expect(call(a, 63)).toBe(-38);
  });

  test("a memory map is set by oneself or the privileged; its list, its room and its place are checked", () => {
    const set = (d: BareDomain, domid: number, count: number, buffer: bigint): number => {
      d.view.setUint16(0, domid, true);
      d.view.setUint32(8, count, true);
      d.view.setBigUint64(16, buffer, true);
      return call(d, XENMEM_set_memory_map);
    };
    const get = (room: number, buffer: bigint): number => {
      a.view.setUint32(0, room, true);
      a.view.setBigUint64(8, buffer, true);
      return call(a, XENMEM_memory_map);
    };
    expect(call(a, XENMEM_set_memory_map, 0x1000)).toBe(-14);
    expect(set(b, 1, 1, AT)).toBe(-1);
    expect(set(b, 77, 1, AT)).toBe(-3);
    expect(set(a, SELF, 1, XEN)).toBe(-14);
    expect(set(a, SELF, 128, AT)).toBe(0);
    expect(set(a, SELF, 129, AT)).toBe(-22);
    words(dom0, LIST, [0x1234]);
    expect(set(dom0, 1, 1, AT)).toBe(0);
    expect(call(a, XENMEM_memory_map, 0x1000)).toBe(-14);
    expect(get(4, XEN)).toBe(-14);
    expect(get(4, BigInt(FLAT + OUT))).toBe(0);
    expect([a.view.getUint32(0, true), read(a, OUT)]).toEqual([1, 0x1234]);
    expect(set(a, SELF, 0, AT)).toBe(0);
    expect(get(4, BigInt(FLAT + OUT))).toBe(-38);
  });

  test("the list of the machine-to-physical table's frames: as many as there are, or as asked for", () => {
    const list = (max: number, start: bigint): number => {
      a.view.setUint32(0, max, true);
      a.view.setBigUint64(8, start, true);
      return call(a, XENMEM_machphys_mfn_list);
    };
    expect(call(a, XENMEM_machphys_mfn_list, 0x1000)).toBe(-14);
    expect(list(1, XEN)).toBe(-14);
    expect(list(1, 0x1000n)).toBe(-14);
    expect(list(9, AT)).toBe(0);
    expect([a.view.getUint32(16, true), read(a, LIST)]).toEqual([1, hv.frames.m2p.firstFrame]);
    expect(list(0, AT)).toBe(0);
    expect(a.view.getUint32(16, true)).toBe(0);
  });
});

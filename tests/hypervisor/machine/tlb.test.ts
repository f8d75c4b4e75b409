// The translation cache alone: after any order of fills and flushes nothing is found any more that was to be forgotten. Isolation
// rests on `retire`, which goes by a record of where each frame may be instead of looking everywhere.

import fc from "fast-check";
import { expect, test } from "vitest";
import { allocateMemory, MachineMemory } from "../../../hypervisor/machine/memory.ts";
import { SoftTlb } from "../../../hypervisor/machine/tlb.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";

const FRAMES = 6;
/** Few slots, several addresses in each: the cache has 4096. */
const pages = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }))
  .map(([slot, of]) => slot + of * 4096);
const frame = fc.integer({ min: 0, max: FRAMES - 1 });
const table = fc.integer({ min: 0, max: 2 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("fill"), frame, table, page: pages, write: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("code"), frame, table, page: pages, write: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "retire",
        "retire",
        "dropCode",
        "protect",
        "flushPage",
        "flushTable",
        "flushAll",
        "flushCode",
      ),
      frame,
      table,
      page: pages,
      write: fc.boolean(),
    }),
  },
);

test("forgets what it must, and only finds what was last entered", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 200, size: "max" }), (steps) => {
      const memory = new MachineMemory(allocateMemory(4));
      const decoded = new Set<Mfn>();
      const tlb = new SoftTlb(memory, { has: (mfn) => decoded.has(mfn), drop: (mfn) => decoded.delete(mfn) });
      /** What may still be found, by table and page: a model that never loses anything by itself. */
      const data = new Map<string, { mfn: number; write: boolean }>();
      const code = new Map<string, number>();
      const forget = <V>(map: Map<string, V>, which: (key: string, value: V) => boolean): void => {
        for (const [key, value] of map) if (which(key, value)) map.delete(key);
      };
      const dropCode = (mfn: number): void => forget(code, (_, of) => of === mfn);
      for (const s of steps) {
        const mfn = (100 + s.frame) as Mfn;
        const cr3 = (200 + s.table) as Mfn;
        const va = (s.page * 4096) as Va;
        const key = `${cr3}:${va}`;
        if (s.do === "fill") {
          tlb.fillData(tlb.asid(cr3), va, mfn, s.write);
          data.set(key, { mfn, write: s.write });
        } else if (s.do === "code") {
          decoded.add(mfn);
          tlb.fillCode(tlb.asid(cr3), va, mfn, 0x1000 + mfn);
          code.set(key, mfn);
        } else if (s.do === "retire") {
          tlb.retire(mfn);
          forget(data, (_, of) => of.mfn === mfn);
          dropCode(mfn);
        } else if (s.do === "dropCode") {
          tlb.dropCode(mfn);
          dropCode(mfn);
        } else if (s.do === "protect") {
          tlb.protect(mfn);
          for (const of of data.values()) if (of.mfn === mfn) of.write = false;
        } else if (s.do === "flushCode") {
          tlb.flushCode();
          code.clear();
        } else {
          const gone = (of: string): boolean => {
            if (s.do === "flushAll") return true;
            return s.do === "flushPage" ? of.endsWith(`:${va}`) : of.startsWith(`${cr3}:`);
          };
          if (s.do === "flushAll") tlb.flushAll();
          else if (s.do === "flushPage") tlb.flushPage(va);
          else tlb.flushTable(cr3);
          forget(data, gone);
          forget(code, gone);
        }
        for (const e of tlb.entries()) {
          const known = data.get(`${e.cr3}:${e.va}`);
          expect(known?.mfn, `${s.do}: ${e.va} of ${e.cr3}`).toBe(e.mfn);
          if (e.writable) expect(known?.write, `${s.do}: ${e.va} of ${e.cr3}`).toBe(true);
        }
        for (const t of [s.table, 0, 1, 2])
          for (let page = 0; page < 16; page++) {
            const at = ((page % 4) + (page >>> 2) * 4096) * 4096;
            const found = tlb.findCode(tlb.asid((200 + t) as Mfn), at as Va);
            if (found !== 0) expect(code.get(`${200 + t}:${at}`), `${s.do}: code at ${at}`).toBe(found - 0x1000);
          }
      }
    }),
    { numRuns: 30 },
  );
}, 60_000);

test("a table's numbers are used anew only when nothing of before is left", () => {
  const tlb = new SoftTlb(new MachineMemory(allocateMemory(4)), { has: () => false, drop: () => {} });
  const cr3 = 200 as Mfn;
  const first = tlb.asid(cr3);
  tlb.fillData(first, 0x5000 as Va, 100 as Mfn, true);
  tlb.fillCode(first, 0x6000 as Va, 100 as Mfn, 0x1000);
  let again = 0;
  for (let i = 0; i < 5000; i++) {
    tlb.flushTable(cr3);
    if (tlb.asid(cr3) !== first) continue;
    again++;
    expect([...tlb.entries()]).toEqual([]);
    expect(tlb.findCode(first, 0x6000 as Va)).toBe(0);
  }
  expect(again).toBe(1);
});

// The page allocator over memory whose machine frames come in runs: what is handed out is consecutive in both, nothing is
// handed out twice, and what fits somewhere is found.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PAGE_SIZE, PageAllocator, type Pages } from "../../../guests/sdk/pages.ts";
import type { Mfn, Pfn, Va } from "../../../shared/brand.ts";
import type { KernelCpu } from "../../../shared/kernel.ts";

const BASE = 0x40000000 as Va;

/** An allocator over pages with these machine frames; bytes are nobody's. */
function allocator(p2m: readonly number[], firstFree = 0): PageAllocator {
  const view = (_: Va, sizeBytes: number) => new Uint8Array(new SharedArrayBuffer(sizeBytes));
  return new PageAllocator({ base: BASE, view } as unknown as KernelCpu, Uint32Array.from(p2m), firstFree as Pfn);
}

describe("the kernel's pages", () => {
  it("come in runs of consecutive machine frames", () => {
    const pages = allocator([10, 11, 12, 50, 51, 52, 53, 30]);
    const four = pages.alloc(4);
    expect([four.pfn, four.mfn, four.va]).toEqual([3, 50, BASE + 3 * PAGE_SIZE]);
    expect(() => pages.alloc(4)).toThrow("out of memory: no 4 pages in a row, 4 free");
    expect(pages.alloc(3).mfn).toBe(10);
    expect(pages.alloc(1).mfn).toBe(30);
    four.free();
    expect(() => four.free()).toThrow("freed before");
    expect(pages.freePages).toBe(4);
  });

  it("are those used before, while there are such: others cost the host memory when they are first touched", () => {
    const pages = allocator(Array.from({ length: 100 }, (_, i) => i));
    const touched = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const held = [1, 3, 2].map((count) => pages.alloc(count));
      for (const { pfn, count } of held) for (let j = 0; j < count; j++) touched.add(pfn + j);
      for (const run of held) run.free();
    }
    expect(touched.size).toBe(6);
  });

  it("leave the start of day alone, and are found by their machine frame", () => {
    const pages = allocator([7, 6, 5, 4], 2);
    expect(pages.alloc(1).mfn).toBe(5);
    expect(() => pages.alloc(2)).toThrow(RangeError);
    expect(pages.pfn(6 as Mfn)).toBe(1);
    expect(pages.pfn(99 as Mfn)).toBe(-1);
  });

  it("are never handed out twice, and a run that is there is found", () => {
    const runs = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 });
    const work = fc.array(fc.record({ count: fc.integer({ min: 1, max: 6 }), free: fc.boolean(), which: fc.nat() }));
    fc.assert(
      fc.property(runs, work, (lengths, steps) => {
        const p2m = lengths.flatMap((length, run) => Array.from({ length }, (_, i) => 1000 - run * 20 + i));
        const pages = allocator(p2m);
        const held: Pages[] = [];
        const used = new Set<number>();
        const fits = (count: number): boolean =>
          p2m.some((mfn, at) =>
            Array.from({ length: count }, (_, i) => p2m[at + i] === mfn + i && !used.has(at + i)).every(Boolean),
          );
        for (const { count, free, which } of steps) {
          if (free && held.length > 0) {
            const [gone] = held.splice(which % held.length, 1);
            for (let i = 0; i < gone.count; i++) used.delete(gone.pfn + i);
            gone.free();
          } else if (fits(count)) {
            const got = pages.alloc(count);
            for (let i = 0; i < count; i++) {
              expect(p2m[got.pfn + i]).toBe(got.mfn + i);
              expect(used.has(got.pfn + i)).toBe(false);
              used.add(got.pfn + i);
            }
            held.push(got);
          } else expect(() => pages.alloc(count)).toThrow(RangeError);
          expect(pages.freePages).toBe(p2m.length - used.size);
        }
      }),
    );
  });
});

// The start-of-day plan against what the field's builder does (its own output, committed with the reference), and what
// must hold of any plan.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planLayout } from "../../../dom0/toolstack/builder/layout.ts";
import { tableEntries } from "../../../dom0/toolstack/builder/page_tables.ts";
import type { KernelImage } from "../../../dom0/toolstack/kernel_image.ts";

const image = (over: Partial<KernelImage> = {}): KernelImage => ({
  virtBase: 0n,
  virtEntry: 0x100000n,
  start: 0x100000,
  end: 0x111000,
  segments: [],
  hypercallPfn: 0x106,
  p2mBase: undefined,
  script: false,
  unmappedRamdisk: false,
  ...over,
});
const LINUX: Partial<KernelImage> = {
  virtBase: 0xffffffff80000000n,
  start: 0x1000000,
  end: 0x4a00000,
  p2mBase: 0x8000000000n,
  unmappedRamdisk: true,
};

describe("the start of day", () => {
  it("is laid out as the field's builder does for a small kernel in 128 MiB", () => {
    const plan = planLayout(image(), 0x8000, 0);
    expect(plan).toMatchObject({
      kernel: { pfn: 0x100, pages: 0x11 },
      p2m: { pfn: 0x111, pages: 0x40, va: 0x111000n },
      startInfoPfn: 0x151,
      xenstorePfn: 0x152,
      consolePfn: 0x153,
      firstTables: 5,
      stackPfn: 0x159,
      virtEnd: 0x400000n,
    });
    expect(plan.tables.map((t) => [t.level, t.pfn])).toEqual([
      [4, 0x154],
      [3, 0x155],
      [2, 0x156],
      [1, 0x157],
      [1, 0x158],
    ]);
  });

  it("puts a mapped ramdisk between the kernel and the list", () => {
    const plan = planLayout(image(), 0x8000, 5000);
    expect(plan.ramdisk).toEqual({ pfn: 0x111, pages: 2, mapped: true });
    expect(plan.p2m.pfn).toBe(0x113);
  });

  it("puts Linux's ramdisk and list behind the mapping, the list's tables behind the list", () => {
    const plan = planLayout(image(LINUX), 65536, 1000000);
    expect([plan.kernel.pfn, plan.startInfoPfn, plan.xenstorePfn, plan.consolePfn, plan.tables[0].pfn]).toEqual([
      0x1000, 0x4a00, 0x4a01, 0x4a02, 0x4a03,
    ]);
    const mapped = Number((plan.virtEnd - plan.virtBase) / 4096n);
    expect(plan.ramdisk).toEqual({ pfn: mapped, pages: 245, mapped: false });
    expect(plan.p2m).toEqual({ pfn: mapped + 245, pages: 128, va: 0x8000000000n });
    // Level 3, 2 and 1 for 512 KiB at a fresh place.
    expect(plan.p2mFrames).toEqual({ pfn: mapped + 245, pages: 131 });
    expect(plan.tables.slice(plan.firstTables).map((t) => [t.level, t.base, t.pfn])).toEqual([
      [3, 0x8000000000n, mapped + 373],
      [2, 0x8000000000n, mapped + 374],
      [1, 0x8000000000n, mapped + 375],
    ]);
  });

  it.each([
    [0x100, "needs at least 2 MiB of memory; the domain has 1 MiB"],
    [0x200, "needs at least 4 MiB of memory; the domain has 2 MiB"],
    [0x3ff, "needs at least 4 MiB of memory"],
  ])("does not fit in 0x%s pages", (pages, message) => {
    expect(() => planLayout(image(), pages, 0)).toThrow(message);
  });

  it("does not fit where virtual addresses end", () => {
    expect(() => planLayout(image({ virtBase: 0xffffffffffe00000n }), 0x20000, 0)).toThrow(
      "leaves no virtual addresses",
    );
    expect(() => planLayout(image({ virtBase: 0x7fffffe00000n }), 0x20000, 0)).toThrow("leaves no virtual addresses");
  });
});

/** Walks the planned tables as a processor would. */
function translate(plan: ReturnType<typeof planLayout>, va: bigint): { pfn: number; flags: number } | undefined {
  let table = plan.tables[0];
  for (let level = 4; ; level--) {
    const index = Number((va >> BigInt(3 + 9 * level)) & 511n);
    const entry = tableEntries(table, plan.tables, plan.mappings).find((e) => e.index === index);
    if (entry === undefined || level === 1) return entry;
    table = plan.tables.find((t) => t.pfn === entry.pfn)!;
    expect(table.level).toBe(level - 1);
  }
}

it("maps every page of every plan once, tables read-only, and nothing overlaps", () => {
  const shapes = fc.record({
    base: fc.constantFrom(0n, 0xffffffff80000000n, 0x4000000000n, 0xffff880000000000n, 0x3ff000n, 0x7ffffff000n),
    start: fc.nat(2000),
    size: fc.integer({ min: 1, max: 3000 }),
    extra: fc.nat(20000),
    ramdisk: fc.constantFrom(0, 1, 5000, 3000000),
    notes: fc.boolean(),
  });
  fc.assert(
    fc.property(shapes, ({ base, start, size, extra, ramdisk, notes }) => {
      const p2mBase = notes && base > 0x2000000000n ? 0x2000000000n : undefined;
      const img = image({
        virtBase: base,
        start: start * 4096,
        end: (start + size) * 4096,
        p2mBase,
        unmappedRamdisk: notes,
      });
      const plan = planLayout(img, start + size + 4096 + extra, ramdisk);
      const used = new Map<number, string>();
      const claim = (what: string, pfn: number, pages: number): void => {
        expect(pfn + pages).toBeLessThanOrEqual(plan.totalPages);
        const before = used.size;
        for (let p = pfn; p < pfn + pages; p++) if (!used.has(p)) used.set(p, what);
        expect(used.size - before, `${what} at ${pfn} overlaps`).toBe(pages);
      };
      claim("kernel", plan.kernel.pfn, plan.kernel.pages);
      claim("p2m", plan.p2m.pfn, plan.p2m.pages);
      if (plan.ramdisk) claim("ramdisk", plan.ramdisk.pfn, plan.ramdisk.pages);
      for (const t of plan.tables) claim(`table ${t.level}`, t.pfn, 1);
      for (const p of [plan.startInfoPfn, plan.xenstorePfn, plan.consolePfn, plan.stackPfn]) claim("page", p, 1);
      const check = (va: bigint, pfn: number): void => {
        const entry = translate(plan, va);
        expect(entry?.pfn).toBe(pfn);
        expect(Boolean(entry!.flags & 2)).toBe(!used.get(pfn)?.startsWith("table"));
        expect(entry!.flags & 4).toBe(0);
      };
      for (const pfn of [0, plan.kernel.pfn, plan.startInfoPfn, plan.tables[0].pfn, plan.stackPfn])
        check(base + BigInt(pfn * 4096), pfn);
      check(plan.virtEnd - 4096n, Number((plan.virtEnd - base) / 4096n) - 1);
      check(plan.p2m.va + BigInt((plan.p2m.pages - 1) * 4096), plan.p2m.pfn + plan.p2m.pages - 1);
      expect(translate(plan, plan.virtEnd & ((1n << 48n) - 1n))).toBeUndefined();
      expect(plan.virtEnd % 0x400000n).toBe(0n);
      expect(Number((plan.virtEnd - base) / 4096n) - plan.stackPfn).toBeGreaterThan(128);
    }),
    { numRuns: 60 },
  );
});

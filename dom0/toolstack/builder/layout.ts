// Where everything of a PV domain's start of day lies, as the field's domain builder lays it out (public/xen.h, "Start-of-day
// memory layout"). A plan only: no memory is touched. Called by build.ts.
//
// Virtual address = virtBase + pseudo-physical address, from the image's start on, in this order:
//  1. kernel image; 2. ramdisk, if any; 3. list of machine frames (p2m); 4. start_info; 5. xenstore page; 6. console page;
//  7. page tables; 8. boot stack; at least 512 KiB free after it, and the mapping ends on a 4 MiB boundary.
// A kernel in TypeScript has all of its memory mapped instead, as dom0's has (hypervisor/dom0_build.ts).
// A kernel that takes an unmapped ramdisk (note MOD_START_PFN) gets it after the end of the mapping, and one that names a
// place for the list (note INIT_P2M) gets the list last, with page tables of its own behind it.

import { ImageError } from "../image/error.ts";
import type { KernelImage } from "../kernel_image.ts";
import { type Mapping, planTables, type Table } from "./page_tables.ts";

export const PAGE = 4096;
const FREE_AFTER_STACK_PAGES = (512 * 1024) / PAGE;
const LOW_HALF_END = 2n ** 47n;
const MAP_STEP = 4n * 1024n * 1024n;

export interface Extent {
  readonly pfn: number;
  readonly pages: number;
}

export interface Layout {
  readonly virtBase: bigint;
  readonly totalPages: number;
  readonly kernel: Extent;
  /** `mapped` is false when start_info names it by page frame number. */
  readonly ramdisk: (Extent & { readonly mapped: boolean }) | undefined;
  /** The list itself; `tables` of INIT_P2M lie behind it. */
  readonly p2m: Extent & { readonly va: bigint };
  /** Pages that start_info counts as the list's when it is outside the mapping: list and tables. */
  readonly p2mFrames: Extent | undefined;
  readonly startInfoPfn: number;
  readonly xenstorePfn: number;
  readonly consolePfn: number;
  /** The first is the level-4 table. */
  readonly tables: readonly Table[];
  /** Tables of the first mapping, what start_info counts. */
  readonly firstTables: number;
  readonly mappings: readonly Mapping[];
  readonly stackPfn: number;
  /** One past the last virtual address that the first tables map. */
  readonly virtEnd: bigint;
}

/** The plan for `image` in a domain of `totalPages`. Throws ImageError when it doesn't fit. */
export function planLayout(image: KernelImage, totalPages: number, ramdiskBytes: number): Layout {
  const need = (pages: number): void => {
    if (pages > totalPages)
      throw new ImageError(
        `needs at least ${Math.ceil(pages / 256)} MiB of memory; the domain has ${totalPages / 256} MiB`,
      );
  };
  let next = 0;
  const take = (pages: number): Extent => {
    const extent = { pfn: next, pages };
    next += pages;
    need(next);
    return extent;
  };
  need(Math.ceil(image.end / PAGE));
  next = Math.floor(image.start / PAGE);
  const kernel = take(Math.ceil(image.end / PAGE) - next);
  const ramdiskPages = Math.ceil(ramdiskBytes / PAGE);
  const early = ramdiskBytes > 0 && !image.unmappedRamdisk ? take(ramdiskPages) : undefined;
  const p2mPages = Math.ceil((totalPages * 8) / PAGE);
  const mappedList = image.p2mBase === undefined ? take(p2mPages) : undefined;
  const startInfoPfn = take(1).pfn;
  const xenstorePfn = take(1).pfn;
  const consolePfn = take(1).pfn;

  const { tables: first, end } = planFirstTables(image.virtBase, next, image.script ? totalPages : undefined);
  const firstMapping: Mapping = { from: image.virtBase, to: end, pfn: 0 };
  const tablesPfn = take(first.length).pfn;
  const stackPfn = take(1).pfn;
  const mapped = Number((end - image.virtBase) / BigInt(PAGE));
  need(mapped);
  next = mapped;

  const late = ramdiskBytes > 0 && image.unmappedRamdisk ? take(ramdiskPages) : undefined;
  const tables = first.map((t, i) => ({ ...t, pfn: tablesPfn + i }));
  const mappings = [firstMapping];
  let p2mFrames: Extent | undefined;
  let p2m = mappedList && { ...mappedList, va: image.virtBase + BigInt(mappedList.pfn * PAGE) };
  if (image.p2mBase !== undefined) {
    const list = take(p2mPages);
    const mapping = { from: image.p2mBase, to: image.p2mBase + BigInt(p2mPages * PAGE), pfn: list.pfn };
    if (mapping.to > image.virtBase) throw new ImageError("wants its page list where the list runs into the kernel");
    const more = planTables([firstMapping, mapping]).slice(first.length);
    const extra = take(more.length);
    for (const [i, table] of more.entries()) tables.push({ ...table, pfn: extra.pfn + i });
    mappings.push(mapping);
    p2m = { ...list, va: image.p2mBase };
    p2mFrames = { pfn: list.pfn, pages: p2mPages + more.length };
  }
  return {
    virtBase: image.virtBase,
    totalPages,
    kernel,
    ramdisk: early ? { ...early, mapped: true } : late && { ...late, mapped: false },
    p2m: p2m!,
    p2mFrames,
    startInfoPfn,
    xenstorePfn,
    consolePfn,
    tables,
    firstTables: first.length,
    mappings,
    stackPfn,
    virtEnd: end,
  };
}

/**
 * Tables for what lies below `usedPages`, for themselves, the stack and the free rest: more tables may need more tables. Or,
 * given `allPages`, for all of the domain's memory.
 */
function planFirstTables(virtBase: bigint, usedPages: number, allPages?: number): { tables: Table[]; end: bigint } {
  if (allPages !== undefined) {
    const end = virtBase + BigInt(allPages * PAGE);
    return { tables: planTables([{ from: virtBase, to: end, pfn: 0 }]), end };
  }
  let tables: Table[] = [];
  for (;;) {
    const pages = usedPages + tables.length + 1 + FREE_AFTER_STACK_PAGES;
    const end = roundUp(virtBase + BigInt(pages * PAGE), MAP_STEP);
    const limit = virtBase < LOW_HALF_END ? LOW_HALF_END : 2n ** 64n;
    if (end > limit) throw new ImageError("leaves no virtual addresses for what comes after it");
    const grown = planTables([{ from: virtBase, to: end, pfn: 0 }]);
    if (grown.length === tables.length) return { tables: grown, end };
    tables = grown;
  }
}

const roundUp = (n: bigint, step: bigint): bigint => ((n + step - 1n) / step) * step;

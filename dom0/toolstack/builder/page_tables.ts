// The first page tables of a PV domain: which are needed for given mappings, and what stands in them. Entries as the
// field's builder writes them: upper levels with user, writable, accessed and dirty; level 1 without user (Xen adds it),
// read-only where the page is a page table itself. Pure; called by layout.ts and build.ts.

import { _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_RW, _PAGE_USER } from "../../../shared/abi/arch_x86.ts";

/** Pages from `pfn` on at virtual addresses `from` to `to` (exclusive), both at page boundaries. */
export interface Mapping {
  readonly from: bigint;
  readonly to: bigint;
  readonly pfn: number;
}

export interface Table {
  /** 4 to 1. */
  readonly level: number;
  /** The first virtual address that it covers (0 for level 4). */
  readonly base: bigint;
  readonly pfn: number;
}

const UPPER = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_USER;
const LEAF = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED;
const VA_BITS = (1n << 48n) - 1n;

/** Bytes of virtual addresses that one table of `level` covers. */
const span = (level: number): bigint => 1n << BigInt(12 + 9 * level);

/**
 * The tables for `mappings`: those of the first, level 4 first, then what each further one needs besides. Their `pfn` is
 * their place in this list.
 */
export function planTables(mappings: readonly Mapping[]): Table[] {
  const tables: Table[] = [];
  const known = new Set<string>();
  for (const { from, to } of mappings) {
    for (let level = 4; level >= 1; level--) {
      const last = level === 4 ? 0n : alignDown((to - 1n) & VA_BITS, level);
      for (let base = level === 4 ? 0n : alignDown(from & VA_BITS, level); base <= last; base += span(level)) {
        const key = `${level}:${base}`;
        if (known.has(key)) continue;
        known.add(key);
        tables.push({ level, base, pfn: tables.length });
      }
    }
  }
  return tables;
}

/** One entry: `pfn` is what it refers to, `flags` the low 12 bits. */
export interface Entry {
  readonly index: number;
  readonly pfn: number;
  readonly flags: number;
}

/** What stands in `table`. */
export function tableEntries(table: Table, tables: readonly Table[], mappings: readonly Mapping[]): Entry[] {
  const end = table.level === 4 ? VA_BITS + 1n : table.base + span(table.level);
  if (table.level > 1) {
    const below = tables.filter((t) => t.level === table.level - 1 && t.base >= table.base && t.base < end);
    return below.map((t) => ({ index: index(t.base, table.level), pfn: t.pfn, flags: UPPER }));
  }
  const isTable = new Set(tables.map((t) => t.pfn));
  const entries: Entry[] = [];
  for (const mapping of mappings) {
    const start = mapping.from & VA_BITS;
    const length = mapping.to - mapping.from;
    const from = start > table.base ? start : table.base;
    const to = start + length < end ? start + length : end;
    for (let va = from; va < to; va += 4096n) {
      const pfn = mapping.pfn + Number((va - start) >> 12n);
      entries.push({ index: index(va, 1), pfn, flags: isTable.has(pfn) ? LEAF & ~_PAGE_RW : LEAF });
    }
  }
  return entries;
}

const alignDown = (va: bigint, level: number): bigint => va - (va % span(level));
const index = (va: bigint, level: number): number => Number((va >> BigInt(12 + 9 * (level - 1))) & 511n);

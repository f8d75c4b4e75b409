// The mapping window: 1 GiB of virtual addresses beside the kernel's own memory, where foreign frames, granted frames
// and shared_info are mapped. Its level-1 tables are own pages, made when first needed: zeroed, made read-only in the
// kernel's own mapping, then hooked into the level-2 table, where the hypervisor validates them (public/xen.h,
// mmu_update). Tables stay; slots are reused.

import { _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_RW, _PAGE_USER } from "../../shared/abi/arch_x86.ts";
import {
  DOMID_SELF,
  MMU_NORMAL_PT_UPDATE,
  MMUEXT_INVLPG_LOCAL,
  MMUEXT_TLB_FLUSH_LOCAL,
  UVMF_INVLPG,
} from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Pfn, Va } from "../../shared/brand.ts";
import type { KernelCpu } from "../../shared/kernel.ts";
import { PAGE_SIZE, type PageAllocator } from "./pages.ts";
import { type Xen, XenError } from "./xen.ts";

/** Where the window begins: 128 GiB, above any memory that a machine of 4 GiB can give a kernel. */
export const WINDOW_BASE = 0x2000000000 as Va;
const WINDOW_PAGES = 262144;
const TABLE = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY;
const LEAF = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;
const BATCH = 1024;

/** Frames mapped in the window. Their views must not be used after `unmap`. */
export interface Mapping {
  readonly va: Va;
  readonly count: number;
  /** The bytes of page i. */
  page(i: number): Uint8Array<SharedArrayBuffer>;
  /** All of it in one view; throws RangeError when the frames are not consecutive. */
  bytes(): Uint8Array<SharedArrayBuffer>;
  unmap(): void;
}

export class Window {
  readonly #cpu: KernelCpu;
  readonly #xen: Xen;
  readonly #pages: PageAllocator;
  readonly #l4: Pfn;
  readonly #used = new Uint8Array(WINDOW_PAGES);
  /** Own page of the level-1 table for each 2 MiB of the window, 0 before it exists. */
  readonly #tables = new Array<Mfn>(WINDOW_PAGES / 512).fill(0 as Mfn);
  #next = 0;

  /** `l4` is the page of the kernel's level-4 table. */
  constructor(cpu: KernelCpu, xen: Xen, pages: PageAllocator, l4: Pfn) {
    this.#cpu = cpu;
    this.#xen = xen;
    this.#pages = pages;
    this.#l4 = l4;
  }

  /**
   * Maps frames of `domain` (DOMID_SELF: own ones, and those that Xen shares with the kernel; DOMID_IO: the machine's
   * devices). Throws XenError, nothing mapped, when one of them may not be.
   */
  map(domain: DomId, mfns: readonly Mfn[], writable: boolean): Mapping {
    const slot = this.reserve(mfns.length);
    const flags = writable ? LEAF | _PAGE_RW | _PAGE_DIRTY : LEAF;
    for (let at = 0; at < mfns.length; at += BATCH) {
      const batch = mfns.slice(at, at + BATCH);
      const { result, done } = this.#xen.mmuUpdate(
        batch.map((mfn, i) => ({
          ptr: this.#entry(slot + at + i) + MMU_NORMAL_PT_UPDATE,
          val: mfn * PAGE_SIZE + flags,
        })),
        domain,
      );
      if (result < 0) {
        this.#clear(slot, at + Math.min(done, batch.length));
        this.release(slot, mfns.length);
        throw new XenError(`mapping ${mfns.length} frames of domain ${domain}`, result);
      }
    }
    return this.mapping(slot, mfns.length, writable, () => this.#clear(slot, mfns.length));
  }

  /** `count` slots in a row, their tables present. Throws RangeError when the window is full. */
  reserve(count: number): number {
    let slot = this.#find(this.#next, count);
    if (slot < 0) slot = this.#find(0, count);
    if (slot < 0) throw new RangeError(`the mapping window has no ${count} slots in a row`);
    for (let table = slot >> 9; table <= (slot + count - 1) >> 9; table++)
      if (this.#tables[table] === 0) this.#tables[table] = this.#makeTable((WINDOW_BASE + table * 0x200000) as Va);
    this.#used.fill(1, slot, slot + count);
    this.#next = slot + count;
    return slot;
  }

  release(slot: number, count: number): void {
    this.#used.fill(0, slot, slot + count);
    // The lowest are taken first, so that short-lived mappings share few page tables.
    if (slot < this.#next) this.#next = slot;
  }

  va(slot: number): Va {
    return (WINDOW_BASE + slot * PAGE_SIZE) as Va;
  }

  /** The bytes of one mapped slot. */
  view(slot: number, writable: boolean): Uint8Array<SharedArrayBuffer> {
    return this.#cpu.view(this.va(slot), PAGE_SIZE, writable);
  }

  /** The face of mapped slots; `clear` takes the mappings away. For grants.ts, which maps in its own way. */
  mapping(slot: number, count: number, writable: boolean, clear: () => void): Mapping {
    const va = this.va(slot);
    let mapped = true;
    const live = () => {
      if (!mapped) throw new Error("use of a mapping after unmap");
    };
    return {
      va,
      count,
      page: (i) => {
        live();
        if (!(i >= 0 && i < count)) throw new RangeError(`page ${i} of a mapping of ${count}`);
        return this.#cpu.view((va + i * PAGE_SIZE) as Va, PAGE_SIZE, writable);
      },
      bytes: () => {
        live();
        return this.#cpu.view(va, count * PAGE_SIZE, writable);
      },
      unmap: () => {
        live();
        mapped = false;
        clear();
        this.release(slot, count);
      },
    };
  }

  #find(from: number, count: number): number {
    for (let start = from; start + count <= WINDOW_PAGES; ) {
      let n = 0;
      while (n < count && this.#used[start + n] === 0) n++;
      if (n === count) return start;
      start += n + 1;
    }
    return -1;
  }

  /** Machine address of a slot's level-1 entry. */
  #entry(slot: number): number {
    return this.#tables[slot >> 9] * PAGE_SIZE + (slot & 511) * 8;
  }

  #clear(slot: number, count: number): void {
    for (let at = 0; at < count; at += BATCH) {
      const n = Math.min(BATCH, count - at);
      const entries = Array.from({ length: n }, (_, i) => ({ ptr: this.#entry(slot + at + i), val: 0 }));
      const { result } = this.#xen.mmuUpdate(entries, DOMID_SELF as DomId);
      if (result < 0) throw new XenError("unmapping", result);
    }
    if (count <= 8) {
      for (let i = 0; i < count; i++)
        this.#xen.mmuextOp((op) => {
          op.cmd = MMUEXT_INVLPG_LOCAL;
          op.arg1_linear_addr_num = this.va(slot + i);
        });
    } else
      this.#xen.mmuextOp((op) => {
        op.cmd = MMUEXT_TLB_FLUSH_LOCAL;
      });
  }

  /** Makes the level-1 table for the 2 MiB at `va`, and the tables above it where they are missing. */
  #makeTable(va: Va): Mfn {
    let table = this.#l4;
    for (let shift = 39; shift >= 21; shift -= 9) {
      const index = Math.floor(va / 2 ** shift) & 511;
      const bytes = this.#cpu.view(this.#pages.va(table), PAGE_SIZE, false);
      const entry = new DataView(bytes.buffer, bytes.byteOffset).getUint32(index * 8, true);
      if (entry & _PAGE_PRESENT) {
        const next = this.#pages.pfn((entry >>> 12) as Mfn);
        if (next === -1) throw new Error(`page table at 0x${va.toString(16)} is not the kernel's own`);
        table = next;
        continue;
      }
      const page = this.#pages.alloc(1);
      this.#xen.updateVaMapping(page.va, page.mfn * PAGE_SIZE + LEAF, UVMF_INVLPG);
      const ptr = this.#pages.mfn(table) * PAGE_SIZE + index * 8 + MMU_NORMAL_PT_UPDATE;
      const { result } = this.#xen.mmuUpdate([{ ptr, val: page.mfn * PAGE_SIZE + TABLE }]);
      if (result < 0) throw new XenError("hooking in a page table", result);
      table = page.pfn;
    }
    return this.#pages.mfn(table);
  }
}

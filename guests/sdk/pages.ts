// The kernel's own memory: pages handed out in contiguous runs, first fit over a bitmap. A kernel's memory is contiguous
// in virtual and in machine addresses (shared/kernel.ts), so a run is one view, and its machine addresses are known:
// what DMA and grants need. No page is ever given back to the hypervisor here.

import type { Mfn, Pfn, Va } from "../../shared/brand.ts";
import type { KernelCpu } from "../../shared/kernel.ts";

export const PAGE_SIZE = 4096;

/** A run of own pages. The bytes are writable until `free`. */
export interface Pages {
  readonly count: number;
  readonly pfn: Pfn;
  readonly va: Va;
  /** Machine frame of the first page; page i has mfn + i. */
  readonly mfn: Mfn;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  free(): void;
}

export class PageAllocator {
  readonly #cpu: KernelCpu;
  readonly #firstMfn: Mfn;
  readonly #used: Uint8Array;
  #next = 0;
  /** Pages that are not handed out. */
  freePages = 0;

  /**
   * `pages` pages in all, of which those below `firstFree` hold the start of day. `firstMfn` is the machine frame of
   * page 0.
   */
  constructor(cpu: KernelCpu, pages: number, firstFree: Pfn, firstMfn: Mfn) {
    this.#cpu = cpu;
    this.#firstMfn = firstMfn;
    this.#used = new Uint8Array(pages);
    this.#used.fill(1, 0, firstFree);
    this.freePages = pages - firstFree;
    this.#next = firstFree;
  }

  /** `count` zeroed pages in a row. Throws RangeError when there is no such run. */
  alloc(count: number): Pages {
    const pfn = this.#find(count);
    if (pfn < 0) throw new RangeError(`out of memory: no ${count} pages in a row, ${this.freePages} free`);
    this.#used.fill(1, pfn, pfn + count);
    this.freePages -= count;
    this.#next = pfn + count;
    const va = this.va(pfn as Pfn);
    const bytes = this.#cpu.view(va, count * PAGE_SIZE, true).fill(0);
    let freed = false;
    return {
      count,
      pfn: pfn as Pfn,
      va,
      mfn: this.mfn(pfn as Pfn),
      bytes,
      view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      free: () => {
        if (freed) throw new Error(`pages at pfn ${pfn} were freed before`);
        freed = true;
        this.#used.fill(0, pfn, pfn + count);
        this.freePages += count;
      },
    };
  }

  va(pfn: Pfn): Va {
    return (this.#cpu.base + pfn * PAGE_SIZE) as Va;
  }

  mfn(pfn: Pfn): Mfn {
    return (this.#firstMfn + pfn) as Mfn;
  }

  /** The page of an own machine frame, or -1 when the frame is not the kernel's. */
  pfn(mfn: Mfn): Pfn | -1 {
    const pfn = mfn - this.#firstMfn;
    return pfn >= 0 && pfn < this.#used.length ? (pfn as Pfn) : -1;
  }

  #find(count: number): number {
    const search = (from: number, to: number): number => {
      for (let start = from; start + count <= to; ) {
        let n = 0;
        while (n < count && this.#used[start + n] === 0) n++;
        if (n === count) return start;
        start += n + 1;
      }
      return -1;
    };
    const after = search(this.#next, this.#used.length);
    return after >= 0 ? after : search(0, this.#used.length);
  }
}

// The kernel's own memory: pages handed out in runs, first fit over a bitmap, so that pages used before come first: the host has
// memory only behind those that were touched. A run is consecutive in virtual and in machine addresses, so that it is one
// view, and its machine addresses are known: what DMA and grants need. Dom0's memory is one such run; another domain's is
// whatever the toolstack could get, as the list of its frames says. No page is ever given back to the hypervisor here.

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
  readonly #p2m: Uint32Array;
  readonly #used: Uint8Array;
  /** No page below this one is free. */
  #lowest: number;
  /** Pages that are not handed out. */
  freePages = 0;

  /** `p2m` is the machine frame of each page; those below `firstFree` hold the start of day. */
  constructor(cpu: KernelCpu, p2m: Uint32Array, firstFree: Pfn) {
    this.#cpu = cpu;
    this.#p2m = p2m;
    this.#used = new Uint8Array(p2m.length);
    this.#used.fill(1, 0, firstFree);
    this.freePages = p2m.length - firstFree;
    this.#lowest = firstFree;
  }

  /** `count` zeroed pages in a row. Throws RangeError when there is no such run. */
  alloc(count: number): Pages {
    const pfn = this.#search(count);
    if (pfn < 0) throw new RangeError(`out of memory: no ${count} pages in a row, ${this.freePages} free`);
    this.#used.fill(1, pfn, pfn + count);
    this.freePages -= count;
    if (count === 1 || pfn === this.#lowest) this.#lowest = pfn + count;
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
        this.#lowest = Math.min(this.#lowest, pfn);
      },
    };
  }

  va(pfn: Pfn): Va {
    return (this.#cpu.base + pfn * PAGE_SIZE) as Va;
  }

  mfn(pfn: Pfn): Mfn {
    return this.#p2m[pfn] as Mfn;
  }

  /** The page of an own machine frame, or -1 when the frame is not the kernel's. */
  pfn(mfn: Mfn): Pfn | -1 {
    return this.#p2m.indexOf(mfn) as Pfn | -1;
  }

  #search(count: number): number {
    const p2m = this.#p2m;
    for (let start = this.#lowest; start + count <= p2m.length; ) {
      let n = 0;
      while (n < count && this.#used[start + n] === 0 && (n === 0 || p2m[start + n] === p2m[start + n - 1] + 1)) n++;
      if (n === count) return start;
      // Where the machine frames break off, a run may begin.
      start += n > 0 && this.#used[start + n] === 0 ? n : n + 1;
    }
    return -1;
  }
}

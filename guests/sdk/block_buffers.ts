// Buffers of a block frontend: own pages that the backend may reach, granted when they are made. Where the backend keeps mapped
// what it was granted (feature-persistent), a buffer that is given back is kept for the next one of its size, for its grants
// can't be taken back before the connection ends. Used by block_front.ts.

import type { DomId, GrantRef, Pfn } from "../../shared/brand.ts";
import type { Kernel } from "./kernel.ts";
import type { Pages } from "./pages.ts";

/** Pages that the backend may reach. */
export interface BlockBuffer {
  readonly pages: Pages;
  readonly refs: readonly GrantRef[];
  /** Gives it back; not while a request uses it. */
  free(): void;
}

export class BlockBuffers {
  readonly #kernel: Kernel;
  readonly #domid: DomId;
  /** Set when the backend keeps grants mapped. */
  persistent = false;
  readonly #kept = new Map<number, BlockBuffer[]>();

  constructor(kernel: Kernel, backend: DomId) {
    this.#kernel = kernel;
    this.#domid = backend;
  }

  /** `count` zeroed pages in a row. */
  take(count: number): BlockBuffer {
    const kept = this.#kept.get(count)?.pop();
    if (kept === undefined) return this.#make(count);
    kept.pages.bytes.fill(0);
    return kept;
  }

  /** The connection is over, so that nothing is mapped any more. */
  close(): void {
    this.persistent = false;
    for (const buffers of this.#kept.values()) for (const buffer of buffers) buffer.free();
    this.#kept.clear();
  }

  #make(count: number): BlockBuffer {
    const { grants } = this.#kernel;
    const pages = this.#kernel.allocPages(count);
    const refs = Array.from({ length: count }, (_, i) =>
      grants.grantAccess(this.#domid, (pages.pfn + i) as Pfn, false),
    );
    const buffer: BlockBuffer = {
      pages,
      refs,
      free: () => {
        if (this.persistent) this.#keep(buffer);
        else {
          for (const ref of refs)
            if (!grants.endAccess(ref)) throw new Error(`grant ${ref} is still in use by domain ${this.#domid}`);
          pages.free();
        }
      },
    };
    return buffer;
  }

  #keep(buffer: BlockBuffer): void {
    const { count } = buffer.pages;
    const kept = this.#kept.get(count) ?? [];
    kept.push(buffer);
    this.#kept.set(count, kept);
  }
}

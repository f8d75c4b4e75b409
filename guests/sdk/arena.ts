// Memory for hypercall arguments: a stack of buffers in the kernel's own pages. Hypercalls are synchronous, so a caller
// takes what it needs, calls, reads the results and gives everything back: `arena.use((a) => ...)`. Buffers that must
// outlive the call come from memory.ts.

import type { Accessor, Fields, Struct } from "../../shared/abi/struct.ts";
import type { Va } from "../../shared/brand.ts";

/** A buffer in the kernel's memory: its address for the hypervisor, its bytes for the kernel. */
export interface Buffer {
  readonly va: Va;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
}

export class Arena {
  readonly #va: Va;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  #top = 0;

  constructor(va: Va, bytes: Uint8Array<SharedArrayBuffer>) {
    this.#va = va;
    this.#bytes = bytes;
  }

  /** Calls `body`, then takes back what it allocated. `body` must not suspend its thread. */
  use<T>(body: (arena: this) => T): T {
    const mark = this.#top;
    try {
      return body(this);
    } finally {
      this.#top = mark;
    }
  }

  /** A zeroed buffer, 16-byte aligned. Throws RangeError when the arena (64 KiB) is full: too much at once. */
  alloc(sizeBytes: number): Buffer {
    const start = this.#top;
    const end = start + ((sizeBytes + 15) & ~15);
    if (end > this.#bytes.length) throw new RangeError(`hypercall arguments of ${sizeBytes} bytes do not fit`);
    this.#top = end;
    const bytes = this.#bytes.subarray(start, start + sizeBytes).fill(0);
    return {
      va: (this.#va + start) as Va,
      bytes,
      view: new DataView(bytes.buffer, bytes.byteOffset, sizeBytes),
    };
  }

  /** A zeroed structure, its fields and its address. */
  struct<F extends Fields>(type: Struct<F>): { readonly va: Va; readonly at: Accessor<F> } {
    const buffer = this.alloc(type.size);
    return { va: buffer.va, at: type.at(buffer.view) };
  }
}

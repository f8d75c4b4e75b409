// A bounded queue of bytes. Used for console output and input; nothing in it waits or wakes.

export class ByteQueue {
  readonly #capacity: number;
  #bytes = new Uint8Array(0);

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Appends as far as there is room; returns how many. */
  push(bytes: Uint8Array): number {
    const n = Math.min(bytes.length, this.#capacity - this.#bytes.length);
    if (n > 0) this.#bytes = concat(this.#bytes, bytes.subarray(0, n));
    return n;
  }

  /** Appends all and drops the oldest that no longer fit. */
  pushLast(bytes: Uint8Array): void {
    const all = concat(this.#bytes, bytes);
    this.#bytes = all.slice(Math.max(0, all.length - this.#capacity));
  }

  /** The bytes, first to last; valid until the next change. */
  peek(): Uint8Array {
    return this.#bytes;
  }

  /** Removes and returns the first `n`. */
  take(n: number): Uint8Array {
    const taken = this.#bytes.slice(0, n);
    this.#bytes = this.#bytes.slice(n);
    return taken;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

// The byte rings of the PV console and of xenstore (public/io/console.h, xs_wire.h): both ends use this file, daemons in
// dom0 and TypeScript kernels alike. Request rings of block and network devices are another form (abi/io/ring.ts).
//
// 1. A ring has `size` bytes (a power of two) and two free-running 32-bit indexes. Byte i lies at i mod size.
// 2. The writer reads cons, copies in at most size - (prod - cons) bytes, then stores prod, then sends an event.
// 3. The reader reads prod, copies out at most prod - cons bytes, then stores cons, then sends an event.
//
// The other side may write anything anywhere in the page at any time. Both indexes are loaded once for each operation by
// Atomics, and the loaded values checked: prod - cons (mod 2^32) above the size is an index that nobody honest wrote. It
// is reported as RING_BAD, and nothing is moved; what to do about it is the caller's policy.

import { XenconsInterface } from "./abi/io/console.ts";
import { XENSTORE_RING_SIZE, XenstoreDomainInterface } from "./abi/io/xs_wire.ts";

/** Where one direction's bytes and indexes are in its page. */
export interface RingLayout {
  readonly data: number;
  /** Bytes, a power of two. */
  readonly size: number;
  readonly cons: number;
  readonly prod: number;
}

const con = XenconsInterface.offsets;
const xs = XenstoreDomainInterface.offsets;
/** What the console daemon types to the guest. */
export const CONSOLE_IN: RingLayout = { data: con.in, size: 1024, cons: con.in_cons, prod: con.in_prod };
/** What the guest prints. */
export const CONSOLE_OUT: RingLayout = { data: con.out, size: 2048, cons: con.out_cons, prod: con.out_prod };
/** Requests of the guest to xenstored. */
export const XENSTORE_REQ: RingLayout = {
  data: xs.req,
  size: XENSTORE_RING_SIZE,
  cons: xs.req_cons,
  prod: xs.req_prod,
};
/** Replies and watch events of xenstored. */
export const XENSTORE_RSP: RingLayout = {
  data: xs.rsp,
  size: XENSTORE_RING_SIZE,
  cons: xs.rsp_cons,
  prod: xs.rsp_prod,
};

/** Given instead of a count of bytes when the indexes are further apart than the ring is long. */
export const RING_BAD = -1;

export class ByteRing {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #layout: RingLayout;

  /** The ring at `layout` in the page that begins at byte `base` of `memory` (a multiple of 4 in its buffer). */
  constructor(memory: Uint8Array, base: number, layout: RingLayout) {
    if (base < 0 || base + 4096 > memory.byteLength) throw new RangeError(`no page at byte ${base}`);
    this.#bytes = memory.subarray(base + layout.data, base + layout.data + layout.size);
    this.#words = new Int32Array(memory.buffer, memory.byteOffset + base, 1024);
    this.#layout = layout;
  }

  #load(at: number): number {
    return Atomics.load(this.#words, at >>> 2) >>> 0;
  }

  #store(at: number, index: number): void {
    Atomics.store(this.#words, at >>> 2, index | 0);
  }

  /** Bytes waiting to be read, or RING_BAD. */
  available(): number {
    return this.#used(this.#load(this.#layout.cons), this.#load(this.#layout.prod));
  }

  /** Bytes that can be written, or RING_BAD. */
  space(): number {
    const used = this.available();
    return used === RING_BAD ? RING_BAD : this.#layout.size - used;
  }

  #used(cons: number, prod: number): number {
    const used = (prod - cons) >>> 0;
    return used > this.#layout.size ? RING_BAD : used;
  }

  /**
   * Moves bytes out of the ring into `target`. Returns how many (0 when the ring is empty), or RING_BAD. The bytes are a
   * copy that the other side can't change any more.
   */
  read(target: Uint8Array): number {
    const cons = this.#load(this.#layout.cons);
    const used = this.#used(cons, this.#load(this.#layout.prod));
    if (used === RING_BAD) return RING_BAD;
    const count = Math.min(used, target.length);
    const start = cons & (this.#layout.size - 1);
    const first = Math.min(count, this.#layout.size - start);
    target.set(this.#bytes.subarray(start, start + first));
    target.set(this.#bytes.subarray(0, count - first), first);
    if (count > 0) this.#store(this.#layout.cons, (cons + count) >>> 0);
    return count;
  }

  /** Moves bytes from `source` into the ring. Returns how many there was room for, or RING_BAD. */
  write(source: Uint8Array): number {
    const prod = this.#load(this.#layout.prod);
    const used = this.#used(this.#load(this.#layout.cons), prod);
    if (used === RING_BAD) return RING_BAD;
    const count = Math.min(this.#layout.size - used, source.length);
    const start = prod & (this.#layout.size - 1);
    const first = Math.min(count, this.#layout.size - start);
    this.#bytes.set(source.subarray(0, first), start);
    this.#bytes.set(source.subarray(first, count), 0);
    if (count > 0) this.#store(this.#layout.prod, (prod + count) >>> 0);
    return count;
  }
}

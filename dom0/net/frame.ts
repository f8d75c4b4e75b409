// Ethernet frames while they are in dom0: each lies in dom0's own pages, so that grant copies and the host's DMA move it,
// and is counted by the ports that still have it to deliver. Used by the bridge's ports (backends/net/, uplink.ts). Slots
// are of two sizes: 2 KiB, two in a page, and 64 KiB for what is longer; a frame never crosses a page but at the
// page's start, as grant copies need it.

import type { Pages } from "../../guests/sdk/index.ts";

export const PAGE_SIZE = 4096;
/** Destination, source, type: the least that is a frame at all here. */
export const ETH_HEADER = 14;
/** The longest frame: what a netif request can say. */
export const MAX_FRAME = 0xffff;
const SMALL = 2048;
const LARGE = 65536;
/** Pages taken from dom0 at once: 32 small slots or a large one. */
const CHUNK_PAGES = 16;

/** Whether the frame's TCP or UDP checksum is right, unknown, or left for us to fill in. */
export const Csum = { unknown: 0, valid: 1, blank: 2 } as const;
export type Csum = (typeof Csum)[keyof typeof Csum];

export class Frame {
  /** The slot's bytes, longer than the frame. */
  readonly room: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  /** Machine frame of the first page, and where in that page the slot begins. */
  readonly mfn: number;
  readonly offset: number;
  /** Bytes of the frame. */
  size = 0;
  csum: Csum = Csum.unknown;
  /** Bytes of TCP payload of each segment that this frame stands for (segmentation offload), 0 for a frame as it is. */
  gsoSize = 0;
  readonly #pool: FramePool;
  #refs = 0;

  constructor(pool: FramePool, pages: Pages, at: number, capacity: number) {
    this.#pool = pool;
    this.room = pages.bytes.subarray(at, at + capacity);
    this.view = new DataView(this.room.buffer, this.room.byteOffset, capacity);
    this.mfn = pages.mfn + Math.floor(at / PAGE_SIZE);
    this.offset = at % PAGE_SIZE;
  }

  get capacity(): number {
    return this.room.length;
  }

  /** The frame's bytes. */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    return this.room.subarray(0, this.size);
  }

  /** @internal For the pool: a frame of one holder. */
  take(size: number): this {
    this.size = size;
    this.csum = Csum.unknown;
    this.gsoSize = 0;
    this.#refs = 1;
    return this;
  }

  /** One more holder. */
  retain(): void {
    this.#refs++;
  }

  /** One holder less; the last gives the slot back. */
  release(): void {
    if (this.#refs <= 0) throw new Error("a frame was released twice");
    if (--this.#refs === 0) this.#pool.give(this);
  }
}

export class FramePool {
  readonly #allocate: (count: number) => Pages;
  readonly #small: Frame[] = [];
  readonly #large: Frame[] = [];
  #bytes = 0;
  /** Bytes of slots in use. */
  used = 0;
  /** Most bytes of slots. Those who have frames waiting raise it by what they may keep. */
  limit: number;

  /** `allocate` gives pages of dom0's own, for ever; RangeError when there are none is a full pool, not a failure. */
  constructor(allocate: (count: number) => Pages, limit: number) {
    this.#allocate = allocate;
    this.limit = limit;
  }

  /** A slot for a frame of `size` bytes (its content is old); undefined when the pool is exhausted: drop the frame then. */
  alloc(size: number): Frame | undefined {
    if (size > MAX_FRAME) throw new RangeError(`a frame of ${size} bytes`);
    const capacity = size <= SMALL ? SMALL : LARGE;
    if (this.used + capacity > this.limit) return undefined;
    const free = size <= SMALL ? this.#small : this.#large;
    const frame = free.pop() ?? (this.#grow(capacity) ? free.pop() : undefined);
    if (frame === undefined) return undefined;
    this.used += capacity;
    return frame.take(size);
  }

  /** @internal For Frame. */
  give(frame: Frame): void {
    this.used -= frame.capacity;
    (frame.capacity === SMALL ? this.#small : this.#large).push(frame);
  }

  #grow(capacity: number): boolean {
    // Free slots of the other size count too: memory taken from dom0 stays bounded.
    if (this.#bytes + CHUNK_PAGES * PAGE_SIZE > 2 * this.limit) return false;
    let pages: Pages;
    try {
      pages = this.#allocate(CHUNK_PAGES);
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
    this.#bytes += pages.bytes.length;
    for (let at = 0; at < pages.bytes.length; at += capacity)
      (capacity === SMALL ? this.#small : this.#large).push(new Frame(this, pages, at, capacity));
    return true;
  }
}

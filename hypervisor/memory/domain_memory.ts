// One domain's memory: which frames it has, how many it may have, and the memory map that the toolstack gave it. A
// domain's own numbering of its frames (pfn to mfn) is the guest's affair. Made with the domain; the frame table keeps
// it for as long as any frame is the domain's, which can be longer than the domain lives: others may have mapped them.

import type { DomId, Mfn } from "../../shared/brand.ts";
import { type FrameOwner, type FrameTable, PageFlag } from "./frame_table.ts";

export class DomainMemory implements FrameOwner {
  readonly id: DomId;
  /** The domain may map device frames, and other domains' frames by naming them. */
  readonly privileged: boolean;
  /** Most frames that it may have; more than it has already stops it from getting any. */
  maxPages: number;
  /** Frames that it has now (kept by the frame table). */
  totPages = 0;
  /** The hypervisor's frames that are shared with it, and how many of them are not yet given up. */
  readonly sharedFrames: Mfn[] = [];
  sharedPages = 0;
  /** Ends of the list of its frames, 0 when it has none (kept by the frame table). */
  head = 0 as Mfn;
  tail = 0 as Mfn;
  /** No more frames are given to it. */
  dying = false;
  /** Nobody refers to any frame of it any more: its id may be another domain's by now. */
  released = false;
  /** Physical memory map: e820 entries as XENMEM_set_memory_map stored them, 20 bytes each. */
  memoryMap: Uint8Array | undefined = undefined;
  /** Tables checked ahead for an operation that is under way, and tables whose last use has ended but which are not yet
   *  undone: each with a page and a type reference (long_work.ts). */
  readonly held: Mfn[] = [];
  readonly deferred: Mfn[] = [];
  /** Frames that relinquish has not yet looked at. */
  relinquishLeft = 0;

  readonly #frames: FrameTable;
  #whenReleased: (() => void) | undefined = undefined;

  constructor(frames: FrameTable, id: DomId, privileged: boolean, maxPages: number) {
    this.#frames = frames;
    this.id = id;
    this.privileged = privileged;
    this.maxPages = maxPages;
    frames.register(id, this);
  }

  get memory(): this {
    return this;
  }

  /** A zeroed frame, or -1 when its limit is reached, it is dying, or machine memory is full. */
  alloc(): Mfn | -1 {
    return this.mayGrow(1) ? this.#frames.alloc(this) : -1;
  }

  /** 2^order zeroed consecutive frames, naturally aligned, or -1. */
  allocExtent(order: number): Mfn | -1 {
    if (order === 0) return this.alloc();
    return this.mayGrow(2 ** order) ? this.#frames.allocContiguous(this, 2 ** order, 2 ** order) : -1;
  }

  /** Whether `count` more frames are within its limit. */
  mayGrow(count: number): boolean {
    return !this.dying && this.totPages + count <= this.maxPages;
  }

  /** Gives one of its frames back: false when it is not one of them. It is freed when its last user lets go. */
  free(mfn: number): boolean {
    if (!this.#frames.getPage(mfn, this.id)) return false;
    if (!(this.#frames.flags[mfn] & PageFlag.Shared)) this.#frames.putAllocation(mfn as Mfn);
    this.#frames.putPage(mfn as Mfn);
    return true;
  }

  /** Its frames, in the order in which it got them. Nothing may be allocated or freed meanwhile. */
  *[Symbol.iterator](): Generator<Mfn> {
    for (let mfn = this.head as number; mfn !== 0; mfn = this.#frames.nextOf(mfn as Mfn)) yield mfn as Mfn;
  }

  /**
   * To be called once, when the domain is dead and relinquish has nothing left to do. `done` is called when nobody
   * refers to any of its frames any more: at once, or by whoever drops the last reference. Then the hypervisor's shared
   * frames are freed and the domain id can be used again.
   */
  whenReleased(done: () => void): void {
    this.#whenReleased = done;
    this.frameGone();
  }

  /** Called by the frame table whenever a frame has left the domain. */
  frameGone(): void {
    if (this.#whenReleased === undefined || this.totPages > 0 || this.sharedPages > 0) return;
    const done = this.#whenReleased;
    this.#whenReleased = undefined;
    this.released = true;
    for (const mfn of this.sharedFrames.splice(0)) this.#frames.freeXen(mfn);
    this.#frames.register(this.id, undefined);
    done();
  }
}

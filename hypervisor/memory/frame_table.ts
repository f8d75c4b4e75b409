// The frame table: for every 4 KiB frame of machine memory who owns it, what it is used as, and how often. The allocator
// of frames is here too. The page types' rules are in page_types.ts; this file only counts. Used by all of memory/, by
// grants/ and by whoever needs a frame. Corresponds to struct page_info of Xen, not to any public header.
//
// Invariants, checked wholesale by checker.ts:
// 1. A frame is free (owner DOMID_INVALID, no references), the hypervisor's (DOMID_XEN), a device's (DOMID_IO) or a
//    domain's. While its reference count is above zero its owner does not change.
// 2. References of a domain's frame: one for being allocated to it (Allocated), one for each present L1 entry that maps
//    it, wherever that table is, one for each table entry, pin, vcpu base pointer or GDT slot that uses it as that type,
//    and one for each grant or hypercall that is at work on it. At zero it is freed.
// 3. A frame has one type while its type count is above zero: writable mappings, or uses as a table or descriptor page.
// 4. Before a frame leaves type Writable for another, or is freed, `tlb.retire` drops every translation to it. So no
//    processor can write to a table or descriptor page, nor reach a frame that has changed hands, through a stale entry;
//    nor can the hypervisor's own copies to and from guests, which go by the same entries.
// 5. A frame that is handed out reads zero: one that was used before is cleared when it is handed out again.
// The arrays lie outside machine memory, so that no stray store of a processor can reach them. No count can overflow:
// machine memory has 2^20 frames at most, so there are under 2^30 table entries.

import { DOMID_INVALID, DOMID_IO, DOMID_XEN } from "../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";
import type { MachineMemory } from "../machine/memory.ts";
import type { Tlb } from "../machine/processor.ts";
import type { DomainMemory } from "./domain_memory.ts";
import type { MachineToPhys } from "./m2p.ts";

/** What a frame is used as. The numbers are Xen's PGT_ values, shifted down. */
export const PageType = { None: 0, L1: 1, L2: 2, L3: 3, L4: 4, SegDesc: 5, Writable: 7 } as const;
export type PageType = (typeof PageType)[keyof typeof PageType];

export const PageFlag = {
  /** A guest pinned it (MMUEXT_PIN_): one type reference and one page reference. */
  Pinned: 1,
  /** Its contents have been checked for its type. */
  Validated: 2,
  /** It is among its owner's frames, which holds one reference. */
  Allocated: 4,
  /** The hypervisor's own, shared with its owner: never typed otherwise, exchanged, transferred or given back. */
  Shared: 8,
  /** Has been handed out before, so that it must be cleared before it is again. */
  Used: 16,
} as const;

/** Who can own frames: a domain. */
export interface FrameOwner {
  readonly id: DomId;
  readonly memory: DomainMemory;
}

const NONE = 0; // Frame 0 is nobody's (MachineMemory), so it ends the lists.

const NOTHING_MISSING = { count: Number.POSITIVE_INFINITY, align: 0, whole: false };

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}

export class FrameTable {
  readonly owner: Uint16Array;
  readonly type: Uint8Array;
  readonly flags: Uint8Array;
  readonly typeCount: Uint32Array;
  readonly refCount: Uint32Array;
  /** Uses of a table by others of its level (negative: so many entries of others map it), see page_types.ts. */
  readonly linear: Int32Array;
  /** Frames of the machine, and the first one that this table hands out. */
  readonly totalFrames: number;
  readonly first: Mfn;
  readonly m2p: MachineToPhys;

  readonly #memory: MachineMemory;
  readonly #tlb: Tlb;
  readonly #next: Uint32Array;
  readonly #prev: Uint32Array;
  readonly #memories: (DomainMemory | undefined)[] = [];
  /** Freed frames, most recent first; from `#untouched` up frames were never handed out. */
  #freeHead = NONE;
  #freed = 0;
  #untouched: number;
  #foundAt = 0;
  /** A search for consecutive frames, of all or of those used before, that found none. */
  #missing = NOTHING_MISSING;
  /** Places looked at for consecutive frames since somebody last set this to 0. */
  searched = 0;

  /** To be made after everybody has reserved what they need at the bottom of machine memory. */
  constructor(memory: MachineMemory, tlb: Tlb, m2p: MachineToPhys) {
    this.#memory = memory;
    this.#tlb = tlb;
    this.m2p = m2p;
    const n = memory.frames;
    this.totalFrames = n;
    this.owner = new Uint16Array(shared(n * 2));
    this.type = new Uint8Array(shared(n));
    this.flags = new Uint8Array(shared(n));
    this.typeCount = new Uint32Array(shared(n * 4));
    this.refCount = new Uint32Array(shared(n * 4));
    this.linear = new Int32Array(shared(n * 4));
    this.#next = new Uint32Array(shared(n * 4));
    this.#prev = new Uint32Array(shared(n * 4));
    this.first = memory.firstFree;
    this.#untouched = this.first;
    this.owner.fill(DOMID_XEN, 0, this.first);
    this.owner.fill(DOMID_INVALID, this.first);
    for (let mfn = m2p.firstFrame; mfn < m2p.firstFrame + m2p.frames; mfn++) this.#showReadOnly(mfn as Mfn);
  }

  /** Frames that can still be handed out. */
  get freeFrames(): number {
    return this.#freed + this.totalFrames - this.#untouched;
  }

  /** True for a frame number inside machine memory (a whole number). */
  isValid(mfn: number): mfn is Mfn {
    return mfn >= 0 && mfn < this.totalFrames;
  }

  ownerOf(mfn: Mfn): DomId {
    return this.owner[mfn] as DomId;
  }

  /** The memory of a domain that still owns frames, dead ones included. */
  memoryOf(id: DomId): DomainMemory | undefined {
    return this.#memories[id];
  }

  /** Called by DomainMemory's constructor and when its last frame is gone. */
  register(id: DomId, memory: DomainMemory | undefined): void {
    this.#memories[id] = memory;
  }

  /** A device's registers or queues in reserved memory: privileged domains may map these frames as DOMID_IO. */
  assignIo(mfn: Mfn, count: number): void {
    this.owner.fill(DOMID_IO, mfn, mfn + count);
  }

  // Allocation

  /** A zeroed frame, owned by and counted to the domain, or -1 when memory is full. Its limit is DomainMemory's. */
  alloc(owner: FrameOwner): Mfn | -1 {
    const mfn = this.#take();
    if (mfn !== -1) this.#assign(mfn, owner.memory);
    return mfn;
  }

  /** `count` consecutive zeroed frames for the domain, the first a multiple of `align` (a power of two), or -1. */
  allocContiguous(owner: FrameOwner, count: number, align = 1): Mfn | -1 {
    const start = this.#findRun(count, align);
    if (start === -1) return -1;
    for (let mfn = start as Mfn; mfn < start + count; mfn++) {
      this.#takeThis(mfn);
      this.#assign(mfn, owner.memory);
    }
    return start;
  }

  /** A zeroed frame for the hypervisor itself, or -1. */
  allocXen(): Mfn | -1 {
    const mfn = this.#take();
    if (mfn !== -1) this.owner[mfn] = DOMID_XEN;
    return mfn;
  }

  /** Gives back a frame of allocXen that is not, or no longer, shared. */
  freeXen(mfn: Mfn): void {
    if (this.owner[mfn] !== DOMID_XEN || this.refCount[mfn] !== 0) throw new Error(`frame ${mfn} is not Xen's own`);
    this.#giveBack(mfn);
  }

  /** Lets a domain map a frame of allocXen, for reading or also for writing. Undone when the domain dies. */
  shareWithGuest(mfn: Mfn, owner: FrameOwner, readonly: boolean): void {
    this.owner[mfn] = owner.id;
    this.flags[mfn] |= PageFlag.Shared | PageFlag.Allocated | PageFlag.Validated;
    this.type[mfn] = readonly ? PageType.None : PageType.Writable;
    this.typeCount[mfn] = 1; // Holds the type for good.
    this.refCount[mfn] = 1;
    owner.memory.sharedFrames.push(mfn);
    owner.memory.sharedPages++;
  }

  // References

  /** Takes a reference to a frame of domain `id`; false when it is not that domain's, or nobody's. */
  getPage(mfn: number, id: number): boolean {
    if (!this.isValid(mfn) || this.owner[mfn] !== id || this.refCount[mfn] === 0) return false;
    this.refCount[mfn]++;
    return true;
  }

  /** Drops a reference; the last one frees the frame. */
  putPage(mfn: Mfn): void {
    if (this.refCount[mfn] === 0) throw new Error(`reference count of frame ${mfn} would fall below zero`);
    if (--this.refCount[mfn] === 0) this.#lastReference(mfn);
  }

  /** Drops the reference that being allocated holds, if the frame still has it. True if it had. */
  putAllocation(mfn: Mfn): boolean {
    if ((this.flags[mfn] & PageFlag.Allocated) === 0) return false;
    this.flags[mfn] &= ~PageFlag.Allocated;
    this.putPage(mfn);
    return true;
  }

  /**
   * Takes a frame from its owner when nothing refers to it but its allocation (XENMEM_exchange, grant transfer); it is
   * then the hypervisor's, contents kept. False when it is not `owner`'s or still in use.
   */
  steal(mfn: number, owner: FrameOwner): mfn is Mfn {
    if (!this.isValid(mfn) || this.owner[mfn] !== owner.id || this.refCount[mfn] !== 1) return false;
    if ((this.flags[mfn] & (PageFlag.Allocated | PageFlag.Shared)) !== PageFlag.Allocated) return false;
    this.#unlink(mfn, owner.memory);
    this.#tlb.retire(mfn);
    this.#clear(mfn);
    this.owner[mfn] = DOMID_XEN;
    return true;
  }

  /** Gives a frame of allocXen or steal to a domain, contents kept. */
  adopt(mfn: Mfn, owner: FrameOwner): void {
    this.#assign(mfn, owner.memory);
  }

  // The list of a domain's frames, in the order in which it got them.

  nextOf(mfn: Mfn): Mfn | 0 {
    return this.#next[mfn] as Mfn;
  }

  /** Moves a frame to the end of its owner's list. */
  moveToTail(mfn: Mfn, memory: DomainMemory): void {
    this.#unlink(mfn, memory);
    this.#link(mfn, memory);
  }

  #assign(mfn: Mfn, memory: DomainMemory): void {
    this.owner[mfn] = memory.id;
    this.flags[mfn] |= PageFlag.Allocated;
    this.refCount[mfn] = 1;
    this.#link(mfn, memory);
  }

  #link(mfn: Mfn, memory: DomainMemory): void {
    this.#next[mfn] = NONE;
    this.#prev[mfn] = memory.tail;
    if (memory.tail === NONE) memory.head = mfn;
    else this.#next[memory.tail] = mfn;
    memory.tail = mfn;
    memory.totPages++;
  }

  #unlink(mfn: Mfn, memory: DomainMemory): void {
    const next = this.#next[mfn] as Mfn;
    const prev = this.#prev[mfn] as Mfn;
    if (prev === NONE) memory.head = next;
    else this.#next[prev] = next;
    if (next === NONE) memory.tail = prev;
    else this.#prev[next] = prev;
    memory.totPages--;
  }

  #lastReference(mfn: Mfn): void {
    if (this.typeCount[mfn] !== 0 && !(this.flags[mfn] & PageFlag.Shared))
      throw new Error(`frame ${mfn} freed while its type is in use`);
    const memory = this.#memories[this.owner[mfn]];
    if (!memory) throw new Error(`frame ${mfn} has no owner`);
    this.#tlb.retire(mfn);
    if (this.flags[mfn] & PageFlag.Shared) {
      // It stays the hypervisor's until the domain is gone altogether: shared_info is still looked at until then.
      this.#clear(mfn);
      this.owner[mfn] = DOMID_XEN;
      memory.sharedPages--;
    } else {
      this.#unlink(mfn, memory);
      this.#giveBack(mfn);
    }
    memory.frameGone();
  }

  #clear(mfn: Mfn): void {
    this.type[mfn] = PageType.None;
    this.typeCount[mfn] = 0;
    this.refCount[mfn] = 0;
    this.linear[mfn] = 0;
    this.flags[mfn] = PageFlag.Used;
  }

  #giveBack(mfn: Mfn): void {
    this.#clear(mfn);
    this.m2p.set(mfn, -1);
    this.owner[mfn] = DOMID_INVALID;
    this.#missing = NOTHING_MISSING;
    this.#pushFree(mfn);
  }

  #pushFree(mfn: Mfn): void {
    this.#next[mfn] = this.#freeHead;
    this.#prev[mfn] = NONE;
    if (this.#freeHead !== NONE) this.#prev[this.#freeHead] = mfn;
    this.#freeHead = mfn;
    this.#freed++;
  }

  /** Frames used before come first: a shared memory never shrinks, and touching a new page costs the host memory. */
  #take(): Mfn | -1 {
    const mfn = (this.#freeHead !== NONE ? this.#freeHead : this.#untouched) as Mfn;
    if (mfn >= this.totalFrames) return -1;
    this.#takeThis(mfn);
    return mfn;
  }

  /** Takes one free frame off the list or from the untouched ones (those skipped go to the list), and zeroes it. */
  #takeThis(mfn: Mfn): void {
    while (mfn >= this.#untouched) this.#pushFree(this.#untouched++ as Mfn);
    const next = this.#next[mfn];
    const prev = this.#prev[mfn];
    if (prev === NONE) this.#freeHead = next;
    else this.#next[prev] = next;
    if (next !== NONE) this.#prev[next] = prev;
    this.#freed--;
    if (this.flags[mfn] & PageFlag.Used) this.#memory.zero(mfn);
    this.#clear(mfn);
  }

  /** Among frames used before, as for single ones, then behind them, at last wherever both meet. */
  #findRun(count: number, align: number): Mfn | -1 {
    const among = this.#freed >= count ? this.#searchRun(count, align, this.#untouched) : -1;
    if (among !== -1) return among;
    const aligned = Math.ceil(this.#untouched / align) * align;
    if (aligned + count <= this.totalFrames) {
      if (aligned > this.#untouched) this.#missing = NOTHING_MISSING; // Those that are skipped become free ones.
      return aligned as Mfn;
    }
    return this.#searchRun(count, align, this.totalFrames);
  }

  /** On from where the last one was found, so that many in a row don't all look at the same frames again. */
  #searchRun(count: number, align: number, end: number): Mfn | -1 {
    // What wasn't there is not looked for again, nor what would hold it, until a frame comes back.
    const missing = this.#missing;
    const whole = end === this.totalFrames;
    if (count >= missing.count && align >= missing.align && (missing.whole || !whole)) return -1;
    const first = Math.ceil(this.first / align) * align;
    let at = Math.max(first, Math.ceil(this.#foundAt / align) * align);
    for (let looks = Math.floor((end - first) / align); looks > 0; looks--, at += align) {
      if (at + count > end) at = first;
      this.searched++;
      let i = 0;
      while (i < count && this.owner[at + i] === DOMID_INVALID) i++;
      if (i < count) continue;
      this.#foundAt = at;
      return at as Mfn;
    }
    this.#missing = { count, align, whole };
    return -1;
  }

  /** Privileged domains may map the frames of the machine-to-physical table as DOMID_XEN, to read. */
  #showReadOnly(mfn: Mfn): void {
    this.flags[mfn] |= PageFlag.Shared | PageFlag.Validated;
    this.typeCount[mfn] = 1;
    this.refCount[mfn] = 1;
  }
}

// One domain's grants: the table it shares with the hypervisor, what is in use of it by others ("active" entries), and
// what the domain itself has mapped of others' (maptrack). mapping.ts and copy.ts work on it. Public/grant_table.h,
// version 1 entries: how the flags word is raced on is written at the head of shared/abi/grant_table.ts. Left out:
// version 2.

import {
  GNTST_general_error,
  GNTST_okay,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_type_mask,
  GTF_writing,
} from "../../shared/abi/grant_table.ts";
import type { Mfn } from "../../shared/brand.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";
import type { FrameOwner, FrameTable } from "../memory/frame_table.ts";
import { MapTrack } from "./maptrack.ts";

/** Entries of 8 bytes in a frame of the table. */
export const ENTRIES_PER_FRAME = FRAME_SIZE / 8;

/** Steps of the four counters of `pins`, 8 bits each: uses for device writing, reading, host writing, reading. */
export const Pin = { devw: 0x1000000, devr: 0x10000, hstw: 0x100, hstr: 1 } as const;
export const PIN_WRITERS = 0xff00ff00;
/** Attempts at exchanging a flags word while its domain keeps changing it. */
const ATTEMPTS = 5;

export class GrantTable {
  readonly owner: FrameOwner;
  readonly maxFrames: number;
  readonly maptrack: MapTrack;
  /** Machine frames of the shared table. */
  readonly frames: Mfn[] = [];
  // Active entries, by reference: how it is in use, by whom, and which frame it was when first used.
  readonly pins: Uint32Array;
  readonly users: Uint16Array;
  readonly mfns: Uint32Array;
  readonly #i32: Int32Array;
  readonly #frameTable: FrameTable;

  /** `maxFrames` of the shared table, and `maxMaptrackFrames` of 256 mappings each, as xl.cfg names them. */
  constructor(
    memory: MachineMemory,
    frameTable: FrameTable,
    owner: FrameOwner,
    maxFrames: number,
    maxMaptrackFrames: number,
  ) {
    this.#i32 = memory.i32;
    this.#frameTable = frameTable;
    this.owner = owner;
    this.maxFrames = maxFrames;
    this.maptrack = new MapTrack(maxMaptrackFrames);
    this.pins = new Uint32Array(maxFrames * ENTRIES_PER_FRAME);
    this.users = new Uint16Array(maxFrames * ENTRIES_PER_FRAME);
    this.mfns = new Uint32Array(maxFrames * ENTRIES_PER_FRAME);
  }

  /** Number of references that there are entries for. */
  get entries(): number {
    return this.frames.length * ENTRIES_PER_FRAME;
  }

  /** Makes the shared table at least `count` frames long: false when it may not be or memory is full. */
  grow(count: number): boolean {
    if (count > this.maxFrames || this.owner.memory.dying) return false;
    while (this.frames.length < count) {
      const mfn = this.#frameTable.allocXen();
      if (mfn === -1) return false;
      this.#frameTable.shareWithGuest(mfn, this.owner, false);
      this.frames.push(mfn);
    }
    return true;
  }

  // The shared entry: `flags` in the low half of its first word, `domid` in the high half, `frame` the second word.

  /** The frame number that the owner wrote. */
  frameOf(ref: number): number {
    return this.#i32[this.#word(ref) + 1] >>> 0;
  }

  setFrame(ref: number, mfn: Mfn): void {
    Atomics.store(this.#i32, this.#word(ref) + 1, mfn);
  }

  /** Copies an entry's 8 bytes over another's, and the other way (GNTTABOP_swap_grant_ref). */
  swap(a: number, b: number): void {
    for (let i = 0; i < 2; i++) {
      const wordA = this.#word(a) + i;
      const wordB = this.#word(b) + i;
      const kept = this.#i32[wordA];
      this.#i32[wordA] = this.#i32[wordB];
      this.#i32[wordB] = kept;
    }
  }

  /** Compares and exchanges `flags` while `domid` is `user`: false when the flags are not `from`, or keep changing. */
  exchangeFlags(ref: number, user: number, from: number, to: number): boolean {
    const word = this.#word(ref);
    const old = (user << 16) | from;
    return Atomics.compareExchange(this.#i32, word, old, (user << 16) | to) === old;
  }

  setFlags(ref: number, flags: number): void {
    Atomics.or(this.#i32, this.#word(ref), flags);
  }

  /**
   * Marks the entry as being read, or written too, by domain `user`: GNTST_. The first use checks that the owner has
   * granted it; later ones that it is still the same user's.
   */
  setStatus(ref: number, user: number, readonly: boolean, mapping: boolean): number {
    const word = this.#word(ref);
    const mask = GTF_type_mask | (mapping ? GTF_sub_page : 0);
    let seen = Atomics.load(this.#i32, word);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const flags = seen & 0xffff;
      if (this.pins[ref] === 0 && ((flags & mask) !== GTF_permit_access || seen >>> 16 !== user))
        return GNTST_general_error;
      if (!readonly && flags & GTF_readonly) return GNTST_general_error;
      const wanted = seen | GTF_reading | (readonly ? 0 : GTF_writing);
      const found = Atomics.compareExchange(this.#i32, word, seen, wanted);
      if (found === seen) return GNTST_okay;
      seen = found;
    }
    return GNTST_general_error;
  }

  /** Clears the marks that nothing pins any more, after a use (`readonly` or not) has ended. */
  reduceStatus(ref: number, readonly: boolean): void {
    let clear = this.pins[ref] === 0 ? GTF_reading : 0;
    if (!readonly && (this.pins[ref] & PIN_WRITERS) === 0) clear |= GTF_writing;
    if (clear) Atomics.and(this.#i32, this.#word(ref), ~clear);
  }

  /**
   * Begins a use of `ref` by domain `user`, adding `pin` (a Pin constant, or two of them): GNTST_okay, or what is wrong.
   * `mfns[ref]` then is the frame. The caller takes its page references and undoes by `release`.
   */
  acquire(ref: number, user: number, pin: number, readonly: boolean, mapping: boolean): number {
    const pins = this.pins[ref];
    if (pins !== 0 && (this.users[ref] !== user || wouldOverflow(pins, pin))) return GNTST_general_error;
    if (pins === 0 || (!readonly && (pins & PIN_WRITERS) === 0)) {
      const status = this.setStatus(ref, user, readonly, mapping);
      if (status !== GNTST_okay) return status;
      if (pins === 0) {
        this.users[ref] = user;
        this.mfns[ref] = this.frameOf(ref);
      }
    }
    this.pins[ref] = pins + pin;
    return GNTST_okay;
  }

  /** Ends a use. */
  release(ref: number, pin: number, readonly: boolean): void {
    this.pins[ref] -= pin;
    this.reduceStatus(ref, readonly);
  }

  #word(ref: number): number {
    return (this.frames[Math.floor(ref / ENTRIES_PER_FRAME)] * FRAME_SIZE + (ref % ENTRIES_PER_FRAME) * 8) / 4;
  }
}

/** Whether a counter that `pin` adds one to is at its limit, which in Xen is 128. */
function wouldOverflow(pins: number, pin: number): boolean {
  return (pins & (pin << 7)) !== 0;
}

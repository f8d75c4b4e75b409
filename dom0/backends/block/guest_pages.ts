// A frontend's pages while the disk moves data to or from them. Of an ordinary frontend a request's pages are mapped while it is
// carried out, and only then. One that announces feature-persistent (public/io/blkif.h) uses the same grants again and again:
// its pages stay mapped, up to a number, beyond which those go that weren't used for longest. What such a frontend does with
// a grant meanwhile harms itself alone: the data goes to the page that was mapped, which stays its own until it is unmapped.
// Used by connection.ts.

import { type DmaGrants, DmaMappings } from "../../../guests/sdk/index.ts";
import { GNTST_okay } from "../../../shared/abi/grant_table.ts";
import type { DomId } from "../../../shared/brand.ts";
import type { BlockRequest } from "./request.ts";

/** The pages of one request: where each of its parts' pages is. */
export class RequestPages {
  readonly mappings = new DmaMappings();
  /** Of persistent ones, their numbers. */
  readonly slots: number[] = [];
}

export interface GuestPages {
  /** Makes the pages of the request's parts reachable for devices; false, nothing done, when that isn't granted. */
  map(request: BlockRequest, pages: RequestPages): boolean;
  unmap(request: BlockRequest, pages: RequestPages): void;
  /** When nothing is in use any more. */
  close(): void;
}

export class TransientPages implements GuestPages {
  readonly #grants: DmaGrants;
  readonly #domid: DomId;

  constructor(grants: DmaGrants, domid: DomId) {
    this.#grants = grants;
    this.#domid = domid;
  }

  map(request: BlockRequest, pages: RequestPages): boolean {
    const { refs, parts, write } = request;
    return this.#grants.map(this.#domid, refs, parts, write, pages.mappings) === GNTST_okay;
  }

  unmap({ parts }: BlockRequest, pages: RequestPages): void {
    this.#grants.unmap(pages.mappings, 0, parts);
  }

  close(): void {}
}

export class PersistentPages implements GuestPages {
  readonly #grants: DmaGrants;
  readonly #domid: DomId;
  // By slot. Those in use by no request are in a ring of neighbours, around slot 0, which is none: the next of 0 is the one that
  // wasn't used for longest.
  readonly #mappings = new DmaMappings();
  readonly #refs: Int32Array;
  readonly #uses: Uint16Array;
  readonly #next: Uint16Array;
  readonly #previous: Uint16Array;
  #count = 0;
  /** The slot of each grant, 0: not mapped. As long as the references that were ever good. */
  #slotOf = new Uint16Array(512);
  // What a request lacks, mapped in one go.
  readonly #missing: number[] = [];
  readonly #fresh = new DmaMappings();

  /** `capacity` is at least what all requests under way may have in use. */
  constructor(grants: DmaGrants, domid: DomId, capacity: number) {
    this.#grants = grants;
    this.#domid = domid;
    this.#refs = new Int32Array(capacity + 1);
    this.#uses = new Uint16Array(capacity + 1);
    this.#next = new Uint16Array(capacity + 1);
    this.#previous = new Uint16Array(capacity + 1);
  }

  map(request: BlockRequest, pages: RequestPages): boolean {
    const { refs, parts } = request;
    const { slots, mappings } = pages;
    let missing = 0;
    for (let i = 0; i < parts; i++) {
      const slot = this.#find(refs[i]);
      slots[i] = slot;
      if (slot === 0) this.#missing[missing++] = refs[i];
      else this.#use(slot);
    }
    // A page that a request names twice is then mapped twice; the second one is taken back when it is found to be there.
    if (missing > 0 && this.#grants.map(this.#domid, this.#missing, missing, false, this.#fresh) !== GNTST_okay) {
      for (let i = 0; i < parts; i++) if (slots[i] !== 0) this.#release(slots[i]);
      return false;
    }
    for (let i = 0, n = 0; i < parts; i++) {
      if (slots[i] === 0) slots[i] = this.#keep(refs[i], n++);
      mappings.addresses[i] = this.#mappings.addresses[slots[i]];
    }
    return true;
  }

  unmap({ parts }: BlockRequest, { slots }: RequestPages): void {
    for (let i = 0; i < parts; i++) this.#release(slots[i]);
  }

  close(): void {
    this.#grants.unmap(this.#mappings, 1, this.#count);
    this.#count = 0;
  }

  #find(ref: number): number {
    return ref < this.#slotOf.length ? this.#slotOf[ref] : 0;
  }

  /** Enters the fresh mapping number `n`, in use. */
  #keep(ref: number, n: number): number {
    const known = this.#find(ref);
    if (known !== 0) {
      this.#grants.unmap(this.#fresh, n, 1);
      this.#use(known);
      return known;
    }
    const slot = this.#count < this.#refs.length - 1 ? ++this.#count : this.#evict();
    this.#mappings.addresses[slot] = this.#fresh.addresses[n];
    this.#mappings.handles[slot] = this.#fresh.handles[n];
    this.#refs[slot] = ref;
    this.#uses[slot] = 1;
    if (ref >= this.#slotOf.length) {
      const grown = new Uint16Array(2 ** Math.ceil(Math.log2(ref + 1)));
      grown.set(this.#slotOf);
      this.#slotOf = grown;
    }
    this.#slotOf[ref] = slot;
    return slot;
  }

  #evict(): number {
    const slot = this.#next[0];
    this.#use(slot);
    this.#slotOf[this.#refs[slot]] = 0;
    this.#grants.unmap(this.#mappings, slot, 1);
    return slot;
  }

  #use(slot: number): void {
    if (this.#uses[slot]++ > 0) return;
    this.#next[this.#previous[slot]] = this.#next[slot];
    this.#previous[this.#next[slot]] = this.#previous[slot];
  }

  #release(slot: number): void {
    if (--this.#uses[slot] > 0) return;
    const last = this.#previous[0];
    this.#next[last] = slot;
    this.#previous[slot] = last;
    this.#next[slot] = 0;
    this.#previous[0] = slot;
  }
}

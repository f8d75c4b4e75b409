// The rings of requests and responses that block and network devices use (public/io/ring.h; the steps are in
// abi/io/ring.ts), from both sides: BackRing takes requests and answers them, FrontRing sends them. A ring lies in one or
// more pages, which need not be neighbours in memory, so slots are copied out and in.
//
// The other side may write anything anywhere in the pages at any time. Its index is loaded once by Atomics and checked: a
// distance that no honest side can have made is RING_BAD, and nothing is taken then. A slot that was taken is a copy.

import { ringSize, Sring } from "./abi/io/ring.ts";
import { RING_BAD } from "./ring.ts";

const PAGE = 4096;
const REQ_PROD = Sring.offsets.req_prod / 4;
const REQ_EVENT = Sring.offsets.req_event / 4;
const RSP_PROD = Sring.offsets.rsp_prod / 4;
const RSP_EVENT = Sring.offsets.rsp_event / 4;

/** The pages of a ring, its indexes, its slots. */
class RingPages {
  readonly #pages: readonly Uint8Array[];
  readonly #words: Int32Array;
  readonly #slotBytes: number;
  readonly size: number;

  constructor(pages: readonly Uint8Array[], slotBytes: number) {
    this.#pages = pages;
    this.#words = new Int32Array(pages[0].buffer, pages[0].byteOffset, Sring.size / 4);
    this.#slotBytes = slotBytes;
    this.size = ringSize(pages.length, slotBytes);
  }

  load(word: number): number {
    return Atomics.load(this.#words, word) >>> 0;
  }

  store(word: number, index: number): void {
    Atomics.store(this.#words, word, index | 0);
  }

  /** Copies the slot of `index` into `into`, as much as that holds. */
  read(index: number, into: Uint8Array): void {
    if (this.#pages.length === 1) {
      // Slots are short: byte by byte is quicker than a view of each.
      const page = this.#pages[0];
      const start = this.#start(index);
      for (let i = 0; i < into.length; i++) into[i] = page[start + i];
      return;
    }
    this.#parts(index, into.length, (page, offset, at, length) => {
      into.set(page.subarray(offset, offset + length), at);
    });
  }

  write(index: number, from: Uint8Array): void {
    if (this.#pages.length === 1) {
      const page = this.#pages[0];
      const start = this.#start(index);
      for (let i = 0; i < from.length; i++) page[start + i] = from[i];
      return;
    }
    this.#parts(index, from.length, (page, offset, at, length) => {
      page.set(from.subarray(at, at + length), offset);
    });
  }

  #start(index: number): number {
    return Sring.size + (index & (this.size - 1)) * this.#slotBytes;
  }

  #parts(
    index: number,
    length: number,
    move: (page: Uint8Array, offset: number, at: number, length: number) => void,
  ): void {
    const start = this.#start(index);
    for (let at = 0; at < length; ) {
      const offset = (start + at) % PAGE;
      const n = Math.min(length - at, PAGE - offset);
      move(this.#pages[(start + at - offset) / PAGE], offset, at, n);
      at += n;
    }
  }
}

/** True when `event` lies in what an index was moved over from `from` to `to`: the other side waits for it. */
function asked(event: number, from: number, to: number): boolean {
  return (to - event) >>> 0 < (to - from) >>> 0;
}

/** The back's side: takes requests, gives responses, in any order. */
export class BackRing {
  readonly #ring: RingPages;
  #taken: number;
  #answered: number;
  #published: number;

  /**
   * `slotBytes` is the longer of request and response. The ring is taken up where its indexes stand: at 0 for a ring that
   * the frontend has just made.
   */
  constructor(pages: readonly Uint8Array[], slotBytes: number) {
    this.#ring = new RingPages(pages, slotBytes);
    this.#published = this.#ring.load(RSP_PROD);
    this.#answered = this.#published;
    this.#taken = this.#published;
  }

  /** Slots. */
  get size(): number {
    return this.#ring.size;
  }

  /** Requests that wait to be taken, or RING_BAD: the index is further than there are free slots. */
  waiting(): number {
    const produced = this.#ring.load(REQ_PROD);
    const waiting = (produced - this.#taken) >>> 0;
    const unanswered = (produced - this.#answered) >>> 0;
    return waiting > this.size || unanswered > this.size ? RING_BAD : waiting;
  }

  /** Copies the next request; only when `waiting()` said that there is one. */
  take(into: Uint8Array): void {
    this.#ring.read(this.#taken, into);
    this.#taken = (this.#taken + 1) >>> 0;
  }

  /** Puts a response into the next slot; `publish` shows it. At most one for each request taken. */
  respond(response: Uint8Array): void {
    this.#ring.write(this.#answered, response);
    this.#answered = (this.#answered + 1) >>> 0;
  }

  /** Shows the responses to the frontend. True when it wants an event. */
  publish(): boolean {
    const before = this.#published;
    this.#published = this.#answered;
    this.#ring.store(RSP_PROD, this.#published);
    return asked(this.#ring.load(RSP_EVENT), before, this.#published);
  }

  /** Asks for an event at the next request. True when there are requests by now (or a bad index): look again. */
  sleep(): boolean {
    this.#ring.store(REQ_EVENT, (this.#taken + 1) >>> 0);
    return this.waiting() !== 0;
  }
}

/** The front's side. */
export class FrontRing {
  readonly #ring: RingPages;
  #sent = 0;
  #shown = 0;
  #taken = 0;

  /** Makes a new ring in zeroed pages. */
  constructor(pages: readonly Uint8Array[], slotBytes: number) {
    this.#ring = new RingPages(pages, slotBytes);
    this.#ring.store(REQ_EVENT, 1);
    this.#ring.store(RSP_EVENT, 1);
  }

  get size(): number {
    return this.#ring.size;
  }

  /** Slots for further requests. */
  get space(): number {
    return this.size - ((this.#sent - this.#taken) >>> 0);
  }

  /** Puts a request into the next slot; only while there is space. */
  send(request: Uint8Array): void {
    this.#ring.write(this.#sent, request);
    this.#sent = (this.#sent + 1) >>> 0;
  }

  /** Shows the requests to the backend. True when it wants an event. */
  publish(): boolean {
    const before = this.#shown;
    this.#shown = this.#sent;
    this.#ring.store(REQ_PROD, this.#shown);
    return asked(this.#ring.load(REQ_EVENT), before, this.#shown);
  }

  /** Responses that wait to be taken, or RING_BAD: more than there are requests. */
  waiting(): number {
    const waiting = (this.#ring.load(RSP_PROD) - this.#taken) >>> 0;
    return waiting > (this.#shown - this.#taken) >>> 0 ? RING_BAD : waiting;
  }

  take(into: Uint8Array): void {
    this.#ring.read(this.#taken, into);
    this.#taken = (this.#taken + 1) >>> 0;
  }

  /** Asks for an event at the next response. True when there are responses by now (or a bad index). */
  sleep(): boolean {
    this.#ring.store(RSP_EVENT, (this.#taken + 1) >>> 0);
    return this.waiting() !== 0;
  }
}

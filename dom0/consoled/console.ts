// One guest's console (public/io/console.h, shared/ring.ts): takes what the guest prints off its ring, gives it to the log
// and to whoever looks on, and types into the guest what they send. Nobody looking: the last output is kept, and the next
// viewer gets it first, as from a pseudo-terminal. Made and served by daemon.ts; viewers are viewer.ts.
//
// All buffers are bounded. While a viewer or the log is behind, the ring stays full and the guest waits, so a guest that
// floods its console costs its own time only.

import { WaitQueue } from "../../guests/sdk/index.ts";
import { ByteRing, CONSOLE_IN, CONSOLE_OUT, RING_BAD } from "../../shared/ring.ts";
import { ByteQueue } from "./byte_queue.ts";
import { ConsoleLimits } from "./limits.ts";

/** What is told of a console's output: a viewer or the log. */
export interface Sink {
  /** Gets a copy of its own. */
  push(bytes: Uint8Array): void;
  /** True when it can't take more for now. */
  readonly full: boolean;
  /** No more will come. */
  end(): void;
}

export class GuestConsole {
  readonly domid: number;
  readonly #out: ByteRing;
  readonly #in: ByteRing;
  readonly #notify: () => void;
  readonly #sinks = new Set<Sink>();
  /** Output that nobody has seen yet. */
  readonly #unseen = new ByteQueue(ConsoleLimits.unseenBytes);
  readonly #typed = new ByteQueue(ConsoleLimits.typedBytes);
  /** Woken when there is room for more typed bytes, and at the end. */
  readonly room = new WaitQueue();
  #ended = false;
  #bad = false;
  #viewers = 0;

  /** `page` is the ring's page; `notify` sends the guest an event; `log` gets all output. */
  constructor(domid: number, page: Uint8Array, notify: () => void, log: Sink) {
    this.domid = domid;
    this.#out = new ByteRing(page, 0, CONSOLE_OUT);
    this.#in = new ByteRing(page, 0, CONSOLE_IN);
    this.#notify = notify;
    this.#sinks.add(log);
  }

  /** Moves output from the ring and typed bytes to it. True when more output could be moved at once. */
  service(): boolean {
    if (this.#ended || this.#bad) return false;
    let moved = this.#type();
    const read = this.#read();
    moved ||= read > 0;
    if (moved) this.#notify();
    return read === ConsoleLimits.bytesPerTurn;
  }

  /** Adds a viewer, who first gets what nobody has seen. */
  attach(viewer: Sink): void {
    if (this.#viewers++ === 0) {
      const unseen = this.#unseen.take(this.#unseen.length);
      if (unseen.length > 0) viewer.push(unseen);
    }
    if (this.#ended) viewer.end();
    this.#sinks.add(viewer);
  }

  detach(viewer: Sink): void {
    if (this.#sinks.delete(viewer)) this.#viewers--;
  }

  /** Gives back output that a viewer who is gone has not shown. */
  unsee(pieces: readonly Uint8Array[]): void {
    if (this.#viewers === 0) for (const piece of pieces) this.#unseen.pushLast(piece);
  }

  /** Takes bytes to type into the guest; returns how many there was room for. */
  type(bytes: Uint8Array): number {
    if (this.#ended) return bytes.length; // Nobody reads them any more, and nobody need wait.
    const taken = this.#typed.push(bytes);
    if (this.#type()) this.#notify();
    return taken;
  }

  /** Takes the last output off the ring, whatever the viewers have room for, and tells them that it was the last. */
  end(): void {
    if (this.#ended) return;
    // A ring holds 2 KiB and the guest no longer runs, or is about to end: two turns take all there is.
    for (let turn = 0; turn < 2 && !this.#bad; turn++) this.#read(true);
    this.#ended = true;
    for (const sink of this.#sinks) sink.end();
    this.room.wakeAll();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** True after the guest's indexes made no sense: its console is left alone from then on. */
  get isBad(): boolean {
    return this.#bad;
  }

  #read(force = false): number {
    for (const sink of this.#sinks) if (sink.full && !force) return 0;
    const bytes = new Uint8Array(ConsoleLimits.bytesPerTurn);
    const n = this.#out.read(bytes);
    if (n === RING_BAD) {
      this.#bad = true;
      return 0;
    }
    if (n === 0) return 0;
    for (const sink of this.#sinks) sink.push(bytes.slice(0, n));
    if (this.#viewers === 0) this.#unseen.pushLast(bytes.subarray(0, n));
    return n;
  }

  #type(): boolean {
    if (this.#typed.length === 0) return false;
    const n = this.#in.write(this.#typed.peek());
    if (n === RING_BAD) this.#bad = true;
    if (n <= 0) return false;
    this.#typed.take(n);
    this.room.wakeAll();
    return true;
  }
}

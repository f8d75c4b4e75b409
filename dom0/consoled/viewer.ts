// Someone who looks on a guest's console: `xl console`, `xl create -c`, a test. Takes output in pieces, and types.
// Several may look at once; each gets all output, and what they type is mixed.

import { type Task, WaitQueue } from "../../guests/sdk/index.ts";
import type { GuestConsole, Sink } from "./console.ts";
import { ConsoleLimits } from "./limits.ts";

export class ConsoleViewer implements Sink {
  readonly #console: GuestConsole;
  readonly #serve: () => void;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  /** Woken by output and by the end: for waitAny with other queues. */
  readonly ready = new WaitQueue();

  /** `serve` asks the daemon to look at the console again. */
  constructor(console: GuestConsole, serve: () => void) {
    this.#console = console;
    this.#serve = serve;
    console.attach(this);
  }

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    this.ready.wakeAll();
  }

  get full(): boolean {
    return this.#bytes >= ConsoleLimits.viewerBytes;
  }

  end(): void {
    this.#ended = true;
    this.ready.wakeAll();
  }

  /** The output that is there; undefined when there is none now. */
  tryRead(): Uint8Array | undefined {
    const piece = this.#pieces.shift();
    if (piece === undefined) return undefined;
    const wasFull = this.full;
    this.#bytes -= piece.length;
    if (wasFull && !this.full) this.#serve();
    return piece;
  }

  /** The next output; undefined at the end, or when `timeoutNs` passed first (`atEnd` tells which). */
  *read(timeoutNs = Infinity): Task<Uint8Array | undefined> {
    yield* this.ready.until(() => this.#pieces.length > 0 || this.#ended, timeoutNs);
    return this.tryRead();
  }

  /** True when the console has ended and all output was read. */
  get atEnd(): boolean {
    return this.#ended && this.#pieces.length === 0;
  }

  /** Types all of `bytes`, waiting while the guest doesn't take them; false when `timeoutNs` passed first. */
  *type(bytes: Uint8Array, timeoutNs = Infinity): Task<boolean> {
    let at = 0;
    return yield* this.#console.room.until(() => {
      at += this.#console.type(bytes.subarray(at));
      return at >= bytes.length;
    }, timeoutNs);
  }

  /** Types what there is room for at once; returns how many bytes. */
  tryType(bytes: Uint8Array): number {
    return this.#console.type(bytes);
  }

  /** Stops looking. Output not read yet, and before it `unread`, goes to the next viewer if this was the only one. */
  close(unread: Uint8Array = new Uint8Array(0)): void {
    this.#console.detach(this);
    this.#console.unsee([unread, ...this.#pieces.splice(0)]);
    this.#serve();
  }
}

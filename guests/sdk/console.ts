// A domU's console: the ring that consoled serves (public/io/console.h; the protocol of the ring is in shared/ring.ts), as
// lines for a kernel. Printing never suspends: what the ring has no room for waits here. `kernel.console` makes it.

import type { Port } from "../../shared/brand.ts";
import { ByteRing, CONSOLE_IN, CONSOLE_OUT } from "../../shared/ring.ts";
import type { EventPort, Events } from "./events.ts";
import { type Task, WaitQueue } from "./threads.ts";

const NEWLINE = 10;
const RETURN = 13;
/** A line that is longer is given in pieces of so many bytes. */
const MAX_LINE = 4096;

export class Console {
  readonly #out: ByteRing;
  readonly #in: ByteRing;
  readonly #port: EventPort;
  readonly #moved = new WaitQueue();
  #waiting: Uint8Array[] = [];
  #line: number[] = [];
  #lastByte = 0;

  /** `page` is the ring's page, `port` the console's event channel, as start_info names them. */
  constructor(events: Events, page: Uint8Array, port: Port) {
    this.#out = new ByteRing(page, 0, CONSOLE_OUT);
    this.#in = new ByteRing(page, 0, CONSOLE_IN);
    this.#port = events.adopt(port);
    this.#port.onEvent = () => {
      this.#push();
      this.#moved.wakeAll();
    };
  }

  /** Prints text as it is. Before a shutdown, `drain`. */
  write(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text.slice();
    if (bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#push();
  }

  /** Prints a line. */
  print(line: string): void {
    this.write(`${line}\n`);
  }

  /** Waits until all that was printed has been taken. */
  *drain(): Task {
    yield* this.#moved.until(() => this.#waiting.length === 0 && this.#out.available() <= 0);
  }

  /** Waits for typed bytes, at most `limit`. */
  *read(limit = MAX_LINE): Task<Uint8Array> {
    yield* this.#moved.until(() => this.#in.available() > 0);
    return this.#take(limit);
  }

  /** Waits for a typed line, which ends with a return, a newline or both. Without its end. */
  *readLine(): Task<string> {
    for (;;) {
      const [byte] = yield* this.read(1);
      const secondOfPair = byte === NEWLINE && this.#lastByte === RETURN;
      this.#lastByte = byte;
      if (secondOfPair) continue;
      const ends = byte === NEWLINE || byte === RETURN;
      if (!ends) this.#line.push(byte);
      if (!ends && this.#line.length < MAX_LINE) continue;
      const line = new TextDecoder().decode(Uint8Array.from(this.#line));
      this.#line = [];
      return line;
    }
  }

  #take(limit: number): Uint8Array {
    const bytes = new Uint8Array(limit);
    const n = this.#in.read(bytes);
    if (n > 0) this.#port.notify();
    return bytes.subarray(0, Math.max(0, n));
  }

  #push(): void {
    let moved = false;
    while (this.#waiting.length > 0) {
      const n = this.#out.write(this.#waiting[0]);
      if (n <= 0) break;
      moved = true;
      if (n < this.#waiting[0].length) this.#waiting[0] = this.#waiting[0].subarray(n);
      else this.#waiting.shift();
    }
    if (moved) this.#port.notify();
  }
}

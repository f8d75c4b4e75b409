// The terminal's input as pieces of bytes, read ahead by a thread of its own, so that a key can interrupt a command that
// runs. The line editor reads here, and `xl console` while it shows a guest.

import { Channel, type Host, type Task } from "../../guests/sdk/index.ts";
import type { Keys } from "../xl/index.ts";

const INTERRUPT = 3; // Ctrl-C

export class Keyboard implements Keys {
  readonly channel = new Channel<Uint8Array>();
  attached = false;
  /** Called for Ctrl-C instead of passing it on, unless `attached`. */
  onInterrupt: (() => void) | undefined = undefined;
  #unread: Uint8Array | undefined = undefined;

  /** The thread that reads. */
  *pump(tty: Host["tty"]): Task {
    for (;;) {
      const bytes = yield* tty.read();
      if (bytes === undefined) break;
      if (this.onInterrupt && !this.attached && bytes.includes(INTERRUPT)) this.onInterrupt();
      else this.channel.send(bytes);
    }
    this.channel.close();
  }

  tryRead(): Uint8Array | undefined {
    const unread = this.#unread;
    this.#unread = undefined;
    return unread ?? this.channel.tryReceive();
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#unread = bytes;
  }

  /** The next piece; undefined at the end of input. */
  *read(): Task<Uint8Array | undefined> {
    return this.tryRead() ?? (yield* this.channel.receive());
  }
}

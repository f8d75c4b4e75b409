// Shows a guest's console until the domain ends or the person leaves it with Ctrl-], and types what the person types.
// Called by xl create -c and xl console. In a script there are no keys: only the guest's output is shown.

import { type Task, waitAny } from "../../guests/sdk/index.ts";
import type { DomId } from "../../shared/brand.ts";
import type { ConsoleViewer } from "../consoled/index.ts";
import { CommandError, type XlContext } from "./context.ts";

const LEAVE = 0x1d; // Ctrl-]
const BELL = "\x07";

/** Returns when the domain has ended, or was left. With `followRestarts` the domain that takes its place is shown next. */
export function* attachConsole(
  context: XlContext,
  domid: DomId,
  { followRestarts = false }: { followRestarts?: boolean } = {},
): Task {
  for (let current: DomId | undefined = domid; current !== undefined; ) {
    const managed = context.toolstack.managed(current);
    const viewer = context.consoles.view(current);
    if (viewer === undefined) {
      // With -c: it ended before we could look, and its output is in its log.
      if (followRestarts) return;
      throw new CommandError(`xl console: domain ${current} has no console`);
    }
    const { keys } = context.io;
    let left: boolean;
    try {
      if (keys) keys.attached = true;
      left = yield* show(context, viewer);
    } finally {
      if (keys) keys.attached = false;
      viewer.close();
    }
    if (left || managed === undefined) return;
    // What follows from the end, a restart perhaps, is part of it.
    yield* context.toolstack.changed.until(() => managed.settled);
    if (!followRestarts) return;
    if (managed.restartFailure !== undefined)
      throw new CommandError(`xl create: ${managed.config.name} could not be made again: ${managed.restartFailure}`);
    current = managed.successor;
  }
}

/** True when the person left, false at the console's end. */
function* show({ io }: XlContext, viewer: ConsoleViewer): Task<boolean> {
  const lines = new LineEnds(io.keys !== undefined);
  const queues = io.keys ? [viewer.ready, io.keys.channel.ready] : [viewer.ready];
  for (;;) {
    // One piece at a time: a guest that floods its console must not keep the person from leaving it.
    const output = viewer.tryRead();
    if (output !== undefined) yield* io.write(lines.convert(output));
    else if (viewer.atEnd) return false;
    const typed = io.keys?.tryRead();
    if (typed !== undefined) {
      const leave = typed.indexOf(LEAVE);
      const forGuest = leave < 0 ? typed : typed.subarray(0, leave);
      if (viewer.tryType(forGuest) < forGuest.length) yield* io.write(BELL);
      if (leave >= 0) {
        io.keys?.unread(typed.slice(leave + 1));
        yield* io.write("\r\n");
        return true;
      }
    }
    if (output === undefined && typed === undefined) yield* waitAny(queues);
  }
}

/** In raw mode a lone line feed would leave the cursor in its column: kernels that print only that get a return too. */
class LineEnds {
  readonly #raw: boolean;
  #last = 0;

  constructor(raw: boolean) {
    this.#raw = raw;
  }

  convert(bytes: Uint8Array): Uint8Array {
    if (!this.#raw) return bytes;
    const out: number[] = [];
    for (const byte of bytes) {
      if (byte === 10 && this.#last !== 13) out.push(13);
      out.push(byte);
      this.#last = byte;
    }
    return Uint8Array.from(out);
  }
}

// The terminal of dom0, a byte device: lines, editing and colours are the shell's affair. In raw mode every key is a byte
// or a sequence of them, Ctrl-C too. When standard input is no terminal, its bytes arrive as they are, then the end.

import { DeviceOp, type TerminalInfo } from "../../shared/devices.ts";
import { type Host, HostError } from "./host.ts";
import { PAGE_SIZE } from "./pages.ts";
import { Mutex, type Task } from "./threads.ts";

const WRITE_BYTES = 16 * PAGE_SIZE;

export class Terminal {
  readonly #host: Host;
  readonly #reading = new Mutex();
  readonly #writing = new Mutex();

  constructor(host: Host) {
    this.#host = host;
  }

  *info(): Task<TerminalInfo> {
    return (yield* this.#host.structured(DeviceOp.TtyInfo, "terminal", {}, 1)) as TerminalInfo;
  }

  /** Waits until the window has another size. */
  *resized(): Task<TerminalInfo> {
    return (yield* this.#host.structured(DeviceOp.TtyResize, "terminal", {}, 1)) as TerminalInfo;
  }

  /** The next bytes, at least one; undefined at the end of input. Threads that read at once take turns. */
  *read(): Task<Uint8Array | undefined> {
    return yield* this.#reading.run(() => this.#read());
  }

  /** Writes all of it, in order with other threads' writes. */
  *write(data: string | Uint8Array): Task {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    yield* this.#writing.run(() => this.#write(bytes));
  }

  *#read(): Task<Uint8Array | undefined> {
    const pages = this.#host.buffer(PAGE_SIZE);
    const got = yield* this.#host.transfer<Uint8Array>(DeviceOp.TtyRead, pages, PAGE_SIZE, {}, (n) =>
      pages.bytes.slice(0, n),
    );
    if (typeof got === "number") throw new HostError("terminal", got);
    return got.length === 0 ? undefined : got;
  }

  *#write(bytes: Uint8Array): Task {
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      const piece = bytes.subarray(at, at + WRITE_BYTES);
      const pages = this.#host.buffer(piece.length);
      pages.bytes.set(piece);
      const status = yield* this.#host.transfer(DeviceOp.TtyWrite, pages, piece.length, {}, (n) => n);
      if (status < 0) throw new HostError("terminal", status);
    }
  }
}

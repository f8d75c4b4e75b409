// The two queues of an uplink's stream, whatever makes its socket: frames after their lengths in both directions, bounded. What a
// neighbour is too slow for is dropped; what dom0 is too slow for waits in the socket. Used by net.ts, passt.ts, tap.ts.

import type { Socket } from "node:net";
import { FrameSplitter } from "./frame_splitter.ts";
import { fault } from "./raw_file.ts";

/** Between two attempts to reach a neighbour. */
export const RETRY_MS = 1000;
/** Bytes on their way to a neighbour above which frames are dropped. */
const MAX_UNSENT = 1 << 20;
/** Bytes received and not yet taken by dom0 above which the socket isn't read. */
const MAX_UNREAD = 1 << 20;

export abstract class Stream {
  protected closed = false;
  #socket: Socket | undefined = undefined;
  #splitter = new FrameSplitter();
  #waiting: { limit: number; resolve: (bytes: Uint8Array) => void } | undefined = undefined;

  abstract start(): Promise<void>;
  /** The neighbour has gone. */
  protected abstract lost(): void;

  read(limit: number): Promise<Uint8Array> {
    if (this.#waiting !== undefined || this.closed) throw fault("EBUSY", "uplink");
    return new Promise((resolve) => {
      this.#waiting = { limit, resolve };
      this.#feed();
    });
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket !== undefined && socket.writableLength < MAX_UNSENT) socket.write(bytes);
  }

  close(): void {
    this.closed = true;
    this.#socket?.destroy();
    this.#waiting?.resolve(new Uint8Array(0));
    this.#waiting = undefined;
  }

  /** Takes a connected socket into use. One that breaks the form is dropped. */
  protected use(socket: Socket): void {
    this.#socket = socket;
    this.#splitter = new FrameSplitter();
    socket.setNoDelay(true);
    socket.on("data", (bytes) => {
      if (!this.#splitter.add(bytes)) socket.destroy();
      else if (this.#splitter.size > MAX_UNREAD) socket.pause();
      this.#feed();
    });
    socket.on("error", () => {}); // "close" follows.
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (!this.closed) this.lost();
    });
  }

  protected get connected(): boolean {
    return this.#socket !== undefined;
  }

  #feed(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const bytes = this.#splitter.take(waiting.limit);
    if (bytes.length === 0) return;
    this.#waiting = undefined;
    if (this.#splitter.size <= MAX_UNREAD) this.#socket?.resume();
    waiting.resolve(bytes);
  }
}

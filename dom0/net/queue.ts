// What a port still has to deliver: frames in order, bounded by the bytes of the slots that they hold. When the receiver is
// slow, frames that no longer fit are dropped and counted (drop-tail), so that it delays nobody. Used by every port.

import type { Frame } from "./frame.ts";

/** Bytes of slots that one port may keep: 256 frames of usual size, or 8 of the longest. */
export const PORT_BYTES = 512 * 1024;

export class FrameQueue {
  readonly #limit: number;
  #frames: Frame[] = [];
  #head = 0;
  #bytes = 0;
  #closed = false;
  /** Frames that found no room. */
  dropped = 0;

  constructor(limitBytes: number = PORT_BYTES) {
    this.#limit = limitBytes;
  }

  get length(): number {
    return this.#frames.length - this.#head;
  }

  /** Holds the frame, or drops it: false. */
  push(frame: Frame): boolean {
    if (this.#closed || this.#bytes + frame.capacity > this.#limit) {
      this.dropped++;
      return false;
    }
    frame.retain();
    this.#bytes += frame.capacity;
    this.#frames.push(frame);
    return true;
  }

  /** The next frame, left in the queue. */
  peek(): Frame | undefined {
    return this.#frames[this.#head];
  }

  /** Takes the next frame out: its hold is the caller's now. */
  shift(): Frame | undefined {
    const frame = this.#frames[this.#head];
    if (frame === undefined) return undefined;
    this.#bytes -= frame.capacity;
    this.#head++;
    if (this.#head === this.#frames.length) {
      this.#frames.length = 0;
      this.#head = 0;
    } else if (this.#head > 256) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    }
    return frame;
  }

  /** Drops all there is. */
  clear(): void {
    for (let frame = this.shift(); frame !== undefined; frame = this.shift()) frame.release();
  }

  /** Drops all, and all that comes. */
  close(): void {
    this.clear();
    this.#closed = true;
  }
}

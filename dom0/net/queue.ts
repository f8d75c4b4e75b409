// What a port still has to deliver, bounded by the bytes of the slots that the frames hold. Each sender's frames stay in order, and
// senders take turns, frame by frame; when the receiver is slow and no more fits, whoever has most waiting loses the newest
// of it. So a sender that floods delays and drops itself, and nobody else. Used by every port.

import { macNumber } from "./bridge.ts";
import type { Frame } from "./frame.ts";

/** Bytes of slots that one port may keep: 256 frames of usual size, or 8 of the longest. */
export const PORT_BYTES = 512 * 1024;
/** Senders are told apart by so many numbers; those that share one share its turn. */
const FLOWS = 64;
const SOURCE = 6;

/** One sender's frames. */
class Flow {
  readonly #frames: Frame[] = [];
  #head = 0;
  bytes = 0;

  get length(): number {
    return this.#frames.length - this.#head;
  }

  get first(): Frame {
    return this.#frames[this.#head];
  }

  push(frame: Frame): void {
    this.bytes += frame.capacity;
    this.#frames.push(frame);
  }

  shift(): Frame {
    const frame = this.#frames[this.#head++];
    this.bytes -= frame.capacity;
    if (this.length === 0) this.#reset();
    else if (this.#head > 256) {
      this.#frames.splice(0, this.#head);
      this.#head = 0;
    }
    return frame;
  }

  /** Takes the newest. */
  pop(): Frame {
    const frame = this.#frames.pop()!;
    this.bytes -= frame.capacity;
    if (this.length === 0) this.#reset();
    return frame;
  }

  #reset(): void {
    this.#frames.length = 0;
    this.#head = 0;
  }
}

export class FrameQueue {
  readonly #limit: number;
  readonly #flows = Array.from({ length: FLOWS }, () => new Flow());
  /** Those that have frames; the first is next. */
  readonly #turns: Flow[] = [];
  #bytes = 0;
  #closed = false;
  length = 0;
  /** Frames that found no room, or lost it. */
  dropped = 0;

  constructor(limitBytes: number = PORT_BYTES) {
    this.#limit = limitBytes;
  }

  /** Holds the frame, or drops it: false. May drop others' newest for it. */
  push(frame: Frame): boolean {
    const flow = this.#flows[macNumber(frame.view, SOURCE) % FLOWS];
    if (this.#closed || !this.#makeRoom(flow, frame.capacity)) {
      this.dropped++;
      return false;
    }
    frame.retain();
    if (flow.length === 0) this.#turns.push(flow);
    flow.push(frame);
    this.#bytes += frame.capacity;
    this.length++;
    return true;
  }

  /** The next frame, left in the queue. */
  peek(): Frame | undefined {
    return this.#turns[0]?.first;
  }

  /** Takes the next frame out: its hold is the caller's now. */
  shift(): Frame | undefined {
    const flow = this.#turns[0];
    if (flow === undefined) return undefined;
    const frame = flow.shift();
    this.#bytes -= frame.capacity;
    this.length--;
    if (flow.length === 0) this.#turns.shift();
    else if (this.#turns.length > 1) this.#turns.push(this.#turns.shift()!);
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

  /** Room for `bytes` more of `flow`, if need be at the cost of flows that have more than it would. */
  #makeRoom(flow: Flow, bytes: number): boolean {
    while (this.#bytes + bytes > this.#limit) {
      let longest = flow;
      for (const other of this.#turns) if (other.bytes > longest.bytes) longest = other;
      if (longest.bytes <= flow.bytes + bytes) return false;
      const frame = longest.pop();
      if (longest.length === 0) this.#turns.splice(this.#turns.indexOf(longest), 1);
      this.#bytes -= frame.capacity;
      this.length--;
      this.dropped++;
      frame.release();
    }
    return true;
  }
}

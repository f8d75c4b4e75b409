// The buffer that every decoder here writes to: flat, because it is the decoder's dictionary at the same time, and
// growing up to a limit, because sizes that an image declares are not to be believed. Decoders reserve before they
// write, so their inner loops need no check of their own; the limit may be overshot by one reservation before it is seen.

import { ImageError } from "./error.ts";

const MIN_CAPACITY = 64 * 1024;
/** Most that a decoder reserves beyond what it then writes, lz4's block. A right hint plus this never grows. */
const MAX_RESERVATION = 8 * 1024 * 1024;

export class Output {
  /** The storage; another after each `reserve`. */
  bytes: Uint8Array<ArrayBuffer>;
  /** How much of it has been written. */
  length = 0;
  readonly limit: number;

  /** `hint` is how many bytes are likely, if known: it saves copying, and nothing is believed of it. */
  constructor(limit: number, hint = 0) {
    this.limit = limit;
    this.bytes = new Uint8Array(hint > 0 && hint <= limit ? hint + MAX_RESERVATION : MIN_CAPACITY);
  }

  /** Makes room for `count` bytes after `length`, at most 8 MiB. Throws ImageError past the limit. */
  reserve(count: number): void {
    this.check();
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const doubled = Math.min(this.bytes.length * 2, this.limit + MAX_RESERVATION);
    const grown = new Uint8Array(Math.max(needed, doubled));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  /** What was written. Throws ImageError past the limit. */
  finish(): Uint8Array<ArrayBuffer> {
    this.check();
    return this.bytes.subarray(0, this.length);
  }

  private check(): void {
    if (this.length > this.limit) throw new ImageError(`unpacks to more than ${this.limit} bytes, the limit`);
  }
}

// A list of pieces of machine memory, for a device that is to move data there or from there. Filled anew for each request
// without allocating anything, so that a driver keeps one with each request that it can have under way.

import { MAX_SEGMENTS } from "../../shared/devices.ts";

/** Consecutive machine bytes: for DMA into frames that the caller owns or has mapped. */
export interface Segment {
  readonly address: number;
  readonly sizeBytes: number;
}

export class SegmentList {
  readonly #addresses: number[] = [];
  readonly #sizes: number[] = [];
  count = 0;
  /** Of all. */
  sizeBytes = 0;

  clear(): void {
    this.count = 0;
    this.sizeBytes = 0;
  }

  /** Adds a piece; one that follows the last in memory becomes part of that. Throws RangeError when the list is full. */
  add(address: number, sizeBytes: number): void {
    const last = this.count - 1;
    this.sizeBytes += sizeBytes;
    if (last >= 0 && this.#addresses[last] + this.#sizes[last] === address) {
      this.#sizes[last] += sizeBytes;
      return;
    }
    if (this.count === MAX_SEGMENTS) throw new RangeError(`more than ${MAX_SEGMENTS} segments`);
    this.#addresses[this.count] = address;
    this.#sizes[this.count++] = sizeBytes;
  }

  address(i: number): number {
    return this.#addresses[i];
  }

  size(i: number): number {
    return this.#sizes[i];
  }
}

// A disk in the host's memory, opened by the path "ram:64M" (K, M, G; in bytes without a letter): empty at first, gone when
// closed. Memory is taken as it is written, and given back by discard. Made by files.ts.

import type { Bytes, OpenFile } from "./open_file.ts";
import { fault } from "./raw_file.ts";

const CHUNK = 65536;
/** A guest that fills its disk takes as much of the host's memory. */
const MAX_BYTES = 2 ** 34;
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

export class RamDisk implements OpenFile {
  readonly size: number;
  readonly identity = undefined;
  readonly #chunks = new Map<number, Uint8Array>();

  /** Throws EINVAL for a size that can't be. */
  constructor(path: string) {
    const [, digits, unit] = /^ram:(\d{1,11})([KMG]?)$/i.exec(path) ?? [];
    const size = Number(digits) * (UNITS[unit?.toUpperCase() ?? ""] ?? 0);
    if (!(size >= 512 && size <= MAX_BYTES)) throw fault("EINVAL", path);
    this.size = size;
  }

  async read(into: Bytes[], position: number): Promise<number> {
    return this.#each(into, position, (piece, chunk, offset) => {
      const data = this.#chunks.get(chunk);
      if (data) piece.set(data.subarray(offset, offset + piece.length));
      else piece.fill(0);
    });
  }

  async write(from: Bytes[], position: number): Promise<number> {
    return this.#each(from, position, (piece, chunk, offset) => {
      let data = this.#chunks.get(chunk);
      if (data === undefined) {
        data = new Uint8Array(CHUNK);
        this.#chunks.set(chunk, data);
      }
      data.set(piece, offset);
    });
  }

  async sync(): Promise<void> {}

  async discard(position: number, sizeBytes: number): Promise<void> {
    const end = Math.min(position + sizeBytes, this.size);
    for (let at = position; at < end; ) {
      const offset = at % CHUNK;
      const length = Math.min(CHUNK - offset, end - at);
      const chunk = (at - offset) / CHUNK;
      if (length === CHUNK) this.#chunks.delete(chunk);
      else this.#chunks.get(chunk)?.fill(0, offset, offset + length);
      at += length;
    }
  }

  async close(): Promise<void> {
    this.#chunks.clear();
  }

  /** Calls `move` for each part of `pieces` that lies in one chunk; the bytes in all. */
  #each(pieces: Bytes[], position: number, move: (part: Bytes, chunk: number, offset: number) => void): number {
    let at = position;
    for (const piece of pieces) {
      for (let done = 0; done < piece.length && at < this.size; ) {
        const offset = at % CHUNK;
        const length = Math.min(piece.length - done, CHUNK - offset, this.size - at);
        move(piece.subarray(done, done + length), (at - offset) / CHUNK, offset);
        done += length;
        at += length;
      }
    }
    return at - position;
  }
}

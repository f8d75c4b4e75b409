// A text that was made here and is read like a file: a kernel's bundled module (bundler.ts). Nothing can be written.

import type { Bytes, OpenFile } from "./open_file.ts";
import { fault } from "./raw_file.ts";

export class TextFile implements OpenFile {
  readonly size: number;
  readonly identity = undefined;
  readonly #bytes: Uint8Array;

  constructor(text: string) {
    this.#bytes = new TextEncoder().encode(text);
    this.size = this.#bytes.length;
  }

  async read(into: Bytes[], position: number): Promise<number> {
    let at = position;
    for (const piece of into) {
      const part = this.#bytes.subarray(at, at + piece.length);
      piece.set(part);
      at += part.length;
    }
    return at - position;
  }

  async write(): Promise<number> {
    throw fault("EROFS", "a kernel's text");
  }

  async sync(): Promise<void> {}

  async discard(): Promise<void> {
    throw fault("EROFS", "a kernel's text");
  }

  async close(): Promise<void> {}
}

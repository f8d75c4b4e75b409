// Lines out of a stream of bytes (UTF-8; line feed, or return and line feed), for commands from a pipe or a file.

import type { Task } from "../../guests/sdk/index.ts";

/** Characters that a line may have. Of a longer one MAX_LINE + 1 are kept, for whoever is to say so. */
export const MAX_LINE = 65536;

export class LineReader {
  readonly #read: () => Task<Uint8Array | undefined>;
  readonly #decoder = new TextDecoder();
  #text = "";
  #ended = false;

  /** `read` gives the next bytes, undefined at the end. */
  constructor(read: () => Task<Uint8Array | undefined>) {
    this.#read = read;
  }

  /** The next line without its end; the last one needs none. Undefined at the end. */
  *next(): Task<string | undefined> {
    let looked = 0;
    for (;;) {
      const end = this.#text.indexOf("\n", looked);
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      if (this.#text.length > MAX_LINE) this.#text = this.#text.slice(0, MAX_LINE + 1);
      looked = this.#text.length;
      if (this.#ended) {
        const rest = this.#text;
        this.#text = "";
        return rest === "" ? undefined : rest;
      }
      const bytes = yield* this.#read();
      this.#ended = bytes === undefined;
      this.#text += bytes === undefined ? this.#decoder.decode() : this.#decoder.decode(bytes, { stream: true });
    }
  }
}

// Waiting for a pattern in a guest's output: terminal escape sequences and carriage returns don't count for the match, and
// the bytes after a match are kept for the next one. Pure; used by xl console --send/--expect.

/** Output is looked at in a window of so many bytes: a pattern can't stretch over more. */
const WINDOW = 16384;

export class Expecter {
  /** Output since the last match. */
  #output = new Uint8Array(0);
  /** How many bytes of it were shown. */
  #shown = 0;

  add(output: Uint8Array): void {
    const all = new Uint8Array(this.#output.length + output.length);
    all.set(this.#output);
    all.set(output, this.#output.length);
    this.#output = all;
  }

  /** Looks for a match in the output since the last one; `show` is what can be shown now: up to its end, or all. */
  step(regex: RegExp): { readonly matched: boolean; readonly show: Uint8Array } {
    const { text, ends } = plainText(this.#output);
    const found = regex.exec(text);
    if (found === null) {
      const show = this.rest;
      this.#output = this.#output.slice(-WINDOW);
      this.#shown = this.#output.length;
      return { matched: false, show };
    }
    const length = found.index + found[0].length;
    const end = Math.max(this.#shown, length === 0 ? 0 : ends[length - 1]);
    const show = this.#output.slice(this.#shown, end);
    this.#output = this.#output.slice(end);
    this.#shown = 0;
    return { matched: true, show };
  }

  /** Output that was not shown. */
  get rest(): Uint8Array {
    return this.#output.slice(this.#shown);
  }
}

/** The output without control sequences, and for each character where its last byte ends in the bytes. */
function plainText(bytes: Uint8Array): { text: string; ends: number[] } {
  const decoder = new TextDecoder();
  let text = "";
  const ends: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    if (bytes[i] >= 0x20 && bytes[i] < 0x80) {
      text += String.fromCharCode(bytes[i++]);
      ends.push(i);
      continue;
    }
    const length = sequenceLength(bytes, i);
    if (length > 0) {
      i += length;
      continue;
    }
    const width = bytes[i] < 0x80 ? 1 : bytes[i] >= 0xf0 ? 4 : bytes[i] >= 0xe0 ? 3 : bytes[i] >= 0xc0 ? 2 : 1;
    const char = decoder.decode(bytes.subarray(i, i + width));
    i += width;
    for (const unit of char) {
      text += unit;
      for (let n = 0; n < unit.length; n++) ends.push(Math.min(i, bytes.length));
    }
  }
  return { text, ends };
}

/** Length of the escape sequence or ignored character at `at`, 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  if (bytes[at] === 13) return 1;
  if (bytes[at] !== 27) return 0;
  if (bytes[at + 1] === 0x5b) {
    let end = at + 2;
    while (end < bytes.length && bytes[end] >= 0x20 && bytes[end] < 0x40) end++;
    return end + 1 - at;
  }
  return 2;
}

/** The bytes to type for --send: escapes resolved, and a line feed at the end unless the text ends with \c. */
export function unescapeSend(text: string): Uint8Array {
  let out = "";
  const simple: Record<string, string> = { n: "\n", r: "\r", t: "\t", e: "\x1b", "\\": "\\" };
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== "\\" || i + 1 === text.length) {
      out += text[i];
      continue;
    }
    const c = text[++i];
    const hex = /^[0-9a-fA-F]{2}/.exec(text.slice(i + 1));
    if (c === "c" && i + 1 === text.length) return new TextEncoder().encode(out);
    if (c === "x" && hex) {
      out += String.fromCharCode(Number.parseInt(hex[0], 16));
      i += 2;
    } else out += simple[c] ?? `\\${c}`;
  }
  return new TextEncoder().encode(`${out}\n`);
}

// Bytes that a terminal sends, as keys: printable characters (UTF-8 put together), control keys, and the escape sequences
// of the cursor keys as xterm and its kin send them. Used by the line editor.

import { printable } from "../printable.ts";

/** A key: a printable text, or a name such as "up", "ctrl-a", "enter". */
export type Key = { readonly text: string } | { readonly name: string };

const SEQUENCES: Readonly<Record<string, string>> = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  "[H": "home",
  "[F": "end",
  "[1~": "home",
  "[4~": "end",
  "[7~": "home",
  "[8~": "end",
  "[3~": "delete",
  "[1;5C": "word-right",
  "[1;5D": "word-left",
  OA: "up",
  OB: "down",
  OC: "right",
  OD: "left",
  OH: "home",
  OF: "end",
  b: "word-left",
  f: "word-right",
};

const CONTROLS: Readonly<Record<number, string>> = {
  8: "backspace",
  9: "tab",
  10: "enter",
  13: "enter",
  127: "backspace",
};

/** Puts keys together from pieces of input; a sequence may be cut anywhere. */
export class KeyReader {
  #pending: number[] = [];
  #lastWasReturn = false;

  /** The keys in `bytes`, with what was pending before them. */
  feed(bytes: Uint8Array): Key[] {
    const input = [...this.#pending, ...bytes];
    const keys: Key[] = [];
    let at = 0;
    while (at < input.length) {
      const [key, length] = this.#one(input, at);
      if (length === 0) break;
      if (key !== undefined) keys.push(key);
      at += length;
    }
    this.#pending = input.slice(at);
    return keys;
  }

  /** Bytes of a sequence that has begun. */
  get pending(): Uint8Array {
    return Uint8Array.from(this.#pending);
  }

  /** The key at `at` and how many bytes it has; 0 when it isn't whole yet. */
  #one(input: readonly number[], at: number): [Key | undefined, number] {
    const byte = input[at];
    const afterReturn = this.#lastWasReturn;
    this.#lastWasReturn = byte === 13;
    if (byte === 10 && afterReturn) return [undefined, 1]; // Return and line feed are one key.
    if (byte === 27) return escapeKey(input, at);
    if (byte < 32 || byte === 127) {
      const name = CONTROLS[byte] ?? `ctrl-${String.fromCharCode(byte + 96)}`;
      return [{ name: byte === 29 ? "ctrl-]" : name }, 1];
    }
    const width = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (at + width > input.length) return [undefined, 0];
    const text = new TextDecoder().decode(Uint8Array.from(input.slice(at, at + width)));
    // What a paste may hold besides text: it is drawn as it is typed.
    return [text.includes("\ufffd") || printable(text) !== text ? undefined : { text }, width];
  }
}

function escapeKey(input: readonly number[], at: number): [Key | undefined, number] {
  const rest = String.fromCharCode(...input.slice(at + 1, at + 12));
  if (rest === "") return [undefined, 0];
  const match = /^(\[[0-9;]*[A-Za-z~]|O[A-Za-z]|[^[O])/.exec(rest);
  if (match === null) return [undefined, rest.length < 10 ? 0 : rest.length + 1];
  const name = SEQUENCES[match[0]];
  return [name === undefined ? undefined : { name }, 1 + match[0].length];
}

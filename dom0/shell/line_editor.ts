// Editing of one line: the text, the cursor, history, completion, and what to write so that the terminal shows it. Pure: keys
// go in, text for the terminal comes out, so that a test needs no terminal. The shell owns one.
//
// Keys: Left, Right, Home, End, Ctrl-A/E/B/F, word-wise with Ctrl or Alt; Backspace, Delete, Ctrl-D, Ctrl-K, Ctrl-U, Ctrl-W; Up, Down,
// Ctrl-P, Ctrl-N for history; Tab; Ctrl-L; Ctrl-C.

import type { Key } from "./keys.ts";

/** What Tab finds: where the word to complete begins, and what could stand there. */
export interface Completion {
  readonly start: number;
  readonly candidates: readonly string[];
}

export type Outcome =
  | { readonly kind: "editing" }
  | { readonly kind: "line"; readonly line: string }
  | { readonly kind: "end" };

const EDITING: Outcome = { kind: "editing" };
const MAX_HISTORY = 500;
/** What is typed beyond it is not taken: the terminal rings. */
const MAX_CHARS = 4096;

export class LineEditor {
  readonly #prompt: string;
  readonly #promptWidth: number;
  readonly #complete: (line: string) => Completion;
  readonly #history: string[] = [];
  #chars: string[] = [];
  #cursor = 0;
  /** Place in the history: its length for the line that is being typed. */
  #at = 0;
  #draft = "";
  #lastWasTab = false;
  columns = 80;

  /** `prompt` may hold colours; `complete` is asked with the text before the cursor. */
  constructor(prompt: string, complete: (line: string) => Completion) {
    this.#prompt = prompt;
    this.#promptWidth = prompt.replace(/\x1b\[[0-9;]*m/g, "").length;
    this.#complete = complete;
  }

  /** Begins a new line; returns what to write. */
  start(): string {
    this.#chars = [];
    this.#cursor = 0;
    this.#at = this.#history.length;
    return this.draw();
  }

  /** The line as it stands, drawn afresh. */
  draw(): string {
    // A line longer than the terminal is wide shows a part around the cursor: no wrapping to keep track of.
    const width = Math.max(8, this.columns - this.#promptWidth - 1);
    const from = Math.max(0, this.#cursor - width);
    const shown = this.#chars.slice(from, from + width).join("");
    const back = Math.min(this.#chars.length, from + width) - this.#cursor;
    return `\r${this.#prompt}${shown}\x1b[K${back > 0 ? `\x1b[${back}D` : ""}`;
  }

  get history(): readonly string[] {
    return this.#history;
  }

  get text(): string {
    return this.#chars.join("");
  }

  /** Takes one key. `out` is what to write to the terminal. */
  key(key: Key): { readonly outcome: Outcome; readonly out: string } {
    const wasTab = this.#lastWasTab;
    this.#lastWasTab = false;
    if ("text" in key) {
      if (this.#chars.length >= MAX_CHARS) return { outcome: EDITING, out: "\x07" };
      this.#insert(key.text);
      const atEnd = this.#cursor === this.#chars.length && this.#promptWidth + this.#cursor < this.columns - 1;
      return { outcome: EDITING, out: atEnd ? key.text : this.draw() };
    }
    switch (key.name) {
      case "enter":
        return this.#enter();
      case "ctrl-c":
        return { outcome: { kind: "line", line: "" }, out: "^C\r\n" };
      case "ctrl-d":
        if (this.#chars.length === 0) return { outcome: { kind: "end" }, out: "\r\n" };
        this.#chars.splice(this.#cursor, 1);
        break;
      case "ctrl-l":
        return { outcome: EDITING, out: `\x1b[H\x1b[2J${this.draw()}` };
      case "tab":
        this.#lastWasTab = true;
        return { outcome: EDITING, out: this.#tab(wasTab) };
      default:
        this.#edit(key.name);
    }
    return { outcome: EDITING, out: this.draw() };
  }

  #edit(name: string): void {
    const chars = this.#chars;
    switch (name) {
      case "left":
      case "ctrl-b":
        this.#cursor = Math.max(0, this.#cursor - 1);
        break;
      case "right":
      case "ctrl-f":
        this.#cursor = Math.min(chars.length, this.#cursor + 1);
        break;
      case "home":
      case "ctrl-a":
        this.#cursor = 0;
        break;
      case "end":
      case "ctrl-e":
        this.#cursor = chars.length;
        break;
      case "word-left":
        this.#cursor = this.#wordStart();
        break;
      case "word-right":
        while (this.#cursor < chars.length && chars[this.#cursor] === " ") this.#cursor++;
        while (this.#cursor < chars.length && chars[this.#cursor] !== " ") this.#cursor++;
        break;
      case "backspace":
        if (this.#cursor > 0) chars.splice(--this.#cursor, 1);
        break;
      case "delete":
        chars.splice(this.#cursor, 1);
        break;
      case "ctrl-k":
        chars.length = this.#cursor;
        break;
      case "ctrl-u":
        chars.splice(0, this.#cursor);
        this.#cursor = 0;
        break;
      case "ctrl-w": {
        const start = this.#wordStart();
        chars.splice(start, this.#cursor - start);
        this.#cursor = start;
        break;
      }
      case "up":
      case "ctrl-p":
        this.#recall(this.#at - 1);
        break;
      case "down":
      case "ctrl-n":
        this.#recall(this.#at + 1);
    }
  }

  #insert(text: string): void {
    this.#chars.splice(this.#cursor, 0, ...text);
    this.#cursor += [...text].length;
  }

  #enter(): { outcome: Outcome; out: string } {
    const line = this.text;
    if (line.trim() !== "" && line !== this.#history.at(-1)) this.#history.push(line);
    if (this.#history.length > MAX_HISTORY) this.#history.shift();
    return { outcome: { kind: "line", line }, out: "\r\n" };
  }

  #recall(at: number): void {
    if (at < 0 || at > this.#history.length) return;
    if (this.#at === this.#history.length) this.#draft = this.text;
    this.#at = at;
    this.#chars = [...(at === this.#history.length ? this.#draft : this.#history[at])];
    this.#cursor = this.#chars.length;
  }

  #wordStart(): number {
    let at = this.#cursor;
    while (at > 0 && this.#chars[at - 1] === " ") at--;
    while (at > 0 && this.#chars[at - 1] !== " ") at--;
    return at;
  }

  /** Puts in what all candidates share; a second Tab lists them. */
  #tab(again: boolean): string {
    const before = this.#chars.slice(0, this.#cursor).join("");
    const { start, candidates } = this.#complete(before);
    if (candidates.length === 0) return "\x07";
    const typed = before.slice(start);
    const shared = commonPrefix(candidates);
    const single = candidates.length === 1 && !shared.endsWith("/");
    const added = shared.slice(typed.length) + (single ? " " : "");
    if (added !== "") {
      this.#insert(added);
      return this.draw();
    }
    if (!again) return "\x07";
    return `\r\n${inColumns(candidates, this.columns)}${this.draw()}`;
  }
}

function commonPrefix(words: readonly string[]): string {
  let prefix = words[0];
  for (const word of words) while (!word.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}

/** Words in columns, lines ended by \r\n. */
export function inColumns(words: readonly string[], columns: number): string {
  const width = Math.max(...words.map((w) => w.length)) + 2;
  const perLine = Math.max(1, Math.floor(columns / width));
  let text = "";
  for (let i = 0; i < words.length; i += perLine)
    text += `${words
      .slice(i, i + perLine)
      .map((w) => w.padEnd(width))
      .join("")
      .trimEnd()}\r\n`;
  return text;
}

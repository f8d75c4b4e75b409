// The grammar of xl.cfg, as xlu (Xen's configuration library) has it: `name = value` or `name += value`, ended by a line's
// end or `;`; a value is a number, a string or a list in brackets, which may hold lists, run over lines and end with a
// comma. A name given twice takes the last value; `+=` joins strings and lists. Called by domain_config.ts and xl.

import { ConfigError } from "./errors.ts";
import { Lexer, type Token, type TokenKind } from "./lexer.ts";

export interface TextValue {
  readonly kind: "text";
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export interface ListValue {
  readonly kind: "list";
  readonly items: readonly Value[];
  readonly line: number;
  readonly column: number;
}

export type Value = TextValue | ListValue;

export interface Setting {
  readonly name: string;
  readonly value: Value;
  /** The file (or other source) that it stands in, and where its name begins. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type Settings = ReadonlyMap<string, Setting>;

const MAX_DEPTH = 16;

/** Parses `text`, named `file` in errors, on top of `before` (which stays as it is). Throws ConfigError. */
export function parseSettings(file: string, text: string, before: Settings = new Map()): Settings {
  return new Parser(file, text, before).run();
}

class Parser {
  readonly #file: string;
  readonly #lexer: Lexer;
  readonly #settings: Map<string, Setting>;
  #token: Token;

  constructor(file: string, text: string, before: Settings) {
    this.#file = file;
    this.#lexer = new Lexer(file, text);
    this.#settings = new Map(before);
    this.#token = this.#lexer.next();
  }

  run(): Settings {
    while (this.#token.kind !== "end") {
      if (this.#token.kind === "newline" || this.#token.kind === ";") this.#advance();
      else this.#assignment();
    }
    return this.#settings;
  }

  #assignment(): void {
    const name = this.#token;
    if (name.kind !== "name") throw this.#unexpected("the name of a setting");
    this.#advance();
    const op = this.#token.kind;
    if (op !== "=" && op !== "+=") throw this.#unexpected(`"=" or "+=" after ${name.text}`);
    this.#advance();
    const value = this.#value(0);
    const end = this.#token.kind;
    if (end !== "newline" && end !== ";" && end !== "end") throw this.#unexpected('the end of the line or ";"');
    const old = this.#settings.get(name.text);
    const whole = op === "+=" && old ? this.#join(old.value, value, name) : value;
    this.#settings.set(name.text, {
      name: name.text,
      value: whole,
      file: this.#file,
      line: name.line,
      column: name.column,
    });
  }

  #value(depth: number): Value {
    const { kind: first, text, line, column } = this.#token;
    if (first === "number" || first === "string") {
      this.#advance();
      return { kind: "text", text, line, column };
    }
    if (first !== "[") throw this.#unexpected("a value: a number, a string in quotes or a list in brackets");
    if (depth === MAX_DEPTH) throw new ConfigError(this.#file, line, column, `lists nest deeper than ${MAX_DEPTH}`);
    this.#advance();
    const items: Value[] = [];
    for (;;) {
      const kind = this.#skipNewlines();
      if (kind === "]") break;
      if (kind === "end") throw new ConfigError(this.#file, line, column, "list has no closing bracket");
      items.push(this.#value(depth + 1));
      const after = this.#skipNewlines();
      if (after === ",") this.#advance();
      else if (after !== "]" && after !== "end") throw this.#unexpected('"," or "]" in a list');
    }
    this.#advance();
    return { kind: "list", items, line, column };
  }

  #join(old: Value, added: Value, name: Token): Value {
    if (old.kind === "text" && added.kind === "text") return { ...added, text: old.text + added.text };
    if (old.kind === "list" && added.kind === "list") return { ...added, items: [...old.items, ...added.items] };
    throw new ConfigError(this.#file, name.line, name.column, `can't add a string to a list or a list to a string`);
  }

  #skipNewlines(): TokenKind {
    while (this.#token.kind === "newline") this.#advance();
    return this.#token.kind;
  }

  #advance(): void {
    this.#token = this.#lexer.next();
  }

  #unexpected(wanted: string): ConfigError {
    const { kind, text, line, column } = this.#token;
    const got =
      kind === "newline"
        ? "the end of the line"
        : kind === "end"
          ? "the end of the file"
          : kind === "string"
            ? "a string"
            : `"${text}"`;
    return new ConfigError(this.#file, line, column, `expected ${wanted}, found ${got}`);
  }
}

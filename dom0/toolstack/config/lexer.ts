// Words of an xl.cfg file, as xlu (Xen's configuration library) reads them: names in lower case, numbers, strings in
// either kind of quotes with backslash escapes, and the signs = += [ ] , ; and the end of a line. A `#` starts a comment.
// The parser (parser.ts) calls `Lexer.next`. Unlike xlu, `\x41` and `\101` give the character that they name.

import { ConfigError } from "./errors.ts";

export type TokenKind = "name" | "number" | "string" | "=" | "+=" | "[" | "]" | "," | ";" | "newline" | "end";

export interface Token {
  readonly kind: TokenKind;
  /** The text, with quotes and escapes resolved for a string. */
  readonly text: string;
  /** Where it begins, both from 1. */
  readonly line: number;
  readonly column: number;
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

const MAX_WORD = 100;
const NO_NUL = "a string can't hold the character with number 0";

export class Lexer {
  readonly #file: string;
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
  }

  /** The next token; `end` again and again at the end. Throws ConfigError. */
  next(): Token {
    this.#skipBlanks();
    const c = this.#text[this.#at];
    if (c === undefined) return this.#token("end", 0);
    if (c === "\n") return this.#newline();
    if (c === "+" && this.#text[this.#at + 1] === "=") return this.#token("+=", 2);
    if (c === "=" || c === "[" || c === "]" || c === "," || c === ";") return this.#token(c, 1);
    if (c === '"' || c === "'") return this.#string(c);
    const word = /^[A-Za-z0-9_.]+/.exec(this.#text.slice(this.#at, this.#at + MAX_WORD + 1))?.[0];
    if (word !== undefined && word.length > MAX_WORD)
      throw this.#error(`a name or number of more than ${MAX_WORD} characters`);
    if (word !== undefined) return this.#word(word);
    throw this.#error(`unexpected ${describe(c)}`);
  }

  #word(word: string): Token {
    if (/^[A-Za-z]/.test(word)) {
      if (/[A-Z]/.test(word))
        throw this.#error(`"${word}" has a capital letter; a name is in lower case, and a string needs quotes`);
      return this.#token("name", word.length);
    }
    if (/^[0-9]/.test(word)) {
      if (!/^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(word)) throw this.#error(`"${word}" is not a number`);
      if (/^0[0-9]/.test(word) && /[89]/.test(word)) throw this.#error(`"${word}" is not an octal number`);
      return this.#token("number", word.length);
    }
    throw this.#error(`"${word}" is neither a name, a number nor a string in quotes`);
  }

  #string(quote: string): Token {
    const { line, column } = this.#here();
    const text = this.#text;
    let out = "";
    let at = this.#at + 1;
    for (;;) {
      const c = text[at];
      if (c === undefined || c === "\n") throw new ConfigError(this.#file, line, column, "string has no closing quote");
      if (c === quote) break;
      if (c === "\0") throw new ConfigError(this.#file, line, column, NO_NUL);
      if (c !== "\\") {
        out += c;
        at++;
        continue;
      }
      const [char, length] = this.#escape(at);
      out += char;
      at += length;
    }
    this.#at = at + 1;
    return { kind: "string", text: out, line, column };
  }

  /** The character that the escape at `at` stands for, and the escape's length. */
  #escape(at: number): [string, number] {
    const rest = this.#text.slice(at + 1, at + 4);
    const simple = SIMPLE_ESCAPES[rest[0] ?? ""];
    if (simple !== undefined) return [simple, 2];
    const hex = /^x([0-9a-fA-F]{2})/.exec(rest);
    const octal = /^[0-3]?[0-7]{1,2}/.exec(rest);
    const code = hex ? Number.parseInt(hex[1], 16) : octal ? Number.parseInt(octal[0], 8) : 0;
    if (code === 0) {
      this.#at = at;
      if (hex || octal) throw this.#error(NO_NUL);
      throw this.#error(`unknown escape \\${rest[0] === "\n" ? "" : (rest[0] ?? "")} in a string`);
    }
    return [String.fromCharCode(code), hex ? 4 : octal![0].length + 1];
  }

  #skipBlanks(): void {
    const text = this.#text;
    for (;;) {
      const c = text[this.#at];
      if (c === " " || c === "\t" || c === "\r") this.#at++;
      else if (c === "#") while (this.#at < text.length && text[this.#at] !== "\n") this.#at++;
      else return;
    }
  }

  #newline(): Token {
    const token = this.#token("newline", 1);
    this.#line++;
    this.#lineStart = this.#at;
    return token;
  }

  #token(kind: TokenKind, length: number): Token {
    const token = { kind, text: this.#text.slice(this.#at, this.#at + length), ...this.#here() };
    this.#at += length;
    return token;
  }

  #here(): { line: number; column: number } {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 };
  }

  #error(what: string): ConfigError {
    const { line, column } = this.#here();
    return new ConfigError(this.#file, line, column, what);
  }
}

function describe(c: string): string {
  const code = c.charCodeAt(0);
  return code > 32 && code < 127 ? `"${c}"` : `character with number ${code}`;
}

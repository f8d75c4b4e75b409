// Finding places in TypeScript source without a parser: comments, strings and templates are blanked out, length kept, so
// that patterns match code alone; brackets are then counted. It relies on the formatter's spacing (` && `, `if (`), which
// `npm run check` enforces. Left out: regular expressions with quotes in them, which the hypervisor has none of.

/** The source with all that is not code replaced by spaces; positions and lines are the source's. */
export function codeOnly(source: string): string {
  let code = "";
  let i = 0;
  const blank = (end: number): void => {
    code += source.slice(i, end).replace(/[^\n]/g, " ");
    i = end;
  };
  const after = (close: string): number => {
    const at = source.indexOf(close, i + close.length);
    return at === -1 ? source.length : at + close.length;
  };
  while (i < source.length) {
    const c = source[i];
    if (source.startsWith("//", i)) blank(lineEnd(source, i));
    else if (source.startsWith("/*", i)) blank(after("*/"));
    else if (c === '"' || c === "'" || c === "`") blank(after(c));
    else {
      code += c;
      i++;
    }
  }
  return code;
}

function lineEnd(source: string, from: number): number {
  const at = source.indexOf("\n", from);
  return at === -1 ? source.length : at;
}

const OPEN = "([{";
const CLOSE = ")]}";

/** Position of the bracket that closes the one at `open`. */
export function closing(code: string, open: number): number {
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if (OPEN.includes(code[i])) depth++;
    if (CLOSE.includes(code[i]) && --depth === 0) return i;
  }
  throw new Error(`no bracket closes the one at ${open}`);
}

/** Where the condition of a `? :` begins whose question mark is at `mark`. */
export function conditionStart(code: string, mark: number): number {
  let depth = 0;
  for (let i = mark - 1; i >= 0; i--) {
    if (CLOSE.includes(code[i])) depth++;
    if (OPEN.includes(code[i]) && depth-- === 0) return i + 1;
    if (depth > 0) continue;
    const before = /(?:\breturn|=>| =| \?|:|;|,|[+*/&|^-]=)\s$/.exec(code.slice(Math.max(0, i - 8), i + 1));
    if (before) return i + 1;
  }
  return 0;
}

/** The statement that begins at `from`, up to its semicolon or closing brace. */
export function statementAt(code: string, from: number): string {
  let depth = 0;
  for (let i = from; i < code.length; i++) {
    if (OPEN.includes(code[i])) depth++;
    if (CLOSE.includes(code[i]) && --depth === 0 && code[i] === "}") return code.slice(from, i + 1);
    if (code[i] === ";" && depth === 0) return code.slice(from, i + 1);
  }
  return code.slice(from);
}

/** Line and column of a position, from 1. */
export function place(source: string, at: number): { line: number; column: number } {
  const line = source.slice(0, at).split("\n").length;
  return { line, column: at - source.lastIndexOf("\n", at - 1) };
}

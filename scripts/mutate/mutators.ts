// The mutations: each takes one guard, comparison or clean-up out of a source file or turns it around. A table of patterns
// over the code (source.ts), so that the list of mutants is the same for the same source. Called by scripts/mutate.ts.

import { closing, codeOnly, conditionStart, place, statementAt } from "./source.ts";

export interface Mutant {
  /** "file:line:column mutator": the same for the same source. */
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly mutator: string;
  /** What is replaced, and by what; the first line of each for the report. */
  readonly before: string;
  readonly after: string;
  /** The whole file, mutated. */
  readonly text: string;
}

/** A replacement of source from `start` to `end`. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

interface Mutator {
  readonly name: string;
  find(code: string, source: string): Edit[];
}

/** What ends a guard: the rest of the function, loop or domain is not reached. */
const LEAVES = /\b(return|throw|continue|break)\b|\.crash\(/;
/** A result that says no. */
const REFUSAL = /^(-XEN_|GNTST_(?!okay)|-1\b|false\b|undefined\b)/;
const FLIPPED: Record<string, string> = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "===": "!==",
  "!==": "===",
};
/** Calls whose absence leaves something behind: translations, references, code, marks. */
const CLEANUPS =
  /(?<=[\n;{)] *|else )[\w.#[\]]*\b(retire|flush\w*|drop\w*|put\w*|release\w*|clear\w*|defer|settle\w*)\(/g;
const COUNTS = /(?<=[\n;{)] *|else )[\w.#]+\[[^\]]+\](\+\+|--)(?=;)/g;

const MUTATORS: readonly Mutator[] = [
  { name: "guard never taken", find: (code, source) => guards(code, source, (cond) => `false && (${cond})`) },
  { name: "guard always taken", find: (code, source) => guards(code, source, (cond) => `true || (${cond})`) },
  { name: "never refused", find: refusals },
  { name: "comparison", find: (code) => operators(code, / (<=?|>=?|===|!==) /g, (op) => FLIPPED[op]) },
  { name: "and, or", find: (code) => operators(code, / (&&|\|\|)(?=\s)/g, (op) => (op === "&&" ? "||" : "&&")) },
  { name: "clean-up dropped", find: cleanups },
  { name: "count dropped", find: (code) => all(code, COUNTS).map((m) => edit(m.index, m[0].length, "void 0")) },
];

function all(code: string, pattern: RegExp): RegExpExecArray[] {
  return [...code.matchAll(pattern)] as RegExpExecArray[];
}

function edit(start: number, length: number, text: string): Edit {
  return { start, end: start + length, text };
}

/** Conditions of statements that leave: `if (condition) return ...`. */
function guards(code: string, source: string, change: (condition: string) => string): Edit[] {
  return all(code, /\bif \(/g).flatMap((m) => {
    const open = m.index + 3;
    const close = closing(code, open);
    if (!LEAVES.test(statementAt(code, close + 1))) return [];
    return [{ start: open + 1, end: close, text: change(source.slice(open + 1, close)) }];
  });
}

/** Conditions of `condition ? fine : refusal` and the reverse, made to be always fine. */
function refusals(code: string, source: string): Edit[] {
  return all(code, /\s\? /g).flatMap((m) => {
    const mark = m.index + 1;
    const colon = code.indexOf(" : ", mark);
    if (colon === -1) return [];
    const start = conditionStart(code, mark);
    const condition = source.slice(start, m.index);
    const yes = REFUSAL.test(code.slice(mark + 2));
    const no = REFUSAL.test(code.slice(colon + 3));
    if (yes === no) return [];
    return [{ start, end: m.index, text: no ? `true || (${condition})` : `false && (${condition})` }];
  });
}

function operators(code: string, pattern: RegExp, change: (operator: string) => string): Edit[] {
  return all(code, pattern).map((m) => edit(m.index + 1, m[1].length, change(m[1])));
}

function cleanups(code: string): Edit[] {
  return all(code, CLEANUPS).flatMap((m) => {
    const close = closing(code, m.index + m[0].length - 1);
    return code[close + 1] === ";" ? [{ start: m.index, end: close + 1, text: "void 0" }] : [];
  });
}

/** All mutants of one file, in order of place. */
export function mutantsOf(file: string, source: string): Mutant[] {
  const code = codeOnly(source);
  const found = MUTATORS.flatMap((mutator) => mutator.find(code, source).map((e) => ({ mutator, e })));
  found.sort((a, b) => a.e.start - b.e.start || MUTATORS.indexOf(a.mutator) - MUTATORS.indexOf(b.mutator));
  return found.map(({ mutator, e }) => {
    const { line, column } = place(source, e.start);
    const text = source.slice(0, e.start) + e.text + source.slice(e.end);
    const whole = (from: string): string => from.split("\n")[line - 1].trim();
    const id = `${file}:${line}:${column} ${mutator.name}`;
    return { id, file, line, mutator: mutator.name, before: whole(source), after: whole(text), text };
  });
}

/** `count` of them by a seeded shuffle, in their order; all when there are not so many. */
export function sample<T>(items: readonly T[], count: number, seed: number): T[] {
  const chosen = new Set(shuffle(items, seed).slice(0, count));
  return items.filter((item) => chosen.has(item));
}

/** The items in an order that the seed decides (Fisher and Yates's shuffle, Mulberry32's numbers). */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const order = items.slice();
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

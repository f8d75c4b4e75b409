// Which instructions the loop has handlers for; all others, and these in other shapes, run as functions of their own. A
// tuning table: it says nothing about what an instruction does. Chosen from the instructions that gcc's integer code and
// Linux's entry paths execute most. The loop function has to stay under 45 KB (DESIGN, "Processors").

import type { Size } from "./builder.ts";
import { type OperandShape, shapeKey } from "./describe.ts";

/** "r64,m32": kind and size of each operand; "m32b": memory without an index only. */
function parse(text: string): OperandShape[] {
  if (text === "") return [];
  return text.split(",").map((item) => {
    const kind = { r: "reg", m: "mem", i: "imm", n: "none" }[item[0]] as OperandShape["kind"];
    const size = Number.parseInt(item.slice(1), 10) as Size;
    return item.endsWith("b") ? { kind, size, address: "base" } : { kind, size };
  });
}

export interface HotEntry {
  readonly name: string;
  readonly shapes: readonly OperandShape[];
  /** Of a comparison: with the conditional jump behind it, by the condition's number. */
  readonly cc?: number;
  /** The flags that it leaves are not computed: an instruction shortly behind it replaces them. */
  readonly dead?: boolean;
  /** Of a direct jump or call: the target is in another frame. */
  readonly far?: boolean;
  /** What stands behind it and is executed with it, at the cost of one dispatch. */
  readonly then?: HotEntry;
}

/** A handler by text: "add r64,i64 dead", "cmp r32,i32 +5", "jmp far". `b` and `x` mark a memory operand's addressing. */
export function hotKey({ name, shapes, cc, dead, far }: HotEntry): string {
  return `${name} ${shapeKey(shapes)}${cc !== undefined ? ` +${cc}` : far ? " far" : dead ? " dead" : ""}`;
}

const plain: readonly [string, string][] = [
  ["mov", "r32,r32 r64,r64 r8,r8 r32,i32 r64,i64 r8,i8"],
  ["mov", "r64,m64 r32,m32 r8,m8 m64,r64 m32,r32 m16,r16 m8,r8 m64b,i64 m32b,i32 m8b,i8"],
  ["movzx", "r32,r8 r32,r16 r32,m8 r32,m16 r64,r8"],
  ["movsx", "r64,r32 r64,m32 r32,r8 r32,m8 r64,m8b r32,r16 r32,m16b"],
  ["lea", "r64,m64 r32,m32"],
  ["push", "r64"],
  ["pop", "r64"],
  ["leave", "n64"],
  ["nop", ""],
  ["nop", "m32 m16"],
  ["nop", "r32,r32 m32,r32"],
  ["add", "r32,r32 r64,r64 r32,i32 r64,i64 r64,m64 r32,m32 m32b,r32 m64b,r64 m32b,i32 m64b,i64"],
  ["sub", "r32,r32 r64,r64 r32,i32 r64,i64 r64,m64b r32,m32b m32b,i32 m64b,i64"],
  ["adc", "r64,r64 r64,i64"],
  ["sbb", "r32,r32"],
  ["and", "r32,r32 r64,r64 r32,i32 r64,i64 r8,i8 r32,m32b r64,m64b"],
  ["or", "r32,r32 r64,r64 r32,i32 r64,i64 r8,r8"],
  ["xor", "r32,r32 r64,r64 r32,i32 r32,m32 r64,m64b r8,r8 r8,m8b"],
  [
    "cmp",
    "r32,r32 r64,r64 r32,i32 r64,i64 r8,i8 r8,r8 r32,m32b r64,m64b m32b,i32 m64b,i64 m8b,i8 r8,m8b m32b,r32 r16,r16 r16,i16 r16,m16b m16b,r16",
  ],
  ["test", "r32,r32 r64,r64 r8,r8 r8,i8 r32,i32 r64,i64 m8b,i8"],
  ["inc", "r32 r64"],
  ["dec", "r32 r64"],
  ["neg", "r32 r64"],
  ["not", "r32 r64"],
  ["shl", "r32,i8 r64,i8"],
  ["shr", "r32,i8 r64,i8"],
  ["sar", "r32,i8 r64,i8"],
  ["shr1", "r32 r64"],
  ["sar1", "r32 r64"],
  ["shlcl", "r32 r64"],
  ["shrcl", "r32 r64"],
  ["cbw", "r64 r32"],
  ["cwd", "r32 r64"],
  ["sete", "r8"],
  ["setne", "r8"],
  ["setb", "r8"],
  ["seta", "r8"],
  ["setl", "r8"],
  ["setg", "r8"],
  ["cmove", "r32,r32 r64,r64"],
  ["cmovne", "r32,r32 r64,r64"],
  ["cmovb", "r32,r32 r64,r64"],
  ["cmovae", "r32,r32 r64,r64"],
  ["cmova", "r32,r32 r64,r64"],
  ["cmovs", "r32,r32 r64,r64"],
  ["cmovns", "r32,r32"],
  ["cmovl", "r32,r32 r64,r64"],
  ["cmovge", "r32,r32 r64,r64"],
  ["cmovle", "r32,r32 r64,r64"],
  ["cmovg", "r32,r32 r64,r64"],
  ["ret", ""],
  ["jmpi", "r64 m64"],
  ["calli", "r64 m64b"],
  ["imul", "r32,r32 r64,r64"],
  ["imul3", "r32,r32,i32 r64,r64,i64"],
  ["rol", "r32,i8"],
  ["ror", "r32,i8"],
  ["bt", "r64,r64 r64,i8"],
];

/** Names of the conditional jumps by condition code. */
export const CONDITIONAL_JUMPS = [
  "jo",
  "jno",
  "jb",
  "jae",
  "je",
  "jne",
  "jbe",
  "ja",
  "js",
  "jns",
  "jp",
  "jnp",
  "jl",
  "jge",
  "jle",
  "jg",
];
const ARITHMETIC = [2, 3, 4, 5, 6, 7, 12, 13, 14, 15];
/** Compilers turn "less than n" into "at most n - 1". */
const IMMEDIATE = [2, 3, 4, 5, 6, 7, 14, 15];
const LOGIC = [4, 5, 8, 9, 14, 15];

/** The ones with a handler for when their flags don't matter. */
const dead: readonly [string, string][] = [
  ["add", "r32,r32 r64,r64 r32,i32 r64,i64 r64,m64b r32,m32b"],
  ["sub", "r32,r32 r64,r64 r32,i32 r64,i64"],
  ["and", "r32,r32 r64,r64 r32,i32 r64,i64"],
  ["or", "r32,r32 r64,r64 r32,i32"],
  ["xor", "r32,r32 r64,r64 r32,i32"],
  ["shl", "r32,i8 r64,i8"],
  ["shr", "r32,i8 r64,i8"],
  ["sar", "r32,i8 r64,i8"],
  ["imul", "r32,r32 r64,r64"],
  ["imul3", "r32,r32,i32"],
  ["inc", "r32 r64"],
  ["neg", "r32 r64"],
  ["rol", "r32,i8"],
  ["ror", "r32,i8"],
];

const fused: readonly [string, string, readonly number[]][] = [
  ["cmp", "r32,r32 r64,r64", ARITHMETIC],
  ["cmp", "r32,i32 r64,i64", IMMEDIATE],
  ["cmp", "r8,i8", [4, 5, 6, 7]],
  ["cmp", "r8,r8 m8b,i8 r16,r16 r16,i16 r16,m16b", [4, 5]],
  ["cmp", "r64,m64b m64b,r64 m32b,i32", [4, 5]],
  ["test", "r32,r32 r64,r64", LOGIC],
  ["test", "r8,r8", [4, 5, 8, 9]],
  ["test", "r8,i8 r32,i32 m8b,i8", [4, 5]],
];

/** Handlers that follow each other often, in one: two to five instructions at the cost of one
 * dispatch, which is about 3 ns, most of an instruction's time. */
const chains: readonly string[] = [
  "add r64,i64 dead & cmp r64,i64 +5",
  "add r64,i64 dead & cmp r64,r64 +5",
  "add r64,i64 dead & add r64,i64 dead",
  "add r64,i64 dead & add r64,i64 dead & cmp r32,r32 +2",
  "add r64,i64 & mov r32,r32 & xor r8,m8b",
  "add r64,r64 & mov r64,r64 & shr r64,i8",
  "add r64,r64 & mov r64,r64 & shr r64,i8 dead",
  "add r64,r64 dead & cmp r64,r64",
  "add r64,r64 dead & mov r64,r64",
  "add r32,i32 & mov r64,m64b",
  "add r32,i32 dead & cmp r32,r32 +5",
  "sub r64,i64 dead & sub r64,i64 dead & cmp r32,r32 +2",
  "inc r32 & inc r64 dead & cmp r32,r32 +5",
  "mov r64,r64 & mov r64,r64",
  "mov r64,r64 & mov r32,r32",
  "mov r64,r64 & mov r32,r32 & shr r64,i8 dead",
  "mov r64,r64 & imul r64,r64 dead",
  "mov r64,r64 & mov r64,m64b",
  "mov r64,r64 & mov r32,m32b",
  "mov r64,r64 & test r64,r64 +5",
  "mov r64,r64 & shr r64,i8",
  "mov r64,m64b & mov r64,m64b",
  "mov r64,m64b & test r64,r64 +4",
  "mov r64,m64x & cmp r64,i64 +4",
  "mov m64b,r64 & mov r64,r64 & test r64,r64 +5",
  "mov m64b,r64 & mov m64b,r64",
  "mov m64b,r64 & sub r32,i32",
  "movzx r32,m16b & cmp m16b,r16",
  "mov m64b,i64 & add r64,i64 dead & cmp r64,i64 +5",
  "mov r32,i32 & cmp r32,r32 +5",
  "mov r32,r32 & add r32,r32 & mov m8b,i8 & cmp r32,i32 +6",
  "mov r32,m32x & lea r64,m64x & lea r64,m64x",
  "mov r32,m32x & mov r64,r64 & cmp r32,r32 +2",
  "mov r32,m32x & lea r64,m64b & lea r64,m64b",
  "mov m32b,r32 & sub r64,i64 dead & add r64,i64",
  "mov m8b,r8 & cmp r64,r64 +5",
  "movsx r32,m16b & movsx r32,m16b & add r64,i64 dead & add r64,i64 dead",
  "imul r32,r32 dead & add r32,r32 dead & cmp r64,r64 +5",
  "imul r64,r64 dead & add r64,i64 dead",
  "shr r32,i8 & movzx r32,r8",
  "xor r32,m32x & mov r32,r32 & cmp r64,i64 +5",
  "push r64 & push r64",
  "push r64 & push r64 & mov r32,i32",
  "push r64 & mov r64,r64",
  "pop r64 & pop r64",
  "pop r64 & pop r64 & ret",
];

/** The table, every memory operand in both of the loop's addressing forms. `has`: is there such an instruction? */
export function hotEntries(has: (name: string) => boolean): HotEntry[] {
  const entries: HotEntry[] = [];
  for (const [name, list] of plain) {
    if (!has(name)) continue;
    for (const text of list.split(" ")) for (const shapes of addressed(parse(text))) entries.push({ name, shapes });
  }
  for (const [name, list] of dead) {
    if (!has(name)) continue;
    for (const text of list.split(" ")) {
      for (const shapes of addressed(parse(text))) entries.push({ name, shapes, dead: true });
    }
  }
  for (const [name, list, codes] of fused) {
    for (const text of list.split(" ")) {
      for (const shapes of addressed(parse(text))) for (const cc of codes) entries.push({ name, shapes, cc });
    }
  }
  for (const name of CONDITIONAL_JUMPS)
    if (!["jp", "jnp", "jo", "jno"].includes(name)) entries.push({ name, shapes: [] });
  for (const name of ["jmp", "call"]) entries.push({ name, shapes: [] }, { name, shapes: [], far: true });
  const byKey = new Map(entries.map((entry) => [hotKey(entry), entry]));
  for (const chain of chains) {
    const links = chain.split(" & ").map((key) => byKey.get(key));
    if (!links.every((link) => link !== undefined)) continue;
    entries.push(links.reduceRight((then, entry) => ({ ...entry, then })));
  }
  return entries;
}

/** lea, nop: the memory is not accessed and the forms cost little; the others, too, have both. */
function addressed(shapes: readonly OperandShape[]): OperandShape[][] {
  if (!shapes.some((shape) => shape.kind === "mem" && shape.address === undefined)) return [[...shapes]];
  return (["base", "index"] as const).map((address) =>
    shapes.map((shape) => (shape.kind === "mem" ? { ...shape, address } : shape)),
  );
}

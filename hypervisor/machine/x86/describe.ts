// The form in which instructions are described, once, for every tier. A description is a name, encodings as text in the
// notation of the Intel SDM's opcode maps, and semantics written against a Builder:
//
//   instruction("add", ["00 Eb,Gb", "01 Ev,Gv", "02 Gb,Eb", "03 Gv,Ev", "04 AL,Ib", "05 rAX,Iz", "80/0 Eb,Ib",
//     "81/0 Ev,Iz", "83/0 Ev,Ibs"], { lock: true }, (b, dst, src) => {
//     const x = b.let(dst.modify());           // may end the instruction by a fault: nothing is changed yet
//     const y = b.let(src.read());
//     const result = b.let(b.add(x, y));
//     dst.write(result);
//     b.flagsAdd(dst.size, x, y, result);
//   })
//
// Encoding: [PREFIX:]OPCODE[/digit][!modrm][+] [operands], all hexadecimal.
//   PREFIX   words joined by dots: np 66 f2 f3 (the mandatory prefix; without one, they don't matter), w0 w1 (REX.W),
//            o16 (only with a 66 prefix), a32 a64 (address size), vex (VEX.L=0, VEX.W by w0 w1)
//   OPCODE   one byte, or 0f, 0f38, 0f3a and one byte;  /digit  the reg field;  !xx  this ModRM byte exactly
//   +        the low three bits are a register (operand Z), so this describes eight opcodes
// Operands, a letter for where and one for the size: E ModRM register or memory, M memory only, R register only, G ModRM
//   reg, Z register in the opcode, B VEX.vvvv, I immediate, J branch offset, O absolute address, X memory at [rSI] with the
//   segment of the prefix; b w d q: 8 to 64 bits; v: 16, 32 or 64 by prefixes; y: 32 or 64; z: a 32-bit (or 16-bit)
//   immediate, sign-extended to v; bs: an 8-bit immediate, sign-extended to v. AL CL AX rAX DX rDX: that register. Sw: a
//   segment register by ModRM reg, its number being the value. v y b alone: no operand, but its size is passed.
//   M with no size: memory whose address alone matters (lea, fxsave).
// The semantics get one Operand for each (not for J), in order. What they must keep to:
//   - all that can fault (read, modify, load, checkWrite) comes before the first change;
//   - what is used after a change to registers or memory, or more than once, passes through b.let;
//   - branch, branchIf, jump, host are the last statement; fault and exit may stand within b.if.
// Instructions too rare to be worth emitted code end in b.host("name") and are written in TypeScript: see host.ts.

import type { Builder, Operand, Size } from "./builder.ts";

export type Semantics = (b: Builder, ...operands: Operand[]) => void;

export interface Options {
  /** LOCK is allowed when the first operand is memory. */
  readonly lock?: boolean;
  /** Atomic with or without LOCK (xchg). */
  readonly locked?: boolean;
  /** Default operand size 64 (push, pop). */
  readonly d64?: boolean;
  /** Operand size always 64 (near branches). */
  readonly f64?: boolean;
  /** Addresses get no segment base (lea). */
  readonly noSegment?: boolean;
  /** Uses the x87 or SSE state: #NM while CR0.TS is set. */
  readonly fpu?: boolean;
  /** Uses the stack: a non-canonical address is #SS. */
  readonly stack?: boolean;
  /** The record's target is a direct branch's. "stop": what follows in memory isn't reached from here. */
  readonly flow?: "jump" | "branch" | "call" | "stop";
}

export interface Description {
  readonly name: string;
  readonly forms: readonly Form[];
  readonly options: Options;
  readonly semantics: Semantics;
}

/** An operand of an encoding: where it is and how its size is found. */
export interface OperandSpec {
  /** E M R G Z B I J O X S as above; F: fixed register `fixed`; N: none. */
  readonly where: string;
  /** b w d q v y z, or bs; "" for none. */
  readonly width: string;
  readonly fixed: number;
}

export interface Form {
  readonly description: Description;
  readonly text: string;
  /** 0, 0f, 0f38, 0f3a as 0 to 3; plus 4 for VEX. */
  readonly map: number;
  readonly opcode: number;
  readonly plus: boolean;
  readonly digit: number;
  readonly modrm: number;
  /** -1: any; 0: none; else the byte. */
  readonly mandatory: number;
  readonly w: number;
  readonly o16: boolean;
  /** Address size 32 or 64, or 0 for both. */
  readonly addressSize: number;
  readonly hasModrm: boolean;
  /** Restriction on ModRM.mod: 0 none, 1 memory only, 2 register only. */
  readonly mod: number;
  /** No restriction but ModRM-less opcode: needs no look at the prefixes. */
  readonly simple: boolean;
  readonly operands: readonly OperandSpec[];
  /** Its number among all forms. */
  readonly index: number;
}

/** What an operand is in one variant of an instruction. */
export interface OperandShape {
  readonly kind: "reg" | "mem" | "imm" | "none";
  readonly size: Size;
  /** Addressing of a memory operand: [base+disp], [base+index*scale+disp], or all there is. */
  readonly address?: "base" | "index" | "any";
}

let formCount = 0;

const FIXED: Record<string, readonly [number, string]> = {
  AL: [0, "b"],
  CL: [1, "b"],
  AX: [0, "w"],
  eAX: [0, "d"],
  rAX: [0, "v"],
  DX: [2, "w"],
  rDX: [2, "v"],
};

export function instruction(
  name: string,
  encodings: readonly string[],
  options: Options,
  semantics: Semantics,
): Description {
  const forms: Form[] = [];
  const description: Description = { name, forms, options, semantics };
  for (const text of encodings) forms.push(parseForm(description, text));
  return description;
}

function parseForm(description: Description, text: string): Form {
  const match = /^(?:([\w.]+):)?(0f38|0f3a|0f)?([0-9a-f]{2})(\+)?(?:\/([0-7]))?(?:!([0-9a-f]{2}))?(?: (\S+))?$/.exec(
    text,
  );
  if (!match) throw new Error(`${description.name}: bad encoding "${text}"`);
  const [, prefix, leading, opcode, plus, digit, modrm, list] = match;
  const words = prefix?.split(".") ?? [];
  const operands = list ? list.split(",").map((item) => parseOperand(description.name, item)) : [];
  const where = (letters: string): boolean => operands.some((operand) => letters.includes(operand.where));
  const mandatory = ["np", "66", "f2", "f3"].findIndex((word) => words.includes(word));
  return {
    description,
    text,
    map: ["0f", "0f38", "0f3a"].indexOf(leading ?? "") + 1 + (words.includes("vex") ? 4 : 0),
    opcode: Number.parseInt(opcode, 16),
    plus: plus !== undefined,
    digit: digit === undefined ? -1 : Number(digit),
    modrm: modrm === undefined ? -1 : Number.parseInt(modrm, 16),
    mandatory: [-1, 0, 0x66, 0xf2, 0xf3][mandatory + 1],
    w: words.includes("w0") ? 0 : words.includes("w1") ? 1 : -1,
    o16: words.includes("o16"),
    addressSize: words.includes("a32") ? 32 : words.includes("a64") ? 64 : 0,
    hasModrm: digit !== undefined || modrm !== undefined || where("EMRGS"),
    mod: where("M") ? 1 : where("R") ? 2 : 0,
    simple: match[1] === undefined && digit === undefined && modrm === undefined && !where("MR"),
    operands,
    index: formCount++,
  };
}

function parseOperand(name: string, text: string): OperandSpec {
  const fixed = FIXED[text];
  if (fixed) return { where: "F", width: fixed[1], fixed: fixed[0] };
  if (/^[vyb]$/.test(text)) return { where: "N", width: text, fixed: 0 };
  const match = /^([EMRGZBIJOXS])(bs|[bwdqvyz])?$/.exec(text);
  if (!match) throw new Error(`${name}: bad operand "${text}"`);
  return { where: match[1], width: match[2] ?? "", fixed: 0 };
}

/** Offset in the record of the register number of the operand at `position`. */
export function registerField(shapes: readonly OperandShape[], position: number): number {
  if (position === 0) return 2;
  if (position === 1) return 3;
  return shapes[1].kind === "reg" ? 4 : 3;
}

/** The text that names a variant: "add m32,r32". */
export function shapeKey(shapes: readonly OperandShape[]): string {
  return shapes
    .map(
      (shape) => shape.kind[0] + shape.size + (shape.address === "base" ? "b" : shape.address === "index" ? "x" : ""),
    )
    .join(",");
}

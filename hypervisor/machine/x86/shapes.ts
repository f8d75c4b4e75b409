// What the operands of the instruction that a Decoder has just decoded are: in a register, in memory or immediate, and of
// which size. Used by the code cache, which looks for an instruction's handlers by that.

import type { Size } from "./builder.ts";
import type { Decoder } from "./decode.ts";
import type { OperandShape, OperandSpec } from "./describe.ts";

/** Shapes of the operands of the instruction just decoded; what is no operand of the semantics is left out. */
export function shapesOf(d: Decoder): OperandShape[] {
  const shapes: OperandShape[] = [];
  for (const operand of d.form.operands) {
    if (operand.where === "J") continue;
    const size = sizeOf(operand, d.operandSize, d.rexW);
    if (operand.where === "N") shapes.push({ kind: "none", size });
    else if (operand.where === "I") shapes.push({ kind: "imm", size });
    else if (isRegister(operand, d.isMemory)) shapes.push({ kind: "reg", size });
    else shapes.push({ kind: "mem", size, address: "any" });
  }
  return shapes;
}

export function isRegister(operand: OperandSpec, isMemory: boolean): boolean {
  switch (operand.where) {
    case "E":
      return !isMemory;
    case "G":
    case "R":
    case "Z":
    case "B":
    case "F":
    case "S":
      return true;
    default:
      return false;
  }
}

function sizeOf(operand: OperandSpec, operandSize: number, rexW: boolean): Size {
  switch (operand.width) {
    case "b":
      return 8;
    case "w":
      return 16;
    case "d":
      return 32;
    case "q":
      return 64;
    case "y":
      return rexW ? 64 : 32;
    default:
      return operandSize as Size;
  }
}

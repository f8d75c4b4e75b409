// All instructions, by family. The form in which they are written is at the head of ../describe.ts. A family lives in a
// file of its own and is added to the list here.

import type { Description } from "../describe.ts";
import "../segments.ts";
import { alu } from "./alu.ts";
import { atomic } from "./atomic.ts";
import { bits } from "./bits.ts";
import { control } from "./control.ts";
import { mmxInstructions } from "./mmx.ts";
import { move } from "./move.ts";
import { muldiv } from "./muldiv.ts";
import { segment } from "./segment.ts";
import { shift } from "./shift.ts";
import { sse } from "./sse.ts";
import { sseFloat } from "./sse_float.ts";
import { string } from "./string.ts";
import { system } from "./system.ts";
import { fpu } from "./x87.ts";
import { fpuFunctions } from "./x87_functions.ts";
import { fpuState } from "./x87_state.ts";

export const instructions: readonly Description[] = [
  ...alu,
  ...move,
  ...shift,
  ...muldiv,
  ...bits,
  ...atomic,
  ...string,
  ...control,
  ...segment,
  ...system,
  ...sse,
  ...mmxInstructions,
  ...sseFloat,
  ...fpu,
  ...fpuFunctions,
  ...fpuState,
];

const byName = new Map(instructions.map((description) => [description.name, description]));

export function descriptionOf(name: string): Description | undefined {
  return byName.get(name);
}

export function instructionNamed(name: string): Description {
  const description = byName.get(name);
  if (!description) throw new Error(`x86: no instruction "${name}"`);
  return description;
}

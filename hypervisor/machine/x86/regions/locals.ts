// The locals that a region's function has beside what its instructions compute with: parameters first. Used by the
// builders of the hot tier and the compiler.

import { I32, I64, type ValType } from "../wasm.ts";

export const Local = {
  /** Parameter, and scratch: the number of the block to go to by way of a br_table. */
  TARGET: 0,
  /** Parameter: what is left of the budget, in bytes of records. */
  LEFT: 1,
  /** Where the region is left before an instruction: its place in the page, and above INFO_SHIFT how many before it. */
  INFO: 2,
  /** What the function returns: RegionExit. */
  KIND: 3,
  PAGE: 4,
  ASID: 5,
  BRANCH: 6,
  /** FLAG_RESULT, FLAG_SOURCE, FLAG_STATE of layout.ts. */
  FLAGS: 7,
  /** The operands and result that the flags follow from, as I32 and as I64. */
  X32: 10,
  Y32: 11,
  RESULT32: 12,
  X64: 13,
  Y64: 14,
  RESULT64: 15,
  REGISTERS: 16,
  count: 32,
  INFO_SHIFT: 16,
} as const;

/** Types of those that are no parameters. */
export const LOCAL_TYPES: readonly ValType[] = [
  I32,
  I32,
  ...new Array<ValType>(6).fill(I64),
  I32,
  I32,
  I32,
  ...new Array<ValType>(3).fill(I64),
  ...new Array<ValType>(16).fill(I64),
];

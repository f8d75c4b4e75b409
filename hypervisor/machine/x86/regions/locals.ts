// The locals that a region's function has beside what its instructions compute with: parameters first. Used by the
// builders of the hot tier and the compiler.

import { I32, I64, type ValType } from "../wasm.ts";

export const Local = {
  /** Parameter, and scratch: the number of the block to go to by way of a br_table. */
  TARGET: 0,
  /** Parameter: what is left of the budget, in bytes of records. */
  LEFT: 1,
  /** Where the region is left before an instruction: its place. */
  INFO: 2,
  /** What the function returns: RegionExit. */
  KIND: 3,
  /** Pages of the region, a bit each, that were found to be the frames that it was made from. */
  CHECKED: 4,
  /** Full address of the region's first page, to which places are relative. */
  PAGE: 5,
  ASID: 6,
  BRANCH: 7,
  /** FLAG_RESULT, FLAG_SOURCE, FLAG_STATE of layout.ts. */
  FLAGS: 8,
  /** The operands and result that the flags follow from, as I32 and as I64. */
  X32: 11,
  Y32: 12,
  RESULT32: 13,
  X64: 14,
  Y64: 15,
  RESULT64: 16,
  REGISTERS: 17,
  count: 33,
} as const;

/** Types of those that are no parameters. */
export const LOCAL_TYPES: readonly ValType[] = [
  I32,
  I32,
  I32,
  ...new Array<ValType>(6).fill(I64),
  I32,
  I32,
  I32,
  ...new Array<ValType>(3).fill(I64),
  ...new Array<ValType>(16).fill(I64),
];

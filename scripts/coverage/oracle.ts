// Holds our decoder against iced-x86: at one place in some bytes, do both see an instruction there, and of what length?
// Called by the coverage report over whole images and by the decoder's test over random bytes.

import { Code, type Decoder as Iced, type Instruction } from "iced-x86";
import { type Decoder, Undecoded } from "../../hypervisor/machine/x86/decode.ts";

/** An instruction is at most this long; what lies behind is not looked at. */
const MAX_LENGTH = 15;

export const Verdict = {
  SAME: 0,
  /** iced decodes it, we don't. */
  MISSING: 1,
  /** We decode it, iced doesn't. */
  EXTRA: 2,
  LENGTH: 3,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Compares at `at`, leaving what iced saw in `instruction`. Both see the bytes to the array's end. */
export function judge(decoder: Decoder, iced: Iced, instruction: Instruction, bytes: Uint8Array, at: number): Verdict {
  iced.position = at;
  iced.decodeOut(instruction);
  const theirs = instruction.code === Code.INVALID ? 0 : instruction.length;
  const length = decoder.decode(bytes, at, bytes.length);
  const ours = Math.max(length, 0);
  if (length === Undecoded.TRUNCATED && at + MAX_LENGTH <= bytes.length) return Verdict.LENGTH;
  if (ours === theirs) return Verdict.SAME;
  if (ours === 0) return Verdict.MISSING;
  return theirs === 0 ? Verdict.EXTRA : Verdict.LENGTH;
}

// Our decoder against iced-x86: over random bytes rich in prefixes, and over the encodings that vectors are made of, both
// see an instruction in the same places and of the same length. `npm run coverage` does the same over whole images.

import { Code, Decoder as Iced, Instruction } from "iced-x86";
import { describe, expect, it } from "vitest";
import { Decoder } from "../../../../hypervisor/machine/x86/decode.ts";
import { instructions } from "../../../../hypervisor/machine/x86/instructions/index.ts";
import { classOf } from "../../../../scripts/coverage/classes.ts";
import { judge, Verdict } from "../../../../scripts/coverage/oracle.ts";
import { cases } from "../../../../scripts/vectors/generate.ts";
import { Random, toHex } from "../../../vectors/format.ts";

/** No compiler makes these, and they raise #UD: mov cr and dr with a memory ModRM. */
const UNSUPPORTED = /^Mov_(r64_)?[cd]r/;
/** We decode these with numbers of registers that don't exist, and raise #UD when they run. */
const CHECKED_LATER = new Set(["movts", "movfs", "privileged"]);

const decoder = new Decoder(instructions);
const instruction = new Instruction();

/** What the two disagree on at the start of the bytes, or undefined. */
function disagreement(bytes: Uint8Array): string | undefined {
  const iced = new Iced(64, bytes, 0);
  const verdict = judge(decoder, iced, instruction, bytes, 0);
  iced.free();
  if (verdict === Verdict.SAME) return undefined;
  const name = Code[instruction.code];
  if (verdict === Verdict.EXTRA && CHECKED_LATER.has(decoder.form.description.name)) return undefined;
  if (verdict === Verdict.MISSING) {
    const kind = classOf(instruction);
    if (kind === "fpu" || kind === "system" || UNSUPPORTED.test(name)) return undefined;
  }
  return `${toHex(bytes)}: ${verdict === Verdict.EXTRA ? "ours alone" : name}, verdict ${verdict}`;
}

describe("the decoder agrees with iced-x86", () => {
  it.each([1, 2, 3])("on 60,000 random byte strings, seed %i", (seed) => {
    const random = new Random(seed);
    const prefixes = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x41, 0x48, 0x4f, 0x64, 0x65, 0x2e];
    const found: string[] = [];
    for (let i = 0; i < 60_000; i++) {
      const bytes = Uint8Array.from({ length: 16 }, () => random.u32() & 255);
      let at = 0;
      while (random.below(3) === 0 && at < 4) bytes[at++] = random.pick(prefixes);
      if (random.below(2)) bytes[at] = random.pick([0x0f, 0x0f, 0x0f, 0xc4, 0xc5]);
      if (bytes[at] === 0x0f && random.below(8) === 0) bytes[at + 1] = random.pick([0x38, 0x3a]);
      const line = disagreement(bytes);
      if (line) found.push(line);
    }
    expect(found.slice(0, 20)).toEqual([]);
  });

  it("on every form of the vectors, all addressing modes", () => {
    const found = cases(7, 6).flatMap(({ code, form }) => {
      const bytes = new Uint8Array(16).fill(0x90);
      bytes.set(code);
      const line = disagreement(bytes);
      return line ? [`${form.name} ${line}`] : [];
    });
    expect(found.slice(0, 20)).toEqual([]);
  });

  it("on where bytes end: every form cut short is truncated, not another instruction", () => {
    const found = cases(8, 1).flatMap(({ code, form }) => {
      if (form.family === "sse" || form.family === "x87") return [];
      for (let length = 1; length < code.length; length++) {
        const result = decoder.decode(code.subarray(0, length), 0, length);
        if (result > 0) return [`${form.name} ${toHex(code)} cut to ${length}`];
      }
      return [];
    });
    expect(found).toEqual([]);
  });
});

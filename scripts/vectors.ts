// npm run vectors -- --write [--seed N] [--per-form N] [--family F,G]   makes tests/vectors/FAMILY.txt anew here
// npm run vectors -- --random N [--seed N] [--family F,G]    tries N random cases per form on hardware and our processor
//
// Needs gcc on x86-64 Linux with the instructions in question (BMI2, ADX, MOVBE, SSE4.2). The format, and what is
// compared, are in tests/vectors/format.ts; how cases are made in scripts/vectors/generate.ts.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatVector, Place, type Vector } from "../tests/vectors/format.ts";
import type { Form } from "./vectors/forms.ts";
import { type Case, cases } from "./vectors/generate.ts";
import { Native } from "./vectors/native.ts";

/** What real processors differ in, or what the manual leaves open beyond flags: no vectors of these. */
function isOpen({ form, before, code }: Case, vector: Vector): boolean {
  // The fault of a jump to an address that is not canonical is at the jump on one maker's processors, at its target on
  // the other's.
  const target = BigInt(Place.rip) + vector.ip;
  if (form.family === "flow" && target !== BigInt.asIntN(48, target)) return true;
  if (/^(jmp|call|ret)/.test(form.name) && vector.trap?.vector === 13) return true;
  if (/^sh[lr]d/.test(form.name) && code.includes(0x66)) {
    const count = form.imm ? code[code.length - 1] : Number(before.regs[1] & 0xffn);
    if ((count & 31) > 16) return true;
  }
  // The runner sees its own kernel's half of the address space, where pages are present; and where rel32 leads further
  // than a record of ours reaches, the instruction is refused (code_cache.ts).
  if (vector.trap?.cr2 !== undefined && vector.trap.cr2 >> 63n) return true;
  if (form.imm === 4 && code.subarray(-4).join() === "255,255,255,127") return true;
  // A loop to itself: neither side would know when it has ended.
  if (form.family === "flow" && vector.ip === 0n && !vector.trap) return true;
  // Which of its sixteen bytes faults; and MXCSR's bit 17, which one maker has.
  if (form.name.startsWith("maskmov") && vector.trap) return true;
  if (form.name === "ldmxcsr" && vector.after.fx[26] !== 0) return true;
  // Which of two pointers is followed first, when neither leads anywhere.
  if (/cmps$/.test(form.name) && vector.trap) {
    const astray = (register: number) => {
      const at = Number(before.regs[register]) - Place.data;
      return at < 64 || at > 8192 - 64;
    };
    if (astray(6) && astray(7)) return true;
  }
  // What bsf and bsr leave in their destination for a source of 0: unchanged, which AMD's manual promises; kept.
  return false;
}

function make(
  native: Native,
  seed: number,
  perForm: number,
  families?: readonly string[],
): { one: Case; vector: Vector }[] {
  const all = cases(seed, perForm, families);
  const vectors = native.run(all);
  return all.map((one, i) => ({ one, vector: vectors[i] })).filter(({ one, vector }) => !isOpen(one, vector));
}

async function writeAll(native: Native, seed: number, perForm: number, only?: readonly string[]): Promise<void> {
  const { VectorMachine } = await import("../tests/vectors/machine.ts");
  const machine = new VectorMachine();
  const families = new Map<string, string[]>();
  let form = "";
  let count = 0;
  for (const { one, vector } of make(native, seed, perForm, only)) {
    if (one.form.family === "x87_functions") {
      const differences = machine.run(vector);
      if (differences.length > 0 && isLastBit(one.form, differences)) continue;
    }
    let lines = families.get(one.form.family);
    if (!lines) families.set(one.form.family, (lines = []));
    if (form !== one.form.name) lines.push(`# ${(form = one.form.name)}`);
    lines.push(formatVector(vector, one.seed, one.form.state));
    count++;
  }
  let bytes = 0;
  for (const [family, lines] of families) {
    const head = `# Made by scripts/vectors.ts, seed ${seed}, ${perForm} a form and operand size; format in format.ts.`;
    const text = `${head}\n${lines.join("\n")}\n`;
    bytes += text.length;
    writeFileSync(fileURLToPath(new URL(`../tests/vectors/${family}.txt`, import.meta.url)), text);
  }
  console.log(`${count} vectors in ${families.size} files, ${bytes} bytes`);
}

/**
 * Is it a transcendental function's last bit that differs, or which way it was rounded (C1)? Ours is the nearest number,
 * a real processor's may be the next to it.
 */
function isLastBit(form: Form, differences: readonly string[]): boolean {
  return (
    form.family === "x87_functions" &&
    form.opcode === 0xd9 &&
    differences.every((line) => /^fxsave\+(20|30|3) /.test(line))
  );
}

/** Tries cases on both processors and prints the first few that differ. */
async function tryRandom(native: Native, seed: number, perForm: number, families?: readonly string[]): Promise<void> {
  const { VectorMachine } = await import("../tests/vectors/machine.ts");
  const machine = new VectorMachine();
  const failures = new Map<string, number>();
  let count = 0;
  let lastBits = 0;
  for (const { one, vector } of make(native, seed, perForm, families)) {
    count++;
    const differences = machine.run(vector);
    if (one.form.family !== "flow") differences.push(...machine.run(vector, true));
    if (differences.length === 0) continue;
    if (isLastBit(one.form, differences)) {
      lastBits++;
      continue;
    }
    const seen = failures.get(one.form.name) ?? 0;
    failures.set(one.form.name, seen + 1);
    if (seen < 3)
      console.log(
        `${one.form.name}: ${formatVector(vector, one.seed, one.form.state)}\n    ${differences.join("\n    ")}`,
      );
  }
  console.log(`${count} vectors tried, seed ${seed}${lastBits ? `, ${lastBits} differ in the last bit alone` : ""}`);
  for (const [name, number] of failures) console.log(`${name}: ${number} differ`);
  if (failures.size > 0) process.exitCode = 1;
}

const { values } = parseArgs({
  options: {
    write: { type: "boolean" },
    random: { type: "string" },
    seed: { type: "string", default: "1" },
    "per-form": { type: "string", default: "6" },
    family: { type: "string" },
  },
});
const chosen = values.family?.split(",");
const native = new Native();
try {
  if (values.write) await writeAll(native, Number(values.seed), Number(values["per-form"]), chosen);
  else if (values.random) await tryRandom(native, Number(values.seed), Number(values.random), chosen);
  else console.error("usage: npm run vectors -- --write | --random N [--seed N] [--family F,G]");
} finally {
  native.close();
}

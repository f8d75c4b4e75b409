// npm run coverage -- [--all] [IMAGE...]: every instruction form that occurs in the text of the given ELF images, how
// often, and which of them our decoder or processor lacks. Without arguments it takes Debian's vmlinux from the image
// cache (XENOLITH_IMAGES, or ~/.cache/xenolith) and GRUB's Xen image from where Debian's package puts it.
// The sweep is linear, from the start of each section; after bytes that are no instruction it goes on with the next one,
// so that data inside text gives a few forms that no compiler made. Exit status 1 if an integer form is missing.

import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { Code, CodeExt, Decoder, DecoderOptions, Instruction } from "iced-x86";
import { Decoder as OurDecoder } from "../hypervisor/machine/x86/decode.ts";
import { instructions } from "../hypervisor/machine/x86/instructions/index.ts";
import { VectorMachine } from "../tests/vectors/machine.ts";
import { type Class, classOf } from "./coverage/classes.ts";
import { type Code as CodeRun, codeOf } from "./coverage/images.ts";
import { judge, Verdict } from "./coverage/oracle.ts";

export interface Form {
  code: Code;
  name: string;
  /** As the manual writes it: "ADD r32, r/m32", and its opcode: "03 /r". */
  text: string;
  opcode: string;
  class: Class;
  count: number;
  /** How often our decoder didn't decode it, or saw another length; an encoding of such, else of the first met. */
  missing: number;
  wrong: number;
  /** Why our processor doesn't run what it decodes. */
  fails?: string | undefined;
  example: Uint8Array;
}

/** Sweeps runs of code and counts forms, most frequent first; `extra`: bytes that we alone took for an instruction. */
export function sweep(runs: readonly { bytes: Uint8Array }[]): { forms: Form[]; extra: Uint8Array[] } {
  const extra: Uint8Array[] = [];
  const forms = new Map<Code, Form>();
  const instruction = new Instruction();
  const ours = new OurDecoder(instructions);
  for (const { bytes } of runs) {
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    while (decoder.canDecode) {
      const at = decoder.position;
      const verdict = judge(ours, decoder, instruction, bytes, at);
      const code = instruction.code;
      if (code === Code.INVALID) {
        decoder.position = at + 1;
        if (verdict === Verdict.EXTRA) extra.push(bytes.slice(at, at + 15));
        continue;
      }
      let form = forms.get(code);
      if (!form) forms.set(code, (form = describe(instruction, bytes.slice(at, at + instruction.length))));
      form.count++;
      if (verdict === Verdict.SAME) continue;
      if (form.missing + form.wrong === 0) form.example = bytes.slice(at, at + instruction.length);
      if (verdict === Verdict.MISSING) form.missing++;
      else form.wrong++;
    }
    decoder.free();
  }
  instruction.free();
  return { forms: [...forms.values()].sort((a, b) => b.count - a.count), extra };
}

function describe(instruction: Instruction, example: Uint8Array): Form {
  const code = instruction.code;
  const info = CodeExt.opCode(code);
  const { opCodeString: opcode, instructionString: text } = info;
  info.free();
  return { code, name: Code[code], text, opcode, class: classOf(instruction), count: 0, missing: 0, wrong: 0, example };
}

function defaultImages(): string[] {
  const cache = process.env.XENOLITH_IMAGES ?? join(homedir(), ".cache", "xenolith");
  const images: string[] = [];
  if (existsSync(cache)) {
    for (const file of readdirSync(cache, { recursive: true, encoding: "utf8" })) {
      if (basename(file).startsWith("vmlinux")) images.push(join(cache, file));
    }
  }
  const grub = "/usr/lib/grub-xen/grub-x86_64-xen.bin";
  if (existsSync(grub)) images.push(grub);
  return images;
}

function main(): void {
  const args = process.argv.slice(2);
  const all = args.includes("--all");
  const given = args.filter((arg) => !arg.startsWith("--"));
  const images = given.length > 0 ? given : defaultImages();
  if (images.length === 0) {
    console.error("coverage: no image given, and none found in XENOLITH_IMAGES or ~/.cache/xenolith");
    process.exit(2);
  }
  let lacking = 0;
  const machine = new VectorMachine();
  for (const image of images) {
    let code: CodeRun[];
    try {
      code = codeOf(image);
    } catch (error) {
      console.error(`coverage: ${image}: ${(error as Error).message}`);
      process.exit(2);
    }
    lacking += report(image, code, all, machine);
  }
  if (lacking > 0) process.exitCode = 1;
}

/** Prints one image's forms and returns how many integer forms are missing. */
function report(image: string, code: readonly CodeRun[], all: boolean, machine: VectorMachine): number {
  const { forms, extra } = sweep(code);
  for (const form of forms) {
    if (form.missing + form.wrong === 0 && !form.name.startsWith("Ud")) form.fails = machine.probe(form.example);
  }
  const times = (of: readonly Form[]) => of.reduce((sum, form) => sum + form.count, 0);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  console.log(`${image}: ${times(forms)} instructions, ${forms.length} forms`);
  let lacking = 0;
  for (const name of ["integer", "privileged", "fpu", "system"] as const) {
    const members = forms.filter((form) => form.class === name);
    const missing = members.filter((form) => form.missing + form.wrong > 0 || form.fails);
    if (name === "integer") lacking = missing.length;
    console.log(`  ${name}: ${members.length} forms, ${times(members)} times; missing ${missing.length} forms`);
    for (const form of all ? members : missing) {
      const state = form.wrong > 0 ? "WRONG LENGTH" : form.missing > 0 ? "missing" : (form.fails ?? "");
      const line = `${String(form.count).padStart(8)}  ${form.text.padEnd(40)} ${form.opcode.padEnd(20)}`;
      console.log(`    ${line} ${state} ${state ? hex(form.example) : ""}`.trimEnd());
    }
  }
  if (extra.length > 0) console.log(`  ${extra.length} times we decode what is no instruction: ${hex(extra[0])}`);
  return lacking;
}

if (process.argv[1]?.endsWith("coverage.ts")) main();

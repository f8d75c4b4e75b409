// npm run coverage -- [--all] [IMAGE...]: every instruction form that occurs in the text of the given ELF images, how
// often, and which of them our decoder or processor lacks. Without arguments it takes Debian's vmlinux from the image
// cache (XENOLITH_IMAGES, or ~/.cache/xenolith) and GRUB's Xen image from where Debian's package puts it.
// The sweep is linear, from the start of each section; after bytes that are no instruction it goes on with the next one,
// so that data inside text gives a few forms that no compiler made. Exit status 1 if an integer form is missing.

import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { Code, CodeExt, Decoder, DecoderOptions, Instruction } from "iced-x86";
import { type Class, classOf } from "./coverage/classes.ts";
import { codeOf } from "./coverage/images.ts";

export interface Form {
  code: Code;
  name: string;
  /** As the manual writes it: "ADD r32, r/m32", and its opcode: "03 /r". */
  text: string;
  opcode: string;
  class: Class;
  count: number;
  /** One encoding of it met, for trying our decoder. */
  example: Uint8Array;
}

/** Sweeps runs of code and counts forms, most frequent first. */
export function sweep(runs: readonly { bytes: Uint8Array }[]): Form[] {
  const forms = new Map<Code, Form>();
  const instruction = new Instruction();
  for (const { bytes } of runs) {
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    while (decoder.canDecode) {
      const at = decoder.position;
      decoder.decodeOut(instruction);
      const code = instruction.code;
      if (code === Code.INVALID) {
        decoder.position = at + 1;
        continue;
      }
      const seen = forms.get(code);
      if (seen) seen.count++;
      else forms.set(code, describe(instruction, bytes.slice(at, at + instruction.length)));
    }
    decoder.free();
  }
  instruction.free();
  return [...forms.values()].sort((a, b) => b.count - a.count);
}

function describe(instruction: Instruction, example: Uint8Array): Form {
  const code = instruction.code;
  const info = CodeExt.opCode(code);
  const { opCodeString: opcode, instructionString: text } = info;
  info.free();
  return { code, name: Code[code], text, opcode, class: classOf(instruction), count: 1, example };
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
  for (const image of images) {
    const forms = sweep(codeOf(image));
    console.log(`${image}: ${forms.reduce((sum, form) => sum + form.count, 0)} instructions, ${forms.length} forms`);
    for (const name of ["integer", "privileged", "fpu", "system"] as const) {
      const members = forms.filter((form) => form.class === name);
      console.log(`  ${name}: ${members.length} forms, ${members.reduce((sum, form) => sum + form.count, 0)} times`);
      if (!all) continue;
      for (const form of members) {
        console.log(`    ${String(form.count).padStart(8)}  ${form.text.padEnd(40)} ${form.opcode}`);
      }
    }
  }
}

if (process.argv[1]?.endsWith("coverage.ts")) main();

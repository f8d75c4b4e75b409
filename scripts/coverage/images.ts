// Finds the code in an image that the coverage report sweeps: the executable sections of an ELF file, of the modules that
// a GRUB core image carries behind its own text (include/grub/kernel.h's module header), and of their like. Called by
// scripts/coverage.ts. Section names are used where there are section headers, segments otherwise.

import { readFileSync } from "node:fs";

/** A run of machine code. */
export interface Code {
  /** Name of the section, with the module's number before it if it is one. */
  name: string;
  bytes: Uint8Array;
}

const SHT_PROGBITS = 1;
const SHF_EXECINSTR = 4;
const PT_LOAD = 1;
const PF_X = 1;
/** "mimg", the magic of GRUB's list of modules, and the type of a module that is an ELF object. */
const GRUB_MODULES = 0x676d696d;
const GRUB_MODULE_ELF = 0;

/** Every run of code in the file. Throws when it is not a little-endian 64-bit ELF. */
export function codeOf(path: string): Code[] {
  const file = readFileSync(path);
  return codeOfElf(file, "");
}

function codeOfElf(file: Uint8Array, prefix: string): Code[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 64 || view.getUint32(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error(`${prefix || "file"}: not a little-endian 64-bit ELF`);
  }
  const u64 = (at: number) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
  const shoff = u64(0x28);
  const shnum = view.getUint16(0x3c, true);
  if (shoff === 0 || shnum === 0) return codeOfSegments(file, view, u64, prefix);
  const shentsize = view.getUint16(0x3a, true);
  // GRUB's core image names section 1 as its string table; the index in the header is right for every image seen.
  const names = u64(shoff + view.getUint16(0x3e, true) * shentsize + 0x18);
  const found: Code[] = [];
  for (let i = 1; i < shnum; i++) {
    const at = shoff + i * shentsize;
    if (view.getUint32(at + 4, true) !== SHT_PROGBITS) continue;
    const name = string(file, names + view.getUint32(at, true));
    const bytes = file.subarray(u64(at + 0x18), u64(at + 0x18) + u64(at + 0x20));
    if (name === "mods") found.push(...codeOfModules(bytes, prefix));
    else if (view.getUint32(at + 8, true) & SHF_EXECINSTR || name === ".text")
      found.push({ name: prefix + name, bytes });
  }
  return found;
}

function codeOfSegments(file: Uint8Array, view: DataView, u64: (at: number) => number, prefix: string): Code[] {
  const found: Code[] = [];
  for (let i = 0; i < view.getUint16(0x38, true); i++) {
    const at = u64(0x20) + i * view.getUint16(0x36, true);
    if (view.getUint32(at, true) !== PT_LOAD || !(view.getUint32(at + 4, true) & PF_X)) continue;
    found.push({ name: `${prefix}segment ${i}`, bytes: file.subarray(u64(at + 8), u64(at + 8) + u64(at + 0x20)) });
  }
  return found;
}

/** struct grub_module_info64 (magic, padding, offset, size), then { u32 type; u32 size } before each module. */
function codeOfModules(bytes: Uint8Array, prefix: string): Code[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== GRUB_MODULES) return [];
  const found: Code[] = [];
  const end = Math.min(view.getUint32(16, true), bytes.length);
  let number = 0;
  for (let at = view.getUint32(8, true); at + 8 <= end; number++) {
    const size = view.getUint32(at + 4, true);
    if (size < 8) break;
    if (view.getUint32(at, true) === GRUB_MODULE_ELF) {
      found.push(...codeOfElf(bytes.subarray(at + 8, at + size), `${prefix}module ${number} `));
    }
    at += size;
  }
  return found;
}

function string(file: Uint8Array, at: number): string {
  return Buffer.from(file.subarray(at, file.indexOf(0, at))).toString("latin1");
}

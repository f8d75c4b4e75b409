// Makes machine states and encodings to try: for each form of forms.ts, random registers, addressing modes, immediates
// and prefixes, the memory operand mostly in the data that a vector has, sometimes over its end, in a page that can't be
// written, or nowhere. Called by scripts/vectors.ts.

import { FIXED_FLAGS, FLAGS, Place, Random, type State, stateOf } from "../../tests/vectors/format.ts";
import { type Form, forms } from "./forms.ts";
import { fpForms } from "./forms_fp.ts";

export interface Case {
  form: Form;
  seed: number;
  code: Uint8Array;
  before: State;
  undefinedFlags: number;
}

const GS = 0x65;

/** `perForm` cases of each form, operand size and kind of r/m operand. */
export function cases(seed: number, perForm: number, families?: readonly string[]): Case[] {
  const random = new Random(seed);
  const made: Case[] = [];
  for (const form of [...forms, ...fpForms]) {
    if (families !== undefined && !families.includes(form.family)) continue;
    const kinds = form.modrm === undefined ? ["none"] : form.rm ? [form.rm] : ["register", "memory"];
    for (const size of form.sizes) {
      for (const kind of kinds) {
        for (let i = 0; i < perForm; i++) {
          const one = encode(form, size, kind === "memory", random);
          if (one) made.push(one);
        }
      }
    }
  }
  return made;
}

function encode(form: Form, size: number, memory: boolean, random: Random): Case | undefined {
  const seed = random.u32();
  const before = stateOf(seed, form.state);
  form.fix?.(before, random, size);
  for (const pointer of form.pointers ?? []) before.regs[pointer] = BigInt(target(random, 8, false));
  if (form.name === "popf" && !plainFlags(before)) return undefined;

  const prefixes: number[] = [];
  let rex = size === 64 && !form.default64 ? 8 : 0;
  if (size === 16) prefixes.push(0x66);
  if (form.prefix && !form.vex) prefixes.push(form.prefix);
  if (form.pointers && !form.modrm && form.family === "string" && random.below(8) === 0) prefixes.push(0x67);
  if (memory && form.lock && random.below(3) === 0) prefixes.push(0xf0);

  const tail: number[] = form.second === undefined ? [] : [form.second];
  let opcode = form.opcode;
  if (form.plus) {
    const register = random.below(16);
    opcode += register & 7;
    rex |= register >> 3;
  }
  let relative: { at: number; address: number } | undefined;
  if (form.modrm !== undefined) {
    const reg = form.modrm === "r" ? random.below(16) : form.modrm;
    rex |= (reg >> 3) << 2;
    if (!memory) {
      // With an opcode extension and no register to choose (fences), r/m stays 0.
      const rm = form.rm === "register" && form.modrm !== "r" ? (form.name === "endbr64" ? 2 : 0) : random.below(16);
      rex |= rm >> 3;
      tail.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
    } else {
      const bytes = form.bytes ?? (form.aligned ? 16 : size / 8);
      const made = address(reg & 7, target(random, bytes, form.aligned ?? false), before, random);
      rex |= made.rex;
      prefixes.push(...made.prefixes);
      if (made.relative) relative = { at: tail.length + 1, address: made.address };
      tail.push(...made.bytes);
    }
  }
  const immediate = immediateBytes(form, size, random);
  tail.push(...immediate);

  const head = form.vex ? vexHead(form, rex, random) : legacyHead(form, rex, size, random);
  const code = [...shuffled(prefixes, random), ...head, opcode, ...tail];
  if (relative) {
    const displacement = relative.address - (Place.rip + code.length);
    for (let i = 0; i < 4; i++) code[code.length - tail.length + relative.at + i] = (displacement >> (i * 8)) & 255;
  }
  if (code.length > 15) return undefined;
  const { undefinedFlags = 0 } = form;
  const mask = typeof undefinedFlags === "number" ? undefinedFlags : undefinedFlags(before, size, immediate[0] ?? 0);
  return { form, seed, code: Uint8Array.from(code), before, undefinedFlags: mask };
}

/** Takes AC, NT and the trap flag out of what popf will load: the runner itself could not live with them. */
function plainFlags({ regs, data }: State): boolean {
  const at = Number(regs[4]) - Place.data;
  if (at < 0 || at >= 2 * data.length) return true;
  if (at + 8 > data.length) return false;
  const view = new DataView(data.buffer);
  view.setUint32(at, view.getUint32(at, true) & (FLAGS | FIXED_FLAGS), true);
  return true;
}

/** Where an operand of so many bytes lies. */
function target(random: Random, bytes: number, aligned: boolean): number {
  const align = (address: number) => (aligned && random.below(10) > 0 ? address - (address % bytes) : address);
  switch (random.below(24)) {
    case 0:
      return align(Place.end + random.below(64));
    case 1:
      return align(Place.end + 64 - random.below(bytes + 8));
    case 2:
      return align(Place.readOnly + random.below(256));
    case 3:
      return random.below(2) ? random.below(4096) : Place.data - 1 - random.below(bytes);
    case 4:
      // Across the page boundary in the middle.
      return align(Place.data + 4096 - random.below(bytes + 1));
    default:
      return align(Place.middle + random.below(256 - bytes));
  }
}

interface Address {
  rex: number;
  prefixes: number[];
  bytes: number[];
  relative: boolean;
  address: number;
}

/** ModRM, SIB and displacement for the target, with the registers' values that make it so. */
function address(reg: number, place: number, before: State, random: Random): Address {
  const made: Address = { rex: 0, prefixes: [], bytes: [], relative: false, address: place };
  const modrm = (mod: number, rm: number) => made.bytes.push((mod << 6) | (reg << 3) | rm);
  const disp32 = (value: number) => made.bytes.push(value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24);
  let wanted = BigInt(place);
  if (random.below(12) === 0) {
    made.prefixes.push(GS);
    wanted -= BigInt(Place.gsBase);
  }
  const narrow = random.below(16) === 0;
  if (narrow) made.prefixes.push(0x67);
  else if (random.below(40) === 0) wanted ^= 1n << BigInt(48 + random.below(15));
  const set = (register: number, value: bigint) => {
    const junk = narrow ? BigInt(random.u32()) << 32n : 0n;
    before.regs[register] = narrow ? junk | BigInt.asUintN(32, value) : BigInt.asUintN(64, value);
  };
  const base = random.below(16);
  const displacement = random.below(3) === 0 ? 0 : (random.below(256) << 24) >> 24;
  const far = random.below(2) === 0 ? random.u32() | 0 : displacement;
  const kind = wanted === BigInt.asIntN(32, wanted) ? random.below(10) : random.below(8);
  if (kind < 4) {
    const mod = displacement === 0 && (base & 7) !== 5 ? 0 : far === displacement ? 1 : 2;
    const value = mod === 0 ? 0 : mod === 1 ? displacement : far;
    made.rex |= base >> 3;
    modrm(mod, base & 7);
    if ((base & 7) === 4) made.bytes.push(0x24);
    if (mod === 1) made.bytes.push(value & 255);
    if (mod === 2) disp32(value);
    set(base, wanted - BigInt(value));
  } else if (kind < 7) {
    // Base and index: the index's register keeps its value, or gets a small one.
    let index = random.below(16);
    if (index === 4 || index === base) index = (base + 1) % 16 === 4 ? 5 : (base + 1) % 16;
    const scale = random.below(4);
    if (random.below(2)) before.regs[index] = BigInt.asUintN(64, BigInt(random.below(512) - 256));
    made.rex |= (base >> 3) | ((index >> 3) << 1);
    modrm(far === displacement ? 1 : 2, 4);
    made.bytes.push((scale << 6) | ((index & 7) << 3) | (base & 7));
    if (far === displacement) made.bytes.push(displacement & 255);
    else disp32(far);
    set(base, wanted - (before.regs[index] << BigInt(scale)) - BigInt(far));
  } else if (kind === 7) {
    // No base: index and displacement.
    const index = base === 4 ? 12 : base;
    const scale = random.below(3);
    const rest = wanted % BigInt(1 << scale);
    made.rex |= (index >> 3) << 1;
    modrm(0, 4);
    made.bytes.push((scale << 6) | ((index & 7) << 3) | 5);
    disp32(Number(rest));
    set(index, (wanted - rest) >> BigInt(scale));
  } else if (kind === 8) {
    modrm(0, 4);
    made.bytes.push(0x25);
    disp32(Number(wanted));
  } else {
    modrm(0, 5);
    made.relative = true;
    made.address = Number(wanted);
    disp32(0);
  }
  return made;
}

function immediateBytes(form: Form, size: number, random: Random): number[] {
  const bytes = (count: number) => {
    const value = random.u64();
    return Array.from({ length: count }, (_, i) => Number((value >> BigInt(i * 8)) & 255n));
  };
  switch (form.imm) {
    case undefined:
      return [];
    case "z":
      return bytes(size === 16 ? 2 : 4);
    case "v":
      return bytes(size / 8);
    case "enter":
      return [random.below(256), random.below(2), random.below(4) === 0 ? random.below(256) : random.below(3)];
    case "o": {
      const at = BigInt(target(random, 8, false));
      return Array.from({ length: 8 }, (_, i) => Number((at >> BigInt(i * 8)) & 255n));
    }
    default:
      return bytes(form.imm);
  }
}

function legacyHead(form: Form, rex: number, size: number, random: Random): number[] {
  const head: number[] = [];
  // An empty REX prefix turns ah, ch, dh and bh into spl, bpl, sil and dil.
  if (rex !== 0 || random.below(size === 8 ? 2 : 12) === 0) head.push(0x40 | rex);
  if (form.map > 0) head.push(0x0f);
  if (form.map === 2) head.push(0x38);
  if (form.map === 3) head.push(0x3a);
  return head;
}

function vexHead(form: Form, rex: number, random: Random): number[] {
  const pp = form.prefix === 0x66 ? 1 : form.prefix === 0xf3 ? 2 : form.prefix === 0xf2 ? 3 : 0;
  const vvvv = form.name === "rorx" ? 0 : random.below(16);
  const inverted = ~rex & 7;
  const second = ((inverted & 4) << 5) | ((inverted & 2) << 5) | ((inverted & 1) << 5) | form.map;
  return [0xc4, second, ((rex & 8) << 4) | ((~vvvv & 15) << 3) | pp];
}

/** Legacy prefixes may come in any order. */
function shuffled(prefixes: number[], random: Random): number[] {
  return random.below(2) ? [...prefixes].reverse() : prefixes;
}

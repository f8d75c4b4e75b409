// The instruction decoder: bytes to a form of describe.ts and its operands. Hand-written and driven by tables that are built
// from the encodings of the descriptions. Intel SDM volume 2, chapter 2. 64-bit mode only.

import type { Description, Form, OperandSpec } from "./describe.ts";
import { AddressFlag, Slot } from "./layout.ts";

/** Results of decode() that are not a length. */
export const Undecoded = {
  /** No such instruction. */
  UNDEFINED: 0,
  /** The bytes end before the instruction does. */
  TRUNCATED: -1,
  /** Longer than 15 bytes. */
  TOO_LONG: -2,
} as const;

const MAX_LENGTH = 15;
const NO_REGISTER = -1;

interface Slotted {
  readonly forms: Form[];
  hasModrm: boolean;
}

export class Decoder {
  readonly #table: (Slotted | undefined)[] = new Array(8 * 256).fill(undefined);
  readonly #vexForms: boolean;

  // Results of the last decode that gave a length.
  form!: Form;
  /** 16, 32 or 64: the size that "v" operands have; REX.W. */
  operandSize = 32;
  rexW = false;
  lock = false;
  isMemory = false;
  /** State slot numbers of base and index, factor and AddressFlag bits, displacement. */
  base: number = Slot.ZERO;
  index: number = Slot.ZERO;
  scale = 1;
  disp = 0;
  /** The displacement counts from the end of the instruction. */
  ripRelative = false;
  /** The address is the 64-bit immediate. */
  absolute = false;
  /** Immediate, sign-extended, as halves; of two the second is `immHi`. */
  immLo = 0;
  immHi = 0;
  /** Byte offset of each register operand in the state block, by operand. */
  readonly registers = [0, 0, 0, 0];
  /** Distance of a direct branch from the end of the instruction. */
  branch = 0;

  constructor(descriptions: readonly Description[]) {
    let vex = false;
    for (const description of descriptions) {
      for (const form of description.forms) {
        for (let i = 0; i < (form.plus ? 8 : 1); i++) {
          const at = form.map * 256 + form.opcode + i;
          const slot = (this.#table[at] ??= { forms: [], hasModrm: form.hasModrm });
          slot.hasModrm ||= form.hasModrm;
          slot.forms.push(form);
        }
        if (form.map >= 4) vex = true;
      }
    }
    this.#vexForms = vex;
    // What is more particular is tried first.
    for (const slot of this.#table) slot?.forms.sort((x, y) => weight(y) - weight(x));
  }

  /** Decodes at `bytes[at]`, reading no byte from `end` on. Returns the length, or one of `Undecoded`. */
  decode(bytes: Uint8Array, at: number, end: number): number {
    const limit = Math.min(end, at + MAX_LENGTH);
    const stopped = end < at + MAX_LENGTH ? Undecoded.TRUNCATED : Undecoded.TOO_LONG;
    let p = at;
    let o16 = false;
    let a32 = false;
    let rep = 0;
    let segment = 0;
    let rex = 0;
    this.lock = false;
    let byte = 0;
    for (; ; p++) {
      if (p >= limit) return stopped;
      byte = bytes[p];
      if (byte >= 0x40 && byte <= 0x4f) {
        rex = byte;
        continue;
      }
      if (byte === 0x66) o16 = true;
      else if (byte === 0x67) a32 = true;
      else if (byte === 0xf2 || byte === 0xf3) rep = byte;
      else if (byte === 0xf0) this.lock = true;
      else if (byte === 0x64) segment = AddressFlag.FS;
      else if (byte === 0x65) segment = AddressFlag.GS;
      else if (byte === 0x2e || byte === 0x36 || byte === 0x3e || byte === 0x26) {
        // Without meaning in 64-bit mode; like any prefix they end a REX.
      } else break;
      rex = 0;
    }

    let map = 0;
    let vvvv = 0;
    let mandatory = rep !== 0 ? rep : o16 ? 0x66 : 0;
    if (byte === 0x0f) {
      if (++p >= limit) return stopped;
      byte = bytes[p];
      map = 1;
      if (byte === 0x38 || byte === 0x3a) {
        map = byte === 0x38 ? 2 : 3;
        if (++p >= limit) return stopped;
        byte = bytes[p];
      }
    } else if ((byte === 0xc4 || byte === 0xc5) && this.#vexForms) {
      // In 64-bit mode these are VEX always. Prefixes 66, F2, F3, F0 and REX are not allowed before it.
      if (o16 || rep || this.lock || rex) return Undecoded.UNDEFINED;
      if (p + (byte === 0xc4 ? 3 : 2) >= limit) return stopped;
      let last = bytes[p + 1];
      rex = 0x40 | (last & 0x80 ? 0 : 4);
      map = 5;
      if (byte === 0xc4) {
        rex |= (last & 0x40 ? 0 : 2) | (last & 0x20 ? 0 : 1);
        const selected = last & 0x1f;
        if (selected < 1 || selected > 3) return Undecoded.UNDEFINED;
        map = 4 + selected;
        last = bytes[p + 2];
        if (last & 0x80) rex |= 8;
        p++;
      }
      if (last & 4) return Undecoded.UNDEFINED; // VEX.L
      vvvv = (~last >>> 3) & 15;
      mandatory = [0, 0x66, 0xf3, 0xf2][last & 3];
      p += 2;
      byte = bytes[p];
    }
    const opcode = byte;
    p++;
    const slot = this.#table[map * 256 + opcode];
    if (!slot) return Undecoded.UNDEFINED;
    let modrm = 0;
    if (slot.hasModrm) {
      if (p >= limit) return stopped;
      modrm = bytes[p];
    }
    const rexW = (rex & 8) !== 0;
    const form = select(slot.forms, { modrm, mandatory, rexW, rexB: rex & 1, o16, a32, opcode });
    if (!form) return Undecoded.UNDEFINED;
    this.form = form;
    const options = form.description.options;
    this.rexW = rexW;
    if (options.f64) this.operandSize = 64;
    else if (rexW) this.operandSize = 64;
    else if (o16 && form.mandatory !== 0x66) this.operandSize = 16;
    else this.operandSize = options.d64 ? 64 : 32;

    this.isMemory = false;
    this.ripRelative = false;
    this.absolute = false;
    this.base = Slot.ZERO;
    this.index = Slot.ZERO;
    this.scale = 1;
    this.disp = 0;
    this.immLo = 0;
    this.immHi = 0;
    if (options.noSegment) segment = 0;
    const mod = modrm >>> 6;
    if (form.hasModrm) {
      p++;
      if (mod !== 3 && form.modrm < 0) {
        this.isMemory = true;
        let rm = modrm & 7;
        let base: number = rm | ((rex & 1) << 3);
        let index: number = NO_REGISTER;
        if (rm === 4) {
          if (p >= limit) return stopped;
          const sib = bytes[p++];
          rm = sib & 7;
          base = rm | ((rex & 1) << 3);
          index = ((sib >>> 3) & 7) | ((rex & 2) << 2);
          if (index === 4) index = NO_REGISTER;
          else this.scale = 1 << (sib >>> 6);
          if (rm === 5 && mod === 0) base = NO_REGISTER;
        } else if (rm === 5 && mod === 0) {
          base = Slot.PAGE;
          this.ripRelative = true;
        }
        if (mod === 1) {
          if (p >= limit) return stopped;
          this.disp = (bytes[p++] << 24) >> 24;
        } else if (mod === 2 || (mod === 0 && rm === 5)) {
          if (p + 4 > limit) return stopped;
          this.disp = int32(bytes, p);
          p += 4;
        }
        this.#address(base, index, segment, a32);
      }
    }

    let immediates = 0;
    const operands = form.operands;
    for (let i = 0; i < operands.length; i++) {
      const operand = operands[i];
      switch (operand.where) {
        case "E":
        case "R":
          if (!this.isMemory) this.registers[i] = this.#register((modrm & 7) | ((rex & 1) << 3), operand, rex);
          break;
        case "G":
          this.registers[i] = this.#register(((modrm >>> 3) & 7) | ((rex & 4) << 1), operand, rex);
          break;
        case "Z":
          this.registers[i] = this.#register((opcode & 7) | ((rex & 1) << 3), operand, rex);
          break;
        case "B":
          this.registers[i] = vvvv * 8;
          break;
        case "F":
          this.registers[i] = operand.fixed * 8;
          break;
        case "S":
          this.registers[i] = ((modrm >>> 3) & 7) * 8;
          break;
        case "X":
          this.isMemory = true;
          this.#address(opcode === 0xd7 ? 3 : 6, NO_REGISTER, segment, a32);
          break;
        case "O": {
          const width = a32 ? 4 : 8;
          if (p + width > limit) return stopped;
          this.isMemory = true;
          this.absolute = true;
          this.immLo = int32(bytes, p) >>> 0;
          this.immHi = width === 8 ? int32(bytes, p + 4) >>> 0 : 0;
          this.scale = AddressFlag.ABSOLUTE | segment;
          p += width;
          break;
        }
        case "I":
        case "J": {
          const width = immediateWidth(operand, this.operandSize);
          if (p + (width >>> 3) > limit) return stopped;
          let lo = 0;
          let hi = 0;
          if (width === 8) lo = (bytes[p] << 24) >> 24;
          else if (width === 16) lo = ((bytes[p] | (bytes[p + 1] << 8)) << 16) >> 16;
          else lo = int32(bytes, p);
          hi = width === 64 ? int32(bytes, p + 4) : lo >> 31;
          p += width >>> 3;
          if (operand.where === "J") this.branch = lo;
          else if (immediates++ === 0) {
            // An immediate of 8 or 16 bits that isn't extended is kept zero-extended.
            this.immLo = operand.width === "b" ? lo & 0xff : this.#short(operand, width) ? lo & 0xffff : lo >>> 0;
            this.immHi = hi >>> 0;
          } else this.immHi = lo & 0xff;
          break;
        }
      }
    }
    if (this.lock && !(this.isMemory && (options.lock || options.locked) && "EM".includes(operands[0].where))) {
      return Undecoded.UNDEFINED;
    }
    return p - at;
  }

  /** Must a value of 16 bits be cut to them? */
  #short(operand: OperandSpec, width: number): boolean {
    return operand.width === "w" || width === 16 || (operand.width === "bs" && this.operandSize === 16);
  }

  #register(number: number, operand: OperandSpec, rex: number): number {
    // Without a REX prefix the byte registers 4 to 7 are AH, CH, DH, BH.
    if (operand.width === "b" && rex === 0 && number >= 4) return (number - 4) * 8 + 1;
    return number * 8;
  }

  #address(base: number, index: number, segment: number, a32: boolean): void {
    if (a32) this.scale |= AddressFlag.ADDR32 | segment;
    else if (segment !== 0) {
      // A segment's base takes the place of the base or the index that the address doesn't have.
      const slot = segment === AddressFlag.FS ? Slot.FS_BASE : Slot.GS_BASE;
      if (base === NO_REGISTER) base = slot;
      else if (index === NO_REGISTER) index = slot;
      else this.scale |= segment;
    }
    this.base = base === NO_REGISTER ? Slot.ZERO : base;
    this.index = index === NO_REGISTER ? Slot.ZERO : index;
  }
}

interface Selection {
  readonly modrm: number;
  readonly mandatory: number;
  readonly rexW: boolean;
  readonly rexB: number;
  readonly o16: boolean;
  readonly a32: boolean;
  readonly opcode: number;
}

function select(forms: readonly Form[], s: Selection): Form | undefined {
  if (forms.length === 1 && forms[0].simple && s.opcode !== 0x90) return forms[0];
  for (const form of forms) {
    if (form.modrm >= 0 && form.modrm !== s.modrm) continue;
    if (form.digit >= 0 && form.digit !== ((s.modrm >>> 3) & 7)) continue;
    if (form.mod === 1 && s.modrm >= 0xc0) continue;
    if (form.mod === 2 && s.modrm < 0xc0) continue;
    if (form.mandatory >= 0 && form.mandatory !== s.mandatory) continue;
    if (form.w >= 0 && (form.w === 1) !== s.rexW) continue;
    if (form.o16 && !s.o16) continue;
    if (form.addressSize !== 0 && (form.addressSize === 32) !== s.a32) continue;
    // 90 is nop, but with REX.B it is xchg r8, rax.
    if (form.map === 0 && s.opcode === 0x90 && form.plus !== (s.rexB === 1)) continue;
    return form;
  }
  return undefined;
}

/** More particular forms weigh more. */
function weight(form: Form): number {
  return (form.modrm >= 0 ? 8 : 0) + (form.mandatory >= 0 ? 4 : 0) + (form.mod ? 2 : 0) + (form.w >= 0 ? 1 : 0);
}

function immediateWidth(operand: OperandSpec, operandSize: number): number {
  switch (operand.width) {
    case "b":
    case "bs":
      return 8;
    case "w":
      return 16;
    case "v":
      return operandSize;
    default:
      // A near branch's offset has 32 bits whatever the prefixes.
      return operand.where === "I" && operandSize === 16 ? 16 : 32;
  }
}

function int32(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

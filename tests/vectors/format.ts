// Vectors: what real hardware did with one instruction from one machine state, a line of text each. Written by
// `npm run vectors` on a machine with a compiler, read by the tests of our processor. This file is the format: the places
// in memory, the state that a seed stands for, and the line.
//
//   CODE SEED[/KIND] [INPUT...] > [OUTPUT...]
//
// CODE is the instruction in hexadecimal; SEED and KIND give the registers, flags and memory before it (`stateOf`), to
// which the inputs are exceptions. An output says what differs from the state before: `rN=` a register by number, `ip=` RIP minus
// the place of the instruction (always there), `fl=` the flags, `?fl=` a mask of those that the manual leaves undefined,
// `d+OFFSET=` bytes of the two pages of data, `x+OFFSET=` bytes of the fxsave image,
// `trap=VECTOR/ERROR` and `cr2=` for a fault. All numbers are hexadecimal; lines that begin with # are remarks.

import { floatState } from "./floats.ts";

/** Where things are while a vector runs. The C runner has the same numbers. */
export const Place = {
  /** The page of the instruction, and the instruction in it. */
  code: 0x20000000,
  rip: 0x20000100,
  /** Two writable pages, nothing mapped before and behind them. */
  data: 0x30000000,
  /** 256 seeded bytes across the boundary of the two, and the last 64 of the second; the others are 0. */
  middle: 0x30000f80,
  end: 0x30001fc0,
  /** A page that can only be read; byte i of it is (i * 7 + 1) & 255. */
  readOnly: 0x30003000,
  gsBase: 0x30000800,
} as const;

export const DATA_SIZE = 8192;
/** Bytes of the fxsave image that vectors cover: the rest is reserved or the operating system's. */
export const FX_SIZE = 416;

/** CF, PF, AF, ZF, SF, DF, OF: what an instruction may change in the flags. */
export const FLAGS = 0xcd5;
/** IF and bit 1, always set. */
export const FIXED_FLAGS = 0x202;

export interface State {
  regs: bigint[];
  flags: number;
  data: Uint8Array;
  /** fxsave image: MXCSR 0x1f80 and an x87 control word of 0x37f, an empty x87 stack, XMM registers seeded. */
  fx: Uint8Array;
}

export interface Vector {
  code: Uint8Array;
  before: State;
  /** The state after it; registers and memory of a fault are those before the instruction, or of its last iteration. */
  after: State;
  /** RIP after it, minus `Place.rip`, signed. */
  ip: bigint;
  /** Flags whose value after it is undefined. */
  undefinedFlags: number;
  trap?: { vector: number; error: number; cr2?: bigint };
}

/** A 32-bit generator (mulberry32): the state is one word, so that a vector's seed fits in eight digits. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 to `limit - 1`. */
  below(limit: number): number {
    return this.u32() % limit;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)];
  }

  /** A 64-bit value, half of them of the kinds where arithmetic goes wrong. */
  u64(): bigint {
    const value = (BigInt(this.u32()) << 32n) | BigInt(this.u32());
    const bit = BigInt(this.below(64));
    switch (this.below(12)) {
      case 0:
        return value & 0xffn;
      case 1:
        return BigInt.asUintN(64, BigInt.asIntN(8, value));
      case 2:
        return BigInt.asUintN(64, BigInt.asIntN(32, value));
      case 3:
        return 1n << bit;
      case 4:
        return BigInt.asUintN(64, (1n << bit) - 1n);
      case 5:
        return BigInt.asUintN(64, -(1n << bit));
      case 6:
        return this.pick([0n, 1n, 0xffffffffffffffffn, 0x8000000000000000n, 0x80000000n, 0x8000n, 0x80n, 0x7fffffffn]);
      default:
        return value;
    }
  }
}

/** The machine state that a seed stands for, and one of floating point's (`floatState`) if a kind is given. */
export function stateOf(seed: number, kind?: string): State {
  const random = new Random(seed);
  const regs = Array.from({ length: 16 }, () => random.u64());
  const flags = FIXED_FLAGS | (random.u32() & FLAGS);
  const fill = (bytes: Uint8Array, from: number, size: number) => {
    const view = new DataView(bytes.buffer);
    for (let at = from; at < from + size; at += 8) view.setBigUint64(at, random.u64(), true);
  };
  const data = new Uint8Array(DATA_SIZE);
  fill(data, Place.middle - Place.data, 256);
  fill(data, Place.end - Place.data, 64);
  const fx = new Uint8Array(512);
  fill(fx, 160, 256);
  fx.set([0x7f, 0x03], 0);
  new DataView(fx.buffer).setUint32(24, 0x1f80, true);
  const state = { regs, flags, data, fx };
  if (kind) floatState(state, kind, random);
  return state;
}

export function copyState(state: State): State {
  const { regs, flags, data, fx } = state;
  return { regs: [...regs], flags, data: data.slice(), fx: fx.slice() };
}

/** What `after` has that `before` has not, as outputs or inputs of a line. */
function difference(before: State, after: State): string[] {
  const words: string[] = [];
  for (let r = 0; r < 16; r++) {
    if (before.regs[r] !== after.regs[r]) words.push(`r${r.toString(16)}=${after.regs[r].toString(16)}`);
  }
  if (before.flags !== after.flags) words.push(`fl=${after.flags.toString(16)}`);
  for (const [letter, was, is] of [
    ["d", before.data, after.data],
    ["x", before.fx.subarray(0, FX_SIZE), after.fx],
  ] as const) {
    for (let at = 0; at < was.length; at++) {
      if (was[at] === is[at]) continue;
      // One run takes in up to three bytes that happen to be the same.
      let last = at;
      for (let next = at + 1; next < was.length && next <= last + 4; next++) if (was[next] !== is[next]) last = next;
      words.push(`${letter}+${at.toString(16)}=${toHex(is.subarray(at, last + 1))}`);
      at = last;
    }
  }
  return words;
}

export function formatVector(vector: Vector, seed: number, kind?: string): string {
  const { code, before, after, ip, undefinedFlags, trap } = vector;
  const start = kind ? `${seed.toString(16)}/${kind}` : seed.toString(16);
  const words = [toHex(code), start, ...difference(stateOf(seed, kind), before), ">"];
  words.push(`ip=${ip.toString(16)}`, ...difference(before, after));
  if (undefinedFlags !== 0) words.push(`?fl=${undefinedFlags.toString(16)}`);
  if (trap) words.push(`trap=${trap.vector.toString(16)}/${trap.error.toString(16)}`);
  if (trap?.cr2 !== undefined) words.push(`cr2=${trap.cr2.toString(16)}`);
  return words.join(" ");
}

/** Reads a line. Throws on anything that the format above does not have. */
export function parseVector(line: string): Vector {
  const [code, start, ...words] = line.split(" ");
  const [seed, kind] = start.split("/");
  const before = stateOf(Number.parseInt(seed, 16), kind);
  const middle = words.indexOf(">");
  if (middle < 0) throw new Error(`no ">" in vector: ${line}`);
  for (const word of words.slice(0, middle)) if (!apply(before, word)) throw new Error(`unknown input ${word}`);
  const vector: Vector = { code: fromHex(code), before, after: copyState(before), ip: 0n, undefinedFlags: 0 };
  for (const word of words.slice(middle + 1)) {
    if (apply(vector.after, word)) continue;
    const [name, value] = word.split("=");
    if (name === "ip") vector.ip = value.startsWith("-") ? -BigInt(`0x${value.slice(1)}`) : BigInt(`0x${value}`);
    else if (name === "?fl") vector.undefinedFlags = Number.parseInt(value, 16);
    else if (name === "trap") {
      const [number, error] = value.split("/");
      vector.trap = { vector: Number.parseInt(number, 16), error: Number.parseInt(error, 16) };
    } else if (name === "cr2" && vector.trap) vector.trap.cr2 = BigInt(`0x${value}`);
    else throw new Error(`unknown output ${word}`);
  }
  return vector;
}

/** Carries out one word on a state; false when it is not about the state. */
function apply(state: State, word: string): boolean {
  const match = /^(?:(fl)|r([0-9a-f])|([dx])\+([0-9a-f]+))=([0-9a-f]+)$/.exec(word);
  if (!match) return false;
  const [, flags, register, area, offset, value] = match;
  if (flags) state.flags = Number.parseInt(value, 16);
  else if (register) state.regs[Number.parseInt(register, 16)] = BigInt(`0x${value}`);
  else {
    const bytes = area === "d" ? state.data : state.fx;
    bytes.set(fromHex(value), Number.parseInt(offset, 16));
  }
  return true;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(i * 2, i * 2 + 2), 16));
}

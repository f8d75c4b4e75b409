// The states in which floating-point instructions are tried: registers and data full of the numbers where arithmetic goes
// wrong, control words of all kinds. Part of the vectors' format: a seed and a kind stand for one state forever.

import type { Random, State } from "./format.ts";

/** Where the x87's registers and the XMM registers lie in the fxsave image. */
const ST = 32;
const XMM = 160;
/** Where the seeded bytes begin in the data: `Place.middle - Place.data`. */
const MIDDLE = 0xf80;

/**
 * Makes a state one of a kind: "m" MXCSR alone, "s" single and "d" double precision in XMM registers and data, "x" an x87
 * stack, "c" words that fldcw and ldmxcsr load.
 */
export function floatState(state: State, kind: string, random: Random): void {
  if (kind === "m") status(state, random);
  else if (kind === "s") fill(state, random, 4);
  else if (kind === "d") fill(state, random, 8);
  else if (kind === "x") x87(state, random);
  else if (kind === "c") controlWords(state, random);
  else throw new Error(`unknown kind of state ${kind}`);
}

function float32(random: Random): number {
  const sign = random.below(2) << 31;
  switch (random.below(12)) {
    case 0:
      return sign;
    case 1:
      return sign | random.pick([0x7f800000, 0x7fc00000 | random.below(4096), 0x7f800001 + random.below(4096)]);
    case 2:
      return sign | (random.u32() & 0x7fffff);
    case 3:
      return sign | random.pick([0x7f7fffff, 0x00800000, 0x3f800000, 0x4f000000, 0x3f800001, 0x4effffff, 0x5f000000]);
    case 4:
      return random.u32() | 0;
    case 5:
      return sign | ((127 + random.below(30)) << 23) | (random.below(16) << 19);
    default:
      return sign | ((117 + random.below(20)) << 23) | (random.u32() & 0x7fffff);
  }
}
function float64(random: Random): bigint {
  const sign = BigInt(random.below(2)) << 63n;
  const fraction = (BigInt(random.below(1 << 20)) << 32n) | BigInt(random.u32());
  const exponent = (value: number) => BigInt(value) << 52n;
  switch (random.below(12)) {
    case 0:
      return sign;
    case 1:
      return sign | exponent(2047) | random.pick([0n, 1n << 51n, 1n, fraction]);
    case 2:
      return sign | fraction;
    case 3:
      return (
        sign |
        exponent(random.pick([1, 2046, 1023, 1054, 1086, 1149, 897, 874])) |
        random.pick([0n, fraction, (1n << 52n) - 1n])
      );
    case 4:
      return sign | exponent(random.below(2048)) | fraction;
    case 5:
      return sign | exponent(1023 + random.below(64)) | (BigInt(random.below(16)) << 48n);
    default:
      return sign | exponent(1013 + random.below(20)) | fraction;
  }
}
function status(state: State, random: Random): void {
  let mxcsr = 0x1f80;
  if (random.below(3) === 0) mxcsr |= random.below(4) << 13;
  if (random.below(3) === 0) mxcsr |= random.below(64);
  if (random.below(8) === 0) mxcsr |= 0x8000;
  if (random.below(8) === 0) mxcsr |= 0x40;
  if (random.below(10) === 0) mxcsr &= ~(1 << (7 + random.below(6)));
  new DataView(state.fx.buffer).setUint32(24, mxcsr, true);
}
function fill(state: State, random: Random, width: number): void {
  status(state, random);
  const put = (view: DataView, at: number) =>
    width === 4 ? view.setInt32(at, float32(random), true) : view.setBigUint64(at, float64(random), true);
  const fx = new DataView(state.fx.buffer);
  for (let at = XMM; at < 416; at += width) put(fx, at);
  const data = new DataView(state.data.buffer, MIDDLE);
  for (let at = 0; at < 256; at += width) put(data, at);
}
function float80(random: Random): [bigint, number] {
  const sign = random.below(2) << 15;
  const significand = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  const one = 1n << 63n;
  switch (random.below(12)) {
    case 0:
      return [0n, sign];
    case 1:
      return [random.pick([one, one | (1n << 62n), one | 1n, one | significand]), sign | 0x7fff];
    case 2:
      return [significand >> 1n, sign];
    case 3:
      return [one | significand, sign | random.below(0x8000)];
    case 4:
      return [significand, sign | random.below(0x8000)];
    case 5:
      return [BigInt(1 + random.below(15)) << 60n, sign | (0x3fff + random.below(70))];
    default:
      return [one | significand, sign | (0x3ff5 + random.below(20))];
  }
}
function x87(state: State, random: Random): void {
  fill(state, random, random.below(2) ? 4 : 8);
  if (random.below(3) === 0) {
    // Integers in memory.
    const data = new DataView(state.data.buffer, MIDDLE);
    for (let at = 0; at < 256; at += 8) data.setBigUint64(at, random.u64(), true);
  }
  const view = new DataView(state.fx.buffer);
  let control = 0x37f;
  if (random.below(3) === 0) control = (control & ~0xc00) | (random.below(4) << 10);
  if (random.below(4) === 0) control = (control & ~0x300) | (random.pick([0, 2, 3]) << 8);
  if (random.below(12) === 0) control &= ~(1 << random.below(6));
  let flags = random.below(4) === 0 ? random.below(128) : 0;
  // An unmasked exception that is pending already is rare: it hides what the instruction does.
  if (random.below(8) > 0) flags &= control | ~63;
  if (flags & ~control & 63) flags |= 0x8080;
  view.setUint16(0, control, true);
  view.setUint16(2, (random.below(8) << 11) | flags | (random.u32() & 0x4700), true);
  state.fx[4] = random.below(4) ? 255 : random.below(256);
  for (let i = 0; i < 8; i++) {
    const [significand, head] = float80(random);
    view.setBigUint64(ST + i * 16, significand, true);
    view.setUint16(ST + i * 16 + 8, head, true);
  }
}
/** What fldcw and ldmxcsr load: only bits that exist. */
function controlWords(state: State, random: Random): void {
  x87(state, random);
  const view = new DataView(state.data.buffer, MIDDLE);
  for (let at = 0; at < 256; at += 4) {
    view.setUint32(
      at,
      random.below(4) === 0 ? random.u32() : 0x1f80 | (random.below(4) << 13) | random.below(64),
      true,
    );
  }
}

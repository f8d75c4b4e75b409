// The state of x87 and SSE as instructions save and load it: control and status words, fnstenv, fnsave, fxsave and their
// opposites, fninit, fnclex, emms. Intel SDM volume 1, 8.1.10 and 10.5, volume 2. xsave and its like raise #UD: CPUID
// doesn't announce them.

import { CpuLayout } from "../../cpu_state.ts";
import { type Description, instruction } from "../describe.ts";
import { F80, Kind, unpack } from "../float/format.ts";
import { Status, type X87Unit } from "../float/x87.ts";
import { registerHost } from "../host.ts";
import { Next, Slot } from "../layout.ts";
import { x87 } from "./x87.ts";

const GENERAL_PROTECTION = 13;
/** Bytes of the image that fxsave writes: what is behind is reserved or the operating system's. */
const FXSAVE_SIZE = 416;
const MXCSR = 24;
const MXCSR_MASK = 0xffff;
const INITIAL_CONTROL = 0x37f;
/** What fldcw keeps: bit 6 is always set. */
const CONTROL_BITS = 0x1f3f;
const ENVIRONMENT = 28;
const REGISTER = 10;

function reset(unit: X87Unit): void {
  unit.control = INITIAL_CONTROL;
  // The image holds the registers in the stack's order: TOP becomes 0.
  while (unit.top !== 0) unit.rotate(1);
  unit.status = 0;
  unit.tags = 0;
}

/** The full tag word: two bits for each physical register. */
function fullTags(unit: X87Unit): number {
  let word = 0;
  for (let physical = 0; physical < 8; physical++) {
    const i = (physical - unit.top) & 7;
    word |= (unit.empty(i) ? 3 : tagOf(unit, i)) << (physical * 2);
  }
  return word;
}
/** 0 valid, 1 zero, 2 special. */
function tagOf(unit: X87Unit, i: number): number {
  const number = unpack(unit.bits(i), F80);
  if (number.kind === Kind.ZERO) return 1;
  return number.kind === Kind.FINITE && !number.denormal ? 0 : 2;
}

/** The 28 bytes of the 32-bit protected-mode form, which 64-bit mode uses; the pointers are 0. */
function environment(unit: X87Unit): Uint8Array {
  const bytes = new Uint8Array(ENVIRONMENT);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xffff0000 | unit.control, true);
  view.setUint32(4, 0xffff0000 | unit.status, true);
  view.setUint32(8, 0xffff0000 | fullTags(unit), true);
  view.setUint32(24, 0xffff0000, true);
  return bytes;
}

function loadEnvironment(unit: X87Unit, view: DataView): void {
  unit.control = (view.getUint16(0, true) & CONTROL_BITS) | 0x40;
  const status = view.getUint16(4, true);
  while (unit.top !== ((status >>> 11) & 7)) unit.rotate(1);
  unit.status = status;
  const full = view.getUint16(8, true);
  let tags = 0;
  for (let physical = 0; physical < 8; physical++) if (((full >>> (physical * 2)) & 3) !== 3) tags |= 1 << physical;
  unit.tags = tags;
  unit.summarize();
}

registerHost("fxsave", (c) => {
  const image = c.cpu.address + CpuLayout.fxsave;
  const copy = c.memory.u8.slice(image, image + FXSAVE_SIZE);
  new DataView(copy.buffer).setUint32(28, MXCSR_MASK, true);
  return c.port.writeBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), copy) ? Next.NEXT : Next.EXIT;
});

registerHost("fxrstor", (c) => {
  const bytes = new Uint8Array(FXSAVE_SIZE);
  if (!c.port.readBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), bytes)) return Next.EXIT;
  const view = new DataView(bytes.buffer);
  if (view.getUint32(MXCSR, true) & ~MXCSR_MASK) return c.fault(GENERAL_PROTECTION, 0);
  view.setUint16(0, (view.getUint16(0, true) & CONTROL_BITS) | 0x40, true);
  c.memory.u8.set(bytes, c.cpu.address + CpuLayout.fxsave);
  return Next.NEXT;
});

const images = ["fxsave", "fxrstor"].map((name, digit) =>
  instruction(name, [`np:0fae/${digit} M`], {}, (b, operand) => {
    b.fxsave();
    const at = b.let(operand.address());
    b.if(b.wrap(b.and(at, b.i64(15))), () => b.fault(GENERAL_PROTECTION));
    b.setSlot(Slot.TEMP, at);
    b.host(name);
  }),
);

const two = (value: number): Uint8Array => Uint8Array.of(value & 255, value >>> 8);

export const fpuState: readonly Description[] = [
  ...images,
  x87("fldcw", ["d9/5 M"], ({ unit, read }) => {
    const view = read(2);
    if (!view) return false;
    unit.control = (view.getUint16(0, true) & CONTROL_BITS) | 0x40;
    unit.summarize();
  }),
  x87("fnstcw", ["d9/7 M"], ({ unit, write }) => write(two(unit.control)), false),
  x87("fnstsw", ["dd/7 M"], ({ unit, write }) => write(two(unit.status)), false),
  x87(
    "fnstswax",
    ["df!e0"],
    ({ c, unit }) => {
      c.set(0, ((c.lo(0) & 0xffff0000) | unit.status) >>> 0, c.hi(0));
    },
    false,
  ),
  x87("fninit", ["db!e3"], ({ unit }) => reset(unit), false),
  x87(
    "fnclex",
    ["db!e2"],
    ({ unit }) => {
      unit.status &= ~(0x3f | Status.SF | Status.ES | Status.B);
    },
    false,
  ),
  x87(
    "fnstenv",
    ["d9/6 M"],
    ({ unit, write }) => {
      if (!write(environment(unit))) return false;
      // All exceptions are masked afterwards.
      unit.control |= 0x3f;
      unit.summarize();
    },
    false,
  ),
  x87("fldenv", ["d9/4 M"], ({ unit, read }) => {
    const view = read(ENVIRONMENT);
    if (!view) return false;
    loadEnvironment(unit, view);
  }),
  x87(
    "fnsave",
    ["dd/6 M"],
    ({ unit, write }) => {
      const bytes = new Uint8Array(ENVIRONMENT + 8 * REGISTER);
      bytes.set(environment(unit));
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < 8; i++) {
        const bits = unit.bits(i);
        view.setBigUint64(ENVIRONMENT + i * REGISTER, BigInt.asUintN(64, bits), true);
        view.setUint16(ENVIRONMENT + i * REGISTER + 8, Number(bits >> 64n), true);
      }
      if (!write(bytes)) return false;
      reset(unit);
    },
    false,
  ),
  x87("frstor", ["dd/4 M"], ({ unit, read }) => {
    const view = read(ENVIRONMENT + 8 * REGISTER);
    if (!view) return false;
    loadEnvironment(unit, view);
    const { tags } = unit;
    for (let i = 0; i < 8; i++) {
      const at = ENVIRONMENT + i * REGISTER;
      unit.setBits(i, view.getBigUint64(at, true) | (BigInt(view.getUint16(at + 8, true)) << 64n));
    }
    unit.tags = tags;
  }),
  // The end of MMX code: the registers, which are all taken since, become an empty stack.
  x87("emms", ["np:0f77"], ({ unit }) => {
    while (unit.top !== 0) unit.rotate(1);
    unit.tags = 0;
  }),
];

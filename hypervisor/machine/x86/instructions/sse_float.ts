// SSE and SSE2 on floating-point numbers: arithmetic, comparisons, conversions, MXCSR. Intel SDM volume 2 and volume 1,
// chapter 11. The operand is found by emitted code, the rest is TypeScript (float/sse.ts): exact results and flags under
// every rounding mode. The approximations (rcpps, rsqrtps), whose results are each maker's own within 1.5 * 2^-12, are exact
// and rounded to nearest here.

import { CpuLayout } from "../../cpu_state.ts";
import type { Builder, Operand } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import { Operation } from "../float/arithmetic.ts";
import { F32, F64, type Format } from "../float/format.ts";
import { SseUnit } from "../float/sse.ts";
import { SseFast } from "../float/sse_fast.ts";
import { type HostContext, registerHost } from "../host.ts";
import { Next, Slot, Uop } from "../layout.ts";
import { enterMmx, mmx, mmxSource } from "./mmx.ts";
import { MXCSR, source, XMM } from "./xmm.ts";

const SIMD_EXCEPTION = 19;
const GENERAL_PROTECTION = 13;
/** Bits of MXCSR that exist. */
const MXCSR_MASK = 0xffff;

const CF = 1;
const PF = 4;
const ZF = 0x40;

const units = new WeakMap<HostContext, { exact: SseUnit; fast: SseFast }>();

/** One instruction's view of the machine: where its operands are, and its MXCSR. */
interface Work {
  readonly c: HostContext;
  readonly unit: SseUnit;
  readonly fast: SseFast;
  readonly uop: number;
  /** Host addresses of the destination's XMM register and of the source operand. */
  readonly to: number;
  readonly from: number;
}

/**
 * Registers a host function. In the usual case `quick` is tried first, and says whether it did it all; else `compute`
 * gives what is to be stored unless an exception forbids it. MXCSR is read before and written after either.
 */
function host(name: string, compute: (work: Work) => () => void, quick?: (work: Work) => boolean): void {
  registerHost(name, (c, uop) => {
    let both = units.get(c);
    if (!both) units.set(c, (both = { exact: new SseUnit(c.memory.view), fast: new SseFast(c.memory.view) }));
    const { exact: unit, fast } = both;
    const fx = c.cpu.address + CpuLayout.fxsave;
    const { u8, u32 } = c.memory;
    const control = (fx + MXCSR) >>> 2;
    const to = fx + XMM + u8[uop + Uop.dst] * 2;
    const work = { c, unit, fast, uop, to, from: c.lo(Slot.TEMP) };
    if (quick && fast.usual(u32[control]) && quick(work)) {
      u32[control] = fast.mxcsr;
      return Next.NEXT;
    }
    unit.begin(u32[control]);
    const store = compute(work);
    u32[control] = unit.mxcsr;
    if (unit.unmasked) return c.fault(SIMD_EXCEPTION, 0);
    store();
    return Next.NEXT;
  });
}

/** An instruction whose source is of so many bytes and whose work is a host function of its own name. */
function described(name: string, form: string, bytes: number): Description {
  return instruction(name, [form], {}, (b, _dst, src) => {
    const fx = b.fxsave();
    b.setSlot(Slot.TEMP, b.zext(source(b, fx, src, bytes, bytes === 16)));
    b.host(name);
  });
}

type Lane = (work: Work, format: Format, to: number, from: number) => bigint;
type Lanes = (work: Work, format: Format, count: number) => boolean;

/** The four forms of one operation on lanes: packed single and double, scalar single and double. */
function lanes(base: string, opcode: string, lane: Lane, quick?: Lanes, operands = "Gq,Eq"): Description[] {
  const forms: [string, string, Format, number, number][] = [
    ["ps", "np", F32, 16, 4],
    ["pd", "66", F64, 16, 2],
    ["ss", "f3", F32, 4, 1],
    ["sd", "f2", F64, 8, 1],
  ];
  return forms.map(([suffix, prefix, format, bytes, count]) => {
    const name = base === "cmp" && suffix === "sd" ? "cmpsdx" : base + suffix;
    const width = format === F32 ? 4 : 8;
    const exact = (work: Work) => {
      const results: bigint[] = [];
      for (let i = 0; i < count; i++) results.push(lane(work, format, work.to + i * width, work.from + i * width));
      return () => {
        for (const [i, bits] of results.entries()) work.unit.put(work.to + i * width, format, bits);
      };
    };
    host(name, exact, quick && ((work) => quick(work, format, count)));
    return described(name, `${prefix}:0f${opcode} ${operands}`, bytes);
  });
}

function arithmetic(base: string, opcode: string, operation: number): Description[] {
  return lanes(
    base,
    opcode,
    ({ unit }, format, to, from) => unit.arithmetic(operation, format, to, from),
    ({ fast, to, from }, format, count) => fast.arithmetic(operation, format, count, to, from),
  );
}

function extreme(base: string, opcode: string, max: boolean): Description[] {
  return lanes(
    base,
    opcode,
    ({ unit }, format, to, from) => unit.extreme(max, format, to, from),
    ({ fast, to, from }, format, count) => fast.extreme(max, format, count, to, from),
  );
}

/** comiss and ucomiss: ZF, PF, CF by the order, the other flags 0. */
function compares(name: string, prefix: string, opcode: string, format: Format, signals: boolean): Description {
  const tell = (c: HostContext, order: number | undefined) => {
    const flags = order === undefined ? ZF | PF | CF : order < 0 ? CF : order === 0 ? ZF : 0;
    c.setRflags(flags);
  };
  host(
    name,
    ({ c, unit, to, from }) => {
      const order = unit.order(format, to, from, signals);
      return () => tell(c, order);
    },
    ({ c, fast, to, from }) => {
      const order = fast.order(format, to, from);
      if (order === undefined) return false;
      tell(c, order);
      return true;
    },
  );
  return described(name, `${prefix}:0f${opcode} Gq,Eq`, format === F32 ? 4 : 8);
}

/** Conversions of lanes between formats; what a shorter result leaves of the register is 0, or kept by scalar ones. */
function converts(
  name: string,
  form: string,
  bytes: number,
  count: number,
  widths: readonly [number, number],
  lane: (unit: SseUnit, from: number) => bigint,
  quick?: (work: Work) => boolean,
): Description {
  const [fromWidth, toWidth] = widths;
  const exact = ({ c, unit, to, from }: Work) => {
    const results = Array.from({ length: count }, (_, i) => lane(unit, from + i * fromWidth));
    return () => {
      for (const [i, bits] of results.entries()) unit.put(to + i * toWidth, toWidth === 4 ? F32 : F64, bits);
      if (count > 1) c.memory.u8.fill(0, to + count * toWidth, to + 16);
    };
  };
  host(name, exact, quick);
  return described(name, `${form} Gq,Eq`, bytes);
}

/** cvtss2si and its like: to a general register of 32 or 64 bits. */
function toRegister(name: string, prefix: string, opcode: string, format: Format, truncate: boolean): Description[] {
  return ([32, 64] as const).map((size) => {
    const own = `${name}${size}`;
    const exact = ({ c, unit, uop, from }: Work) => {
      const value = unit.integer(format, from, size, truncate);
      return () => c.setBig(c.register(uop, Uop.dst), value);
    };
    const quick = ({ c, fast, uop, from }: Work) => {
      const value = fast.truncated(format, from, size);
      if (Number.isNaN(value)) return false;
      const high = size === 64 ? Math.floor(value / 4294967296) >>> 0 : 0;
      c.set(c.register(uop, Uop.dst), value >>> 0, high);
      return true;
    };
    host(own, exact, truncate ? quick : undefined);
    const form = `${prefix}.w${size === 64 ? 1 : 0}:0f${opcode} Gy,Eq`;
    return described(own, form, format === F32 ? 4 : 8);
  });
}

/** cvtsi2ss and cvtsi2sd: from a general register or an integer in memory. */
function fromRegister(name: string, prefix: string, format: Format): Description {
  host(
    name,
    ({ c, unit, to }) => {
      const bits = unit.fromInteger(BigInt.asIntN(64, c.big(Slot.TEMP)), format);
      return () => unit.put(to, format, bits);
    },
    ({ c, fast, to }) => {
      const value = (c.hi(Slot.TEMP) | 0) * 4294967296 + c.lo(Slot.TEMP);
      if (!Number.isSafeInteger(value)) return false;
      fast.fromInteger(value, format, to);
      return true;
    },
  );
  return instruction(name, [`${prefix}:0f2a Gq,Ey`], {}, (b, _dst, src) => {
    b.fxsave();
    b.setSlot(Slot.TEMP, b.let(b.sext64(src.read(), src.size)));
    b.host(name);
  });
}

/** Conversions between two numbers in XMM and two 32-bit integers in an MMX register, or memory instead of the source. */
function convertsMmx(
  name: string,
  form: string,
  bytes: number,
  toMmx: boolean,
  lane: (unit: SseUnit, from: number) => bigint,
): Description {
  const wide = form.startsWith("66");
  const format = toMmx || !wide ? F32 : F64;
  host(name, ({ c, unit, uop, to, from }) => {
    const step = toMmx && wide ? 8 : 4;
    const results = [lane(unit, from), lane(unit, from + step)];
    const image = c.cpu.address + CpuLayout.fxsave + MMX;
    const at = toMmx ? image + (c.memory.u8[uop + Uop.dst] & 56) * 2 : to;
    return () => {
      for (const [i, bits] of results.entries()) unit.put(at + i * (format === F32 ? 4 : 8), format, bits);
      if (toMmx) c.memory.u16[(at + 8) >>> 1] = 0xffff;
    };
  });
  return instruction(name, [`${form} Gq,Eq`], {}, (b, _dst, src) => {
    const fx = mmx(b);
    // Registers change places with TOP: their addresses are taken afterwards.
    const memory = src.kind === "mem" ? source(b, fx, src, bytes, bytes === 16) : undefined;
    if (toMmx || !memory) enterMmx(b, fx);
    const from = memory ?? (toMmx ? source(b, fx, src, bytes) : mmxSource(b, fx, src));
    b.setSlot(Slot.TEMP, b.zext(from));
    b.host(name);
  });
}
/** Offset of the MMX registers in the image. */
const MMX = 32;

const cell = new DataView(new ArrayBuffer(4));
function float32(bits: number): number {
  cell.setUint32(0, bits);
  return cell.getFloat32(0);
}
function float32Bits(value: number): number {
  cell.setFloat32(0, value);
  return cell.getUint32(0);
}

/** 1/x or 1/sqrt(x): no exceptions, denormal operands are zeroes and denormal results become zeroes, as in hardware. */
function approximation(root: boolean, bits: number): number {
  const sign = (bits & 0x80000000) >>> 0;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (bits | 0x400000) >>> 0;
  if (magnitude < 0x800000) return (sign | 0x7f800000) >>> 0;
  if (root && sign) return 0xffc00000;
  const x = float32(bits);
  const result = float32Bits(root ? 1 / Math.sqrt(x) : 1 / x);
  return (result & 0x7fffffff) < 0x800000 ? sign : result;
}

function approximates(name: string, opcode: string, root: boolean): Description[] {
  return [["ps", "np", 4] as const, ["ss", "f3", 1] as const].map(([suffix, prefix, count]) => {
    host(name + suffix, ({ c, to, from }) => {
      const { view } = c.memory;
      const results = Array.from({ length: count }, (_, i) => approximation(root, view.getUint32(from + i * 4, true)));
      return () => {
        for (const [i, bits] of results.entries()) view.setUint32(to + i * 4, bits, true);
      };
    });
    return described(name + suffix, `${prefix}:0f${opcode} Gq,Eq`, count * 4);
  });
}

const integer32 = (view: DataView, at: number) => BigInt(view.getInt32(at, true));

function loadMxcsr(b: Builder, src: Operand): void {
  const fx = b.fxsave();
  const value = b.let(src.read());
  b.if(b.and(value, b.i32(~MXCSR_MASK)), () => b.fault(GENERAL_PROTECTION));
  b.out.push(...fx.code, ...value.code, 0x36, 0, MXCSR);
}

export const sseFloat: readonly Description[] = [
  ...arithmetic("sqrt", "51", Operation.SQRT),
  ...arithmetic("add", "58", Operation.ADD),
  ...arithmetic("mul", "59", Operation.MUL),
  ...arithmetic("sub", "5c", Operation.SUB),
  ...arithmetic("div", "5e", Operation.DIV),
  ...extreme("min", "5d", false),
  ...extreme("max", "5f", true),
  ...lanes(
    "cmp",
    "c2",
    ({ c, uop, unit }, format, to, from) => {
      const holds = unit.predicate(c.immediate(uop) & 7, format, to, from);
      return holds ? (format === F32 ? 0xffffffffn : 0xffffffffffffffffn) : 0n;
    },
    undefined,
    "Gq,Eq,Ib",
  ),
  compares("ucomiss", "np", "2e", F32, false),
  compares("ucomisd", "66", "2e", F64, false),
  compares("comiss", "np", "2f", F32, true),
  compares("comisd", "66", "2f", F64, true),
  fromRegister("cvtsi2ss", "f3", F32),
  fromRegister("cvtsi2sd", "f2", F64),
  ...toRegister("cvttss2si", "f3", "2c", F32, true),
  ...toRegister("cvttsd2si", "f2", "2c", F64, true),
  ...toRegister("cvtss2si", "f3", "2d", F32, false),
  ...toRegister("cvtsd2si", "f2", "2d", F64, false),
  ...[["ss2sd", "f3", F32, F64] as const, ["sd2ss", "f2", F64, F32] as const].map(([name, prefix, source, target]) =>
    converts(
      `cvt${name}`,
      `${prefix}:0f5a`,
      source === F32 ? 4 : 8,
      1,
      source === F32 ? [4, 8] : [8, 4],
      (unit, from) => unit.convert(from, source, target),
      ({ fast, to, from }) => fast.convert(from, to, source, target),
    ),
  ),
  converts("cvtps2pd", "np:0f5a", 8, 2, [4, 8], (unit, from) => unit.convert(from, F32, F64)),
  converts("cvtpd2ps", "66:0f5a", 16, 2, [8, 4], (unit, from) => unit.convert(from, F64, F32)),
  converts("cvtdq2ps", "np:0f5b", 16, 4, [4, 4], (unit, from) => unit.fromInteger(integer32(unit.view, from), F32)),
  converts("cvtdq2pd", "f3:0fe6", 8, 2, [4, 8], (unit, from) => unit.fromInteger(integer32(unit.view, from), F64)),
  converts("cvtps2dq", "66:0f5b", 16, 4, [4, 4], (unit, from) => unit.integer(F32, from, 32, false)),
  converts("cvttps2dq", "f3:0f5b", 16, 4, [4, 4], (unit, from) => unit.integer(F32, from, 32, true)),
  converts("cvtpd2dq", "f2:0fe6", 16, 2, [8, 4], (unit, from) => unit.integer(F64, from, 32, false)),
  converts("cvttpd2dq", "66:0fe6", 16, 2, [8, 4], (unit, from) => unit.integer(F64, from, 32, true)),
  convertsMmx("cvtpi2ps", "np:0f2a", 8, false, (unit, from) => unit.fromInteger(integer32(unit.view, from), F32)),
  convertsMmx("cvtpi2pd", "66:0f2a", 8, false, (unit, from) => unit.fromInteger(integer32(unit.view, from), F64)),
  convertsMmx("cvttps2pi", "np:0f2c", 8, true, (unit, from) => unit.integer(F32, from, 32, true)),
  convertsMmx("cvttpd2pi", "66:0f2c", 16, true, (unit, from) => unit.integer(F64, from, 32, true)),
  convertsMmx("cvtps2pi", "np:0f2d", 8, true, (unit, from) => unit.integer(F32, from, 32, false)),
  convertsMmx("cvtpd2pi", "66:0f2d", 16, true, (unit, from) => unit.integer(F64, from, 32, false)),
  ...approximates("rcp", "53", false),
  ...approximates("rsqrt", "52", true),
  instruction("ldmxcsr", ["np:0fae/2 Md"], {}, loadMxcsr),
  instruction("stmxcsr", ["np:0fae/3 Md"], {}, (b, dst) => {
    const fx = b.fxsave();
    dst.write(b.let({ t: b.i32(0).t, code: [...fx.code, 0x28, 0, MXCSR] }));
  }),
];

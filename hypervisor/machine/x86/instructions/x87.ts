// The x87 instructions. Intel SDM volume 2. Each is a host function on float/x87.ts; the transcendental ones and packed
// decimals are in x87_functions.ts, the state that fxsave, fnstenv and fnsave store is in x87_state.ts.

import { CpuLayout } from "../../cpu_state.ts";
import type { Builder, Operand } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import { compare, fromInteger, nanOf, Operation, roundToInteger, toInteger } from "../float/arithmetic.ts";
import {
  F32,
  F64,
  F80,
  Flag,
  type Format,
  indefinite,
  Kind,
  type Num,
  pack,
  Rounding,
  unpack,
} from "../float/format.ts";
import { extract, remainder, scale } from "../float/partial.ts";
import { CONDITIONS, Status, X87Unit } from "../float/x87.ts";
import { type HostContext, registerHost } from "../host.ts";
import { Next, Slot, Uop } from "../layout.ts";

const MATH_FAULT = 16;
const CF = 1;
const PF = 4;
const ZF = 0x40;
const ARITHMETIC_FLAGS = 0x8d5;

export interface X87Work {
  readonly c: HostContext;
  readonly unit: X87Unit;
  /** Number i of the operand ST(i), for register forms. */
  readonly i: number;
  /** Reads so many bytes at the memory operand; undefined when that faults. */
  read(bytes: number): DataView | undefined;
  /** Writes bytes to the memory operand; false when that faults. */
  write(bytes: Uint8Array): boolean;
}
/** What an instruction does: false when a memory access faulted, and nothing may change. */
type Action = (work: X87Work) => unknown;

const units = new WeakMap<HostContext, X87Unit>();
const buffer = new Uint8Array(128);
const bufferView = new DataView(buffer.buffer);

/** Describes an instruction and registers its function; `waits`: it first reports exceptions that are pending. */
export function x87(name: string, forms: readonly string[], action: Action, waits = true): Description {
  registerHost(name, (c, uop) => {
    let unit = units.get(c);
    if (!unit) units.set(c, (unit = new X87Unit(c.memory.view, c.memory.u8)));
    unit.begin(c.cpu.address + CpuLayout.fxsave);
    if (waits && unit.pending) return c.fault(MATH_FAULT, 0);
    const done = action({
      c,
      unit,
      i: c.register(uop, Uop.dst) & 7,
      read: (bytes) => {
        const part = buffer.subarray(0, bytes);
        return c.port.readBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), part) ? bufferView : undefined;
      },
      write: (bytes) => c.port.writeBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), bytes),
    });
    return done === false ? Next.EXIT : Next.NEXT;
  });
  return instruction(name, forms, {}, (b: Builder, operand?: Operand) => {
    b.fxsave();
    if (operand?.kind === "mem") b.setSlot(Slot.TEMP, operand.address());
    b.host(name);
  });
}

/** A number from memory: single, double, or an integer of 16, 32 or 64 bits. */
type Source = (work: X87Work) => Num | undefined;
const single: Source = ({ read }) => {
  const view = read(4);
  return view && unpack(BigInt(view.getUint32(0, true)), F32);
};
const double: Source = ({ read }) => {
  const view = read(8);
  return view && unpack(view.getBigUint64(0, true), F64);
};
const word: Source = ({ read }) => {
  const view = read(2);
  return view && fromInteger(BigInt(view.getInt16(0, true)));
};
const dword: Source = ({ read }) => {
  const view = read(4);
  return view && fromInteger(BigInt(view.getInt32(0, true)));
};
const qword: Source = ({ read }) => {
  const view = read(8);
  return view && fromInteger(view.getBigInt64(0, true));
};

export const nan = (unit: X87Unit): bigint => pack(indefinite(), F80, 0, unit);

/** ST(to) := ST(to) op other, or other op ST(to) when reversed; `register`: other is ST(register). */
function combine(
  unit: X87Unit,
  operation: number,
  reversed: boolean,
  to: number,
  other: number | Num,
  pops: boolean,
): void {
  const missing = typeof other === "number" ? unit.underflow(to, other) : unit.underflow(to);
  let bits: bigint;
  if (missing) bits = nan(unit);
  else {
    const a = unit.num(to);
    const b = typeof other === "number" ? unit.num(other) : other;
    bits = reversed ? unit.arithmetic(operation, b, a) : unit.arithmetic(operation, a, b);
  }
  if (!unit.settle()) return;
  unit.setBits(to, bits);
  if (pops) unit.pop();
}

/** fcom and its like: C3, C2, C0 by ST(0) against the other; `signals`: any NaN is invalid. */
function compareTo(unit: X87Unit, other: number | Num, signals: boolean, pops: number): void {
  const order = orderOf(unit, other, signals);
  const codes =
    order === undefined ? Status.C0 | Status.C2 | Status.C3 : order < 0 ? Status.C0 : order === 0 ? Status.C3 : 0;
  // An exception that is not masked holds back the pop, not the answer.
  const allowed = unit.settle();
  unit.status = (unit.status & ~(CONDITIONS & ~Status.C1)) | codes;
  for (let i = 0; allowed && i < pops; i++) unit.pop();
}

function orderOf(unit: X87Unit, other: number | Num, signals: boolean): number | undefined {
  if (typeof other === "number" ? unit.underflow(0, other) : unit.underflow(0)) return undefined;
  const a = unit.num(0);
  const b = typeof other === "number" ? unit.num(other) : other;
  if (a.kind === Kind.NAN || b.kind === Kind.NAN) {
    if (signals || a.signalling || b.signalling) unit.flags |= Flag.IE;
    return undefined;
  }
  if (a.denormal || b.denormal) unit.flags |= Flag.DE;
  return compare(a, b);
}

/** fcomi and its like: ZF, PF and CF instead of condition codes. */
function compareFlags({ c, unit, i }: X87Work, signals: boolean, pops: boolean): void {
  const order = orderOf(unit, i, signals);
  const flags = order === undefined ? ZF | PF | CF : order < 0 ? CF : order === 0 ? ZF : 0;
  const allowed = unit.settle(false, true);
  c.setRflags((c.rflags() & ~ARITHMETIC_FLAGS) | flags);
  if (allowed && pops) unit.pop();
}

const OPERATIONS = ["add", "mul", "com", "comp", "sub", "subr", "div", "divr"] as const;
const OPERATION = [Operation.ADD, Operation.MUL, -1, -1, Operation.SUB, Operation.SUB, Operation.DIV, Operation.DIV];

/** The eight operations of one opcode on a number from memory. */
function withMemory(opcode: string, prefix: string, suffix: string, source: Source): Description[] {
  return OPERATIONS.map((base, digit) =>
    x87(`${prefix}${base}${suffix}`, [`${opcode}/${digit} M`], (work) => {
      const other = source(work);
      if (!other) return false;
      if (digit === 2 || digit === 3) compareTo(work.unit, other, true, digit - 2);
      else combine(work.unit, OPERATION[digit], digit === 5 || digit === 7, 0, other, false);
    }),
  );
}

/** Between ST(0) and ST(i): d8 into ST(0), dc into ST(i), de the same with a pop. Reversed forms trade places there. */
const withRegisters: Description[] = [0, 1, 4, 5, 6, 7].flatMap((digit) => {
  const base = OPERATIONS[digit];
  const operation = OPERATION[digit];
  const reversed = digit === 5 || digit === 7;
  // dc and de /4 and /6 are the reversed ones: ST(i) := ST(0) - ST(i) is /4 there.
  const other = digit >= 4 ? !reversed : reversed;
  return [
    x87(`f${base}st0`, [`d8/${digit} Rq`], ({ unit, i }) => combine(unit, operation, reversed, 0, i, false)),
    x87(`f${base}sti`, [`dc/${digit} Rq`], ({ unit, i }) => combine(unit, operation, other, i, 0, false)),
    x87(`f${base}p`, [`de/${digit} Rq`], ({ unit, i }) => combine(unit, operation, other, i, 0, true)),
  ];
});

function load(name: string, form: string, source: Source): Description {
  return x87(name, [form], (work) => {
    const { unit } = work;
    const number = source(work);
    if (!number) return false;
    unit.push(() => {
      const special = nanOf(number, number, unit);
      if (number.denormal) unit.flags |= Flag.DE;
      return pack(special ?? number, F80, 0, unit);
    });
  });
}

/** fst, fstp: ST(0) rounded into a memory format. */
function store(name: string, form: string, format: Format, pops: boolean): Description {
  return x87(name, [form], (work) => {
    const { unit } = work;
    let bits: bigint;
    if (unit.underflow(0)) bits = pack(indefinite(), format, 0, unit);
    else {
      const number = unit.num(0);
      const special = nanOf(number, number, unit);
      bits = pack(special ?? number, format, unit.rounding, unit);
    }
    return put(work, bits, format === F32 ? 4 : 8, pops);
  });
}

/** Stores a result unless an exception forbids it; a fault of the store leaves everything as it was. */
export function put({ unit, read, write }: X87Work, bits: bigint, bytes: number, pops: boolean): boolean {
  const { status } = unit;
  const allowed = unit.settle(true);
  const out = new Uint8Array(10);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt.asUintN(64, bits), true);
  view.setUint16(8, Number(BigInt.asUintN(16, bits >> 64n)), true);
  // What isn't stored must be storable all the same: what is there is written again.
  if (!allowed && read(bytes)) out.set(buffer.subarray(0, bytes));
  if (!write(out.subarray(0, bytes))) {
    unit.status = status;
    return false;
  }
  if (allowed && pops) unit.pop();
  return true;
}

/** fist, fistp, fisttp. */
function storeInteger(name: string, form: string, bits: 16 | 32 | 64, pops: boolean, truncate: boolean): Description {
  return x87(name, [form], (work) => {
    const { unit } = work;
    if (truncate) unit.rounding = Rounding.ZERO;
    const none = 1n << BigInt(bits - 1);
    let value: bigint;
    if (unit.underflow(0)) value = none;
    else {
      const number = unit.num(0);
      value = toInteger(number, bits, unit) ?? none;
    }
    return put(work, BigInt.asUintN(bits, value), bits / 8, pops);
  });
}

/** Constants as significand and exponent, and which rounding takes one off or puts one on the last bit. */
const CONSTANTS: readonly [string, string, bigint, number, -1 | 0 | 1][] = [
  ["fld1", "e8", 0x8000000000000000n, 0x3fff, 0],
  ["fldl2t", "e9", 0xd49a784bcd1b8afen, 0x4000, 1],
  ["fldl2e", "ea", 0xb8aa3b295c17f0bcn, 0x3fff, -1],
  ["fldpi", "eb", 0xc90fdaa22168c235n, 0x4000, -1],
  ["fldlg2", "ec", 0x9a209a84fbcff799n, 0x3ffd, -1],
  ["fldln2", "ed", 0xb17217f7d1cf79acn, 0x3ffe, -1],
  ["fldz", "ee", 0n, 0, 0],
];
const constants = CONSTANTS.map(([name, second, significand, exponent, beyond]) =>
  x87(name, [`d9!${second}`], ({ unit }) => {
    unit.push(() => {
      // `beyond` 1: the true value lies above this one; -1: below, so that rounding down takes one off.
      const down = unit.rounding === Rounding.DOWN || unit.rounding === Rounding.ZERO;
      const change = beyond > 0 && unit.rounding === Rounding.UP ? 1n : beyond < 0 && down ? -1n : 0n;
      return (BigInt(exponent) << 64n) | (significand + change);
    });
  }),
);

/** ST(0) := f(ST(0)), where f may raise; an empty register and a NaN are seen to. */
function unary(name: string, form: string, compute: (unit: X87Unit, number: Num) => bigint): Description {
  return x87(name, [form], ({ unit }) => {
    let bits: bigint;
    if (unit.underflow(0)) bits = nan(unit);
    else {
      const number = unit.num(0);
      const special = nanOf(number, number, unit);
      bits = special ? pack(special, F80, 0, unit) : compute(unit, number);
    }
    if (unit.settle()) unit.setBits(0, bits);
  });
}

/** fchs and fabs: the sign bit alone, of NaNs too. */
function sign(name: string, form: string, change: (bits: bigint) => bigint): Description {
  return x87(name, [form], ({ unit }) => {
    const bits = unit.underflow(0) ? nan(unit) : change(unit.bits(0));
    if (unit.settle()) unit.setBits(0, bits);
  });
}
const SIGN = 1n << 79n;

function examine({ unit }: X87Work): void {
  const { C0, C1, C2, C3 } = Status;
  const negative = (unit.bits(0) & SIGN) !== 0n ? C1 : 0;
  const number = unit.num(0);
  const exponent = Number((unit.bits(0) >> 64n) & 0x7fffn);
  const integerBit = (unit.bits(0) >> 63n) & 1n;
  let codes: number;
  if (unit.empty(0)) codes = C3 | C0;
  else if (number.kind === Kind.ZERO) codes = C3;
  else if (number.kind === Kind.INFINITE) codes = C2 | C0;
  else if (exponent !== 0 && !integerBit) codes = 0;
  else if (number.kind === Kind.NAN) codes = C0;
  else codes = number.denormal ? C3 | C2 : C2;
  unit.conditions(codes | negative);
}

/** fcmovcc: by CF, ZF, CF or ZF, PF, and their opposites. */
const moves = ["db", "da"].flatMap((opcode) =>
  [CF, ZF, CF | ZF, PF].map((mask, digit) =>
    x87(`fcmov${opcode}${digit}`, [`${opcode}/${digit} Rq`], ({ c, unit, i }) => {
      // C1 is about the stack alone, and stays when there is no fault.
      if (unit.underflow(0, i)) {
        if (unit.settle()) unit.setBits(0, nan(unit));
      } else if (((c.rflags() & mask) !== 0) === (opcode === "da")) unit.setBits(0, unit.bits(i));
    }),
  ),
);

function exchange({ unit, i }: X87Work): void {
  unit.underflow(0, i);
  const [a, b] = [unit.empty(0) ? nan(unit) : unit.bits(0), unit.empty(i) ? nan(unit) : unit.bits(i)];
  if (!unit.settle()) return;
  unit.setBits(0, b);
  unit.setBits(i, a);
}

function copyTo(pops: boolean): Action {
  return ({ unit, i }) => {
    const bits = unit.underflow(0) ? nan(unit) : unit.bits(0);
    if (!unit.settle()) return;
    unit.setBits(i, bits);
    if (pops) unit.pop();
  };
}

/** fprem, fprem1, fscale, fxtract: see float/partial.ts. */
function partial(name: string, form: string, nearest: boolean): Description {
  return x87(name, [form], ({ unit }) => {
    if (unit.underflow(0, 1)) {
      const bits = nan(unit);
      if (unit.settle()) unit.setBits(0, bits);
      unit.status &= ~Status.C2;
      return;
    }
    const { bits, codes } = remainder(unit, unit.num(0), unit.num(1), nearest);
    const allowed = unit.settle();
    if (allowed) unit.setBits(0, bits);
    if (codes === undefined) unit.status &= ~Status.C2;
    else if (allowed) unit.conditions(codes);
  });
}

export const fpu: readonly Description[] = [
  ...withMemory("d8", "f", "32", single),
  ...withMemory("da", "fi", "32", dword),
  ...withMemory("dc", "f", "64", double),
  ...withMemory("de", "fi", "16", word),
  ...withRegisters,
  load("fld32", "d9/0 M", single),
  load("fld64", "dd/0 M", double),
  load("fild16", "df/0 M", word),
  load("fild32", "db/0 M", dword),
  load("fild64", "df/5 M", qword),
  x87("fld80", ["db/5 M"], ({ unit, read }) => {
    const view = read(10);
    if (!view) return false;
    const bits = view.getBigUint64(0, true) | (BigInt(view.getUint16(8, true)) << 64n);
    unit.push(() => bits);
  }),
  store("fst32", "d9/2 M", F32, false),
  store("fstp32", "d9/3 M", F32, true),
  store("fst64", "dd/2 M", F64, false),
  store("fstp64", "dd/3 M", F64, true),
  x87("fstp80", ["db/7 M"], (work) => {
    return put(work, work.unit.underflow(0) ? nan(work.unit) : work.unit.bits(0), 10, true);
  }),
  storeInteger("fist16", "df/2 M", 16, false, false),
  storeInteger("fistp16", "df/3 M", 16, true, false),
  storeInteger("fist32", "db/2 M", 32, false, false),
  storeInteger("fistp32", "db/3 M", 32, true, false),
  storeInteger("fistp64", "df/7 M", 64, true, false),
  storeInteger("fisttp16", "df/1 M", 16, true, true),
  storeInteger("fisttp32", "db/1 M", 32, true, true),
  storeInteger("fisttp64", "dd/1 M", 64, true, true),
  ...constants,
  x87("fldst", ["d9/0 Rq"], ({ unit, i }) => {
    const missing = unit.underflow(i);
    const bits = missing ? nan(unit) : unit.bits(i);
    if (!missing) unit.push(() => bits);
    else if (unit.settle()) {
      unit.rotate(-1);
      unit.setBits(0, bits);
    }
  }),
  x87("fxch", ["d9/1 Rq"], exchange),
  x87("fst", ["dd/2 Rq"], copyTo(false)),
  x87("fstp", ["dd/3 Rq"], copyTo(true)),
  x87("ffree", ["dd/0 Rq"], ({ unit, i }) => {
    unit.setEmpty(i, true);
    unit.status &= ~Status.C1;
  }),
  x87("ffreep", ["df/0 Rq"], ({ unit, i }) => {
    unit.setEmpty(i, true);
    unit.pop();
  }),
  ...moves,
  x87("fcom", ["d8/2 Rq"], ({ unit, i }) => compareTo(unit, i, true, 0)),
  x87("fcomp", ["d8/3 Rq"], ({ unit, i }) => compareTo(unit, i, true, 1)),
  x87("fcompp", ["de!d9"], ({ unit }) => compareTo(unit, 1, true, 2)),
  x87("fucom", ["dd/4 Rq"], ({ unit, i }) => compareTo(unit, i, false, 0)),
  x87("fucomp", ["dd/5 Rq"], ({ unit, i }) => compareTo(unit, i, false, 1)),
  x87("fucompp", ["da!e9"], ({ unit }) => compareTo(unit, 1, false, 2)),
  x87("fucomi", ["db/5 Rq"], (work) => compareFlags(work, false, false)),
  x87("fcomi", ["db/6 Rq"], (work) => compareFlags(work, true, false)),
  x87("fucomip", ["df/5 Rq"], (work) => compareFlags(work, false, true)),
  x87("fcomip", ["df/6 Rq"], (work) => compareFlags(work, true, true)),
  x87("ftst", ["d9!e4"], ({ unit }) => compareTo(unit, fromInteger(0n), true, 0)),
  x87("fxam", ["d9!e5"], (work) => examine(work)),
  sign("fchs", "d9!e0", (bits) => bits ^ SIGN),
  sign("fabs", "d9!e1", (bits) => bits & ~SIGN),
  unary("fsqrt", "d9!fa", (unit, number) => unit.arithmetic(Operation.SQRT, number, number)),
  unary("frndint", "d9!fc", (unit, number) => {
    if (number.denormal) unit.flags |= Flag.DE;
    const whole = roundToInteger(number, unit);
    const { roundedUp } = unit;
    const bits = pack(whole, F80, 0, unit);
    unit.roundedUp = roundedUp;
    return bits;
  }),
  x87("fscale", ["d9!fd"], ({ unit }) => {
    const bits = unit.underflow(0, 1) ? nan(unit) : scale(unit, unit.num(0), unit.num(1));
    if (unit.settle()) unit.setBits(0, bits);
  }),
  partial("fprem", "d9!f8", false),
  partial("fprem1", "d9!f5", true),
  x87("fxtract", ["d9!f4"], ({ unit }) => extract(unit)),
  x87("fdecstp", ["d9!f6"], ({ unit }) => {
    unit.rotate(-1);
    unit.status &= ~Status.C1;
  }),
  x87("fincstp", ["d9!f7"], ({ unit }) => {
    unit.rotate(1);
    unit.status &= ~Status.C1;
  }),
  x87("fnop", ["d9!d0"], () => undefined),
  x87("fwait", ["9b"], () => undefined),
];

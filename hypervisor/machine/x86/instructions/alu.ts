// Integer arithmetic and logic: add to cmp, test, inc, dec, neg, not, and the conversions of rAX. Intel SDM volume 2.
// Multiplication and division are in muldiv.ts, shifts in shift.ts.

import type { Builder, Operand, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";

/** The nine encodings that the eight classic operations share. */
function classic(number: number): string[] {
  const opcode = (low: number): string => (number * 8 + low).toString(16).padStart(2, "0");
  return [
    `${opcode(0)} Eb,Gb`,
    `${opcode(1)} Ev,Gv`,
    `${opcode(2)} Gb,Eb`,
    `${opcode(3)} Gv,Ev`,
    `${opcode(4)} AL,Ib`,
    `${opcode(5)} rAX,Iz`,
    `80/${number} Eb,Ib`,
    `81/${number} Ev,Iz`,
    `83/${number} Ev,Ibs`,
  ];
}

function logic(name: string, number: number, operation: (b: Builder, x: Val, y: Val) => Val): Description {
  return instruction(name, classic(number), { lock: true }, (b, dst, src) => {
    const x = b.let(dst.modify());
    const result = b.let(operation(b, x, src.read()));
    dst.write(result);
    b.flagsLogic(dst.size, result);
  });
}

/** Flags of x + y + carry and x - y - borrow, whose carries don't follow from the result and one operand alone. */
function carryFlags(b: Builder, dst: Operand, x: Val, y: Val, result: Val, subtract: boolean): void {
  // Carries out of each bit: the majority of x, y and not result; for a borrow, of not x, y and result.
  const p = subtract ? b.not(x) : x;
  const q = subtract ? result : b.not(result);
  const carries = b.let(b.or(b.and(p, y), b.and(b.or(p, y), q)));
  const cf = b.let(b.bit(carries, dst.size - 1));
  b.flagsEager(dst.size, result, {
    cf,
    of: b.xor(cf, b.bit(carries, dst.size - 2)),
    af: b.bit(carries, 3),
  });
}

export const alu: readonly Description[] = [
  instruction("add", classic(0), { lock: true }, (b, dst, src) => {
    const x = b.let(dst.modify());
    const y = b.let(src.read());
    const result = b.let(b.add(x, y));
    dst.write(result);
    b.flagsAdd(dst.size, x, y, result);
  }),
  logic("or", 1, (b, x, y) => b.or(x, y)),
  instruction("adc", classic(2), { lock: true }, (b, dst, src) => {
    const x = b.let(dst.modify());
    const y = b.let(src.read());
    const carry = b.convert(b.cf(), dst.size);
    const result = b.let(b.add(b.add(x, y), carry));
    dst.write(result);
    carryFlags(b, dst, x, y, result, false);
  }),
  instruction("sbb", classic(3), { lock: true }, (b, dst, src) => {
    const x = b.let(dst.modify());
    const y = b.let(src.read());
    const borrow = b.convert(b.cf(), dst.size);
    const result = b.let(b.sub(b.sub(x, y), borrow));
    dst.write(result);
    carryFlags(b, dst, x, y, result, true);
  }),
  logic("and", 4, (b, x, y) => b.and(x, y)),
  instruction("sub", classic(5), { lock: true }, (b, dst, src) => {
    const x = b.let(dst.modify());
    const y = b.let(src.read());
    const result = b.let(b.sub(x, y));
    dst.write(result);
    b.flagsSub(dst.size, x, y, result);
  }),
  logic("xor", 6, (b, x, y) => b.xor(x, y)),
  instruction("cmp", classic(7), {}, (b, left, right) => {
    const x = b.let(left.read());
    const y = b.let(right.read());
    b.flagsSub(left.size, x, y, b.let(b.sub(x, y)));
  }),
  instruction(
    "test",
    ["84 Eb,Gb", "85 Ev,Gv", "a8 AL,Ib", "a9 rAX,Iz", "f6/0 Eb,Ib", "f7/0 Ev,Iz", "f6/1 Eb,Ib", "f7/1 Ev,Iz"],
    {},
    (b, left, right) => {
      const x = b.let(left.read());
      b.flagsLogic(left.size, b.let(b.and(x, right.read())));
    },
  ),

  instruction("inc", ["fe/0 Eb", "ff/0 Ev"], { lock: true }, (b, dst) => {
    const x = b.let(dst.modify());
    const cf = b.cf();
    const result = b.let(b.add(x, b.constant(dst.size, 1)));
    dst.write(result);
    const of = b.bit(b.and(result, b.not(x)), dst.size - 1);
    const af = b.eqz(b.and(result, b.constant(dst.size, 15)));
    b.flagsEager(dst.size, result, { cf, of, af });
  }),
  instruction("dec", ["fe/1 Eb", "ff/1 Ev"], { lock: true }, (b, dst) => {
    const x = b.let(dst.modify());
    const cf = b.cf();
    const result = b.let(b.sub(x, b.constant(dst.size, 1)));
    dst.write(result);
    const of = b.bit(b.and(x, b.not(result)), dst.size - 1);
    const af = b.eqz(b.and(x, b.constant(dst.size, 15)));
    b.flagsEager(dst.size, result, { cf, of, af });
  }),
  instruction("not", ["f6/2 Eb", "f7/2 Ev"], { lock: true }, (b, dst) => {
    dst.write(b.let(b.not(dst.modify())));
  }),
  instruction("neg", ["f6/3 Eb", "f7/3 Ev"], { lock: true }, (b, dst) => {
    const x = b.let(dst.modify());
    const result = b.let(b.sub(b.constant(dst.size, 0), x));
    dst.write(result);
    b.flagsSub(dst.size, b.constant(dst.size, 0), x, result);
  }),

  // cbw, cwde, cdqe: the lower half of rAX sign-extended into the whole; cwd, cdq, cqo: its sign into rDX.
  instruction("cbw", ["98 rAX"], {}, (b, rax) => {
    if (rax.size === 64) rax.write(b.let(b.sext64(b.reg(0, 32), 32)));
    else rax.write(b.let(b.signed(b.reg(0, rax.size === 32 ? 16 : 8), rax.size === 32 ? 16 : 8)));
  }),
  instruction("cwd", ["99 rDX"], {}, (b, rdx) => {
    const sign = b.signed(b.reg(0, rdx.size), rdx.size);
    rdx.write(b.let(b.sar(sign, b.constant(rdx.size, rdx.size === 64 ? 63 : 31))));
  }),
];

// Shifts and rotates: shl, shr, sar, rol, ror, rcl, rcr, shld, shrd, by an immediate, by 1 or by CL, and the BMI2 forms
// that leave the flags alone. Intel SDM volume 2. The count is taken modulo 32, or 64 for operands of 64 bits; a count of
// 0 changes no flag. Flags that the manual leaves undefined come out as is cheapest.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Operand, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";

/** Gives the count as it stands in the instruction or in CL; absent when it is 1. */
type Count = (() => Val) | undefined;
type Semantics = (b: Builder, dst: Operand, count?: Count) => void;

/** The count as I64, 0 to 31 or 63. */
function masked(b: Builder, dst: Operand, count: Count): Val {
  if (!count) return b.i64(1);
  return b.let(b.and(b.zext(count()), b.i64(dst.size === 64 ? 63 : 31)));
}

/** Emits the statements that a count of 0 leaves out. */
function unlessZero(b: Builder, n: Val, count: Count, emit: () => void): void {
  if (count) b.if(b.ne(n, b.i64(0)), emit);
  else emit();
}

/** The low `size` bits of an I64 as a value of an operand of that size. */
function narrow(b: Builder, value: Val, dst: Operand): Val {
  return dst.size === 64 ? value : b.wrap(b.truncate(value, dst.size));
}

/** An operand's bit, as 0 or 1, of an I64 at a place that is not constant. */
function bitAt(b: Builder, value: Val, place: Val): Val {
  return b.wrap(b.and(b.shr(value, place), b.i64(1)));
}

const shl: Semantics = (b, dst, count) => {
  const n = masked(b, dst, count);
  const a = b.let(b.zext(dst.modify()));
  const all = b.let(b.shl(a, n));
  const result = b.let(narrow(b, all, dst));
  dst.write(result);
  unlessZero(b, n, count, () => {
    const out = dst.size === 64 ? bitAt(b, a, b.sub(b.i64(64), n)) : b.bit(all, dst.size);
    const cf = b.let(out);
    b.flagsEager(dst.size, result, { cf, of: b.xor(cf, b.bit(result, dst.size - 1)) });
  });
};

const shr: Semantics = (b, dst, count) => {
  const n = masked(b, dst, count);
  const a = b.let(b.zext(dst.modify()));
  const result = b.let(narrow(b, b.shr(a, n), dst));
  dst.write(result);
  unlessZero(b, n, count, () => {
    const cf = b.let(bitAt(b, a, b.sub(n, b.i64(1))));
    b.flagsEager(dst.size, result, { cf, of: b.bit(a, dst.size - 1) });
  });
};

const sar: Semantics = (b, dst, count) => {
  const n = masked(b, dst, count);
  const a = b.let(b.sext64(dst.modify(), dst.size));
  const result = b.let(narrow(b, b.sar(a, n), dst));
  dst.write(result);
  unlessZero(b, n, count, () => {
    const cf = b.let(b.wrap(b.and(b.sar(a, b.sub(n, b.i64(1))), b.i64(1))));
    b.flagsEager(dst.size, result, { cf, of: b.i32(0) });
  });
};

const rol: Semantics = (b, dst, count) => {
  const n = masked(b, dst, count);
  const a = b.let(dst.modify());
  const result = b.let(rotated(b, dst, a, n, true));
  dst.write(result);
  unlessZero(b, n, count, () => {
    const cf = b.let(b.bit(result, 0));
    b.setCfOf(cf, b.xor(cf, b.bit(result, dst.size - 1)));
  });
};

const ror: Semantics = (b, dst, count) => {
  const n = masked(b, dst, count);
  const a = b.let(dst.modify());
  const result = b.let(rotated(b, dst, a, n, false));
  dst.write(result);
  unlessZero(b, n, count, () => {
    const cf = b.let(b.bit(result, dst.size - 1));
    b.setCfOf(cf, b.xor(cf, b.bit(result, dst.size - 2)));
  });
};

function rotated(b: Builder, dst: Operand, a: Val, n: Val, left: boolean): Val {
  const { size } = dst;
  if (size >= 32) {
    const places = size === 64 ? n : b.wrap(n);
    return left ? b.rotl(a, places) : b.rotr(a, places);
  }
  // The value twice, side by side, so that what is shifted out is there already.
  const few = b.and(b.wrap(n), b.i32(size - 1));
  const twice = b.or(a, b.shl(a, b.i32(size)));
  const result = left ? b.shr(twice, b.and(b.sub(b.i32(size), few), b.i32(size - 1))) : b.shr(twice, few);
  return b.truncate(result, size);
}

/** A rotation of the operand with CF above it. */
function throughCarry(b: Builder, dst: Operand, count: Count, left: boolean): void {
  const { size } = dst;
  const all = masked(b, dst, count);
  const a = b.let(b.zext(dst.modify()));
  const carry = b.let(b.zext(b.cf()));
  let result: Val;
  let cf: Val;
  if (size === 64) {
    const rest = b.let(b.sub(b.i64(64), all));
    const one = b.i64(1);
    // With a count of 0 the operand comes back; `rest` is 64 then, a shift by which is one by 0.
    const shifted = left
      ? b.or(b.or(b.shl(a, all), b.shl(carry, b.sub(all, one))), b.and(b.shr(b.shr(a, one), rest), b.i64(-1)))
      : b.or(b.or(b.shr(a, all), b.shl(carry, rest)), b.shl(b.shl(a, one), rest));
    result = b.let(b.select(b.eqz(all), a, shifted));
    cf = b.let(bitAt(b, a, left ? rest : b.sub(all, one)));
  } else {
    const width = size + 1;
    const n = b.let(size === 32 ? all : b.remU(all, b.i64(width)));
    const value = b.let(b.or(a, b.shl(carry, b.i64(size))));
    const rest = b.sub(b.i64(width), n);
    const turned = left ? b.or(b.shl(value, n), b.shr(value, rest)) : b.or(b.shr(value, n), b.shl(value, rest));
    const whole = b.let(b.and(turned, b.i64((1n << BigInt(width)) - 1n)));
    result = b.let(narrow(b, whole, dst));
    cf = b.let(b.bit(whole, size));
  }
  dst.write(result);
  unlessZero(b, all, count, () => {
    const top = b.bit(result, size - 1);
    b.setCfOf(cf, left ? b.xor(cf, top) : b.xor(top, b.bit(result, size - 2)));
  });
}

const rcl: Semantics = (b, dst, count) => throughCarry(b, dst, count, true);
const rcr: Semantics = (b, dst, count) => throughCarry(b, dst, count, false);

/** shld and shrd: what comes in is from `src`. With 16 bits and a count above 16 the result is undefined. */
function double(b: Builder, dst: Operand, src: Operand, count: Count, left: boolean): void {
  const { size } = dst;
  const n = masked(b, dst, count);
  const other = b.let(b.zext(src.read()));
  const a = b.let(b.zext(dst.modify()));
  let result: Val;
  let cf: Val;
  if (size === 64) {
    const rest = b.let(b.sub(b.i64(64), n));
    const joined = left ? b.or(b.shl(a, n), b.shr(other, rest)) : b.or(b.shr(a, n), b.shl(other, rest));
    result = b.let(b.select(b.eqz(n), a, joined));
    cf = b.let(bitAt(b, a, left ? rest : b.sub(n, b.i64(1))));
  } else {
    const width = b.i64(size);
    const joined = b.let(left ? b.or(b.shl(a, width), other) : b.or(b.shl(other, width), a));
    const moved = b.let(left ? b.shr(b.shl(joined, n), width) : b.shr(joined, n));
    result = b.let(narrow(b, moved, dst));
    cf = b.let(bitAt(b, a, left ? b.sub(width, n) : b.sub(n, b.i64(1))));
  }
  dst.write(result);
  b.if(b.ne(n, b.i64(0)), () => {
    const changed = b.xor(b.bit(result, size - 1), b.bit(a, size - 1));
    b.flagsEager(size, result, { cf, of: changed });
  });
}

/** shlx, shrx, sarx dst, src, count; rorx dst, src, imm8. No flags. */
function flagless(shift: (b: Builder, a: Val, n: Val) => Val) {
  return (b: Builder, dst: Operand, src: Operand, count: Operand): void => {
    const a = b.let(src.read());
    // WebAssembly takes counts modulo the width, as these do.
    dst.write(shift(b, a, b.convert(count.read(), dst.size)));
  };
}
export const shlx = flagless((b, a, n) => b.shl(a, n));
export const shrx = flagless((b, a, n) => b.shr(a, n));
export const sarx = flagless((b, a, n) => b.sar(a, n));
export const rorx = flagless((b, a, n) => b.rotr(a, n));

/** Three descriptions: by an immediate, by 1, by CL (an operand of its own has no room beside an address). */
function shifts(name: string, digits: readonly number[], semantics: Semantics): Description[] {
  const forms = (bytes: string, wider: string, operand: string) =>
    digits.flatMap((digit) => [`${bytes}/${digit} Eb${operand}`, `${wider}/${digit} Ev${operand}`]);
  return [
    instruction(name, forms("c0", "c1", ",Ib"), {}, (b, dst, count) => semantics(b, dst, () => count.read())),
    instruction(`${name}1`, forms("d0", "d1", ""), {}, (b, dst) => semantics(b, dst)),
    instruction(`${name}cl`, forms("d2", "d3", ""), {}, (b, dst) => semantics(b, dst, () => b.reg(Reg.RCX, 8))),
  ];
}

export const shift: readonly Description[] = [
  ...shifts("rol", [0], rol),
  ...shifts("ror", [1], ror),
  ...shifts("rcl", [2], rcl),
  ...shifts("rcr", [3], rcr),
  // 6 is a second encoding of shl that the opcode maps leave out and processors have.
  ...shifts("shl", [4, 6], shl),
  ...shifts("shr", [5], shr),
  ...shifts("sar", [7], sar),
  instruction("shld", ["0fa4 Ev,Gv,Ib"], {}, (b, dst, src, count) => double(b, dst, src, () => count.read(), true)),
  instruction("shrd", ["0fac Ev,Gv,Ib"], {}, (b, dst, src, count) => double(b, dst, src, () => count.read(), false)),
  instruction("shldcl", ["0fa5 Ev,Gv"], {}, (b, dst, src) => double(b, dst, src, () => b.reg(Reg.RCX, 8), true)),
  instruction("shrdcl", ["0fad Ev,Gv"], {}, (b, dst, src) => double(b, dst, src, () => b.reg(Reg.RCX, 8), false)),
];

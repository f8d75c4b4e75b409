// Multiplication and division: mul, imul, div, idiv in all widths, and mulx. Intel SDM volume 2, one section each. After
// the products SF, ZF, AF and PF, after the quotients all flags are undefined: they are left as is cheapest.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Operand, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import { divideUnsigned, highSigned, highUnsigned } from "./wide.ts";

const DIVIDE_ERROR = 0;

/** mul r/m: AX, DX:AX, EDX:EAX or RDX:RAX := accumulator * source. CF and OF: the upper half is not 0. */
function mul(b: Builder, src: Operand): void {
  product(b, src, false);
}

/** imul r/m: the same, signed. CF and OF: the upper half is more than the lower one's sign. */
function imulWide(b: Builder, src: Operand): void {
  product(b, src, true);
}

function product(b: Builder, src: Operand, signed: boolean): void {
  const size = src.size;
  const y = b.let(src.read());
  const x = b.let(b.reg(Reg.RAX, size));
  if (size === 64) {
    const low = b.let(b.mul(x, y));
    const high = signed ? highSigned(b, x, y) : highUnsigned(b, x, y);
    const more = signed ? b.ne(high, b.sar(low, b.i64(63))) : b.ne(high, b.i64(0));
    b.setReg(Reg.RAX, 64, low);
    b.setReg(Reg.RDX, 64, high);
    const flag = b.let(more);
    b.flagsEager(64, low, { cf: flag, of: flag });
    return;
  }
  const extend = (v: Val): Val => (signed ? b.sext64(v, size) : b.zext(v));
  const all = b.let(b.mul(extend(x), extend(y)));
  const low = b.let(b.wrap(b.truncate(all, size)));
  const flag = b.let(signed ? b.ne(b.sext64(low, size), all) : b.ne(b.shr(all, b.i64(size)), b.i64(0)));
  if (size === 8) b.setReg(Reg.RAX, 16, b.wrap(all));
  else {
    b.setReg(Reg.RAX, size, low);
    b.setReg(Reg.RDX, size, b.wrap(b.shr(all, b.i64(size))));
  }
  b.flagsEager(size, low, { cf: flag, of: flag });
}

/** imul r, r/m and imul r, r/m, imm. CF and OF: the product doesn't fit. */
function imul(b: Builder, dst: Operand, first: Operand, second: Operand): void {
  const size = dst.size;
  const x = b.let(first.read());
  const y = b.let(second.read());
  if (size === 64) {
    const low = b.let(b.mul(x, y));
    const flag = b.let(b.ne(highSigned(b, x, y), b.sar(low, b.i64(63))));
    dst.write(low);
    b.flagsEager(64, low, { cf: flag, of: flag });
    return;
  }
  const all = b.let(b.mul(b.sext64(x, size), b.sext64(y, size)));
  const low = b.let(b.wrap(b.truncate(all, size)));
  const flag = b.let(b.ne(b.sext64(low, size), all));
  dst.write(low);
  b.flagsEager(size, low, { cf: flag, of: flag });
}

/** mulx high, low, r/m: RDX times the source, no flags. If both destinations are one register it holds the upper half. */
export function mulx(b: Builder, high: Operand, low: Operand, src: Operand): void {
  const y = b.let(src.read());
  const x = b.let(b.reg(Reg.RDX, src.size));
  if (src.size === 64) {
    const upper = highUnsigned(b, x, y);
    low.write(b.mul(x, y));
    high.write(upper);
    return;
  }
  const all = b.let(b.mul(b.zext(x), b.zext(y)));
  low.write(b.wrap(all));
  high.write(b.wrap(b.shr(all, b.i64(32))));
}

/** Writes quotient and remainder where a division of this size has them; both are I64. */
function results(b: Builder, size: number, quotient: Val, remainder: Val): void {
  if (size === 8) {
    const bytes = b.or(b.and(b.wrap(quotient), b.i32(0xff)), b.shl(b.wrap(remainder), b.i32(8)));
    b.setReg(Reg.RAX, 16, bytes);
  } else if (size === 64) {
    b.setReg(Reg.RAX, 64, quotient);
    b.setReg(Reg.RDX, 64, remainder);
  } else {
    const half = size === 16 ? 16 : 32;
    b.setReg(Reg.RAX, half, b.wrap(quotient));
    b.setReg(Reg.RDX, half, b.wrap(remainder));
  }
}

/** AX, DX:AX or EDX:EAX as I64, not extended. */
function dividend(b: Builder, size: 8 | 16 | 32): Val {
  if (size === 8) return b.zext(b.reg(Reg.RAX, 16));
  return b.or(b.shl(b.zext(b.reg(Reg.RDX, size)), b.i64(size)), b.zext(b.reg(Reg.RAX, size)));
}

/** div r/m: #DE when the divisor is 0 or the quotient doesn't fit. */
function div(b: Builder, src: Operand): void {
  const { size } = src;
  const divisor = b.let(b.zext(src.read()));
  if (size === 64) {
    const low = b.let(b.reg(Reg.RAX));
    const high = b.let(b.reg(Reg.RDX));
    b.if(b.leU(divisor, high), () => b.fault(DIVIDE_ERROR));
    const { quotient, remainder } = divideUnsigned(b, high, low, divisor);
    results(b, 64, quotient, remainder);
    return;
  }
  const all = b.let(dividend(b, size));
  // The quotient fits exactly when the upper half is below the divisor; a divisor of 0 is never above it.
  b.if(b.leU(divisor, b.shr(all, b.i64(size))), () => b.fault(DIVIDE_ERROR));
  results(b, size, b.let(b.divU(all, divisor)), b.let(b.remU(all, divisor)));
}

/** idiv r/m: rounds towards zero; #DE when the divisor is 0 or the quotient doesn't fit. */
function idiv(b: Builder, src: Operand): void {
  const { size } = src;
  if (size === 64) {
    wideSigned(b, src);
    return;
  }
  const divisor = b.let(b.sext64(src.read(), size));
  const raw = dividend(b, size);
  const all = b.let(size === 32 ? raw : b.signed(raw, size === 8 ? 16 : 32));
  b.if(b.eqz(divisor), () => b.fault(DIVIDE_ERROR));
  if (size === 32) {
    // The one quotient that doesn't fit in 64 bits.
    const least = b.eq(all, b.i64(-(1n << 63n)));
    b.if(b.and(least, b.eq(divisor, b.i64(-1))), () => b.fault(DIVIDE_ERROR));
  }
  const quotient = b.let(b.divS(all, divisor));
  b.if(b.ne(quotient, b.signed(quotient, size)), () => b.fault(DIVIDE_ERROR));
  results(b, size, quotient, b.let(b.remS(all, divisor)));
}

/** RDX:RAX by 64 bits: magnitudes are divided, and signs put back. */
function wideSigned(b: Builder, src: Operand): void {
  const divisor = b.let(src.read());
  const low = b.let(b.reg(Reg.RAX));
  const high = b.let(b.reg(Reg.RDX));
  const divisorSign = b.let(b.sar(divisor, b.i64(63)));
  const sign = b.let(b.sar(high, b.i64(63)));
  const magnitude = b.let(b.sub(b.xor(divisor, divisorSign), divisorSign));
  // Minus a 128-bit number: complement both halves and add one, which carries when the lower half was 0.
  const lowMagnitude = b.let(b.sub(b.xor(low, sign), sign));
  const borrow = b.zext(b.and(b.eqz(low), b.wrap(b.and(sign, b.i64(1)))));
  const highMagnitude = b.let(b.add(b.xor(high, sign), borrow));
  b.if(b.leU(magnitude, highMagnitude), () => b.fault(DIVIDE_ERROR));
  const { quotient, remainder } = divideUnsigned(b, highMagnitude, lowMagnitude, magnitude);
  const quotientSign = b.let(b.xor(sign, divisorSign));
  const signed = b.let(b.sub(b.xor(quotient, quotientSign), quotientSign));
  // A magnitude of 2^63 fits when negative; 0 has no sign.
  const fits = b.or(b.eqz(quotient), b.eq(b.sar(signed, b.i64(63)), quotientSign));
  b.if(b.eqz(fits), () => b.fault(DIVIDE_ERROR));
  results(b, 64, signed, b.let(b.sub(b.xor(remainder, sign), sign)));
}

export const muldiv: readonly Description[] = [
  instruction("mul", ["f6/4 Eb", "f7/4 Ev"], {}, mul),
  instruction("imul1", ["f6/5 Eb", "f7/5 Ev"], {}, imulWide),
  instruction("imul", ["0faf Gv,Ev"], {}, (b, dst, src) => imul(b, dst, dst, src)),
  instruction("imul3", ["69 Gv,Ev,Iz", "6b Gv,Ev,Ibs"], {}, imul),
  instruction("div", ["f6/6 Eb", "f7/6 Ev"], {}, div),
  instruction("idiv", ["f6/7 Eb", "f7/7 Ev"], {}, idiv),
];

// Bits: bt and its like, with the bit strings in memory that their register forms address; bsf, bsr, tzcnt, lzcnt, popcnt;
// crc32; BMI1, BMI2 and ADX. Intel SDM volume 2. Whether a guest should use those that a processor may lack is CPUID's
// business, which the hypervisor answers; they run in any case.

import type { Builder, Operand, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import { mulx } from "./muldiv.ts";
import { rorx, sarx, shlx, shrx } from "./shift.ts";

/** CRC-32C's polynomial, bits reflected. */
const CASTAGNOLI = 0x82f63b78;
const ZF = 0x40;

type Change = ((b: Builder, value: Val, mask: Val) => Val) | undefined;

/** bt (no change), bts, btr, btc: CF is the bit as it was; the other flags stay. */
function bitTest(b: Builder, dst: Operand, offset: Operand, change: Change, narrow: boolean): void {
  const { size } = dst;
  const given = b.let(offset.read());
  const places = b.convert(given, size);
  const place = b.let(b.and(places, b.constant(size, size - 1)));
  const mask = b.shl(b.constant(size, 1), place);
  const bitOf = (value: Val) => b.wrap(b.and(b.shr(value, place), b.constant(size, 1)));
  if (dst.kind === "mem" && offset.kind === "reg") {
    // The offset reaches beyond the operand: whole operands up or down from the address.
    const distance = b.sar(b.sext64(given, size), b.i64(Math.log2(size)));
    const sum = b.add(dst.address(), b.shl(distance, b.i64(Math.log2(size / 8))));
    // Exact but for a segment's base beyond 4 GiB, which with this prefix nobody has.
    const at = b.let(narrow ? b.and(sum, b.i64(0xffffffffn)) : sum);
    if (change) b.checkWrite(size, at);
    const old = b.load(size, at);
    if (change) b.store(size, at, change(b, old, mask));
    b.setCf(b.let(bitOf(old)));
    return;
  }
  const old = b.let(change ? dst.modify() : dst.read());
  if (change) dst.write(b.let(change(b, old, mask)));
  b.setCf(b.let(bitOf(old)));
}

function bitTests(name: string, opcode: string, digit: number, change: Change): Description[] {
  const options = change ? { lock: true } : {};
  const forms = [`a64:0f${opcode} Ev,Gv`, `0fba/${digit} Ev,Ib`];
  return [
    instruction(name, forms, options, (b, dst, offset) => bitTest(b, dst, offset, change, false)),
    instruction(`${name}32`, [`a32:0f${opcode} Ev,Gv`], options, (b, dst, offset) =>
      bitTest(b, dst, offset, change, true),
    ),
  ];
}

/** bsf and bsr: of a source of 0 the destination stays as it is, in all 64 bits. */
function scan(b: Builder, dst: Operand, src: Operand, reverse: boolean): void {
  const { size } = dst;
  const x = b.let(src.read());
  const last = b.constant(size, size === 64 ? 63 : 31);
  b.if(b.ne(x, b.constant(size, 0)), () => {
    dst.write(b.let(reverse ? b.sub(last, b.clz(x)) : b.ctz(x)));
  });
  b.flagsLogic(size, x);
}

/** tzcnt and lzcnt: CF says that the source was 0, ZF that the count is. */
function count(b: Builder, dst: Operand, src: Operand, leading: boolean): void {
  const { size } = dst;
  const x = b.let(src.read());
  let result: Val;
  if (leading) result = size === 16 ? b.sub(b.clz(x), b.i32(16)) : b.clz(x);
  else result = size === 16 ? b.ctz(b.or(x, b.i32(0x10000))) : b.ctz(x);
  const kept = b.let(result);
  const cf = b.let(b.eqz(x));
  dst.write(kept);
  b.flagsEager(size, kept, { cf, of: b.i32(0) });
}

function crc32(b: Builder, dst: Operand, src: Operand): void {
  const data = b.let(src.read());
  const crc = b.variable(b.wrap(dst.read()));
  const words = src.size === 64 ? [b.wrap(data), b.wrap(b.shr(data, b.i64(32)))] : [data];
  const bits = Math.min(src.size, 32);
  for (const word of words) {
    b.assign(crc, b.xor(crc, word));
    const left = b.variable(b.i32(bits));
    b.while(
      () => left,
      () => {
        const out = b.sub(b.i32(0), b.and(crc, b.i32(1)));
        b.assign(crc, b.xor(b.shr(crc, b.i32(1)), b.and(out, b.i32(CASTAGNOLI))));
        b.assign(left, b.sub(left, b.i32(1)));
      },
    );
  }
  dst.write(b.convert(crc, dst.size));
}

/** Bits of `src` under the mask, packed together; or spread out over it. */
function parallel(b: Builder, dst: Operand, src: Operand, mask: Operand, deposit: boolean): void {
  const { size } = dst;
  const zero = b.constant(size, 0);
  const one = b.constant(size, 1);
  const rest = b.variable(mask.read());
  const from = b.variable(src.read());
  const result = b.variable(zero);
  const place = b.variable(one);
  b.while(
    () => b.ne(rest, zero),
    () => {
      const lowest = b.let(b.and(rest, b.sub(zero, rest)));
      const [test, put] = deposit ? [place, lowest] : [lowest, place];
      b.assign(result, b.or(result, b.select(b.eqz(b.and(from, test)), zero, put)));
      b.assign(place, b.shl(place, one));
      b.assign(rest, b.xor(rest, lowest));
    },
  );
  dst.write(b.let(result));
}

/** adcx and adox: an addition with carry that knows one flag only. */
function addWith(b: Builder, dst: Operand, src: Operand, carry: Val): { result: Val; out: Val } {
  const x = b.let(dst.read());
  const y = b.let(src.read());
  const c = b.let(carry);
  if (dst.size === 32) {
    const sum = b.let(b.add(b.add(b.zext(x), b.zext(y)), b.zext(c)));
    return { result: b.let(b.wrap(sum)), out: b.let(b.bit(sum, 32)) };
  }
  const sum = b.let(b.add(x, y));
  const result = b.let(b.add(sum, b.zext(c)));
  return { result, out: b.let(b.or(b.ltU(sum, x), b.ltU(result, sum))) };
}

/** blsr, blsmsk, blsi: CF is about the source's being 0. */
function lowestBit(name: string, digit: number, cfIfZero: boolean, compute: (b: Builder, x: Val, one: Val) => Val) {
  return instruction(name, [`np.vex:0f38f3/${digit} By,Ey`], {}, (b, dst, src) => {
    const x = b.let(src.read());
    const result = b.let(compute(b, x, b.constant(dst.size, 1)));
    const zero = b.eqz(x);
    dst.write(result);
    b.flagsEager(dst.size, result, { cf: b.let(cfIfZero ? zero : b.eqz(zero)), of: b.i32(0) });
  });
}

const OVERFLOW = 0;

export const bits: readonly Description[] = [
  ...bitTests("bt", "a3", 4, undefined),
  ...bitTests("bts", "ab", 5, (b, value, mask) => b.or(value, mask)),
  ...bitTests("btr", "b3", 6, (b, value, mask) => b.and(value, b.not(mask))),
  ...bitTests("btc", "bb", 7, (b, value, mask) => b.xor(value, mask)),
  instruction("bsf", ["0fbc Gv,Ev"], {}, (b, dst, src) => scan(b, dst, src, false)),
  instruction("bsr", ["0fbd Gv,Ev"], {}, (b, dst, src) => scan(b, dst, src, true)),
  instruction("tzcnt", ["f3:0fbc Gv,Ev"], {}, (b, dst, src) => count(b, dst, src, false)),
  instruction("lzcnt", ["f3:0fbd Gv,Ev"], {}, (b, dst, src) => count(b, dst, src, true)),
  instruction("popcnt", ["f3:0fb8 Gv,Ev"], {}, (b, dst, src) => {
    const x = b.let(src.read());
    dst.write(b.let(b.popcnt(x)));
    b.setRflags(b.select(b.eqz(x), b.i32(ZF), b.i32(0)));
  }),
  instruction("crc32", ["f2:0f38f0 Gy,Eb", "f2:0f38f1 Gy,Ev"], {}, crc32),

  instruction("andn", ["np.vex:0f38f2 Gy,By,Ey"], {}, (b, dst, inverted, src) => {
    const result = b.let(b.and(b.not(inverted.read()), src.read()));
    dst.write(result);
    b.flagsLogic(dst.size, result);
  }),
  lowestBit("blsr", 1, true, (b, x, one) => b.and(x, b.sub(x, one))),
  lowestBit("blsmsk", 2, true, (b, x, one) => b.xor(x, b.sub(x, one))),
  lowestBit("blsi", 3, false, (b, x, one) => b.and(x, b.add(b.not(x), one))),
  // Control in By: bits 0-7 where the field starts, 8-15 how long it is; both may reach beyond the operand.
  instruction("bextr", ["np.vex:0f38f7 Gy,Ey,By"], {}, (b, dst, src, control) => {
    const x = b.let(b.zext(src.read()));
    const word = b.let(b.zext(control.read()));
    const start = b.let(b.and(word, b.i64(0xff)));
    const length = b.let(b.and(b.shr(word, b.i64(8)), b.i64(0xff)));
    const shifted = b.select(b.gtU(start, b.i64(63)), b.i64(0), b.shr(x, start));
    const mask = b.select(b.gtU(length, b.i64(63)), b.i64(-1), b.sub(b.shl(b.i64(1), length), b.i64(1)));
    const result = b.let(b.convert(b.and(shifted, mask), dst.size));
    dst.write(result);
    b.flagsLogic(dst.size, result);
  }),
  instruction("bzhi", ["np.vex:0f38f5 Gy,Ey,By"], {}, (b, dst, src, index) => {
    const { size } = dst;
    const x = b.let(src.read());
    const n = b.let(b.and(index.read(), b.constant(size, 0xff)));
    const whole = b.let(b.gtU(n, b.constant(size, size - 1)));
    const one = b.constant(size, 1);
    const result = b.let(b.select(whole, x, b.and(x, b.sub(b.shl(one, n), one))));
    dst.write(result);
    b.flagsEager(size, result, { cf: whole, of: b.i32(0) });
  }),
  instruction("pext", ["f3.vex:0f38f5 Gy,By,Ey"], {}, (b, dst, src, mask) => parallel(b, dst, src, mask, false)),
  instruction("pdep", ["f2.vex:0f38f5 Gy,By,Ey"], {}, (b, dst, src, mask) => parallel(b, dst, src, mask, true)),
  instruction("mulx", ["f2.vex:0f38f6 Gy,By,Ey"], {}, mulx),
  instruction("shlx", ["66.vex:0f38f7 Gy,Ey,By"], {}, shlx),
  instruction("sarx", ["f3.vex:0f38f7 Gy,Ey,By"], {}, sarx),
  instruction("shrx", ["f2.vex:0f38f7 Gy,Ey,By"], {}, shrx),
  instruction("rorx", ["f2.vex:0f3af0 Gy,Ey,Ib"], {}, rorx),
  instruction("adcx", ["66:0f38f6 Gy,Ey"], {}, (b, dst, src) => {
    const { result, out } = addWith(b, dst, src, b.cf());
    dst.write(result);
    b.setCf(out);
  }),
  instruction("adox", ["f3:0f38f6 Gy,Ey"], {}, (b, dst, src) => {
    const { result, out } = addWith(b, dst, src, b.cond(OVERFLOW));
    dst.write(result);
    b.setCfOf(b.cf(), out);
  }),
];

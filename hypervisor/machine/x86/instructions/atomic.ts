// Exchange in one step: xadd, cmpxchg, cmpxchg8b, cmpxchg16b; and movbe, whose bytes turn around on the way. Intel SDM
// volume 2. One thread runs all processors, so that what is atomic without effort (16 bytes) needs none; LOCK on the
// others is kept by Operand.modify and write, for the device thread's sake.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Size, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";

const GENERAL_PROTECTION = 13;
const ZF = 0x40;

/** The value's bytes in the other order; `size` 16, 32 or 64. */
export function byteSwapped(b: Builder, value: Val, size: Size): Val {
  const x = b.let(value);
  if (size === 16) return b.truncate(b.or(b.shl(x, b.i32(8)), b.shr(x, b.i32(8))), 16);
  if (size === 32) {
    const even = b.and(b.rotl(x, b.i32(8)), b.i32(0x00ff00ff));
    return b.or(even, b.and(b.rotr(x, b.i32(8)), b.i32(0xff00ff00)));
  }
  const bytes = b.i64(0x00ff00ff00ff00ffn);
  const words = b.i64(0x0000ffff0000ffffn);
  const swapped = b.let(b.or(b.and(b.shr(x, b.i64(8)), bytes), b.shl(b.and(x, bytes), b.i64(8))));
  const halves = b.or(b.and(b.shr(swapped, b.i64(16)), words), b.shl(b.and(swapped, words), b.i64(16)));
  return b.rotl(halves, b.i64(32));
}

/** ZF alone changes. */
function setZf(b: Builder, equal: Val): void {
  const others = b.and(b.rflags(), b.i32(~ZF));
  b.setRflags(b.or(others, b.select(equal, b.i32(ZF), b.i32(0))));
}

export const atomic: readonly Description[] = [
  instruction("xadd", ["0fc0 Eb,Gb", "0fc1 Ev,Gv"], { lock: true }, (b, dst, src) => {
    const x = b.let(dst.modify());
    const y = b.let(src.read());
    const sum = b.let(b.add(x, y));
    // A locked store may start the instruction over, so it comes first; of one register given twice the sum remains.
    if (dst.kind === "mem") dst.write(sum);
    src.write(x);
    if (dst.kind === "reg") dst.write(sum);
    b.flagsAdd(dst.size, x, y, sum);
  }),
  instruction("cmpxchg", ["0fb0 Eb,Gb", "0fb1 Ev,Gv"], { lock: true }, (b, dst, src) => {
    const { size } = dst;
    const old = b.let(dst.modify());
    const wanted = b.let(b.reg(Reg.RAX, size));
    const equal = b.let(b.eq(old, wanted));
    // Memory is written in either case, as the manual says; a register isn't, not even its upper half.
    if (dst.kind === "mem") dst.write(b.let(b.select(equal, src.read(), old)));
    b.if(
      equal,
      () => {
        if (dst.kind === "reg") dst.write(src.read());
      },
      () => b.setReg(Reg.RAX, size, old),
    );
    b.flagsSub(size, wanted, old, b.let(b.sub(wanted, old)));
  }),
  instruction("cmpxchg8b", ["w0:0fc7/1 Mq"], { lock: true }, (b, dst) => {
    const old = b.let(dst.modify());
    const joined = (high: number, low: number) =>
      b.or(b.shl(b.zext(b.reg(high, 32)), b.i64(32)), b.zext(b.reg(low, 32)));
    const equal = b.let(b.eq(old, joined(Reg.RDX, Reg.RAX)));
    dst.write(b.let(b.select(equal, joined(Reg.RCX, Reg.RBX), old)));
    b.if(b.eqz(equal), () => {
      b.setReg(Reg.RAX, 32, b.wrap(old));
      b.setReg(Reg.RDX, 32, b.wrap(b.shr(old, b.i64(32))));
    });
    setZf(b, equal);
  }),
  instruction("cmpxchg16b", ["w1:0fc7/1 M"], { lock: true }, (b, dst) => {
    const low = b.let(dst.address());
    b.if(b.wrap(b.and(low, b.i64(15))), () => b.fault(GENERAL_PROTECTION));
    // Aligned, so both halves are in one page.
    const high = b.let(b.add(low, b.i64(8)));
    b.checkWrite(64, low);
    const oldLow = b.load(64, low);
    const oldHigh = b.load(64, high);
    const equal = b.let(b.and(b.eq(oldLow, b.reg(Reg.RAX)), b.eq(oldHigh, b.reg(Reg.RDX))));
    b.if(
      equal,
      () => {
        b.store(64, low, b.reg(Reg.RBX));
        b.store(64, high, b.reg(Reg.RCX));
      },
      () => {
        b.setReg(Reg.RAX, 64, oldLow);
        b.setReg(Reg.RDX, 64, oldHigh);
      },
    );
    setZf(b, equal);
  }),
  instruction("movbe", ["0f38f0 Gv,Mv", "0f38f1 Mv,Gv"], {}, (b, dst, src) => {
    dst.write(b.let(byteSwapped(b, src.read(), src.size)));
  }),
];

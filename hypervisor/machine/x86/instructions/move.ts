// Data movement: mov, movzx, movsx, lea, xchg, push, pop, setcc, cmovcc, and the instructions that do nothing.
// Intel SDM volume 2. Moves of segment registers are in segment.ts.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Size, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";

const CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];
const hex = (value: number): string => value.toString(16).padStart(2, "0");

/** Pushes a value of 16 or 64 bits. */
export function push(b: Builder, size: Size, value: Val): void {
  const kept = b.let(value);
  const rsp = b.let(b.sub(b.reg(Reg.RSP), b.i64(size / 8)));
  b.store(size, rsp, kept);
  b.setReg(Reg.RSP, 64, rsp);
}

export const move: readonly Description[] = [
  instruction(
    "mov",
    ["88 Eb,Gb", "89 Ev,Gv", "8a Gb,Eb", "8b Gv,Ev", "c6/0 Eb,Ib", "c7/0 Ev,Iz", "b0+ Zb,Ib", "b8+ Zv,Iv"].concat([
      "a0 AL,Ob",
      "a1 rAX,Ov",
      "a2 Ob,AL",
      "a3 Ov,rAX",
    ]),
    {},
    (b, dst, src) => dst.write(b.let(src.read())),
  ),
  instruction("movzx", ["0fb6 Gv,Eb", "0fb7 Gv,Ew"], {}, (b, dst, src) => {
    dst.write(b.let(b.convert(src.read(), dst.size)));
  }),
  instruction("movsx", ["0fbe Gv,Eb", "0fbf Gv,Ew", "63 Gv,Ed"], {}, (b, dst, src) => {
    const value = src.read();
    dst.write(b.let(dst.size === 64 ? b.sext64(value, src.size) : b.signed(value, src.size)));
  }),
  instruction("lea", ["8d Gv,M"], { noSegment: true }, (b, dst, src) => {
    dst.write(b.let(b.convert(src.address(), dst.size)));
  }),
  instruction("xchg", ["86 Eb,Gb", "87 Ev,Gv", "90+ Zv,rAX"], { locked: true }, (b, left, right) => {
    const x = b.let(left.modify());
    const y = b.let(right.read());
    left.write(y);
    right.write(x);
  }),
  instruction("bswap", ["0fc8+ Zy"], {}, (b, dst) => {
    const x = b.let(dst.read());
    if (dst.size === 32) {
      const even = b.and(b.rotl(x, b.i32(8)), b.i32(0x00ff00ff));
      dst.write(b.let(b.or(even, b.and(b.rotr(x, b.i32(8)), b.i32(0xff00ff00)))));
      return;
    }
    const low = b.i64(0x00ff00ff00ff00ffn);
    const bytes = b.let(b.or(b.and(b.shr(x, b.i64(8)), low), b.shl(b.and(x, low), b.i64(8))));
    const words = b.i64(0x0000ffff0000ffffn);
    const halves = b.or(b.and(b.shr(bytes, b.i64(16)), words), b.shl(b.and(bytes, words), b.i64(16)));
    dst.write(b.let(b.rotl(halves, b.i64(32))));
  }),
  instruction("movnti", ["np:0fc3 My,Gy"], {}, (b, dst, src) => dst.write(b.let(src.read()))),

  instruction("push", ["50+ Zv", "ff/6 Ev", "68 Iz", "6a Ibs"], { d64: true, stack: true }, (b, src) => {
    push(b, src.size, src.read());
  }),
  instruction("pop", ["58+ Zv"], { d64: true, stack: true }, (b, dst) => {
    const rsp = b.let(b.reg(Reg.RSP));
    const value = b.load(dst.size, rsp);
    b.setReg(Reg.RSP, 64, b.add(rsp, b.i64(dst.size / 8)));
    dst.write(value);
  }),
  // Into memory: the address is computed with RSP as it is after the pop.
  instruction("popm", ["8f/0 Ev"], { d64: true, stack: true }, (b, dst) => {
    const rsp = b.let(b.reg(Reg.RSP));
    const value = b.load(dst.size, rsp);
    const above = b.let(b.add(rsp, b.i64(dst.size / 8)));
    if (dst.kind === "reg") {
      b.setReg(Reg.RSP, 64, above);
      dst.write(value);
      return;
    }
    b.setReg(Reg.RSP, 64, above);
    const address = b.let(dst.address());
    b.setReg(Reg.RSP, 64, rsp);
    b.store(dst.size, address, value);
    b.setReg(Reg.RSP, 64, above);
  }),
  instruction("leave", ["c9 v"], { d64: true, stack: true }, (b, { size }) => {
    const rbp = b.let(b.reg(Reg.RBP));
    const value = b.load(size, rbp);
    b.setReg(Reg.RSP, 64, b.add(rbp, b.i64(size / 8)));
    b.setReg(Reg.RBP, size, value);
  }),
  instruction(
    "nop",
    ["90", "0f1f/0 Ev", "0f18 Ev,Gv", "0f19 Ev,Gv", "0f1c Ev,Gv", "0f1d Ev,Gv", "0f1e Ev,Gv", "0f0d Ev,Gv"],
    {},
    () => {},
  ),
  // lfence, mfence, sfence: one processor, in order.
  instruction("fence", ["np:0fae!e8", "np:0fae!f0", "np:0fae!f8"], {}, () => {}),
  // clflush and clflushopt, which check for read access.
  instruction("clflush", ["np:0fae/7 Mb", "66:0fae/7 Mb", "66:0fae/6 Mb"], {}, (_b, line) => void line.read()),

  ...CONDITIONS.map((condition, cc) =>
    instruction(`set${condition}`, [`0f${hex(0x90 + cc)} Eb`], {}, (b, dst) => dst.write(b.let(b.cond(cc)))),
  ),
  ...CONDITIONS.map((condition, cc) =>
    instruction(`cmov${condition}`, [`0f${hex(0x40 + cc)} Gv,Ev`], {}, (b, dst, src) => {
      const value = b.let(src.read());
      const old = b.let(dst.read());
      // A 32-bit destination is zero-extended even when nothing is moved.
      dst.write(b.let(b.select(b.cond(cc), value, old)));
    }),
  ),
];

// What belongs to no family: enter with its nesting levels, descriptor table registers, which are privileged here (as with UMIP), further encodings of
// instructions that do nothing, and what CPUID doesn't announce although Linux's text has it. Intel SDM volume 2.

import { Reg } from "../../cpu_state.ts";
import { Exit } from "../../processor.ts";
import type { Builder, Operand } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";

/** Other values of ModRM.rm of lfence, mfence and sfence. */
const fences = [0xe8, 0xf0, 0xf8].flatMap((first) =>
  [1, 2, 3, 4, 5, 6, 7].map((rm) => `np:0fae!${(first + rm).toString(16)}`),
);

/** enter: a frame with copies of the frame pointers of the `level` procedures around this one. */
function enter(b: Builder, { size }: Operand, bytes: Operand, nesting: Operand): void {
  const word = b.i64(size / 8);
  const top = b.let(b.reg(Reg.RSP));
  const level = b.let(b.zext(b.and(nesting.read(), b.i32(31))));
  const frame = b.let(b.sub(top, word));
  const pushed = b.let(b.sub(frame, b.mul(level, word)));
  const bottom = b.let(b.sub(pushed, b.zext(bytes.read())));
  // All that will be written is checked first: the words pushed, which reach over two pages at most, and the last byte.
  b.checkWrite(size, frame);
  b.checkWrite(size, pushed);
  b.checkWrite(size, bottom);
  const from = b.variable(b.reg(Reg.RBP));
  const to = b.variable(frame);
  const left = b.variable(level);
  // And what will be read: likewise the first and the last of the words.
  b.if(b.gtU(level, b.i64(1)), () => {
    b.load(size, b.sub(from, word));
    b.load(size, b.sub(from, b.mul(b.sub(level, b.i64(1)), word)));
  });
  b.store(size, frame, b.convert(from, size));
  b.while(
    () => b.gtU(left, b.i64(1)),
    () => {
      b.assign(from, b.sub(from, word));
      b.assign(to, b.sub(to, word));
      b.store(size, to, b.load(size, from));
      b.assign(left, b.sub(left, b.i64(1)));
    },
  );
  b.if(b.ne(level, b.i64(0)), () => b.store(size, pushed, b.convert(frame, size)));
  b.setReg(Reg.RBP, size, b.convert(frame, size));
  b.setReg(Reg.RSP, 64, bottom);
}

export const system: readonly Description[] = [
  instruction("enter", ["c8 v,Iw,Ib"], { d64: true, stack: true }, enter),
  // sgdt, sidt, smsw, sldt, str.
  instruction("descriptors", ["0f01/0 M", "0f01/1 M", "0f01/4 Ew", "0f00/0 Ew", "0f00/1 Ew"], {}, (b) =>
    b.exit(Exit.Privileged),
  ),
  instruction("fences", fences, {}, () => {}),
  instruction("nops", ["0f1a Ev,Gv", "0f1b Ev,Gv", "0f1f Ev,Gv"], {}, () => {}),
];

// Segment registers, their bases, far returns and iretq, and the time stamp counter. Descriptor tables are the guest's own, so these
// read them as the processor would: the work is done in TypeScript, in segments.ts. Intel SDM volume 2 and volume 3, 5.

import { type Description, instruction } from "../describe.ts";
import { Slot } from "../layout.ts";

export const segment: readonly Description[] = [
  // mov r/m, Sreg: 16 bits into memory, zero-extended into a register.
  instruction("movfs", ["8c Ev,Sw"], {}, (b, dst) => {
    if (dst.kind === "mem") b.setSlot(Slot.TEMP, dst.address());
    b.host(dst.kind === "mem" ? "storeSegment" : "movFromSegment");
  }),
  instruction("movts", ["8e Sw,Ew"], {}, (b, _segment, selector) => {
    b.setSlot(Slot.TEMP, b.zext(b.let(selector.read())));
    b.host("movToSegment");
  }),
  instruction("pushfs", ["0fa0 v"], { d64: true, stack: true }, (b, { size }) => b.host(`pushFs${size}`)),
  instruction("pushgs", ["0fa8 v"], { d64: true, stack: true }, (b, { size }) => b.host(`pushGs${size}`)),
  instruction("popfs", ["0fa1 v"], { d64: true, stack: true }, (b, { size }) => b.host(`popFs${size}`)),
  instruction("popgs", ["0fa9 v"], { d64: true, stack: true }, (b, { size }) => b.host(`popGs${size}`)),
  instruction("iret", ["cf v"], { stack: true, flow: "stop" }, (b, { size }) => b.host(`iret${size}`)),
  instruction("retf", ["cb v"], { stack: true, flow: "stop" }, (b, { size }) => b.host(`farReturn${size}`)),
  instruction("retfn", ["ca v,Iw"], { stack: true, flow: "stop" }, (b, { size }) => b.host(`farReturn${size}`)),
  instruction("jmpf", ["ff/5 Mv"], { flow: "stop" }, (b, pointer) => {
    b.setSlot(Slot.TEMP, pointer.address());
    b.host(`farJump${pointer.size}`);
  }),
  instruction("callf", ["ff/3 Mv"], { stack: true, flow: "stop" }, (b, pointer) => {
    b.setSlot(Slot.TEMP, pointer.address());
    b.setSlot(Slot.BRANCH, b.nextRip());
    b.host(`farCall${pointer.size}`);
  }),
  ...(
    [
      ["lss", "b2"],
      ["lfs", "b4"],
      ["lgs", "b5"],
    ] as const
  ).map(([name, opcode]) =>
    instruction(name, [`0f${opcode} Gv,Mv`], {}, (b, _dst, pointer) => {
      b.setSlot(Slot.TEMP, pointer.address());
      b.host(`${name}${pointer.size}`);
    }),
  ),
  instruction("lar", ["0f02 Gv,Ew"], {}, (b, _dst, selector) => {
    b.setSlot(Slot.TEMP, b.zext(b.let(selector.read())));
    b.host("lar");
  }),
  instruction("lsl", ["0f03 Gv,Ew"], {}, (b, _dst, selector) => {
    b.setSlot(Slot.TEMP, b.zext(b.let(selector.read())));
    b.host("lsl");
  }),
  instruction("verr", ["0f00/4 Ew"], {}, (b, selector) => {
    b.setSlot(Slot.TEMP, b.zext(b.let(selector.read())));
    b.host("verr");
  }),
  instruction("verw", ["0f00/5 Ew"], {}, (b, selector) => {
    b.setSlot(Slot.TEMP, b.zext(b.let(selector.read())));
    b.host("verw");
  }),

  instruction("rdfsbase", ["f3:0fae/0 Ry"], {}, (b, dst) =>
    dst.write(b.let(b.convert(b.slot(Slot.FS_BASE), dst.size))),
  ),
  instruction("rdgsbase", ["f3:0fae/1 Ry"], {}, (b, dst) =>
    dst.write(b.let(b.convert(b.slot(Slot.GS_BASE), dst.size))),
  ),
  ...["fs", "gs"].map((name, i) =>
    instruction(`wr${name}base`, [`f3:0fae/${2 + i} Ry`], {}, (b, src) => {
      const base = b.let(b.zext(src.read()));
      const top = b.let(b.sar(base, b.i64(47)));
      b.if(b.gtU(b.add(top, b.i64(1)), b.i64(1)), () => b.fault(13));
      b.setSlot(i ? Slot.GS_BASE : Slot.FS_BASE, base);
    }),
  ),
  instruction("rdtsc", ["0f31"], {}, (b) => b.host("rdtsc")),
  instruction("rdtscp", ["0f01!f9"], {}, (b) => b.host("rdtscp")),
];

// Segment registers, far returns and iretq, and the time stamp counter. Descriptor tables are the guest's own, so these read
// them as the processor would: the work is done in TypeScript, in segments.ts. Intel SDM volume 2 and volume 3, 5. Left out:
// rdfsbase and its kin, #UD as with CR4.FSGSBASE clear. A kernel that isn't told of them doesn't save the bases that one
// program sets by them, and so they would become the next one's (XSA-293).

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

  instruction("rdtsc", ["0f31"], {}, (b) => b.host("rdtsc")),
  instruction("rdtscp", ["0f01!f9"], {}, (b) => b.host("rdtscp")),
];

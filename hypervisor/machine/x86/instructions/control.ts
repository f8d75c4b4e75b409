// Control flow and flags: jumps, calls, returns, software interrupts, pushf and popf, and what only the hypervisor can
// carry out, which ends the run. Intel SDM volume 2. All guest code runs at CPL 3 with IOPL 0.

import { Reg } from "../../cpu_state.ts";
import { Exit } from "../../processor.ts";
import { type Description, instruction } from "../describe.ts";
import { INTERNAL_EXIT, Slot } from "../layout.ts";
import { push } from "./move.ts";

const CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];
const hex = (value: number): string => value.toString(16).padStart(2, "0");

/** What popf may change at CPL 3: TF, DF, NT, AC, ID. IF and IOPL stay. */
export const POPF_MASK = 0x244500;

/** Opcodes that raise #GP at CPL 3, and cpuid, which the hypervisor answers. */
const PRIVILEGED: readonly string[] = [
  "0fa2", // cpuid
  "0f20 Rq,Gq", // mov from cr
  "0f22 Rq,Gq", // mov to cr
  "0f21 Rq,Gq", // mov from dr
  "0f23 Rq,Gq", // mov to dr
  "0f30", // wrmsr
  "0f32", // rdmsr
  "0f33", // rdpmc
  "0f06", // clts
  "0f08", // invd
  "0f09", // wbinvd
  "0f07", // sysret
  "0f35", // sysexit
  "f4", // hlt
  "fa", // cli
  "fb", // sti
  "e4 AL,Ib", // in
  "e5 eAX,Ib",
  "ec",
  "ed",
  "e6 Ib,AL", // out
  "e7 Ib,eAX",
  "ee",
  "ef",
  "6c", // ins
  "6d",
  "6e", // outs
  "6f",
  "0f01/2 M", // lgdt
  "0f01/3 M", // lidt
  "0f01/6 Ew", // lmsw
  "0f01/7 Mb", // invlpg
  "0f00/2 Ew", // lldt
  "0f00/3 Ew", // ltr
  "0f01!f8", // swapgs
  "0f01!d1", // xsetbv
  "0f01!c8", // monitor
  "0f01!c9", // mwait
  "0f01!ca", // clac
  "0f01!cb", // stac
];

export const control: readonly Description[] = [
  instruction("jmp", ["eb Jb", "e9 Jz"], { f64: true, flow: "jump" }, (b) => b.branch()),
  instruction("jmpi", ["ff/4 Ev"], { f64: true, flow: "stop" }, (b, target) => b.jump(b.let(target.read()))),
  ...CONDITIONS.map((condition, cc) =>
    instruction(
      `j${condition}`,
      [`${hex(0x70 + cc)} Jb`, `0f${hex(0x80 + cc)} Jz`],
      { f64: true, flow: "branch" },
      (b) => b.branchIf(b.cond(cc)),
    ),
  ),
  instruction("call", ["e8 Jz"], { f64: true, stack: true, flow: "call" }, (b) => {
    push(b, 64, b.nextRip());
    b.branch();
  }),
  instruction("calli", ["ff/2 Ev"], { f64: true, stack: true, flow: "stop" }, (b, operand) => {
    const target = b.let(operand.read());
    push(b, 64, b.nextRip());
    b.jump(target);
  }),
  instruction("ret", ["c3"], { f64: true, stack: true, flow: "stop" }, (b) => {
    const rsp = b.let(b.reg(Reg.RSP));
    const target = b.load(64, rsp);
    b.setReg(Reg.RSP, 64, b.add(rsp, b.i64(8)));
    b.jump(target);
  }),
  instruction("retn", ["c2 Iw"], { f64: true, stack: true, flow: "stop" }, (b, bytes) => {
    const rsp = b.let(b.reg(Reg.RSP));
    const target = b.load(64, rsp);
    b.setReg(Reg.RSP, 64, b.add(b.add(rsp, b.i64(8)), b.zext(bytes.read())));
    b.jump(target);
  }),
  ...[64, 32].flatMap((size) => {
    // With the address size prefix the count is ECX.
    const width = size as 32 | 64;
    const suffix = size === 64 ? "" : "32";
    const prefix = size === 64 ? "a64" : "a32";
    const count = (name: string, opcode: string, zf: boolean | undefined): Description =>
      instruction(name + suffix, [`${prefix}:${opcode} Jb`], { f64: true, flow: "branch" }, (b) => {
        const left = b.let(b.sub(b.reg(Reg.RCX, width), b.constant(width, 1)));
        const more = b.ne(left, b.constant(width, 0));
        const taken = b.let(zf === undefined ? more : b.and(more, b.cond(zf ? 4 : 5)));
        b.setReg(Reg.RCX, width, left);
        b.branchIf(taken);
      });
    return [
      count("loopne", "e0", false),
      count("loope", "e1", true),
      count("loop", "e2", undefined),
      instruction(`jrcxz${suffix}`, [`${prefix}:e3 Jb`], { f64: true, flow: "branch" }, (b) =>
        b.branchIf(b.eqz(b.reg(Reg.RCX, width))),
      ),
    ];
  }),

  instruction("int3", ["cc"], { flow: "stop" }, (b) => b.exitAfter(Exit.SoftInterrupt, 3)),
  instruction("int1", ["f1"], { flow: "stop" }, (b) => b.exitAfter(Exit.SoftInterrupt, 1)),
  instruction("int", ["cd Ib"], { flow: "stop" }, (b, vector) => b.exitAfter(Exit.SoftInterrupt, vector.read())),
  instruction("ud2", ["0f0b", "0fb9 Ev,Gv", "0fff Ev,Gv"], { flow: "stop" }, (b) => b.fault(6)),
  instruction("syscall", ["0f05"], { flow: "stop" }, (b) => {
    // R11 is set where the run ends, with RFLAGS (entry.ts).
    b.setReg(Reg.RCX, 64, b.let(b.nextRip()));
    b.exitAfter(Exit.Syscall);
  }),
  instruction("privileged", PRIVILEGED, {}, (b) => b.exit(Exit.Privileged)),

  instruction("pushf", ["9c v"], { d64: true, stack: true }, (b, { size }) => {
    push(b, size, b.convert(b.rflags(), size));
  }),
  instruction("popf", ["9d v"], { d64: true, stack: true }, (b, { size }) => {
    const rsp = b.let(b.reg(Reg.RSP));
    const value = b.load(size, rsp);
    b.setReg(Reg.RSP, 64, b.add(rsp, b.i64(size / 8)));
    b.setRflags(b.wrap(value), size === 16 ? POPF_MASK & 0xffff : POPF_MASK);
    // The loop doesn't look at TF.
    b.if(b.bit(value, 8), () => b.exitAfter(INTERNAL_EXIT));
  }),
  instruction("lahf", ["9f"], {}, (b) => b.setHighByte(Reg.RAX, b.rflags())),
  instruction("sahf", ["9e"], {}, (b) => {
    const ah = b.and(b.shr(b.reg(Reg.RAX, 32), b.i32(8)), b.i32(0xff));
    b.setRflags(b.or(b.and(b.rflags(), b.i32(~0xff)), ah));
  }),
  instruction("clc", ["f8"], {}, (b) => b.setCf(b.i32(0))),
  instruction("stc", ["f9"], {}, (b) => b.setCf(b.i32(1))),
  instruction("cmc", ["f5"], {}, (b) => b.setCf(b.let(b.eqz(b.cf())))),
  instruction("cld", ["fc"], {}, (b) => {
    b.setSlot(Slot.OTHER_FLAGS, b.and(b.slot(Slot.OTHER_FLAGS), b.i64(~0x400)));
  }),
  instruction("std", ["fd"], {}, (b) => b.setSlot(Slot.OTHER_FLAGS, b.or(b.slot(Slot.OTHER_FLAGS), b.i64(0x400)))),
  instruction("xlat", ["d7 Xb"], {}, (b, table) => {
    // The operand's address is DS:RBX (or the prefix's segment).
    const address = b.add(table.address(), b.zext(b.reg(Reg.RAX, 8)));
    b.setReg(Reg.RAX, 8, b.load(8, address));
  }),
];

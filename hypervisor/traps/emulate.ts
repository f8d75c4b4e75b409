// Emulation of the privileged instructions that a PV kernel may use, and of the forced-emulation prefix. Called when a
// processor stops at such an instruction (Exit.Privileged, or #UD for the prefix). The list is Xen 4.17's (its PV
// emulator's `validate`): in, out, ins, outs, cli and sti (with I/O privilege; no effect), clts, wbinvd, mov from and to
// control and debug registers, rdmsr, wrmsr, cpuid; not xsetbv. All others are #GP: hlt, invlpg, lmsw, swapgs, lgdt, rdpmc ...
// User mode gets #GP for all but cpuid and permitted I/O ports.

import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { readControl, readDebug, writeControl, writeDebug } from "./control_registers.ts";
import { cpuid } from "./cpuid.ts";
import { readMsr, writeMsr } from "./msr.ts";
import { ioPermitted, ports, stringIo } from "./ports.ts";
import { moveRip } from "./traps.ts";

/** The longest instruction. */
const MAX_INSTRUCTION = 15;
/** Fixed cost of an emulation on the virtual clock, ns. */
const EMULATE_NS = 500;
/** Forces Xen to emulate the instruction that follows (public/arch-x86/xen.h, XEN_EMULATE_PREFIX). */
export const PREFIX = [0x0f, 0x0b, 0x78, 0x65, 0x6e]; // ud2a; .ascii "xen"

/** The instruction being emulated: its bytes, and what its prefixes said. */
export interface Instruction {
  readonly bytes: Uint8Array;
  /** Bytes that could be read. */
  readonly length: number;
  /** Where the opcode begins, after prefixes. */
  at: number;
  rex: number;
  operandSize16: boolean;
  addressSize32: boolean;
  rep: boolean;
  /** 0x64 or 0x65 for an FS or GS override, 0 otherwise. */
  segment: number;
}

/** Emulates the instruction at RIP. False: it is to be #GP. When true, RIP has moved, an exception was delivered, or it is to be done again. */
export function emulatePrivileged(hv: Hypervisor, vcpu: Vcpu): boolean {
  hv.charge(EMULATE_NS);
  const insn = fetch(hv, vcpu);
  if (insn === undefined) return false;
  const b = insn.bytes;
  const opcode = b[insn.at];
  if (opcode === 0x0f) return emulateTwoByte(hv, vcpu, insn, b[insn.at + 1]);
  if (insn.at >= insn.length) return false;
  switch (opcode) {
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
      return stringIo(hv, vcpu, insn, opcode);
    case 0xe4:
    case 0xe5:
    case 0xe6:
    case 0xe7:
      if (!ports(hv, vcpu, opcode, b[insn.at + 1], insn.operandSize16)) return false;
      return done(hv, vcpu, insn.at + 2);
    case 0xec:
    case 0xed:
    case 0xee:
    case 0xef:
      if (!ports(hv, vcpu, opcode, vcpu.cpu.lo(Reg.RDX) & 0xffff, insn.operandSize16)) return false;
      return done(hv, vcpu, insn.at + 1);
    case 0xfa: // cli
    case 0xfb: // sti
      // With I/O privilege they do nothing: popf could not undo what they do, so kernels must use the upcall mask.
      if (!ioPermitted(vcpu)) return false;
      moveRip(vcpu.cpu, insn.at + 1); // And as in Xen, no single step ends here.
      return true;
    default:
      return false;
  }
}

function emulateTwoByte(hv: Hypervisor, vcpu: Vcpu, insn: Instruction, opcode: number): boolean {
  const cpu = vcpu.cpu;
  if (insn.at + 1 >= insn.length) return false;
  if (opcode === 0xa2) {
    cpuid(hv, vcpu);
    return done(hv, vcpu, insn.at + 2);
  }
  if (!vcpu.kernelMode) return false;
  const modrm = insn.bytes[insn.at + 2];
  switch (opcode) {
    case 0x06: // clts
      hv.traps.setTs(vcpu, false);
      return done(hv, vcpu, insn.at + 2);
    case 0x09: // wbinvd: there is no cache to write back
      return done(hv, vcpu, insn.at + 2);
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
      return insn.at + 2 < insn.length && moveRegister(hv, vcpu, insn, opcode, modrm);
    case 0x30:
      return writeMsr(hv, vcpu, cpu.lo(Reg.RCX), cpu.lo(Reg.RAX), cpu.lo(Reg.RDX)) && done(hv, vcpu, insn.at + 2);
    case 0x32:
      return readMsr(hv, vcpu, cpu.lo(Reg.RCX)) && done(hv, vcpu, insn.at + 2);
    default:
      return false;
  }
}

/** mov between a general register and a control or debug register. */
function moveRegister(hv: Hypervisor, vcpu: Vcpu, insn: Instruction, opcode: number, modrm: number): boolean {
  const cpu = vcpu.cpu;
  const special = ((modrm >>> 3) & 7) | (insn.rex & 4 ? 8 : 0);
  const general = (modrm & 7) | (insn.rex & 1 ? 8 : 0);
  if (opcode === 0x20 || opcode === 0x21) {
    const value = opcode === 0x20 ? readControl(hv, vcpu, special) : readDebug(vcpu, special);
    if (value === undefined) return false;
    cpu.setBig(general, value);
    return done(hv, vcpu, insn.at + 3);
  }
  const value = cpu.big(general);
  const ok = opcode === 0x22 ? writeControl(hv, vcpu, special, value) : writeDebug(vcpu, special, value) === 0;
  return ok === undefined || (ok && done(hv, vcpu, insn.at + 3)); // Not done yet: RIP stays.
}

function done(hv: Hypervisor, vcpu: Vcpu, length: number): true {
  moveRip(vcpu.cpu, length);
  hv.traps.singleStep(vcpu);
  return true;
}

/** Reads the instruction at RIP, as far as its pages are there, and takes its prefixes. */
function fetch(hv: Hypervisor, vcpu: Vcpu): Instruction | undefined {
  const va = vcpu.cpu.va(Reg.RIP);
  if (va === -1) return undefined;
  const bytes = hv.scratchBytes.subarray(0, MAX_INSTRUCTION);
  const first = Math.min(MAX_INSTRUCTION, 4096 - (va % 4096));
  if (!hv.access.read(vcpu, va, bytes, 0, first)) return undefined;
  const rest = MAX_INSTRUCTION - first;
  const more = rest > 0 && hv.access.read(vcpu, (va + first) as Va, bytes, first, rest);
  const insn: Instruction = {
    bytes: bytes.slice(),
    length: more ? MAX_INSTRUCTION : first,
    at: 0,
    rex: 0,
    operandSize16: false,
    addressSize32: false,
    rep: false,
    segment: 0,
  };
  takePrefixes(insn);
  return insn.at < insn.length ? insn : undefined;
}

function takePrefixes(insn: Instruction): void {
  for (; insn.at < insn.length; insn.at++) {
    const b = insn.bytes[insn.at];
    if ((b & 0xf0) === 0x40) {
      insn.rex = b;
      continue;
    }
    if (b === 0x66) insn.operandSize16 = true;
    else if (b === 0x67) insn.addressSize32 = true;
    else if (b === 0xf2 || b === 0xf3) insn.rep = true;
    else if (b === 0x64 || b === 0x65) insn.segment = b;
    else if (b !== 0x26 && b !== 0x2e && b !== 0x36 && b !== 0x3e) return;
    insn.rex = 0; // REX counts only right before the opcode.
  }
}

/** At a #UD: carries out `ud2a; "xen"; cpuid`. False: it was something else, and stays #UD. */
export function emulateForced(hv: Hypervisor, vcpu: Vcpu): boolean {
  const va = vcpu.cpu.va(Reg.RIP);
  if (va === -1 || !hv.access.read(vcpu, va, hv.scratchBytes, 0, 5)) return false;
  for (let i = 0; i < 5; i++) if (hv.scratchBytes[i] !== PREFIX[i]) return false;
  if (!hv.access.read(vcpu, (va + 5) as Va, hv.scratchBytes, 0, 2)) return false;
  if (hv.scratchBytes[0] !== 0x0f || hv.scratchBytes[1] !== 0xa2) return false;
  if (hv.trace.traps) hv.trace.emitter.emit("privileged", vcpu);
  hv.charge(EMULATE_NS);
  cpuid(hv, vcpu);
  return done(hv, vcpu, PREFIX.length + 2);
}

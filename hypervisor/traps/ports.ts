// I/O instructions of PV guests. A kernel with virtual IOPL 1 or more (PHYSDEVOP_set_iopl), or a program that the I/O
// bitmap lets, may use `in` and `out`; what it reaches depends on the domain's permission for the port: a device of the
// machine for dom0, otherwise nobody: reads give all ones, writes vanish. Without I/O privilege they are #GP.
// Left out: the PIT, RTC and PCI configuration ports that Xen virtualizes: this machine has none of these devices.

import { VMASST_TYPE_architectural_iopl } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Instruction } from "./emulate.ts";
import { Flag } from "./flags.ts";
import { withKernelTable } from "./guest_mode.ts";
import { moveRip } from "./traps.ts";

/** What an element costs on the virtual clock, ns. */
const ELEMENT_NS = 100;
/** Elements of one `rep ins` or `rep outs` carried out before the guest is returned to. */
const STRING_BATCH = 256;

/** Does the vcpu have I/O privilege by its virtual IOPL? */
export function ioPermitted(vcpu: Vcpu): boolean {
  const level = vcpu.kernelMode ? (vcpu.domain.assists(VMASST_TYPE_architectural_iopl) ? 0 : 1) : 3;
  return level <= vcpu.iopl;
}

/** By IOPL, or by the I/O bitmap of PHYSDEVOP_set_iobitmap. */
function guestIoOkay(hv: Hypervisor, vcpu: Vcpu, port: number, bytes: number): boolean {
  if (ioPermitted(vcpu)) return true;
  if (vcpu.ioBitmap === -1 || port + bytes > vcpu.ioBitmapPorts) return false;
  const at = (vcpu.ioBitmap + (port >>> 3)) as Va;
  // What can't be read counts as all ones: not permitted.
  const mask = withKernelTable(vcpu, () => {
    hv.scratch.setUint16(0, 0xffff, true);
    if (!hv.access.read(vcpu, at, hv.scratchBytes, 0, 1)) hv.scratch.setUint8(0, 0xff);
    if (!hv.access.read(vcpu, (at + 1) as Va, hv.scratchBytes, 1, 1)) hv.scratch.setUint8(1, 0xff);
    return hv.scratch.getUint16(0, true);
  });
  return (mask & (((1 << bytes) - 1) << (port & 7))) === 0;
}

/** in and out, 0xe4 to 0xe7 and 0xec to 0xef. False: #GP. */
export function ports(hv: Hypervisor, vcpu: Vcpu, opcode: number, port: number, operandSize16: boolean): boolean {
  const bytes = opcode & 1 ? (operandSize16 ? 2 : 4) : 1;
  if (!guestIoOkay(hv, vcpu, port, bytes)) return false;
  const cpu = vcpu.cpu;
  const rax = cpu.lo(Reg.RAX);
  if (opcode & 2) {
    hv.portWrite(vcpu.domain, port, bytes, bytes === 4 ? rax : rax & (bytes === 2 ? 0xffff : 0xff));
    return true;
  }
  const value = hv.portRead(vcpu.domain, port, bytes);
  if (bytes === 4) cpu.set(Reg.RAX, value, 0);
  else {
    const keep = bytes === 2 ? 0xffff0000 : 0xffffff00;
    cpu.set(Reg.RAX, ((rax & keep) | (value & ~keep)) >>> 0, cpu.hi(Reg.RAX));
  }
  return true;
}

/** ins and outs, with or without rep. False: #GP. RIP moves when all elements are done. */
export function stringIo(hv: Hypervisor, vcpu: Vcpu, insn: Instruction, opcode: number): boolean {
  const cpu = vcpu.cpu;
  const bytes = opcode & 1 ? (insn.operandSize16 ? 2 : 4) : 1;
  const port = cpu.lo(Reg.RDX) & 0xffff;
  // A segment base or 32-bit addresses with port strings: no kernel does that; refused rather than half right.
  if (insn.segment !== 0 || insn.addressSize32) return false;
  if (!guestIoOkay(hv, vcpu, port, bytes)) return false;
  const index = opcode & 2 ? Reg.RSI : Reg.RDI;
  const step = cpu.lo(Reg.RFLAGS) & Flag.DF ? -bytes : bytes;
  const goal = insn.rep ? Math.min(cpu.num(Reg.RCX), STRING_BATCH) : 1;
  for (let i = 0; i < goal; i++) {
    hv.charge(ELEMENT_NS);
    const va = cpu.va(index);
    if (va === -1) return false;
    if (!moveElement(hv, vcpu, va, bytes, port, (opcode & 2) !== 0)) {
      hv.traps.injectPageFault(vcpu, va, opcode & 2 ? 0 : 2);
      return true;
    }
    cpu.setBig(index, BigInt.asUintN(64, cpu.big(index) + BigInt(step)));
    if (insn.rep) cpu.setBig(Reg.RCX, cpu.big(Reg.RCX) - 1n);
  }
  if (!insn.rep || cpu.num(Reg.RCX) === 0) moveRip(cpu, insn.at + 1);
  hv.traps.singleStep(vcpu);
  return true;
}

function moveElement(hv: Hypervisor, vcpu: Vcpu, va: Va, bytes: number, port: number, out: boolean): boolean {
  if (!out) {
    hv.scratch.setUint32(0, hv.portRead(vcpu.domain, port, bytes), true);
    return hv.access.write(vcpu, va, hv.scratchBytes, 0, bytes);
  }
  hv.scratch.setUint32(0, 0, true);
  if (!hv.access.read(vcpu, va, hv.scratchBytes, 0, bytes)) return false;
  hv.portWrite(vcpu.domain, port, bytes, hv.scratch.getUint32(0, true));
  return true;
}

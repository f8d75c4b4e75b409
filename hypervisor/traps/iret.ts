// The iret hypercall: the way out of every handler that bounce.ts entered. The guest's stack holds a struct iret_context
// (public/arch-x86/xen-x86_64.h). CS with RPL 3 returns to user mode, anything less to kernel mode; privilege, IOPL and
// VM are never taken from the guest. RFLAGS.IF becomes the upcall mask.

import { IretContext, VGCF_in_syscall } from "../../shared/abi/arch_x86.ts";
import { VMASST_TYPE_architectural_iopl } from "../../shared/abi/xen.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { canonical, Reg, Seg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { Flag } from "./flags.ts";
import { toggleMode } from "./guest_mode.ts";
import { codeSelectorOk, stackSelectorOk } from "./segments.ts";

const O = IretContext.offsets;
/** The fields' low halves, as words of the frame. */
const At = {
  rax: O.rax / 4,
  r11: O.r11 / 4,
  rcx: O.rcx / 4,
  flags: O.flags / 4,
  rip: O.rip / 4,
  cs: O.cs / 4,
  rflags: O.rflags / 4,
  rsp: O.rsp / 4,
  ss: O.ss / 4,
} as const;
const TRAP_gp_fault = 13;
/** RFLAGS bits that a guest may have: the arithmetic ones, TF, DF, NT, RF, AC and ID. */
const GUEST_FLAGS = 0x254dd5;

/** Loads the frame at RSP into the registers, RAX too. The domain is crashed when there is none, or no user table. */
export function iret(hv: Hypervisor, vcpu: Vcpu): void {
  const cpu = vcpu.cpu;
  if (!hv.access.readWords(vcpu, cpu.va(Reg.RSP), hv.scratchWords, IretContext.size / 4)) {
    hv.crash(vcpu.domain, "fault while reading its iret context from its stack");
    return;
  }
  const frame = hv.scratchWords.u32;
  const cs = frame[At.cs] & 0xffff;
  if ((cs & 3) === 3) {
    if (vcpu.guestTableUser === 0) {
      hv.crash(vcpu.domain, "it returns to user mode without a user page table");
      return;
    }
    toggleMode(vcpu);
  }
  const rflags = frame[At.rflags];
  if (vcpu.domain.assists(VMASST_TYPE_architectural_iopl)) vcpu.iopl = (rflags & Flag.IOPL) >>> 12;
  const ss = (frame[At.ss] & 0xffff) | 3;
  const ripLo = frame[At.rip];
  const ripHi = frame[At.rip + 1];
  const flags = (rflags & GUEST_FLAGS) | Flag.IF | 2;
  cpu.set(Reg.RIP, ripLo, ripHi);
  cpu.set(Reg.RFLAGS, flags, 0);
  cpu.set(Reg.RSP, frame[At.rsp], frame[At.rsp + 1]);
  cpu.set(Reg.RAX, frame[At.rax], frame[At.rax + 1]);
  if (frame[At.flags] & VGCF_in_syscall) {
    // As `sysret` leaves them, which Xen then uses.
    cpu.set(Reg.RCX, ripLo, ripHi);
    cpu.set(Reg.R11, flags, 0);
  } else {
    cpu.set(Reg.RCX, frame[At.rcx], frame[At.rcx + 1]);
    cpu.set(Reg.R11, frame[At.r11], frame[At.r11 + 1]);
  }
  hv.memory.u8[vcpu.vcpuInfo + 1] = rflags & Flag.IF ? 0 : 1;
  vcpu.nmiMasked = false;
  loadTarget(hv, vcpu, cs | 3, ss, ripLo, ripHi);
}

/** The processor's own checks of the target: what `iretq` would refuse comes back as #GP at the target. */
function loadTarget(hv: Hypervisor, vcpu: Vcpu, cs: number, ss: number, ripLo: number, ripHi: number): void {
  const cpu = vcpu.cpu;
  const codeOk = codeSelectorOk(hv, vcpu, cs);
  const stackOk = stackSelectorOk(hv, vcpu, ss);
  cpu.setSelector(Seg.CS, cs);
  cpu.setSelector(Seg.SS, ss);
  if (!codeOk) hv.traps.inject(vcpu, TRAP_gp_fault, cs & ~3, false);
  else if (!stackOk) hv.traps.inject(vcpu, TRAP_gp_fault, ss & ~3, false);
  else if (canonical(ripLo, ripHi) === -1) hv.traps.inject(vcpu, TRAP_gp_fault, 0);
}

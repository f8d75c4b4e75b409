// Bounce frames: how a PV guest's kernel is entered at a handler. The processor's exception frame is imitated on the
// guest's own stack, with RCX and R11 below it. Called for exceptions, upcalls, system calls of user programs, and NMIs.
// The frame is described by the iret structure of public/arch-x86/xen-x86_64.h, read upwards from the new RSP:
//   RCX, R11, [error code,] RIP, CS with the saved upcall mask in bits 32 to 39, RFLAGS, RSP, SS
// Kernel mode shows as CS with RPL 0; RFLAGS.IF shows whether upcalls were enabled. From user mode the stack is the one of
// stack_switch; in kernel mode it goes on where it is. A stack that can't take the frame ends the domain: there is no
// deeper handler to tell.

import { FLAT_KERNEL_CS, FLAT_KERNEL_SS } from "../../shared/abi/arch_x86.ts";
import { VcpuInfo, VMASST_TYPE_architectural_iopl } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Reg, Seg } from "../machine/cpu_state.ts";
import { makeWords } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";
import { Flag } from "./flags.ts";
import { toggleMode } from "./guest_mode.ts";

const VA_END = 2 ** 48;
const UPPER_HALF = 2 ** 47;
const UPCALL_MASK = VcpuInfo.offsets.evtchn_upcall_mask;
/** Fixed cost of building a frame on the virtual clock, ns. */
const BOUNCE_NS = 100;

/** The frame before it is copied to the guest's stack; made once for each Bouncer. */
export class Bouncer {
  readonly #hv: Hypervisor;
  readonly #words = makeWords(16);

  constructor(hv: Hypervisor) {
    this.#hv = hv;
  }

  /**
   * Enters the kernel at `address` with the vcpu's present registers in a frame. `errorCode` -1: none. `maskEvents`
   * sets the upcall mask. `fault`: an exception at an instruction that is to be done again, which shows as RF, as the
   * processor has it. False: the domain was crashed.
   */
  enter(vcpu: Vcpu, address: Va, errorCode: number, maskEvents: boolean, fault = false): boolean {
    const hv = this.#hv;
    const cpu = vcpu.cpu;
    let cs = cpu.selector(Seg.CS);
    let sp: Va | -1;
    if (vcpu.kernelMode) {
      sp = cpu.va(Reg.RSP);
      cs &= ~3;
    } else {
      toggleMode(vcpu);
      sp = vcpu.kernelSp;
    }

    const maskAt = vcpu.vcpuInfo + UPCALL_MASK;
    const savedMask = hv.memory.u8[maskAt];
    let flags = (cpu.lo(Reg.RFLAGS) & ~(Flag.IF | Flag.IOPL | Flag.RF)) | (fault ? Flag.RF : 0);
    if (savedMask === 0) flags |= Flag.IF;
    if (vcpu.domain.assists(VMASST_TYPE_architectural_iopl)) flags |= vcpu.iopl << 12;

    const frame = this.#words.u32;
    const at = errorCode === -1 ? 4 : 6; // The processor's part.
    put(frame, 0, cpu.lo(Reg.RCX), cpu.hi(Reg.RCX));
    put(frame, 2, cpu.lo(Reg.R11), cpu.hi(Reg.R11));
    if (errorCode !== -1) put(frame, 4, errorCode, 0);
    put(frame, at, cpu.lo(Reg.RIP), cpu.hi(Reg.RIP));
    put(frame, at + 2, cs, savedMask);
    put(frame, at + 4, flags, 0);
    put(frame, at + 6, cpu.lo(Reg.RSP), cpu.hi(Reg.RSP));
    put(frame, at + 8, cpu.selector(Seg.SS), 0);

    const count = at + 10;
    const size = count * 4;
    const top = sp - (sp & 15);
    const bottom = top >= size ? top - size : top - size + VA_END;
    // A frame must not reach from one half of the address space into the other: what lies between is not canonical.
    const straddles = top >= UPPER_HALF && bottom < UPPER_HALF;
    if (sp === -1 || straddles || !hv.access.writeWords(vcpu, bottom as Va, this.#words, count)) {
      hv.crash(vcpu.domain, `its kernel stack at ${hex(sp)} can't take an exception frame`);
      return false;
    }
    if (address === 0) {
      hv.crash(vcpu.domain, "it has no handler where one was to be entered");
      return false;
    }

    if (maskEvents) hv.memory.u8[maskAt] = 1;
    const after = (cpu.lo(Reg.RFLAGS) & ~(Flag.AC | Flag.VM | Flag.RF | Flag.NT | Flag.TF)) | Flag.IF | 2;
    cpu.set(Reg.RFLAGS, after, 0);
    cpu.setSelector(Seg.CS, FLAT_KERNEL_CS);
    cpu.setSelector(Seg.SS, FLAT_KERNEL_SS);
    cpu.setVa(Reg.RSP, bottom as Va);
    cpu.setVa(Reg.RIP, address);
    // Xen returns to the guest by `sysret` here, and so do these two look.
    cpu.set(Reg.RCX, cpu.lo(Reg.RIP), cpu.hi(Reg.RIP));
    cpu.set(Reg.R11, after, 0);
    hv.charge(BOUNCE_NS);
    return true;
  }
}

function put(frame: Uint32Array, at: number, lo: number, hi: number): void {
  frame[at] = lo;
  frame[at + 1] = hi;
}

function hex(va: number): string {
  return va === -1 ? "an address that is not canonical" : `0x${va.toString(16)}`;
}

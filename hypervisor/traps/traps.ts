// Exceptions and callbacks on their way to the guest: which handler, which error code, which flags. Called by the main loop
// with what a processor's run ended in, and by emulation when it refuses. The frame itself is bounce.ts's.
// What is delivered as what: exceptions and `int n` through the trap table, events through the event callback, `syscall`
// of user mode through the syscall callback, NMIs through vector 2. A vector without a handler ends the domain.

import {
  PFEC_user_mode,
  TRAP_debug,
  TRAP_double_fault,
  TRAP_gp_fault,
  TRAP_int3,
  TRAP_invalid_op,
  TRAP_nmi,
  TRAP_no_device,
  TRAP_overflow,
  TRAP_page_fault,
} from "../../shared/abi/arch_x86.ts";
import { VcpuInfo } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { CpuLayout, type CpuState, Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { Bouncer } from "./bounce.ts";
import { emulateForced, emulatePrivileged } from "./emulate.ts";
import { Flag } from "./flags.ts";

/** Vectors with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
const HAS_ERROR_CODE = (1 << TRAP_double_fault) | (0x1f << 10) | (1 << 17);
const LINUX_SYSCALL_VECTOR = 0x80;
/** What a store to a page table costs on the virtual clock, ns. */
const DIRECT_STORE_NS = 1000;
const DR6_SINGLE_STEP = 0x4000n;

const NAMES: Record<number, string> = {
  0: "#DE",
  1: "#DB",
  2: "NMI",
  3: "#BP",
  4: "#OF",
  6: "#UD",
  7: "#NM",
  13: "#GP",
  14: "#PF",
  17: "#AC",
};

export class Traps {
  readonly #hv: Hypervisor;
  readonly #bouncer: Bouncer;

  constructor(hv: Hypervisor) {
    this.#hv = hv;
    this.#bouncer = new Bouncer(hv);
  }

  /**
   * Delivers exception `vector` at the present RIP; the error code is ignored for vectors that have none. `fault` as for
   * Bouncer.enter.
   */
  inject(vcpu: Vcpu, vector: number, errorCode: number, fault = vector !== TRAP_debug): void {
    let error = vector < 32 && HAS_ERROR_CODE & (1 << vector) ? errorCode : -1;
    if (vector === TRAP_page_fault) {
      this.#setCr2(vcpu, vcpu.cpu.lo(Reg.CR2), vcpu.cpu.hi(Reg.CR2));
      // Both modes run at CPL 3: the guest is told its own.
      error = vcpu.kernelMode ? error & ~PFEC_user_mode : error | PFEC_user_mode;
    }
    this.#deliver(vcpu, vector, error, fault);
  }

  /** A page fault that the hypervisor found itself, at `va`. */
  injectPageFault(vcpu: Vcpu, va: Va, errorCode: number): void {
    vcpu.cpu.setVa(Reg.CR2, va);
    this.inject(vcpu, TRAP_page_fault, errorCode);
  }

  #setCr2(vcpu: Vcpu, lo: number, hi: number): void {
    const at = (vcpu.vcpuInfo + VcpuInfo.offsets.arch) >>> 2;
    this.#hv.memory.u32[at] = lo;
    this.#hv.memory.u32[at + 1] = hi;
  }

  #deliver(vcpu: Vcpu, vector: number, error: number, fault = false): void {
    const hv = this.#hv;
    const address = vcpu.traps.address(vector);
    if (address === 0) {
      const name = NAMES[vector] ?? `vector ${vector}`;
      const code = error === -1 ? "" : ` [${error.toString(16).padStart(4, "0")}]`;
      const where = vector === TRAP_page_fault ? ` at 0x${vcpu.cpu.big(Reg.CR2).toString(16)}` : "";
      hv.crash(vcpu.domain, `no handler for ${name}${code}${where}`);
      return;
    }
    if (hv.trace.traps) hv.trace.emitter.emit("trap", vcpu, "exception", vector, error);
    this.#bouncer.enter(vcpu, address, error, vcpu.traps.masksEvents(vector), fault);
  }

  /** A run ended in an exception: vector and error code are in the state block. */
  exception(vcpu: Vcpu): void {
    const vector = vcpu.cpu.field(CpuLayout.vector);
    const error = vcpu.cpu.field(CpuLayout.errorCode);
    switch (vector) {
      case TRAP_page_fault:
        if (this.#directStore(vcpu)) return;
        break;
      case TRAP_invalid_op:
        if (emulateForced(this.#hv, vcpu)) return;
        break;
      case TRAP_debug:
        vcpu.debugReg[6] |= DR6_SINGLE_STEP;
        break;
      case TRAP_no_device:
        // Delivering it clears TS, so that the handler may use the FPU at once.
        this.setTs(vcpu, false);
        break;
    }
    this.inject(vcpu, vector, error);
  }

  #directStore(vcpu: Vcpu): boolean {
    const { cpu } = vcpu;
    const before = cpu.lo(Reg.RIP);
    if (!this.#hv.mm.handlePageFault(vcpu)) return false;
    this.#hv.charge(DIRECT_STORE_NS);
    // Xen tells DR6 nothing of this one.
    if (cpu.lo(Reg.RFLAGS) & Flag.TF && cpu.lo(Reg.RIP) !== before) this.inject(vcpu, TRAP_debug, 0);
    return true;
  }

  /** The hypervisor has carried out an instruction, and RIP is behind it: the trap that TF asks for comes now. */
  singleStep(vcpu: Vcpu): void {
    if (!(vcpu.cpu.lo(Reg.RFLAGS) & Flag.TF)) return;
    vcpu.debugReg[6] |= DR6_SINGLE_STEP;
    this.inject(vcpu, TRAP_debug, 0);
  }

  /** `int n`, int3, int1: RIP is after the instruction. */
  softInterrupt(vcpu: Vcpu): void {
    const vector = vcpu.cpu.field(CpuLayout.vector);
    const permitted =
      vector === TRAP_int3 ||
      vector === TRAP_overflow ||
      (vector === LINUX_SYSCALL_VECTOR && vcpu.traps.address(vector) !== 0) ||
      vcpu.traps.dpl(vector) >= (vcpu.kernelMode ? 1 : 3);
    if (permitted) {
      this.#deliver(vcpu, vector, -1);
      return;
    }
    // #GP at the instruction, which is two bytes long (redundant prefixes are not counted).
    moveRip(vcpu.cpu, -2);
    if (vector === TRAP_debug && this.#isInt1(vcpu)) {
      moveRip(vcpu.cpu, 2);
      this.#deliver(vcpu, vector, -1); // No privilege level restricts int1.
      return;
    }
    this.inject(vcpu, TRAP_gp_fault, (vector << 3) | 2);
  }

  /** RIP is two before the instruction's end: was it the one-byte int1? */
  #isInt1(vcpu: Vcpu): boolean {
    const va = vcpu.cpu.va(Reg.RIP);
    if (va === -1 || !this.#hv.access.read(vcpu, (va + 1) as Va, this.#hv.scratchBytes, 0, 1)) return false;
    return this.#hv.scratchBytes[0] === 0xf1;
  }

  /** Something that only a kernel may do, or cpuid. */
  privileged(vcpu: Vcpu): void {
    if (this.#hv.trace.traps) this.#hv.trace.emitter.emit("privileged", vcpu);
    if (!emulatePrivileged(this.#hv, vcpu)) this.inject(vcpu, TRAP_gp_fault, 0);
  }

  /** `syscall` in user mode; RIP, RCX and R11 are as the instruction leaves them. */
  userSyscall(vcpu: Vcpu): void {
    const cpu = vcpu.cpu;
    const address = vcpu.syscallCallback;
    if (address === -1 || address === 0) {
      moveRip(cpu, -2);
      this.inject(vcpu, TRAP_invalid_op, 0);
      return;
    }
    if (this.#hv.trace.traps) this.#hv.trace.emitter.emit("trap", vcpu, "syscall", 0, -1);
    if (this.#bouncer.enter(vcpu, address, -1, vcpu.syscallDisablesEvents))
      cpu.set(Reg.RFLAGS, cpu.lo(Reg.RFLAGS) & ~Flag.DF, 0);
  }

  /** At the failsafe callback, with the data segments' `selectors` in the frame: DS, ES, FS, GS. */
  failsafe(vcpu: Vcpu, selectors: readonly number[]): void {
    const { cpu } = vcpu;
    const low = [cpu.big(Reg.RCX), cpu.big(Reg.R11), ...selectors.map(BigInt)];
    const address = vcpu.failsafeCallback === -1 ? (0 as Va) : vcpu.failsafeCallback;
    if (this.#hv.trace.traps) this.#hv.trace.emitter.emit("trap", vcpu, "failsafe", 0, -1);
    if (!this.#bouncer.enter(vcpu, address, -1, vcpu.failsafeDisablesEvents)) return;
    // The selectors lie between R11 and RIP: the frame reaches further down by four.
    const bottom = cpu.va(Reg.RSP) - selectors.length * 8;
    const frame = new BigUint64Array(low);
    const written =
      bottom >= 0 && this.#hv.access.write(vcpu, bottom as Va, new Uint8Array(frame.buffer), 0, frame.byteLength);
    if (written) cpu.setVa(Reg.RSP, bottom as Va);
    else this.#hv.crash(vcpu.domain, "its kernel stack can't take a failsafe frame");
  }

  /** Before the guest runs: its NMI, or else its event upcall, if one waits and is not masked. */
  deliverPending(vcpu: Vcpu): void {
    if (vcpu.nmiPending && !vcpu.nmiMasked) {
      vcpu.nmiPending = false;
      const address = vcpu.traps.address(TRAP_nmi);
      if (address !== 0) {
        vcpu.nmiMasked = true;
        if (this.#hv.trace.traps) this.#hv.trace.emitter.emit("trap", vcpu, "nmi", TRAP_nmi, -1);
        this.#bouncer.enter(vcpu, address, -1, vcpu.traps.masksEvents(TRAP_nmi));
        return;
      }
    }
    if (!this.#hv.events.needsDelivery(vcpu)) return;
    if (this.#hv.trace.traps) this.#hv.trace.emitter.emit("trap", vcpu, "event", 0, -1);
    this.#bouncer.enter(vcpu, vcpu.eventCallback === -1 ? (0 as Va) : vcpu.eventCallback, -1, true);
  }

  /** CR0.TS as the guest sees it: the next x87 or SSE instruction raises #NM. */
  setTs(vcpu: Vcpu, ts: boolean): void {
    vcpu.cr0Ts = ts;
    vcpu.cpu.setField(CpuLayout.ts, ts ? 1 : 0);
  }
}

/** Moves RIP by a small signed number of bytes. */
export function moveRip(cpu: CpuState, delta: number): void {
  const lo = cpu.lo(Reg.RIP) + delta;
  cpu.set(Reg.RIP, lo >>> 0, (cpu.hi(Reg.RIP) + (lo < 0 ? -1 : lo > 0xffffffff ? 1 : 0)) >>> 0);
}

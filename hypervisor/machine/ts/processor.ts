// The TypeScript processor: runs a kernel of generator functions (shared/kernel.ts) behind the same interface as machine
// code. The hypervisor sees registers: RIP is an address that stands for a function, RSP is the kernel's stack in its own
// frames. When the hypervisor has pushed a bounce frame and set RIP to a handler's address, the handler's generator is run on
// top; when it ends, its frame becomes an iret_context (public/arch-x86/xen.h) and the iret hypercall is issued.
//
// Function n has two addresses: `CODE_BASE + 16 n` enters it, 8 more is "inside it": RIP while its generator is suspended.
// One vcpu. Left out: user mode, exceptions in the kernel (a fault is a JavaScript exception of the access itself).

import { FLAT_KERNEL_CS, IretContext } from "../../../shared/abi/arch_x86.ts";
import { __HYPERVISOR_iret } from "../../../shared/abi/xen.ts";
import type { Va } from "../../../shared/brand.ts";
import type { KernelCode, KernelMain } from "../../../shared/kernel.ts";
import { type CpuState, Reg } from "../cpu_state.ts";
import type { MachineMemory } from "../memory.ts";
import { Exit, type Processor, type ProcessorHost, type Tlb } from "../processor.ts";
import type { PageWalker } from "../walk.ts";
import { TsCpu } from "./cpu.ts";

/** What the TypeScript processor needs from the machine around it. */
export interface TsHost extends ProcessorHost {
  /** Carries out the hypercall that the registers describe, continuations included, and sets RAX. */
  hypercall(cpu: CpuState): void;
  /** `out`, 32 bits wide; false: not permitted. */
  portOut(cpu: CpuState, port: number, value: number): boolean;
  /** The kernel has failed: the domain is to be crashed. */
  crash(cpu: CpuState, reason: string): void;
  /** Nanoseconds of host time for measuring a slice, or undefined on the virtual clock, where only work done counts. */
  readonly nowNs: (() => number) | undefined;
}

/** Where the functions' addresses begin: below any kernel's memory, never mapped. */
export const CODE_BASE = 0x10000;
const INSIDE = 8;
const MAX_FUNCTIONS = 4096;
/** What a resumption of a generator counts for in instructions: fixed, so that the virtual clock is exact. */
const RESUME_COST = 500;

/** Of what a kernel threw, so much is told. */
const MAX_REASON = 4000;

/** The frames of a stack trace from here down are the machine's, and tell nothing of the kernel. */
const OWN_FRAMES = /\n *at (?:Ts|Script)Processor\..*/s;

/** What a kernel threw, as text, with its stack down to the processor: never throws itself, whatever that is. */
export function reasonOf(error: unknown): string {
  try {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return String(text).slice(0, MAX_REASON).replace(OWN_FRAMES, "");
  } catch {
    return "the kernel threw something that can't be shown";
  }
}

interface Frame {
  readonly code: KernelCode;
  /** RIP while the function is suspended. */
  readonly rip: Va;
}

export class TsProcessor implements Processor {
  retired = 0;
  /** Address of the main function: RIP at the start of day. */
  readonly entryPoint: Va;
  readonly #host: TsHost;
  readonly #kernel: TsCpu;
  readonly #functions: (() => KernelCode)[] = [];
  readonly #addresses = new Map<() => KernelCode, Va>();
  readonly #frames: Frame[] = [];

  constructor(memory: MachineMemory, walker: PageWalker, tlb: Tlb, host: TsHost, main: KernelMain, base: Va) {
    this.#host = host;
    this.#kernel = new TsCpu(memory, walker, tlb, host, base, (handler) => this.#entry(handler));
    this.entryPoint = this.#entry(() => main(this.#kernel));
  }

  run(cpu: CpuState, budget: number): Exit {
    const kernel = this.#kernel;
    kernel.begin(cpu, budget);
    try {
      const frame = this.#current(cpu);
      kernel.count(RESUME_COST);
      if (frame.code.next().done) this.#leave(cpu);
    } catch (error) {
      this.#host.crash(cpu, reasonOf(error));
    }
    this.retired = kernel.counted;
    return kernel.counted >= budget ? Exit.Budget : Exit.Interrupted;
  }

  /** The function that RIP stands for: the suspended one, or a new one on top of it. */
  #current(cpu: CpuState): Frame {
    const rip = cpu.va(Reg.RIP);
    const top = this.#frames.at(-1);
    if (top !== undefined && rip === top.rip) return top;
    const index = (rip - CODE_BASE) / 16;
    const start = this.#functions[index];
    if (start === undefined || (this.#frames.length === 0 && rip !== this.entryPoint))
      throw new Error(`RIP 0x${rip.toString(16)} is no function of the kernel`);
    if (index === 0) {
      cpu.setVa(Reg.RIP, (rip + INSIDE) as Va);
      this.#kernel.startInfo = cpu.va(Reg.RSI) as Va;
    }
    const frame = { code: start(), rip: (rip + INSIDE) as Va };
    this.#frames.push(frame);
    cpu.setVa(Reg.RIP, frame.rip);
    return frame;
  }

  /**
   * A handler has ended. At RSP is what the hypervisor pushed: rcx, r11, an error code for some vectors, rip, cs, rflags,
   * rsp, ss. rcx, r11 and the error code make way for rax, r11, rcx, flags: the iret_context.
   */
  #leave(cpu: CpuState): void {
    this.#frames.pop();
    const below = this.#frames.at(-1);
    if (below === undefined) throw new Error("the kernel's main function returned");
    const kernel = this.#kernel;
    const sp = cpu.va(Reg.RSP);
    if (sp === -1) throw new Error("the kernel's stack pointer is not canonical");
    const pushed = kernel.view(sp, 32, false);
    const at = new DataView(pushed.buffer, pushed.byteOffset, 32);
    const isReturn = (offset: number): boolean =>
      at.getUint32(offset, true) === below.rip % 4294967296 && at.getUint32(offset + 4, true) === 0;
    const returnAt = isReturn(16) ? 16 : isReturn(24) ? 24 : -1;
    if (returnAt < 0) throw new Error("the kernel's stack holds no frame to return by");
    const [rcx, r11] = [at.getBigUint64(0, true), at.getBigUint64(8, true)];
    const bottom = (sp + returnAt - IretContext.offsets.rip) as Va;
    const bytes = kernel.view(bottom, IretContext.size, true);
    const context = IretContext.at(new DataView(bytes.buffer, bytes.byteOffset, IretContext.size));
    context.rax = cpu.big(Reg.RAX);
    context.r11 = r11;
    context.rcx = rcx;
    context.flags = 0n;
    if ((context.cs_lo & 0xfffc) !== (FLAT_KERNEL_CS & 0xfffc))
      throw new Error("the frame on the stack isn't the kernel's");
    cpu.setVa(Reg.RSP, bottom);
    cpu.setNum(Reg.RAX, __HYPERVISOR_iret);
    this.#host.hypercall(cpu);
  }

  #entry(handler: () => KernelCode): Va {
    const known = this.#addresses.get(handler);
    if (known !== undefined) return known;
    if (this.#functions.length === MAX_FUNCTIONS)
      throw new RangeError(`a kernel has at most ${MAX_FUNCTIONS} handlers`);
    const va = (CODE_BASE + 16 * this.#functions.length) as Va;
    this.#functions.push(handler);
    this.#addresses.set(handler, va);
    return va;
  }
}

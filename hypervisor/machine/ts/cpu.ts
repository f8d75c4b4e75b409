// The processor as a TypeScript kernel sees it (shared/kernel.ts): memory through the page tables, hypercalls through the
// registers, the time, the slice. Made by processor.ts, one for each kernel. Every access walks the kernel's page tables:
// there is no translation cache here that could go stale.

import type { Mfn, Va } from "../../../shared/brand.ts";
import { type KernelCode, type KernelCpu, PageFault } from "../../../shared/kernel.ts";
import { CpuLayout, type CpuState, Reg } from "../cpu_state.ts";
import { FRAME_SIZE, type MachineMemory } from "../memory.ts";
import type { Tlb } from "../processor.ts";
import { Access, type PageWalker } from "../walk.ts";
import type { TsHost } from "./processor.ts";

const ARGUMENTS = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9] as const;

// What each operation counts for in instructions, of 1 ns on the virtual clock. The hypervisor charges for its own work.
const VIEW_COST = 50;
const VIEW_PAGE_COST = 5;
const HYPERCALL_COST = 100;
const OUT_COST = 500;
const LOOK_COST = 100;

export class TsCpu implements KernelCpu {
  readonly base: Va;
  startInfo = 0 as Va;
  /** Instructions' worth of work since begin(). */
  counted = 0;
  readonly entry: (handler: () => KernelCode) => Va;
  readonly #memory: MachineMemory;
  readonly #walker: PageWalker;
  readonly #tlb: Tlb;
  readonly #host: TsHost;
  #cpu: CpuState | undefined = undefined;
  #budget = 0;
  #startNs = 0;

  constructor(
    memory: MachineMemory,
    walker: PageWalker,
    tlb: Tlb,
    host: TsHost,
    base: Va,
    entry: (handler: () => KernelCode) => Va,
  ) {
    this.#memory = memory;
    this.#walker = walker;
    this.#tlb = tlb;
    this.#host = host;
    this.base = base;
    this.entry = entry;
  }

  /** A slice begins. For processor.ts. */
  begin(cpu: CpuState, budget: number): void {
    this.#cpu = cpu;
    this.#budget = budget;
    this.counted = 0;
    this.#startNs = this.#host.nowNs?.() ?? 0;
  }

  /** Counts work, up to the slice's budget, so that time never seems to go back at its end. For processor.ts. */
  count(instructions: number): void {
    this.counted = Math.min(this.counted + instructions, this.#budget);
  }

  hypercall(nr: number, ...args: number[]): number {
    const cpu = this.#running();
    this.count(HYPERCALL_COST);
    for (let i = 0; i < args.length; i++) cpu.setNum(ARGUMENTS[i], args[i]);
    cpu.setNum(Reg.RAX, nr);
    // As `syscall` leaves them. RIP stays where it is: the hypervisor repeats what is to be continued.
    cpu.set(Reg.RCX, cpu.lo(Reg.RIP), cpu.hi(Reg.RIP));
    cpu.set(Reg.R11, cpu.lo(Reg.RFLAGS), cpu.hi(Reg.RFLAGS));
    this.#host.hypercall(cpu);
    return cpu.lo(Reg.RAX) + (cpu.hi(Reg.RAX) | 0) * 4294967296;
  }

  view(va: Va, sizeBytes: number, write: boolean): Uint8Array<SharedArrayBuffer> {
    const cr3 = this.#running().field(CpuLayout.cr3) as Mfn;
    const access = write ? Access.WRITE : Access.READ;
    const offset = va & (FRAME_SIZE - 1);
    const pages = Math.max(1, Math.ceil((offset + sizeBytes) / FRAME_SIZE));
    if (!Number.isSafeInteger(va) || va < 0 || sizeBytes < 0 || va + sizeBytes > 2 ** 48)
      throw new RangeError(`no ${sizeBytes} bytes at 0x${va.toString(16)}`);
    this.count(VIEW_COST + pages * VIEW_PAGE_COST);
    let first = 0;
    for (let i = 0; i < pages; i++) {
      const page = (va - offset + i * FRAME_SIZE) as Va;
      const mfn = this.#walker.walk(cr3, page, access);
      if (mfn === -1) throw new PageFault(i === 0 ? va : page, write);
      if (i === 0) first = mfn;
      else if (mfn !== first + i) throw new RangeError(`the frames at 0x${va.toString(16)} are not consecutive`);
      if (write) this.#tlb.dropCode(mfn);
    }
    const start = first * FRAME_SIZE + offset;
    return this.#memory.u8.subarray(start, start + sizeBytes);
  }

  /** A copy of the bytes at `va`, wherever their frames are. Throws PageFault. For script.ts. */
  read(va: Va, sizeBytes: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(sizeBytes);
    for (let at = 0; at < sizeBytes; ) {
      const n = Math.min(sizeBytes - at, FRAME_SIZE - ((va + at) % FRAME_SIZE));
      copy.set(this.view((va + at) as Va, n, false), at);
      at += n;
    }
    return copy;
  }

  out(port: number, value: number): void {
    this.count(OUT_COST);
    if (!this.#host.portOut(this.#running(), port, value))
      throw new Error(`general protection fault: out to port 0x${port.toString(16)}`);
  }

  tsc(): number {
    const { lo, hi } = this.#host.tsc(this.counted);
    return lo + hi * 4294967296;
  }

  expired(): boolean {
    this.count(LOOK_COST);
    if (this.counted >= this.#budget) return true;
    const now = this.#host.nowNs;
    return now !== undefined && now() - this.#startNs >= this.#budget;
  }

  #running(): CpuState {
    if (this.#cpu === undefined) throw new Error("the kernel does not run");
    return this.#cpu;
  }
}

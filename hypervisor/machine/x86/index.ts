// The x86-64 processor: runs user-level 64-bit machine code until something concerns the hypervisor.

import type { Mfn, Va } from "../../../shared/brand.ts";
import type { CpuState } from "../cpu_state.ts";
import type { MachineMemory } from "../memory.ts";
import type { Exit, Processor, ProcessorHost, Tlb } from "../processor.ts";
import type { PageWalker } from "../walk.ts";

export declare class X86Processor implements Processor {
  readonly tlb: Tlb;
  /** Instructions completed by the last run. */
  retired: number;
  /** Reserves its memory at the bottom of machine memory: to be made before the first frame is handed out. */
  constructor(memory: MachineMemory, walker: PageWalker, host: ProcessorHost);
  run(cpu: CpuState, budget: number): Exit;
  /** Makes the run that is under way return Interrupted soon; from any thread by way of `exitFlag`. */
  requestExit(): void;
  /** Executes one instruction while the page at `va` is translated, readable and writable, to frame `mfn`. */
  stepWithOverride(cpu: CpuState, va: Va, mfn: Mfn): Exit;
}

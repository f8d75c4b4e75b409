// What the hypervisor asks of a processor (DESIGN, the execution contract). Two implement it: x86/ runs machine code,
// ts/ runs TypeScript kernels. The hypervisor sees registers and memory, never which of the two it was.

import type { Mfn, Va } from "../../shared/brand.ts";
import type { CpuState } from "./cpu_state.ts";

/** Why run() returned. RIP points at the instruction that caused it, but for Syscall, where it points after it. */
export const Exit = {
  /** The budget is spent. */
  Budget: 0,
  /** A `syscall` instruction; RCX and R11 are already set as it sets them. The hypervisor knows which mode it was. */
  Syscall: 1,
  /** An exception: `vector` and `errorCode` in the state block, CR2 for page faults. Nothing of the instruction's
   *  effect remains. #BP and #OF from int3, and `int n`, are SoftInterrupt instead. */
  Exception: 2,
  /** `int n`, int3, int1: the vector is in the state block, RIP points after the instruction. */
  SoftInterrupt: 3,
  /** An instruction that only the hypervisor can carry out: what #GPs at CPL 3 (mov cr/dr, rdmsr, wrmsr, in, out, hlt,
   *  cli, sti, invlpg, swapgs, ...) and cpuid. RIP points at it; nothing is done yet. */
  Privileged: 4,
  /** The run was ended by requestExit(), or took longer than its budget stands for: look at the clock. */
  Interrupted: 5,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

export interface Processor {
  /**
   * Runs the vcpu until something concerns the hypervisor, for at most `budget` instructions (1 to 2^30). With
   * `budget` 1 exactly one instruction is executed. `retired` then says how many were completed.
   */
  run(cpu: CpuState, budget: number): Exit;
  /** Instructions completed by the last run(). */
  readonly retired: number;
}

/** The one translation cache of the one processor, shared by all vcpus, each entry tagged with its level-4 table. */
export interface Tlb {
  /**
   * The frame of a page that CPL 3 may read by this table, or write (`write`), when a translation for that is cached; else 0.
   * A frame found for writing is marked dirty already, and nothing decoded from it is kept.
   */
  lookup(cr3: Mfn, va: Va, write: boolean): Mfn;
  /** Drops every translation of every table. */
  flushAll(): void;
  /** Drops the translations of one level-4 table. */
  flushTable(cr3: Mfn): void;
  /** Drops the translations of one page in every table. */
  flushPage(va: Va): void;
  /**
   * To be called before a frame changes its type or owner: afterwards no translation to it remains, decoded code of it
   * is gone. Cheap when none was ever made since the last flush.
   */
  retire(mfn: Mfn): void;
  /** Drops what was decoded from the frame: to be called when something other than a guest's store has written to it. */
  dropCode(mfn: Mfn): void;
  /**
   * One more device (`may`) may write to the frame from now on, or one less. A device doesn't say when it does: what is decoded
   * from such a frame is good until `dropDeviceCode`.
   */
  deviceWrites(mfn: Mfn, may: boolean): void;
  /** Drops what was decoded from frames that devices may write: to be called before a vcpu can learn that they have. */
  dropDeviceCode(): void;
}

/** What the x86 processor needs from the machine around it. */
export interface ProcessorHost {
  /** The time stamp counter, in cycles of 1 ns, as halves. `retired` is how far into the current run it is asked. */
  tsc(retired: number): { lo: number; hi: number };
  /** A line for the hypervisor's log: an instruction that isn't supported, with its bytes and disassembly. */
  log(line: string): void;
  /** Given when somebody profiles: the function with its time counted under `name`. */
  readonly timed?: <F extends (...args: never[]) => unknown>(name: string, f: F) => F;
}

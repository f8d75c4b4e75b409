// What a TypeScript kernel is, and the processor as it sees it. The TypeScript processor (hypervisor/machine/ts/) runs
// it; the SDK (guests/sdk/) is written on it; dom0 is one. The kernel is an ordinary PV domain: its hypercalls go
// through the hypercall table, its stack and page tables lie in its own frames, its handlers have addresses.
//
// A kernel is generator functions. `yield` gives the processor back to the hypervisor; upcalls and traps are delivered
// there: the hypervisor pushes a bounce frame onto the kernel's stack and sets RIP to a handler's address, the processor
// sees the address and runs that handler's generator on top; when it ends, the processor issues the iret hypercall with
// the frame on the stack, and the generator below goes on. Hypercalls are plain calls; one that blocks, yields or ends the
// domain must be followed by a `yield` at once.

import type { Va } from "./brand.ts";

/** A kernel's thread of control. What is yielded is nothing; what is sent back is nothing. */
export type KernelCode = Generator<void, void, void>;

/** The default export of a kernel module. */
export type KernelMain = (cpu: KernelCpu) => KernelCode;

export interface KernelCpu {
  /** Virtual address of start_info, as RSI holds it at the start of day. */
  readonly startInfo: Va;
  /** Where the kernel's own memory begins: page frame n is at `base + n * 4096`, to the end of its memory. */
  readonly base: Va;
  /**
   * Issues hypercall `nr`. Arguments are whole numbers below 2^53, addresses among them (this kernel's lie in the lower
   * half); the result is what RAX would hold, signed: >= 0, or a negative errno.
   */
  hypercall(nr: number, ...args: number[]): number;
  /**
   * The bytes at virtual addresses `va` to `va + sizeBytes`, through the kernel's page tables. Throws `PageFault` when
   * a page is not mapped (or not writable, if `write`), and RangeError when the pages' frames are not consecutive in
   * machine memory: dom0's own memory is one run of frames, another kernel's several. Valid until the mapping is changed.
   */
  view(va: Va, sizeBytes: number, write: boolean): Uint8Array<SharedArrayBuffer>;
  /** The address that stands for a handler, for set_callbacks and set_trap_table. One address for one function. */
  entry(handler: () => KernelCode): Va;
  /** The `out` instruction, 32 bits wide. Without permission for the port it is a #GP like anybody's. */
  out(port: number, value: number): void;
  /** The time stamp counter, as `rdtsc` reads it: cycles of 1 ns. */
  tsc(): number;
  /** True when the slice is spent and the kernel ought to yield soon. */
  expired(): boolean;
}

/** Thrown by KernelCpu.view, as a load or store through an unmapped address would fault. */
export class PageFault extends Error {
  override readonly name = "PageFault";
  readonly va: Va;

  /** A kernel is given code of its own (script_image.ts), this class among it: what the processor throws is known by its name. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === "PageFault";
  }

  constructor(va: Va, write: boolean) {
    super(`page fault: ${write ? "write to" : "read of"} 0x${va.toString(16)}`);
    this.va = va;
  }
}

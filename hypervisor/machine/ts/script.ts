// The processor of a domain whose image is a script (shared/script_image.ts): entered at the image, it reads the text
// through the kernel's page tables, has the host compile it, and from then on is the TypeScript processor of the kernel that
// came out. Made by domctl XEN_DOMCTL_script. It holds all that the kernel has outside of its domain's memory, so that
// dropping it drops that.

import type { Va } from "../../../shared/brand.ts";
import type { KernelMain } from "../../../shared/kernel.ts";
import { MAX_SCRIPT_BYTES, SCRIPT_MAGIC, ScriptImage } from "../../../shared/script_image.ts";
import { type CpuState, Reg } from "../cpu_state.ts";
import type { MachineMemory } from "../memory.ts";
import { Exit, type Processor, type Tlb } from "../processor.ts";
import type { PageWalker } from "../walk.ts";
import { TsCpu } from "./cpu.ts";
import { reasonOf, type TsHost, TsProcessor } from "./processor.ts";

/** Makes a kernel's main function of its text. May throw what the text throws. Injected by whoever makes the machine. */
export type CompileKernel = (text: string, name: string) => KernelMain;

/** What reading and compiling counts for, in instructions a byte of text. */
const COST_PER_BYTE = 10;
const MAX_NAME = 4096;

export class ScriptProcessor implements Processor {
  retired = 0;
  #kernel: TsProcessor | undefined = undefined;
  readonly #memory: MachineMemory;
  readonly #walker: PageWalker;
  readonly #tlb: Tlb;
  readonly #host: TsHost;
  readonly #compile: CompileKernel;

  constructor(memory: MachineMemory, walker: PageWalker, tlb: Tlb, host: TsHost, compile: CompileKernel) {
    this.#memory = memory;
    this.#walker = walker;
    this.#tlb = tlb;
    this.#host = host;
    this.#compile = compile;
  }

  run(cpu: CpuState, budget: number): Exit {
    if (this.#kernel === undefined) return this.#start(cpu, budget);
    const exit = this.#kernel.run(cpu, budget);
    this.retired = this.#kernel.retired;
    return exit;
  }

  /** The first instruction, so to speak: the text becomes a kernel, and RIP the address of its main function. */
  #start(cpu: CpuState, budget: number): Exit {
    this.retired = budget;
    try {
      const base = cpu.va(Reg.RIP);
      if (base === -1) throw new Error("RIP is not canonical");
      const { name, text } = this.#read(cpu, base);
      this.retired = Math.min(budget, text.length * COST_PER_BYTE);
      const main = this.#compile(text, name);
      if (typeof main !== "function") throw new Error(`${name} has no kernel as its default export`);
      this.#kernel = new TsProcessor(this.#memory, this.#walker, this.#tlb, this.#host, main, base);
      cpu.setVa(Reg.RIP, this.#kernel.entryPoint);
    } catch (error) {
      this.#host.crash(cpu, reasonOf(error));
    }
    return this.retired >= budget ? Exit.Budget : Exit.Interrupted;
  }

  /** A copy of what the image says. The frames may be anywhere in machine memory, so it is read page by page. */
  #read(cpu: CpuState, base: Va): { name: string; text: string } {
    const reader = new TsCpu(this.#memory, this.#walker, this.#tlb, this.#host, base, () => base);
    reader.begin(cpu, Number.MAX_SAFE_INTEGER);
    const header = ScriptImage.at(new DataView(reader.read(base, ScriptImage.size).buffer));
    if (header.magic !== SCRIPT_MAGIC) throw new Error(`no script image at 0x${base.toString(16)}`);
    const { name_bytes: nameBytes, text_bytes: textBytes } = header;
    if (nameBytes > MAX_NAME || textBytes > MAX_SCRIPT_BYTES) throw new Error("the script image is too large");
    const whole = reader.read((base + ScriptImage.size) as Va, nameBytes + textBytes);
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    return { name: decode(whole.subarray(0, nameBytes)), text: decode(whole.subarray(nameBytes)) };
  }
}

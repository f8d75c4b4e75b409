// A machine just large enough to run vectors on: our x86 processor, and page tables that map the places of format.ts.
// Used by the vectors' test and by `npm run vectors -- --random`.

import { CpuLayout, CpuState, Reg } from "../../hypervisor/machine/cpu_state.ts";
import { allocateMemory, FRAME_SIZE, MachineMemory } from "../../hypervisor/machine/memory.ts";
import { Exit } from "../../hypervisor/machine/processor.ts";
import { Pte, pteLo, tableIndex } from "../../hypervisor/machine/pte.ts";
import { PageWalker } from "../../hypervisor/machine/walk.ts";
import { X86Processor } from "../../hypervisor/machine/x86/index.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import { DATA_SIZE, FIXED_FLAGS, FLAGS, FX_SIZE, Place, stateOf, type Vector } from "./format.ts";

/** More runs than the longest repeated string instruction of a vector can need. */
const MAX_RUNS = 4000;
const LOOP_BUDGET = 100_000;
const HLT = 0xf4;

export class VectorMachine {
  readonly memory = new MachineMemory(allocateMemory(64));
  readonly cpu: CpuState;
  readonly processor: X86Processor;
  /** Lines that the processor logged during the last vector. */
  log: string[] = [];
  readonly #code: Mfn;
  readonly #data: Mfn;
  #next: number;
  #exit: Exit = Exit.Budget;

  constructor() {
    const memory = this.memory;
    const state = memory.reserve(CpuLayout.size);
    this.cpu = new CpuState(memory, state);
    const host = { tsc: () => ({ lo: 0, hi: 0 }), log: (line: string) => this.log.push(line) };
    this.processor = new X86Processor(memory, new PageWalker(memory), host);
    this.#next = memory.firstFree;
    const root = this.#frame();
    this.#code = this.#frame();
    this.#map(root, Place.code, this.#code, Pte.P | Pte.US | Pte.RW);
    // Two frames one behind the other, so that both pages are one run of bytes.
    this.#data = this.#frame();
    const second = this.#frame();
    this.#map(root, Place.data, this.#data, Pte.P | Pte.US | Pte.RW);
    this.#map(root, Place.data + FRAME_SIZE, second, Pte.P | Pte.US | Pte.RW);
    const fixed = this.#frame();
    for (let i = 0; i < FRAME_SIZE; i++) memory.u8[fixed * FRAME_SIZE + i] = i * 7 + 1;
    this.#map(root, Place.readOnly, fixed, Pte.P | Pte.US);
    this.cpu.setField(CpuLayout.cr3, root);
    this.cpu.setBig(Reg.GS_BASE, BigInt(Place.gsBase));
  }

  /**
   * Runs a vector. Returns how the outcome differs from it, a line each: none when all is well. One instruction alone is
   * run by a function of its own; `inLoop` gives a large budget and a hlt behind it instead, so that the interpreter's loop
   * runs it if it has a handler for it.
   */
  run(vector: Vector, inLoop = false): string[] {
    const { memory, cpu } = this;
    const { before } = vector;
    this.log = [];
    for (let r = 0; r < 16; r++) cpu.setBig(r, before.regs[r]);
    cpu.setBig(Reg.RIP, BigInt(Place.rip));
    cpu.set(Reg.RFLAGS, before.flags, 0);
    memory.u8.set(before.data, this.#data * FRAME_SIZE);
    memory.u8.set(before.fx, cpu.address + CpuLayout.fxsave);
    memory.frame(this.#code).fill(0xcc);
    const at = this.#code * FRAME_SIZE + Place.rip - Place.code;
    memory.u8.set(vector.code, at);
    if (inLoop) memory.u8[at + vector.code.length] = HLT;
    this.processor.tlb.dropCode(this.#code);

    let exit: Exit = this.processor.run(cpu, inLoop ? LOOP_BUDGET : 1);
    if (inLoop && exit === Exit.Privileged && cpu.num(Reg.RIP) === Place.rip + vector.code.length) exit = Exit.Budget;
    for (let i = 0; exit === Exit.Budget && cpu.num(Reg.RIP) === Place.rip && i < MAX_RUNS; i++) {
      exit = this.processor.run(cpu, 1);
    }
    this.#exit = exit;
    return this.#compare(vector, exit);
  }

  /**
   * Runs one instruction with all registers leading into the data. Returns why it can't be run (#UD, or an error of our
   * own), or undefined: a fault of any other kind is an answer too.
   */
  probe(code: Uint8Array): string | undefined {
    const before = stateOf(1);
    before.regs.fill(BigInt(Place.middle));
    const vector: Vector = { code, before, after: before, ip: 0n, undefinedFlags: 0 };
    try {
      this.run(vector);
    } catch (error) {
      return (error as Error).message;
    }
    return this.#exit === Exit.Exception && this.cpu.field(CpuLayout.vector) === 6 ? "#UD" : undefined;
  }

  #compare({ before, after, ip, undefinedFlags, trap }: Vector, exit: Exit): string[] {
    const { memory, cpu } = this;
    const differences: string[] = [];
    const expect = (what: string, wanted: bigint | number, got: bigint | number) => {
      if (wanted !== got) differences.push(`${what} is ${got.toString(16)}, on hardware ${wanted.toString(16)}`);
    };
    const name = Object.keys(Exit).find((key) => Exit[key as keyof typeof Exit] === exit);
    const wanted = trap ? "Exception" : "Budget";
    if (name !== wanted) {
      const [vector, error] = [cpu.field(CpuLayout.vector), cpu.field(CpuLayout.errorCode)];
      const which = exit === Exit.Exception ? ` ${vector}/${error} CR2 ${cpu.big(Reg.CR2).toString(16)}` : "";
      differences.push(`exit is ${name}${which}, expected ${wanted} ${this.log.join(" ")}`);
    }
    if (trap && exit === Exit.Exception) {
      expect("vector", trap.vector, cpu.field(CpuLayout.vector));
      expect("error code", trap.error, cpu.field(CpuLayout.errorCode));
      if (trap.cr2 !== undefined) expect("CR2", trap.cr2, cpu.big(Reg.CR2));
    }
    for (let r = 0; r < 16; r++) expect(`r${r.toString(16)}`, after.regs[r], cpu.big(r));
    expect("RIP", BigInt.asUintN(64, ip + BigInt(Place.rip)), cpu.big(Reg.RIP));
    const mask = FLAGS & ~undefinedFlags;
    expect("flags", after.flags & mask, cpu.lo(Reg.RFLAGS) & mask);
    expect("fixed flags", FIXED_FLAGS, cpu.lo(Reg.RFLAGS) & ~FLAGS);
    const data = memory.u8.subarray(this.#data * FRAME_SIZE, this.#data * FRAME_SIZE + DATA_SIZE);
    differences.push(...bytes("data", before.data, after.data, data));
    const fx = cpu.address + CpuLayout.fxsave;
    differences.push(...bytes("fxsave", before.fx, after.fx, memory.u8.subarray(fx, fx + FX_SIZE)));
    return differences;
  }

  #frame(): Mfn {
    return this.#next++ as Mfn;
  }

  #map(root: Mfn, address: number, mfn: Mfn, flags: number): void {
    const va = address as Va;
    let table = root;
    for (let level = 4; level > 1; level--) {
      const at = table * 1024 + tableIndex(va, level) * 2;
      if (!(this.memory.u32[at] & Pte.P)) this.memory.u32[at] = pteLo(this.#frame(), Pte.P | Pte.US | Pte.RW);
      table = (this.memory.u32[at] >>> 12) as Mfn;
    }
    this.memory.u32[table * 1024 + tableIndex(va, 1) * 2] = pteLo(mfn, flags);
  }
}

function bytes(what: string, before: Uint8Array, wanted: Uint8Array, got: Uint8Array): string[] {
  const found: string[] = [];
  for (let i = 0; i < got.length && found.length < 4; i++) {
    if (wanted[i] === got[i]) continue;
    const [had, has, want] = [before[i], got[i], wanted[i]].map((byte) => byte.toString(16));
    found.push(`${what}+${i.toString(16)} is ${has}, on hardware ${want}, before ${had}`);
  }
  return found;
}

// A machine with one vcpu for the processor's tests: flat page tables that map code, data and a stack, and registers by name. The
// pages: CODE and CODE + 4096 read and execute, DATA to DATA + 4 pages read and write, STACK's page below it read and write,
// READ_ONLY, and everything else unmapped. Code pages are writable too when asked for.

import { CpuLayout, CpuState, Reg } from "../../../../hypervisor/machine/cpu_state.ts";
import { allocateMemory, MachineMemory } from "../../../../hypervisor/machine/memory.ts";
import type { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte, PteHi, tableIndex } from "../../../../hypervisor/machine/pte.ts";
import { PageWalker } from "../../../../hypervisor/machine/walk.ts";
import { X86Processor } from "../../../../hypervisor/machine/x86/index.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";

export const CODE = 0x400000;
export const DATA = 0x600000;
export const STACK = 0x800000;
export const READ_ONLY = 0xa00000;

const USER = Pte.P | Pte.RW | Pte.US;

export class Machine {
  readonly memory: MachineMemory;
  readonly walker: PageWalker;
  readonly processor: X86Processor;
  readonly cpu: CpuState;
  readonly cr3: Mfn;
  readonly log: string[] = [];
  tsc = 1000;
  #next: number;

  constructor(sizeMiB = 16) {
    this.memory = new MachineMemory(allocateMemory(sizeMiB));
    this.walker = new PageWalker(this.memory);
    this.processor = new X86Processor(this.memory, this.walker, {
      tsc: (retired) => ({ lo: this.tsc + retired, hi: 0 }),
      log: (line) => this.log.push(line),
    });
    const block = this.memory.reserve(CpuLayout.size);
    this.cpu = new CpuState(this.memory, block);
    this.#next = this.memory.firstFree;
    this.cr3 = this.frame();
    this.cpu.setField(CpuLayout.cr3, this.cr3);
    this.cpu.setField(CpuLayout.ldtTable, this.cr3);
    for (let page = 0; page < 3; page++) this.map(CODE + page * 4096, Pte.P | Pte.US);
    for (let page = 0; page < 4; page++) this.map(DATA + page * 4096, USER, PteHi.NX);
    for (let page = 1; page <= 4; page++) this.map(STACK - page * 4096, USER, PteHi.NX);
    this.map(READ_ONLY, Pte.P | Pte.US, PteHi.NX);
    this.cpu.setNum(Reg.RSP, STACK - 256);
    this.cpu.setNum(Reg.RFLAGS, 0x202);
  }

  /** A free frame. */
  frame(): Mfn {
    return this.#next++ as Mfn;
  }

  /** Maps the page at `address` to a frame (a new one unless given), and returns the frame. */
  map(address: number, lo: number, hi = 0, mfn: Mfn = this.frame()): Mfn {
    let table: number = this.cr3;
    for (let level = 4; level > 1; level--) {
      const at = (table * 4096 + tableIndex(address as Va, level) * 8) >>> 2;
      if (!(this.memory.u32[at] & Pte.P)) this.memory.u32[at] = this.frame() * 4096 + USER;
      table = this.memory.u32[at] >>> 12;
    }
    const at = (table * 4096 + tableIndex(address as Va, 1) * 8) >>> 2;
    this.memory.u32[at] = mfn * 4096 + lo;
    this.memory.u32[at + 1] = hi;
    return mfn;
  }

  /** The level-1 entry's low half for an address. */
  entry(address: number): number {
    this.walker.walk(this.cr3, address as Va, 0);
    return this.memory.u32[this.walker.entry >>> 2];
  }

  /** Machine address of a mapped byte. */
  at(address: number): number {
    const mfn = this.walker.walk(this.cr3, address as Va, 0);
    if (mfn === -1) throw new Error(`0x${address.toString(16)} is not mapped`);
    return mfn * 4096 + (address % 4096);
  }

  write(address: number, bytes: ArrayLike<number>): void {
    for (let i = 0; i < bytes.length; i++) this.memory.u8[this.at(address + i)] = bytes[i];
  }

  read(address: number, length: number): number[] {
    return Array.from({ length }, (_, i) => this.memory.u8[this.at(address + i)]);
  }

  read64(address: number): bigint {
    return this.read(address, 8).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  }

  write64(address: number, value: bigint): void {
    this.write(
      address,
      Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(i * 8)) & 0xffn)),
    );
  }

  /** Puts code at CODE (or elsewhere) and RIP on it. */
  load(code: string | ArrayLike<number>, address = CODE): void {
    const bytes = typeof code === "string" ? hex(code) : code;
    this.write(address, bytes);
    this.processor.tlb.dropCode((this.at(address) >>> 12) as Mfn);
    this.cpu.setNum(Reg.RIP, address);
  }

  /** Loads code and runs at most `budget` instructions of it. The code usually ends in `f4` (hlt: Privileged). */
  run(code: string | ArrayLike<number>, budget = 100_000): Exit {
    this.load(code);
    return this.processor.run(this.cpu, budget);
  }

  get(reg: number): bigint {
    return this.cpu.big(reg);
  }
  set(reg: number, value: bigint | number): void {
    this.cpu.setBig(reg, BigInt.asUintN(64, BigInt(value)));
  }
  /** CF 1, PF 4, AF 10, ZF 40, SF 80, OF 800 (hexadecimal). */
  get flags(): number {
    return this.cpu.lo(Reg.RFLAGS) & 0x8d5;
  }
}

/** "48 89 c3" as bytes. */
export function hex(text: string): number[] {
  return (text.replace(/\s+/g, "").match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}

export { Reg };

/** Vector, error code and CR2 of the exception that ended the run. */
export function fault(m: Machine): [number, number, bigint] {
  return [m.cpu.field(CpuLayout.vector), m.cpu.field(CpuLayout.errorCode), m.get(Reg.CR2)];
}

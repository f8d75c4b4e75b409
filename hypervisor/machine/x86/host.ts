// Instructions that are carried out in TypeScript because they are rare or large: what a description ends in by
// b.host("name"). The functions find the state of the vcpu in a HostContext and return one of `Next`. The rule for
// descriptions holds here too: whatever can fault comes before the first change.

import type { CpuState } from "../cpu_state.ts";
import type { MachineMemory } from "../memory.ts";
import { Exit, type ProcessorHost } from "../processor.ts";
import { INTERNAL_EXIT, Next, Slot, State, Uop } from "./layout.ts";

export type HostFunction = (context: HostContext, uop: number) => number;

const names: string[] = [];
const functions: HostFunction[] = [];

/** Makes a function known to b.host(). Called while modules load. */
export function registerHost(name: string, fn: HostFunction): void {
  names.push(name);
  functions.push(fn);
}

export function hostNumber(name: string): number {
  const number = names.indexOf(name);
  if (number < 0) throw new Error(`x86: no host function "${name}"`);
  return number;
}

export function hostFunction(number: number): HostFunction {
  return functions[number];
}

/** Guest memory as the processor's own accesses see it; see mmu.ts. */
export interface GuestPort {
  /** Copies bytes from a full address; false, the fault noted, when a page can't be read. */
  readBytes(lo: number, hi: number, into: Uint8Array): boolean;
  /** The same of bytes in one page, by another level-4 table than the present one. */
  readBytesBy(table: number, lo: number, hi: number, into: Uint8Array): boolean;
  /** Copies bytes to a full address, all or none; false, the fault noted, when a page can't be written. */
  writeBytes(lo: number, hi: number, from: Uint8Array): boolean;
}

export class HostContext {
  readonly memory: MachineMemory;
  readonly host: ProcessorHost;
  readonly port: GuestPort;
  /** The vcpu that runs: its selectors and descriptor table fields are read and written in place. */
  cpu!: CpuState;
  /** Instructions completed in this run before the loop was last entered. */
  retired = 0;
  readonly #word: number;
  readonly #flags: { get(): number; set(value: number, mask: number): void };

  constructor(
    memory: MachineMemory,
    state: number,
    host: ProcessorHost,
    port: GuestPort,
    flags: { get(): number; set(value: number, mask: number): void },
  ) {
    this.memory = memory;
    this.host = host;
    this.port = port;
    this.#word = state >>> 2;
    this.#flags = flags;
  }

  /** Halves of a register: one of `Reg` 0 to 15, or of `Slot`. */
  lo(slot: number): number {
    return this.memory.u32[this.#word + slot * 2];
  }
  hi(slot: number): number {
    return this.memory.u32[this.#word + slot * 2 + 1];
  }
  set(slot: number, lo: number, hi: number): void {
    this.memory.u32[this.#word + slot * 2] = lo;
    this.memory.u32[this.#word + slot * 2 + 1] = hi;
  }
  big(slot: number): bigint {
    return (BigInt(this.hi(slot)) << 32n) | BigInt(this.lo(slot));
  }
  setBig(slot: number, value: bigint): void {
    this.set(slot, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));
  }

  rflags(): number {
    return this.#flags.get();
  }
  /** Replaces the arithmetic flags and those of TF, DF, NT, AC, ID that `mask` names. */
  setRflags(value: number, mask = 0): void {
    this.#flags.set(value, mask);
  }

  /** Instructions completed in this run so far. */
  retiredNow(): number {
    return this.retired + (this.#state(State.budget) - (this.#state(State.remaining) | 0)) / Uop.size;
  }

  /** Register number of the operand at `Uop.dst`, `Uop.src` or `Uop.base`. */
  register(uop: number, field: number): number {
    return this.memory.u8[uop + field] >>> 3;
  }
  /** Low half of the immediate. */
  immediate(uop: number): number {
    return this.memory.u32[(uop + Uop.imm) >>> 2];
  }
  /** Size in bits of the instruction's first operand that is no memory, for functions that serve several sizes. */
  operandSize(uop: number): number {
    return this.sizeOf(this.memory.u16[(uop + Uop.cold) >>> 1]);
  }
  /** Set by the processor: size of the first operand of an instruction's function, by its number. */
  sizeOf: (cold: number) => number = () => 32;
  length(uop: number): number {
    return this.memory.u8[uop + Uop.len];
  }

  /** Ends the instruction without effect by an exception. */
  fault(vector: number, errorCode: number): number {
    this.#setState(State.vector, vector);
    this.#setState(State.errorCode, errorCode);
    this.#setState(State.exitKind, Exit.Exception);
    return Next.EXIT;
  }

  /** Ends the instruction by going to a full address. */
  jump(lo: number, hi: number): number {
    this.set(Slot.BRANCH, lo, hi);
    return Next.JUMP;
  }

  /** Done, going on at a full address; the loop is left, as it must be when TF is set. */
  jumpOutside(lo: number, hi: number): number {
    this.set(Slot.BRANCH, lo, hi);
    this.#setState(State.exitKind, INTERNAL_EXIT);
    return Next.EXIT_AFTER;
  }

  #state(offset: number): number {
    return this.memory.u32[this.#word + (offset >>> 2)];
  }

  #setState(offset: number, value: number): void {
    this.memory.u32[this.#word + (offset >>> 2)] = value;
  }
}

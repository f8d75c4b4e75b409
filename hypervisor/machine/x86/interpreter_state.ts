// Registers, operands and memory of the interpreter's tier: they lie in memory, at constant addresses of one machine.
// One class emits both forms that an instruction has: a handler inlined in the loop (loop.ts), which leaves everything
// uncommon - a TLB miss, a page crossing, flags in a form it doesn't know - to the other form, a function of its own, by a
// branch to MISS before it has changed anything; and that function, which is complete. Flags and control flow are in
// interpreter_flags.ts and interpreter.ts.

import { Builder, type Operand, type Size, type Val } from "./builder.ts";
import { type OperandShape, registerField } from "./describe.ts";
import { Next, State, Uop } from "./layout.ts";
import { Atomic, I32, I64, Op, uleb, type ValType } from "./wasm.ts";

/** Addresses in machine memory that are baked into the code. */
export interface Addresses {
  readonly state: number;
  readonly data: number;
  readonly dataMask: number;
  readonly code: number;
  readonly codeMask: number;
  /** The table of entries into regions: layout.ts, Entry. */
  readonly entries: number;
}

/** Indexes of the functions that an instruction's own function calls; see helpers.ts. */
export interface HelperIndexes {
  readonly readable: number;
  readonly writable: number;
  readonly commit: number;
  readonly address: number;
  readonly eager: number;
  readonly parity: number;
  readonly getFlags: number;
  readonly setFlags: number;
  readonly host: number;
}

/** Branch distances, from the body of a handler in the loop, to the loop's common parts. */
export interface LoopLabels {
  readonly again: number;
  readonly miss: number;
  readonly jump: number;
  readonly budget: number;
}

/** Locals that the loop function has beside the handlers' own: see loop.ts. */
export const LoopLocal = { PC: 0, ACC: 1, ASID: 2, BRANCH: 3, count: 4 } as const;

export const SIZE_CODE: Record<Size, number> = { 8: 0, 16: 1, 32: 2, 64: 3 };
const LOAD: Record<Size, readonly [number, ValType]> = {
  8: [Op.i32Load8U, I32],
  16: [Op.i32Load16U, I32],
  32: [Op.i32Load, I32],
  64: [Op.i64Load, I64],
};
const STORE: Record<Size, number> = { 8: Op.i32Store8, 16: Op.i32Store16, 32: Op.i32Store, 64: Op.i64Store };

/** What was seen of an instruction while it was emitted. */
export interface Facts {
  readsFlags: boolean;
  /** Replaces all arithmetic flags, whatever the operands. */
  writesFlags: boolean;
  /** May end without going on behind itself: accesses memory, branches, may fault or exit. */
  leaves: boolean;
}

export interface InterpreterOptions {
  readonly addresses: Addresses;
  readonly helpers: HelperIndexes;
  /** Present for a handler in the loop. */
  readonly labels?: LoopLabels;
  /** Locals of the function that the body becomes part of; grows. The first is local number `firstLocal`. */
  readonly locals: ValType[];
  readonly firstLocal: number;
}

export abstract class StateBuilder extends Builder {
  protected readonly addresses: Addresses;
  protected readonly helpers: HelperIndexes;
  protected readonly labels: LoopLabels | undefined;
  readonly locals: ValType[];
  protected readonly firstLocal: number;
  protected used: boolean[] = [];
  protected ended = false;
  /** Nobody will see the flags that this instruction leaves: see the code cache. */
  flagsDead = false;
  readonly facts: Facts = { readsFlags: false, writesFlags: false, leaves: false };
  protected readonly deferred: (() => void)[] = [];
  protected changed = false;
  protected readonly pc: Val;

  constructor(options: InterpreterOptions) {
    super();
    this.addresses = options.addresses;
    this.helpers = options.helpers;
    this.labels = options.labels;
    this.locals = options.locals;
    this.firstLocal = options.firstLocal;
    this.pc = this.localValue(0, I32);
  }

  // ---- Registers ------------------------------------------------------------------------------------------------

  reg(number: number, size: Size = 64): Val {
    return this.stateLoad(size, number * 8);
  }

  setReg(number: number, size: Size, value: Val): void {
    this.writeRegister(this.i32(0), number * 8, size, value);
  }

  setHighByte(number: number, value: Val): void {
    this.stateStore(8, number * 8 + 1, value);
  }

  slot(number: number): Val {
    return this.stateLoad(64, number * 8);
  }

  setSlot(number: number, value: Val): void {
    this.changed = true;
    this.stateStore(64, number * 8, value);
  }

  /**
   * In the loop, registers are written when all that may go to MISS is behind; what is written within b.if is written at
   * once, and then nothing may go there any more.
   */
  protected writeRegister(index: Val, offset: number, size: Size, value: Val): void {
    if (this.labels && this.depth === 0) {
      const kept = this.let(value);
      this.deferred.push(() => this.storeRegister(index, offset, size, kept));
    } else {
      this.changed = true;
      this.storeRegister(index, offset, size, value);
    }
  }

  protected flush(): void {
    for (const write of this.deferred) write();
    this.deferred.length = 0;
  }

  protected storeRegister(index: Val, offset: number, size: Size, value: Val): void {
    if (size === 32) this.memStore(64, index, this.addresses.state + offset, this.zext(this.wrap(value)));
    else if (size === 64) this.memStore(64, index, this.addresses.state + offset, value);
    else this.memStore(size, index, this.addresses.state + offset, this.wrap(value));
  }

  operand(shape: OperandShape, position: number, shapes: readonly OperandShape[], lock: boolean): Operand {
    const size = shape.size;
    if (shape.kind === "none") {
      const absent = (): never => {
        throw new Error("x86 description: an operand that only gives a size was used");
      };
      return { size, kind: "imm", read: absent, modify: absent, write: absent, address: absent, number: absent };
    }
    if (shape.kind === "imm") {
      const second = shapes.findIndex((other) => other.kind === "imm") !== position;
      const read = (): Val => this.immediate(size, second);
      const never = (): never => {
        throw new Error("x86 description: an immediate operand was written");
      };
      return { size, kind: "imm", read, modify: never, write: never, address: never, number: never };
    }
    if (shape.kind === "reg") return this.registerOperand(size, position, shapes);
    let address: Val | undefined;
    const at = (): Val => (address ??= this.let(this.address(shape)));
    let host: Val | undefined;
    let old: Val | undefined;
    return {
      size,
      kind: "mem",
      address: at,
      number: () => {
        throw new Error("x86 description: number of a memory operand");
      },
      read: () => this.load(size, at()),
      modify: () => {
        host = this.writable(size, at());
        old = this.let(lock ? this.atomicLoad(size, host) : this.memLoad(size, host, 0));
        return old;
      },
      write: (value) => {
        if (host === undefined || old === undefined) this.store(size, at(), value);
        else if (lock) this.compareAndStore(size, host, old, value);
        else this.storeHost(size, host, value);
      },
    };
  }

  /** The value of the first or second immediate operand. */
  protected immediate(size: Size, second: boolean): Val {
    return this.memLoad(size, this.pc, second ? Uop.imm + 4 : Uop.imm);
  }

  protected registerOperand(size: Size, position: number, shapes: readonly OperandShape[]): Operand {
    const field = registerField(shapes, position);
    let kept: Val | undefined;
    return {
      size,
      kind: "reg",
      read: () => this.memLoad(size, this.field8(field), this.addresses.state),
      modify: () => {
        kept = this.let(this.field8(field));
        return this.memLoad(size, kept, this.addresses.state);
      },
      write: (value) => this.writeRegister(kept ?? this.field8(field), 0, size, value),
      address: () => {
        throw new Error("x86 description: address of a register operand");
      },
      number: () => this.field8(field),
    };
  }

  protected address(shape: OperandShape): Val {
    if (!this.labels) return { t: I64, code: [...this.pc.code, Op.call, ...leb(this.helpers.address)] };
    const base = this.memLoad(64, this.field8(Uop.base), this.addresses.state);
    const disp: Val = { t: I64, code: [...this.pc.code, Op.i64Load32S, 2, Uop.disp] };
    const sum = this.add(base, disp);
    if (shape.address === "base") return sum;
    const index = this.memLoad(64, this.field8(Uop.index), this.addresses.state);
    // A product, since a shift by a count in memory takes more instructions and a certain register.
    return this.add(sum, this.mul(index, this.zext(this.field8(Uop.scale))));
  }

  // ---- Memory ---------------------------------------------------------------------------------------------------

  load(size: Size, address: Val): Val {
    const at = this.let(address);
    const host = this.translate(size, at, 0);
    return this.let(this.memLoad(size, host, 0));
  }

  store(size: Size, address: Val, value: Val): void {
    const kept = this.let(value);
    const at = this.let(address);
    this.storeHost(size, this.writable(size, at), kept);
  }

  checkWrite(size: Size, address: Val): void {
    this.writable(size, this.let(address));
    // A crossing operand that is not stored must not be carried out by a later commit.
    if (!this.labels) this.stateStore(32, State.pending, this.i32(0));
  }

  pointer(address: Val, write: boolean, bytes: number | Val = 1): Val {
    const at = this.let(address);
    if (typeof bytes === "number") return this.translate((bytes * 8) as Size, at, write ? 8 : 0);
    return this.hostOf(at, bytes, write ? 8 : 0);
  }

  commit(): void {
    this.commitStore();
  }

  fxsave(): Val {
    this.if(this.stateLoad(32, State.ts), () => this.fault(7));
    return this.let(this.stateLoad(32, State.fxsave));
  }

  protected writable(size: Size, at: Val): Val {
    return this.translate(size, at, 8);
  }

  /** Host address of an operand that lies in one page which the TLB has; `tag` 0 for reading, 8 for writing. */
  protected translate(size: Size, at: Val, tag: number): Val {
    if (!this.labels) return this.hostOf(at, this.i32(size / 8), tag);
    this.facts.leaves = true;
    const slot = this.let(this.tlbSlot(at));
    const last = size === 8 ? at : this.add(at, this.i64(size / 8 - 1));
    const page = this.or(this.and(last, this.i64(-4096)), this.localValue(LoopLocal.ASID, I64));
    const tags = this.memLoad(64, slot, this.addresses.data + tag);
    this.missIf(this.ne(page, tags));
    return this.let(this.add(this.wrap(at), this.memLoad(32, slot, this.addresses.data + 16)));
  }

  /** The same of `bytes` (I32) that lie in one page, or may be put together aside, by a call: in an instruction's own function. */
  protected hostOf(at: Val, bytes: Val, tag: number): Val {
    this.facts.leaves = true;
    const fn = tag ? this.helpers.writable : this.helpers.readable;
    const host = this.let({ t: I32, code: [...at.code, ...bytes.code, Op.call, ...leb(fn)] });
    this.emitVal(host);
    this.emit(Op.i32Eqz, Op.if, 0x40, Op.i32Const, Next.EXIT, Op.return, Op.end);
    return host;
  }

  /** Where in the code TLB the entry for a page is, relative to its beginning. */
  codeSlot(address: Val): Val {
    return this.and(this.wrap(this.shr(address, this.i64(8))), this.i32(this.addresses.codeMask));
  }

  /** Where the map of a page has the record for an address in the page. */
  placeIn(map: Val, address: Val): Val {
    return this.add(map, this.shl(this.and(this.wrap(address), this.i32(4095)), this.i32(2)));
  }

  protected tlbSlot(at: Val): Val {
    return this.and(this.wrap(this.shr(at, this.i64(7))), this.i32(this.addresses.dataMask));
  }

  protected storeHost(size: Size, host: Val, value: Val): void {
    this.changed = true;
    this.memStore(size, host, 0, size === 64 ? value : this.wrap(value));
    this.commitStore();
  }

  /** A store into the bounce buffer is carried out in the two pages that it is for. */
  protected commitStore(): void {
    if (this.labels) return;
    this.emitVal(this.stateLoad(32, State.pending));
    this.emit(Op.if, 0x40, Op.call, ...leb(this.helpers.commit), Op.end);
  }

  /** The LOCK form: the new value is stored only over the old one, else the instruction starts over. */
  protected compareAndStore(size: Size, host: Val, old: Val, value: Val): void {
    const fresh = this.let(size === 64 ? value : this.truncate(this.wrap(value), size));
    const op = { 8: Atomic.i32Cmpxchg8U, 16: Atomic.i32Cmpxchg16U, 32: Atomic.i32Cmpxchg, 64: Atomic.i64Cmpxchg }[size];
    const exchange = [...host.code, ...old.code, ...fresh.code, Op.atomic, op, SIZE_CODE[size], 0];
    const atomically = (): void => this.if(this.ne({ t: old.t, code: exchange }, old), () => this.startOver());
    if (size === 8) atomically();
    else {
      const unaligned = this.and(host, this.i32(size / 8 - 1));
      this.if(unaligned, () => this.memStore(size, host, 0, fresh), atomically);
    }
    this.commitStore();
  }

  /** Ends an instruction that has done nothing yet so that it is executed again. */
  protected startOver(): void {
    this.emit(...this.pc.code, Op.return);
  }

  protected atomicLoad(size: Size, host: Val): Val {
    // Plain: what matters is that the store finds the value unchanged.
    return this.memLoad(size, host, 0);
  }

  // ---- Bits and pieces ------------------------------------------------------------------------------------------

  protected newLocal(t: ValType): number {
    for (let i = 0; i < this.locals.length; i++) {
      if (this.locals[i] === t && !this.used[i]) {
        this.used[i] = true;
        return this.firstLocal + i;
      }
    }
    this.locals.push(t);
    this.used[this.locals.length - 1] = true;
    return this.firstLocal + this.locals.length - 1;
  }

  protected field8(field: number): Val {
    return { t: I32, code: [...this.pc.code, Op.i32Load8U, 0, ...leb(field)] };
  }

  protected memLoad(size: Size, base: Val, offset: number): Val {
    const [op, t] = LOAD[size];
    return { t, code: [...base.code, op, 0, ...leb(offset)] };
  }

  protected memStore(size: Size, base: Val, offset: number, value: Val): void {
    this.emitVal(base);
    this.emitVal(value);
    this.emit(STORE[size], 0, ...leb(offset));
  }

  protected stateLoad(size: Size, offset: number): Val {
    return this.memLoad(size, this.i32(0), this.addresses.state + offset);
  }

  protected stateStore(size: Size, offset: number, value: Val): void {
    this.memStore(size, this.i32(0), this.addresses.state + offset, value);
  }

  protected missIf(condition: Val): void {
    if (this.changed)
      throw new Error("x86: an instruction of the loop goes to its function after it has changed something");
    this.brIf(condition, this.labels!.miss);
  }

  protected brIf(condition: Val, distance: number): void {
    this.emitVal(condition);
    this.emit(Op.brIf, ...leb(distance + this.depth));
  }

  protected br(distance: number): void {
    this.emit(Op.br, ...leb(distance + this.depth));
  }
}

export function leb(value: number): number[] {
  const out: number[] = [];
  uleb(out, value);
  return out;
}

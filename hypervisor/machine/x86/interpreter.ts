// The interpreter's tier of a Builder: registers, flags and decoded operands in memory. One class emits both forms that an
// instruction has: a handler inlined in the loop (loop.ts), which leaves everything uncommon - a TLB miss, a page
// crossing, flags in a form it doesn't know - to the other form, a function of its own, by a branch to MISS before it has
// changed anything; and that function, which is complete. Addresses of state are constants of one machine.

import { Exit } from "../processor.ts";
import { Builder, Cc, type EagerFlags, type Operand, type Size, type Val } from "./builder.ts";
import { type Description, type OperandShape, registerField } from "./describe.ts";
import { hostNumber } from "./host.ts";
import { Lazy, MARGIN, Next, Slot, State, Uop } from "./layout.ts";
import { Atomic, append, I32, I64, Op, uleb, type ValType } from "./wasm.ts";

/** Addresses in machine memory that are baked into the code. */
export interface Addresses {
  readonly state: number;
  readonly data: number;
  readonly dataMask: number;
  readonly code: number;
  readonly codeMask: number;
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

const SIZE_CODE: Record<Size, number> = { 8: 0, 16: 1, 32: 2, 64: 3 };
const LOAD: Record<Size, readonly [number, ValType]> = {
  8: [Op.i32Load8U, I32],
  16: [Op.i32Load16U, I32],
  32: [Op.i32Load, I32],
  64: [Op.i64Load, I64],
};
const STORE: Record<Size, number> = { 8: Op.i32Store8, 16: Op.i32Store16, 32: Op.i32Store, 64: Op.i64Store };

interface Compared {
  readonly size: Size;
  readonly x: Val;
  readonly y: Val;
  readonly result: Val;
}

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

export class InterpreterBuilder extends Builder {
  readonly #a: Addresses;
  readonly #helpers: HelperIndexes;
  readonly #labels: LoopLabels | undefined;
  readonly #locals: ValType[];
  readonly #firstLocal: number;
  #used: boolean[] = [];
  /** A block that the code stands in beyond this record: records that a fused pair takes (1 or 2). */
  #records = 1;
  #ended = false;
  #far = false;
  /** Nobody will see the flags that this instruction leaves: see the code cache. */
  flagsDead = false;
  readonly facts: Facts = { readsFlags: false, writesFlags: false, leaves: false };
  readonly #deferred: (() => void)[] = [];
  #changed = false;
  /** What the flags were last set by, if it was a comparison; and what a fused jump is known to follow. */
  #latest: Compared | undefined;
  #known: Compared | undefined;
  readonly #pc: Val;

  constructor(options: InterpreterOptions) {
    super();
    this.#a = options.addresses;
    this.#helpers = options.helpers;
    this.#labels = options.labels;
    this.#locals = options.locals;
    this.#firstLocal = options.firstLocal;
    this.#pc = this.localValue(0, I32);
  }

  /** Emits the whole instruction: the description's semantics on operands of these shapes, and going on behind it. */
  instruction(description: Description, shapes: readonly OperandShape[], lock: boolean): void {
    const operands = shapes.map((shape, i) => this.operand(shape, i, shapes, lock));
    description.semantics(this, ...operands);
    if (!this.#ended) this.#next();
  }

  /** Emits a comparison and, behind it, the conditional jump whose record follows: it knows what was compared. */
  fused(first: Description, shapes: readonly OperandShape[], jump: Description): void {
    first.semantics(this, ...shapes.map((shape, i) => this.operand(shape, i, shapes, false)));
    this.#records = 2;
    this.#known = this.#latest;
    jump.semantics(this);
  }

  /** Emits the first of two instructions that share a handler: when the second goes to MISS, PC is at its record. */
  first(description: Description, shapes: readonly OperandShape[]): void {
    description.semantics(this, ...shapes.map((shape, i) => this.operand(shape, i, shapes, false)));
    this.#flush();
    this.emitVal(this.add(this.#pc, this.i32(Uop.size)));
    this.emit(Op.localSet, LoopLocal.PC);
    this.#changed = false;
  }

  /** Emits a direct jump or call whose target is in another frame: by way of the code TLB at once. */
  far(description: Description): void {
    this.#far = true;
    description.semantics(this);
  }

  // ---- Registers ------------------------------------------------------------------------------------------------

  reg(number: number, size: Size = 64): Val {
    return this.stateLoad(size, number * 8);
  }

  setReg(number: number, size: Size, value: Val): void {
    this.#writeRegister(this.i32(0), number * 8, size, value);
  }

  setHighByte(number: number, value: Val): void {
    this.stateStore(8, number * 8 + 1, value);
  }

  slot(number: number): Val {
    return this.stateLoad(64, number * 8);
  }

  setSlot(number: number, value: Val): void {
    this.#changed = true;
    this.stateStore(64, number * 8, value);
  }

  /**
   * In the loop, registers are written when all that may go to MISS is behind; what is written within b.if is written at
   * once, and then nothing may go there any more.
   */
  #writeRegister(index: Val, offset: number, size: Size, value: Val): void {
    if (this.#labels && this.depth === 0) {
      const kept = this.let(value);
      this.#deferred.push(() => this.#storeRegister(index, offset, size, kept));
    } else {
      this.#changed = true;
      this.#storeRegister(index, offset, size, value);
    }
  }

  #flush(): void {
    for (const write of this.#deferred) write();
    this.#deferred.length = 0;
  }

  #storeRegister(index: Val, offset: number, size: Size, value: Val): void {
    if (size === 32) this.memStore(64, index, this.#a.state + offset, this.zext(this.wrap(value)));
    else if (size === 64) this.memStore(64, index, this.#a.state + offset, value);
    else this.memStore(size, index, this.#a.state + offset, this.wrap(value));
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
      const read = (): Val => this.memLoad(size, this.#pc, second ? Uop.imm + 4 : Uop.imm);
      const never = (): never => {
        throw new Error("x86 description: an immediate operand was written");
      };
      return { size, kind: "imm", read, modify: never, write: never, address: never, number: never };
    }
    if (shape.kind === "reg") {
      const field = registerField(shapes, position);
      const read = (): Val => this.memLoad(size, this.#field8(field), this.#a.state);
      let kept: Val | undefined;
      return {
        size,
        kind: "reg",
        read,
        modify: () => {
          kept = this.let(this.#field8(field));
          return this.memLoad(size, kept, this.#a.state);
        },
        write: (value) => this.#writeRegister(kept ?? this.#field8(field), 0, size, value),
        address: () => {
          throw new Error("x86 description: address of a register operand");
        },
        number: () => this.#field8(field),
      };
    }
    let address: Val | undefined;
    const at = (): Val => (address ??= this.let(this.#address(shape)));
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
        host = this.#writable(size, at());
        old = this.let(lock ? this.#atomicLoad(size, host) : this.memLoad(size, host, 0));
        return old;
      },
      write: (value) => {
        if (host === undefined || old === undefined) this.store(size, at(), value);
        else if (lock) this.#compareAndStore(size, host, old, value);
        else this.#storeHost(size, host, value);
      },
    };
  }

  #address(shape: OperandShape): Val {
    if (!this.#labels) return { t: I64, code: [...this.#pc.code, Op.call, ...leb(this.#helpers.address)] };
    const base = this.memLoad(64, this.#field8(Uop.base), this.#a.state);
    const disp: Val = { t: I64, code: [...this.#pc.code, Op.i64Load32S, 2, Uop.disp] };
    const sum = this.add(base, disp);
    if (shape.address === "base") return sum;
    const index = this.memLoad(64, this.#field8(Uop.index), this.#a.state);
    // A product, since a shift by a count in memory takes more instructions and a certain register.
    return this.add(sum, this.mul(index, this.zext(this.#field8(Uop.scale))));
  }

  // ---- Memory ---------------------------------------------------------------------------------------------------

  load(size: Size, address: Val): Val {
    const at = this.let(address);
    const host = this.#translate(size, at, 0);
    return this.let(this.memLoad(size, host, 0));
  }

  store(size: Size, address: Val, value: Val): void {
    const kept = this.let(value);
    const at = this.let(address);
    this.#storeHost(size, this.#writable(size, at), kept);
  }

  checkWrite(size: Size, address: Val): void {
    this.#writable(size, this.let(address));
    // A crossing operand that is not stored must not be carried out by a later commit.
    if (!this.#labels) this.stateStore(32, State.pending, this.i32(0));
  }

  pointer(address: Val, write: boolean, bytes = 1): Val {
    return this.#translate((bytes * 8) as Size, this.let(address), write ? 8 : 0);
  }

  commit(): void {
    this.#commit();
  }

  fxsave(): Val {
    this.if(this.stateLoad(32, State.ts), () => this.fault(7));
    return this.let(this.stateLoad(32, State.fxsave));
  }

  #writable(size: Size, at: Val): Val {
    return this.#translate(size, at, 8);
  }

  /** Host address of an operand that lies in one page which the TLB has; `tag` 0 for reading, 8 for writing. */
  #translate(size: Size, at: Val, tag: number): Val {
    this.facts.leaves = true;
    if (!this.#labels) {
      const fn = tag ? this.#helpers.writable : this.#helpers.readable;
      const code = [...at.code, Op.i32Const, size / 8, Op.call, ...leb(fn)];
      const host = this.let({ t: I32, code });
      this.emitVal(host);
      this.emit(Op.i32Eqz, Op.if, 0x40, Op.i32Const, Next.EXIT, Op.return, Op.end);
      return host;
    }
    const slot = this.let(this.#tlbSlot(at));
    const last = size === 8 ? at : this.add(at, this.i64(size / 8 - 1));
    const page = this.or(this.and(last, this.i64(-4096)), this.localValue(LoopLocal.ASID, I64));
    const tags = this.memLoad(64, slot, this.#a.data + tag);
    this.#missIf(this.ne(page, tags));
    return this.let(this.add(this.wrap(at), this.memLoad(32, slot, this.#a.data + 16)));
  }

  #tlbSlot(at: Val): Val {
    return this.and(this.wrap(this.shr(at, this.i64(7))), this.i32(this.#a.dataMask));
  }

  #storeHost(size: Size, host: Val, value: Val): void {
    this.#changed = true;
    this.memStore(size, host, 0, size === 64 ? value : this.wrap(value));
    this.#commit();
  }

  /** A store into the bounce buffer is carried out in the two pages that it is for. */
  #commit(): void {
    if (this.#labels) return;
    this.emitVal(this.stateLoad(32, State.pending));
    this.emit(Op.if, 0x40, Op.call, ...leb(this.#helpers.commit), Op.end);
  }

  /** The LOCK form: the new value is stored only over the old one, else the instruction starts over. */
  #compareAndStore(size: Size, host: Val, old: Val, value: Val): void {
    const fresh = this.let(size === 64 ? value : this.truncate(this.wrap(value), size));
    if (size > 8) {
      this.emitVal(this.and(host, this.i32(size / 8 - 1)));
      this.emit(Op.if, 0x40);
      this.memStore(size, host, 0, fresh);
      this.emit(Op.else);
    }
    const op = { 8: Atomic.i32Cmpxchg8U, 16: Atomic.i32Cmpxchg16U, 32: Atomic.i32Cmpxchg, 64: Atomic.i64Cmpxchg }[size];
    const again = [...host.code, ...old.code, ...fresh.code, Op.atomic, op, SIZE_CODE[size], 0];
    append(this.out, [...again, ...old.code, size === 64 ? Op.i64Ne : Op.i32Ne]);
    this.emit(Op.if, 0x40, ...this.#pc.code, Op.return, Op.end);
    if (size > 8) this.emit(Op.end);
    this.#commit();
  }

  #atomicLoad(size: Size, host: Val): Val {
    // Plain: what matters is that the store finds the value unchanged.
    return this.memLoad(size, host, 0);
  }

  // ---- Flags ----------------------------------------------------------------------------------------------------

  #aligned(size: Size, value: Val): Val {
    return size === 64 ? value : this.shl(this.zext(value), this.i64(64 - size));
  }

  /** Notes that all flags are replaced; true when that need not be done. */
  #replacesFlags(): boolean {
    if (this.depth === 0) this.facts.writesFlags = true;
    return this.flagsDead;
  }

  #lazy(size: Size, y: Val, result: Val, kind: number): void {
    if (this.#replacesFlags()) return;
    this.setSlot(Slot.FLAG_RESULT, this.#aligned(size, result));
    this.setSlot(Slot.FLAG_SOURCE, this.#aligned(size, y));
    this.setSlot(Slot.FLAG_STATE, this.i64(kind | SIZE_CODE[size]));
  }

  flagsAdd(size: Size, _x: Val, y: Val, result: Val): void {
    this.#lazy(size, y, result, Lazy.ADD);
  }

  flagsSub(size: Size, x: Val, y: Val, result: Val): void {
    this.#lazy(size, y, result, Lazy.SUB);
    this.#latest = { size, x, y, result };
  }

  flagsLogic(size: Size, result: Val): void {
    if (this.#replacesFlags()) return;
    const zero = this.constant(size, 0);
    this.#latest = { size, x: result, y: zero, result };
    this.setSlot(Slot.FLAG_RESULT, this.#aligned(size, result));
    this.setSlot(Slot.FLAG_STATE, this.i64(SIZE_CODE[size]));
  }

  flagsEager(size: Size, result: Val, flags: EagerFlags): void {
    if (this.#replacesFlags()) return;
    const carry = this.shl(this.zext(flags.cf), this.i64(63));
    const differ = this.shl(this.zext(this.xor(flags.cf, flags.of)), this.i64(62));
    let state = this.or(this.or(carry, differ), this.i64(SIZE_CODE[size]));
    if (flags.af) state = this.or(state, this.shl(this.zext(flags.af), this.i64(4)));
    const kept = this.let(state);
    this.setSlot(Slot.FLAG_RESULT, this.#aligned(size, result));
    this.setSlot(Slot.FLAG_STATE, kept);
  }

  /** Brings the flags into the form without lazy carry. In the loop: leaves to the function if they aren't. */
  #makeEager(): void {
    if (this.#labels) {
      const lazy = this.and(this.stateLoad(32, Slot.FLAG_STATE * 8), this.i32(Lazy.MASK));
      this.#missIf(lazy);
    } else this.emit(Op.call, ...leb(this.#helpers.eager));
  }

  setCf(value: Val): void {
    this.facts.readsFlags = true;
    if (this.flagsDead) return;
    const carry = this.let(this.zext(value));
    this.#makeEager();
    // Bit 62 holds CF xor OF: it changes when CF does.
    const state = this.let(this.slot(Slot.FLAG_STATE));
    const change = this.let(this.xor(this.shr(state, this.i64(63)), carry));
    const both = this.or(this.shl(change, this.i64(63)), this.shl(change, this.i64(62)));
    this.setSlot(Slot.FLAG_STATE, this.xor(state, both));
  }

  setCfOf(cf: Val, of: Val): void {
    this.facts.readsFlags = true;
    if (this.flagsDead) return;
    const bits = this.let(
      this.or(this.shl(this.zext(cf), this.i64(63)), this.shl(this.zext(this.xor(cf, of)), this.i64(62))),
    );
    this.#makeEager();
    // By shifts: a wide constant would be kept in a register throughout the loop.
    const rest = this.shr(this.shl(this.slot(Slot.FLAG_STATE), this.i64(2)), this.i64(2));
    this.setSlot(Slot.FLAG_STATE, this.or(rest, bits));
  }

  cf(): Val {
    this.facts.readsFlags = true;
    const state = this.let(this.slot(Slot.FLAG_STATE));
    const low = this.let(this.wrap(state));
    const result = this.slot(Slot.FLAG_RESULT);
    const source = this.slot(Slot.FLAG_SOURCE);
    const left = this.select(this.and(low, this.i32(Lazy.SUB)), this.add(result, source), result);
    return this.let(
      this.choose(this.and(low, this.i32(Lazy.MASK)), this.ltU(left, source), this.ltS(state, this.i64(0))),
    );
  }

  /** SF xor OF. */
  #less(): Val {
    const state = this.let(this.slot(Slot.FLAG_STATE));
    if (this.#labels) {
      this.#missIf(this.and(this.wrap(state), this.i32(Lazy.ADD)));
      const result = this.slot(Slot.FLAG_RESULT);
      const source = this.slot(Slot.FLAG_SOURCE);
      const sub = this.ltS(this.add(result, source), source);
      return this.choose(this.and(this.wrap(state), this.i32(Lazy.SUB)), sub, this.#lessEager(state));
    }
    this.emit(Op.call, ...leb(this.#helpers.eager));
    return this.let(this.#lessEager(this.let(this.slot(Slot.FLAG_STATE))));
  }

  #lessEager(state: Val): Val {
    const overflow = this.xor(state, this.shl(state, this.i64(1)));
    const inverted = this.xor(this.slot(Slot.FLAG_RESULT), this.shl(state, this.i64(2)));
    return this.ltS(this.xor(overflow, inverted), this.i64(0));
  }

  /** A condition on values just compared; logic is a comparison of its result with 0. */
  #knownCondition(cc: number, { size, x, y }: Compared): Val | undefined {
    const [sx, sy] = [this.signed(x, size), this.signed(y, size)];
    switch (cc) {
      case Cc.B:
        return this.ltU(x, y);
      case Cc.AE:
        return this.leU(y, x);
      case Cc.E:
        return this.eq(x, y);
      case Cc.NE:
        return this.ne(x, y);
      case Cc.BE:
        return this.leU(x, y);
      case Cc.A:
        return this.ltU(y, x);
      case Cc.L:
        return this.ltS(sx, sy);
      case Cc.GE:
        return this.leS(sy, sx);
      case Cc.LE:
        return this.leS(sx, sy);
      case Cc.G:
        return this.ltS(sy, sx);
      default:
        return undefined;
    }
  }

  cond(cc: number): Val {
    this.facts.readsFlags = true;
    if (this.#known) {
      const condition = this.#knownCondition(cc, this.#known);
      if (condition) return condition;
    }
    const negate = (value: Val): Val => (cc & 1 ? this.eqz(value) : value);
    const zero = (): Val => this.eqz(this.slot(Slot.FLAG_RESULT));
    switch (cc & ~1) {
      case Cc.O: {
        this.#makeEager();
        const state = this.let(this.slot(Slot.FLAG_STATE));
        return negate(this.ltS(this.xor(state, this.shl(state, this.i64(1))), this.i64(0)));
      }
      case Cc.B:
        return negate(this.cf());
      case Cc.E:
        return cc & 1 ? this.ne(this.slot(Slot.FLAG_RESULT), this.i64(0)) : zero();
      case Cc.BE:
        return negate(this.or(this.cf(), zero()));
      case Cc.S: {
        const inverted = this.xor(this.slot(Slot.FLAG_RESULT), this.shl(this.slot(Slot.FLAG_STATE), this.i64(2)));
        return negate(this.ltS(inverted, this.i64(0)));
      }
      case Cc.P:
        return negate({ t: I32, code: [Op.call, ...leb(this.#helpers.parity)] });
      case Cc.L:
        return negate(this.#less());
      default:
        return negate(this.or(this.#less(), zero()));
    }
  }

  rflags(): Val {
    this.facts.readsFlags = true;
    return this.let({ t: I32, code: [Op.call, ...leb(this.#helpers.getFlags)] });
  }

  setRflags(value: Val, mask = 0): void {
    this.facts.leaves = true;
    this.emitVal(value);
    this.emitVal(this.i32(mask));
    this.emit(Op.call, ...leb(this.#helpers.setFlags));
  }

  // ---- Where to go on -------------------------------------------------------------------------------------------

  thisRip(): Val {
    return this.add(this.slot(Slot.PAGE), this.zext(this.memLoad(16, this.#pc, Uop.rel)));
  }

  nextRip(): Val {
    const rel = this.add(this.memLoad(16, this.#pc, Uop.rel), this.#field8(Uop.len));
    return this.add(this.slot(Slot.PAGE), this.zext(rel));
  }

  targetRip(): Val {
    const disp: Val = { t: I64, code: [...this.#pc.code, Op.i64Load32S, 2, Uop.disp] };
    return this.add(this.slot(Slot.PAGE), disp);
  }

  #next(): void {
    this.#flush();
    const next = this.add(this.#pc, this.i32(Uop.size));
    this.emitVal(next);
    if (!this.#labels) return;
    this.emit(Op.localSet, LoopLocal.PC);
    this.#br(this.#labels.again);
  }

  branch(): void {
    this.facts.leaves = true;
    this.#ended = true;
    if (!this.#labels) {
      this.setSlot(Slot.BRANCH, this.targetRip());
      this.emit(Op.i32Const, Next.JUMP);
      return;
    }
    if (this.#far) this.jump(this.targetRip());
    else this.#goto(this.memLoad(32, this.#pc, Uop.target));
  }

  branchIf(condition: Val): void {
    this.facts.leaves = true;
    this.#ended = true;
    if (!this.#labels) {
      const taken = this.let(condition);
      this.setSlot(Slot.BRANCH, this.targetRip());
      this.emitVal(this.select(taken, this.i32(Next.JUMP), this.add(this.#pc, this.i32(Uop.size))));
      return;
    }
    const jcc = (this.#records - 1) * Uop.size;
    const target = this.memLoad(32, this.#pc, jcc + Uop.target);
    this.#goto(this.select(condition, target, this.add(this.#pc, this.i32(this.#records * Uop.size))));
  }

  /** Goes to a record; the distance passed is taken from the budget, which ACC - PC is. */
  #goto(target: Val): void {
    const next = this.let(target);
    this.#flush();
    const spent = this.add(this.#pc, this.i32(this.#records * Uop.size));
    const rest = this.let(this.sub(this.localValue(LoopLocal.ACC, I32), spent));
    this.emitVal(next);
    this.emit(Op.localSet, LoopLocal.PC);
    this.emitVal(this.add(rest, next));
    this.emit(Op.localSet, LoopLocal.ACC);
    this.#branchIf(this.leS(rest, this.i32(MARGIN)), this.#labels!.budget);
    this.#br(this.#labels!.again);
  }

  jump(address: Val): void {
    this.facts.leaves = true;
    this.#ended = true;
    if (!this.#labels) {
      this.setSlot(Slot.BRANCH, address);
      this.emit(Op.i32Const, Next.JUMP);
      return;
    }
    this.emitVal(address);
    this.emit(Op.localSet, LoopLocal.BRANCH);
    this.#flush();
    this.#br(this.#labels.jump);
  }

  fault(vector: number, errorCode = 0): void {
    if (!this.#labels) {
      this.stateStore(32, State.vector, this.i32(vector));
      this.stateStore(32, State.errorCode, this.i32(errorCode));
    }
    this.exit(Exit.Exception);
  }

  exit(kind: number): void {
    this.facts.leaves = true;
    if (this.depth === 0) this.#ended = true;
    if (this.#labels) {
      this.#missIf(this.i32(1));
      return;
    }
    this.stateStore(32, State.exitKind, this.i32(kind));
    this.emit(Op.i32Const, Next.EXIT, Op.return);
  }

  exitAfter(kind: number, vector: number | Val = 0): void {
    this.facts.leaves = true;
    if (this.depth === 0) this.#ended = true;
    if (this.#labels) {
      this.#missIf(this.i32(1));
      return;
    }
    this.stateStore(32, State.exitKind, this.i32(kind));
    this.stateStore(32, State.vector, typeof vector === "number" ? this.i32(vector) : vector);
    this.setSlot(Slot.BRANCH, this.nextRip());
    this.emit(Op.i32Const, Next.EXIT_AFTER, Op.return);
  }

  host(name: string): void {
    this.facts.leaves = true;
    this.#ended = true;
    if (this.#labels) {
      this.#missIf(this.i32(1));
      return;
    }
    const call = [...this.i32(hostNumber(name)).code, ...this.#pc.code, Op.call, ...leb(this.#helpers.host)];
    const next = this.let({ t: I32, code: call });
    const behind = this.add(this.#pc, this.i32(Uop.size));
    this.emitVal(this.select(this.eq(next, this.i32(Next.NEXT)), behind, next));
  }

  // ---- Bits and pieces ------------------------------------------------------------------------------------------

  protected newLocal(t: ValType): number {
    for (let i = 0; i < this.#locals.length; i++) {
      if (this.#locals[i] === t && !this.#used[i]) {
        this.#used[i] = true;
        return this.#firstLocal + i;
      }
    }
    this.#locals.push(t);
    this.#used[this.#locals.length - 1] = true;
    return this.#firstLocal + this.#locals.length - 1;
  }

  #field8(field: number): Val {
    return { t: I32, code: [...this.#pc.code, Op.i32Load8U, 0, ...leb(field)] };
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
    return this.memLoad(size, this.i32(0), this.#a.state + offset);
  }

  protected stateStore(size: Size, offset: number, value: Val): void {
    this.memStore(size, this.i32(0), this.#a.state + offset, value);
  }

  #missIf(condition: Val): void {
    if (this.#changed)
      throw new Error("x86: an instruction of the loop goes to its function after it has changed something");
    this.#branchIf(condition, this.#labels!.miss);
  }

  #branchIf(condition: Val, distance: number): void {
    this.emitVal(condition);
    this.emit(Op.brIf, ...leb(distance + this.depth));
  }

  #br(distance: number): void {
    this.emit(Op.br, ...leb(distance + this.depth));
  }
}

function leb(value: number): number[] {
  const out: number[] = [];
  uleb(out, value);
  return out;
}

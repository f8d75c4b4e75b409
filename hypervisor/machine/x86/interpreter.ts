// The interpreter's tier of a Builder, whole: what a handler of the loop or an instruction's own function is made of, and
// how it goes on. interpreter_state.ts says what the two forms are. Used by loop.ts, functions.ts and helpers.ts.

import { Exit } from "../processor.ts";
import type { Val } from "./builder.ts";
import type { Description, OperandShape } from "./describe.ts";
import { hostNumber } from "./host.ts";
import { FlagsBuilder } from "./interpreter_flags.ts";
import { LoopLocal, leb } from "./interpreter_state.ts";
import { MARGIN, Next, Slot, State, Uop } from "./layout.ts";
import { I32, I64, Op } from "./wasm.ts";

export { type Addresses, type Facts, type HelperIndexes, type LoopLabels, LoopLocal } from "./interpreter_state.ts";

export class InterpreterBuilder extends FlagsBuilder {
  /** Records from PC that the code stands for: 2 for a comparison and the jump behind it. */
  #records = 1;
  #far = false;
  /** Of a call's own function: where it goes. */
  #callee: Val | undefined;

  /** Emits the whole instruction: the description's semantics on operands of these shapes, and going on behind it. */
  instruction(description: Description, shapes: readonly OperandShape[], lock: boolean): void {
    const operands = shapes.map((shape, i) => this.operand(shape, i, shapes, lock));
    // Before the push, which may drop the record, and with it where the call goes.
    if (!this.labels && description.options.flow === "call") this.#callee = this.let(this.targetRip());
    description.semantics(this, ...operands);
    if (!this.ended) this.next();
  }

  /** Emits a comparison and, behind it, the conditional jump whose record follows: it knows what was compared. */
  fused(first: Description, shapes: readonly OperandShape[], jump: Description): void {
    first.semantics(this, ...shapes.map((shape, i) => this.operand(shape, i, shapes, false)));
    this.#records = 2;
    this.known = this.latest;
    jump.semantics(this);
  }

  /** Emits an instruction that shares a handler with the next: when that one goes to MISS, PC is at its record. */
  first(description: Description, shapes: readonly OperandShape[]): void {
    description.semantics(this, ...shapes.map((shape, i) => this.operand(shape, i, shapes, false)));
    this.flush();
    this.emitVal(this.add(this.pc, this.i32(Uop.size)));
    this.emit(Op.localSet, LoopLocal.PC);
    this.changed = false;
  }

  /** Emits a direct jump or call whose target is in another frame: by way of the code TLB at once. */
  far(description: Description): void {
    this.#far = true;
    description.semantics(this);
  }

  // ---- Where to go on -------------------------------------------------------------------------------------------

  thisRip(): Val {
    return this.add(this.slot(Slot.PAGE), this.zext(this.memLoad(16, this.pc, Uop.rel)));
  }

  nextRip(): Val {
    const rel = this.add(this.memLoad(16, this.pc, Uop.rel), this.field8(Uop.len));
    return this.add(this.slot(Slot.PAGE), this.zext(rel));
  }

  targetRip(): Val {
    const disp: Val = { t: I64, code: [...this.pc.code, Op.i64Load32S, 2, Uop.disp] };
    return this.add(this.slot(Slot.PAGE), disp);
  }

  protected next(): void {
    this.flush();
    const next = this.add(this.pc, this.i32(Uop.size));
    this.emitVal(next);
    if (!this.labels) return;
    this.emit(Op.localSet, LoopLocal.PC);
    this.br(this.labels.again);
  }

  branch(): void {
    this.facts.leaves = true;
    this.ended = true;
    if (!this.labels) {
      this.setSlot(Slot.BRANCH, this.#callee ?? this.targetRip());
      this.emit(Op.i32Const, Next.JUMP);
      return;
    }
    if (this.#far) this.jump(this.targetRip());
    else this.goto(this.memLoad(32, this.pc, Uop.target));
  }

  branchIf(condition: Val): void {
    this.facts.leaves = true;
    this.ended = true;
    if (!this.labels) {
      const taken = this.let(condition);
      this.setSlot(Slot.BRANCH, this.targetRip());
      this.emitVal(this.select(taken, this.i32(Next.JUMP), this.add(this.pc, this.i32(Uop.size))));
      return;
    }
    const jcc = (this.#records - 1) * Uop.size;
    const taken = this.let(condition);
    this.flush();
    // Two ways, and no select: the host's processor then goes on where it guesses instead of waiting for the comparison.
    this.if(taken, () => this.goto(this.memLoad(32, this.pc, jcc + Uop.target)));
    this.emitVal(this.add(this.pc, this.i32(this.#records * Uop.size)));
    this.emit(Op.localSet, LoopLocal.PC);
    const rest = this.sub(this.localValue(LoopLocal.ACC, I32), this.pc);
    this.brIf(this.leS(rest, this.i32(MARGIN)), this.labels.budget);
    this.br(this.labels.again);
  }

  /** Goes to a record; the distance passed is taken from the budget, which ACC - PC is. */
  protected goto(target: Val): void {
    const next = this.let(target);
    this.flush();
    const spent = this.add(this.pc, this.i32(this.#records * Uop.size));
    const rest = this.let(this.sub(this.localValue(LoopLocal.ACC, I32), spent));
    this.emitVal(next);
    this.emit(Op.localSet, LoopLocal.PC);
    this.emitVal(this.add(rest, next));
    this.emit(Op.localSet, LoopLocal.ACC);
    this.brIf(this.leS(rest, this.i32(MARGIN)), this.labels!.budget);
    this.br(this.labels!.again);
  }

  jump(address: Val): void {
    this.facts.leaves = true;
    this.ended = true;
    if (!this.labels) {
      this.setSlot(Slot.BRANCH, address);
      this.emit(Op.i32Const, Next.JUMP);
      return;
    }
    this.emitVal(address);
    this.emit(Op.localSet, LoopLocal.BRANCH);
    this.flush();
    this.br(this.labels.jump);
  }

  fault(vector: number, errorCode = 0): void {
    if (!this.labels) {
      this.stateStore(32, State.vector, this.i32(vector));
      this.stateStore(32, State.errorCode, this.i32(errorCode));
    }
    this.exit(Exit.Exception);
  }

  exit(kind: number): void {
    this.facts.leaves = true;
    if (this.depth === 0) this.ended = true;
    if (this.labels) {
      this.missIf(this.i32(1));
      return;
    }
    this.stateStore(32, State.exitKind, this.i32(kind));
    this.emit(Op.i32Const, Next.EXIT, Op.return);
  }

  exitAfter(kind: number, vector: number | Val = 0): void {
    this.facts.leaves = true;
    if (this.depth === 0) this.ended = true;
    if (this.labels) {
      this.missIf(this.i32(1));
      return;
    }
    this.stateStore(32, State.exitKind, this.i32(kind));
    this.stateStore(32, State.vector, typeof vector === "number" ? this.i32(vector) : vector);
    this.setSlot(Slot.BRANCH, this.nextRip());
    this.emit(Op.i32Const, Next.EXIT_AFTER, Op.return);
  }

  host(name: string): void {
    this.facts.leaves = true;
    this.ended = true;
    if (this.labels) {
      this.missIf(this.i32(1));
      return;
    }
    const call = [...this.i32(hostNumber(name)).code, ...this.pc.code, Op.call, ...leb(this.helpers.host)];
    const next = this.let({ t: I32, code: call });
    const behind = this.add(this.pc, this.i32(Uop.size));
    this.emitVal(this.select(this.eq(next, this.i32(Next.NEXT)), behind, next));
  }
}

// Flags of the hot tier: the interpreter's three words (layout.ts, FLAG_RESULT and on) in locals, where the engine drops
// what nobody reads; and, within a block, what they follow from, so that a condition on a comparison is one comparison.
// The helpers of the base module work on the words in memory, so these are put there and taken from there around calls.

import { Cc, type EagerFlags, type Size, type Val } from "../builder.ts";
import { FlagsBuilder } from "../interpreter_flags.ts";
import { leb } from "../interpreter_state.ts";
import { Lazy, Slot } from "../layout.ts";
import { I32, I64, Op, type ValType } from "../wasm.ts";
import { Local } from "./locals.ts";

/** What is known, at one point of a block, of the instruction that set the flags last. */
type Kind = "unknown" | "result" | "add" | "sub" | "logic";

const isFlags = (slot: number): boolean => slot >= Slot.FLAG_RESULT && slot <= Slot.FLAG_STATE;

export abstract class RegionFlags extends FlagsBuilder {
  /** Registers that the region reads, and those that it writes, a bit each; and does it write flags? */
  touched = 0;
  written = 0;
  writesFlags = false;
  #kind: Kind = "unknown";
  readonly #used = new Set<number>();
  #size: Size = 64;

  /** At the beginning of a block: nothing is known of the flags. */
  protected forgetFlags(): void {
    this.#kind = "unknown";
    this.#used.clear();
  }

  /** Locals in which this block has noted operands and results. */
  protected notedLocals(): [number, ValType][] {
    return [...this.#used].map((local) => [local, local >= Local.X64 ? I64 : I32]);
  }

  protected setLocal(local: number, value: Val): void {
    this.emitVal(value);
    this.emit(Op.localSet, ...leb(local));
  }

  override slot(number: number): Val {
    if (isFlags(number)) return this.localValue(Local.FLAGS + number - Slot.FLAG_RESULT, I64);
    if (number === Slot.PAGE) return this.localValue(Local.PAGE, I64);
    return super.slot(number);
  }

  override setSlot(number: number, value: Val): void {
    if (!isFlags(number)) {
      super.setSlot(number, value);
      return;
    }
    this.changed = true;
    this.writesFlags = true;
    this.setLocal(Local.FLAGS + number - Slot.FLAG_RESULT, value);
  }

  /** Notes operands and result; below b.if it is not known at compile time whether it happened. */
  #note(kind: Kind, size: Size, result: Val, x?: Val, y?: Val): void {
    if (this.flagsDead) return;
    this.#kind = this.depth === 0 ? kind : "unknown";
    this.#size = size;
    if (this.#kind === "unknown") return;
    const wide = size === 64 ? 3 : 0;
    const keep = (local: number, value: Val | undefined): void => {
      if (!value) return;
      this.setLocal(local + wide, this.truncate(value, size));
      this.#used.add(local + wide);
    };
    keep(Local.RESULT32, result);
    keep(Local.X32, x);
    keep(Local.Y32, y);
  }

  #noted(local: number): Val {
    return this.#size === 64 ? this.localValue(local + 3, I64) : this.localValue(local, I32);
  }

  override flagsAdd(size: Size, x: Val, y: Val, result: Val): void {
    super.flagsAdd(size, x, y, result);
    this.#note("add", size, result, undefined, y);
  }
  override flagsSub(size: Size, x: Val, y: Val, result: Val): void {
    super.flagsSub(size, x, y, result);
    this.#note("sub", size, result, x, y);
  }
  override flagsLogic(size: Size, result: Val): void {
    super.flagsLogic(size, result);
    this.#note("logic", size, result);
  }
  override flagsEager(size: Size, result: Val, flags: EagerFlags): void {
    super.flagsEager(size, result, flags);
    this.#note("result", size, result);
  }

  /** Calls a helper that works on the words in memory. */
  #call(helper: number, changes: boolean): void {
    for (let i = 0; i < 3; i++) {
      this.stateStore(64, (Slot.FLAG_RESULT + i) * 8, this.localValue(Local.FLAGS + i, I64));
    }
    this.emit(Op.call, ...leb(helper));
    if (changes) this.#reload();
  }

  #reload(): void {
    this.writesFlags = true;
    for (let i = 0; i < 3; i++) {
      this.setLocal(Local.FLAGS + i, this.stateLoad(64, (Slot.FLAG_RESULT + i) * 8));
    }
  }

  protected override makeEager(): void {
    if (this.#kind === "logic" || this.#kind === "result") return;
    this.if(this.and(this.wrap(this.slot(Slot.FLAG_STATE)), this.i32(Lazy.MASK)), () =>
      this.#call(this.helpers.eager, true),
    );
  }

  override setCf(value: Val): void {
    super.setCf(value);
    this.#loseCarry();
  }
  override setCfOf(cf: Val, of: Val): void {
    super.setCfOf(cf, of);
    this.#loseCarry();
  }
  /** ZF and SF are still the result's. */
  #loseCarry(): void {
    if (!this.flagsDead) this.#kind = this.depth === 0 && this.#kind !== "unknown" ? "result" : "unknown";
  }

  override cf(): Val {
    this.facts.readsFlags = true;
    if (this.#kind === "sub") return this.let(this.ltU(this.#noted(Local.X32), this.#noted(Local.Y32)));
    if (this.#kind === "add") return this.let(this.ltU(this.#noted(Local.RESULT32), this.#noted(Local.Y32)));
    if (this.#kind === "logic") return this.i32(0);
    return super.cf();
  }

  /** SF xor OF, whatever the form of the flags. */
  protected override less(): Val {
    const state = this.let(this.slot(Slot.FLAG_STATE));
    const result = this.slot(Slot.FLAG_RESULT);
    const source = this.slot(Slot.FLAG_SOURCE);
    const kind = this.wrap(state);
    const sub = this.ltS(this.add(result, source), source);
    const x = this.sub(result, source);
    const overflow = this.and(this.xor(x, result), this.xor(source, result));
    const add = this.ltS(this.xor(result, overflow), this.i64(0));
    const lazy = this.choose(this.and(kind, this.i32(Lazy.SUB)), sub, add);
    return this.let(this.choose(this.and(kind, this.i32(Lazy.MASK)), lazy, this.lessEager(state)));
  }

  override cond(cc: number): Val {
    this.facts.readsFlags = true;
    return this.#known(cc) ?? this.#unknown(cc);
  }

  #known(cc: number): Val | undefined {
    if (this.#kind === "unknown") return undefined;
    const size = this.#size;
    const result = this.#noted(Local.RESULT32);
    const zero = this.constant(size, 0);
    switch (cc) {
      case Cc.E:
        return this.eqz(result);
      case Cc.NE:
        return this.ne(result, zero);
      case Cc.S:
        return this.ltS(this.signed(result, size), zero);
      case Cc.NS:
        return this.leS(zero, this.signed(result, size));
    }
    if (this.#kind === "sub") {
      return this.knownCondition(cc, { size, x: this.#noted(Local.X32), y: this.#noted(Local.Y32), result });
    }
    if (this.#kind === "logic") return this.knownCondition(cc, { size, x: result, y: zero, result });
    if (this.#kind === "add" && (cc === Cc.B || cc === Cc.AE)) {
      return cc === Cc.B ? this.cf() : this.eqz(this.cf());
    }
    return undefined;
  }

  #unknown(cc: number): Val {
    if (cc === Cc.P || cc === Cc.NP) {
      this.#call(this.helpers.parity, false);
      const parity = this.let({ t: I32, code: [] });
      return cc === Cc.NP ? this.eqz(parity) : parity;
    }
    return super.cond(cc);
  }

  override rflags(): Val {
    this.facts.readsFlags = true;
    this.#call(this.helpers.getFlags, false);
    return this.let({ t: I32, code: [] });
  }

  override setRflags(value: Val, mask = 0): void {
    super.setRflags(value, mask);
    this.changed = true;
    this.#reload();
    this.#kind = "unknown";
  }
}

// Flags of the interpreter's tier: kept as what they follow from (layout.ts, FLAG_RESULT and on), and computed where they
// are read. A jump fused with the comparison before it decides by what was compared. In the loop, flags in a form that it
// has no code for send the instruction to its function.

import { Cc, type EagerFlags, type Size, type Val } from "./builder.ts";
import { leb, SIZE_CODE, StateBuilder } from "./interpreter_state.ts";
import { Lazy, Slot } from "./layout.ts";
import { I32, Op } from "./wasm.ts";

interface Compared {
  readonly size: Size;
  readonly x: Val;
  readonly y: Val;
  readonly result: Val;
}

export abstract class FlagsBuilder extends StateBuilder {
  /** What the flags were last set by, if it was a comparison; and what a fused jump is known to follow. */
  protected latest: Compared | undefined;
  protected known: Compared | undefined;

  protected aligned(size: Size, value: Val): Val {
    return size === 64 ? value : this.shl(this.zext(value), this.i64(64 - size));
  }

  /** Notes that all flags are replaced; true when that need not be done. */
  protected replacesFlags(): boolean {
    if (this.depth === 0) this.facts.writesFlags = true;
    return this.flagsDead;
  }

  protected lazy(size: Size, y: Val, result: Val, kind: number): void {
    if (this.replacesFlags()) return;
    this.setSlot(Slot.FLAG_RESULT, this.aligned(size, result));
    this.setSlot(Slot.FLAG_SOURCE, this.aligned(size, y));
    this.setSlot(Slot.FLAG_STATE, this.i64(kind | SIZE_CODE[size]));
  }

  flagsAdd(size: Size, _x: Val, y: Val, result: Val): void {
    this.lazy(size, y, result, Lazy.ADD);
  }

  flagsSub(size: Size, x: Val, y: Val, result: Val): void {
    this.lazy(size, y, result, Lazy.SUB);
    this.latest = { size, x, y, result };
  }

  flagsLogic(size: Size, result: Val): void {
    if (this.replacesFlags()) return;
    const zero = this.constant(size, 0);
    this.latest = { size, x: result, y: zero, result };
    this.setSlot(Slot.FLAG_RESULT, this.aligned(size, result));
    this.setSlot(Slot.FLAG_STATE, this.i64(SIZE_CODE[size]));
  }

  flagsEager(size: Size, result: Val, flags: EagerFlags): void {
    if (this.replacesFlags()) return;
    const carry = this.shl(this.zext(flags.cf), this.i64(63));
    const differ = this.shl(this.zext(this.xor(flags.cf, flags.of)), this.i64(62));
    let state = this.or(this.or(carry, differ), this.i64(SIZE_CODE[size]));
    if (flags.af) state = this.or(state, this.shl(this.zext(flags.af), this.i64(4)));
    const kept = this.let(state);
    this.setSlot(Slot.FLAG_RESULT, this.aligned(size, result));
    this.setSlot(Slot.FLAG_STATE, kept);
  }

  /** Brings the flags into the form without lazy carry. In the loop: leaves to the function if they aren't. */
  protected makeEager(): void {
    if (this.labels) {
      const lazy = this.and(this.stateLoad(32, Slot.FLAG_STATE * 8), this.i32(Lazy.MASK));
      this.missIf(lazy);
    } else this.emit(Op.call, ...leb(this.helpers.eager));
  }

  setCf(value: Val): void {
    this.facts.readsFlags = true;
    if (this.flagsDead) return;
    const carry = this.let(this.zext(value));
    this.makeEager();
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
    this.makeEager();
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
  protected less(): Val {
    const state = this.let(this.slot(Slot.FLAG_STATE));
    if (this.labels) {
      this.missIf(this.and(this.wrap(state), this.i32(Lazy.ADD)));
      const result = this.slot(Slot.FLAG_RESULT);
      const source = this.slot(Slot.FLAG_SOURCE);
      const sub = this.ltS(this.add(result, source), source);
      return this.choose(this.and(this.wrap(state), this.i32(Lazy.SUB)), sub, this.lessEager(state));
    }
    this.emit(Op.call, ...leb(this.helpers.eager));
    return this.let(this.lessEager(this.let(this.slot(Slot.FLAG_STATE))));
  }

  protected lessEager(state: Val): Val {
    const overflow = this.xor(state, this.shl(state, this.i64(1)));
    const inverted = this.xor(this.slot(Slot.FLAG_RESULT), this.shl(state, this.i64(2)));
    return this.ltS(this.xor(overflow, inverted), this.i64(0));
  }

  /** A condition on values just compared; logic is a comparison of its result with 0. */
  protected knownCondition(cc: number, { size, x, y }: Compared): Val | undefined {
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
    if (this.known) {
      const condition = this.knownCondition(cc, this.known);
      if (condition) return condition;
    }
    const negate = (value: Val): Val => (cc & 1 ? this.eqz(value) : value);
    const zero = (): Val => this.eqz(this.slot(Slot.FLAG_RESULT));
    switch (cc & ~1) {
      case Cc.O: {
        this.makeEager();
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
        return negate({ t: I32, code: [Op.call, ...leb(this.helpers.parity)] });
      case Cc.L:
        return negate(this.less());
      default:
        return negate(this.or(this.less(), zero()));
    }
  }

  rflags(): Val {
    this.facts.readsFlags = true;
    return this.let({ t: I32, code: [Op.call, ...leb(this.helpers.getFlags)] });
  }

  setRflags(value: Val, mask = 0): void {
    this.facts.leaves = true;
    this.emitVal(value);
    this.emitVal(this.i32(mask));
    this.emit(Op.call, ...leb(this.helpers.setFlags));
  }
}

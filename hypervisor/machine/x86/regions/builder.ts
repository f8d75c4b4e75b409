// The hot tier of a Builder: registers, flags and the page's address are locals of the region's function (compile.ts), an
// operand's place is known when the code is made. What an instruction does comes from its description, as in the
// interpreter; what differs is where things are. Whatever is uncommon - a TLB miss, an operand that crosses a page, a store to
// a page with decoded code, an exception - leaves the region before the instruction (`here`), which the interpreter then
// executes: one access in some thousands, and no calls in between, so that the engine keeps registers in registers.
// Flags are in flags.ts. Left out: instructions that the tier doesn't hold (`unfit`) - those carried out in TypeScript, and
// those that may have to leave after their first change.

import type { Operand, Size, Val } from "../builder.ts";
import type { OperandShape } from "../describe.ts";
import type { Addresses, HelperIndexes } from "../interpreter.ts";
import { leb } from "../interpreter_state.ts";
import { AddressFlag, Slot, Uop } from "../layout.ts";
import { I32, I64, Op, type ValType } from "../wasm.ts";
import { RegionFlags } from "./flags.ts";
import type { Decoded } from "./graph.ts";
import { Local } from "./locals.ts";

/** Where code goes on; the compiler knows the region's shape. */
export interface Flow {
  /** The end of the instruction at `from`: go on at another place. */
  goto(from: number, to: number): void;
  /** At a full address, in BRANCH. */
  jump(): void;
  /** Leave the region before the instruction at this place. */
  here(place: number): void;
}

/** Indexes of the region module's imports beside those that instructions' own functions have. */
export interface RegionHelpers extends HelperIndexes {
  readonly page: number;
}

const never = (): never => {
  throw new Error("x86 description: an operand was used as what it isn't");
};

export class RegionBuilder extends RegionFlags {
  readonly #helpers: RegionHelpers;
  readonly #flow: Flow;
  #ins!: Decoded;
  /** Locals that this block has used for what it computes. */
  readonly #temporary = new Map<number, ValType>();
  /** Instructions of the block before this one. */
  #before = 0;
  /** The tier can't hold the instruction: what was emitted for it is void. */
  unfit = false;
  /** Places in `out` of branches that are hardly ever taken. */
  readonly unlikely: number[] = [];

  constructor(addresses: Addresses, helpers: RegionHelpers, locals: ValType[], flow: Flow) {
    super({ addresses, helpers, locals, firstLocal: Local.count });
    this.#helpers = helpers;
    this.#flow = flow;
  }

  /** Emits one instruction. Returns false, nothing being emitted, when the tier can't hold it. */
  instruction(ins: Decoded, before: number): boolean {
    const start = this.out.length;
    const hints = this.unlikely.length;
    this.#ins = ins;
    this.#before = before;
    this.used.fill(false);
    this.changed = false;
    this.ended = false;
    this.unfit = false;
    this.flagsDead = ins.flagsDead;
    const operands = ins.shapes.map((shape, i) => this.operand(shape, i, ins.shapes, ins.locked));
    ins.form.description.semantics(this, ...operands);
    if (!this.unfit) return true;
    this.out.length = start;
    this.unlikely.length = hints;
    return false;
  }

  protected override newLocal(t: ValType): number {
    const local = super.newLocal(t);
    this.#temporary.set(local, t);
    return local;
  }

  /** At the beginning of a block. */
  begin(): void {
    this.forgetFlags();
    this.#temporary.clear();
  }

  /**
   * At a block's end: what only it had is 0 again, as everywhere, so that the engine has nothing to join where blocks meet:
   * it halves the time that it takes to compile.
   */
  tidy(): void {
    for (const [local, t] of [...this.#temporary, ...this.notedLocals()]) {
      this.setLocal(local, t === I64 ? this.i64(0) : this.i32(0));
    }
  }

  /** Structured blocks open within the instruction. */
  get inner(): number {
    return this.depth;
  }

  // ---- For the compiler -----------------------------------------------------------------------------------------

  local(number: number, t: ValType): Val {
    return this.localValue(number, t);
  }
  set(local: number, value: Val): void {
    this.setLocal(local, value);
  }
  push(value: Val): void {
    this.emitVal(value);
  }
  loadAt(size: Size, base: Val, offset: number): Val {
    return this.memLoad(size, base, offset);
  }
  loadSlot(number: number): Val {
    return this.stateLoad(64, number * 8);
  }
  storeSlot(number: number, value: Val): void {
    this.stateStore(64, number * 8, value);
  }
  storeState(offset: number, value: Val): void {
    this.stateStore(32, offset, value);
  }
  rarely(condition: Val, then: () => void): void {
    this.unlikelyIf(condition, then);
  }
  /** Makes sure that a page is the frame that the region was made from, or else does something that goes elsewhere. */
  checkPage(bit: number, page: number, mfn: number, otherwise: () => void): void {
    const checked = this.localValue(Local.CHECKED, I32);
    this.unlikelyIf(this.eqz(this.and(checked, this.i32(bit))), () => {
      const address = this.add(this.slot(Slot.PAGE), this.i64(page));
      const code = [...address.code, ...this.i32(mfn).code, Op.call, ...leb(this.#helpers.page)];
      this.if(this.eqz({ t: I32, code }), otherwise);
      this.setLocal(Local.CHECKED, this.or(checked, this.i32(bit)));
    });
  }

  // ---- Registers and operands -----------------------------------------------------------------------------------

  override reg(number: number, size: Size = 64): Val {
    this.touched |= 1 << number;
    return this.#part(this.localValue(Local.REGISTERS + number, I64), size);
  }

  #part(whole: Val, size: Size): Val {
    return size === 64 ? whole : this.truncate(this.wrap(whole), size);
  }

  override setReg(number: number, size: Size, value: Val): void {
    this.changed = true;
    this.written |= 1 << number;
    const local = Local.REGISTERS + number;
    if (size === 64) this.setLocal(local, value);
    else if (size === 32) this.setLocal(local, this.zext(this.wrap(value)));
    else {
      const kept = this.and(this.localValue(local, I64), this.i64(size === 8 ? -0x100n : -0x10000n));
      this.setLocal(local, this.or(kept, this.zext(this.truncate(this.wrap(value), size))));
    }
  }

  override setHighByte(number: number, value: Val): void {
    this.changed = true;
    this.written |= 1 << number;
    const local = Local.REGISTERS + number;
    const kept = this.and(this.localValue(local, I64), this.i64(~0xff00n));
    const byte = this.and(this.wrap(value), this.i32(0xff));
    this.setLocal(local, this.or(kept, this.shl(this.zext(byte), this.i64(8))));
  }

  protected override immediate(size: Size, second: boolean): Val {
    const { immLo, immHi } = this.#ins;
    if (size === 64) return this.i64((BigInt(immHi >>> 0) << 32n) | BigInt(immLo >>> 0));
    const value = second ? immHi : immLo;
    return this.i32(size === 32 ? value : value & ((1 << size) - 1));
  }

  protected override registerOperand(size: Size, position: number): Operand {
    const at = this.#ins.registers[position];
    const number = at >>> 3;
    const read = (): Val =>
      at & 1 ? this.and(this.shr(this.reg(number, 32), this.i32(8)), this.i32(0xff)) : this.reg(number, size);
    const write = (value: Val): void => (at & 1 ? this.setHighByte(number, value) : this.setReg(number, size, value));
    return { size, kind: "reg", read, modify: read, write, address: never, number: () => this.i32(at) };
  }

  protected override address(_shape: OperandShape): Val {
    const ins = this.#ins;
    const flags = ins.scale;
    let sum: Val | undefined;
    const plus = (value: Val): void => {
      sum = sum === undefined ? value : this.add(sum, value);
    };
    if (flags & AddressFlag.ABSOLUTE) {
      plus(this.i64((BigInt(ins.immHi >>> 0) << 32n) | BigInt(ins.immLo >>> 0)));
    } else {
      if (ins.base !== Slot.ZERO) plus(this.#addend(ins.base));
      const factor = flags & AddressFlag.FACTOR;
      if (ins.index !== Slot.ZERO) {
        const index = this.#addend(ins.index);
        plus(factor > 1 ? this.shl(index, this.i64(Math.log2(factor))) : index);
      }
      if (ins.disp !== 0 || sum === undefined) plus(this.i64(ins.disp));
    }
    if (flags & AddressFlag.ADDR32) sum = this.and(sum as Val, this.i64(0xffffffffn));
    if (flags & AddressFlag.FS) plus(this.slot(Slot.FS_BASE));
    if (flags & AddressFlag.GS) plus(this.slot(Slot.GS_BASE));
    return sum as Val;
  }

  #addend(slot: number): Val {
    return slot < 16 ? this.reg(slot) : this.slot(slot);
  }

  // ---- Memory ---------------------------------------------------------------------------------------------------

  protected override translate(size: Size, at: Val, tag: number): Val {
    this.facts.leaves = true;
    if (this.changed) this.unfit = true;
    const bytes = size / 8;
    const slot = this.let(this.tlbSlot(at));
    const last = bytes === 1 ? at : this.add(at, this.i64(bytes - 1));
    const page = this.or(this.and(last, this.i64(-4096)), this.localValue(Local.ASID, I64));
    const wrong = (tags: number): Val => this.ne(page, this.memLoad(64, slot, this.addresses.data + tags));
    this.unlikelyIf(wrong(tag), () => {
      if (tag === 0) {
        this.here();
        return;
      }
      // A page with code, where there is none of it?
      const granules = this.memLoad(32, slot, this.addresses.data + 24);
      const granule = (address: Val): Val => {
        const place = this.shr(this.and(this.wrap(address), this.i32(4095)), this.i32(4));
        return this.memLoad(8, this.add(granules, place), 0);
      };
      const code = this.or(granule(at), granule(last));
      this.unlikelyIf(this.choose(this.or(this.eqz(granules), wrong(0)), this.i32(1), code), () => this.here());
    });
    return this.let(this.add(this.wrap(at), this.memLoad(32, slot, this.addresses.data + 16)));
  }

  /** `if`, hardly ever taken. */
  protected unlikelyIf(condition: Val, then: () => void): void {
    this.emitVal(condition);
    this.unlikely.push(this.out.length);
    this.if({ t: I32, code: [] }, then);
  }

  // Nothing is ever in the bounce buffer here.
  protected override commitStore(): void {}

  override checkWrite(size: Size, address: Val): void {
    this.writable(size, this.let(address));
  }

  protected override startOver(): void {
    this.here();
  }

  // ---- Where to go on -------------------------------------------------------------------------------------------

  /** Leaves the region before this instruction. */
  protected here(): void {
    if (this.changed) this.unfit = true;
    this.spend(this.#before);
    this.#flow.here(this.#ins.rel);
  }

  override thisRip(): Val {
    return this.#within(this.#ins.rel);
  }
  override nextRip(): Val {
    return this.#within(this.#ins.rel + this.#ins.length);
  }
  override targetRip(): Val {
    return this.#within(this.#ins.target);
  }
  #within(offset: number): Val {
    return this.add(this.slot(Slot.PAGE), this.i64(offset));
  }

  /** Takes the block's instructions up to and with this one from the budget. */
  #spend(): void {
    this.spend(this.#before + 1);
  }
  spend(instructions: number): void {
    if (instructions === 0) return;
    const left = this.localValue(Local.LEFT, I32);
    this.setLocal(Local.LEFT, this.sub(left, this.i32(instructions * Uop.size)));
  }

  override branch(): void {
    this.ended = true;
    this.#spend();
    this.#flow.goto(this.#ins.rel, this.#ins.target);
  }

  override branchIf(condition: Val): void {
    this.ended = true;
    const taken = this.let(condition);
    this.#spend();
    const { rel, length, target } = this.#ins;
    this.if(taken, () => this.#flow.goto(rel, target));
    this.#flow.goto(rel, rel + length);
  }

  override jump(address: Val): void {
    this.ended = true;
    this.setLocal(Local.BRANCH, address);
    this.#spend();
    this.#flow.jump();
  }

  override fault(): void {
    this.exit();
  }
  override exit(): void {
    if (this.depth === 0) this.ended = true;
    this.here();
  }
  override exitAfter(): void {
    this.exit();
  }
  override host(): void {
    this.ended = true;
    this.unfit = true;
  }
}

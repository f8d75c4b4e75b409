// Functions of the base module that an instruction's own function calls: looking operands up in the TLB, general
// addresses, and flags in all their forms.

import type { Val } from "./builder.ts";
import { type Addresses, type HelperIndexes, InterpreterBuilder } from "./interpreter.ts";
import { AddressFlag, Lazy, Slot, Uop } from "./layout.ts";
import { I32, I64, type ModuleBuilder, Op, type ValType } from "./wasm.ts";

/** What the base module imports, in this order. */
export interface BaseImports {
  readonly missRead: number;
  readonly missWrite: number;
}

const NO_HELPERS: HelperIndexes = {
  readable: 0,
  writable: 0,
  commit: 0,
  address: 0,
  eager: 0,
  parity: 0,
  getFlags: 0,
  setFlags: 0,
  host: 0,
};

/** A function's body written with the values of a Builder. */
export class HelperBuilder extends InterpreterBuilder {
  constructor(addresses: Addresses, params: number) {
    super({ addresses, helpers: NO_HELPERS, locals: [], firstLocal: params });
  }
  param(number: number, t: ValType): Val {
    return this.localValue(number, t);
  }
  peek(size: 8 | 16 | 32 | 64, base: Val, offset: number): Val {
    return this.memLoad(size, base, offset);
  }
  poke(size: 8 | 16 | 32 | 64, base: Val, offset: number, value: Val): void {
    this.memStore(size, base, offset, value);
  }
  state(size: 8 | 16 | 32 | 64, offset: number): Val {
    return this.stateLoad(size, offset);
  }
  /** Two neighbouring words of the state block: the vector and the error code lie alike here and in CpuLayout. */
  stateValue(offset: number): Val {
    return this.stateLoad(64, offset);
  }
  give(value: Val): void {
    this.emitVal(value);
  }
  giveAndReturn(value: Val): void {
    this.emitVal(value);
    this.emit(Op.return);
  }
  emitCall(index: number): void {
    this.emit(Op.call, index);
  }
  emitVoidCall(index: number, ...args: Val[]): void {
    for (const arg of args) this.emitVal(arg);
    this.emit(Op.call, index);
  }
  call(index: number, ...args: Val[]): Val {
    return { t: I32, code: [...args.flatMap((arg) => [...arg.code]), Op.call, index] };
  }
}

/** What beginning and ending a run takes from here. */
export interface FlagHelpers {
  /** Emits what computes RFLAGS. */
  flags(b: HelperBuilder): Val;
  /** Function (value, mask): the arithmetic flags, and the others that the mask names. */
  readonly setFlags: number;
}

/** Emits the helpers, exported by the names that the modules of instruction functions import. */
export function emitHelpers(module: ModuleBuilder, a: Addresses, imports: BaseImports): FlagHelpers {
  const fn = (
    name: string,
    params: readonly ValType[],
    results: readonly ValType[],
    body: (b: HelperBuilder) => void,
  ): number => {
    const b = new HelperBuilder(a, params.length);
    body(b);
    return module.func(module.type(params, results), b.locals, b.out, name);
  };

  for (const [name, tag, miss] of [
    ["readable", 0, imports.missRead],
    ["writable", 8, imports.missWrite],
  ] as const) {
    fn(name, [I64, I32], [I32], (b) => {
      const at = b.param(0, I64);
      const size = b.param(1, I32);
      const slot = b.let(b.and(b.wrap(b.shr(at, b.i64(7))), b.i32(a.dataMask)));
      const last = b.add(at, b.zext(b.sub(size, b.i32(1))));
      const page = b.or(b.and(last, b.i64(-4096)), b.slot(Slot.ASID));
      b.if(b.eq(page, b.peek(64, slot, a.data + tag)), () =>
        b.giveAndReturn(b.add(b.wrap(at), b.peek(32, slot, a.data + 16))),
      );
      if (tag === 8) {
        // A page with code: the store may go where no code is. Of more than 16 bytes there is something between the two ends.
        const granules = b.let(b.peek(32, slot, a.data + 24));
        const readable = b.eq(page, b.peek(64, slot, a.data));
        const short = b.leU(size, b.i32(16));
        b.if(b.and(b.and(readable, short), b.ne(granules, b.i32(0))), () => {
          const granule = (address: Val): Val =>
            b.peek(8, b.add(granules, b.shr(b.and(b.wrap(address), b.i32(4095)), b.i32(4))), 0);
          b.if(b.eqz(b.or(granule(at), granule(last))), () =>
            b.giveAndReturn(b.add(b.wrap(at), b.peek(32, slot, a.data + 16))),
          );
        });
      }
      b.give(b.call(miss, b.wrap(at), b.wrap(b.shr(at, b.i64(32))), size));
    });
  }

  // Is the page at an address this frame still, in the TLB for code?
  fn("regionPage", [I64, I32], [I32], (b) => {
    const page = b.param(0, I64);
    const slot = b.let(b.codeSlot(page));
    const tagged = b.eq(b.peek(64, slot, a.code), b.or(page, b.slot(Slot.ASID)));
    b.give(b.and(tagged, b.eq(b.peek(32, slot, a.code + 12), b.param(1, I32))));
  });

  fn("address", [I32], [I64], (b) => {
    const pc = b.param(0, I32);
    const flags = b.let(b.peek(8, pc, Uop.scale));
    const base = b.peek(64, b.peek(8, pc, Uop.base), a.state);
    const index = b.peek(64, b.peek(8, pc, Uop.index), a.state);
    const disp = b.sext64(b.peek(32, pc, Uop.disp), 32);
    const scaled = b.mul(index, b.zext(b.and(flags, b.i32(AddressFlag.FACTOR))));
    const sum = b.variable(b.add(b.add(base, disp), scaled));
    b.if(b.and(flags, b.i32(~AddressFlag.FACTOR)), () => {
      b.if(b.and(flags, b.i32(AddressFlag.ABSOLUTE)), () => b.assign(sum, b.peek(64, pc, Uop.imm)));
      b.if(b.and(flags, b.i32(AddressFlag.ADDR32)), () => b.assign(sum, b.and(sum, b.i64(0xffffffffn))));
      b.if(b.and(flags, b.i32(AddressFlag.FS)), () => b.assign(sum, b.add(sum, b.slot(Slot.FS_BASE))));
      b.if(b.and(flags, b.i32(AddressFlag.GS)), () => b.assign(sum, b.add(sum, b.slot(Slot.GS_BASE))));
    });
    b.give(sum);
  });

  const eager = fn("eager", [], [], (b) => {
    const low = b.let(b.state(32, Slot.FLAG_STATE * 8));
    b.if(b.and(low, b.i32(Lazy.MASK)), () => {
      const result = b.let(b.slot(Slot.FLAG_RESULT));
      const y = b.let(b.slot(Slot.FLAG_SOURCE));
      const subtract = b.let(b.and(low, b.i32(Lazy.SUB)));
      const x = b.let(b.select(subtract, b.add(result, y), b.sub(result, y)));
      // CF and OF at the top, as 64-bit operations: lower bits of all operands are zero.
      const cf = b.let(b.zext(b.select(subtract, b.ltU(x, y), b.ltU(result, y))));
      const differing = b.select(subtract, b.xor(x, y), b.xor(result, y));
      const of = b.shr(b.and(differing, b.xor(result, x)), b.i64(63));
      // AF: the carry into bit 4 of the operands where they were.
      const size = b.let(b.and(low, b.i32(3)));
      const shift = b.sub(b.i32(64), b.shl(b.i32(8), size));
      const carries = b.shr(b.xor(b.xor(x, y), result), b.zext(shift));
      const af = b.and(carries, b.i64(Lazy.AF));
      const top = b.or(b.shl(cf, b.i64(63)), b.shl(b.xor(cf, of), b.i64(62)));
      b.setSlot(Slot.FLAG_STATE, b.or(b.or(top, af), b.zext(size)));
    });
  });

  const parityOf = (b: HelperBuilder, state: Val, result: Val): Val => {
    const shift = b.sub(b.i32(64), b.shl(b.i32(8), b.and(b.wrap(state), b.i32(3))));
    const byte = b.and(b.wrap(b.shr(result, b.zext(shift))), b.i32(0xff));
    const inverted = b.wrap(b.shr(state, b.i64(60)));
    return b.and(b.xor(b.add(b.popcnt(byte), b.i32(1)), inverted), b.i32(1));
  };
  fn("parity", [], [I32], (b) => {
    b.give(parityOf(b, b.let(b.slot(Slot.FLAG_STATE)), b.slot(Slot.FLAG_RESULT)));
  });

  const flags = (b: HelperBuilder): Val => {
    const lazy = b.and(b.state(32, Slot.FLAG_STATE * 8), b.i32(Lazy.MASK));
    b.if(lazy, () => b.emitCall(eager));
    const state = b.let(b.slot(Slot.FLAG_STATE));
    const result = b.let(b.slot(Slot.FLAG_RESULT));
    const cf = b.wrap(b.shr(state, b.i64(63)));
    const of = b.wrap(b.shr(b.xor(state, b.shl(state, b.i64(1))), b.i64(63)));
    const sf = b.wrap(b.shr(b.xor(result, b.shl(state, b.i64(2))), b.i64(63)));
    let all = b.or(cf, b.and(b.wrap(state), b.i32(Lazy.AF)));
    all = b.or(all, b.shl(parityOf(b, state, result), b.i32(2)));
    all = b.or(all, b.shl(b.eqz(result), b.i32(6)));
    all = b.or(b.or(all, b.shl(sf, b.i32(7))), b.shl(of, b.i32(11)));
    return b.or(b.or(all, b.i32(0x202)), b.state(32, Slot.OTHER_FLAGS * 8));
  };
  fn("getFlags", [], [I32], (b) => b.give(flags(b)));

  const setFlags = fn("setFlags", [I32, I32], [], (b) => {
    const value = b.param(0, I32);
    const mask = b.param(1, I32);
    const bit = (n: number): Val => b.zext(b.bit(value, n));
    const others = b.or(b.and(b.state(32, Slot.OTHER_FLAGS * 8), b.not(mask)), b.and(value, mask));
    b.setSlot(Slot.OTHER_FLAGS, b.zext(others));
    // The result is 0, whose parity is even, or 1 << 56, as an 8-bit 1, whose parity is odd; SF is clear with either.
    const zf = b.let(bit(6));
    b.setSlot(Slot.FLAG_RESULT, b.shl(b.xor(zf, b.i64(1)), b.i64(56)));
    let state = b.or(b.shl(bit(0), b.i64(63)), b.shl(b.xor(bit(0), bit(11)), b.i64(62)));
    state = b.or(state, b.shl(bit(7), b.i64(61)));
    state = b.or(state, b.shl(b.xor(bit(2), zf), b.i64(60)));
    b.setSlot(Slot.FLAG_STATE, b.or(state, b.zext(b.and(value, b.i32(Lazy.AF)))));
  });
  return { flags, setFlags };
}

// The base module: the interpreter's loop, one function with a br_table over the handlers of the hot instructions, and the
// helpers. What isn't simple - an instruction without a handler here, a TLB miss - goes through MISS to the
// instruction's own function. V8 has no on-stack replacement for WebAssembly, so the loop is left and entered again often.
//
// The budget is never counted down. Records lie 24 bytes apart, one an instruction, so that in straight-line code the
// distance that PC has gone is what was executed: ACC is set at each branch such that ACC - PC is what is left of the
// budget (in bytes of records). It is looked at where the branch is taken, and the loop ends a little early, at MARGIN;
// the last instructions of a slice are run one by one.

import type { Val, Variable } from "./builder.ts";
import type { Description } from "./describe.ts";
import { emitEntries } from "./entry.ts";
import { emitHelpers } from "./helpers.ts";
import { CONDITIONAL_JUMPS, type HotEntry } from "./hot.ts";
import { type Addresses, type HelperIndexes, InterpreterBuilder, LoopLocal } from "./interpreter.ts";
import { COUNTS_OFFSET, Entry, Handler, LoopExit, MARGIN, Next, RegionExit, Slot, State, Uop } from "./layout.ts";
import { I32, I64, ModuleBuilder, Op, type ValType, VOID } from "./wasm.ts";

/** Instructions' own functions have numbers in the table up to this; 0 is none. Behind them are the regions' functions. */
export const FUNCTIONS = 8192;
export const REGIONS = 4096;

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

export interface BaseModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Size of the loop function's body. */
  readonly loopBytes: number;
}

export function emitBase(
  memoryPages: number,
  a: Addresses,
  hot: readonly HotEntry[],
  describe: (name: string) => Description,
): BaseModule {
  const module = new ModuleBuilder(memoryPages);
  const missRead = module.importFunction("missRead", [I32, I32, I32], [I32]);
  const missWrite = module.importFunction("missWrite", [I32, I32, I32], [I32]);
  module.table(FUNCTIONS + REGIONS);
  const flags = emitHelpers(module, a, { missRead, missWrite });

  const instructionType = module.type([I32], [I32]);
  const step: number[] = [
    Op.localGet,
    0,
    Op.localGet,
    0,
    Op.i32Load16U,
    1,
    Uop.cold,
    Op.callIndirect,
    instructionType,
    0,
  ];
  module.func(instructionType, [], step, "step");

  // The loop's type is also the regions'.
  const loopType = module.type([I32, I32], [I32]);
  const loop = new LoopEmitter(a, hot, describe, instructionType, loopType);
  const code = loop.emit();
  const loopIndex = module.func(loopType, [I64, I64, ...loop.locals], code);
  const around = loop.around(loopIndex);
  const aroundIndex = module.func(loopType, [I64, I64, ...around.locals], around.code);
  emitEntries(module, a, flags, aroundIndex);
  return { bytes: module.build(), loopBytes: code.length };
}

class LoopEmitter {
  readonly locals: ValType[] = [];
  readonly #a: Addresses;
  readonly #hot: readonly HotEntry[];
  readonly #describe: (name: string) => Description;
  readonly #instructionType: number;
  readonly #regionType: number;

  constructor(
    a: Addresses,
    hot: readonly HotEntry[],
    describe: (name: string) => Description,
    instructionType: number,
    regionType: number,
  ) {
    this.#a = a;
    this.#hot = hot;
    this.#describe = describe;
    this.#instructionType = instructionType;
    this.#regionType = regionType;
  }

  emit(): number[] {
    const count = Handler.FIRST + this.#hot.length;
    const out: number[] = [];
    pushAll(
      out,
      this.#part((b) => b.prologue()),
    );
    // loop AGAIN { block JUMP { block MISS { block BUDGET { block handler n-1 ... { block handler 0 { br_table
    out.push(Op.loop, VOID);
    for (let i = 0; i < count + 3; i++) out.push(Op.block, VOID);
    out.push(Op.localGet, LoopLocal.PC, Op.i32Load16U, 1, Uop.op, Op.brTable);
    lebInto(out, count);
    for (let i = 0; i < count; i++) lebInto(out, i);
    lebInto(out, count + 1); // anything else: MISS
    for (let i = 0; i < count; i++) {
      out.push(Op.end);
      // The blocks of the later handlers are still open.
      const open = count - 1 - i;
      const b = this.#builder({ budget: open, miss: open + 1, jump: open + 2, again: open + 3 });
      if (i < Handler.FIRST) b.record(i);
      else b.hot(this.#hot[i - Handler.FIRST], this.#describe);
      pushAll(out, b.out);
    }
    out.push(Op.end);
    pushAll(
      out,
      this.#part((b) => b.budgetSpent()),
    );
    out.push(Op.end);
    pushAll(
      out,
      this.#part((b) => b.leaveForFunction()),
    );
    out.push(Op.end);
    pushAll(
      out,
      this.#part((b) => b.lookUp(), { again: 0 }),
    );
    out.push(Op.end, Op.unreachable);
    return out;
  }

  around(loop: number): { code: number[]; locals: ValType[] } {
    const locals: ValType[] = [];
    const b = new LoopBuilder(this.#a, { budget: 0, miss: 0, jump: 0, again: 0 }, locals);
    b.around(loop, this.#instructionType, this.#regionType);
    return { code: b.out, locals };
  }

  #part(emit: (b: LoopBuilder) => void, labels: { jump?: number; again?: number } = {}): number[] {
    const b = this.#builder({ budget: 0, miss: 0, jump: labels.jump ?? 0, again: labels.again ?? 0 });
    emit(b);
    return b.out;
  }

  #builder(labels: { budget: number; miss: number; jump: number; again: number }): LoopBuilder {
    return new LoopBuilder(this.#a, labels, this.locals);
  }
}

/** A handler, or one of the loop's common parts. */
class LoopBuilder extends InterpreterBuilder {
  readonly #addresses: Addresses;
  readonly #labels: { miss: number; jump: number; again: number; budget: number };

  constructor(
    addresses: Addresses,
    labels: { miss: number; jump: number; again: number; budget: number },
    locals: ValType[],
  ) {
    super({ addresses, helpers: NO_HELPERS, labels, locals, firstLocal: LoopLocal.count });
    this.#addresses = addresses;
    this.#labels = labels;
  }

  hot(entry: HotEntry, describe: (name: string) => Description): void {
    const description = describe(entry.name);
    this.flagsDead = entry.dead === true;
    if (entry.then) {
      this.first(description, entry.shapes);
      this.hot(entry.then, describe);
    } else if (entry.cc !== undefined) this.fused(description, entry.shapes, describe(CONDITIONAL_JUMPS[entry.cc]));
    else if (entry.far) this.far(description);
    else this.instruction(description, entry.shapes, false);
  }

  get acc(): Val {
    return this.localValue(LoopLocal.ACC, I32);
  }
  get branchLocal(): Val {
    return this.localValue(LoopLocal.BRANCH, I64);
  }
  #set(local: number, value: Val): void {
    this.emitVal(value);
    this.emit(Op.localSet, local);
  }
  #return(code: number): void {
    this.emit(Op.i32Const, code, Op.return);
  }
  #br(distance: number): void {
    this.emit(Op.br);
    lebInto(this.out, distance + this.depth);
  }
  /** Takes back the record itself: it is no instruction. */
  #uncount(): void {
    this.#set(LoopLocal.ACC, this.add(this.acc, this.i32(Uop.size)));
  }

  prologue(): void {
    this.#set(LoopLocal.ASID, this.slot(Slot.ASID));
  }

  /** The records that are no instruction. */
  record(handler: number): void {
    const pc = this.pc;
    switch (handler) {
      case Handler.LOOKUP:
        this.#uncount();
        this.jump(this.targetRip());
        return;
      case Handler.LINK: {
        this.#budgetCheck(this.let(this.sub(this.acc, pc)));
        const map = this.memLoad(32, pc, Uop.imm + 4);
        const at = this.shl(this.memLoad(32, pc, Uop.disp), this.i32(2));
        const target = this.let(this.memLoad(32, this.add(map, at), 0));
        this.if(this.eqz(target), () => {
          this.setSlot(Slot.RIP, this.targetRip());
          this.stateStore(32, State.remaining, this.sub(this.acc, pc));
          this.#return(LoopExit.NEED_CODE);
        });
        this.memStore(32, this.memLoad(32, pc, Uop.imm), 0, target);
        this.#set(LoopLocal.ACC, this.add(this.sub(this.acc, pc), target));
        this.#set(LoopLocal.PC, target);
        this.#br(this.#labels.again);
        return;
      }
      case Handler.GOTO: {
        const target = this.let(this.memLoad(32, pc, Uop.target));
        const rest = this.let(this.sub(this.acc, pc));
        this.#set(LoopLocal.ACC, this.add(rest, target));
        this.#set(LoopLocal.PC, target);
        this.#budgetCheck(rest);
        this.#br(this.#labels.again);
        return;
      }
      case Handler.LAND:
        this.jump(this.slot(Slot.BRANCH));
        return;
      case Handler.CHECK:
        this.#budgetCheck(this.let(this.sub(this.acc, pc)));
        this.#uncount();
        this.#set(LoopLocal.PC, this.add(pc, this.i32(Uop.size)));
        this.#br(this.#labels.again);
        return;
      default: {
        // STRADDLE: right only while the page behind is the frame that it was decoded from.
        const next = this.let(this.add(this.slot(Slot.PAGE), this.i64(4096)));
        const slot = this.let(this.codeSlot(next));
        const tag = this.memLoad(64, slot, this.#addresses.code);
        const asid = this.localValue(LoopLocal.ASID, I64);
        const same = this.eq(this.memLoad(32, slot, this.#addresses.code + 8), this.memLoad(32, pc, Uop.imm));
        this.if(this.and(this.eq(tag, this.or(next, asid)), same), () => {
          const target = this.let(this.memLoad(32, pc, Uop.imm + 4));
          this.#set(LoopLocal.ACC, this.add(this.sub(this.acc, pc), target));
          this.#set(LoopLocal.PC, target);
          this.#br(this.#labels.again);
        });
        this.#ripOfRecord();
        this.stateStore(32, State.remaining, this.sub(this.acc, pc));
        this.#return(LoopExit.NEED_CODE);
      }
    }
  }

  #budgetCheck(rest: Val): void {
    this.emitVal(this.leS(rest, this.i32(MARGIN)));
    this.emit(Op.brIf);
    lebInto(this.out, this.#labels.budget + this.depth);
  }

  #ripOfRecord(): void {
    const rel = this.zext(this.memLoad(16, this.pc, Uop.rel));
    this.setSlot(Slot.RIP, this.add(this.slot(Slot.PAGE), rel));
  }

  /** BUDGET: PC is the record to go on at. */
  budgetSpent(): void {
    const op = this.memLoad(16, this.pc, Uop.op);
    this.if(
      this.leU(op, this.i32(Handler.LINK)),
      () => this.setSlot(Slot.RIP, this.targetRip()),
      () => this.#ripOfRecord(),
    );
    this.stateStore(32, State.remaining, this.sub(this.acc, this.pc));
    this.#return(LoopExit.BUDGET);
  }

  /** MISS: the instruction's own function is to do it: outside, so that this function makes no calls. */
  leaveForFunction(): void {
    this.stateStore(32, State.current, this.pc);
    this.stateStore(32, State.remaining, this.sub(this.acc, this.pc));
    this.#return(LoopExit.FUNCTION);
  }

  /** The function around the loop: calls instructions' own functions and regions, and enters the loop again. */
  around(loop: number, type: number, regionType: number): void {
    const code = this.variable(this.i32(0));
    const op = this.variable(this.i32(0));
    const remaining = this.stateLoad(32, State.remaining);
    const { pc } = this;
    this.emit(Op.loop, VOID);
    this.assign(code, { t: I32, code: [...this.pc.code, ...this.acc.code, Op.call, ...leb(loop)] });
    this.if(this.eq(code, this.i32(LoopExit.FUNCTION)), () => {
      this.#set(LoopLocal.PC, this.stateLoad(32, State.current));
      this.assign(op, this.memLoad(16, pc, Uop.op));
      this.if(this.leU(this.i32(Entry.FIRST), op), () => this.#regions(op, regionType));
      // An instruction that faulted may have left one in the bounce buffer.
      this.stateStore(32, State.pending, this.i32(0));
      const call = [...pc.code, ...this.memLoad(16, pc, Uop.cold).code, Op.callIndirect, type, 0];
      const next = this.let({ t: I32, code: call });
      const ordinary = this.gtU(next, this.i32(Next.EXIT_AFTER));
      const going = this.or(ordinary, this.eq(next, this.i32(Next.JUMP)));
      this.if(going, () => {
        // To go to the address in BRANCH there is a record that does just that, and counts as the instruction.
        const landing = this.i32(this.#addresses.state + State.landing);
        // ACC first, as it needs the old PC.
        this.#set(LoopLocal.ACC, this.select(ordinary, this.add(remaining, pc), this.add(remaining, landing)));
        this.#set(LoopLocal.PC, this.select(ordinary, next, landing));
        // A conditional jump's own function doesn't look at the budget when it isn't taken; LAND does.
        const spent = this.leS(remaining, this.i32(MARGIN + Uop.size));
        this.if(this.and(ordinary, spent), () => this.budgetSpent());
        this.emit(Op.br, this.depth);
      });
      this.if(
        next,
        () => {
          this.setSlot(Slot.RIP, this.slot(Slot.BRANCH));
          this.stateStore(32, State.remaining, this.sub(remaining, this.i32(Uop.size)));
        },
        () => {
          const rel = this.zext(this.memLoad(16, pc, Uop.rel));
          this.setSlot(Slot.RIP, this.add(this.slot(Slot.PAGE), rel));
        },
      );
      this.assign(code, this.i32(LoopExit.EXIT));
    });
    this.emit(Op.end);
    this.emitVal(code);
  }

  /**
   * PC is a record at which a region is entered: runs it, and those that it leads to, until PC is a record for the loop, to
   * which it goes, or one whose own function is to be called.
   */
  #regions(op: Variable, type: number): void {
    const { pc } = this;
    const remaining = this.stateLoad(32, State.remaining);
    const branch = this.slot(Slot.BRANCH);
    const leave = (code: number): void => {
      this.setSlot(Slot.RIP, branch);
      this.#return(code);
    };
    const kind = this.variable(this.i32(0));
    this.emit(Op.loop, VOID);
    this.depth++;
    const again = this.depth;
    this.if(this.leS(remaining, this.i32(MARGIN)), () => {
      this.#ripOfRecord();
      this.#return(LoopExit.BUDGET);
    });
    const number = this.sub(op, this.i32(Entry.FIRST));
    const entry = this.let(this.add(this.i32(this.#addresses.entries), this.mul(number, this.i32(Entry.size))));
    this.if(this.ltS(this.memLoad(32, entry, Entry.need), remaining), () => {
      const args = [...this.memLoad(32, entry, Entry.node).code, ...remaining.code];
      const call = [...args, ...this.memLoad(32, entry, Entry.table).code, Op.callIndirect, ...leb(type), 0];
      this.assign(kind, { t: I32, code: call });
      this.if(this.leS(remaining, this.i32(MARGIN)), () => leave(LoopExit.BUDGET));
      const page = this.let(this.and(branch, this.i64(-4096)));
      const slot = this.let(this.codeSlot(branch));
      const tag = this.memLoad(64, slot, this.#addresses.code);
      this.if(this.ne(tag, this.or(page, this.slot(Slot.ASID))), () => leave(LoopExit.NEED_CODE));
      const map = this.memLoad(32, slot, this.#addresses.code + 8);
      const record = this.#recordAt(this.let(map), branch);
      this.if(this.eqz(record), () => leave(LoopExit.NEED_CODE));
      this.setSlot(Slot.PAGE, page);
      this.#set(LoopLocal.PC, record);
      this.assign(op, this.memLoad(16, record, Uop.op));
      this.if(this.ltU(op, this.i32(Entry.FIRST)), () => {
        this.#set(LoopLocal.ACC, this.add(remaining, pc));
        // Out of the two loops' bodies, to the beginning of the outer one.
        this.emit(Op.br, this.depth);
      });
      this.stateStore(32, State.current, pc);
      this.brIf(this.eq(kind, this.i32(RegionExit.JUMP)), -again);
    });
    this.depth--;
    this.emit(Op.end);
  }

  /** JUMP: PC is a branch that has been executed, BRANCH where it goes. */
  lookUp(): void {
    const target = this.branchLocal;
    const rest = this.let(this.sub(this.sub(this.acc, this.pc), this.i32(Uop.size)));
    const slot = this.let(this.codeSlot(target));
    const page = this.let(this.and(target, this.i64(-4096)));
    const tag = this.memLoad(64, slot, this.#addresses.code);
    const asid = this.localValue(LoopLocal.ASID, I64);
    this.if(this.leS(rest, this.i32(MARGIN)), () => this.#leave(rest, LoopExit.BUDGET));
    this.if(this.ne(tag, this.or(page, asid)), () => this.#leave(rest, LoopExit.NEED_CODE));
    const map = this.memLoad(32, slot, this.#addresses.code + 8);
    const uop = this.#recordAt(this.let(map), target);
    this.if(this.eqz(uop), () => this.#leave(rest, LoopExit.NEED_CODE));
    this.setSlot(Slot.PAGE, page);
    this.#set(LoopLocal.ACC, this.add(rest, uop));
    this.#set(LoopLocal.PC, uop);
    this.#br(this.#labels.again);
  }

  /** The record for an address in the page of this map, or 0; the jump there is counted. */
  #recordAt(map: Val, address: Val): Val {
    const place = this.let(this.placeIn(map, address));
    // The distance from the map, a sixteenth of it, and a count has 4 bytes as a place in the map has.
    const count = this.let(this.add(map, this.and(this.shr(this.sub(place, map), this.i32(4)), this.i32(~3))));
    this.memStore(32, count, COUNTS_OFFSET, this.add(this.memLoad(32, count, COUNTS_OFFSET), this.i32(1)));
    return this.let(this.memLoad(32, place, 0));
  }

  #leave(rest: Val, code: number): void {
    this.setSlot(Slot.RIP, this.branchLocal);
    this.stateStore(32, State.remaining, rest);
    this.#return(code);
  }
}

function lebInto(out: number[], value: number): void {
  let rest = value >>> 0;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}

function leb(value: number): number[] {
  const out: number[] = [];
  lebInto(out, value);
  return out;
}

function pushAll(out: number[], items: readonly number[]): void {
  for (let i = 0; i < items.length; i++) out.push(items[i]);
}

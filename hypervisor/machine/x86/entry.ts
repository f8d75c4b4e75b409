// How a run begins and ends: functions of the base module that are called from TypeScript. They give the loop its budget, count
// what it has executed, and keep RFLAGS, which the hypervisor sees whole, apart from the lazy flags of running code: made
// when a run ends, taken in at the next one's beginning only if somebody has changed it. Emitted by loop.ts.

import { Reg } from "../cpu_state.ts";
import { Exit } from "../processor.ts";
import type { Val } from "./builder.ts";
import { type FlagHelpers, HelperBuilder } from "./helpers.ts";
import type { Addresses } from "./interpreter.ts";
import { LoopExit, Slot, State, Uop } from "./layout.ts";
import { I32, type ModuleBuilder, type ValType } from "./wasm.ts";

/** TF, DF, NT, AC, ID: the flags beside the arithmetic ones that a vcpu has, rather than the hypervisor. */
const KEPT_FLAGS = 0x244500;

/** Emits `enter`, `leave`, `run` and `resume`. `around`: the function of the loop and all that it calls, (record, ACC). */
export function emitEntries(module: ModuleBuilder, a: Addresses, helpers: FlagHelpers, around: number): void {
  const fn = (
    name: string,
    params: readonly ValType[],
    results: readonly ValType[],
    body: (b: EntryBuilder) => void,
  ): void => {
    const b = new EntryBuilder(a, params.length, helpers, around);
    body(b);
    module.func(module.type(params, results), b.locals, b.out, name);
  };
  fn("enter", [], [], (b) => b.enter());
  fn("leave", [], [], (b) => b.leave());

  // (record, instructions): runs so many from there, what LoopExit says being returned.
  fn("run", [I32, I32], [I32], (b) => {
    const code = b.let(b.slice(b.param(0, I32), b.begin(b.param(1, I32))));
    b.count();
    b.give(code);
  });

  // (instructions): the same from RIP, without a look from TypeScript at where that is; with enter and leave.
  fn("resume", [I32], [I32], (b) => {
    b.enter();
    const budget = b.begin(b.param(0, I32));
    const code = b.variable(b.i32(LoopExit.NEED_CODE));
    const rip = b.let(b.slot(Slot.RIP));
    const page = b.let(b.and(rip, b.i64(-4096)));
    const slot = b.let(b.codeSlot(rip));
    b.if(b.eq(b.peek(64, slot, a.code), b.or(page, b.slot(Slot.ASID))), () => {
      const record = b.let(b.recordAt(b.peek(32, slot, a.code + 8), rip));
      b.if(record, () => {
        b.setSlot(Slot.PAGE, page);
        b.assign(code, b.slice(record, budget));
      });
    });
    b.leave();
    b.count();
    b.give(code);
  });
}

class EntryBuilder extends HelperBuilder {
  readonly #a: Addresses;
  readonly #helpers: FlagHelpers;
  readonly #around: number;

  constructor(a: Addresses, params: number, helpers: FlagHelpers, around: number) {
    super(a, params);
    this.#a = a;
    this.#helpers = helpers;
    this.#around = around;
  }

  enter(): void {
    this.#set(State.exitKind, this.i32(Exit.Budget));
    const flags = this.let(this.slot(Slot.RFLAGS));
    this.if(this.ne(flags, this.slot(Slot.FLAGS_LEFT)), () => {
      this.setSlot(Slot.OTHER_FLAGS, this.i64(0));
      this.emitVoidCall(this.#helpers.setFlags, this.wrap(flags), this.i32(KEPT_FLAGS));
    });
  }

  leave(): void {
    const flags = this.let(this.zext(this.#helpers.flags(this)));
    this.setSlot(Slot.RFLAGS, flags);
    this.setSlot(Slot.FLAGS_LEFT, flags);
    const syscall = this.eq(this.state(32, State.exitKind), this.i32(Exit.Syscall));
    this.if(syscall, () => this.setSlot(Reg.R11, flags));
  }

  /** The budget of a slice of so many instructions, in bytes of records. */
  begin(instructions: Val): Val {
    const budget = this.let(this.mul(instructions, this.i32(Uop.size)));
    this.#set(State.budget, budget);
    this.#set(State.remaining, budget);
    return budget;
  }

  slice(record: Val, budget: Val): Val {
    return this.call(this.#around, record, this.add(record, budget));
  }

  count(): void {
    const spent = this.sub(this.state(32, State.budget), this.state(32, State.remaining));
    this.#set(State.executed, this.divU(spent, this.i32(Uop.size)));
  }

  recordAt(map: Val, address: Val): Val {
    return this.peek(32, this.placeIn(map, address), 0);
  }

  #set(offset: number, value: Val): void {
    this.poke(32, this.i32(0), this.#a.state + offset, value);
  }
}

// Makes one WebAssembly function of a region's blocks. Its parameters are the block to begin at and the budget in bytes of
// records; the registers come from the state block and go back there when it is left. It looks at the budget where cycles
// begin, and leaves so early that the interpreter finishes the rest: see `need`. Returns RegionExit, the address to go on
// at in BRANCH. An indirect jump to another entry of the same region stays inside.

import type { Mfn } from "../../../../shared/brand.ts";
import type { Val } from "../builder.ts";
import type { Addresses } from "../interpreter.ts";
import { leb } from "../interpreter_state.ts";
import { Entry, MARGIN, RegionExit, Slot, State, Uop } from "../layout.ts";
import { I32, I64, Op, type ValType, VOID } from "../wasm.ts";
import { type Flow, RegionBuilder, type RegionHelpers } from "./builder.ts";
import type { Block, Decoded } from "./graph.ts";
import { LOCAL_TYPES, Local } from "./locals.ts";
import { type Item, type Loop, loopHeads, structured } from "./structure.ts";

/** A region to be compiled. */
export interface Plan {
  /** Nodes: the first `entries` of them can be entered from outside. */
  readonly blocks: readonly Block[];
  readonly entries: number;
  readonly items: readonly Item[];
  /** Blocks that look at the budget. */
  readonly checks: ReadonlySet<number>;
  /** What must be left of the budget, in bytes of records, to enter or to go on at a check. */
  readonly need: number;
}

export interface RegionCode {
  readonly locals: readonly ValType[];
  readonly code: readonly number[];
  /** Places in `code` of branches that are hardly ever taken. */
  readonly unlikely: readonly number[];
}

/** Orders the blocks and decides where the region is entered: wherever nothing in it leads to, and where cycles begin. */
export function plan(found: ReadonlyMap<number, Block>): Plan {
  const offsets = [...found.keys()].sort((x, y) => x - y);
  const reached = new Set<number>();
  const outside = new Set<number>();
  for (const block of found.values()) {
    for (const next of block.next) reached.add(next);
    if (block.resume !== undefined) outside.add(block.resume);
    if (block.call !== undefined) outside.add(block.call);
  }
  const graphOf = (order: readonly number[]) => {
    const numbers = new Map(order.map((offset, i) => [offset, i]));
    const next = order.map((offset) => (found.get(offset) as Block).next.map((to) => numbers.get(to) as number));
    return { count: order.length, next: (node: number) => next[node] };
  };
  const first = new Set<number>();
  offsets.forEach((offset, i) => {
    if (!reached.has(offset) || outside.has(offset)) first.add(i);
  });
  for (const head of loopHeads(structured(graphOf(offsets), first))) first.add(head);
  const entered = offsets.filter((_, i) => first.has(i));
  const order = [...entered, ...offsets.filter((_, i) => !first.has(i))];
  const graph = graphOf(order);
  const items = structured(graph, new Set(entered.keys()));
  const checks = loopHeads(items);
  const blocks = order.map((offset) => found.get(offset) as Block);

  // The longest way from one check to the next: all cycles have one.
  const longest = new Map<number, number>();
  const from = (node: number): number => {
    const known = longest.get(node);
    if (known !== undefined) return known;
    let most = 0;
    for (const next of graph.next(node)) if (!checks.has(next)) most = Math.max(most, from(next));
    const all = most + blocks[node].instructions.length;
    longest.set(node, all);
    return all;
  };
  const path = Math.max(0, ...blocks.map((_, node) => from(node)));
  return { blocks, entries: entered.length, items, checks, need: MARGIN + path * Uop.size };
}

type Frame =
  | { readonly kind: "loop"; readonly loop: Loop; readonly label: number }
  | {
      readonly kind: "list";
      readonly items: readonly Item[];
      readonly labels: readonly number[];
      readonly places: ReadonlyMap<number, number>;
      at: number;
    };

export class RegionCompiler implements Flow {
  readonly #addresses: Addresses;
  #pages: ReadonlyMap<number, Mfn> = new Map();
  readonly #plan: Plan;
  readonly #numbers: ReadonlyMap<number, number>;
  readonly #b: RegionBuilder;
  readonly #locals: ValType[] = [];
  readonly #frames: Frame[] = [];
  /** Structured blocks open, and which of them is what. */
  #open = 0;
  static readonly #JUMP = 1;
  static readonly #HERE = 2;
  static readonly #TOP = 3;
  static readonly #INDIRECT = 4;

  constructor(addresses: Addresses, helpers: RegionHelpers, plan: Plan) {
    this.#addresses = addresses;
    this.#plan = plan;
    this.#numbers = new Map(plan.blocks.map((block, node) => [block.start, node]));
    this.#b = new RegionBuilder(addresses, helpers, this.#locals, this);
  }

  /** `firstOp`: the entries' first number as a record's op. `pages`: frames, by page relative to the first. */
  compile(firstOp: number, pages: ReadonlyMap<number, Mfn>): RegionCode {
    this.#pages = pages;
    const b = this.#b;
    const { out } = b;
    const { items, entries, need } = this.#plan;
    this.#begin(Op.block);
    this.#begin(Op.block);
    this.#begin(Op.loop);
    this.#begin(Op.block);
    this.#list(items, [...Array(entries).keys()]);
    this.#end();
    // An indirect jump: to an entry of this region, in the same place as this one?
    const branch = b.local(Local.BRANCH, I64);
    const { code } = this.#addresses;
    b.if(b.gtS(b.local(Local.LEFT, I32), b.i32(need)), () => {
      const page = b.let(b.and(branch, b.i64(-4096)));
      const slot = b.let(b.codeSlot(branch));
      b.if(b.eq(b.loadAt(64, slot, code), b.or(page, b.local(Local.ASID, I64))), () => {
        const record = b.loadAt(32, b.placeIn(b.loadAt(32, slot, code + 8), branch), 0);
        const op = b.loadAt(16, record, Uop.op);
        b.set(Local.TARGET, b.sub(op, b.i32(firstOp)));
        b.if(b.ltU(b.local(Local.TARGET, I32), b.i32(entries)), () => {
          b.if(b.eq(this.#firstPage(page, firstOp), b.local(Local.PAGE, I64)), () => this.#br(RegionCompiler.#TOP));
        });
      });
    });
    this.#br(RegionCompiler.#JUMP);
    this.#end();
    out.push(Op.unreachable);
    this.#end();
    b.set(Local.KIND, b.i32(RegionExit.HERE));
    b.set(Local.BRANCH, b.add(b.local(Local.PAGE, I64), b.sext64(b.local(Local.INFO, I32), 32)));
    this.#end();
    for (let reg = 0; reg < 16; reg++) {
      if (b.written & (1 << reg)) b.storeSlot(reg, b.local(Local.REGISTERS + reg, I64));
    }
    if (b.writesFlags) for (let i = 0; i < 3; i++) b.storeSlot(Slot.FLAG_RESULT + i, b.local(Local.FLAGS + i, I64));
    b.storeSlot(Slot.BRANCH, branch);
    b.storeState(State.remaining, b.local(Local.LEFT, I32));
    b.push(b.local(Local.KIND, I32));

    const prologue = this.#prologue(firstOp);
    return {
      locals: [...LOCAL_TYPES, ...this.#locals],
      code: prologue.concat(out),
      unlikely: b.unlikely.map((at) => at + prologue.length),
    };
  }

  /** Address of the region's first page, given that of the entry TARGET. */
  #firstPage(page: Val, firstOp: number): Val {
    const b = this.#b;
    const entries = this.#addresses.entries + (firstOp - Entry.FIRST) * Entry.size;
    const entry = b.mul(b.local(Local.TARGET, I32), b.i32(Entry.size));
    return b.sub(page, b.sext64(b.loadAt(32, entry, entries + Entry.shift), 32));
  }

  #prologue(firstOp: number): number[] {
    const b = this.#b;
    const body = b.out;
    b.out = [];
    b.set(Local.PAGE, this.#firstPage(b.loadSlot(Slot.PAGE), firstOp));
    b.set(Local.ASID, b.loadSlot(Slot.ASID));
    for (let i = 0; i < 3; i++) b.set(Local.FLAGS + i, b.loadSlot(Slot.FLAG_RESULT + i));
    for (let reg = 0; reg < 16; reg++) {
      if ((b.touched | b.written) & (1 << reg)) b.set(Local.REGISTERS + reg, b.loadSlot(reg));
    }
    const code = b.out;
    b.out = body;
    return code;
  }

  // ---- Structure ------------------------------------------------------------------------------------------------

  #begin(op: number): number {
    this.#b.out.push(op, VOID);
    return ++this.#open;
  }

  #end(): void {
    this.#b.out.push(Op.end);
    this.#open--;
  }

  #br(label: number): void {
    this.#b.out.push(Op.br, ...leb(this.#open + this.#b.inner - label));
  }

  /** Items in order, each behind the end of a block that jumps to it leave; first a br_table if there is a choice of doors. */
  #list(items: readonly Item[], doors: readonly number[]): void {
    const b = this.#b;
    const labels: number[] = [];
    for (let i = items.length - 1; i >= 0; i--) labels[i] = this.#begin(Op.block);
    const places = new Map<number, number>();
    items.forEach((item, i) => {
      if (item.kind === "block") places.set(item.node, i);
      else for (const node of item.nodes) places.set(node, i);
    });
    const frame: Frame = { kind: "list", items, labels, places, at: -1 };
    this.#frames.push(frame);
    if (doors.length === 1) {
      const place = places.get(doors[0]) as number;
      if (place > 0) this.#br(labels[place]);
    } else {
      const most = Math.max(...doors);
      const distance = (node: number): number => {
        const place = places.get(doors.includes(node) ? node : doors[0]) as number;
        return this.#open - labels[place];
      };
      b.push(b.local(Local.TARGET, I32));
      b.out.push(Op.brTable, ...leb(most));
      for (let node = 0; node <= most; node++) b.out.push(...leb(distance(node)));
    }
    items.forEach((item, i) => {
      this.#end();
      frame.at = i;
      if (item.kind === "block") this.#block(item.node);
      else this.#loop(item);
    });
    this.#frames.pop();
  }

  #loop(loop: Loop): void {
    const label = this.#begin(Op.loop);
    this.#frames.push({ kind: "loop", loop, label });
    this.#list(loop.items, loop.doors);
    this.#frames.pop();
    this.#end();
    this.#b.out.push(Op.unreachable);
  }

  #to(node: number): void {
    for (let i = this.#frames.length - 1; i >= 0; i--) {
      const frame = this.#frames[i];
      if (frame.kind === "loop") {
        if (!frame.loop.heads.has(node)) continue;
        this.#choose(frame.loop, node);
        this.#br(frame.label);
        return;
      }
      const place = frame.places.get(node) ?? -1;
      if (place <= frame.at) continue;
      const item = frame.items[place];
      if (item.kind === "loop") this.#choose(item, node);
      this.#br(frame.labels[place]);
      return;
    }
    throw new Error("x86: a region's jump leads nowhere");
  }

  #choose(loop: Loop, node: number): void {
    if (loop.doors.length > 1) this.#b.set(Local.TARGET, this.#b.i32(node));
  }

  #block(node: number): void {
    const b = this.#b;
    const block = this.#plan.blocks[node];
    b.begin();
    if (this.#plan.checks.has(node)) {
      b.rarely(b.leS(b.local(Local.LEFT, I32), b.i32(this.#plan.need)), () => this.here(block.start));
    }
    let last: Decoded | undefined;
    block.instructions.forEach((ins, i) => {
      if (!b.instruction(ins, i)) throw new Error(`x86: a region with ${ins.form.description.name}`);
      last = ins;
    });
    if (last === undefined || last.form.description.options.flow === undefined) {
      b.spend(block.instructions.length);
      if (last !== undefined) this.goto(last.rel, last.rel + last.length);
    }
  }

  // ---- Flow -----------------------------------------------------------------------------------------------------

  goto(from: number, to: number): void {
    const b = this.#b;
    const leave = (): void => {
      b.set(Local.BRANCH, b.add(b.local(Local.PAGE, I64), b.i64(to)));
      this.#br(RegionCompiler.#JUMP);
    };
    const node = this.#numbers.get(to);
    b.tidy();
    if (node === undefined) {
      leave();
      return;
    }
    const page = Math.floor(to / 4096);
    if (page !== Math.floor(from / 4096)) {
      const bit = 1 << [...this.#pages.keys()].indexOf(page);
      b.checkPage(bit, page * 4096, this.#pages.get(page) as Mfn, leave);
    }
    this.#to(node);
  }

  jump(): void {
    this.#b.tidy();
    this.#br(RegionCompiler.#INDIRECT);
  }

  here(place: number): void {
    this.#b.set(Local.INFO, this.#b.i32(place));
    this.#br(RegionCompiler.#HERE);
  }
}

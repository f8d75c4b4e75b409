// Decoded code: for each frame that code was executed from, a map from byte offset to record (layout.ts), and the records,
// in one arena that is emptied when it is full, or when nothing in it is in use any more. Decoding starts at an address that
// is about to be executed and goes on to the next instruction that doesn't fall through. Records depend on the frame's bytes
// alone, never on the address that it is mapped at; an instruction that goes on in the next frame is kept as a pair of
// frames and checked each time.
//
// A frame with records is never entered into the TLB as writable. When it is dropped, its records are turned into LOOKUP,
// so that a block that is under way finds its next instruction's new bytes. Their memory is not used again before the
// arena is emptied, which happens only while nothing is executing.

import type { Mfn } from "../../../shared/brand.ts";
import type { MachineMemory } from "../memory.ts";
import type { CodeFrames } from "../tlb.ts";
import { type Decoder, Undecoded } from "./decode.ts";
import { type Description, type Form, type OperandShape, shapeKey } from "./describe.ts";
import type { FunctionTable } from "./functions.ts";
import type { HotEntry } from "./hot.ts";
import { CONDITIONAL_JUMPS, hotKey } from "./hot.ts";
import type { Facts } from "./interpreter.ts";
import { AddressFlag, CHECK_EVERY, COUNTS_OFFSET, Entry, Handler, Slot, Uop } from "./layout.ts";
import { isRegister, shapesOf } from "./shapes.ts";

const MAP_SIZE = COUNTS_OFFSET;
/** A byte for each 16 bytes of the frame: not 0 where something was decoded. */
const GRANULES = 256;
const COUNTS = 4 * 256;
/**
 * Instructions decoded in one go, and the room that they can take: each with a stub, a check, and closing records. Not
 * more, since a guest that rewrites its code all the time makes each of its instructions cost that much.
 */
const BLOCK_LIMIT = 128;
const BLOCK_ROOM = (BLOCK_LIMIT * 3 + 8) * Uop.size;

/** Instructions decoded a second time, up to a branch, so that a loop is entered in a straight line. */
const COPY_LIMIT = 8;

export interface CodeFrame {
  readonly mfn: Mfn;
  /** Address of the map: 4096 u32, 0 where nothing is decoded. */
  readonly map: number;
  /** Address of the frame's granules. */
  readonly granules: number;
  /** Pairs of start and end of the frame's records. */
  readonly ranges: number[];
}

/** A form on operands of certain sizes and kinds. */
interface Variant {
  /** Number in the loop, and of the function; fused ones by condition. */
  readonly op: number;
  readonly cold: number;
  readonly fused: readonly number[] | undefined;
  readonly farOp: number;
  /** Number in the loop of the handler that leaves the flags alone, or 0. */
  readonly deadOp: number;
  readonly facts: Facts;
}

/** What a handler may be followed by: the number of the handler for all so far, or 0. */
interface Chain {
  op: number;
  readonly next: Map<number, Chain>;
}

export class CodeCache implements CodeFrames {
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  readonly #start: number;
  /** Where the arena ends, but for a record's room behind it. */
  readonly #end: number;
  #next: number;
  readonly #frames = new Map<number, CodeFrame>();
  readonly #has: Uint8Array;
  readonly decoder: Decoder;
  readonly #functions: FunctionTable;
  readonly #hot = new Map<string, number>();
  /** By the first handler's number: handlers for it and those behind, by the latter's numbers in order. */
  readonly #chains: (Chain | undefined)[] = [];
  readonly #coldOp: number;
  readonly #undefined: number;
  /** By form, then by size and kind of operands: filled as they are met. */
  readonly #variants: (Variant | undefined)[][] = [];
  /** Stubs to be placed behind the block: address of the field to fill, target. */
  readonly #stubs: number[] = [];
  readonly #joined = new Uint8Array(32);
  /** Blocks decoded since somebody last set this to 0. */
  decoded = 0;
  /** Called before the arena is emptied. */
  onEmpty: () => void = () => {};

  constructor(
    memory: MachineMemory,
    arena: { address: number; size: number },
    decoder: Decoder,
    functions: FunctionTable,
    hot: readonly HotEntry[],
    undefinedInstruction: Description,
  ) {
    this.#u8 = memory.u8;
    this.#u16 = memory.u16;
    this.#u32 = memory.u32;
    this.#i32 = memory.i32;
    // Records lie at multiples of 8.
    this.#start = arena.address;
    this.#end = arena.address + arena.size - Uop.size;
    this.#next = this.#start;
    this.#has = new Uint8Array(memory.frames);
    this.decoder = decoder;
    this.#functions = functions;
    hot.forEach((entry, i) => {
      if (!entry.then) this.#hot.set(hotKey(entry), Handler.FIRST + i);
    });
    hot.forEach((entry, i) => {
      if (!entry.then) return;
      let chain = (this.#chains[this.#hot.get(hotKey(entry))!] ??= { op: 0, next: new Map() });
      for (let behind: HotEntry | undefined = entry.then; behind; behind = behind.then) {
        const op = this.#hot.get(hotKey(behind))!;
        let next = chain.next.get(op);
        if (!next) chain.next.set(op, (next = { op: 0, next: new Map() }));
        chain = next;
      }
      chain.op = Handler.FIRST + i;
    });
    this.#coldOp = Handler.FIRST + hot.length;
    this.#undefined = functions.get(undefinedInstruction, [], false);
  }

  has(mfn: Mfn): boolean {
    return this.#has[mfn] !== 0;
  }

  /** What is kept of the frame. */
  known(mfn: Mfn): CodeFrame | undefined {
    return this.#frames.get(mfn);
  }

  /** Address of the frame's granules, or 0. */
  granules(mfn: Mfn): number {
    return this.#has[mfn] ? this.#frames.get(mfn)!.granules : 0;
  }

  /** Was anything decoded from the granules that these bytes of the frame are in? */
  touches(mfn: Mfn, offset: number, bytes: number): boolean {
    const granules = this.granules(mfn);
    if (granules === 0) return false;
    for (let i = offset >>> 4; i <= Math.min(4095, offset + bytes - 1) >>> 4; i++) {
      if (this.#u8[granules + i] !== 0) return true;
    }
    return false;
  }

  /** Notes what a decoded instruction depends on. */
  #cover(frame: CodeFrame, offset: number, bytes: number): void {
    for (let i = offset >>> 4; i <= Math.min(4095, offset + bytes - 1) >>> 4; i++) this.#u8[frame.granules + i] = 1;
  }

  drop(mfn: Mfn): void {
    const frame = this.#frames.get(mfn);
    if (!frame) return;
    this.#frames.delete(mfn);
    this.#has[mfn] = 0;
    for (let i = 0; i < frame.ranges.length; i += 2) {
      for (let at = frame.ranges[i]; at < frame.ranges[i + 1]; at += Uop.size) {
        const op = this.#u16[at >>> 1];
        if (op !== Handler.LOOKUP && op !== Handler.LINK)
          this.#i32[(at + Uop.disp) >>> 2] = this.#u16[(at + Uop.rel) >>> 1];
        this.#u16[at >>> 1] = Handler.LOOKUP;
      }
    }
  }

  /** The frame's records, made if need be. Only while nothing is executing: it may empty the arena. */
  frame(mfn: Mfn): CodeFrame {
    const known = this.#frames.get(mfn);
    if (known) return known;
    this.#room(MAP_SIZE + COUNTS + GRANULES + 3 * BLOCK_ROOM);
    const frame: CodeFrame = { mfn, map: this.#next, granules: this.#next + MAP_SIZE + COUNTS, ranges: [] };
    const size = MAP_SIZE + COUNTS + GRANULES;
    this.#u32.fill(0, this.#next >>> 2, (this.#next + size) >>> 2);
    this.#next += size;
    this.#frames.set(mfn, frame);
    this.#has[mfn] = 1;
    return frame;
  }

  #room(bytes: number): boolean {
    // When all that was decoded is gone, its memory is used again: guests that come and go touched all of the arena, 64 MiB.
    const used = this.#frames.size > 0 || this.#next === this.#start;
    if (used && this.#next + bytes <= this.#end) return true;
    this.onEmpty();
    this.#frames.clear();
    this.#has.fill(0);
    this.#next = this.#start;
    return false;
  }

  /** Is there room for a block, or will decoding one empty the arena and with it every frame? Empties it if not. */
  prepare(): boolean {
    return this.#room(2 * BLOCK_ROOM);
  }

  /** The record for the instruction at `offset` of the frame, decoded if need be. The caller has called `prepare`. */
  record(frame: CodeFrame, offset: number): number {
    const known = this.#u32[(frame.map >>> 2) + offset];
    if (known !== 0) return known;
    this.decoded++;
    this.#block(frame, offset);
    return this.#u32[(frame.map >>> 2) + offset];
  }

  /**
   * How many instructions from this record on lie in a straight line, up to and including the first that looks at the budget;
   * 0 when that isn't known or they are more than `limit`.
   */
  straight(record: number, limit: number): number {
    for (let n = 0, at = record; n < limit; n++, at += Uop.size) {
      const op = this.#u16[at >>> 1];
      // A region's entry looks before anything is executed: not to be the end where the flags before it may not have been made.
      if (op >= Entry.FIRST && n === 0) return 0;
      if (op < Handler.FIRST) return op === Handler.STRADDLE ? 0 : n;
      const { options } = this.#functions.info(this.#u16[(at + Uop.cold) >>> 1]).description;
      // A conditional jump's own function doesn't look when it isn't taken.
      if (options.flow !== undefined && !(options.flow === "branch" && op === this.#coldOp)) return n + 1;
    }
    return 0;
  }

  /**
   * How many instructions from this record on until one has replaced the flags that nobody sees before, so that they may not
   * have been made; 0 if somebody may.
   */
  flagsDead(record: number): number {
    for (let n = 1, at = record; this.#u16[at >>> 1] >= Handler.FIRST; n++, at += Uop.size) {
      const { facts } = this.#functions.info(this.#u16[(at + Uop.cold) >>> 1]);
      if (facts.readsFlags || facts.leaves) return 0;
      if (facts.writesFlags) return n;
    }
    return 0;
  }

  isStraddle(record: number): boolean {
    return this.#u16[record >>> 1] === Handler.STRADDLE;
  }

  /** The record behind a STRADDLE, for the frame that the next page is now. */
  straddle(record: number, first: CodeFrame, second: CodeFrame): number {
    const at = (record + Uop.imm) >>> 2;
    if (this.#u32[at] === second.map && this.#u32[at + 1] !== 0) return this.#u32[at + 1];
    const offset = this.#u16[(record + Uop.rel) >>> 1];
    const inFirst = 4096 - offset;
    this.#joined.fill(0);
    this.#joined.set(this.#u8.subarray(first.mfn * 4096 + offset, first.mfn * 4096 + 4096));
    this.#joined.set(this.#u8.subarray(second.mfn * 4096, second.mfn * 4096 + 32 - inFirst), inFirst);
    const start = this.#next;
    const length = this.decoder.decode(this.#joined, 0, 32);
    if (length <= 0 || !this.#fits(offset, length)) {
      this.#emitUndefined(offset);
    } else {
      this.#emit(undefined, offset, length);
      const flow = this.decoder.form.description.options.flow;
      if (flow !== "stop") this.#emitSpecial(Handler.LOOKUP, offset + length, offset + length);
      this.#placeStubs(undefined);
    }
    this.#cover(second, 0, 16);
    first.ranges.push(start, this.#next);
    second.ranges.push(start, this.#next);
    this.#u32[at] = second.map;
    this.#u32[at + 1] = start;
    return start;
  }

  #block(frame: CodeFrame, offset: number): void {
    const map = frame.map >>> 2;
    const base = frame.mfn * 4096;
    const start = this.#next;
    let at = offset;
    let unchecked = 0;
    let previous: Variant | undefined;
    // The record that set the flags last, if nothing behind it reads them or may end the run, and its other handler.
    let unread = 0;
    let unreadOp = 0;
    // Where this comes to what is decoded already, a few instructions are decoded again rather than gone to.
    let copied = 0;
    let branched = false;
    for (let count = 0; ; count++) {
      if (at >= 4096 || count === BLOCK_LIMIT) {
        this.#emitSpecial(Handler.LOOKUP, at, at);
        break;
      }
      const known = this.#u32[map + at];
      if (known !== 0 && (copied === COPY_LIMIT || (copied > 0 && branched) || this.isStraddle(known))) {
        const record = this.#emitSpecial(Handler.GOTO, at, at);
        this.#u32[(record + Uop.target) >>> 2] = known;
        break;
      }
      const length = this.decoder.decode(this.#u8, base + at, base + 4096);
      if (length === Undecoded.TRUNCATED) {
        this.#cover(frame, at, 4096);
        this.#u32[map + at] = this.#emitSpecial(Handler.STRADDLE, at, at);
        break;
      }
      if (length <= 0 || !this.#fits(at, length)) {
        this.#cover(frame, at, 15);
        this.#u32[map + at] = this.#emitUndefined(at);
        break;
      }
      const { form, lock } = this.decoder;
      const flow = form.description.options.flow;
      if (flow === "branch" && previous?.fused && !lock) {
        const op = previous.fused[CONDITIONAL_JUMPS.indexOf(form.description.name)];
        if (op) this.#u16[(this.#next - Uop.size) >>> 1] = op;
      }
      if (known !== 0) copied++;
      else {
        copied = 0;
        this.#u32[map + at] = this.#next;
        this.#cover(frame, at, length);
      }
      const record = this.#next;
      previous = this.#emit(frame, at, length);
      const { facts, deadOp } = previous;
      if (facts.readsFlags || facts.leaves) unread = 0;
      else if (facts.writesFlags && unread !== 0) {
        this.#u16[unread >>> 1] = unreadOp;
        unread = 0;
      }
      if (deadOp !== 0) {
        unread = record;
        unreadOp = deadOp;
      }
      at += length;
      branched = flow === "branch";
      if (flow === "jump" || flow === "stop" || flow === "call") break;
      unchecked = flow === "branch" && previous.op !== this.#coldOp ? 0 : unchecked + 1;
      if (unchecked === CHECK_EVERY) {
        this.#emitSpecial(Handler.CHECK, at, at);
        unchecked = 0;
        previous = undefined;
        unread = 0;
      }
    }
    this.#chain(start, this.#next);
    this.#placeStubs(frame);
    frame.ranges.push(start, this.#next);
  }

  /** Gives records whose handler has one together with those of the next records the longest such one. */
  #chain(start: number, end: number): void {
    // From the front: what a record's successors are must not have been changed yet.
    for (let at = start; at < end; at += Uop.size) {
      let chain = this.#chains[this.#u16[at >>> 1]];
      let longest = 0;
      for (let behind = at + Uop.size; chain && behind < end; behind += Uop.size) {
        chain = chain.next.get(this.#u16[behind >>> 1]);
        if (chain?.op) longest = chain.op;
      }
      if (longest !== 0) this.#u16[at >>> 1] = longest;
    }
  }

  /** A record has 32 bits for a branch's target relative to its page, which nearly every offset of 32 bits keeps to. */
  #fits(rel: number, length: number): boolean {
    const { form, branch } = this.decoder;
    const target = rel + length + branch;
    return form.description.options.flow === undefined || target === (target | 0);
  }

  #emitSpecial(handler: number, rel: number, disp: number): number {
    const record = this.#next;
    this.#next += Uop.size;
    this.#u32.fill(0, record >>> 2, (record + Uop.size) >>> 2);
    this.#u16[record >>> 1] = handler;
    this.#u16[(record + Uop.rel) >>> 1] = rel;
    this.#i32[(record + Uop.disp) >>> 2] = disp;
    return record;
  }

  #emitUndefined(rel: number): number {
    const record = this.#emitSpecial(this.#coldOp, rel, rel);
    this.#u16[(record + Uop.cold) >>> 1] = this.#undefined;
    return record;
  }

  /** Writes the record of the instruction just decoded. `frame` is undefined for one that straddles. */
  #emit(frame: CodeFrame | undefined, rel: number, length: number): Variant {
    const d = this.decoder;
    const form = d.form;
    const variant = this.#variant(form);
    const record = this.#emitSpecial(variant.op, rel, 0);
    const u8 = this.#u8;
    u8[record + Uop.len] = length;
    this.#u16[(record + Uop.cold) >>> 1] = variant.cold;
    const word = record >>> 2;
    if (d.isMemory) {
      u8[record + Uop.base] = d.base * 8;
      u8[record + Uop.index] = d.index * 8;
      u8[record + Uop.scale] = d.scale;
      this.#i32[word + Uop.disp / 4] = d.ripRelative ? d.disp + rel + length : d.disp;
    }
    const operands = form.operands;
    for (let i = 0; i < operands.length; i++) {
      if (isRegister(operands[i], d.isMemory)) {
        const second = operands[1];
        const field = i < 2 ? Uop.dst + i : isRegister(second, d.isMemory) ? Uop.base : Uop.src;
        u8[record + field] = d.registers[i];
      }
    }
    this.#u32[word + Uop.imm / 4] = d.immLo;
    this.#u32[word + Uop.imm / 4 + 1] = d.immHi;
    const flow = form.description.options.flow;
    if (flow === "jump" || flow === "branch" || flow === "call") {
      const target = rel + length + d.branch;
      this.#i32[word + Uop.disp / 4] = target;
      if (frame && target >= 0 && target < 4096) {
        this.#stubs.push(record + Uop.target, target);
      } else if (variant.farOp !== 0) this.#u16[record >>> 1] = variant.farOp;
      else this.#stubs.push(record + Uop.target, target);
    }
    return variant;
  }

  /**
   * Whether the instruction just decoded, at offset `rel` of its page, is the one that the record was made of. It isn't when its
   * bytes were changed by a writer that tells nobody.
   */
  isRecordOf(record: number, rel: number, length: number): boolean {
    const next = this.#next;
    const again = this.#end >>> 2;
    this.#next = this.#end;
    this.#emit(undefined, rel, length);
    this.#next = next;
    this.#stubs.length = 0;
    const flow = this.decoder.form.description.options.flow;
    // Of a branch the immediate's place holds the record that it goes to; and what handler there is depends on others.
    const words = flow === "jump" || flow === "branch" || flow === "call" ? Uop.imm / 4 : Uop.size / 4;
    for (let i = 1; i < words; i++) if (this.#u32[again + i] !== this.#u32[(record >>> 2) + i]) return false;
    return this.#u16[again * 2 + Uop.dst / 2] === this.#u16[(record + Uop.dst) >>> 1];
  }

  /** Fills in the targets of the block's branches: the record itself if it is known, else a stub that finds it. */
  #placeStubs(frame: CodeFrame | undefined): void {
    for (let i = 0; i < this.#stubs.length; i += 2) {
      const field = this.#stubs[i];
      const target = this.#stubs[i + 1];
      const within = frame && target >= 0 && target < 4096;
      const known = within ? this.#u32[(frame.map >>> 2) + target] : 0;
      if (known !== 0) {
        this.#u32[field >>> 2] = known;
        continue;
      }
      const stub = this.#emitSpecial(within ? Handler.LINK : Handler.LOOKUP, 0, target);
      if (within) {
        this.#u32[(stub + Uop.imm) >>> 2] = field;
        this.#u32[(stub + Uop.imm + 4) >>> 2] = frame.map;
      }
      this.#u32[field >>> 2] = stub;
    }
    this.#stubs.length = 0;
  }

  #variant(form: Form): Variant {
    const d = this.decoder;
    // 0: no memory; 1: any address; 2, 3: those that the loop knows.
    let kind = 0;
    if (d.isMemory) kind = d.scale & ~AddressFlag.FACTOR ? 1 : d.index === Slot.ZERO ? 2 : 3;
    const sizes = d.operandSize === 64 ? 2 : d.operandSize === 32 ? 0 : 1;
    const at = ((sizes * 2 + (d.rexW ? 1 : 0)) * 4 + kind) * 2 + (d.lock ? 1 : 0);
    const variants = (this.#variants[form.index] ??= []);
    return (variants[at] ??= this.#makeVariant(form, kind));
  }

  #makeVariant(form: Form, kind: number): Variant {
    const d = this.decoder;
    const { name, options } = form.description;
    const shapes = shapesOf(d);
    const locked = d.isMemory && (options.locked === true || d.lock);
    const cold = this.#functions.get(form.description, shapes, locked);
    const address = kind === 2 ? "base" : "index";
    const exact: readonly OperandShape[] =
      kind >= 2 ? shapes.map((shape) => (shape.kind === "mem" ? { ...shape, address } : shape)) : shapes;
    const key = `${name} ${shapeKey(exact)}`;
    const hot = locked || kind === 1 ? undefined : this.#hot.get(key);
    const fused = CONDITIONAL_JUMPS.map((_, cc) => this.#hot.get(`${key} +${cc}`) ?? 0);
    return {
      op: hot ?? this.#coldOp,
      cold,
      fused: kind !== 1 && fused.some((op) => op !== 0) ? fused : undefined,
      farOp: this.#hot.get(`${key} far`) ?? 0,
      deadOp: (hot && this.#hot.get(`${key} dead`)) ?? 0,
      facts: this.#functions.info(cold).facts,
    };
  }
}

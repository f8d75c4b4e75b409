// What a region is made of: the instructions of one code frame that were decoded before, as basic blocks with their edges,
// and of these the ones that hang together with the blocks that were found hot. Called by the cache of regions; the
// compiler takes the result. Calls are followed to the place behind them, and to their target when it is in the page.

import { type Decoder, Undecoded } from "../decode.ts";
import type { Form, OperandShape } from "../describe.ts";
import type { Facts } from "../interpreter.ts";

/** One instruction, all that the decoder said of it. */
export interface Decoded {
  readonly form: Form;
  readonly shapes: readonly OperandShape[];
  readonly locked: boolean;
  /** Place in the page, and length in bytes. */
  readonly rel: number;
  readonly length: number;
  readonly registers: readonly number[];
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  /** Relative to the page when the base is its address. */
  readonly disp: number;
  readonly immLo: number;
  readonly immHi: number;
  /** Of a direct branch: the target's place relative to the page. */
  readonly target: number;
  /** Its record in the interpreter's code cache, and number of its own function. */
  readonly record: number;
  readonly cold: number;
  readonly facts: Facts;
  /** Nobody sees the flags that it leaves. */
  flagsDead: boolean;
}

export interface Block {
  readonly start: number;
  readonly instructions: Decoded[];
  /** Where it goes on without leaving the region: offsets of blocks, the direct branch's target first. */
  next: number[];
  /** Where execution comes back to after a call or an instruction that the tier doesn't hold; -1 for none. */
  resume: number;
  /** Target of its call, or -1. */
  call: number;
}

/** The most instructions of one region. */
export const REGION_LIMIT = 600;
/** The most instructions of a block, so that a path between two looks at the budget stays short. */
const BLOCK_LIMIT = 100;

/** How a page's instructions are read: by offset; undefined where nothing was decoded or the tier holds no such thing. */
export type Reader = (offset: number) => Decoded | undefined;

export function decodedOf(
  decoder: Decoder,
  bytes: Uint8Array,
  page: number,
  rel: number,
  record: number,
  cold: { number: number; shapes: readonly OperandShape[]; facts: Facts },
): Decoded | undefined {
  const length = decoder.decode(bytes, page + rel, page + 4096);
  if (length <= Undecoded.UNDEFINED) return undefined;
  const { form, isMemory, lock } = decoder;
  return {
    form,
    shapes: cold.shapes,
    locked: isMemory && (form.description.options.locked === true || lock),
    rel,
    length,
    registers: [...decoder.registers],
    base: decoder.base,
    index: decoder.index,
    scale: decoder.scale,
    disp: decoder.ripRelative ? decoder.disp + rel + length : decoder.disp,
    immLo: decoder.immLo,
    immHi: decoder.immHi,
    target: rel + length + decoder.branch,
    record,
    cold: cold.number,
    facts: cold.facts,
    flagsDead: false,
  };
}

/** Names of instructions that go on somewhere else than behind themselves, and come back there. */
const returns = (ins: Decoded): boolean => ins.form.description.name === "calli";

/** The blocks that hang together with those at `roots`, by offset, up to REGION_LIMIT instructions. */
export function findBlocks(read: Reader, roots: readonly number[]): Map<number, Block> {
  const all = allBlocks(read);
  const neighbours = new Map<number, number[]>();
  const join = (a: number, b: number): void => {
    if (!all.has(a) || !all.has(b)) return;
    neighbours.get(a)?.push(b) ?? neighbours.set(a, [b]);
    neighbours.get(b)?.push(a) ?? neighbours.set(b, [a]);
  };
  const holding = new Map<number, number>();
  for (const [start, block] of all) {
    for (const next of block.next) join(start, next);
    join(start, block.resume);
    for (const { rel } of block.instructions) holding.set(rel, start);
  }
  const chosen = new Map<number, Block>();
  let size = 0;
  // Roots in turn, so that each gets its surroundings when there is too much.
  const queue = roots.map((root) => holding.get(root)).filter((start) => start !== undefined);
  const seen = new Set(queue);
  for (let start = queue.shift(); start !== undefined; start = queue.shift()) {
    const block = all.get(start) as Block;
    if (size + block.instructions.length > REGION_LIMIT) continue;
    size += block.instructions.length;
    chosen.set(start, block);
    for (const near of neighbours.get(start) ?? []) {
      if (seen.has(near)) continue;
      seen.add(near);
      queue.push(near);
    }
  }
  for (const block of chosen.values()) block.next = block.next.filter((next) => chosen.has(next));
  for (const block of chosen.values()) markDeadFlags(block);
  return chosen;
}

function allBlocks(read: Reader): Map<number, Block> {
  const instructions = new Map<number, Decoded>();
  for (let offset = 0; offset < 4096; offset++) {
    const ins = read(offset);
    if (ins) instructions.set(offset, ins);
  }
  const behind = new Set<number>();
  const leaders = new Set<number>();
  for (const [offset, ins] of instructions) {
    const { flow } = ins.form.description.options;
    const next = offset + ins.length;
    if (flow !== undefined) {
      leaders.add(next);
      if (flow !== "stop") leaders.add(ins.target);
    } else behind.add(next);
  }
  for (const offset of instructions.keys()) if (!behind.has(offset)) leaders.add(offset);
  const blocks = new Map<number, Block>();
  for (const start of leaders) {
    if (!instructions.has(start)) continue;
    let from = start;
    let block = emptyBlock(from);
    blocks.set(from, block);
    for (let at = from; ; ) {
      const ins = instructions.get(at);
      if (!ins) {
        // What the tier doesn't hold, or never decoded: it comes back behind it, if at all, at some leader.
        break;
      }
      block.instructions.push(ins);
      const { flow } = ins.form.description.options;
      const next = at + ins.length;
      if (flow !== undefined) {
        if (flow !== "stop") block.next.push(ins.target);
        if (flow === "branch") block.next.push(next);
        if (flow === "call" || returns(ins)) block.resume = next;
        if (flow === "call") block.call = ins.target;
        break;
      }
      at = next;
      if (leaders.has(at)) {
        block.next.push(at);
        break;
      }
      if (block.instructions.length === BLOCK_LIMIT) {
        block.next.push(at);
        if (!instructions.has(at)) break;
        from = at;
        block = emptyBlock(from);
        blocks.set(from, block);
      }
    }
  }
  return blocks;
}

function emptyBlock(start: number): Block {
  return { start, instructions: [], next: [], resume: -1, call: -1 };
}

/** Flags that an instruction behind replaces, nothing between them reading them or able to leave. */
function markDeadFlags(block: Block): void {
  let live = true;
  for (let i = block.instructions.length - 1; i >= 0; i--) {
    const ins = block.instructions[i];
    ins.flagsDead = !live;
    const { readsFlags, writesFlags, leaves } = ins.facts;
    if (readsFlags || leaves) live = true;
    else if (writesFlags) live = false;
  }
}

// What a region is made of: instructions that were decoded before and hang together with those found hot, as basic blocks
// with their edges. Places are relative to one page, the region's first: negative or beyond 4095 in others. Called by the
// cache of regions; the compiler takes the result. A call is followed to the place behind it and, where that pays, to its
// target; backward, what leads to an instruction is looked for in the first page only.

import { type Decoder, Undecoded } from "../decode.ts";
import type { Form, OperandShape } from "../describe.ts";
import type { Facts } from "../interpreter.ts";

/** One instruction, all that the decoder said of it. */
export interface Decoded {
  readonly form: Form;
  readonly shapes: readonly OperandShape[];
  readonly locked: boolean;
  /** Its place, and length in bytes. */
  readonly rel: number;
  readonly length: number;
  readonly registers: readonly number[];
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  /** Relative to the first page when the base is its address. */
  readonly disp: number;
  readonly immLo: number;
  readonly immHi: number;
  /** Of a direct branch: the target's place. */
  readonly target: number;
  /** Its record in the interpreter's code cache, and number of its own function. */
  readonly record: number;
  readonly cold: number;
  readonly facts: Facts;
  /** Can the tier hold it? */
  holds: boolean;
  /** Nobody sees the flags that it leaves. */
  flagsDead: boolean;
}

export interface Block {
  readonly start: number;
  readonly instructions: Decoded[];
  /** Where it goes on without leaving the region: starts of blocks. */
  next: number[];
  /** Where execution comes back to after a call; -1 for none. */
  resume: number | undefined;
  /** Target of its call. */
  call: number | undefined;
}

/** The most instructions of one region. */
export const REGION_LIMIT = 600;
/** The most instructions of a block, so that a path between two looks at the budget stays short. */
const BLOCK_LIMIT = 100;

/** The instructions that can be had: by place, undefined where nothing was decoded. */
export interface Source {
  read(place: number): Decoded | undefined;
  /** Is the function at this place, in another page than the one that calls it, called often? */
  called(place: number): boolean;
}

/** Decodes again what a record was made of. `place` is that of the bytes at `address`. */
export function decodedOf(
  decoder: Decoder,
  bytes: Uint8Array,
  address: number,
  place: number,
  record: number,
  cold: { number: number; shapes: readonly OperandShape[]; facts: Facts },
): Decoded | undefined {
  const length = decoder.decode(bytes, address, (address | 4095) + 1);
  if (length <= Undecoded.UNDEFINED) return undefined;
  const { form, isMemory, lock } = decoder;
  return {
    form,
    shapes: cold.shapes,
    locked: isMemory && (form.description.options.locked === true || lock),
    rel: place,
    length,
    registers: [...decoder.registers],
    base: decoder.base,
    index: decoder.index,
    scale: decoder.scale,
    disp: decoder.ripRelative ? decoder.disp + place + length : decoder.disp,
    immLo: decoder.immLo,
    immHi: decoder.immHi,
    target: place + length + decoder.branch,
    record,
    cold: cold.number,
    facts: cold.facts,
    holds: true,
    flagsDead: false,
  };
}

const pageOf = (place: number): number => Math.floor(place / 4096);
const flowOf = (ins: Decoded) => ins.form.description.options.flow;

/** Where execution may go on from an instruction, now or after a call. */
function onward(ins: Decoded, source: Source): number[] {
  const next = ins.rel + ins.length;
  const { target } = ins;
  const followed = pageOf(target) === pageOf(ins.rel) || source.called(target);
  switch (flowOf(ins)) {
    case undefined:
      return [next];
    case "branch":
      return [next, target];
    case "jump":
      return followed ? [target] : [];
    case "call":
      return followed ? [next, target] : [next];
    default:
      return ins.form.description.name === "calli" ? [next] : [];
  }
}

/** The blocks around `roots`, nearest first, by start; up to REGION_LIMIT instructions. */
export function findBlocks(source: Source, roots: readonly number[]): Map<number, Block> {
  const read = new Map<number, Decoded | undefined>();
  const at = (place: number): Decoded | undefined => {
    if (!read.has(place)) read.set(place, source.read(place));
    return read.get(place);
  };
  const backward = new Map<number, number[]>();
  for (let place = 0; place < 4096; place++) {
    const ins = at(place);
    if (!ins) continue;
    for (const next of onward(ins, source)) {
      // Who calls a function that is hot need not be hot.
      if (flowOf(ins) === "call" && next === ins.target) continue;
      const known = backward.get(next);
      if (known) known.push(place);
      else backward.set(next, [place]);
    }
  }
  const chosen = new Map<number, Decoded>();
  const queue = [...roots];
  const seen = new Set(queue);
  // An array that grows while it is gone through.
  for (const place of queue) {
    const ins = at(place);
    if (!ins) continue;
    if (ins.holds) chosen.set(place, ins);
    if (chosen.size === REGION_LIMIT) break;
    for (const near of [...onward(ins, source), ...(backward.get(place) ?? [])]) {
      if (seen.has(near)) continue;
      seen.add(near);
      queue.push(near);
    }
  }
  const blocks = formBlocks(chosen);
  for (const block of blocks.values()) {
    block.next = block.next.filter((next) => blocks.has(next));
    markDeadFlags(block);
  }
  return blocks;
}

function formBlocks(chosen: ReadonlyMap<number, Decoded>): Map<number, Block> {
  const behind = new Set<number>();
  const leaders = new Set<number>();
  for (const ins of chosen.values()) {
    const flow = flowOf(ins);
    const next = ins.rel + ins.length;
    if (flow !== undefined) {
      leaders.add(next);
      if (flow !== "stop") leaders.add(ins.target);
    } else if (pageOf(next) === pageOf(ins.rel)) behind.add(next);
  }
  for (const place of chosen.keys()) if (!behind.has(place)) leaders.add(place);
  const blocks = new Map<number, Block>();
  for (const start of leaders) {
    let block: Block | undefined;
    for (let place = start; ; ) {
      const ins = chosen.get(place);
      if (!ins) break;
      if (!block)
        blocks.set(place, (block = { start: place, instructions: [], next: [], resume: undefined, call: undefined }));
      block.instructions.push(ins);
      const flow = flowOf(ins);
      const next = place + ins.length;
      if (flow !== undefined) {
        if (flow !== "stop") block.next.push(ins.target);
        if (flow === "branch") block.next.push(next);
        if (flow === "call" || ins.form.description.name === "calli") block.resume = next;
        if (flow === "call") block.call = ins.target;
        break;
      }
      place = next;
      const full = block.instructions.length === BLOCK_LIMIT;
      if (!full && !leaders.has(next)) continue;
      block.next.push(next);
      if (leaders.has(next)) break;
      block = undefined;
    }
  }
  return blocks;
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

// Which code is hot, and its regions. Where a slice ends is a sample of where time goes, and costs the running code nothing:
// each counts for the instructions since the last one. A page whose samples come to what compiling costs gets a region,
// entered wherever the interpreter comes to one of its entries: their records' handler numbers name them (layout.ts,
// Entry). A region goes when its frame's decoded code goes; all go when there are too many. Nothing of this can be seen
// by a guest: the interpreter would have done the same. Called by the processor between runs, and when code is dropped.

import type { Mfn } from "../../../../shared/brand.ts";
import type { MachineMemory } from "../../memory.ts";
import type { CodeCache, CodeFrame } from "../code_cache.ts";
import type { FunctionTable } from "../functions.ts";
import type { Addresses } from "../interpreter.ts";
import { COUNTS_OFFSET, Entry, Handler, MARGIN, Uop } from "../layout.ts";
import { FUNCTIONS, REGIONS } from "../loop.ts";
import { RegionBuilder } from "./builder.ts";
import { type Plan, plan, RegionCompiler } from "./compile.ts";
import { type Decoded, decodedOf, findBlocks } from "./graph.ts";
import { HELPERS, regionModule } from "./module.ts";

/**
 * Instructions that must have been executed about a page, by its samples, before it is compiled. Debian's Linux boots in 3.95 s with
 * this and with 2 to 4 times as much, in 4.4 with half of it: the engine's compiling takes a processor, too.
 */
const HOT = 4_000_000;
/** A function in another page is taken into the region of its caller when it was called so often. */
const CALLED = 300;
/** The most pages of one region. */
const MOST_PAGES = 31;
/** Instructions without a sample after which one is taken. */
const SAMPLE_DUE = 500_000;
/**
 * Instructions that a slice has on average, at least, for its sample to count: going into a region and out of it takes some
 * 30 ns, what a region saves in as many instructions.
 */
const WORTH = 50;
/** Samples remembered of a page. */
const ROOTS = 8;
/** The most instructions in all regions: some 50 MiB of the engine's memory. */
const MOST_INSTRUCTIONS = 100_000;
/**
 * A page is compiled again because it is hot elsewhere, or has changed, after twice as many samples each time, up to so many
 * times: whoever rewrites his code all the time loses a third by it, not nearly all.
 */
const MOST_AGAIN = 4;

interface Region {
  /** The frames that it was made from. */
  readonly frames: readonly Mfn[];
  readonly table: number;
  /** The records that enter it, with their handlers' numbers from `firstOp` on, and those that they had before. */
  readonly firstOp: number;
  readonly records: readonly number[];
  readonly handlers: readonly number[];
  /** Addresses of its instructions, relative to the memory's beginning. */
  readonly covers: ReadonlySet<number>;
}

/** A page as the running vcpu sees it now. */
export interface CodePage {
  readonly mfn: Mfn;
  readonly frame: CodeFrame;
}
/** The page so many pages behind the sampled one; undefined when no code of it is at hand. */
export type Around = (pages: number) => CodePage | undefined;

interface Sampled {
  weight: number;
  roots: number[];
  times: number;
}

export class RegionCache {
  /** Off: nothing is compiled, nothing sampled. */
  enabled = true;
  /** See HOT, WORTH, CALLED and MOST_INSTRUCTIONS; lower in tests. */
  threshold = HOT;
  worth = WORTH;
  called = CALLED;
  most = MOST_INSTRUCTIONS;
  /** Regions made. */
  compiled = 0;
  readonly #memory: MachineMemory;
  readonly #code: CodeCache;
  readonly #functions: FunctionTable;
  readonly #addresses: Addresses;
  readonly #imports: WebAssembly.Imports;
  readonly #table: WebAssembly.Table;
  readonly #pages: number;
  readonly #regions = new Set<Region>();
  readonly #byFrame = new Map<Mfn, Set<Region>>();
  readonly #samples = new Map<Mfn, Sampled>();
  /** By number of an instruction's own function: can the tier hold it? */
  readonly #fits = new Map<number, boolean>();
  readonly #freeTables: number[] = [];
  /** By entry: number of the handler that its record has in the loop. */
  readonly #handlers = new Uint16Array(Entry.LIMIT);
  #nextTable = 0;
  /** Numbers of entries that nobody has. */
  #free: { first: number; count: number }[] = [{ first: Entry.FIRST, count: Entry.LIMIT }];
  #instructions = 0;
  /** Instructions executed since the last sample. */
  #unsampled = 0;
  #slices = 0;
  #chance = 1;

  constructor(
    memory: MachineMemory,
    code: CodeCache,
    functions: FunctionTable,
    addresses: Addresses,
    imports: Record<string, WebAssembly.ImportValue>,
    table: WebAssembly.Table,
  ) {
    this.#memory = memory;
    this.#code = code;
    this.#functions = functions;
    this.#addresses = addresses;
    this.#imports = { x: { ...imports, memory: memory.wasm } };
    this.#table = table;
    this.#pages = memory.wasm.buffer.byteLength / 65536;
  }

  /** Counts instructions executed; at the next sample they are taken to have been executed where it is. */
  executed(instructions: number): void {
    this.#unsampled += instructions;
    this.#slices++;
  }

  /**
   * How many instructions the next slice may have, at most `limit`. A guest whose slices always end by hypercalls or
   * exceptions would show nothing of itself: when a sample is due, a slice is cut somewhere, by chance.
   */
  slice(limit: number): number {
    return this.#unsampled < SAMPLE_DUE ? limit : this.#cut(limit);
  }

  #cut(limit: number): number {
    if (!this.enabled) {
      this.#unsampled = 0;
      return limit;
    }
    this.#chance = (Math.imul(this.#chance, 1664525) + 1013904223) >>> 0;
    const usual = this.#unsampled / this.#slices;
    return Math.min(limit, MARGIN / Uop.size + 1 + Math.floor((this.#chance / 2 ** 32) * 2 * usual));
  }

  /** Regions that there are. */
  get size(): number {
    return this.#regions.size;
  }

  /** A slice has ended at this place of `around(0)`: compiles what is there if it is hot. Only while nothing is executing. */
  sample(around: Around, offset: number): void {
    const weight = this.#unsampled;
    const worth = weight >= this.#slices * this.worth;
    this.#unsampled = 0;
    this.#slices = 0;
    if (!worth || !this.enabled) return;
    const page = around(0);
    if (!page || !this.#compilable(page, offset)) return;
    const { mfn } = page;
    if (this.#covered(mfn, offset)) return;
    let sampled = this.#samples.get(mfn);
    if (!sampled) this.#samples.set(mfn, (sampled = { weight: 0, roots: [], times: 0 }));
    sampled.weight += weight;
    if (!sampled.roots.includes(offset)) {
      sampled.roots.push(offset);
      if (sampled.roots.length > ROOTS) sampled.roots.shift();
    }
    if (sampled.weight < this.threshold * 2 ** sampled.times) return;
    sampled.weight = 0;
    sampled.times = Math.min(sampled.times + 1, MOST_AGAIN);
    const roots = sampled.roots.filter((root) => !this.#covered(mfn, root));
    sampled.roots = [];
    this.compile(around, roots);
  }

  /** Is there an instruction that the tier can hold? Where nothing was executed yet there is none. */
  #compilable({ frame }: CodePage, offset: number): boolean {
    const { u16, u32 } = this.#memory;
    const record = u32[(frame.map >>> 2) + offset];
    return (
      record !== 0 && u16[record >>> 1] >= Handler.FIRST && this.#fits.get(u16[(record + Uop.cold) >>> 1]) !== false
    );
  }

  #covered(mfn: Mfn, offset: number): boolean {
    for (const region of this.#byFrame.get(mfn) ?? []) if (region.covers.has(mfn * 4096 + offset)) return true;
    return false;
  }

  /** Makes a region of what hangs together with the instructions at these places. False if there is nothing to compile. */
  compile(around: Around, roots: readonly number[]): boolean {
    const pages = new Map<number, CodePage | undefined>();
    const pageOf = (place: number): CodePage | undefined => {
      const number = Math.floor(place / 4096);
      if (!pages.has(number)) pages.set(number, pages.size < MOST_PAGES ? around(number) : undefined);
      return pages.get(number);
    };
    const blocks = findBlocks(
      {
        read: (place) => {
          const page = pageOf(place);
          return page && this.#read(page, place);
        },
        called: (place) => {
          const page = pageOf(place);
          return page !== undefined && this.#jumpsTo(page.frame, place & 4095) >= this.called;
        },
      },
      roots,
    );
    if (blocks.size === 0) return false;
    const made = plan(blocks);
    const instructions = made.blocks.reduce((sum, block) => sum + block.instructions.length, 0);
    const full =
      this.#instructions + instructions > this.most ||
      (this.#freeTables.length === 0 && this.#nextTable === REGIONS) ||
      !this.#free.some(({ count }) => count >= made.entries);
    if (full) this.evict();
    const firstOp = this.#takeEntries(made.entries);
    const frames = new Map<number, Mfn>();
    for (const block of made.blocks) {
      for (const { rel } of block.instructions) {
        const number = Math.floor(rel / 4096);
        frames.set(number, (pages.get(number) as CodePage).mfn);
      }
    }
    const compiler = new RegionCompiler(this.#addresses, HELPERS, made);
    const bytes = regionModule(this.#pages, [compiler.compile(firstOp, frames)]);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), this.#imports);
    const table = this.#freeTables.pop() ?? FUNCTIONS + this.#nextTable++;
    this.#table.set(table, instance.exports["r0"] as () => number);
    this.#enter(made, frames, firstOp, table);
    this.#instructions += instructions;
    this.compiled++;
    return true;
  }

  /** How often jumps from other pages, and indirect ones, have gone to the 16 bytes that the offset is in. */
  #jumpsTo(frame: CodeFrame, offset: number): number {
    return this.#memory.u32[(frame.map + COUNTS_OFFSET + (offset >>> 4) * 4) >>> 2];
  }

  /** Numbers for so many entries; there must be a row of them. */
  #takeEntries(count: number): number {
    const at = this.#free.findIndex((row) => row.count >= count);
    const { first, count: all } = this.#free[at];
    if (all === count) this.#free.splice(at, 1);
    else this.#free[at] = { first: first + count, count: all - count };
    return first;
  }

  /** Lets the interpreter find the region; where another is entered, this one is from now on. */
  #enter(made: Plan, frames: ReadonlyMap<number, Mfn>, firstOp: number, table: number): void {
    const { u16, u32 } = this.#memory;
    const records: number[] = [];
    const handlers: number[] = [];
    const covers = new Set<number>();
    made.blocks.forEach((block, node) => {
      for (const { rel } of block.instructions) {
        covers.add((frames.get(Math.floor(rel / 4096)) as Mfn) * 4096 + (rel & 4095));
      }
      if (node >= made.entries) return;
      const { record, rel } = block.instructions[0];
      const entry = (this.#addresses.entries + (firstOp - Entry.FIRST + node) * Entry.size) >>> 2;
      u32[entry + Entry.table / 4] = table;
      u32[entry + Entry.node / 4] = node;
      u32[entry + Entry.need / 4] = made.need;
      u32[entry + Entry.shift / 4] = Math.floor(rel / 4096) * 4096;
      records.push(record);
      const handler = this.#handler(record);
      handlers.push(handler);
      this.#handlers[firstOp - Entry.FIRST + node] = handler;
      u16[record >>> 1] = firstOp + node;
    });
    const region = { frames: [...new Set(frames.values())], table, firstOp, records, handlers, covers };
    this.#regions.add(region);
    for (const mfn of region.frames) {
      const known = this.#byFrame.get(mfn);
      if (known) known.add(region);
      else this.#byFrame.set(mfn, new Set([region]));
    }
  }

  /** Number of a record's handler in the loop, whether or not a region is entered there. */
  #handler(record: number): number {
    const op = this.#memory.u16[record >>> 1];
    return op < Entry.FIRST ? op : this.#handlers[op - Entry.FIRST];
  }

  /** The frame's decoded code is being dropped, and with it its regions; one of them may be executing. */
  drop(mfn: Mfn): void {
    for (const region of this.#byFrame.get(mfn) ?? []) this.#remove(region);
    this.#byFrame.delete(mfn);
    const sampled = this.#samples.get(mfn);
    if (sampled) Object.assign(sampled, { weight: 0, roots: [] });
  }

  /** All regions go, their records being given back to the interpreter. */
  evict(): void {
    for (const region of this.#regions) this.#remove(region);
    this.#byFrame.clear();
    this.#samples.clear();
    this.#free = [{ first: Entry.FIRST, count: Entry.LIMIT }];
  }

  #remove(region: Region): void {
    const { u16 } = this.#memory;
    region.records.forEach((record, node) => {
      if (u16[record >>> 1] === region.firstOp + node) u16[record >>> 1] = region.handlers[node];
    });
    this.#free.push({ first: region.firstOp, count: region.records.length });
    this.#table.set(region.table, null);
    this.#freeTables.push(region.table);
    this.#regions.delete(region);
    for (const mfn of region.frames) this.#byFrame.get(mfn)?.delete(region);
    this.#instructions -= region.covers.size;
  }

  #read({ mfn, frame }: CodePage, place: number): Decoded | undefined {
    const { u8, u16, u32 } = this.#memory;
    const offset = place & 4095;
    const record = u32[(frame.map >>> 2) + offset];
    if (record === 0 || u16[record >>> 1] < Handler.FIRST) return undefined;
    const number = u16[(record + Uop.cold) >>> 1];
    const cold = { number, ...this.#functions.info(number) };
    const ins = decodedOf(this.#code.decoder, u8, mfn * 4096 + offset, place, record, cold);
    if (!ins || !this.#code.isRecordOf(record, offset, ins.length)) return undefined;
    ins.holds = this.#holds(ins);
    return ins;
  }

  #holds(ins: Decoded): boolean {
    let fits = this.#fits.get(ins.cold);
    if (fits === undefined) {
      const nowhere = { goto: () => {}, jump: () => {}, here: () => {} };
      const builder = new RegionBuilder(this.#addresses, HELPERS, [], nowhere);
      fits = !/^rep/.test(ins.form.description.name) && builder.instruction(ins, 0);
      this.#fits.set(ins.cold, fits);
    }
    return fits;
  }
}

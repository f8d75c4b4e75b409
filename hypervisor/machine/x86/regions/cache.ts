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
import { Entry, Handler, Uop } from "../layout.ts";
import { FUNCTIONS, REGIONS } from "../loop.ts";
import { RegionBuilder } from "./builder.ts";
import { type Plan, plan, RegionCompiler } from "./compile.ts";
import { type Decoded, decodedOf, findBlocks } from "./graph.ts";
import { HELPERS, regionModule } from "./module.ts";

/** Instructions that must have been executed about a page, by its samples, before it is compiled. */
const HOT = 1_000_000;
/** Samples remembered of a page. */
const ROOTS = 8;
/** The most instructions in all regions: some 50 MiB of the engine's memory. */
const MOST_INSTRUCTIONS = 100_000;
/** How often a page is compiled again because it is hot elsewhere, each time after twice as many samples. */
const MOST_AGAIN = 4;

interface Region {
  readonly mfn: Mfn;
  readonly plan: Plan;
  readonly firstOp: number;
  readonly table: number;
  /** The records that enter it. */
  readonly records: readonly number[];
  /** Offsets of its instructions. */
  readonly covers: ReadonlySet<number>;
}

interface Sampled {
  weight: number;
  roots: number[];
  times: number;
}

export class RegionCache {
  /** Off: nothing is compiled, nothing sampled. */
  enabled = true;
  /** See HOT. */
  threshold = HOT;
  /** Regions made, and milliseconds spent on it. */
  compiled = 0;
  readonly #memory: MachineMemory;
  readonly #code: CodeCache;
  readonly #functions: FunctionTable;
  readonly #addresses: Addresses;
  readonly #imports: WebAssembly.Imports;
  readonly #table: WebAssembly.Table;
  readonly #pages: number;
  readonly #regions = new Map<Mfn, Region>();
  readonly #samples = new Map<Mfn, Sampled>();
  /** By number of an instruction's own function: can the tier hold it? */
  readonly #fits = new Map<number, boolean>();
  readonly #freeTables: number[] = [];
  #nextTable = 0;
  #nextEntry = 0;
  #instructions = 0;
  /** Instructions executed since the last sample. */
  #unsampled = 0;

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
  }

  /** A slice has ended at this place: compiles its page if it is hot. Only while nothing is executing. */
  sample(mfn: Mfn, offset: number): void {
    const weight = this.#unsampled;
    this.#unsampled = 0;
    const region = this.#regions.get(mfn);
    if (region?.covers.has(offset)) return;
    let sampled = this.#samples.get(mfn);
    if (!sampled) this.#samples.set(mfn, (sampled = { weight: 0, roots: [], times: 0 }));
    if (sampled.times > MOST_AGAIN) return;
    sampled.weight += weight;
    if (!sampled.roots.includes(offset)) {
      sampled.roots.push(offset);
      if (sampled.roots.length > ROOTS) sampled.roots.shift();
    }
    if (sampled.weight < this.threshold * 2 ** sampled.times) return;
    sampled.weight = 0;
    sampled.times++;
    this.compile(mfn, sampled.roots);
  }

  /** Makes a region of what hangs together with the instructions at these offsets. False if there is nothing to compile. */
  compile(mfn: Mfn, roots: readonly number[]): boolean {
    const frame = this.#code.known(mfn);
    if (!frame) return false;
    const old = this.#regions.get(mfn);
    if (old) this.#remove(old, true);
    const page = mfn * 4096;
    const read = (offset: number): Decoded | undefined => this.#read(frame, page, offset);
    const blocks = findBlocks(read, old ? [...roots, ...old.plan.blocks.map(({ start }) => start)] : roots);
    if (blocks.size === 0) return false;
    const made = plan(blocks);
    const instructions = made.blocks.reduce((sum, block) => sum + block.instructions.length, 0);
    const full =
      this.#nextEntry + made.entries > Entry.LIMIT ||
      this.#instructions + instructions > MOST_INSTRUCTIONS ||
      (this.#freeTables.length === 0 && this.#nextTable === REGIONS);
    if (full) this.evict();
    const firstOp = Entry.FIRST + this.#nextEntry;
    this.#nextEntry += made.entries;
    const compiler = new RegionCompiler(this.#addresses, HELPERS, made);
    const bytes = regionModule(this.#pages, [compiler.compile(frame.map, firstOp)]);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), this.#imports);
    const table = this.#freeTables.pop() ?? FUNCTIONS + this.#nextTable++;
    this.#table.set(table, instance.exports["r0"] as () => number);
    this.#enter(mfn, frame, made, firstOp, table);
    this.#instructions += instructions;
    this.compiled++;
    return true;
  }

  /** Lets the interpreter find the region. */
  #enter(mfn: Mfn, frame: CodeFrame, made: Plan, firstOp: number, table: number): void {
    const { u16, u32 } = this.#memory;
    const records: number[] = [];
    for (let node = 0; node < made.entries; node++) {
      const record = u32[(frame.map >>> 2) + made.blocks[node].start];
      const entry = (this.#addresses.entries + (firstOp - Entry.FIRST + node) * Entry.size) >>> 2;
      u32[entry + Entry.table / 4] = table;
      u32[entry + Entry.node / 4] = node;
      u32[entry + Entry.need / 4] = made.need;
      u32[entry + Entry.op / 4] = u16[record >>> 1];
      u16[record >>> 1] = firstOp + node;
      records.push(record);
    }
    const covers = new Set(made.blocks.flatMap((block) => block.instructions.map((ins) => ins.rel)));
    this.#regions.set(mfn, { mfn, plan: made, firstOp, table, records, covers });
  }

  /** The frame's decoded code is being dropped, and with it its region; it may be executing. */
  drop(mfn: Mfn): void {
    const region = this.#regions.get(mfn);
    if (region) this.#remove(region, false);
    this.#samples.delete(mfn);
  }

  /** All decoded code goes. */
  clear(): void {
    for (const region of this.#regions.values()) this.#remove(region, false);
    this.#samples.clear();
    this.#nextEntry = 0;
  }

  /** All regions go, their records being given back to the interpreter. */
  evict(): void {
    for (const region of this.#regions.values()) this.#remove(region, true);
    this.#samples.clear();
    this.#nextEntry = 0;
  }

  #remove(region: Region, restore: boolean): void {
    const { u16, u32 } = this.#memory;
    if (restore) {
      region.records.forEach((record, node) => {
        const entry = this.#addresses.entries + (region.firstOp - Entry.FIRST + node) * Entry.size;
        u16[record >>> 1] = u32[(entry + Entry.op) >>> 2];
      });
    }
    this.#table.set(region.table, null);
    this.#freeTables.push(region.table);
    this.#regions.delete(region.mfn);
    this.#instructions -= region.covers.size;
  }

  #read(frame: CodeFrame, page: number, offset: number): Decoded | undefined {
    const { u8, u16, u32 } = this.#memory;
    const record = u32[(frame.map >>> 2) + offset];
    if (record === 0) return undefined;
    if (u16[record >>> 1] < Handler.FIRST) return undefined;
    const number = u16[(record + Uop.cold) >>> 1];
    const ins = decodedOf(this.#code.decoder, u8, page, offset, record, { number, ...this.#functions.info(number) });
    return ins && this.#holds(ins) ? ins : undefined;
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

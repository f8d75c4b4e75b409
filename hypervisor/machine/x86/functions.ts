// Instructions' own functions, made when the decoder first meets one: a small module, whose function goes into the base
// module's table. What guests commonly need comes in two batches (popular.ts): the first with the first code, the second
// when a guest has met so much besides that it must be a large system.

import type { Size } from "./builder.ts";
import type { Description, OperandShape } from "./describe.ts";
import { shapeKey } from "./describe.ts";
import { type Addresses, type Facts, InterpreterBuilder } from "./interpreter.ts";
import { FUNCTIONS } from "./loop.ts";
import { COMMON, SYSTEM } from "./popular.ts";
import { I32, I64, ModuleBuilder, type ValType } from "./wasm.ts";

/** Order of the imports, which gives the indexes that emitted calls use. */
const IMPORTS: readonly [string, readonly ValType[], readonly ValType[]][] = [
  ["readable", [I64, I32], [I32]],
  ["writable", [I64, I32], [I32]],
  ["commit", [], []],
  ["address", [I32], [I64]],
  ["eager", [], []],
  ["parity", [], [I32]],
  ["getFlags", [], [I32]],
  ["setFlags", [I32, I32], []],
  ["host", [I32, I32], [I32]],
];

const HELPERS = {
  readable: 0,
  writable: 1,
  commit: 2,
  address: 3,
  eager: 4,
  parity: 5,
  getFlags: 6,
  setFlags: 7,
  host: 8,
} as const;

/** What is made ahead, by how many functions had to be made before: the first is the processor's own, and then code is met. */
const BATCHES: ReadonlyMap<number, readonly string[]> = new Map([
  [1, COMMON],
  [24, SYSTEM],
]);

interface Wanted {
  readonly key: string;
  readonly description: Description;
  readonly shapes: readonly OperandShape[];
  readonly lock: boolean;
}

/** What is known of a function by its number. */
export interface FunctionInfo {
  readonly description: Description;
  readonly shapes: readonly OperandShape[];
  readonly facts: Facts;
}

export class FunctionTable {
  readonly #memoryPages: number;
  readonly #addresses: Addresses;
  readonly #imports: WebAssembly.Imports;
  readonly #table: WebAssembly.Table;
  readonly #numbers = new Map<string, number>();
  readonly #infos: FunctionInfo[] = [];
  readonly #named: (name: string) => Description | undefined;
  /** How many times a function was asked for that wasn't there. */
  #alone = 0;

  constructor(
    memoryPages: number,
    addresses: Addresses,
    functions: Record<string, WebAssembly.ImportValue>,
    memory: WebAssembly.Memory,
    table: WebAssembly.Table,
    named: (name: string) => Description | undefined,
  ) {
    this.#memoryPages = memoryPages;
    this.#addresses = addresses;
    this.#imports = { x: { ...functions, memory } };
    this.#table = table;
    this.#named = named;
    // Number 0 is no function.
    this.#infos.push(undefined as unknown as FunctionInfo);
  }

  info(number: number): FunctionInfo {
    return this.#infos[number];
  }

  /** Number of the function for an instruction on operands of these shapes. */
  get(description: Description, shapes: readonly OperandShape[], lock: boolean): number {
    const key = keyOf(description, shapes, lock);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const batch = BATCHES.get(this.#alone);
    if (batch !== undefined) this.#makeAhead(batch);
    // The list may have named it.
    if (!this.#numbers.has(key)) this.#make([{ key, description, shapes, lock }]);
    this.#alone++;
    return this.#numbers.get(key)!;
  }

  /** The functions that a list of keys names, as far as they are not made yet. */
  #makeAhead(keys: readonly string[]): void {
    const wanted: Wanted[] = [];
    for (const key of keys) {
      const { name, shapes, lock } = parseKey(key);
      const description = this.#named(name);
      if (description !== undefined && !this.#numbers.has(key)) wanted.push({ key, description, shapes, lock });
    }
    this.#make(wanted);
  }

  /** Makes functions in one module. */
  #make(wanted: readonly Wanted[]): void {
    const module = new ModuleBuilder(this.#memoryPages);
    for (const [name, params, results] of IMPORTS) module.importFunction(name, params, results);
    const first = this.#infos.length;
    if (first + wanted.length > FUNCTIONS)
      throw new Error("x86: too many kinds of instructions for the function table");
    wanted.forEach(({ key, description, shapes, lock }, i) => {
      const locals: ValType[] = [];
      const b = new InterpreterBuilder({ addresses: this.#addresses, helpers: HELPERS, locals, firstLocal: 1 });
      b.instruction(description, shapes, lock);
      this.#numbers.set(key, this.#infos.length);
      this.#infos.push({ description, shapes, facts: b.facts });
      module.func(module.type([I32], [I32]), locals, b.out, `f${i}`);
    });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), this.#imports);
    wanted.forEach((_, i) => {
      this.#table.set(first + i, instance.exports[`f${i}`] as () => number);
    });
  }
}

function keyOf(description: Description, shapes: readonly OperandShape[], lock: boolean): string {
  return `${lock ? "lock " : ""}${description.name} ${shapeKey(shapes)}`.trimEnd();
}

/** The parts of a key; what keyOf makes of them is the key again. */
export function parseKey(key: string): { name: string; shapes: OperandShape[]; lock: boolean } {
  const lock = key.startsWith("lock ");
  const [name, operands] = (lock ? key.slice(5) : key).split(" ");
  const shapes = (operands?.split(",") ?? []).map((item): OperandShape => {
    const size = Number(item.slice(1)) as Size;
    switch (item[0]) {
      case "m":
        return { kind: "mem", size, address: "any" };
      case "r":
        return { kind: "reg", size };
      case "i":
        return { kind: "imm", size };
      default:
        return { kind: "none", size };
    }
  });
  return { name, shapes, lock };
}

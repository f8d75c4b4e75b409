// Instructions' own functions, made when the decoder first meets one: a small module each, whose function goes into the
// base module's table. What is met early comes in one batch.

import type { Description, OperandShape } from "./describe.ts";
import { shapeKey } from "./describe.ts";
import { type Addresses, type Facts, InterpreterBuilder } from "./interpreter.ts";
import { TABLE_SIZE } from "./loop.ts";
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

  constructor(
    memoryPages: number,
    addresses: Addresses,
    functions: Record<string, WebAssembly.ImportValue>,
    memory: WebAssembly.Memory,
    table: WebAssembly.Table,
  ) {
    this.#memoryPages = memoryPages;
    this.#addresses = addresses;
    this.#imports = { x: { ...functions, memory } };
    this.#table = table;
    // Number 0 is no function.
    this.#infos.push(undefined as unknown as FunctionInfo);
  }

  info(number: number): FunctionInfo {
    return this.#infos[number];
  }

  /** Number of the function for an instruction on operands of these shapes. */
  get(description: Description, shapes: readonly OperandShape[], lock: boolean): number {
    const key = `${lock ? "lock " : ""}${description.name} ${shapeKey(shapes)}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#infos.length;
    if (number >= TABLE_SIZE) throw new Error("x86: too many kinds of instructions for the function table");
    this.#numbers.set(key, number);
    const module = new ModuleBuilder(this.#memoryPages);
    for (const [name, params, results] of IMPORTS) module.importFunction(name, params, results);
    const locals: ValType[] = [];
    const b = new InterpreterBuilder({ addresses: this.#addresses, helpers: HELPERS, locals, firstLocal: 1 });
    b.instruction(description, shapes, lock);
    this.#infos.push({ description, shapes, facts: b.facts });
    module.func(module.type([I32], [I32]), locals, b.out, "f");
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), this.#imports);
    this.#table.set(number, instance.exports["f"] as () => number);
    return number;
  }
}

// A small WebAssembly assembler: opcodes, LEB128 numbers and the sections of a module. The interpreter and, later, the
// hot tier are emitted with it. WebAssembly core specification 2.0, chapter 5, and the threads proposal. It checks
// nothing: a wrong body is refused by the engine when the module is compiled.

export const I32 = 0x7f;
export const I64 = 0x7e;
export type ValType = typeof I32 | typeof I64;
export const VOID = 0x40;

/** Opcodes, by the names of the text format with `.` and `_` run together. */
export const Op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  i64Load: 0x29,
  i32Load8S: 0x2c,
  i32Load8U: 0x2d,
  i32Load16S: 0x2e,
  i32Load16U: 0x2f,
  i64Load8U: 0x31,
  i64Load32S: 0x34,
  i64Load32U: 0x35,
  i32Store: 0x36,
  i64Store: 0x37,
  i32Store8: 0x3a,
  i32Store16: 0x3b,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  i32Clz: 0x67,
  i32Ctz: 0x68,
  i32Popcnt: 0x69,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivS: 0x6d,
  i32DivU: 0x6e,
  i32RemS: 0x6f,
  i32RemU: 0x70,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i32Rotl: 0x77,
  i32Rotr: 0x78,
  i64Clz: 0x79,
  i64Ctz: 0x7a,
  i64Popcnt: 0x7b,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  i64Rotl: 0x89,
  i64Rotr: 0x8a,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
  /** Prefix of the atomic instructions. */
  atomic: 0xfe,
} as const;

/** Second bytes of the atomic instructions; natural alignment is required, anything else traps. */
export const Atomic = {
  i32Load: 0x10,
  i64Load: 0x11,
  i32Load8U: 0x12,
  i32Load16U: 0x13,
  i32And: 0x2c,
  i32Or: 0x33,
  i32Xchg8U: 0x43,
  i32Cmpxchg: 0x48,
  i64Cmpxchg: 0x49,
  i32Cmpxchg8U: 0x4a,
  i32Cmpxchg16U: 0x4b,
} as const;

/** Appends an unsigned LEB128 number below 2^32. */
export function uleb(out: number[], value: number): void {
  let rest = value >>> 0;
  while (rest >= 0x80) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}

/** Appends a signed LEB128 number of 32 bits. */
export function sleb32(out: number[], value: number): void {
  let rest = value | 0;
  for (;;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && !(byte & 0x40)) || (rest === -1 && byte & 0x40)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

/** Appends a signed LEB128 number of 64 bits. */
export function sleb64(out: number[], value: bigint): void {
  let rest = BigInt.asIntN(64, value);
  for (;;) {
    const byte = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && !(byte & 0x40)) || (rest === -1n && byte & 0x40)) {
      out.push(byte);
      return;
    }
    out.push(byte | 0x80);
  }
}

export interface FunctionType {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
}

interface FunctionBody {
  readonly type: number;
  readonly locals: readonly ValType[];
  readonly code: readonly number[];
  /** Places in the code of `if`s that are hardly ever taken, in order. */
  readonly unlikely: readonly number[];
}

/** A module in the making. It imports one shared memory and any functions and one table, all from module "x". */
export class ModuleBuilder {
  readonly #types: FunctionType[] = [];
  readonly #imports: { name: string; type: number }[] = [];
  readonly #functions: FunctionBody[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  readonly #elements: number[] = [];
  #memoryPages = 0;
  /** Size of the table: imported when `importTable`, else made here and exported as "table". */
  #table: { initial: number; imported: boolean } | undefined;

  constructor(memoryPages: number) {
    this.#memoryPages = memoryPages;
  }

  type(params: readonly ValType[], results: readonly ValType[]): number {
    const found = this.#types.findIndex(
      (type) => String(type.params) === String(params) && String(type.results) === String(results),
    );
    if (found >= 0) return found;
    this.#types.push({ params, results });
    return this.#types.length - 1;
  }

  /** All imports come before the first function. Returns the function's index. */
  importFunction(name: string, params: readonly ValType[], results: readonly ValType[]): number {
    this.#imports.push({ name, type: this.type(params, results) });
    return this.#imports.length - 1;
  }

  importTable(): void {
    this.#table = { initial: 0, imported: true };
  }

  table(initial: number): void {
    this.#table = { initial, imported: false };
  }

  /** The index that the next function will get. */
  get nextFunction(): number {
    return this.#imports.length + this.#functions.length;
  }

  /** `code` is the body without its closing `end`. Returns the function's index. */
  func(
    type: number,
    locals: readonly ValType[],
    code: readonly number[],
    exportName?: string,
    unlikely: readonly number[] = [],
  ): number {
    const index = this.nextFunction;
    this.#functions.push({ type, locals, code, unlikely });
    if (exportName !== undefined) this.#exports.push({ name: exportName, index });
    return index;
  }

  exportFunction(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  /** Puts a function into the table that is made here, from entry 0 up. */
  element(index: number): void {
    this.#elements.push(index);
  }

  build(): Uint8Array<ArrayBuffer> {
    const out: number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
    section(out, 1, (s) => {
      uleb(s, this.#types.length);
      for (const type of this.#types) {
        s.push(0x60);
        uleb(s, type.params.length);
        s.push(...type.params);
        uleb(s, type.results.length);
        s.push(...type.results);
      }
    });
    section(out, 2, (s) => {
      uleb(s, this.#imports.length + 1 + (this.#table?.imported ? 1 : 0));
      name(s, "x");
      name(s, "memory");
      s.push(0x02, 0x03);
      uleb(s, this.#memoryPages);
      uleb(s, this.#memoryPages);
      if (this.#table?.imported) {
        name(s, "x");
        name(s, "table");
        s.push(0x01, 0x70, 0x00, 0x00);
      }
      for (const item of this.#imports) {
        name(s, "x");
        name(s, item.name);
        s.push(0x00);
        uleb(s, item.type);
      }
    });
    section(out, 3, (s) => {
      uleb(s, this.#functions.length);
      for (const fn of this.#functions) uleb(s, fn.type);
    });
    if (this.#table && !this.#table.imported) {
      const initial = this.#table.initial;
      section(out, 4, (s) => {
        s.push(0x01, 0x70, 0x00);
        uleb(s, initial);
      });
    }
    section(out, 7, (s) => {
      const table = this.#table && !this.#table.imported ? 1 : 0;
      uleb(s, this.#exports.length + table);
      if (table) {
        name(s, "table");
        s.push(0x01, 0x00);
      }
      for (const item of this.#exports) {
        name(s, item.name);
        s.push(0x00);
        uleb(s, item.index);
      }
    });
    if (this.#elements.length > 0) {
      section(out, 9, (s) => {
        s.push(0x01, 0x00, Op.i32Const, 0x00, Op.end);
        uleb(s, this.#elements.length);
        for (const index of this.#elements) uleb(s, index);
      });
    }
    this.#hints(out);
    return this.#withCode(out);
  }

  /** The sections so far and that of the code, which is most of a module: copied once. */
  #withCode(before: readonly number[]): Uint8Array<ArrayBuffer> {
    const count: number[] = [];
    uleb(count, this.#functions.length);
    const heads = this.#functions.map((fn) => {
      const locals = localsHead(fn.locals);
      const head: number[] = [];
      uleb(head, locals.length + fn.code.length + 1);
      return [...head, ...locals];
    });
    const size = this.#functions.reduce((sum, fn, i) => sum + heads[i].length + fn.code.length + 1, count.length);
    const head = [10];
    uleb(head, size);
    const bytes = new Uint8Array(before.length + head.length + size);
    let at = 0;
    const put = (items: readonly number[]): void => {
      bytes.set(items, at);
      at += items.length;
    };
    put(before);
    put(head);
    put(count);
    this.#functions.forEach((fn, i) => {
      put(heads[i]);
      put(fn.code);
      bytes[at++] = Op.end;
    });
    return bytes;
  }

  /** The branch hinting proposal's custom section: for each function places, counted from its locals on, and 0 for unlikely. */
  #hints(out: number[]): void {
    const hinted = this.#functions.flatMap((fn, i) => (fn.unlikely.length > 0 ? [{ fn, i }] : []));
    if (hinted.length === 0) return;
    section(out, 0, (s) => {
      name(s, "metadata.code.branch_hint");
      uleb(s, hinted.length);
      for (const { fn, i } of hinted) {
        uleb(s, this.#imports.length + i);
        uleb(s, fn.unlikely.length);
        const head = localsHead(fn.locals).length;
        for (const at of fn.unlikely) {
          uleb(s, head + at);
          s.push(1, 0);
        }
      }
    });
  }
}

/** How a function's body begins: its locals. */
function localsHead(locals: readonly ValType[]): number[] {
  const head: number[] = [];
  const runs = localRuns(locals);
  uleb(head, runs.length);
  for (const [count, type] of runs) {
    uleb(head, count);
    head.push(type);
  }
  return head;
}

/** Appends a list of any length (a spread argument has a limit). */
export function append(out: number[], items: readonly number[]): void {
  for (let i = 0; i < items.length; i++) out.push(items[i]);
}

function section(out: number[], id: number, fill: (s: number[]) => void): void {
  const content: number[] = [];
  fill(content);
  out.push(id);
  uleb(out, content.length);
  append(out, content);
}

function name(out: number[], text: string): void {
  uleb(out, text.length);
  for (let i = 0; i < text.length; i++) out.push(text.charCodeAt(i));
}

function localRuns(locals: readonly ValType[]): [number, ValType][] {
  const runs: [number, ValType][] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last && last[1] === type) last[0]++;
    else runs.push([1, type]);
  }
  return runs;
}

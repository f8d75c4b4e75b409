// Binary structures declared once, as data (STYLE 12). Every file of shared/abi/ declares the structures of one public
// header with `struct`; hypervisor, dom0 and kernels read and write guest memory through the accessors, and
// scripts/headers generates the C headers of our guests from the same declarations.
//
// A declaration is checked when its module is loaded: fields in order of offset, naturally aligned, inside the size, not
// overlapping. Members of a C union are marked by `overlay` and may overlap one another only. All values are
// little-endian. Gaps are padding. Words that two sides race on are not for these accessors but for Atomics (ring.ts).

import { accessorClass, SIZE } from "./accessor.ts";

/** Kinds of a single value. */
export type ScalarKind = "u8" | "u16" | "u32" | "i8" | "i16" | "i32" | "u64" | "i64";

/** One field: where it lies, how it is aligned, and how accessors are made for it. `T` is the property's type. */
export interface Field<T = unknown, Wide extends boolean = boolean, Writable extends boolean = boolean> {
  readonly kind: ScalarKind | "bytes" | "chars" | "array" | "struct";
  readonly offset: number;
  readonly size: number;
  readonly align: number;
  /** True for a member of a union: it may overlap other such members. */
  readonly union: boolean;
  /** The member's name in C where it isn't the key, such as `arg1.mfn`. */
  readonly path?: string;
  /** Element kind and count of an array, or the structure of a nested field. */
  readonly element?: ScalarKind | Struct<Fields>;
  readonly count?: number;
  /** Phantom: carries the types. */
  readonly type?: { value: T; wide: Wide; writable: Writable };
}

export type Fields = Readonly<Record<string, Field>>;

type ValueOf<F> = F extends Field<infer T, boolean, boolean> ? T : never;
type WideKeys<F> = { [K in keyof F & string]: F[K] extends Field<unknown, true, boolean> ? K : never }[keyof F &
  string];
type FixedKeys<F> = {
  [K in keyof F & string]: F[K] extends Field<unknown, boolean, false> ? K : never;
}[keyof F & string];

/** What every accessor has: where it looks. `$at` moves it, so that a loop over slots needs no new object. */
export interface Located {
  readonly $view: DataView;
  readonly $base: number;
  /** Points this accessor at another byte offset of its view and returns it. RangeError when it doesn't fit. */
  $at(base: number): this;
}

/**
 * The properties of one structure: the fields by name, and for each 64-bit field f (a bigint, slow on Node 20: for edges
 * only) also `f_lo` and `f_hi`, its unsigned halves, and `f_num`, the number nearest to it (rounded above 2^53, so range
 * checks still fail closed; writing needs a whole number of magnitude up to 2^53).
 */
export type Accessor<F extends Fields> = Located & {
  [K in Exclude<keyof F & string, FixedKeys<F>>]: ValueOf<F[K]>;
} & { readonly [K in FixedKeys<F>]: ValueOf<F[K]> } & {
  [K in WideKeys<F> as `${K}_lo` | `${K}_hi` | `${K}_num`]: number;
};

/** A declared structure. */
export interface Struct<F extends Fields> {
  /** The C name, without `struct`. */
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly fields: F;
  /** Byte offset of each field. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** An accessor for the structure at byte `base` of `view`. RangeError when it doesn't fit. */
  at(view: DataView, base?: number): Accessor<F>;
  /** An accessor on zeroed memory of its own, and that memory. */
  create(): Accessor<F>;
}

/** The accessor type of a declared structure: `Of<typeof VcpuInfo>`. */
export type Of<S> = S extends Struct<infer F> ? Accessor<F> : never;

/** Elements of an array of numbers. Indexes outside the array throw RangeError: they are our own bugs. */
export interface Numbers {
  readonly length: number;
  get(index: number): number;
  set(index: number, value: number): void;
}

/** Elements of an array of 64-bit values. */
export interface Wides {
  readonly length: number;
  get(index: number): bigint;
  set(index: number, value: bigint): void;
  lo(index: number): number;
  hi(index: number): number;
  num(index: number): number;
  setNum(index: number, value: number): void;
  setHalves(index: number, lo: number, hi: number): void;
}

/** Elements of an array of structures. Each call makes an accessor; move one with `$at` in hot loops. */
export interface Structs<F extends Fields> {
  readonly length: number;
  get(index: number): Accessor<F>;
}

type NumberField = Field<number, false, true>;
type WideField = Field<bigint, true, true>;

function scalar<F>(kind: ScalarKind, offset: number): F {
  return { kind, offset, size: SIZE[kind], align: SIZE[kind], union: false } as F;
}

export const u8 = (offset: number): NumberField => scalar("u8", offset);
export const u16 = (offset: number): NumberField => scalar("u16", offset);
export const u32 = (offset: number): NumberField => scalar("u32", offset);
export const i8 = (offset: number): NumberField => scalar("i8", offset);
export const i16 = (offset: number): NumberField => scalar("i16", offset);
export const i32 = (offset: number): NumberField => scalar("i32", offset);
export const u64 = (offset: number): WideField => scalar("u64", offset);
export const i64 = (offset: number): WideField => scalar("i64", offset);

/** Raw bytes. Reading gives a view, not a copy; assigning copies and clears what is left over. */
export function bytes(offset: number, length: number): Field<Uint8Array, false, true> {
  return { kind: "bytes", offset, size: length, align: 1, union: false };
}

/** A C string in a char array. Reading stops at the first NUL or the end; assigning cuts to fit and ends with NUL. */
export function chars(offset: number, length: number): Field<string, false, true> {
  return { kind: "chars", offset, size: length, align: 1, union: false };
}

type Maker = (offset: number) => Field;

/** `count` elements: `array(u64, 8, 4)` of values, `array(TrapInfo, 0, 256)` of structures. */
export function array<F extends Fields>(of: Struct<F>, offset: number, count: number): Field<Structs<F>, false, false>;
export function array(of: (offset: number) => NumberField, offset: number, count: number): Field<Numbers, false, false>;
export function array(of: (offset: number) => WideField, offset: number, count: number): Field<Wides, false, false>;
export function array(of: Maker | Struct<Fields>, offset: number, count: number): Field<never, false, false> {
  const element = typeof of === "function" ? (of(0).kind as ScalarKind) : of;
  const size = typeof element === "string" ? SIZE[element] : element.size;
  const align = typeof element === "string" ? size : element.align;
  return { kind: "array", offset, size: size * count, align, union: false, element, count };
}

/** A structure inside the structure. Its accessor is made once for each outer accessor. */
export function nested<F extends Fields>(of: Struct<F>, offset: number): Field<Accessor<F>, false, false> {
  const element = of as unknown as Struct<Fields>;
  return { kind: "struct", offset, size: of.size, align: of.align, union: false, element };
}

/** Marks a member of a C union. `path` is its name in C where it isn't the key: `overlay(u64(8), "arg1.mfn")`. */
export function overlay<F extends Field>(field: F, path?: string): F {
  return { ...field, union: true, ...(path === undefined ? {} : { path }) };
}

/** Gives the member's name in C where it isn't the key: `named(u32(4), "u.x.y")`. */
export function named<F extends Field>(field: F, path: string): F {
  return { ...field, path };
}

/** Declares a structure. Throws when the declaration contradicts itself. */
export function struct<F extends Fields>(name: string, size: number, fields: F): Struct<F> {
  const align = checkLayout(name, size, fields);
  const Made = accessorClass<F>(name, size, fields);
  const at = (view: DataView, base = 0): Accessor<F> => new Made(view, base);
  const offsets = Object.fromEntries(Object.entries(fields).map(([key, f]) => [key, f.offset]));
  return {
    name,
    size,
    align,
    fields,
    offsets: offsets as { readonly [K in keyof F]: number },
    at,
    create: () => at(new DataView(new ArrayBuffer(size))),
  };
}

function checkLayout(name: string, size: number, fields: Fields): number {
  let last = 0;
  let end = 0; // where the fields so far end
  let unionStart = -1;
  let align = 1;
  for (const [key, f] of Object.entries(fields)) {
    const bad = (what: string): never => {
      throw new Error(`struct ${name}.${key} at ${f.offset}: ${what}`);
    };
    if (!Number.isInteger(f.offset) || f.offset < 0) bad("offset is not a whole number");
    if (f.offset % f.align !== 0) bad(`not aligned to ${f.align}`);
    if (f.offset + f.size > size) bad(`ends at ${f.offset + f.size}, past the size ${size}`);
    if (f.union) {
      // Adjacent members belong to one run of unions; only the first member of the run must come after what is before.
      if (unionStart < 0) {
        if (f.offset < end) bad("overlaps the field before it");
        unionStart = f.offset;
      } else if (f.offset < unionStart) bad("starts before its union");
    } else {
      if (f.offset < last) bad("out of order");
      if (f.offset < end) bad("overlaps the field before it");
      unionStart = -1;
    }
    last = f.offset;
    end = Math.max(end, f.offset + f.size);
    align = Math.max(align, f.align);
    if (key.startsWith("$")) bad("names with $ are the accessor's own");
  }
  if (size % align !== 0) throw new Error(`struct ${name}: size ${size} is not a multiple of its alignment ${align}`);
  return align;
}

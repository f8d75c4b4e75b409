// The accessors of struct.ts: makes, for one declared structure, a class whose prototype has a property for each field,
// reading and writing little-endian through a DataView. Nobody but struct.ts imports this file. Properties made once on
// a prototype measured as fast as hand-written access; a Proxy is 90 times slower (STYLE 12).

import type { Accessor, Field, Fields, Numbers, ScalarKind, Struct, Structs, Wides } from "./struct.ts";

/** Bytes of each scalar kind. */
export const SIZE: Record<ScalarKind, number> = { u8: 1, u16: 2, u32: 4, i8: 1, i16: 2, i32: 4, u64: 8, i64: 8 };

/** The class for one structure. Its constructor throws RangeError when the structure doesn't fit in the view. */
export function accessorClass<F extends Fields>(
  name: string,
  size: number,
  fields: F,
): new (
  view: DataView,
  base: number,
) => Accessor<F> {
  // A plain class for each structure: one derived from a common base costs several times as much to construct.
  class Made implements Base {
    $view: DataView;
    $base: number;
    $parts: Map<string, unknown> | null;
    constructor(view: DataView, base: number) {
      if (!(base >= 0 && base + size <= view.byteLength)) outside(name, view, base);
      this.$view = view;
      this.$base = base;
      this.$parts = null;
    }
    $at(base: number): this {
      if (!(base >= 0 && base + size <= this.$view.byteLength)) outside(name, this.$view, base);
      this.$base = base;
      this.$parts = null;
      return this;
    }
  }
  for (const [key, field] of Object.entries(fields)) define(Made.prototype, key, field);
  return Made as unknown as new (
    view: DataView,
    base: number,
  ) => Accessor<F>;
}

function outside(name: string, view: DataView, base: number): never {
  throw new RangeError(`struct ${name} at ${base}: outside the ${view.byteLength} bytes of its view`);
}

/** The instance: where to look, and the accessors of parts that were asked for. */
interface Base {
  $view: DataView;
  $base: number;
  $parts: Map<string, unknown> | null;
}

type Get<T> = (this: Base) => T;
type Set<T> = (this: Base, value: T) => void;

function property<T>(proto: object, key: string, get: Get<T>, set?: Set<T>): void {
  if (key in proto) throw new Error(`field name ${key} is taken`);
  Object.defineProperty(proto, key, { get, ...(set ? { set } : {}), enumerable: true });
}

function define(proto: object, key: string, f: Field): void {
  const o = f.offset;
  switch (f.kind) {
    case "u64":
    case "i64":
      defineWide(proto, key, o, f.kind === "i64");
      break;
    case "bytes":
    case "chars":
      defineBytes(proto, key, f);
      break;
    case "array":
    case "struct":
      definePart(proto, key, f);
      break;
    default:
      defineNarrow(proto, key, f.kind, o);
  }
}

/** Nested structures and arrays are objects of their own, made when first asked for and kept until the accessor moves. */
function definePart(proto: object, key: string, f: Field): void {
  property(proto, key, function () {
    this.$parts ??= new Map();
    let part = this.$parts.get(key);
    if (part === undefined) {
      const at = this.$base + f.offset;
      part = f.kind === "array" ? elements(this.$view, at, f) : (f.element as Struct<Fields>).at(this.$view, at);
      this.$parts.set(key, part);
    }
    return part;
  });
}

/** One function for each kind, so that each property's call into the DataView is a fixed one. */
function defineNarrow(proto: object, key: string, kind: Narrow, o: number): void {
  const get: Record<Narrow, Get<number>> = {
    u8() {
      return this.$view.getUint8(this.$base + o);
    },
    i8() {
      return this.$view.getInt8(this.$base + o);
    },
    u16() {
      return this.$view.getUint16(this.$base + o, true);
    },
    i16() {
      return this.$view.getInt16(this.$base + o, true);
    },
    u32() {
      return this.$view.getUint32(this.$base + o, true);
    },
    i32() {
      return this.$view.getInt32(this.$base + o, true);
    },
  };
  const set: Record<Narrow, Set<number>> = {
    u8(v) {
      this.$view.setUint8(this.$base + o, v);
    },
    i8(v) {
      this.$view.setInt8(this.$base + o, v);
    },
    u16(v) {
      this.$view.setUint16(this.$base + o, v, true);
    },
    i16(v) {
      this.$view.setInt16(this.$base + o, v, true);
    },
    u32(v) {
      this.$view.setUint32(this.$base + o, v, true);
    },
    i32(v) {
      this.$view.setInt32(this.$base + o, v, true);
    },
  };
  property(proto, key, get[kind], set[kind]);
}

function defineWide(proto: object, key: string, o: number, signed: boolean): void {
  defineNarrow(proto, `${key}_lo`, "u32", o);
  defineNarrow(proto, `${key}_hi`, "u32", o + 4);
  property(
    proto,
    key,
    function () {
      const at = this.$base + o;
      return signed ? this.$view.getBigInt64(at, true) : this.$view.getBigUint64(at, true);
    },
    function (v: bigint) {
      this.$view.setBigUint64(this.$base + o, BigInt.asUintN(64, v), true);
    },
  );
  property(
    proto,
    `${key}_num`,
    function () {
      return num(this.$view, this.$base + o, signed);
    },
    function (v: number) {
      setNum(this.$view, this.$base + o, v);
    },
  );
}

function defineBytes(proto: object, key: string, f: Field): void {
  const o = f.offset;
  if (f.kind === "bytes")
    property(
      proto,
      key,
      function () {
        return new Uint8Array(this.$view.buffer, this.$view.byteOffset + this.$base + o, f.size);
      },
      function (v: Uint8Array) {
        fill(this.$view, this.$base + o, f.size, v);
      },
    );
  else
    property(
      proto,
      key,
      function () {
        return cString(this.$view, this.$base + o, f.size);
      },
      function (v: string) {
        fill(this.$view, this.$base + o, f.size, latin1(v, f.size - 1));
      },
    );
}

function num(view: DataView, at: number, signed: boolean): number {
  const hi = signed ? view.getInt32(at + 4, true) : view.getUint32(at + 4, true);
  return view.getUint32(at, true) + hi * 4294967296;
}

function setNum(view: DataView, at: number, value: number): void {
  if (!Number.isInteger(value) || Math.abs(value) > 9007199254740992)
    throw new RangeError(`${value} is not a whole number of magnitude up to 2^53`);
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 4294967296) >>> 0, true);
}

function fill(view: DataView, at: number, size: number, value: Uint8Array): void {
  const target = new Uint8Array(view.buffer, view.byteOffset + at, size);
  if (value.length > size) throw new RangeError(`${value.length} bytes do not fit in ${size}`);
  target.set(value);
  target.fill(0, value.length);
}

function cString(view: DataView, at: number, size: number): string {
  let s = "";
  for (let i = 0; i < size; i++) {
    const c = view.getUint8(at + i);
    if (c === 0) break;
    s += String.fromCharCode(c);
  }
  return s;
}

function latin1(s: string, limit: number): Uint8Array {
  const out = new Uint8Array(Math.min(s.length, limit));
  for (let i = 0; i < out.length; i++) out[i] = s.charCodeAt(i);
  return out;
}

function elements(view: DataView, base: number, f: Field): Numbers | Wides | Structs<Fields> {
  const length = f.count ?? 0;
  const kind = f.element;
  const index = (i: number): number => {
    if (!(Number.isInteger(i) && i >= 0 && i < length)) throw new RangeError(`index ${i} of an array of ${length}`);
    return i;
  };
  if (typeof kind === "object") return { length, get: (i: number) => kind.at(view, base + index(i) * kind.size) };
  const at = (i: number): number => base + index(i) * SIZE[kind as ScalarKind];
  if (kind === "u64" || kind === "i64") return wides(view, length, at, kind === "i64");
  const [get, set] = METHODS[kind as Narrow];
  return {
    length,
    get: (i: number) => view[get](at(i), true),
    set: (i: number, v: number) => view[set](at(i), v, true),
  };
}

type Narrow = Exclude<ScalarKind, "u64" | "i64">;
const METHODS = {
  u8: ["getUint8", "setUint8"],
  i8: ["getInt8", "setInt8"],
  u16: ["getUint16", "setUint16"],
  i16: ["getInt16", "setInt16"],
  u32: ["getUint32", "setUint32"],
  i32: ["getInt32", "setInt32"],
} as const;

function wides(view: DataView, length: number, at: (i: number) => number, signed: boolean): Wides {
  return {
    length,
    get: (i) => (signed ? view.getBigInt64(at(i), true) : view.getBigUint64(at(i), true)),
    set: (i, v) => view.setBigUint64(at(i), BigInt.asUintN(64, v), true),
    lo: (i) => view.getUint32(at(i), true),
    hi: (i) => view.getUint32(at(i) + 4, true),
    num: (i) => num(view, at(i), signed),
    setNum: (i, v) => setNum(view, at(i), v),
    setHalves: (i, lo, hi) => {
      view.setUint32(at(i), lo, true);
      view.setUint32(at(i) + 4, hi, true);
    },
  };
}

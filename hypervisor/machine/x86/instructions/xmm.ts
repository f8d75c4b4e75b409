// What the descriptions of SSE instructions are written with: operands in XMM registers and memory as host addresses, and
// WebAssembly's 128-bit operations on them. XMM registers lie in the vcpu's fxsave image (Intel SDM volume 1, table 10-2).

import type { Builder, Operand, Val } from "../builder.ts";
import { append, I32, I64, uleb } from "../wasm.ts";

const GENERAL_PROTECTION = 13;
/** Offset of XMM0 in the image; each register takes 16 bytes. */
export const XMM = 160;
export const MXCSR = 24;

/** A 128-bit expression; it is loaded, computed and stored in one go, as no local holds one. */
export interface Vector {
  readonly code: readonly number[];
}

/** Host address of an operand's XMM register. */
export function xmm(b: Builder, fx: Val, operand: Operand): Val {
  return b.let(b.add(b.add(fx, b.i32(XMM)), b.shl(operand.number(), b.i32(1))));
}

/** Host address of a register or of a memory operand of so many bytes, to be read. */
export function source(b: Builder, fx: Val, operand: Operand, bytes: number, aligned = false): Val {
  if (operand.kind === "reg") return xmm(b, fx, operand);
  return b.pointer(checked(b, operand, aligned), false, bytes);
}

/** The same to be written; `b.commit()` has to follow the stores to memory. */
export function destination(b: Builder, fx: Val, operand: Operand, bytes: number, aligned = false): Val {
  if (operand.kind === "reg") return xmm(b, fx, operand);
  return b.pointer(checked(b, operand, aligned), true, bytes);
}

function checked(b: Builder, operand: Operand, aligned: boolean): Val {
  const at = b.let(operand.address());
  if (aligned) b.if(b.wrap(b.and(at, b.i64(15))), () => b.fault(GENERAL_PROTECTION));
  return at;
}

function offset(at: number): number[] {
  const out: number[] = [];
  uleb(out, at);
  return out;
}

export function load32(host: Val, at = 0): Val {
  return { t: I32, code: [...host.code, 0x28, 0, ...offset(at)] };
}
export function load64(host: Val, at = 0): Val {
  return { t: I64, code: [...host.code, 0x29, 0, ...offset(at)] };
}
export function load16(host: Val, at = 0): Val {
  return { t: I32, code: [...host.code, 0x2f, 0, ...offset(at)] };
}
export function store16(b: Builder, host: Val, value: Val): void {
  append(b.out, [...host.code, ...value.code, 0x3b, 0, 0]);
}
export function store32(b: Builder, host: Val, value: Val, at = 0): void {
  append(b.out, [...host.code, ...value.code, 0x36, 0, ...offset(at)]);
}
export function store64(b: Builder, host: Val, value: Val, at = 0): void {
  append(b.out, [...host.code, ...value.code, 0x37, 0, ...offset(at)]);
}

export function load128(host: Val): Vector {
  return { code: [...host.code, 0xfd, 0x00, 0, 0] };
}
export function store128(b: Builder, host: Val, value: Vector): void {
  append(b.out, [...host.code, ...value.code, 0xfd, 0x0b, 0, 0]);
}

/** An operation of WebAssembly's vector set, by its number, on vectors and scalars in order. */
export function simd(op: number, ...operands: readonly { readonly code: readonly number[] }[]): Vector {
  return { code: [...operands.flatMap((operand) => [...operand.code]), 0xfd, ...offset(op)] };
}

/** i8x16.shuffle: bytes 0 to 15 of `x`, 16 to 31 of `y`. */
export function shuffle(x: Vector, y: Vector, bytes: readonly number[]): Vector {
  return { code: [...x.code, ...y.code, 0xfd, 13, ...bytes] };
}

/** A vector reduced to an I32 (bitmask). */
export function reduce(op: number, x: Vector): Val {
  return { t: I32, code: simd(op, x).code };
}

/** The same 64 bits twice. */
export function splat64(b: Builder, value: bigint): Vector {
  return simd(18, b.i64(value));
}

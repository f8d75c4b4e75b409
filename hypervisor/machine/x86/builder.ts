// What an instruction's description is written against: typed values, control flow, and the machine (registers, memory,
// flags, branches). Descriptions (instructions/) call it; each tier implements the machine part: interpreter.ts with the
// registers in memory, the hot tier with registers in locals. Values are code not yet emitted: an expression is emitted
// where it is used, as often as it is used; `let` computes it once and now. So whatever reads a register or memory must
// pass through `let` before anything is written that could change it.

import { append, I32, I64, Op, sleb32, sleb64, uleb, type ValType, VOID } from "./wasm.ts";

/** Width of an operand in bits. */
export type Size = 8 | 16 | 32 | 64;

/** An expression. Operands of up to 32 bits are I32, those of 64 bits I64. */
export interface Val {
  readonly t: ValType;
  readonly code: readonly number[];
}

/** A local that can be assigned, and read as a value. */
export interface Variable extends Val {
  readonly local: number;
}

/** One operand of the instruction being described. */
export interface Operand {
  readonly size: Size;
  readonly kind: "reg" | "mem" | "imm";
  /** The value, zero-extended to its type. */
  read(): Val;
  /** As read, for an operand that `write` will replace: memory is checked for writing, and LOCK is honoured. */
  modify(): Val;
  /** Stores the low `size` bits; a 32-bit register operand clears the upper half. */
  write(value: Val): void;
  /** Of a memory operand: its address, 64 bits, segment base included. */
  address(): Val;
  /** Of a register operand: 8 times its number (XMM registers are operands by number alone). */
  number(): Val;
}

/** Condition codes as jcc, setcc and cmovcc encode them. */
export const Cc = {
  O: 0,
  NO: 1,
  B: 2,
  AE: 3,
  E: 4,
  NE: 5,
  BE: 6,
  A: 7,
  S: 8,
  NS: 9,
  P: 10,
  NP: 11,
  L: 12,
  GE: 13,
  LE: 14,
  G: 15,
} as const;

/** Flags of an operation whose carry and overflow are computed at once. All I32, 0 or 1. */
export interface EagerFlags {
  readonly cf: Val;
  readonly of: Val;
  /** Absent: 0. */
  readonly af?: Val;
}

export abstract class Builder {
  /** Statements emitted so far. */
  out: number[] = [];
  /** Structured blocks open within this instruction's code. */
  protected depth = 0;

  // ---- The machine ----------------------------------------------------------------------------------------------

  /** A general register by number (Reg), its low `size` bits; for 8 bits the low byte. */
  abstract reg(number: number, size?: Size): Val;
  abstract setReg(number: number, size: Size, value: Val): void;
  /** Bits 8 to 15 of RAX, RCX, RDX or RBX. */
  abstract setHighByte(number: number, value: Val): void;
  /** One of `Slot`: FS_BASE, GS_BASE, OTHER_FLAGS, ... as 64 bits. */
  abstract slot(number: number): Val;
  abstract setSlot(number: number, value: Val): void;

  /** Loads from a 64-bit address, zero-extended. Ends the instruction without effect when it faults. */
  abstract load(size: Size, address: Val): Val;
  /** Stores to a 64-bit address. An instruction that stores twice checks the second by `checkWrite` first. */
  abstract store(size: Size, address: Val, value: Val): void;
  /** Ends the instruction without effect unless `size` bits at the address can be written. */
  abstract checkWrite(size: Size, address: Val): void;

  /** Flags of `result` = x + y. `size` is the operands' size; they may have rubbish above it. */
  abstract flagsAdd(size: Size, x: Val, y: Val, result: Val): void;
  /** Flags of `result` = x - y. */
  abstract flagsSub(size: Size, x: Val, y: Val, result: Val): void;
  /** Flags of and, or, xor, test: CF, OF and AF clear. */
  abstract flagsLogic(size: Size, result: Val): void;
  /** Flags with ZF, SF, PF by the result and the rest as given. */
  abstract flagsEager(size: Size, result: Val, flags: EagerFlags): void;
  /** Changes CF alone (0 or 1, I32). */
  abstract setCf(value: Val): void;
  /** Changes CF and OF alone. */
  abstract setCfOf(cf: Val, of: Val): void;
  /** CF as 0 or 1, I32. */
  abstract cf(): Val;
  /** A condition as 0 or 1, I32. */
  abstract cond(cc: number): Val;
  /** RFLAGS bits 0 to 31, as pushf shows them. */
  abstract rflags(): Val;
  /** Replaces the arithmetic flags and those in `mask`, which may name DF, TF, NT, AC, ID. */
  abstract setRflags(value: Val, mask?: number): void;

  /**
   * Host address of the byte at a 64-bit address, good up to the end of its page, for reading or for writing; or of so
   * many bytes, which may be a copy when they cross a page: `commit` puts what was written to it where it belongs. Ends
   * the instruction without effect when it faults.
   */
  abstract pointer(address: Val, write: boolean, bytes?: number | Val): Val;
  /** After the stores to a `pointer` of more than one byte, and before anything else can end the instruction. */
  abstract commit(): void;
  /** Host address of the vcpu's fxsave image. Ends the instruction by #NM while CR0.TS is set. */
  abstract fxsave(): Val;

  /** Full address of this instruction, and of the next one. */
  abstract thisRip(): Val;
  abstract nextRip(): Val;
  /** Full address of the target of this direct branch. */
  abstract targetRip(): Val;
  /** The last statement of a direct branch: go to its target. */
  abstract branch(): void;
  /** The last statement of a conditional direct branch. */
  abstract branchIf(condition: Val): void;
  /** The last statement of an indirect branch. */
  abstract jump(address: Val): void;
  /** Ends the instruction without effect, by an exception. */
  abstract fault(vector: number, errorCode?: number): void;
  /** Ends the run without effect, for the reason given (Exit). */
  abstract exit(kind: number): void;
  /** Ends the run behind this instruction, for the reason given (Exit), with `vector` set. */
  abstract exitAfter(kind: number, vector?: number | Val): void;
  /** The last statement of an instruction that TypeScript carries out: a function of host.ts's registry, by name. */
  abstract host(name: string): void;

  protected abstract newLocal(t: ValType): number;

  // ---- Values ---------------------------------------------------------------------------------------------------

  i32(value: number): Val {
    const code: number[] = [Op.i32Const];
    sleb32(code, value);
    return { t: I32, code };
  }

  i64(value: number | bigint): Val {
    const code: number[] = [Op.i64Const];
    sleb64(code, BigInt(value));
    return { t: I64, code };
  }

  /** A constant of the type that operands of `size` have. */
  constant(size: Size, value: number | bigint): Val {
    return size === 64 ? this.i64(value) : this.i32(Number(BigInt.asIntN(32, BigInt(value))));
  }

  /** Computes the value now; the result can be used any number of times. */
  let(value: Val): Val {
    const local = this.newLocal(value.t);
    append(this.out, value.code);
    this.out.push(Op.localSet);
    uleb(this.out, local);
    return this.#get(local, value.t);
  }

  variable(value: Val): Variable {
    const local = this.newLocal(value.t);
    append(this.out, value.code);
    this.out.push(Op.localSet);
    uleb(this.out, local);
    return { ...this.#get(local, value.t), local };
  }

  assign(variable: Variable, value: Val): void {
    append(this.out, value.code);
    this.out.push(Op.localSet);
    uleb(this.out, variable.local);
  }

  #get(local: number, t: ValType): Val {
    const code: number[] = [Op.localGet];
    uleb(code, local);
    return { t, code };
  }

  protected localValue(local: number, t: ValType): Val {
    return this.#get(local, t);
  }

  protected unary(op: number, t: ValType, a: Val): Val {
    return { t, code: [...a.code, op] };
  }

  protected binary(op: number, t: ValType, a: Val, b: Val): Val {
    return { t, code: [...a.code, ...b.code, op] };
  }

  #arith(op32: number, op64: number, a: Val, b: Val): Val {
    if (a.t !== b.t) throw new Error("x86 description: operands of different types");
    return this.binary(a.t === I64 ? op64 : op32, a.t, a, b);
  }

  #compare(op32: number, op64: number, a: Val, b: Val): Val {
    if (a.t !== b.t) throw new Error("x86 description: operands of different types");
    return this.binary(a.t === I64 ? op64 : op32, I32, a, b);
  }

  add(a: Val, b: Val): Val {
    return this.#arith(Op.i32Add, Op.i64Add, a, b);
  }
  sub(a: Val, b: Val): Val {
    return this.#arith(Op.i32Sub, Op.i64Sub, a, b);
  }
  mul(a: Val, b: Val): Val {
    return this.#arith(Op.i32Mul, Op.i64Mul, a, b);
  }
  /** Division traps in WebAssembly on zero and on overflow: descriptions check first. */
  divU(a: Val, b: Val): Val {
    return this.#arith(Op.i32DivU, Op.i64DivU, a, b);
  }
  divS(a: Val, b: Val): Val {
    return this.#arith(Op.i32DivS, Op.i64DivS, a, b);
  }
  remU(a: Val, b: Val): Val {
    return this.#arith(Op.i32RemU, Op.i64RemU, a, b);
  }
  remS(a: Val, b: Val): Val {
    return this.#arith(Op.i32RemS, Op.i64RemS, a, b);
  }
  and(a: Val, b: Val): Val {
    return this.#arith(Op.i32And, Op.i64And, a, b);
  }
  or(a: Val, b: Val): Val {
    return this.#arith(Op.i32Or, Op.i64Or, a, b);
  }
  xor(a: Val, b: Val): Val {
    return this.#arith(Op.i32Xor, Op.i64Xor, a, b);
  }
  not(a: Val): Val {
    return this.xor(a, a.t === I64 ? this.i64(-1) : this.i32(-1));
  }
  /** Shifts and rotations take their count, of the same type, modulo 32 or 64. */
  shl(a: Val, count: Val): Val {
    return this.#arith(Op.i32Shl, Op.i64Shl, a, count);
  }
  shr(a: Val, count: Val): Val {
    return this.#arith(Op.i32ShrU, Op.i64ShrU, a, count);
  }
  sar(a: Val, count: Val): Val {
    return this.#arith(Op.i32ShrS, Op.i64ShrS, a, count);
  }
  rotl(a: Val, count: Val): Val {
    return this.#arith(Op.i32Rotl, Op.i64Rotl, a, count);
  }
  rotr(a: Val, count: Val): Val {
    return this.#arith(Op.i32Rotr, Op.i64Rotr, a, count);
  }
  clz(a: Val): Val {
    return this.unary(a.t === I64 ? Op.i64Clz : Op.i32Clz, a.t, a);
  }
  ctz(a: Val): Val {
    return this.unary(a.t === I64 ? Op.i64Ctz : Op.i32Ctz, a.t, a);
  }
  popcnt(a: Val): Val {
    return this.unary(a.t === I64 ? Op.i64Popcnt : Op.i32Popcnt, a.t, a);
  }
  eqz(a: Val): Val {
    return this.unary(a.t === I64 ? Op.i64Eqz : Op.i32Eqz, I32, a);
  }
  eq(a: Val, b: Val): Val {
    return this.#compare(Op.i32Eq, Op.i64Eq, a, b);
  }
  ne(a: Val, b: Val): Val {
    return this.#compare(Op.i32Ne, Op.i64Ne, a, b);
  }
  ltU(a: Val, b: Val): Val {
    return this.#compare(Op.i32LtU, Op.i64LtU, a, b);
  }
  ltS(a: Val, b: Val): Val {
    return this.#compare(Op.i32LtS, Op.i64LtS, a, b);
  }
  leU(a: Val, b: Val): Val {
    return this.#compare(Op.i32LeU, Op.i64LeU, a, b);
  }
  leS(a: Val, b: Val): Val {
    return this.#compare(Op.i32LeS, Op.i64LeS, a, b);
  }
  gtU(a: Val, b: Val): Val {
    return this.ltU(b, a);
  }
  gtS(a: Val, b: Val): Val {
    return this.ltS(b, a);
  }

  /** `a` if the condition (I32) is not 0, else `b`. Both are evaluated. */
  select(condition: Val, a: Val, b: Val): Val {
    return { t: a.t, code: [...a.code, ...b.code, ...condition.code, Op.select] };
  }

  /** Low 32 bits of an I64 (an I32 stays as it is). */
  wrap(a: Val): Val {
    return a.t === I32 ? a : this.unary(Op.i32WrapI64, I32, a);
  }
  /** Zero-extension of an I32 to I64 (an I64 stays as it is). */
  zext(a: Val): Val {
    return a.t === I64 ? a : this.unary(Op.i64ExtendI32U, I64, a);
  }
  /** Sign-extension, within its type, of the low `from` bits. */
  signed(a: Val, from: Size): Val {
    if (a.t === I64) {
      if (from === 64) return a;
      return this.unary(from === 8 ? Op.i64Extend8S : from === 16 ? Op.i64Extend16S : Op.i64Extend32S, I64, a);
    }
    if (from >= 32) return a;
    return this.unary(from === 8 ? Op.i32Extend8S : Op.i32Extend16S, I32, a);
  }
  /** Sign-extension of the low `from` bits to I64. */
  sext64(a: Val, from: Size): Val {
    if (a.t === I64) return this.signed(a, from);
    return this.unary(Op.i64ExtendI32S, I64, this.signed(a, from));
  }
  /** The low `size` bits, zero-extended within the type. */
  truncate(a: Val, size: Size): Val {
    if (a.t === I64) return size === 64 ? a : this.and(a, this.i64((1n << BigInt(size)) - 1n));
    return size >= 32 ? a : this.and(a, this.i32((1 << size) - 1));
  }
  /** Converts a zero-extended value to the type of operands of `size`. */
  convert(a: Val, size: Size): Val {
    return size === 64 ? this.zext(a) : this.wrap(a);
  }
  /** Bit `bit` of the value, as 0 or 1, I32. */
  bit(a: Val, bit: number): Val {
    if (a.t === I32) return this.and(bit ? this.shr(a, this.i32(bit)) : a, this.i32(1));
    return this.wrap(this.and(bit ? this.shr(a, this.i64(bit)) : a, this.i64(1)));
  }

  // ---- Control flow within one instruction ----------------------------------------------------------------------

  if(condition: Val, then: () => void, otherwise?: () => void): void {
    append(this.out, condition.code);
    this.out.push(Op.if, VOID);
    this.depth++;
    then();
    if (otherwise) {
      this.out.push(Op.else);
      otherwise();
    }
    this.depth--;
    this.out.push(Op.end);
  }

  /** Repeats the body while the condition, computed before each round, holds. */
  while(condition: () => Val, body: () => void): void {
    this.out.push(Op.block, VOID, Op.loop, VOID);
    this.depth += 2;
    append(this.out, this.eqz(condition()).code);
    this.out.push(Op.brIf, 1);
    body();
    this.out.push(Op.br, 0);
    this.depth -= 2;
    this.out.push(Op.end, Op.end);
  }

  /** A value computed in one of two ways; only the chosen one is evaluated. */
  choose(condition: Val, then: Val, otherwise: Val): Val {
    return { t: then.t, code: [...condition.code, Op.if, then.t, ...then.code, Op.else, ...otherwise.code, Op.end] };
  }

  protected emit(...bytes: number[]): void {
    append(this.out, bytes);
  }
  protected emitVal(value: Val): void {
    append(this.out, value.code);
  }
}

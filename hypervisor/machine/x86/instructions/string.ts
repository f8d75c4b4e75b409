// String instructions, alone and repeated: movs, stos, lods, cmps, scas. Intel SDM volume 2 and volume 1, 7.3.9. A repeated
// one carries out what lies within the pages that its pointers are in (WebAssembly's bulk copy and fill where they fit:
// Linux's memcpy, memset and clear_page are made of these), writes its registers back, and goes on at itself until it is
// done. So it is interruptible after each such piece, a fault finds everything before it done, and the pieces count as
// instructions; where they end depends on addresses alone. ins and outs are the hypervisor's business: control.ts.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Operand, Size, Val, Variable } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import { Slot } from "../layout.ts";
import { append, I32, I64, Op } from "../wasm.ts";

const PAGE = 4096;
/** Elements of a piece that goes one by one: a piece counts as an instruction, and is not to take as long as thousands. */
const ONE_BY_ONE = 64;
const DF_BIT = 10;

/** Loads and stores at a host address that `pointer` gave. */
function peek(size: Size, host: Val): Val {
  const op = { 8: Op.i32Load8U, 16: Op.i32Load16U, 32: Op.i32Load, 64: Op.i64Load }[size];
  return { t: size === 64 ? I64 : I32, code: [...host.code, op, 0, 0] };
}
function poke(b: Builder, size: Size, host: Val, value: Val): void {
  const op = { 8: Op.i32Store8, 16: Op.i32Store16, 32: Op.i32Store, 64: Op.i64Store }[size];
  append(b.out, [...host.code, ...value.code, op, 0, 0]);
}
/** WebAssembly's memory.copy and memory.fill. */
function copy(b: Builder, to: Val, from: Val, bytes: Val): void {
  append(b.out, [...to.code, ...from.code, ...bytes.code, 0xfc, 0x0a, 0x00, 0x00]);
}
function fill(b: Builder, to: Val, byte: Val, bytes: Val): void {
  append(b.out, [...to.code, ...byte.code, ...bytes.code, 0xfc, 0x0b, 0x00]);
}

/** The registers of a string instruction at one address size. */
class Strings {
  readonly b: Builder;
  readonly width: 32 | 64;
  readonly size: Size;
  readonly shift: number;
  /** DF, and the distance from one element to the next. */
  readonly down: Val;
  readonly step: Val;

  constructor(b: Builder, width: 32 | 64, size: Size) {
    this.b = b;
    this.width = width;
    this.size = size;
    this.shift = Math.log2(size / 8);
    this.down = b.let(b.bit(b.slot(Slot.OTHER_FLAGS), DF_BIT));
    this.step = b.let(b.select(this.down, b.i64(-size / 8), b.i64(size / 8)));
  }

  get(register: number): Val {
    return this.b.let(this.b.zext(this.b.reg(register, this.width)));
  }

  set(register: number, value: Val): void {
    this.b.setReg(register, this.width, this.width === 64 ? value : this.b.wrap(value));
  }

  /** Moves a pointer over so many elements, an I64. */
  advance(register: number, elements?: Val): void {
    const { b } = this;
    const distance = elements ? b.mul(elements, this.step) : this.step;
    this.set(register, b.add(b.zext(b.reg(register, this.width)), distance));
  }

  /** How many elements from this address on lie within its page, I64: 0 when the first crosses into the next. */
  within(address: Val): Val {
    const { b } = this;
    const offset = b.let(b.and(address, b.i64(PAGE - 1)));
    const room = b.let(b.shr(b.sub(b.i64(PAGE), offset), b.i64(this.shift)));
    const below = b.add(b.shr(offset, b.i64(this.shift)), b.i64(1));
    const whole = b.let(b.select(b.eqz(room), b.i64(0), below));
    return b.let(b.select(this.down, whole, room));
  }

  /**
   * Host address of the first of so many elements that are to be written, all in one page: what was decoded from any of them is
   * dropped.
   */
  target(to: Val, elements: Val): Val {
    const { b } = this;
    // Downwards it is the last in memory, and the one that a fault is at.
    b.if(this.down, () => b.pointer(to, true));
    const bytes = b.let(b.shl(elements, b.i64(this.shift)));
    const behind = b.let(b.select(this.down, b.sub(bytes, b.i64(this.size / 8)), b.i64(0)));
    return b.let(b.add(b.pointer(b.sub(to, behind), true, b.wrap(bytes)), b.wrap(behind)));
  }

  least(x: Val, y: Val): Val {
    return this.b.let(this.b.select(this.b.ltU(x, y), x, y));
  }

  few(elements: Val): Val {
    return this.least(elements, this.b.i64(ONE_BY_ONE));
  }

  /** Host address of element `i` (I32) of a piece. */
  element(first: Val, i: Val): Val {
    const { b } = this;
    return b.add(first, b.mul(i, b.wrap(this.step)));
  }

  /** The frame of every repeated form: nothing for a count of 0, else a piece of so many elements; then on. */
  repeat(piece: (left: Val) => Val, stop?: Variable): void {
    const { b } = this;
    const count = this.get(Reg.RCX);
    const left = b.variable(count);
    b.if(b.ne(count, b.i64(0)), () => {
      const done = piece(count);
      b.assign(left, b.sub(count, done));
      this.set(Reg.RCX, left);
    });
    const ended = stop ? b.or(b.eqz(left), stop) : b.eqz(left);
    b.jump(b.let(b.select(ended, b.nextRip(), b.thisRip())));
  }
}

function repMovs(b: Builder, width: 32 | 64, operand: Operand): void {
  const s = new Strings(b, width, operand.size);
  s.repeat((left) => {
    const from = b.let(operand.address());
    const to = s.get(Reg.RDI);
    const whole = s.least(s.least(s.within(from), s.within(to)), left);
    const done = b.variable(b.i64(1));
    b.if(
      b.eqz(whole),
      () => b.store(s.size, to, b.load(s.size, from)),
      () => {
        const source = b.pointer(from, false);
        const target = s.target(to, whole);
        const bytes = b.let(b.shl(b.wrap(whole), b.i32(s.shift)));
        const bulk = b.let(b.and(b.leU(bytes, b.sub(target, source)), b.eqz(s.down)));
        b.assign(done, b.select(bulk, whole, s.few(whole)));
        b.if(
          bulk,
          () => copy(b, target, source, bytes),
          () => {
            // Source and target overlap so that each element must see the ones before it.
            const i = b.variable(b.i32(0));
            b.while(
              () => b.ltU(i, b.wrap(done)),
              () => {
                poke(b, s.size, s.element(target, i), peek(s.size, s.element(source, i)));
                b.assign(i, b.add(i, b.i32(1)));
              },
            );
          },
        );
      },
    );
    s.advance(Reg.RSI, done);
    s.advance(Reg.RDI, done);
    return done;
  });
}

function repStos(b: Builder, width: 32 | 64, size: Size): void {
  const s = new Strings(b, width, size);
  s.repeat((left) => {
    const value = b.let(b.reg(Reg.RAX, size));
    const to = s.get(Reg.RDI);
    const whole = s.least(s.within(to), left);
    const done = b.variable(b.i64(1));
    b.if(
      b.eqz(whole),
      () => b.store(size, to, value),
      () => {
        const target = s.target(to, whole);
        const bytes = b.shl(b.wrap(whole), b.i32(s.shift));
        const byte = b.let(b.and(b.wrap(value), b.i32(0xff)));
        const repeated = { 8: 1, 16: 0x101, 32: 0x1010101, 64: 0x101010101010101n }[size];
        const uniform = b.eq(value, b.mul(b.convert(byte, size), b.constant(size, repeated)));
        const bulk = b.let(b.and(uniform, b.eqz(s.down)));
        b.assign(done, b.select(bulk, whole, s.few(whole)));
        b.if(
          bulk,
          () => fill(b, target, byte, bytes),
          () => {
            const i = b.variable(b.i32(0));
            b.while(
              () => b.ltU(i, b.wrap(done)),
              () => {
                poke(b, size, s.element(target, i), value);
                b.assign(i, b.add(i, b.i32(1)));
              },
            );
          },
        );
      },
    );
    s.advance(Reg.RDI, done);
    return done;
  });
}

/** repe and repne: on while elements are equal (`wanted` 1) or differ (0). `from` absent: the accumulator. */
function repCompare(b: Builder, width: 32 | 64, size: Size, wanted: number, from: Operand | undefined): void {
  const s = new Strings(b, width, size);
  const stop = b.variable(b.i32(0));
  s.repeat((left) => {
    const to = s.get(Reg.RDI);
    const source = from ? b.let(from.address()) : undefined;
    const inPages = source ? s.least(s.within(source), s.within(to)) : s.within(to);
    const whole = s.few(s.least(inPages, left));
    const x = b.variable(b.reg(Reg.RAX, size));
    const y = b.variable(b.constant(size, 0));
    const done = b.variable(b.i64(1));
    b.if(
      b.eqz(whole),
      () => {
        b.assign(y, b.load(size, to));
        if (source) b.assign(x, b.load(size, source));
        b.assign(stop, b.ne(b.eq(x, y), b.i32(wanted)));
      },
      () => {
        const second = b.pointer(to, false);
        const first = source ? b.pointer(source, false) : undefined;
        const i = b.variable(b.i32(0));
        b.while(
          () => b.and(b.ltU(i, b.wrap(whole)), b.eqz(stop)),
          () => {
            if (first) b.assign(x, peek(size, s.element(first, i)));
            b.assign(y, peek(size, s.element(second, i)));
            b.assign(stop, b.ne(b.eq(x, y), b.i32(wanted)));
            b.assign(i, b.add(i, b.i32(1)));
          },
        );
        b.assign(done, b.zext(i));
      },
    );
    b.flagsSub(size, x, y, b.let(b.sub(x, y)));
    if (source) s.advance(Reg.RSI, done);
    s.advance(Reg.RDI, done);
    return done;
  }, stop);
}

function forWidth(width: 32 | 64): Description[] {
  const a = `a${width}`;
  const name = (base: string) => (width === 64 ? base : `${base}32`);
  const alone = (base: string, forms: string[], emit: (b: Builder, s: Strings, operand: Operand) => void) =>
    instruction(
      name(base),
      forms.map((form) => `${a}:${form}`),
      {},
      (b, operand) => emit(b, new Strings(b, width, operand.size), operand),
    );
  const repeated = (base: string, prefix: string, forms: string[], emit: (b: Builder, operand: Operand) => void) =>
    instruction(
      name(base),
      forms.map((form) => `${a}.${prefix}:${form}`),
      {},
      emit,
    );
  const either = (base: string, forms: string[], emit: (b: Builder, operand: Operand) => void) =>
    ["f3", "f2"].map((prefix) => repeated(`${prefix === "f3" ? "rep" : "repne"}${base}`, prefix, forms, emit));
  const [movs, stos, lods, cmps, scas] = [
    ["a4 Xb", "a5 Xv"],
    ["aa b", "ab v"],
    ["ac Xb", "ad Xv"],
    ["a6 Xb", "a7 Xv"],
    ["ae b", "af v"],
  ];
  return [
    alone("movs", movs, (b, s, operand) => {
      const value = operand.read();
      b.store(s.size, s.get(Reg.RDI), value);
      s.advance(Reg.RSI);
      s.advance(Reg.RDI);
    }),
    alone("stos", stos, (b, s) => {
      b.store(s.size, s.get(Reg.RDI), b.reg(Reg.RAX, s.size));
      s.advance(Reg.RDI);
    }),
    alone("lods", lods, (b, s, operand) => {
      b.setReg(Reg.RAX, s.size, operand.read());
      s.advance(Reg.RSI);
    }),
    alone("cmps", cmps, (b, s, operand) => {
      const y = b.load(s.size, s.get(Reg.RDI));
      const x = b.let(operand.read());
      b.flagsSub(s.size, x, y, b.let(b.sub(x, y)));
      s.advance(Reg.RSI);
      s.advance(Reg.RDI);
    }),
    alone("scas", scas, (b, s) => {
      const x = b.let(b.reg(Reg.RAX, s.size));
      const y = b.load(s.size, s.get(Reg.RDI));
      b.flagsSub(s.size, x, y, b.let(b.sub(x, y)));
      s.advance(Reg.RDI);
    }),
    ...either("movs", movs, (b, operand) => repMovs(b, width, operand)),
    ...either("stos", stos, (b, { size }) => repStos(b, width, size)),
    // One element at a time: only the last one's value remains, but each may fault.
    ...either("lods", lods, (b, operand) => {
      const s = new Strings(b, width, operand.size);
      s.repeat(() => {
        b.setReg(Reg.RAX, s.size, operand.read());
        s.advance(Reg.RSI);
        return b.i64(1);
      });
    }),
    repeated("repecmps", "f3", cmps, (b, operand) => repCompare(b, width, operand.size, 1, operand)),
    repeated("repnecmps", "f2", cmps, (b, operand) => repCompare(b, width, operand.size, 0, operand)),
    repeated("repescas", "f3", scas, (b, { size }) => repCompare(b, width, size, 1, undefined)),
    repeated("repnescas", "f2", scas, (b, { size }) => repCompare(b, width, size, 0, undefined)),
  ];
}

export const string: readonly Description[] = [...forWidth(64), ...forWidth(32)];

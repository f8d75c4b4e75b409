// MMX, and the MMX forms that SSE and SSE2 added: 64-bit integer vectors in the low parts of the x87 registers. Intel SDM
// volume 1, chapter 9, volume 2. Every one of them but emms (x87_state.ts) reports a pending x87 exception, makes TOP 0 and
// marks all registers as taken; a register that is written gets an exponent of all ones. Conversions between MMX
// registers and floating-point numbers are in sse_float.ts.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Operand, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import { append, I64 } from "../wasm.ts";
import { ANDNOT, highProducts, LANE_SHIFTS, SIMD_OPS, sad } from "./sse.ts";
import {
  load16,
  load32,
  load64,
  reduce,
  shuffle,
  simd,
  splat64,
  store16,
  store64,
  store128,
  type Vector,
  xmm,
} from "./xmm.ts";

const MATH_FAULT = 16;
/** Offsets in the fxsave image, and bits of its status word. */
const STATUS = 2;
const TAGS = 4;
const REGISTERS = 32;
const ES = 0x80;
const TOP = 0x3800;
const ONE_DOWN = 0x800;

/** The image; pending exceptions are reported. Before any access to memory. */
export function mmx(b: Builder): Val {
  const fx = b.fxsave();
  b.if(b.and(load16(fx, STATUS), b.i32(ES)), () => b.fault(MATH_FAULT));
  return fx;
}

/** From x87 to MMX use. When nothing can fault any more: registers change places with TOP, which the image follows. */
export function enterMmx(b: Builder, fx: Val): void {
  const status = b.add(fx, b.i32(STATUS));
  b.while(
    () => b.and(load16(status), b.i32(TOP)),
    () => {
      const low = b.let(load64(fx, REGISTERS + 112));
      const high = b.let(load64(fx, REGISTERS + 120));
      const first = b.add(fx, b.i32(REGISTERS));
      // memory.copy
      append(b.out, [...b.add(first, b.i32(16)).code, ...first.code, ...b.i32(112).code, 0xfc, 10, 0, 0]);
      store64(b, fx, low, REGISTERS);
      store64(b, fx, high, REGISTERS + 8);
      store16(b, status, b.sub(load16(status), b.i32(ONE_DOWN)));
    },
  );
  append(b.out, [...fx.code, ...b.i32(0xff).code, 0x3a, 0, TAGS]);
}

/** Host address of an operand's MMX register; REX doesn't reach them. */
function register(b: Builder, fx: Val, operand: Operand): Val {
  return b.let(b.add(b.add(fx, b.i32(REGISTERS)), b.shl(b.and(operand.number(), b.i32(56)), b.i32(1))));
}

/** Host address of a register or of a memory operand of so many bytes. */
export function mmxSource(b: Builder, fx: Val, operand: Operand, bytes = 8): Val {
  if (operand.kind === "reg") return register(b, fx, operand);
  return b.pointer(b.let(operand.address()), false, bytes);
}

function put(b: Builder, register: Val, value: Val): void {
  store64(b, register, value);
  store16(b, b.add(register, b.i32(8)), b.i32(0xffff));
}

/** v128.load64_zero, and the low half of a vector. */
const widened = (host: Val): Vector => ({ code: [...host.code, 0xfd, 93, 0, 0] });
const low = (x: Vector): Val => ({ t: I64, code: [...x.code, 0xfd, 29, 0] });

/** dst := f(dst, src), of which the low halves count. */
function packed(
  name: string,
  opcode: string,
  compute: (b: Builder, x: Vector, y: Vector) => Vector,
  bytes = 8,
): Description {
  return instruction(`m${name}`, [`np:0f${opcode} Gq,E${bytes === 4 ? "d" : "q"}`], {}, (b, dst, src) => {
    const fx = mmx(b);
    // A register is read when they have their places; memory before, since that may fault.
    const memory = src.kind === "mem" ? b.let(load(mmxSource(b, fx, src, bytes), bytes)) : undefined;
    enterMmx(b, fx);
    const y = memory ? simd(18, memory) : widened(register(b, fx, src));
    const x = register(b, fx, dst);
    put(b, x, b.let(low(compute(b, widened(x), y))));
  });
}

function load(host: Val, bytes: number): Val {
  return bytes === 4 ? { t: I64, code: [...load32(host).code, 0xad] } : load64(host);
}

/** Two registers' elements in one vector, of which a narrowing operation then takes both halves. */
const joined = (x: Vector, y: Vector): Vector =>
  shuffle(x, y, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);

function interleaved(width: number, from: number): number[] {
  const bytes: number[] = [];
  for (let at = from; at < from + 4; at += width) {
    for (const first of [at, at + 16]) for (let i = 0; i < width; i++) bytes.push(first + i);
  }
  return [...bytes, ...bytes];
}

function shifts(
  name: string,
  width: 16 | 32 | 64,
  kind: "ll" | "ra" | "rl",
  opcode: string,
  imm: string,
): Description[] {
  const op = LANE_SHIFTS[width][kind];
  const shifted = (b: Builder, x: Val, count: Val): void => {
    const n = b.let(count);
    const few = b.let(b.wrap(b.select(b.gtU(n, b.i64(width - 1)), b.i64(width - 1), n)));
    const value = b.let(low(simd(op, widened(x), few)));
    put(b, x, kind === "ra" ? value : b.select(b.gtU(n, b.i64(width - 1)), b.i64(0), value));
  };
  return [
    instruction(`m${name}`, [`np:0f${opcode} Gq,Eq`], {}, (b, dst, src) => {
      const fx = mmx(b);
      const memory = src.kind === "mem" ? b.let(load64(mmxSource(b, fx, src))) : undefined;
      enterMmx(b, fx);
      const count = memory ?? b.let(load64(register(b, fx, src)));
      shifted(b, register(b, fx, dst), count);
    }),
    instruction(`m${name}i`, [`np:0f${imm} Rq,Ib`], {}, (b, dst, count) => {
      const fx = mmx(b);
      enterMmx(b, fx);
      shifted(b, register(b, fx, dst), b.zext(count.read()));
    }),
  ];
}

/** maskmovq: bytes whose mask byte has its top bit go to where RDI points. */
function maskedStore(b: Builder, value: Operand, mask: Operand): void {
  const fx = mmx(b);
  const to = b.let(b.reg(Reg.RDI));
  // Registers as they lie before TOP becomes 0: the stores may fault.
  const place = (operand: Operand): Val => {
    const top = b.shl(b.and(b.shr(load16(fx, STATUS), b.i32(11)), b.i32(7)), b.i32(3));
    const at = b.and(b.sub(operand.number(), top), b.i32(56));
    return b.let(load64(b.add(fx, b.shl(at, b.i32(1))), REGISTERS));
  };
  const bytes = place(value);
  const selected = b.let(b.and(reduce(100, simd(18, place(mask))), b.i32(0xff)));
  const each = (body: (at: Val, i: Val) => void) => {
    const left = b.variable(selected);
    b.while(
      () => left,
      () => {
        const i = b.let(b.zext(b.ctz(left)));
        body(b.let(b.add(to, i)), i);
        b.assign(left, b.and(left, b.sub(left, b.i32(1))));
      },
    );
  };
  each((at) => b.checkWrite(8, at));
  each((at, i) => b.store(8, at, b.and(b.wrap(b.shr(bytes, b.shl(i, b.i64(3)))), b.i32(0xff))));
  enterMmx(b, fx);
}

const UNPACK: readonly (readonly [string, string, number, number])[] = [
  ["punpcklbw", "60", 1, 0],
  ["punpcklwd", "61", 2, 0],
  ["punpckldq", "62", 4, 0],
  ["punpckhbw", "68", 1, 4],
  ["punpckhwd", "69", 2, 4],
  ["punpckhdq", "6a", 4, 4],
];
const NARROWING = ["packsswb", "packuswb", "packssdw"];

export const mmxInstructions: readonly Description[] = [
  ...SIMD_OPS.map(([name, opcode, op]) =>
    packed(name, opcode, (_b, x, y) =>
      NARROWING.includes(name) ? simd(op, joined(x, y), joined(x, y)) : simd(op, x, y),
    ),
  ),
  packed("pandn", "df", (_b, x, y) => simd(ANDNOT, y, x)),
  packed("pmulhuw", "e4", highProducts(190, 191)),
  packed("pmulhw", "e5", highProducts(188, 189)),
  packed("pmuludq", "f4", (b, x, y) => {
    const half = splat64(b, 0xffffffffn);
    return simd(213, simd(78, x, half), simd(78, y, half));
  }),
  packed("psadbw", "f6", sad),
  ...UNPACK.map(([name, opcode, width, from]) =>
    packed(name, opcode, (_b, x, y) => shuffle(x, y, interleaved(width, from)), from === 0 ? 4 : 8),
  ),
  ...shifts("psrlw", 16, "rl", "d1", "71/2"),
  ...shifts("psrld", 32, "rl", "d2", "72/2"),
  ...shifts("psrlq", 64, "rl", "d3", "73/2"),
  ...shifts("psraw", 16, "ra", "e1", "71/4"),
  ...shifts("psrad", 32, "ra", "e2", "72/4"),
  ...shifts("psllw", 16, "ll", "f1", "71/6"),
  ...shifts("pslld", 32, "ll", "f2", "72/6"),
  ...shifts("psllq", 64, "ll", "f3", "73/6"),

  instruction("mmovd", ["np:0f6e Gq,Ey"], {}, (b, dst, src) => {
    const fx = mmx(b);
    const value = b.let(b.zext(src.read()));
    enterMmx(b, fx);
    put(b, register(b, fx, dst), value);
  }),
  instruction("mmovdst", ["np:0f7e Ey,Gq"], {}, (b, dst, src) => {
    const fx = mmx(b);
    if (dst.kind === "mem") b.checkWrite(dst.size, b.let(dst.address()));
    enterMmx(b, fx);
    const from = register(b, fx, src);
    dst.write(b.let(dst.size === 64 ? load64(from) : load32(from)));
  }),
  instruction("mmovq", ["np:0f6f Gq,Eq"], {}, (b, dst, src) => {
    const fx = mmx(b);
    const memory = src.kind === "mem" ? b.let(load64(mmxSource(b, fx, src))) : undefined;
    enterMmx(b, fx);
    const value = memory ?? b.let(load64(register(b, fx, src)));
    put(b, register(b, fx, dst), value);
  }),
  instruction("mmovqst", ["np:0f7f Eq,Gq", "np:0fe7 Mq,Gq"], {}, (b, dst, src) => {
    const fx = mmx(b);
    if (dst.kind === "mem") b.checkWrite(64, b.let(dst.address()));
    enterMmx(b, fx);
    const value = b.let(load64(register(b, fx, src)));
    if (dst.kind === "mem") b.store(64, dst.address(), value);
    else put(b, register(b, fx, dst), value);
  }),
  instruction("movq2dq", ["f3:0fd6 Gq,Rq"], {}, (b, dst, src) => {
    const fx = mmx(b);
    enterMmx(b, fx);
    store128(b, xmm(b, fx, dst), widened(register(b, fx, src)));
  }),
  instruction("movdq2q", ["f2:0fd6 Gq,Rq"], {}, (b, dst, src) => {
    const fx = mmx(b);
    enterMmx(b, fx);
    put(b, register(b, fx, dst), b.let(load64(xmm(b, fx, src))));
  }),
  instruction("mpmovmskb", ["np:0fd7 Gd,Rq"], {}, (b, dst, src) => {
    const fx = mmx(b);
    enterMmx(b, fx);
    dst.write(b.let(reduce(100, widened(register(b, fx, src)))));
  }),
  instruction("mpinsrw", ["np:0fc4 Gq,Ew,Ib"], {}, (b, dst, src, imm) => {
    const fx = mmx(b);
    const value = b.let(src.read());
    enterMmx(b, fx);
    const to = register(b, fx, dst);
    store16(b, b.add(to, b.shl(b.and(imm.read(), b.i32(3)), b.i32(1))), value);
    store16(b, b.add(to, b.i32(8)), b.i32(0xffff));
  }),
  instruction("mpextrw", ["np:0fc5 Gd,Rq,Ib"], {}, (b, dst, src, imm) => {
    const fx = mmx(b);
    enterMmx(b, fx);
    const place = b.shl(b.and(imm.read(), b.i32(3)), b.i32(1));
    dst.write(b.let(load16(b.add(register(b, fx, src), place))));
  }),
  instruction("pshufw", ["np:0f70 Gq,Eq,Ib"], {}, (b, dst, src, imm) => {
    const fx = mmx(b);
    const memory = src.kind === "mem" ? b.let(load64(mmxSource(b, fx, src))) : undefined;
    enterMmx(b, fx);
    const from = memory ?? b.let(load64(register(b, fx, src)));
    const order = b.let(b.zext(imm.read()));
    let result: Val = b.i64(0);
    for (let i = 0; i < 4; i++) {
      const at = b.shl(b.and(b.shr(order, b.i64(i * 2)), b.i64(3)), b.i64(4));
      result = b.or(result, b.shl(b.and(b.shr(from, at), b.i64(0xffff)), b.i64(i * 16)));
    }
    put(b, register(b, fx, dst), b.let(result));
  }),
  instruction("maskmovq", ["np:0ff7 Gq,Rq"], {}, maskedStore),
];

// SSE and SSE2 on XMM registers, but for arithmetic on floating-point numbers (sse_float.ts): moves, logic, packed
// integers, shuffles. Intel SDM volume 2. Numbers of WebAssembly's vector operations: the SIMD proposal's opcode table.
// The forms on MMX registers are in mmx.ts.

import { Reg } from "../../cpu_state.ts";
import type { Builder, Operand, Val } from "../builder.ts";
import { type Description, instruction } from "../describe.ts";
import {
  destination,
  load16,
  load32,
  load64,
  load128,
  reduce,
  shuffle,
  simd,
  source,
  splat64,
  store16,
  store32,
  store64,
  store128,
  type Vector,
  xmm,
} from "./xmm.ts";

/** dst := f(dst, src), both 128 bits, memory aligned. */
function packed(name: string, form: string, compute: (b: Builder, x: Vector, y: Vector) => Vector): Description {
  return instruction(name, [`${form} Gq,Eq`], {}, (b, dst, src) => {
    const fx = b.fxsave();
    const y = source(b, fx, src, 16, true);
    const x = xmm(b, fx, dst);
    store128(b, x, compute(b, load128(x), load128(y)));
  });
}

/** Packed operations that WebAssembly has: name, opcode behind 66 0f, number, and whether operands change places. */
export const SIMD_OPS: readonly (readonly [string, string, number])[] = [
  ["packsswb", "63", 101],
  ["pcmpgtb", "64", 39],
  ["pcmpgtw", "65", 49],
  ["pcmpgtd", "66", 59],
  ["packuswb", "67", 102],
  ["packssdw", "6b", 133],
  ["pcmpeqb", "74", 35],
  ["pcmpeqw", "75", 45],
  ["pcmpeqd", "76", 55],
  ["paddq", "d4", 206],
  ["pmullw", "d5", 149],
  ["psubusb", "d8", 115],
  ["psubusw", "d9", 147],
  ["pminub", "da", 119],
  ["pand", "db", 78],
  ["paddusb", "dc", 112],
  ["paddusw", "dd", 144],
  ["pmaxub", "de", 121],
  ["pavgb", "e0", 123],
  ["pavgw", "e3", 155],
  ["psubsb", "e8", 114],
  ["psubsw", "e9", 146],
  ["pminsw", "ea", 150],
  ["por", "eb", 80],
  ["paddsb", "ec", 111],
  ["paddsw", "ed", 143],
  ["pmaxsw", "ee", 152],
  ["pxor", "ef", 81],
  ["pmaddwd", "f5", 186],
  ["psubb", "f8", 113],
  ["psubw", "f9", 145],
  ["psubd", "fa", 177],
  ["psubq", "fb", 209],
  ["paddb", "fc", 110],
  ["paddw", "fd", 142],
  ["paddd", "fe", 174],
];
export const ANDNOT = 79;

/** Bytes of a shuffle that interleaves elements of `width` bytes from the low or the high halves. */
function interleaved(width: number, high: boolean): number[] {
  const bytes: number[] = [];
  for (let at = high ? 8 : 0; at < (high ? 16 : 8); at += width) {
    for (const from of [at, at + 16]) for (let i = 0; i < width; i++) bytes.push(from + i);
  }
  return bytes;
}
const UNPACK: readonly (readonly [string, string, number, boolean])[] = [
  ["punpcklbw", "66:0f60", 1, false],
  ["punpcklwd", "66:0f61", 2, false],
  ["punpckldq", "66:0f62", 4, false],
  ["punpckhbw", "66:0f68", 1, true],
  ["punpckhwd", "66:0f69", 2, true],
  ["punpckhdq", "66:0f6a", 4, true],
  ["punpcklqdq", "66:0f6c", 8, false],
  ["punpckhqdq", "66:0f6d", 8, true],
  ["unpcklps", "np:0f14", 4, false],
  ["unpckhps", "np:0f15", 4, true],
  ["unpcklpd", "66:0f14", 8, false],
  ["unpckhpd", "66:0f15", 8, true],
];

/** High 16 bits of eight products: i32x4.extmul_low and _high, then the upper words of both. */
export function highProducts(low: number, high: number): (b: Builder, x: Vector, y: Vector) => Vector {
  const upper = [2, 3, 6, 7, 10, 11, 14, 15];
  return (_b, x, y) => shuffle(simd(low, x, y), simd(high, x, y), [...upper, ...upper.map((byte) => byte + 16)]);
}

/** Sums of absolute differences of eight bytes each. */
export function sad(b: Builder, x: Vector, y: Vector): Vector {
  const differences = simd(80, simd(115, x, y), simd(115, y, x));
  // i16x8 and i32x4 sums of neighbours; then the two words of each half.
  const words = simd(127, simd(125, differences));
  const sums = simd(206, words, simd(205, words, b.i32(32)));
  return simd(78, sums, splat64(b, 0xffffffffn));
}

/** Shifts of lanes: left, right, arithmetic right; WebAssembly takes counts modulo the lane, x86 doesn't. */
export const LANE_SHIFTS = {
  16: { ll: 139, ra: 140, rl: 141 },
  32: { ll: 171, ra: 172, rl: 173 },
  64: { ll: 203, ra: 204, rl: 205 },
} as const;

function laneShift(b: Builder, x: Val, width: 16 | 32 | 64, kind: "ll" | "ra" | "rl", count: Val): void {
  const n = b.let(count);
  const beyond = b.let(b.gtU(n, b.i64(width - 1)));
  const op = LANE_SHIFTS[width][kind];
  if (kind === "ra") {
    const few = b.let(b.wrap(b.select(beyond, b.i64(width - 1), n)));
    store128(b, x, simd(op, load128(x), few));
    return;
  }
  b.if(
    beyond,
    () => store128(b, x, splat64(b, 0n)),
    () => store128(b, x, simd(op, load128(x), b.wrap(n))),
  );
}

function shifts(
  name: string,
  width: 16 | 32 | 64,
  kind: "ll" | "ra" | "rl",
  opcode: string,
  imm: string,
): Description[] {
  return [
    instruction(name, [`66:0f${opcode} Gq,Eq`], {}, (b, dst, src) => {
      const fx = b.fxsave();
      const count = b.let(load64(source(b, fx, src, 16, true)));
      laneShift(b, xmm(b, fx, dst), width, kind, count);
    }),
    instruction(`${name}i`, [`66:0f${imm} Rq,Ib`], {}, (b, dst, count) => {
      const fx = b.fxsave();
      laneShift(b, xmm(b, fx, dst), width, kind, b.zext(count.read()));
    }),
  ];
}

/** pslldq and psrldq: the whole register by bytes. */
function byteShift(name: string, imm: string, left: boolean): Description {
  return instruction(name, [`66:0f${imm} Rq,Ib`], {}, (b, dst, count) => {
    const x = xmm(b, b.fxsave(), dst);
    const bits = b.let(b.shl(b.zext(count.read()), b.i64(3)));
    const low = b.let(load64(x));
    const high = b.let(load64(x, 8));
    const [near, far] = left ? [low, high] : [high, low];
    const shift = (v: Val, n: Val) => (left ? b.shl(v, n) : b.shr(v, n));
    const back = (v: Val, n: Val) => (left ? b.shr(v, n) : b.shl(v, n));
    const zero = b.i64(0);
    const within = b.let(b.ltU(bits, b.i64(64)));
    const nothing = b.gtU(bits, b.i64(127));
    // What leaves one half enters the other; by 64 - 0 nothing does, so it goes in two steps.
    const carried = back(back(near, b.i64(1)), b.sub(b.i64(63), bits));
    const joined = b.or(shift(far, bits), carried);
    const moved = b.select(nothing, zero, shift(near, b.sub(bits, b.i64(64))));
    const nearResult = b.let(b.select(within, shift(near, bits), zero));
    const farResult = b.let(b.select(within, joined, moved));
    store64(b, x, nearResult, left ? 0 : 8);
    store64(b, x, farResult, left ? 8 : 0);
  });
}

/** Element `index` (two bits of the immediate from bit `at`) of four 32-bit ones. */
function element(b: Builder, from: Val, order: Val, at: number): Val {
  const offset = b.shl(b.and(b.shr(order, b.i32(at)), b.i32(3)), b.i32(2));
  return b.let(load32(b.add(from, offset)));
}

/** pshuflw and pshufhw: four words of one half, the other half as it is. */
function shuffleWords(name: string, form: string, half: number): Description {
  return instruction(name, [`${form} Gq,Eq,Ib`], {}, (b, dst, src, imm) => {
    const fx = b.fxsave();
    const from = source(b, fx, src, 16, true);
    const to = xmm(b, fx, dst);
    const order = b.let(imm.read());
    const other = b.let(load64(from, 8 - half));
    const words = [0, 2, 4, 6].map((at) => {
      const offset = b.shl(b.and(b.shr(order, b.i32(at)), b.i32(3)), b.i32(1));
      return b.let(load16(b.add(from, offset), half));
    });
    store32(b, to, b.or(words[0], b.shl(words[1], b.i32(16))), half);
    store32(b, to, b.or(words[2], b.shl(words[3], b.i32(16))), half + 4);
    store64(b, to, other, 8 - half);
  });
}

function loads(name: string, forms: readonly string[], aligned: boolean): Description {
  return instruction(
    name,
    forms.map((form) => `${form} Gq,Eq`),
    {},
    (b, dst, src) => {
      const fx = b.fxsave();
      const from = source(b, fx, src, 16, aligned);
      store128(b, xmm(b, fx, dst), load128(from));
    },
  );
}

function stores(name: string, forms: readonly string[], aligned: boolean): Description {
  return instruction(name, forms, {}, (b, dst, src) => {
    const fx = b.fxsave();
    const to = destination(b, fx, dst, 16, aligned);
    store128(b, to, load128(xmm(b, fx, src)));
    if (dst.kind === "mem") b.commit();
  });
}

/** movss and movsd: from memory the rest becomes 0, between registers it stays. */
function scalar(name: string, prefix: string, bytes: 4 | 8): Description[] {
  const load = (from: Val) => (bytes === 4 ? load32(from) : load64(from));
  const store = bytes === 4 ? store32 : store64;
  return [
    instruction(name, [`${prefix}:0f10 Gq,Eq`], {}, (b, dst, src) => {
      const fx = b.fxsave();
      const value = b.let(load(source(b, fx, src, bytes)));
      const to = xmm(b, fx, dst);
      if (src.kind === "mem") {
        store64(b, to, b.zext(value));
        store64(b, to, b.i64(0), 8);
      } else store(b, to, value);
    }),
    instruction(`${name}st`, [`${prefix}:0f11 Eq,Gq`], {}, (b, dst, src) => {
      const fx = b.fxsave();
      const to = destination(b, fx, dst, bytes);
      store(b, to, load(xmm(b, fx, src)));
      if (dst.kind === "mem") b.commit();
    }),
  ];
}

/** movlps, movhps and their like: one half of a register, `half` 0 or 8; between registers from the other half. */
function half(name: string, opcode: number, at: number): Description[] {
  const hex = (value: number) => value.toString(16);
  return [
    instruction(name, [`np:0f${hex(opcode)} Gq,Eq`, `66:0f${hex(opcode)} Gq,Mq`], {}, (b, dst, src) => {
      const fx = b.fxsave();
      const value = b.let(load64(source(b, fx, src, 8), src.kind === "reg" ? 8 - at : 0));
      store64(b, xmm(b, fx, dst), value, at);
    }),
    instruction(`${name}st`, [`np:0f${hex(opcode + 1)} Mq,Gq`, `66:0f${hex(opcode + 1)} Mq,Gq`], {}, (b, dst, src) => {
      const fx = b.fxsave();
      store64(b, destination(b, fx, dst, 8), load64(xmm(b, fx, src), at));
      b.commit();
    }),
  ];
}

function low64(b: Builder, to: Val, value: Val): void {
  store64(b, to, value);
  store64(b, to, b.i64(0), 8);
}

function maskedStore(b: Builder, value: Operand, mask: Operand): void {
  const fx = b.fxsave();
  const from = xmm(b, fx, value);
  const to = b.let(b.reg(Reg.RDI));
  const selected = b.let(reduce(100, load128(xmm(b, fx, mask))));
  const each = (body: (at: Val, i: Val) => void) => {
    const left = b.variable(selected);
    b.while(
      () => left,
      () => {
        const i = b.let(b.ctz(left));
        body(b.let(b.add(to, b.zext(i))), i);
        b.assign(left, b.and(left, b.sub(left, b.i32(1))));
      },
    );
  };
  each((at) => b.checkWrite(8, at));
  each((at, i) => b.store(8, at, b.and(load16(b.add(from, i)), b.i32(0xff))));
}

export const sse: readonly Description[] = [
  loads("movups", ["np:0f10", "66:0f10", "f3:0f6f"], false),
  loads("movaps", ["np:0f28", "66:0f28", "66:0f6f"], true),
  stores("movupsst", ["np:0f11 Eq,Gq", "66:0f11 Eq,Gq", "f3:0f7f Eq,Gq"], false),
  stores(
    "movapsst",
    ["np:0f29 Eq,Gq", "66:0f29 Eq,Gq", "66:0f7f Eq,Gq", "np:0f2b Mq,Gq", "66:0f2b Mq,Gq", "66:0fe7 Mq,Gq"],
    true,
  ),
  ...scalar("movss", "f3", 4),
  ...scalar("movsdx", "f2", 8),
  ...half("movlps", 0x12, 0),
  ...half("movhps", 0x16, 8),
  instruction("movq", ["f3:0f7e Gq,Eq"], {}, (b, dst, src) => {
    const fx = b.fxsave();
    low64(b, xmm(b, fx, dst), b.let(load64(source(b, fx, src, 8))));
  }),
  instruction("movqst", ["66:0fd6 Eq,Gq"], {}, (b, dst, src) => {
    const fx = b.fxsave();
    const to = destination(b, fx, dst, 8);
    const value = b.let(load64(xmm(b, fx, src)));
    if (dst.kind === "reg") low64(b, to, value);
    else {
      store64(b, to, value);
      b.commit();
    }
  }),
  instruction("movd", ["66:0f6e Gq,Ey"], {}, (b, dst, src) => {
    const fx = b.fxsave();
    low64(b, xmm(b, fx, dst), b.let(b.zext(src.read())));
  }),
  instruction("movdst", ["66:0f7e Ey,Gq"], {}, (b, dst, src) => {
    const from = xmm(b, b.fxsave(), src);
    dst.write(b.let(dst.size === 64 ? load64(from) : load32(from)));
  }),
  ...(
    [
      ["movmskps", "np:0f50", 164],
      ["movmskpd", "66:0f50", 196],
      ["pmovmskb", "66:0fd7", 100],
    ] as const
  ).map(([name, form, op]) =>
    instruction(name, [`${form} Gd,Rq`], {}, (b, dst, src) => {
      dst.write(b.let(reduce(op, load128(xmm(b, b.fxsave(), src)))));
    }),
  ),
  instruction("pinsrw", ["66:0fc4 Gq,Ew,Ib"], {}, (b, dst, src, imm) => {
    const fx = b.fxsave();
    const value = b.let(src.read());
    const place = b.shl(b.and(imm.read(), b.i32(7)), b.i32(1));
    store16(b, b.add(xmm(b, fx, dst), place), value);
  }),
  instruction("pextrw", ["66:0fc5 Gd,Rq,Ib"], {}, (b, dst, src, imm) => {
    const place = b.shl(b.and(imm.read(), b.i32(7)), b.i32(1));
    dst.write(b.let(load16(b.add(xmm(b, b.fxsave(), src), place))));
  }),
  instruction("maskmovdqu", ["66:0ff7 Gq,Rq"], {}, maskedStore),

  ...SIMD_OPS.map(([name, opcode, op]) => packed(name, `66:0f${opcode}`, (_b, x, y) => simd(op, x, y))),
  // andnot complements its second operand, x86's its first.
  packed("pandn", "66:0fdf", (_b, x, y) => simd(ANDNOT, y, x)),
  ...["np", "66"].flatMap((prefix, i) => [
    packed(`andp${"sd"[i]}`, `${prefix}:0f54`, (_b, x, y) => simd(78, x, y)),
    packed(`andnp${"sd"[i]}`, `${prefix}:0f55`, (_b, x, y) => simd(ANDNOT, y, x)),
    packed(`orp${"sd"[i]}`, `${prefix}:0f56`, (_b, x, y) => simd(80, x, y)),
    packed(`xorp${"sd"[i]}`, `${prefix}:0f57`, (_b, x, y) => simd(81, x, y)),
  ]),
  packed("pmulhuw", "66:0fe4", highProducts(190, 191)),
  packed("pmulhw", "66:0fe5", highProducts(188, 189)),
  packed("pmuludq", "66:0ff4", (b, x, y) => {
    const low = splat64(b, 0xffffffffn);
    return simd(213, simd(78, x, low), simd(78, y, low));
  }),
  packed("psadbw", "66:0ff6", sad),
  ...UNPACK.map(([name, form, width, high]) =>
    packed(name, form, (_b, x, y) => shuffle(x, y, interleaved(width, high))),
  ),
  ...shifts("psrlw", 16, "rl", "d1", "71/2"),
  ...shifts("psrld", 32, "rl", "d2", "72/2"),
  ...shifts("psrlq", 64, "rl", "d3", "73/2"),
  ...shifts("psraw", 16, "ra", "e1", "71/4"),
  ...shifts("psrad", 32, "ra", "e2", "72/4"),
  ...shifts("psllw", 16, "ll", "f1", "71/6"),
  ...shifts("pslld", 32, "ll", "f2", "72/6"),
  ...shifts("psllq", 64, "ll", "f3", "73/6"),
  byteShift("psrldq", "73/3", false),
  byteShift("pslldq", "73/7", true),
  instruction("pshufd", ["66:0f70 Gq,Eq,Ib"], {}, (b, dst, src, imm) => {
    const fx = b.fxsave();
    const from = source(b, fx, src, 16, true);
    const order = b.let(imm.read());
    const elements = [0, 2, 4, 6].map((at) => element(b, from, order, at));
    const to = xmm(b, fx, dst);
    for (const [i, value] of elements.entries()) store32(b, to, value, i * 4);
  }),
  shuffleWords("pshuflw", "f2:0f70", 0),
  shuffleWords("pshufhw", "f3:0f70", 8),
  instruction("shufps", ["np:0fc6 Gq,Eq,Ib"], {}, (b, dst, src, imm) => {
    const fx = b.fxsave();
    const y = source(b, fx, src, 16, true);
    const x = xmm(b, fx, dst);
    const order = b.let(imm.read());
    const elements = [0, 2, 4, 6].map((at) => element(b, at < 4 ? x : y, order, at));
    for (const [i, value] of elements.entries()) store32(b, x, value, i * 4);
  }),
  instruction("shufpd", ["66:0fc6 Gq,Eq,Ib"], {}, (b, dst, src, imm) => {
    const fx = b.fxsave();
    const y = source(b, fx, src, 16, true);
    const x = xmm(b, fx, dst);
    const order = b.let(imm.read());
    const place = (bit: number) => b.shl(b.bit(order, bit), b.i32(3));
    const low = b.let(load64(b.add(x, place(0))));
    const high = b.let(load64(b.add(y, place(1))));
    store64(b, x, low);
    store64(b, x, high, 8);
  }),
];

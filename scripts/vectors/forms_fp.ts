// table
// The forms of SSE, SSE2, MMX and x87 that vectors are made for. Called by generate.ts. Leaves out the approximations
// (rcpps, rsqrtps: every maker's own), the x87's transcendental functions, and what saves the whole state.

import { Place, type Random, type State } from "../../tests/vectors/format.ts";
import type { Form } from "./forms.ts";

const forms: Form[] = [];
type More = Partial<Form>;

/** Where the XMM registers lie in the fxsave image. */
const XMM = 160;

function add(name: string, opcode: number, bytes: number, more: More = {}): void {
  forms.push({ family: "sse", name, map: 1, opcode, sizes: [32], modrm: "r", bytes, fx: true, ...more });
}
const P66: More = { prefix: 0x66 };
const PF3: More = { prefix: 0xf3 };
const PF2: More = { prefix: 0xf2 };
const A: More = { aligned: true };

// Whole registers to and fro.
add("movups x, x/m", 0x10, 16);
add("movups x/m, x", 0x11, 16);
add("movupd x, x/m", 0x10, 16, P66);
add("movupd x/m, x", 0x11, 16, P66);
add("movaps x, x/m", 0x28, 16, A);
add("movaps x/m, x", 0x29, 16, A);
add("movapd x, x/m", 0x28, 16, { ...A, ...P66 });
add("movapd x/m, x", 0x29, 16, { ...A, ...P66 });
add("movdqa x, x/m", 0x6f, 16, { ...A, ...P66 });
add("movdqa x/m, x", 0x7f, 16, { ...A, ...P66 });
add("movdqu x, x/m", 0x6f, 16, PF3);
add("movdqu x/m, x", 0x7f, 16, PF3);
add("movntps m, x", 0x2b, 16, { ...A, rm: "memory" });
add("movntpd m, x", 0x2b, 16, { ...A, ...P66, rm: "memory" });
add("movntdq m, x", 0xe7, 16, { ...A, ...P66, rm: "memory" });
// Parts of registers.
add("movss x, x/m", 0x10, 4, PF3);
add("movss x/m, x", 0x11, 4, PF3);
add("movsd x, x/m", 0x10, 8, PF2);
add("movsd x/m, x", 0x11, 8, PF2);
add("movlps/movhlps x, x/m", 0x12, 8);
add("movlps m, x", 0x13, 8, { rm: "memory" });
add("movlpd x, m", 0x12, 8, { ...P66, rm: "memory" });
add("movlpd m, x", 0x13, 8, { ...P66, rm: "memory" });
add("movhps/movlhps x, x/m", 0x16, 8);
add("movhps m, x", 0x17, 8, { rm: "memory" });
add("movhpd x, m", 0x16, 8, { ...P66, rm: "memory" });
add("movhpd m, x", 0x17, 8, { ...P66, rm: "memory" });
add("movq x, x/m", 0x7e, 8, PF3);
add("movq x/m, x", 0xd6, 8, P66);
add("movd x, r/m", 0x6e, 4, P66);
add("movq x, r/m", 0x6e, 8, { ...P66, sizes: [64] });
add("movd r/m, x", 0x7e, 4, P66);
add("movq r/m, x", 0x7e, 8, { ...P66, sizes: [64] });
add("movmskps r, x", 0x50, 16, { rm: "register" });
add("movmskpd r, x", 0x50, 16, { ...P66, rm: "register" });
add("pmovmskb r, x", 0xd7, 16, { ...P66, rm: "register" });
add("pinsrw x, r/m, imm", 0xc4, 2, { ...P66, imm: 1 });
add("pextrw r, x, imm", 0xc5, 16, { ...P66, rm: "register", imm: 1 });
/** The bytes go to where rdi points. */
add("maskmovdqu x, x", 0xf7, 16, { ...P66, rm: "register", pointers: [7] });

// Packed integers: 66 0f OPCODE, 16 bytes aligned.
const packed: Record<number, string> = {};
const name = (from: number, names: string) => {
  for (const [i, one] of names.split(" ").entries()) packed[from + i] = one;
};
name(0x60, "punpcklbw punpcklwd punpckldq packsswb pcmpgtb pcmpgtw pcmpgtd packuswb");
name(0x68, "punpckhbw punpckhwd punpckhdq packssdw punpcklqdq punpckhqdq");
name(0x74, "pcmpeqb pcmpeqw pcmpeqd");
name(0xd1, "psrlw psrld psrlq paddq pmullw");
name(0xd8, "psubusb psubusw pminub pand paddusb paddusw pmaxub pandn pavgb psraw psrad pavgw pmulhuw pmulhw");
name(0xe8, "psubsb psubsw pminsw por paddsb paddsw pmaxsw pxor");
name(0xf1, "psllw pslld psllq pmuludq pmaddwd psadbw");
name(0xf8, "psubb psubw psubd psubq paddb paddw paddd");
/** Shift counts that are mostly small. */
function shiftCounts(state: State, random: Random): void {
  const view = new DataView(state.fx.buffer);
  for (let x = 0; x < 16; x += 2) view.setBigUint64(XMM + x * 16, BigInt(random.below(70)), true);
  const data = new DataView(state.data.buffer);
  for (let at = 0; at < 256; at += 16)
    data.setBigUint64(Place.middle - Place.data + at, BigInt(random.below(70)), true);
}
for (const [opcode, one] of Object.entries(packed)) {
  const fix: More = /^ps(rl|ra|ll)/.test(one) ? { fix: shiftCounts } : {};
  add(`${one} x, x/m`, Number(opcode), 16, { ...P66, ...A, ...fix });
}
for (const [opcode, digits] of [
  [0x71, [2, 4, 6]] as const,
  [0x72, [2, 4, 6]] as const,
  [0x73, [2, 3, 6, 7]] as const,
]) {
  for (const digit of digits) {
    const more: More = { ...P66, modrm: digit, rm: "register", imm: 1 };
    add(`packed shift ${opcode.toString(16)}/${digit}`, opcode, 16, more);
  }
}
add("pshufd", 0x70, 16, { ...P66, ...A, imm: 1 });
add("pshufhw", 0x70, 16, { ...PF3, ...A, imm: 1 });
add("pshuflw", 0x70, 16, { ...PF2, ...A, imm: 1 });
add("shufps", 0xc6, 16, { ...A, imm: 1 });
add("shufpd", 0xc6, 16, { ...A, ...P66, imm: 1 });
add("unpcklps", 0x14, 16, A);
add("unpcklpd", 0x14, 16, { ...A, ...P66 });
add("unpckhps", 0x15, 16, A);
add("unpckhpd", 0x15, 16, { ...A, ...P66 });
for (const [i, one] of ["and", "andn", "or", "xor"].entries()) {
  add(`${one}ps`, 0x54 + i, 16, A);
  add(`${one}pd`, 0x54 + i, 16, { ...A, ...P66 });
}

// Floating point: likely operands, rounding modes, sometimes flags already set, FTZ, DAZ and unmasked exceptions.
const singles: More = { state: "s" };
const doubles: More = { state: "d" };
const arithmetic: [number, string][] = [
  [0x51, "sqrt"],
  [0x58, "add"],
  [0x59, "mul"],
  [0x5c, "sub"],
  [0x5d, "min"],
  [0x5e, "div"],
  [0x5f, "max"],
];
for (const [opcode, one] of arithmetic) {
  add(`${one}ps`, opcode, 16, { ...A, ...singles });
  add(`${one}pd`, opcode, 16, { ...A, ...P66, ...doubles });
  add(`${one}ss`, opcode, 4, { ...PF3, ...singles });
  add(`${one}sd`, opcode, 8, { ...PF2, ...doubles });
}
add("cmpps", 0xc2, 16, { ...A, ...singles, imm: 1 });
add("cmppd", 0xc2, 16, { ...A, ...P66, ...doubles, imm: 1 });
add("cmpss", 0xc2, 4, { ...PF3, ...singles, imm: 1 });
add("cmpsd", 0xc2, 8, { ...PF2, ...doubles, imm: 1 });
add("ucomiss", 0x2e, 4, singles);
add("ucomisd", 0x2e, 8, { ...P66, ...doubles });
add("comiss", 0x2f, 4, singles);
add("comisd", 0x2f, 8, { ...P66, ...doubles });
const both = [32, 64] as const;
add("cvtsi2ss", 0x2a, 4, { ...PF3, sizes: both, state: "m" });
add("cvtsi2sd", 0x2a, 4, { ...PF2, sizes: both, state: "m" });
add("cvttss2si", 0x2c, 4, { ...PF3, sizes: both, ...singles });
add("cvttsd2si", 0x2c, 8, { ...PF2, sizes: both, ...doubles });
add("cvtss2si", 0x2d, 4, { ...PF3, sizes: both, ...singles });
add("cvtsd2si", 0x2d, 8, { ...PF2, sizes: both, ...doubles });
add("cvtps2pd", 0x5a, 8, singles);
add("cvtpd2ps", 0x5a, 16, { ...A, ...P66, ...doubles });
add("cvtss2sd", 0x5a, 4, { ...PF3, ...singles });
add("cvtsd2ss", 0x5a, 8, { ...PF2, ...doubles });
add("cvtdq2ps", 0x5b, 16, { ...A, state: "m" });
add("cvtps2dq", 0x5b, 16, { ...A, ...P66, ...singles });
add("cvttps2dq", 0x5b, 16, { ...A, ...PF3, ...singles });
add("cvttpd2dq", 0xe6, 16, { ...A, ...P66, ...doubles });
add("cvtdq2pd", 0xe6, 8, { ...PF3, state: "m" });
add("cvtpd2dq", 0xe6, 16, { ...A, ...PF2, ...doubles });
add("ldmxcsr", 0xae, 4, { modrm: 2, rm: "memory", state: "c" });
add("stmxcsr", 0xae, 4, { modrm: 3, rm: "memory", state: "m" });

// MMX: the same opcodes without a prefix, on registers that are the x87's.
function mmx(name: string, opcode: number, bytes: number, more: More = {}): void {
  add(name, opcode, bytes, { family: "mmx", state: "x", ...more });
}
for (const [code, one] of Object.entries(packed)) {
  const opcode = Number(code);
  if (opcode === 0x6c || opcode === 0x6d) continue;
  const fix: More = /^ps(rl|ra|ll)/.test(one) ? { fix: mmxCounts } : {};
  mmx(`${one} mm, mm/m`, opcode, opcode <= 0x62 ? 4 : 8, fix);
}
function mmxCounts(state: State, random: Random): void {
  const view = new DataView(state.fx.buffer);
  for (let r = 0; r < 8; r += 2) view.setBigUint64(32 + r * 16, BigInt(random.below(70)), true);
  const data = new DataView(state.data.buffer);
  for (let at = 0; at < 256; at += 16)
    data.setBigUint64(Place.middle - Place.data + at, BigInt(random.below(70)), true);
}
for (const [opcode, digits] of [[0x71, [2, 4, 6]] as const, [0x72, [2, 4, 6]] as const, [0x73, [2, 6]] as const]) {
  for (const digit of digits) {
    mmx(`mmx shift ${opcode.toString(16)}/${digit}`, opcode, 8, { modrm: digit, rm: "register", imm: 1 });
  }
}
mmx("movd mm, r/m", 0x6e, 4);
mmx("movq mm, r/m", 0x6e, 8, { sizes: [64] });
mmx("movd r/m, mm", 0x7e, 4);
mmx("movq r/m, mm", 0x7e, 8, { sizes: [64] });
mmx("movq mm, mm/m", 0x6f, 8);
mmx("movq mm/m, mm", 0x7f, 8);
mmx("movntq m, mm", 0xe7, 8, { rm: "memory" });
mmx("movq2dq", 0xd6, 8, { ...PF3, rm: "register" });
mmx("movdq2q", 0xd6, 8, { ...PF2, rm: "register" });
mmx("pmovmskb r, mm", 0xd7, 8, { rm: "register" });
mmx("pinsrw mm, r/m, imm", 0xc4, 2, { imm: 1 });
mmx("pextrw r, mm, imm", 0xc5, 8, { rm: "register", imm: 1 });
mmx("pshufw", 0x70, 8, { imm: 1 });
mmx("maskmovq", 0xf7, 8, { rm: "register", pointers: [7] });
mmx("cvtpi2ps", 0x2a, 8);
mmx("cvtpi2pd", 0x2a, 8, P66);
mmx("cvttps2pi", 0x2c, 8);
mmx("cvttpd2pi", 0x2c, 16, { ...P66, ...A });
mmx("cvtps2pi", 0x2d, 8);
mmx("cvtpd2pi", 0x2d, 16, { ...P66, ...A });
forms.push({ family: "mmx", name: "emms", map: 1, opcode: 0x77, sizes: [32], fx: true, state: "x" });

// x87.
function fpu(one: string, opcode: number, digit: number, bytes: number, more: More = {}): void {
  const form = { family: "x87", map: 0, opcode, sizes: [32], modrm: digit, fx: true, state: "x" } as const;
  forms.push({ ...form, name: one, bytes, rm: "memory", ...more });
}
const eight = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"];
for (const [i, one] of eight.entries()) {
  fpu(`${one} m32`, 0xd8, i, 4);
  fpu(`fi${one.slice(1)} m32`, 0xda, i, 4);
  fpu(`${one} m64`, 0xdc, i, 8);
  fpu(`fi${one.slice(1)} m16`, 0xde, i, 2);
}
for (const [digit, one] of [[0, "fld"] as const, [2, "fst"] as const, [3, "fstp"] as const]) {
  fpu(`${one} m32`, 0xd9, digit, 4);
  fpu(`${one} m64`, 0xdd, digit, 8);
}
for (const [digit, one] of [
  [0, "fild"] as const,
  [1, "fisttp"] as const,
  [2, "fist"] as const,
  [3, "fistp"] as const,
]) {
  fpu(`${one} m32`, 0xdb, digit, 4);
  fpu(`${one} m16`, 0xdf, digit, 2);
}
fpu("fild m64", 0xdf, 5, 8);
fpu("fistp m64", 0xdf, 7, 8);
fpu("fisttp m64", 0xdd, 1, 8);
fpu("fld m80", 0xdb, 5, 10);
fpu("fstp m80", 0xdb, 7, 10);
fpu("fbld", 0xdf, 4, 10, { family: "x87_functions", fix: decimals });
fpu("fbstp", 0xdf, 6, 10, { family: "x87_functions", fix: decimalRange });
fpu("fldcw", 0xd9, 5, 2, { state: "c" });
fpu("fnstcw", 0xd9, 7, 2);
fpu("fnstsw m", 0xdd, 7, 2);
/** Packed decimal numbers all over the data. */
function decimals(state: State, random: Random): void {
  for (let at = 0; at < 256; at++) {
    state.data[Place.middle - Place.data + at] = random.below(10) | (random.below(10) << 4);
  }
}
/** Stack registers within what 18 digits hold, mostly. */
function decimalRange(state: State, random: Random): void {
  const view = new DataView(state.fx.buffer);
  for (let r = 0; r < 8; r++) {
    if (random.below(6) > 0)
      view.setUint16(32 + r * 16 + 8, (random.below(2) << 15) | (0x3ffc + random.below(66)), true);
  }
}
/** Register forms by their second byte; the ones left out are undefined or transcendental. */
const registers: [string, number, number, number][] = [
  ["f.. st, st(i)", 0xd8, 0xc0, 0xff],
  ["fld st(i)", 0xd9, 0xc0, 0xc7],
  ["fxch", 0xd9, 0xc8, 0xcf],
  ["fnop", 0xd9, 0xd0, 0xd0],
  ["fchs, fabs", 0xd9, 0xe0, 0xe1],
  ["ftst, fxam", 0xd9, 0xe4, 0xe5],
  ["fld constant", 0xd9, 0xe8, 0xee],
  ["fxtract", 0xd9, 0xf4, 0xf4],
  ["fprem1", 0xd9, 0xf5, 0xf5],
  ["fdecstp, fincstp", 0xd9, 0xf6, 0xf7],
  ["fprem", 0xd9, 0xf8, 0xf8],
  ["fsqrt", 0xd9, 0xfa, 0xfa],
  ["frndint, fscale", 0xd9, 0xfc, 0xfd],
  ["fcmovcc 1", 0xda, 0xc0, 0xdf],
  ["fucompp", 0xda, 0xe9, 0xe9],
  ["fcmovcc 2", 0xdb, 0xc0, 0xdf],
  ["fnclex, fninit", 0xdb, 0xe2, 0xe3],
  ["fucomi, fcomi", 0xdb, 0xe8, 0xf7],
  ["f.. st(i), st", 0xdc, 0xc0, 0xcf],
  ["f.. st(i), st sub, div", 0xdc, 0xe0, 0xff],
  ["ffree", 0xdd, 0xc0, 0xc7],
  ["fst, fstp st(i)", 0xdd, 0xd0, 0xdf],
  ["fucom, fucomp", 0xdd, 0xe0, 0xef],
  ["f..p st(i), st", 0xde, 0xc0, 0xcf],
  ["fcompp", 0xde, 0xd9, 0xd9],
  ["f..p st(i), st sub, div", 0xde, 0xe0, 0xff],
  ["fnstsw ax", 0xdf, 0xe0, 0xe0],
  ["fucomip, fcomip", 0xdf, 0xe8, 0xf7],
];
for (const [one, opcode, from, to] of registers) {
  for (let second = from; second <= to; second++) {
    const form = { family: "x87", map: 0, sizes: [32], fx: true, state: "x" } as const;
    forms.push({ ...form, name: `${one} ${opcode.toString(16)} ${second.toString(16)}`, opcode, second });
  }
}
// Transcendental functions, of which only the special cases are compared bit by bit: see scripts/vectors.ts.
for (const [one, second] of [
  ["f2xm1", 0xf0],
  ["fyl2x", 0xf1],
  ["fptan", 0xf2],
  ["fpatan", 0xf3],
  ["fyl2xp1", 0xf9],
  ["fsincos", 0xfb],
  ["fsin", 0xfe],
  ["fcos", 0xff],
] as const) {
  const form = { family: "x87_functions", map: 0, sizes: [32], fx: true, state: "x" } as const;
  forms.push({ ...form, name: one, opcode: 0xd9, second });
}
forms.push({ family: "x87", name: "fwait", map: 0, opcode: 0x9b, sizes: [32], fx: true, state: "x" });

export { forms as fpForms };

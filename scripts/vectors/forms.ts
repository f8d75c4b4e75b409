// table
// The instruction forms that vectors are made for: encoding, operand sizes, and which flags the manual leaves undefined
// (Intel's volume 2, "Flags Affected"). Called by generate.ts. Leaves out what ends in the kernel or the hypervisor.

import { Place, type Random, type State } from "../../tests/vectors/format.ts";

export interface Form {
  name: string;
  /** The file that its vectors go to. */
  family: string;
  /** Opcode map: 0 none, 1 0f, 2 0f 38, 3 0f 3a. */
  map: 0 | 1 | 2 | 3;
  opcode: number;
  /** Operand sizes in bits: 16 takes prefix 66, 64 REX.W unless `default64`. */
  sizes: readonly (8 | 16 | 32 | 64)[];
  /** "r": ModRM with a register; 0 to 7: with an opcode extension. Absent: no ModRM. */
  modrm?: "r" | number;
  /** What the r/m operand may be; both by default. */
  rm?: "memory" | "register";
  /** Mandatory prefix, or repeat prefix. */
  prefix?: 0x66 | 0xf2 | 0xf3;
  /** Immediate: bytes, or "z": 2 or 4 by operand size, "v": up to 8, "o": an absolute address of 8. */
  imm?: 1 | 2 | 4 | "z" | "v" | "o" | "enter";
  default64?: true;
  /** The register is in the low bits of the opcode. */
  plus?: true;
  /** May take the lock prefix with a memory operand. */
  lock?: true;
  vex?: true;
  /** Flags that may be anything afterwards, perhaps depending on the state and the immediate's first byte. */
  undefinedFlags?: number | ((state: State, size: number, imm: number) => number);
  /** Makes the operands likely ones. */
  fix?: (state: State, random: Random, size: number) => void;
  /** The kind of state that it starts from (tests/vectors/floats.ts). */
  state?: string;
  /** The address in this register leads into the data area (rsp for stack instructions). */
  pointers?: readonly number[];
  /** Compares the fxsave image too. Registers in ModRM may be any of 16 XMM, or 8 x87 and MMX ones. */
  fx?: true;
  /** Size of the memory operand where the operand size doesn't say it. */
  bytes?: number;
  /** The whole second byte of an x87 instruction on registers. */
  second?: number;
  /** A memory operand must be aligned on 16 bytes, and mostly is. */
  aligned?: true;
}

const MIDDLE = Place.middle - Place.data;
const CF = 1;
const PF = 4;
const AF = 0x10;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;
const ALL = CF | PF | AF | ZF | SF | OF;

const WIDE = [16, 32, 64] as const;
const forms: Form[] = [];
type More = Partial<Form>;

function add(
  family: string,
  name: string,
  map: Form["map"],
  opcode: number,
  sizes: Form["sizes"],
  more: More = {},
): void {
  forms.push({ family, name, map, opcode, sizes, ...more });
}
/** An opcode for bytes and the next one for the wider sizes. */
function pair(family: string, name: string, map: Form["map"], opcode: number, more: More = {}): void {
  add(family, name, map, opcode, [8], more);
  add(family, name, map, opcode + 1, WIDE, more);
}

// Arithmetic and logic: the eight of opcode groups 00 to 3f and 80 to 83.
for (const [i, name] of ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].entries()) {
  const undefinedFlags = name === "or" || name === "and" || name === "xor" ? AF : 0;
  const lock: More = name === "cmp" ? {} : { lock: true };
  pair("alu", `${name} r/m, r`, 0, i * 8, { modrm: "r", undefinedFlags, ...lock });
  pair("alu", `${name} r, r/m`, 0, i * 8 + 2, { modrm: "r", undefinedFlags });
  add("alu", `${name} al, imm`, 0, i * 8 + 4, [8], { imm: 1, undefinedFlags });
  add("alu", `${name} rax, imm`, 0, i * 8 + 5, WIDE, { imm: "z", undefinedFlags });
  add("alu", `${name} r/m, imm8`, 0, 0x80, [8], { modrm: i, imm: 1, undefinedFlags, ...lock });
  add("alu", `${name} r/m, imm`, 0, 0x81, WIDE, { modrm: i, imm: "z", undefinedFlags, ...lock });
  add("alu", `${name} r/m, simm8`, 0, 0x83, WIDE, { modrm: i, imm: 1, undefinedFlags, ...lock });
}
pair("alu", "test r/m, r", 0, 0x84, { modrm: "r", undefinedFlags: AF });
add("alu", "test al, imm", 0, 0xa8, [8], { imm: 1, undefinedFlags: AF });
add("alu", "test rax, imm", 0, 0xa9, WIDE, { imm: "z", undefinedFlags: AF });
add("alu", "test r/m, imm", 0, 0xf6, [8], { modrm: 0, imm: 1, undefinedFlags: AF });
add("alu", "test r/m, imm", 0, 0xf7, WIDE, { modrm: 0, imm: "z", undefinedFlags: AF });
pair("alu", "not r/m", 0, 0xf6, { modrm: 2, lock: true });
pair("alu", "neg r/m", 0, 0xf6, { modrm: 3, lock: true });
pair("alu", "inc r/m", 0, 0xfe, { modrm: 0, lock: true });
pair("alu", "dec r/m", 0, 0xfe, { modrm: 1, lock: true });

// Moves.
pair("move", "mov r/m, r", 0, 0x88, { modrm: "r" });
pair("move", "mov r, r/m", 0, 0x8a, { modrm: "r" });
add("move", "mov r/m, imm", 0, 0xc6, [8], { modrm: 0, imm: 1 });
add("move", "mov r/m, imm", 0, 0xc7, WIDE, { modrm: 0, imm: "z" });
add("move", "mov r, imm", 0, 0xb0, [8], { plus: true, imm: 1 });
add("move", "mov r, imm", 0, 0xb8, WIDE, { plus: true, imm: "v" });
pair("move", "mov rax, moffs", 0, 0xa0, { imm: "o" });
pair("move", "mov moffs, rax", 0, 0xa2, { imm: "o" });
add("move", "lea r, m", 0, 0x8d, WIDE, { modrm: "r", rm: "memory" });
add("move", "movzx r, r/m8", 1, 0xb6, WIDE, { modrm: "r" });
add("move", "movzx r, r/m16", 1, 0xb7, WIDE, { modrm: "r" });
add("move", "movsx r, r/m8", 1, 0xbe, WIDE, { modrm: "r" });
add("move", "movsx r, r/m16", 1, 0xbf, WIDE, { modrm: "r" });
add("move", "movsxd r, r/m32", 0, 0x63, [32, 64], { modrm: "r" });
pair("move", "xchg r/m, r", 0, 0x86, { modrm: "r", lock: true });
add("move", "xchg rax, r", 0, 0x90, WIDE, { plus: true });
add("move", "pause", 0, 0x90, [32], { prefix: 0xf3 });
add("move", "nop r/m", 1, 0x1f, WIDE, { modrm: 0 });
add("move", "endbr64", 1, 0x1e, [32], { prefix: 0xf3, modrm: 7, rm: "register" });
add("move", "cbw/cwde/cdqe", 0, 0x98, WIDE);
add("move", "cwd/cdq/cqo", 0, 0x99, WIDE);
add("move", "bswap r", 1, 0xc8, [32, 64], { plus: true });
add("move", "movbe r, m", 2, 0xf0, WIDE, { modrm: "r", rm: "memory" });
add("move", "movbe m, r", 2, 0xf1, WIDE, { modrm: "r", rm: "memory" });
add("move", "movnti m, r", 1, 0xc3, [32, 64], { modrm: "r", rm: "memory" });
add("move", "xlat", 0, 0xd7, [8], { pointers: [3] });
add("move", "lahf", 0, 0x9f, [8]);
add("move", "sahf", 0, 0x9e, [8]);
for (const [i, name] of ["cmc", "clc", "stc"].entries()) add("move", name, 0, [0xf5, 0xf8, 0xf9][i], [8]);
add("move", "cld", 0, 0xfc, [8]);
add("move", "std", 0, 0xfd, [8]);
for (let cc = 0; cc < 16; cc++) {
  add("move", `cmov${cc.toString(16)} r, r/m`, 1, 0x40 + cc, WIDE, { modrm: "r" });
  add("move", `set${cc.toString(16)} r/m`, 1, 0x90 + cc, [8], { modrm: 0 });
}
for (const [i, name] of ["prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2"].entries()) {
  add("move", name, 1, 0x18, [32], { modrm: i, rm: "memory" });
}
add("move", "prefetchw", 1, 0x0d, [32], { modrm: 1, rm: "memory" });
add("move", "clflush", 1, 0xae, [32], { modrm: 7, rm: "memory" });
add("move", "lfence", 1, 0xae, [32], { modrm: 5, rm: "register" });
add("move", "mfence", 1, 0xae, [32], { modrm: 6, rm: "register" });
add("move", "sfence", 1, 0xae, [32], { modrm: 7, rm: "register" });

// Control flow and the stack.
const stack: More = { default64: true, pointers: [4] };
for (let cc = 0; cc < 16; cc++) {
  add("flow", `j${cc.toString(16)} rel8`, 0, 0x70 + cc, [64], { default64: true, imm: 1 });
  add("flow", `j${cc.toString(16)} rel32`, 1, 0x80 + cc, [64], { default64: true, imm: 4 });
}
add("flow", "loopne", 0, 0xe0, [64], { default64: true, imm: 1 });
add("flow", "loope", 0, 0xe1, [64], { default64: true, imm: 1 });
add("flow", "loop", 0, 0xe2, [64], { default64: true, imm: 1 });
add("flow", "jrcxz", 0, 0xe3, [64], { default64: true, imm: 1 });
add("flow", "jmp rel8", 0, 0xeb, [64], { default64: true, imm: 1 });
add("flow", "jmp rel32", 0, 0xe9, [64], { default64: true, imm: 4 });
add("flow", "jmp r/m", 0, 0xff, [64], { default64: true, modrm: 4 });
add("flow", "call rel32", 0, 0xe8, [64], { ...stack, imm: 4 });
add("flow", "call r/m", 0, 0xff, [64], { ...stack, modrm: 2 });
add("flow", "ret", 0, 0xc3, [64], stack);
add("flow", "ret imm", 0, 0xc2, [64], { ...stack, imm: 2 });
add("flow", "push r", 0, 0x50, [16, 64], { ...stack, plus: true });
add("flow", "pop r", 0, 0x58, [16, 64], { ...stack, plus: true });
add("flow", "push r/m", 0, 0xff, [16, 64], { ...stack, modrm: 6 });
add("flow", "pop r/m", 0, 0x8f, [16, 64], { ...stack, modrm: 0 });
add("flow", "push imm8", 0, 0x6a, [16, 64], { ...stack, imm: 1 });
add("flow", "push imm", 0, 0x68, [16, 64], { ...stack, imm: "z" });
add("flow", "pushf", 0, 0x9c, [16, 64], stack);
add("flow", "popf", 0, 0x9d, [16, 64], stack);
add("flow", "leave", 0, 0xc9, [16, 64], { default64: true, pointers: [5] });
add("flow", "enter", 0, 0xc8, [16, 64], { ...stack, imm: "enter", pointers: [4, 5] });
add("flow", "ud2", 1, 0x0b, [32]);

// Multiplication and division.
const product = PF | AF | ZF | SF;
pair("muldiv", "mul r/m", 0, 0xf6, { modrm: 4, undefinedFlags: product });
pair("muldiv", "imul r/m", 0, 0xf6, { modrm: 5, undefinedFlags: product });
/** A dividend whose quotient often fits. */
function dividend(state: State, random: Random): void {
  const kind = random.below(4);
  if (kind === 0) state.regs[2] = BigInt(random.below(4));
  if (kind === 1) state.regs[2] = BigInt.asUintN(64, -(state.regs[0] >> 63n));
  if (kind === 2) {
    state.regs[0] &= 0xffffn;
    state.regs[2] = 0n;
  }
}
pair("muldiv", "div r/m", 0, 0xf6, { modrm: 6, undefinedFlags: ALL, fix: dividend });
pair("muldiv", "idiv r/m", 0, 0xf6, { modrm: 7, undefinedFlags: ALL, fix: dividend });
add("muldiv", "imul r, r/m", 1, 0xaf, WIDE, { modrm: "r", undefinedFlags: product });
add("muldiv", "imul r, r/m, imm", 0, 0x69, WIDE, { modrm: "r", imm: "z", undefinedFlags: product });
add("muldiv", "imul r, r/m, simm8", 0, 0x6b, WIDE, { modrm: "r", imm: 1, undefinedFlags: product });

// Shifts and rotates. A count of 0 changes no flag; OF is defined for counts of 1 alone.
const masked = (count: number, size: number) => count & (size === 64 ? 63 : 31);
const rotateUndefined = (count: number) => (count <= 1 ? 0 : OF);
const shiftUndefined = (count: number, size: number) =>
  count === 0 ? 0 : AF | (count === 1 ? 0 : OF) | (count >= size ? CF : 0);
for (const [i, name] of ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"].entries()) {
  const rule = i < 4 ? rotateUndefined : shiftUndefined;
  const byCount = (count: number, size: number) => rule(masked(count, size), size) & ~(name === "sar" ? CF : 0);
  pair("shift", `${name} r/m, imm`, 0, 0xc0, {
    modrm: i,
    imm: 1,
    undefinedFlags: (_, size, imm) => byCount(imm, size),
  });
  pair("shift", `${name} r/m, 1`, 0, 0xd0, { modrm: i, undefinedFlags: i < 4 ? 0 : AF });
  const undefinedFlags = (state: State, size: number) => byCount(Number(state.regs[1] & 0xffn), size);
  pair("shift", `${name} r/m, cl`, 0, 0xd2, { modrm: i, undefinedFlags });
}
// With 16 bits and a count above 16 the result is undefined too: such vectors are dropped by generate.ts.
const double = (count: number) => (count === 0 ? 0 : count === 1 ? AF : AF | OF);
for (const [opcode, name] of [[0xa4, "shld"] as const, [0xac, "shrd"] as const]) {
  const byImm = (_: State, size: number, imm: number) => double(masked(imm, size));
  add("shift", `${name} r/m, r, imm`, 1, opcode, WIDE, { modrm: "r", imm: 1, undefinedFlags: byImm });
  const byCl = (state: State, size: number) => double(masked(Number(state.regs[1] & 0xffn), size));
  add("shift", `${name} r/m, r, cl`, 1, opcode + 1, WIDE, { modrm: "r", undefinedFlags: byCl });
}

// Bits. ZF stays as it is with bt and its like on every processor, and the manuals since 2009 say so.
const bit = PF | AF | SF | OF;
/** Offsets that stay near the operand, or lead so far away that nothing is there. */
function bitOffset(state: State, random: Random, size: number): void {
  for (let r = 0; r < 16; r++) {
    const near = BigInt(random.below(512) - 256);
    const junk = (BigInt(random.u32()) << BigInt(size)) & 0xffffffffffffffffn;
    const far = random.below(24) === 0 && size > 16 ? (1n << 30n) | BigInt(random.u32()) : 0n;
    state.regs[r] = BigInt.asUintN(64, size === 64 ? near ^ far : junk | BigInt.asUintN(size, near ^ far));
  }
}
for (const [i, name] of ["bt", "bts", "btr", "btc"].entries()) {
  const lock: More = i > 0 ? { lock: true } : {};
  add("bits", `${name} r/m, r`, 1, 0xa3 + i * 8, WIDE, { modrm: "r", undefinedFlags: bit, fix: bitOffset, ...lock });
  add("bits", `${name} r/m, imm`, 1, 0xba, WIDE, { modrm: 4 + i, imm: 1, undefinedFlags: bit, ...lock });
}
add("bits", "bsf r, r/m", 1, 0xbc, WIDE, { modrm: "r", undefinedFlags: ALL & ~ZF });
add("bits", "bsr r, r/m", 1, 0xbd, WIDE, { modrm: "r", undefinedFlags: ALL & ~ZF });
add("bits", "tzcnt r, r/m", 1, 0xbc, WIDE, { modrm: "r", prefix: 0xf3, undefinedFlags: bit });
add("bits", "lzcnt r, r/m", 1, 0xbd, WIDE, { modrm: "r", prefix: 0xf3, undefinedFlags: bit });
add("bits", "popcnt r, r/m", 1, 0xb8, WIDE, { modrm: "r", prefix: 0xf3 });
add("bits", "crc32 r32, r/m8", 2, 0xf0, [8], { modrm: "r", prefix: 0xf2 });
add("bits", "crc32 r32, r/m", 2, 0xf1, WIDE, { modrm: "r", prefix: 0xf2 });
const VEX = [32, 64] as const;
const vex: More = { vex: true, modrm: "r" };
add("bits", "andn", 2, 0xf2, VEX, { ...vex, undefinedFlags: AF | PF });
add("bits", "blsr", 2, 0xf3, VEX, { vex: true, modrm: 1, undefinedFlags: AF | PF });
add("bits", "blsmsk", 2, 0xf3, VEX, { vex: true, modrm: 2, undefinedFlags: AF | PF });
add("bits", "blsi", 2, 0xf3, VEX, { vex: true, modrm: 3, undefinedFlags: AF | PF });
add("bits", "bextr", 2, 0xf7, VEX, { ...vex, undefinedFlags: AF | SF | PF });
add("bits", "bzhi", 2, 0xf5, VEX, { ...vex, undefinedFlags: AF | PF });
add("bits", "pext", 2, 0xf5, VEX, { ...vex, prefix: 0xf3 });
add("bits", "pdep", 2, 0xf5, VEX, { ...vex, prefix: 0xf2 });
add("bits", "mulx", 2, 0xf6, VEX, { ...vex, prefix: 0xf2 });
add("bits", "shlx", 2, 0xf7, VEX, { ...vex, prefix: 0x66 });
add("bits", "sarx", 2, 0xf7, VEX, { ...vex, prefix: 0xf3 });
add("bits", "shrx", 2, 0xf7, VEX, { ...vex, prefix: 0xf2 });
add("bits", "rorx", 3, 0xf0, VEX, { ...vex, prefix: 0xf2, imm: 1 });
add("bits", "adcx", 2, 0xf6, VEX, { modrm: "r", prefix: 0x66 });
add("bits", "adox", 2, 0xf6, VEX, { modrm: "r", prefix: 0xf3 });

// Exchange and compare in one.
pair("atomic", "xadd r/m, r", 1, 0xc0, { modrm: "r", lock: true });
/** An accumulator that is often what is compared, when the operand is at a likely place. */
function accumulator(state: State, random: Random): void {
  if (random.below(2)) return;
  fill(state, state.regs[0], state.regs[0]);
  if (random.below(2)) for (let r = 8; r < 16; r++) state.regs[r] = state.regs[0];
}
pair("atomic", "cmpxchg r/m, r", 1, 0xb0, { modrm: "r", lock: true, fix: accumulator });
function halves(state: State, random: Random, size: number): void {
  if (random.below(2)) return;
  const low = size === 32 ? (state.regs[2] << 32n) | (state.regs[0] & 0xffffffffn) : state.regs[0];
  fill(state, low, size === 32 ? low : state.regs[2]);
}
/** The seeded bytes in the middle become these two words over and over. */
function fill(state: State, even: bigint, odd: bigint): void {
  const view = new DataView(state.data.buffer, MIDDLE);
  for (let at = 0; at < 256; at += 16) {
    view.setBigUint64(at, BigInt.asUintN(64, even), true);
    view.setBigUint64(at + 8, BigInt.asUintN(64, odd), true);
  }
}
add("atomic", "cmpxchg8b m", 1, 0xc7, [32], { modrm: 1, rm: "memory", lock: true, fix: halves });
add("atomic", "cmpxchg16b m", 1, 0xc7, [64], { modrm: 1, rm: "memory", lock: true, fix: halves, aligned: true });

// Strings, alone and repeated.
const counts = (state: State, random: Random) => {
  state.regs[1] = BigInt(random.below(random.below(8) === 0 ? 300 : 24));
};
function same(state: State, random: Random): void {
  counts(state, random);
  if (random.below(2)) return;
  const all = BigInt(random.below(256)) * 0x0101010101010101n;
  fill(state, all, all);
  if (random.below(2)) state.regs[0] = all;
  state.data[MIDDLE + random.below(256)] ^= 1 << random.below(8);
}
for (const prefix of [undefined, 0xf3, 0xf2] as const) {
  const more: More = prefix ? { prefix } : {};
  const rep = prefix ? (prefix === 0xf3 ? "rep " : "repne ") : "";
  if (prefix !== 0xf2) {
    pair("string", `${rep}movs`, 0, 0xa4, { ...more, pointers: [6, 7], fix: counts });
    pair("string", `${rep}stos`, 0, 0xaa, { ...more, pointers: [7], fix: counts });
    pair("string", `${rep}lods`, 0, 0xac, { ...more, pointers: [6], fix: counts });
  }
  pair("string", `${rep}cmps`, 0, 0xa6, { ...more, pointers: [6, 7], fix: same });
  pair("string", `${rep}scas`, 0, 0xae, { ...more, pointers: [7], fix: same });
}

export { forms };

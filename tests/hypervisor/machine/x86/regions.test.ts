// The hot tier against the interpreter: random programs with loops, calls and indirect jumps on two machines, one of which
// compiles regions now and then, run in slices of random length. After each slice registers, flags, exit and count must be
// the same, in the end memory, too. The programs fault, cross pages, change their own code, and have it dropped under
// them. Instructions are those of the hardware vectors. A failure prints seed and slice.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CpuLayout } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte } from "../../../../hypervisor/machine/pte.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";
import { CODE, DATA, hex, Machine, Reg, STACK } from "./harness.ts";

const PROGRAMS = Number(process.env["REGIONS_PROGRAMS"] ?? 60);
const SLICES = 40;
const CODE_PAGES = 3;
/** So far behind CODE the same frames are mapped again. */
const ALIAS = 0x100000;

function pool(): number[][] {
  const dir = join(import.meta.dirname, "../../../vectors");
  const all: number[][] = [];
  for (const file of readdirSync(dir)) {
    if (!file.endsWith(".txt") || ["flow.txt", "x87.txt", "x87_functions.txt"].includes(file)) continue;
    for (const line of readFileSync(join(dir, file), "utf8").split("\n")) {
      const code = /^([0-9a-f]+) /.exec(line);
      if (code) all.push(hex(code[1]));
    }
  }
  return all;
}
const POOL = pool();

type Random = (below: number) => number;
function random(seed: number): Random {
  let state = (seed * 2654435761 + 1) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const int32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];

interface Program {
  readonly bytes: number[];
  /** Places of instructions, in order. */
  readonly places: number[];
}

/** Blocks of a few instructions each that end in all kinds of jumps to each other; the first is at the beginning. */
function program(next: Random): Program {
  const blocks = 3 + next(25);
  const bytes: number[] = [];
  const places: number[] = [];
  const starts: number[] = [];
  const fixes: { at: number; block: number }[] = [];
  const put = (...code: number[]): void => {
    places.push(bytes.length);
    bytes.push(...code);
  };
  const jump = (opcode: number[], block: number): void => {
    put(...opcode, 0, 0, 0, 0);
    fixes.push({ at: bytes.length, block });
  };
  // In every other program the blocks lie in several pages, some across their ends.
  const gaps = next(2) === 0 ? [1, 2].map(() => next(blocks)) : [];
  for (let block = 0; block < blocks; block++) {
    if (gaps.includes(block)) {
      const end = (bytes.length | 4095) + 1 - next(80);
      jump([0xe9], block);
      while (bytes.length < end) bytes.push(0x90);
    }
    starts.push(bytes.length);
    const length = next(9);
    for (let i = 0; i < length; i++) {
      switch (next(12)) {
        case 0: // mov rbx, [rbp + disp] or back, within the data pages, across them or beyond
          put(0x48, next(2) ? 0x8b : 0x89, 0x9d, ...int32(next(3) ? next(5 * 4096) - 64 : next(5) * 4096 - next(9)));
          break;
        case 1: // add dword [rbp + disp], imm8
          put(0x83, 0x85, ...int32(next(4 * 4096 - 8)), next(256));
          break;
        case 2: // cmp and setcc, cmovcc
          put(0x48, 0x39, 0xc0 | next(64));
          put(0x0f, 0x90 + next(16), 0xc0 | next(4));
          put(0x48, 0x0f, 0x40 + next(16), 0xc0 | (next(4) << 3) | next(8));
          break;
        case 3: // mov byte [rip + d], imm: changes code, mostly an immediate of `mov eax, imm32`
          if (next(4) === 0) {
            put(0xc6, 0x05, ...int32(8), next(256));
            put(0xb8, ...int32(next(65536)));
            put(0xb9, ...int32(next(65536)));
          } else put(0xff, 0xc0 | next(4));
          break;
        case 4:
          put(0x50 + next(4));
          break;
        case 5:
          put(0x58 + next(4));
          break;
        default:
          put(...POOL[next(POOL.length)]);
      }
    }
    const target = next(blocks);
    switch (next(9)) {
      case 0:
        jump([0xe9], target);
        break;
      case 1: // dec r15d; jnz
        put(0x41, 0xff, 0xcf);
        jump([0x0f, 0x85], target);
        break;
      case 2:
        jump([0xe8], target);
        break;
      case 3: // lea rax, [rip + target]; jmp rax or call rax
        jump([0x48, 0x8d, 0x05], target);
        put(0xff, next(2) ? 0xe0 : 0xd0);
        break;
      case 4:
        put(0xc3);
        break;
      case 5:
        break;
      default: // cmp or test, jcc
        if (next(2)) put(0x39, 0xc0 | next(64));
        else put(0x84, 0xc0 | next(64));
        jump([0x0f, 0x80 + next(16)], target);
    }
  }
  jump([0xe9], 0);
  for (const { at, block } of fixes) bytes.splice(at - 4, 4, ...int32(starts[block] - at));
  return { bytes: bytes.slice(0, CODE_PAGES * 4096), places };
}

class Side {
  readonly m = new Machine();

  constructor() {
    for (let page = 0; page < CODE_PAGES; page++) {
      const mfn = this.m.map(CODE + page * 4096, Pte.P | Pte.RW | Pte.US);
      this.m.map(CODE + ALIAS + page * 4096, Pte.P | Pte.US, 0, mfn);
    }
  }

  prepare({ bytes }: Program, next: Random): void {
    const { m } = this;
    for (let page = 0; page < CODE_PAGES; page++) {
      const at = m.at(CODE + page * 4096);
      m.memory.u8.fill(0x90, at, at + 4096);
      m.processor.tlb.dropCode((at >>> 12) as Mfn);
    }
    m.write(CODE, bytes);
    for (let r = 0; r < 16; r++) {
      const kind = next(4);
      if (kind === 0) m.set(r, BigInt(next(256)));
      else if (kind === 1) m.set(r, (BigInt(next(2 ** 32)) << 32n) | BigInt(next(2 ** 32)));
      else m.set(r, BigInt(DATA + 2048 + next(4096)));
    }
    m.set(Reg.RSP, STACK - 1024);
    m.set(Reg.RBP, DATA);
    m.set(Reg.R15, next(200));
    m.set(Reg.RFLAGS, 0x202);
    m.set(Reg.RIP, CODE);
    for (const page of this.#pages()) for (let i = 0; i < 1024; i++) m.memory.u32[page / 4 + i] = next(2 ** 32);
    const fx = m.cpu.address + CpuLayout.fxsave;
    for (let i = 0; i < 128; i++) m.memory.u32[fx / 4 + i] = i >= 40 ? next(2 ** 32) : 0;
    m.memory.u16[fx >>> 1] = 0x37f;
    m.memory.u16[(fx + 24) >>> 1] = 0x1f80;
  }

  #pages(): number[] {
    const { m } = this;
    return [0, 1, 2, 3].flatMap((page) => [m.at(DATA + page * 4096), m.at(STACK - (page + 1) * 4096)]);
  }

  memory(): string {
    const { m } = this;
    const sum = (at: number, words: number): number => {
      let all = 0;
      for (let i = 0; i < words; i++) all = (Math.imul(all, 31) + m.memory.u32[at / 4 + i]) | 0;
      return all;
    };
    const code = Array.from({ length: CODE_PAGES }, (_, page) => m.at(CODE + page * 4096));
    return [
      ...[...this.#pages(), ...code].map((at) => sum(at, 1024)),
      sum(m.cpu.address + CpuLayout.fxsave, 128),
    ].join();
  }

  /** Runs a slice; everything that can be seen afterwards. */
  slice(budget: number): { exit: Exit; seen: unknown[] } {
    const { m } = this;
    const exit = m.processor.run(m.cpu, budget);
    const registers = Array.from({ length: 22 }, (_, r) => m.get(r).toString(16));
    const fault = exit === Exit.Exception ? [m.cpu.field(CpuLayout.vector), m.cpu.field(CpuLayout.errorCode)] : [];
    return { exit, seen: [exit, m.processor.retired, ...registers, ...fault] };
  }

  frame(page: number): Mfn {
    return (this.m.at(CODE + page * 4096) >>> 12) as Mfn;
  }
}

describe("regions", () => {
  it("do what the interpreter does, whatever the slices", () => {
    const plain = new Side();
    const hot = new Side();
    hot.m.processor.regions.called = 0;
    let compiled = 0;
    let faults = 0;
    let total = 0;
    const seeds = process.env["REGIONS_SEED"] ? [Number(process.env["REGIONS_SEED"])] : [...Array(PROGRAMS).keys()];
    for (const seed of seeds) {
      const next = random(seed + 1000);
      const made = program(next);
      const start = next(2 ** 31);
      plain.prepare(made, random(start));
      hot.prepare(made, random(start));
      for (let slice = 0; slice < SLICES; slice++) {
        const budget = next(3) ? 1 + next(3000) : 1 + next(100);
        if (next(3) === 0) {
          const roots = Array.from({ length: 3 }, () => made.places[next(made.places.length)]);
          const page = roots[0] >>> 12;
          const base = CODE + (next(3) === 0 ? ALIAS : 0);
          const addresses = roots.filter((root) => root >>> 12 === page).map((root) => (base + root) as Va);
          if (hot.m.processor.compile(addresses)) compiled++;
        }
        const event = next(30);
        for (const side of [plain, hot]) {
          const { tlb } = side.m.processor;
          if (event === 0) tlb.flushPage((DATA + 4096) as Va);
          if (event === 1) tlb.flushAll();
          if (event === 2) tlb.dropCode(side.frame(0));
          if (event === 3) tlb.flushPage(CODE as Va);
        }
        if (event === 4) hot.m.processor.regions.evict();
        const expected = plain.slice(budget);
        const actual = hot.slice(budget);
        expect(actual.seen, `seed ${seed}, slice ${slice}`).toEqual(expected.seen);
        total += plain.m.processor.retired;
        if (expected.exit === Exit.Budget) continue;
        // What faults is stepped over, and strayed code begins anew; then on.
        faults++;
        const rip = (Number(plain.m.get(Reg.RIP)) - CODE) % ALIAS;
        const place = made.places[made.places.findIndex((at) => at > rip)];
        const to = (rip < 0 || place === undefined ? 0 : place) + (next(3) === 0 ? ALIAS : 0);
        for (const { m } of [plain, hot]) {
          m.set(Reg.RIP, CODE + to);
          m.set(Reg.RSP, STACK - 1024);
          m.set(Reg.RBP, DATA);
        }
      }
      expect(hot.memory(), `seed ${seed}`).toBe(plain.memory());
    }
    expect(compiled).toBeGreaterThan(seeds.length * 3);
    expect(faults).toBeGreaterThan(seeds.length);
    expect(total).toBeGreaterThan(seeds.length * 2000);
  });
});

// The loop's handlers against the instructions' own functions. The hardware vectors run one instruction at a time, which
// the functions do; here random programs made of the vectors' instructions, with conditional jumps among them, run in the
// loop and step by step, and must leave the same registers, flags, memory, exit and count. A failure prints the program.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CpuLayout } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Decoder } from "../../../../hypervisor/machine/x86/decode.ts";
import { type OperandShape, shapeKey } from "../../../../hypervisor/machine/x86/describe.ts";
import { type HotEntry, hotEntries } from "../../../../hypervisor/machine/x86/hot.ts";
import { instructions as known } from "../../../../hypervisor/machine/x86/instructions/index.ts";
import { Slot } from "../../../../hypervisor/machine/x86/layout.ts";
import { shapesOf } from "../../../../hypervisor/machine/x86/shapes.ts";
import type { Va } from "../../../../shared/brand.ts";
import { CODE, DATA, hex, Machine, Reg, STACK } from "./harness.ts";

const BUDGET = 400;
/** Programs that showed something: a conditional jump that its own function carries out, the budget's last but for one. */
const FOUND = [1098];
const PROGRAMS = Number(process.env["TIERS_PROGRAMS"] ?? 250);

function instructions(): number[][] {
  const dir = join(import.meta.dirname, "../../../vectors");
  const all: number[][] = [];
  for (const file of readdirSync(dir)) {
    if (!file.endsWith(".txt") || ["flow.txt", "mmx.txt", "x87.txt", "x87_functions.txt", "sse.txt"].includes(file))
      continue;
    for (const line of readFileSync(join(dir, file), "utf8").split("\n")) {
      const code = /^([0-9a-f]+) /.exec(line);
      if (code) all.push(hex(code[1]));
    }
  }
  return all;
}

/** A xorshift generator: a failing seed can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const DECODER = new Decoder(known);
/** What hot.ts calls the instruction: name, and kinds and sizes of operands. */
function keyOf(code: readonly number[]): string {
  const bytes = Uint8Array.from([...code, ...new Array(16).fill(0x90)]);
  if (DECODER.decode(bytes, 0, code.length) <= 0) return "";
  const address = DECODER.index === Slot.ZERO ? "base" : "index";
  const shapes = shapesOf(DECODER).map(
    (shape) => (shape.kind === "mem" ? { ...shape, address } : shape) as OperandShape,
  );
  return `${DECODER.form.description.name} ${shapeKey(shapes)}`;
}

const jcc = (cc: number, distance: number): number[] => [0x70 + cc, distance];

interface Outcome {
  regs: bigint[];
  exit: Exit;
  fault: number[];
  retired: number;
  data: string;
}

describe("the loop and the functions", () => {
  const pool = instructions();
  const byKey = new Map<string, number[][]>();
  for (const code of pool) {
    const key = keyOf(code);
    const same = byKey.get(key);
    if (same) same.push(code);
    else byKey.set(key, [code]);
  }
  /** What handlers carry out together: for each, in order, the key of the instruction and the jump behind it. */
  const chains = hotEntries((name) => known.some((description) => description.name === name))
    .filter((entry) => entry.then)
    .map((entry) => {
      const links: { key: string; cc: number | undefined }[] = [];
      for (let at: HotEntry | undefined = entry; at; at = at.then)
        links.push({ key: `${at.name} ${shapeKey(at.shapes)}`, cc: at.then ? undefined : at.cc });
      return links;
    });
  const m = new Machine();
  const image = new Uint8Array(2 * 4096);

  function prepare(seed: number): void {
    const next = random(seed);
    for (let r = 0; r < 16; r++) {
      const kind = next(4);
      if (kind === 0) m.set(r, BigInt(next(256)));
      else if (kind === 1) m.set(r, (BigInt(next(2 ** 32)) << 32n) | BigInt(next(2 ** 32)));
      else m.set(r, BigInt(DATA + 2048 + next(4096)));
    }
    m.set(Reg.RSP, STACK - 1024 + next(64));
    m.set(Reg.RFLAGS, 0x202 | (next(0x1000) & 0x8d5));
    for (let i = 0; i < image.length; i++) image[i] = (i * 7 + seed) & 0xff;
    for (let page = 0; page < 4; page++) m.memory.u8.set(image.subarray(0, 4096), m.at(DATA + page * 4096));
    for (let page = 1; page <= 4; page++)
      m.memory.u8.fill(seed, m.at(STACK - page * 4096), m.at(STACK - page * 4096) + 4096);
    const fx = m.cpu.address + CpuLayout.fxsave;
    m.memory.u8.fill(0, fx, fx + 512);
    m.memory.u16[fx >>> 1] = 0x37f;
    m.memory.u16[(fx + 24) >>> 1] = 0x1f80;
    m.cpu.setNum(Reg.RIP, CODE);
  }

  function outcome(exit: Exit, retired: number): Outcome {
    const regs = Array.from({ length: 18 }, (_, r) => m.get(r));
    const fault = exit === Exit.Exception ? [m.cpu.field(CpuLayout.vector), m.cpu.field(CpuLayout.errorCode)] : [];
    let data = "";
    for (const page of [DATA, DATA + 4096, DATA + 8192, STACK - 4096]) {
      let sum = 0;
      const at = m.at(page);
      for (let i = 0; i < 1024; i++) sum = (Math.imul(sum, 31) + m.memory.u32[at / 4 + i]) | 0;
      data += `${sum} `;
    }
    return { regs, exit, fault, retired, data };
  }

  function program(seed: number): number[][] {
    const next = random(seed + 77);
    const code: number[][] = [];
    for (let i = 0; i < 40; i++) {
      if (next(6) === 0) {
        for (const { key, cc } of chains[next(chains.length)]) {
          const same = byKey.get(key) ?? [[next(2) ? 0x50 + next(4) : 0x58 + next(4)]];
          code.push(same[next(same.length)]);
          if (cc !== undefined) code.push(jcc(cc, next(6)));
        }
      }
      let bytes = pool[next(pool.length)];
      if (next(4) === 0) bytes = [0x70 + next(16), next(6)];
      if (next(40) === 0) bytes = [0x70 + next(16), 0x100 - next(20)];
      code.push(bytes);
    }
    code.push([0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4]);
    return code;
  }

  it("are tried on what the loop does in one go, too", () => {
    const missing = chains.flat().filter(({ key }) => !byKey.has(key) && !/^(push|pop)/.test(key));
    expect(missing).toEqual([]);
  });

  it("do the same", () => {
    let executed = 0;
    let inRegions = 0;
    const seeds = process.env["TIERS_SEED"]
      ? [Number(process.env["TIERS_SEED"])]
      : [...Array(PROGRAMS).keys(), ...FOUND];
    for (const seed of seeds) {
      const code = program(seed);
      let exit: Exit = Exit.Budget;
      let retired = 0;
      // What faults is taken out, so that programs get long; the last faults stay.
      for (let attempt = 0; attempt < 30; attempt++) {
        m.load(code.flat());
        prepare(seed);
        exit = Exit.Budget;
        retired = 0;
        for (let i = 0; i < BUDGET && exit === Exit.Budget; i++) {
          exit = m.processor.run(m.cpu, 1);
          retired += m.processor.retired;
        }
        if (exit !== Exit.Exception) break;
        let at = CODE;
        const culprit = code.findIndex((bytes) => {
          at += bytes.length;
          return at > m.cpu.num(Reg.RIP);
        });
        if (culprit < 0 || attempt > 24) break;
        code[culprit] = code[culprit].map(() => 0x90);
      }
      executed += retired;
      const stepped = outcome(exit, retired);
      const text = code.map((bytes) => bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")).join(" ");

      // Twice, so that what missed the TLB the first time is found in it; then by regions, with and without misses.
      for (let round = 0; round < 4; round++) {
        prepare(seed);
        if (round === 2 && m.processor.compile([CODE as Va])) inRegions++;
        if (round === 2) for (let page = 0; page < 4; page++) m.processor.tlb.flushPage((DATA + page * 4096) as Va);
        exit = m.processor.run(m.cpu, BUDGET);
        expect(outcome(exit, m.processor.retired), `seed ${seed}, round ${round}: ${text}`).toEqual(stepped);
      }
    }
    // Programs that end at once would show nothing.
    expect(executed / seeds.length).toBeGreaterThan(20);
    expect(inRegions).toBeGreaterThan(seeds.length / 2);
  });
});

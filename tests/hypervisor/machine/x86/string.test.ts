// Repeated string instructions beyond what fits in a vector: many pages at once, overlap, code under the stores, budgets.

import { beforeEach, describe, expect, it } from "vitest";
import { CpuLayout } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { CODE, DATA, Machine, READ_ONLY, Reg } from "./harness.ts";

const HLT = "f4";
let m: Machine;

beforeEach(() => {
  m = new Machine();
});

function copy(from: number, to: number, count: number): void {
  m.set(Reg.RSI, from);
  m.set(Reg.RDI, to);
  m.set(Reg.RCX, count);
}

describe("rep movs", () => {
  it("copies over pages that are not neighbours in machine memory", () => {
    const bytes = Array.from({ length: 6000 }, (_, i) => (i * 31) & 255);
    m.write(DATA + 100, bytes);
    copy(DATA + 100, DATA + 7000, 6000);
    expect(m.run("f3a4" + HLT)).toBe(Exit.Privileged);
    expect(m.read(DATA + 7000, 6000)).toEqual(bytes);
    expect(m.get(Reg.RSI)).toBe(BigInt(DATA + 6100));
    expect(m.get(Reg.RDI)).toBe(BigInt(DATA + 13000));
    expect(m.get(Reg.RCX)).toBe(0n);
  });

  it("forward onto itself repeats a pattern, as programs rely on", () => {
    m.write(DATA, [1, 2, 3]);
    copy(DATA, DATA + 3, 3000);
    expect(m.run("f3a4" + HLT)).toBe(Exit.Privileged);
    expect(m.read(DATA, 3003)).toEqual(Array.from({ length: 3003 }, (_, i) => (i % 3) + 1));
  });

  it("backward with DF moves a block up over itself", () => {
    const bytes = Array.from({ length: 5000 }, (_, i) => (i * 7) & 255);
    m.write(DATA, bytes);
    copy(DATA + 4999, DATA + 5099, 5000);
    expect(m.run("fd f3a4 fc" + HLT)).toBe(Exit.Privileged);
    expect(m.read(DATA + 100, 5000)).toEqual(bytes);
  });

  it("stops at the first page that can't be written, with what was done before it done", () => {
    m.map(READ_ONLY - 4096, 7);
    m.write(DATA, new Array(4096).fill(9));
    copy(DATA, READ_ONLY - 8, 4096);
    expect(m.run("f3a4" + HLT)).toBe(Exit.Exception);
    expect(m.cpu.field(CpuLayout.vector)).toBe(14);
    expect(m.get(Reg.CR2)).toBe(BigInt(READ_ONLY));
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE));
    expect(m.get(Reg.RCX)).toBe(4088n);
    expect(m.get(Reg.RDI)).toBe(BigInt(READ_ONLY));
    expect(m.read(READ_ONLY - 8, 8)).toEqual(new Array(8).fill(9));
  });

  it("over the code that follows it: the new code runs", () => {
    m.map(CODE, 7);
    // rep movsb; mov eax, 1; hlt: the immediate is replaced by 42.
    m.write(DATA, [42]);
    copy(DATA, CODE + 3, 1);
    expect(m.run("f3a4 b801000000" + HLT)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(42n);
  });

  it("ends with any budget in the same state, the pieces counting as instructions", () => {
    const results = [1, 2, 3, 1000].map((budget) => {
      copy(DATA + 5, DATA + 6000, 5000);
      m.load("f3a4" + HLT);
      let retired = 0;
      let exit: Exit;
      do {
        exit = m.processor.run(m.cpu, budget);
        retired += m.processor.retired;
      } while (exit === Exit.Budget);
      return { exit, retired, rcx: m.get(Reg.RCX), rdi: m.get(Reg.RDI) };
    });
    for (const result of results) expect(result).toEqual(results[0]);
    expect(results[0].retired).toBeGreaterThan(1);
    expect(results[0].retired).toBeLessThan(10);
  });
});

describe("rep stos", () => {
  it("clears a page, and fills with words that aren't one byte repeated", () => {
    m.write(DATA, new Array(8192).fill(0xee));
    m.set(Reg.RAX, 0);
    m.set(Reg.RDI, DATA + 8);
    m.set(Reg.RCX, 512);
    expect(m.run("f348ab" + HLT)).toBe(Exit.Privileged);
    expect(m.read(DATA, 8)).toEqual(new Array(8).fill(0xee));
    expect(m.read(DATA + 8, 4096)).toEqual(new Array(4096).fill(0));
    expect(m.read(DATA + 8 + 4096, 8)).toEqual(new Array(8).fill(0xee));
    m.set(Reg.RAX, 0x12345678);
    m.set(Reg.RDI, DATA + 4093);
    m.set(Reg.RCX, 3);
    expect(m.run("f3ab" + HLT)).toBe(Exit.Privileged);
    expect(m.read(DATA + 4093, 12)).toEqual([1, 2, 3].flatMap(() => [0x78, 0x56, 0x34, 0x12]));
  });
});

describe("repne scas and repe cmps", () => {
  it("find a byte pages away", () => {
    m.write(DATA, new Array(9000).fill(1));
    m.write(DATA + 9000, [0]);
    m.set(Reg.RAX, 0);
    m.set(Reg.RDI, DATA);
    m.set(Reg.RCX, -1);
    expect(m.run("f2ae" + HLT)).toBe(Exit.Privileged);
    expect(m.get(Reg.RDI)).toBe(BigInt(DATA + 9001));
    expect(m.get(Reg.RCX)).toBe(BigInt.asUintN(64, -9002n));
    expect(m.flags & 0x40).toBe(0x40);
  });

  it("find where two strings differ, and leave the flags of the last pair", () => {
    m.write(DATA, new Array(5000).fill(7));
    m.write(DATA + 8000, new Array(5000).fill(7));
    m.write(DATA + 8000 + 4500, [8]);
    copy(DATA, DATA + 8000, 5000);
    expect(m.run("f3a6" + HLT)).toBe(Exit.Privileged);
    expect(m.get(Reg.RCX)).toBe(499n);
    // 7 - 8: CF, SF, AF, PF.
    expect(m.flags).toBe(0x95);
  });
});

// Where runs end between an instruction whose flags nobody reads, and which are therefore not computed, and the one that replaces
// them: RFLAGS is seen there, by the handler of an event for one.

import { expect, it } from "vitest";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import type { Va } from "../../../../shared/brand.ts";
import { CODE, Machine, Reg } from "./harness.ts";

/** Runs from CODE, where -1 + 1 is added (CF, PF, AF, ZF); the flags behind, and at which instruction. */
function ending(m: Machine, budget: number): [number, number] {
  m.set(Reg.RIP, CODE);
  m.set(Reg.RAX, 0xffffffff);
  m.set(Reg.RBX, 1);
  m.set(Reg.RCX, 500);
  m.set(Reg.RDX, 7);
  m.set(Reg.RFLAGS, 0x202);
  expect(m.processor.run(m.cpu, budget)).toBe(Exit.Budget);
  return [m.flags, Number(m.get(Reg.RIP)) - CODE];
}

it("at a region's entry: a budget that ends there finds the flags of the instruction before", () => {
  const m = new Machine();
  // 5 nops; add eax, ebx; 1: mov edx, esi; cmp edx, esi; dec ecx; jnz 1b; hlt
  m.load("9090909090 01d8 89f2 39f2 ffc9 75f8 f4");
  const budgets = Array.from({ length: 100 }, (_, i) => i + 1);
  const interpreted = budgets.map((budget) => ending(m, budget));
  expect(interpreted[5]).toEqual([0x55, 7]);
  expect(interpreted[6]).toEqual([0x55, 9]);
  expect(m.processor.compile([(CODE + 7) as Va])).toBe(true);
  expect(budgets.map((budget) => ending(m, budget))).toEqual(interpreted);
});

it("where the budget need not be spent, behind an instruction without a handler in the loop", () => {
  const m = new Machine();
  // 5 nops; add eax, ebx; bswap ecx; mov edx, esi; cmp edx, eax (7 - 0, or 0 - 0 behind the mov); nops
  m.load(`9090909090 01d8 0fc9 89f2 39c2 ${"90".repeat(100)} f4`);
  m.set(Reg.RSI, 7);
  m.processor.exact = false;
  for (let budget = 69; budget < 85; budget++) {
    const [flags, at] = ending(m, budget);
    expect(flags).toBe(at < 7 ? 0 : at < 13 ? 0x55 : 0);
  }
});

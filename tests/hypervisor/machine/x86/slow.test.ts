// Instructions that take a thousand times what others do: on the real clock a run of them ends early, and nothing is lost or done
// twice; on the virtual clock it goes on to the last instruction of its budget, for there the work's time doesn't count.

import { beforeEach, describe, expect, it } from "vitest";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { DATA, Machine, Reg } from "./harness.ts";

const ROUNDS = 3000;
let m: Machine;

beforeEach(() => {
  m = new Machine();
  // Whoever looks at the clock finds it 0.3 ms later.
  let now = 0;
  Object.defineProperty(m, "tsc", { get: () => (now += 300_000) });
});

/** Runs the loop to its hlt: how often a run was interrupted on the way. */
function interruptions(body: string): number {
  const bytes = body.length / 2 + 4;
  // mov ecx, ROUNDS; body; inc eax; dec ecx; jnz body; hlt
  const back = (256 - bytes - 2).toString(16);
  m.load(
    `b9${[ROUNDS & 255, ROUNDS >> 8, 0, 0].map((b) => b.toString(16).padStart(2, "0")).join("")}${body}ffc0ffc975${back}f4`,
  );
  m.set(Reg.RAX, 0);
  let count = 0;
  for (;;) {
    const exit = m.processor.run(m.cpu, 1_000_000);
    if (exit === Exit.Privileged) return count;
    expect(exit).toBe(Exit.Interrupted);
    expect(m.processor.retired).toBeLessThan(1000);
    count++;
  }
}

describe.each([
  ["instructions carried out in TypeScript", "dbe3d9ebd9fe"], // fninit; fldpi; fsin
  ["operands that cross a page", "ff03"], // inc dword [rbx]
])("%s", (_name, body) => {
  it("end the run when they have taken long, and each is done once", () => {
    m.processor.exact = false;
    m.set(Reg.RBX, DATA + 4094);
    expect(interruptions(body)).toBeGreaterThan(ROUNDS / 200);
    expect(m.get(Reg.RAX)).toBe(BigInt(ROUNDS));
    if (body === "ff03") expect(m.read64(DATA + 4094)).toBe(BigInt(ROUNDS));
  });

  it("don't where every instruction of the budget counts", () => {
    m.processor.exact = true;
    m.set(Reg.RBX, DATA + 4094);
    expect(interruptions(body)).toBe(0);
    expect(m.get(Reg.RAX)).toBe(BigInt(ROUNDS));
  });
});

it.each([
  ["repe scasb of equal bytes", "f3ae", 0],
  ["repe cmpsb of equal bytes", "f3a6", 0],
  ["rep movsb onto itself", "f3a4", 1],
  ["rep stosq of a pattern", "f348ab", 0],
])("%s does a short piece as one instruction", (_name, code, apart) => {
  m.set(Reg.RSI, DATA);
  m.set(Reg.RDI, DATA + apart);
  m.set(Reg.RCX, 500);
  m.set(Reg.RAX, code === "f348ab" ? 0x0123456789abcdefn : 0n);
  expect(m.run(`${code}f4`, 1)).toBe(Exit.Budget);
  expect(Number(m.get(Reg.RCX))).toBeGreaterThanOrEqual(500 - 64);
  expect(Number(m.get(Reg.RCX))).toBeLessThan(500);
  expect(m.processor.run(m.cpu, 1000)).toBe(Exit.Privileged);
  expect(m.get(Reg.RCX)).toBe(0n);
});

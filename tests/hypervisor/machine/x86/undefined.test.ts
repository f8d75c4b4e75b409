// Instructions that the processor doesn't know: #UD, and one line in the log, when they are executed and not before.
import { describe, expect, it } from "vitest";
import { CpuLayout, Reg } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte } from "../../../../hypervisor/machine/pte.ts";
import { loadDisassembler } from "../../../../hypervisor/machine/x86/disassemble.ts";
import type { Va } from "../../../../shared/brand.ts";
import { CODE, Machine } from "./harness.ts";

/** What waits for the disassembler has gone on. */
async function settled(): Promise<void> {
  await loadDisassembler();
  await new Promise(setImmediate);
}

describe("an instruction that isn't supported", () => {
  it("is #UD with its bytes and disassembly in the log, once", async () => {
    const m = new Machine();
    for (let i = 0; i < 2; i++) {
      m.cpu.setNum(Reg.RIP, CODE);
      expect(i === 0 ? m.run("0f01d9 90") : m.processor.run(m.cpu, 10)).toBe(Exit.Exception);
      expect(m.cpu.field(CpuLayout.vector)).toBe(6);
      expect(m.get(Reg.RIP)).toBe(BigInt(CODE));
    }
    await settled();
    expect(m.log).toHaveLength(1);
    expect(m.log[0]).toMatch(/^x86: instruction not supported at 0x400000: 0f 01 d9 90 .*: vmmcall$/);
  });

  it("is not mentioned when it is jumped over", async () => {
    const m = new Machine();
    expect(m.run("31c0 7403 0f01d9 f4")).toBe(Exit.Privileged);
    await settled();
    expect(m.log).toEqual([]);
  });

  it("at the very end of what is mapped shows the bytes there are", async () => {
    const m = new Machine();
    const end = CODE + 3 * 4096;
    m.load("0f01d9", end - 3);
    expect(m.processor.run(m.cpu, 10)).toBe(Exit.Exception);
    expect(m.cpu.field(CpuLayout.vector)).toBe(6);
    await settled();
    expect(m.log[0]).toContain(": 0f 01 d9: ");
  });

  it("and its line in the log leave the next page alone", () => {
    const m = new Machine();
    const end = CODE + 4096;
    m.load("0f01d9", end - 3);
    m.map(end, Pte.P | Pte.US);
    m.walker.walk(m.cr3, end as Va, 0);
    m.memory.u32[m.walker.entry >>> 2] &= ~Pte.A;
    const entry = m.walker.entry >>> 2;
    expect(m.processor.run(m.cpu, 10)).toBe(Exit.Exception);
    expect(m.memory.u32[entry] & Pte.A).toBe(0);
    m.map(end, 0);
    m.load("0f01d9", end - 3);
    expect(m.processor.run(m.cpu, 10)).toBe(Exit.Exception);
    expect(m.cpu.field(CpuLayout.vector)).toBe(6);
    expect(m.get(Reg.CR2)).toBe(0n);
  });
});

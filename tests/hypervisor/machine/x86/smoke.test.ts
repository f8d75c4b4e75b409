// The processor end to end: the loop and the functions behind it give the same results, to the exact instruction.
import { describe, expect, it } from "vitest";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { CODE, DATA, Machine, Reg } from "./harness.ts";

describe("X86Processor", () => {
  it("runs a loop and stops at hlt", () => {
    const m = new Machine();
    // xor eax,eax; mov ecx,1000; 1: add rax,rcx; dec rcx; jnz 1b; hlt
    const code = "31c0 b9e8030000 4801c8 48ffc9 75f8 f4";
    const t = performance.now();
    expect(m.run(code)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(500500n);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 15));
    expect(m.processor.retired).toBe(2 + 3000);
    expect(performance.now() - t).toBeGreaterThan(0);
  });

  it("executes exactly as many instructions as it is given, however they are sliced", () => {
    const code = "31c0 b9e8030000 4801c8 48ffc9 75f8 f4";
    for (const slice of [1, 7, 69, 100, 1000]) {
      const m = new Machine();
      m.load(code);
      let total = 0;
      for (;;) {
        const exit = m.processor.run(m.cpu, slice);
        total += m.processor.retired;
        if (exit !== Exit.Budget) break;
        expect(m.processor.retired).toBe(slice);
      }
      expect(total).toBe(3002);
      expect(m.get(Reg.RAX)).toBe(500500n);
    }
  });

  it("loads, stores and calls", () => {
    const m = new Machine();
    m.set(Reg.RBX, DATA);
    // mov qword [rbx+8], 0x1234; call +6; mov rdx,[rbx+16]; hlt; f: mov rax,[rbx+8]; mov [rbx+16],rax; ret
    const exit = m.run("48c7430834120000 e805000000 488b5310 f4 488b4308 48894310 c3");
    expect(exit).toBe(Exit.Privileged);
    expect(m.get(Reg.RDX)).toBe(0x1234n);
    expect(m.read64(DATA + 16)).toBe(0x1234n);
  });
});

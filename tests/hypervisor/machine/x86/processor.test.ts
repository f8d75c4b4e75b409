// The processor end to end: budgets, exits, precise faults, translations, segments. Code that changes: code.test.ts.
import { describe, expect, it } from "vitest";
import { CpuLayout, CpuState, Seg } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte, PteHi } from "../../../../hypervisor/machine/pte.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";
import { CODE, DATA, fault, hex, Machine, READ_ONLY, Reg, STACK } from "./harness.ts";

const USER = Pte.P | Pte.RW | Pte.US;
describe("X86Processor", () => {
  it("runs a loop and stops at hlt", () => {
    const m = new Machine();
    // xor eax,eax; mov ecx,1000; 1: add rax,rcx; dec rcx; jnz 1b; hlt
    const code = "31c0 b9e8030000 4801c8 48ffc9 75f8 f4";
    expect(m.run(code)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(500500n);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 15));
    expect(m.processor.retired).toBe(2 + 3000);
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

  it("stops a little early when it need not be exact, always gets on, and computes the same", () => {
    for (const slice of [1, 7, 69, 100, 1000]) {
      const m = new Machine();
      m.load("31c0 b9e8030000 4801c8 48ffc9 75f8 f4");
      m.processor.exact = false;
      let total = 0;
      for (;;) {
        const exit = m.processor.run(m.cpu, slice);
        total += m.processor.retired;
        if (exit !== Exit.Budget) break;
        expect(m.processor.retired).toBeLessThanOrEqual(slice);
        expect(m.processor.retired).toBeGreaterThan(Math.max(0, slice - 70));
      }
      expect(total).toBe(3002);
      expect(m.get(Reg.RAX)).toBe(500500n);
    }
  });

  it("ends every budget at the same place as single steps do", () => {
    // ecx=40; 1: add eax,ecx; jp 2f; jo 2f; inc edx; 2: push rax; pop rbx; cmp ebx,ecx; jb 3f; call f; 3: dec ecx; jnz 1b;
    // hlt; f: xor esi,eax; ret
    const code = "b928000000 01c8 7a04 7002 ffc2 50 5b 39cb 7205 e805000000 ffc9 75e9 f4 31c6 c3";
    const stepped = new Machine();
    const sliced = new Machine();
    stepped.load(code);
    const state = (m: Machine): bigint[] => Array.from({ length: 18 }, (_, r) => m.get(r));
    for (let budget = 1; budget < 250; budget++) {
      expect(stepped.processor.run(stepped.cpu, 1)).toBe(Exit.Budget);
      for (let r = 0; r < 16; r++) sliced.set(r, 0);
      sliced.set(Reg.RSP, STACK - 256);
      sliced.set(Reg.RFLAGS, 0x202);
      expect(sliced.run(code, budget)).toBe(Exit.Budget);
      expect(sliced.processor.retired).toBe(budget);
      expect(state(sliced), `budget ${budget}`).toEqual(state(stepped));
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

describe("faults leave nothing of the instruction", () => {
  it("push to an unmapped page", () => {
    const m = new Machine();
    m.set(Reg.RSP, 0x900000);
    m.set(Reg.RAX, 7);
    expect(m.run("90 50 f4")).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 6, 0x8ffff8n]);
    expect(m.get(Reg.RSP)).toBe(0x900000n);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 1));
    expect(m.processor.retired).toBe(1);
  });

  it("call, whose target is valid but whose stack is not", () => {
    const m = new Machine();
    m.set(Reg.RSP, READ_ONLY + 64);
    expect(m.run("e800000000 f4")).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 7, BigInt(READ_ONLY + 56)]);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE));
  });

  it("a store that crosses into a page that can't be written changes neither page", () => {
    const m = new Machine();
    m.map(READ_ONLY - 4096, USER);
    m.set(Reg.RBX, READ_ONLY - 4);
    m.set(Reg.RAX, -1);
    expect(m.run("488903 f4")).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 7, BigInt(READ_ONLY)]);
    expect(m.read(READ_ONLY - 4, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("a read-modify-write keeps flags and memory", () => {
    const m = new Machine();
    m.set(Reg.RBX, READ_ONLY);
    m.set(Reg.RFLAGS, 0x202 | 0x8d5);
    m.write(READ_ONLY, [5]);
    expect(m.run("830301 f4")).toBe(Exit.Exception);
    expect(m.flags).toBe(0x8d5);
    expect(m.read(READ_ONLY, 1)).toEqual([5]);
  });

  it("enter, when the frame pointers that it copies can't be read, has pushed nothing", () => {
    const m = new Machine();
    m.set(Reg.RBP, 0x900000);
    m.write64(STACK - 264, 5n);
    expect(m.run("c8100003 f4")).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 4, 0x8ffff8n]);
    expect(m.read64(STACK - 264)).toBe(5n);
  });

  it("a jump to where nothing is mapped faults at its target, as a fetch", () => {
    const m = new Machine();
    m.set(Reg.RAX, 0x900000);
    expect(m.run("ffe0")).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 0x14, 0x900000n]);
    expect(m.get(Reg.RIP)).toBe(0x900000n);
    m.set(Reg.RAX, DATA);
    expect(m.run("ffe0")).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 0x15, BigInt(DATA)]);
  });

  it("non-canonical addresses: #GP, on the stack #SS", () => {
    const m = new Machine();
    m.set(Reg.RBX, 1n << 47n);
    expect(m.run("488b03")).toBe(Exit.Exception);
    expect(fault(m).slice(0, 2)).toEqual([13, 0]);
    m.set(Reg.RSP, 1n << 47n);
    expect(m.run("58")).toBe(Exit.Exception);
    expect(fault(m).slice(0, 2)).toEqual([12, 0]);
    expect(m.run("488b442408")).toBe(Exit.Exception);
    expect(fault(m)[0]).toBe(12);
  });
});

describe("operands across pages", () => {
  it("are read and written whole, aligned or not, in frames far apart", () => {
    const m = new Machine();
    m.map(DATA + 4096, USER);
    m.write64(DATA + 4093, 0x8877665544332211n);
    m.set(Reg.RBX, DATA + 4093);
    // mov rax,[rbx]; add qword [rbx],1; xchg [rbx],rcx; lock add [rbx], rax
    m.set(Reg.RCX, 0x0102030405060708n);
    expect(m.run("488b03 48830301 48870b f0480103 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(0x8877665544332211n);
    expect(m.get(Reg.RCX)).toBe(0x8877665544332212n);
    expect(m.read64(DATA + 4093)).toBe(BigInt.asUintN(64, 0x0102030405060708n + 0x8877665544332211n));
  });
});

describe("translations", () => {
  it("set accessed at a read, dirty only at a write", () => {
    const m = new Machine();
    m.set(Reg.RBX, DATA);
    m.run("488b03 f4");
    expect(m.entry(DATA) & Pte.D).toBe(0);
    m.run("488b03 488903 f4");
    expect(m.entry(DATA) & Pte.D).toBe(Pte.D);
  });

  it("are gone after retire, whatever they were for and however many there were", () => {
    for (const aliases of [1, 2, 5]) {
      const m = new Machine();
      const mfn = (m.at(DATA) >>> 12) as Mfn;
      for (let i = 0; i < aliases; i++) {
        m.map(DATA + 0x100000 + i * 4096, USER, 0, mfn);
        m.set(Reg.RBX, DATA + 0x100000 + i * 4096);
        expect(m.run("48890b f4")).toBe(Exit.Privileged);
      }
      m.processor.tlb.retire(mfn);
      for (let i = 0; i < aliases; i++) m.map(DATA + 0x100000 + i * 4096, Pte.P | Pte.US, 0, mfn);
      for (let i = 0; i < aliases; i++) {
        m.set(Reg.RBX, DATA + 0x100000 + i * 4096);
        expect(m.run("48890b f4")).toBe(Exit.Exception);
        expect(fault(m)[1]).toBe(7);
      }
    }
  });

  it("stay what they were until flushed: one page, one table, all", () => {
    const flushes: ((m: Machine) => void)[] = [
      (m) => m.processor.tlb.flushPage(DATA as Va),
      (m) => m.processor.tlb.flushTable(m.cr3),
      (m) => m.processor.tlb.flushAll(),
    ];
    for (const flush of flushes) {
      const m = new Machine();
      m.set(Reg.RBX, DATA);
      expect(m.run("48890b f4")).toBe(Exit.Privileged);
      m.map(DATA, 0);
      expect(m.run("48890b f4")).toBe(Exit.Privileged);
      flush(m);
      expect(m.run("48890b f4")).toBe(Exit.Exception);
    }
  });

  it("of code are gone after retire, too", () => {
    const m = new Machine();
    expect(m.run("90 f4")).toBe(Exit.Privileged);
    m.processor.tlb.retire((m.at(CODE) >>> 12) as Mfn);
    m.map(CODE, Pte.P | Pte.US, PteHi.NX, (m.at(CODE) >>> 12) as Mfn);
    m.cpu.setNum(Reg.RIP, CODE);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Exception);
    expect(fault(m)[1]).toBe(0x15);
  });

  it("are kept apart by table", () => {
    const m = new Machine();
    m.set(Reg.RBX, DATA);
    m.write(DATA, [1]);
    expect(m.run("8a03 f4")).toBe(Exit.Privileged);
    const second = m.frame();
    m.memory.frame(second).set(m.memory.frame(m.cr3));
    // The second table has code and data of its own where the first has them.
    const first = m.cr3;
    (m as { cr3: Mfn }).cr3 = second;
    m.memory.u32[second * 1024] = 0;
    m.map(CODE, Pte.P | Pte.US);
    m.map(DATA, USER);
    m.write(DATA, [2]);
    m.cpu.setField(CpuLayout.cr3, second);
    expect(m.run("8a03 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffn).toBe(2n);
    m.cpu.setField(CpuLayout.cr3, first);
    m.cpu.setNum(Reg.RIP, CODE);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffn).toBe(1n);
  });

  it("can be replaced for one instruction", () => {
    const m = new Machine();
    const scratch = m.frame();
    m.set(Reg.RBX, READ_ONLY + 8);
    m.set(Reg.RCX, 0x55);
    m.load("48890b 48890b f4");
    expect(m.processor.stepWithOverride(m.cpu, READ_ONLY as Va, scratch)).toBe(Exit.Budget);
    expect(m.memory.u8[scratch * 4096 + 8]).toBe(0x55);
    expect(m.read(READ_ONLY + 8, 1)).toEqual([0]);
    expect(m.processor.run(m.cpu, 1)).toBe(Exit.Exception);
  });
});

describe("registers", () => {
  const ALL = Object.values(Reg);
  // Every bit that RFLAGS may have, but for TF: NT, OF, DF, SF, AF.
  const FLAGS = [0x202n | 0x8d5n, 0x202n, 0x4602n | 0x890n];

  it("of vcpus that run by turns stay each one's own, wherever they are", () => {
    const m = new Machine();
    m.load("90 ebfd"); // nop; jmp to it
    const cpus = FLAGS.map(() => new CpuState(m.memory, m.frame() * 4096));
    const values = (i: number, reg: number): bigint => {
      if (reg === Reg.RIP) return BigInt(CODE);
      return reg === Reg.RFLAGS ? FLAGS[i] : BigInt((i + 1) * 0x1_0000_0001 * (reg + 1));
    };
    cpus.forEach((cpu, i) => {
      cpu.setField(CpuLayout.cr3, m.cr3);
      for (const reg of ALL) cpu.setBig(reg, values(i, reg));
    });
    for (const budget of [2, 200, 1000])
      for (const cpu of cpus) {
        expect(m.processor.run(cpu, budget)).toBe(Exit.Budget);
        cpus.forEach((each, i) => {
          expect(ALL.map((reg) => each.big(reg))).toEqual(ALL.map((reg) => values(i, reg)));
        });
      }
  });

  it("may be changed while the processor has them, flags too", () => {
    const m = new Machine();
    m.run("f4");
    m.set(Reg.RFLAGS, 0x4ad7); // CF, PF, AF, ZF, SF, OF, NT
    m.set(Reg.RBX, 7);
    expect(m.get(Reg.RFLAGS)).toBe(0x4ad7n);
    m.load("9c 58 f4"); // pushf; pop rax
    m.processor.run(m.cpu, 10);
    expect(m.get(Reg.RAX)).toBe(0x4ad7n);
    expect(m.get(Reg.RBX)).toBe(7n);
  });

  it("RFLAGS is that of now, not what an earlier syscall left in R11", () => {
    const m = new Machine();
    expect(m.run("31c0 0f05 49bb0500000000000000 4885e4 ebfe")).toBe(Exit.Syscall); // xor; syscall; mov r11, 5; test rsp, rsp
    expect(m.get(Reg.RFLAGS)).toBe(0x246n);
    expect(m.processor.run(m.cpu, 500)).toBe(Exit.Budget);
    expect(m.get(Reg.RFLAGS)).toBe(0x206n);
  });

  it("are in the block after moveHome, and nothing is written there by later runs of others", () => {
    const m = new Machine();
    m.run("b807000000 f9 f4"); // mov eax, 7; stc
    m.cpu.moveHome();
    const word = m.cpu.address >>> 2;
    expect(m.memory.u32[word + Reg.RAX * 2]).toBe(7);
    expect(m.memory.u32[word + Reg.RFLAGS * 2]).toBe(0x203);
    m.memory.u8.fill(0xaa, m.cpu.address, m.cpu.address + CpuLayout.selectors);
    const other = new CpuState(m.memory, m.frame() * 4096);
    other.setField(CpuLayout.cr3, m.cr3);
    other.setNum(Reg.RIP, CODE);
    m.processor.run(other, 10);
    expect(
      m.memory.frame((m.cpu.address >>> 12) as Mfn).subarray(m.cpu.address & 4095, (m.cpu.address & 4095) + 176),
    ).toEqual(new Uint8Array(176).fill(0xaa));
  });
});

describe("exits", () => {
  it("syscall: RIP behind it, RCX and R11 set", () => {
    const m = new Machine();
    m.set(Reg.RFLAGS, 0x202 | 0x41);
    expect(m.run("0f05 90")).toBe(Exit.Syscall);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 2));
    expect(m.get(Reg.RCX)).toBe(BigInt(CODE + 2));
    expect(m.get(Reg.R11)).toBe(0x243n);
    expect(m.processor.retired).toBe(1);
  });

  it("int n, int3: RIP behind, the vector told", () => {
    const m = new Machine();
    expect(m.run("cd80")).toBe(Exit.SoftInterrupt);
    expect(m.cpu.field(CpuLayout.vector)).toBe(0x80);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 2));
    expect(m.run("cc")).toBe(Exit.SoftInterrupt);
    expect(m.cpu.field(CpuLayout.vector)).toBe(3);
  });

  it.each(["0fa2", "0f20d8", "0f22d8", "0f32", "0f30", "f4", "fa", "fb", "ec", "ee", "0f01f8", "0f0138", "0f09"])(
    "%s is for the hypervisor, and nothing is done",
    (code) => {
      const m = new Machine();
      m.set(Reg.RDI, DATA);
      m.set(Reg.RAX, DATA);
      expect(m.run(code)).toBe(Exit.Privileged);
      expect(m.get(Reg.RIP)).toBe(BigInt(CODE));
      expect(m.processor.retired).toBe(0);
    },
  );

  it("ud2 is #UD and says nothing; what we don't have says what it is", () => {
    const m = new Machine();
    expect(m.run("0f0b")).toBe(Exit.Exception);
    expect(fault(m)[0]).toBe(6);
    expect(m.log).toEqual([]);
    expect(m.run("0f04")).toBe(Exit.Exception);
    expect(fault(m)[0]).toBe(6);
  });

  it("a single step with TF ends in #DB behind the instruction", () => {
    const m = new Machine();
    m.set(Reg.RFLAGS, 0x302);
    expect(m.run("b001 b002 f4")).toBe(Exit.Exception);
    expect(fault(m)[0]).toBe(1);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 2));
    expect(m.processor.retired).toBe(1);
  });

  it("popf that sets TF traps behind the next instruction, in the loop too", () => {
    const m = new Machine();
    // pushf; or qword [rsp],0x100; popf; nop; nop
    expect(m.run("9c 48810c2400010000 9d 90 90 f4", 1000)).toBe(Exit.Exception);
    expect(fault(m)[0]).toBe(1);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 11));
  });

  it("requestExit ends a run; the next one goes on", () => {
    const m = new Machine();
    m.load("ebfe");
    m.processor.requestExit();
    expect(m.processor.run(m.cpu, 1000)).toBe(Exit.Interrupted);
    expect(m.processor.run(m.cpu, 1000)).toBe(Exit.Budget);
  });

  it("rdtsc asks the machine's clock, with what this run has executed", () => {
    const m = new Machine();
    expect(m.run("90 90 90 0f31 f4", 1000)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(1003n);
  });
});

describe("segments and iretq", () => {
  it("iretq to CPL 3 loads all five, keeping IF and IOPL", () => {
    const m = new Machine();
    const frame = [BigInt(CODE + 0x20), 0xe033n, 0x3000n | 0x41n, BigInt(STACK - 512), 0xe02bn];
    frame.forEach((value, i) => {
      m.write64(STACK - 256 + i * 8, value);
    });
    m.write(CODE + 0x20, [0xf4]);
    m.write(CODE, hex("48cf"));
    m.cpu.setNum(Reg.RIP, CODE);
    expect(m.processor.run(m.cpu, 1000)).toBe(Exit.Privileged);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 0x20));
    expect(m.get(Reg.RSP)).toBe(BigInt(STACK - 512));
    expect(m.get(Reg.RFLAGS)).toBe(0x243n);
    expect([m.cpu.selector(Seg.CS), m.cpu.selector(Seg.SS)]).toEqual([0xe033, 0xe02b]);
  });

  it("iretq to a kernel's code segment is #GP with the selector", () => {
    const m = new Machine();
    [BigInt(CODE), 0xe030n, 0x202n, BigInt(STACK - 512), 0xe02bn].forEach((value, i) => {
      m.write64(STACK - 256 + i * 8, value);
    });
    expect(m.run("48cf")).toBe(Exit.Exception);
    expect(fault(m).slice(0, 2)).toEqual([13, 0xe030]);
    expect(m.get(Reg.RSP)).toBe(BigInt(STACK - 256));
  });

  it("loads of fs and gs take the base from the guest's descriptor tables", () => {
    const m = new Machine();
    const gdt = m.frame();
    m.cpu.setField(CpuLayout.gdtEntries, 16);
    m.cpu.setField(CpuLayout.gdtFrames, gdt);
    // Entry 2: a data segment of DPL 3 at 0x12345678; entry 3: one of DPL 0.
    m.memory.u32.set([0x5678ffff, 0x12cff334, 0x0000ffff, 0x00cf9300], (gdt * 4096) / 4 + 4);
    m.set(Reg.RAX, 0x13);
    expect(m.run("8ee0 8cc1 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.FS_BASE)).toBe(0x12345678n);
    expect(m.cpu.selector(Seg.FS)).toBe(0x13);
    m.set(Reg.RAX, 0x1b);
    expect(m.run("8ee8 f4")).toBe(Exit.Exception);
    expect(fault(m).slice(0, 2)).toEqual([13, 0x18]);
    m.set(Reg.RAX, 0);
    expect(m.run("8ee0 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.FS_BASE)).toBe(0n);
  });

  it("uses the bases in addresses", () => {
    const m = new Machine();
    m.set(Reg.FS_BASE, DATA);
    m.set(Reg.GS_BASE, DATA);
    m.set(Reg.RBX, 16);
    m.set(Reg.RCX, 2);
    m.write64(DATA + 40, 0x77n);
    // mov rsi, fs:[rbx+rcx*8+8]; mov rdi, gs:[0x28]
    expect(m.run("64488b74cb08 65488b3c2528000000 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.RSI)).toBe(0x77n);
    expect(m.get(Reg.RDI)).toBe(0x77n);
  });

  it.each([
    ["rdfsbase", "f3480faec2"],
    ["rdgsbase", "f3480faeca"],
    ["wrfsbase", "f3480faed0"],
    ["wrgsbase", "f3480faed8"],
  ])("%s, by which programs would change them behind their kernel's back, is #UD", (_name, code) => {
    const m = new Machine();
    expect(m.run(code)).toBe(Exit.Exception);
    expect(fault(m)[0]).toBe(6);
    expect([m.get(Reg.FS_BASE), m.get(Reg.GS_BASE)]).toEqual([0n, 0n]);
  });
});

describe("the arena of decoded code", () => {
  it("is emptied when it is full, and the program goes on", () => {
    const m = new Machine(16);
    // 200 pages of code, each jumping to the next: more than 1 MiB of maps.
    const base = 0x40000000;
    for (let page = 0; page < 200; page++) {
      m.map(base + page * 4096, Pte.P | Pte.US);
      // inc eax; jmp +4096
      m.write(base + page * 4096, hex("ffc0 e9f90f0000"));
    }
    m.map(base + 200 * 4096, Pte.P | Pte.US);
    m.write(base + 200 * 4096, [0xf4]);
    for (let round = 0; round < 2; round++) {
      m.set(Reg.RAX, 0);
      m.cpu.setNum(Reg.RIP, base);
      expect(m.processor.run(m.cpu, 10_000)).toBe(Exit.Privileged);
      expect(m.get(Reg.RAX)).toBe(200n);
    }
  });
});

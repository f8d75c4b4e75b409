// Code that changes while it is kept decoded, by whoever writes to it, and instructions that lie across two frames.
import { describe, expect, it } from "vitest";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte } from "../../../../hypervisor/machine/pte.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";
import { CODE, DATA, fault, hex, Machine, Reg } from "./harness.ts";

const USER = Pte.P | Pte.RW | Pte.US;

describe("code that changes", () => {
  function writable(): Machine {
    const m = new Machine();
    m.map(CODE, USER);
    return m;
  }

  it("in the block that is being executed: the next instruction has its new bytes", () => {
    const m = writable();
    m.set(Reg.RBX, CODE);
    // mov byte [rbx+8], 0x2a; nop; nop; nop; mov al, 1: the store replaces the last one's immediate.
    expect(m.run("c643082a 909090 b001 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffn).toBe(0x2an);
  });

  it("through another mapping, and when a loop has run it before", () => {
    const m = writable();
    const mfn = (m.at(CODE) >>> 12) as Mfn;
    m.map(DATA + 0x10000, USER, 0, mfn);
    m.set(Reg.RBX, DATA + 0x10000);
    // mov ecx,100; 1: add dl,1; cmp ecx,50; jne 2f; mov byte [rbx+7],3 (the 1 of the addition); 2: dec ecx; jnz 1b; hlt
    expect(m.run("b964000000 80c201 83f932 7504 c6430703 ffc9 75f0 f4")).toBe(Exit.Privileged);
    // 51 rounds add 1, 49 add 3.
    expect(m.get(Reg.RDX) & 0xffn).toBe(BigInt((51 + 49 * 3) & 0xff));
  });

  it("written by somebody else, after dropCode", () => {
    const m = new Machine();
    expect(m.run("b001 f4")).toBe(Exit.Privileged);
    m.load("b002 f4");
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffn).toBe(2n);
  });

  it("all the time ends the run early, so that somebody looks at the clock, unless it must be exact", () => {
    const m = writable();
    m.set(Reg.RBX, CODE);
    // 1: inc byte [rbx+7]; nop; nop; add dl, 0; jmp 1b: each round changes the immediate that it then adds.
    const code = "fe4307 9090 80c200 ebf6";
    m.processor.exact = false;
    expect(m.run(code, 1_000_000)).toBe(Exit.Interrupted);
    expect(m.processor.retired).toBeGreaterThan(100);
    expect(m.processor.retired).toBeLessThan(10_000);
    m.processor.exact = true;
    expect(m.processor.run(m.cpu, 2000)).toBe(Exit.Budget);
    expect(m.processor.retired).toBe(2000);
  });

  it.each([
    ["rep movsb", "f3a4", 0x1f8, 0x600],
    ["rep stosb", "f3aa", 0x1f8, 0x600],
    ["rep stosq", "f348ab", 0x1f8, 0xc0],
    ["rep stosb downwards", "fd f3aa fc", 0x7f7, 0x600],
    ["rep stosq downwards", "fd f348ab fc", 0x7f0, 0xc0],
  ])("by a repeated store that begins beside it: %s", (_name, store, to, count) => {
    const m = writable();
    m.load(`${store} f4`);
    m.load("b001 f4", CODE + 0x208); // mov al, 1; hlt
    m.load("f4", CODE + 0x7f8);
    const runAt = (va: number): void => {
      m.cpu.setNum(Reg.RIP, va);
      expect(m.processor.run(m.cpu, 10_000)).toBe(Exit.Privileged);
    };
    runAt(CODE + 0x208);
    expect(m.get(Reg.RAX) & 0xffn).toBe(1n);
    // Nops from 0x1f8 to 0x7f7.
    m.write(DATA, new Array(count).fill(0x90));
    m.set(Reg.RAX, 0x9090909090909090n);
    m.set(Reg.RSI, DATA);
    m.set(Reg.RDI, CODE + to);
    m.set(Reg.RCX, count);
    runAt(CODE);
    runAt(CODE + 0x208);
    expect(m.get(Reg.RAX) & 0xffn).toBe(0x90n);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 0x7f8));
  });

  it("by a call's return address beside the call, which goes where it was to go", () => {
    const m = writable();
    m.set(Reg.RSP, CODE + 20);
    // call +3; hlt; hlt; hlt; mov al, 1; hlt: the return address lies behind, in the same 16 bytes.
    expect(m.run("e803000000 f4f4f4 b001 f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 10));
    expect(m.get(Reg.RSP)).toBe(BigInt(CODE + 12));
  });

  it("data beside code in one page can be written without losing the code", () => {
    const m = writable();
    m.set(Reg.RBX, CODE + 2048);
    // ecx=1000; 1: inc qword [rbx]; dec ecx; jnz 1b; hlt
    expect(m.run("b9e8030000 48ff03 ffc9 75f9 f4")).toBe(Exit.Privileged);
    expect(m.read64(CODE + 2048)).toBe(1000n);
  });
});

describe("instructions across two frames", () => {
  const straddling = (m: Machine): void => {
    // mov eax, 0x11223344 begins 2 bytes before the page's end
    m.write(CODE + 4094, hex("b844332211 f4"));
    m.cpu.setNum(Reg.RIP, CODE + 4094);
  };

  it("run, and follow the second page when it is mapped anew", () => {
    const m = new Machine();
    straddling(m);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(0x11223344n);
    m.map(CODE + 4096, Pte.P | Pte.US);
    m.processor.tlb.flushPage((CODE + 4096) as Va);
    m.write(CODE + 4096, hex("887766 f4"));
    m.cpu.setNum(Reg.RIP, CODE + 4094);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(0x66778844n);
  });

  it("fault in the second page when it isn't there, before anything is done", () => {
    const m = new Machine();
    straddling(m);
    m.map(CODE + 4096, 0);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Exception);
    expect(fault(m)).toEqual([14, 0x14, BigInt(CODE + 4096)]);
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 4094));
  });

  it("see a write to their second half", () => {
    const m = new Machine();
    m.map(CODE + 4096, USER);
    straddling(m);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    m.set(Reg.RBX, CODE + 4096);
    // mov byte [rbx+2], 0x99; jmp to the instruction
    m.load("c6430299 e9f10f0000", CODE + 4);
    expect(m.processor.run(m.cpu, 100)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(0x99223344n);
  });
});

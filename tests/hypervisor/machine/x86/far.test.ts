// Far calls, and loads of far pointers: Intel SDM volume 2, CALL and LDS/LES/LFS/LGS/LSS, as they are at CPL 3.
import { describe, expect, it } from "vitest";
import { CpuLayout, Seg } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { CODE, DATA, Machine, Reg, STACK } from "./harness.ts";

/** The hypervisor's flat 64-bit code segment and data segment, RPL 3. */
const CS64 = 0xe033;
const DS = 0xe02b;

function pointer(m: Machine, offset: number, selector: number): void {
  m.write(DATA, [0, 8, 16, 24].map((shift) => (offset >>> shift) & 255).concat([0, 0, 0, 0]));
  m.write(DATA + 8, [selector & 255, selector >>> 8]);
  m.set(Reg.RDI, DATA);
}

describe("a far call", () => {
  it("pushes CS and the address behind it, and retf comes back", () => {
    const m = new Machine();
    m.cpu.setSelector(Seg.CS, CS64);
    pointer(m, CODE + 0x100, CS64);
    // There: mov eax, [rsp]; mov ebx, [rsp + 8]; retf
    m.load("8b0424 8b5c2408 48cb", CODE + 0x100);
    expect(m.run("48ff1f f4")).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX)).toBe(BigInt(CODE + 3));
    expect(m.get(Reg.RBX)).toBe(BigInt(CS64));
    expect(m.get(Reg.RSP)).toBe(BigInt(STACK - 256));
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 3));
  });

  it("to a data segment is #GP with the selector; a stack that can't take the frame is #PF; both change nothing", () => {
    const m = new Machine();
    pointer(m, CODE + 0x100, DS);
    expect(m.run("48ff1f f4")).toBe(Exit.Exception);
    expect([m.cpu.field(CpuLayout.vector), m.cpu.field(CpuLayout.errorCode)]).toEqual([13, DS & ~3]);
    pointer(m, CODE + 0x100, CS64);
    m.set(Reg.RSP, 0x5000);
    const cs = m.cpu.selector(Seg.CS);
    expect(m.run("48ff1f f4")).toBe(Exit.Exception);
    expect([m.cpu.field(CpuLayout.vector), m.get(Reg.RSP), m.cpu.selector(Seg.CS)]).toEqual([14, 0x5000n, cs]);
  });
});

describe("a far pointer", () => {
  it("loads a segment register and a general one", () => {
    const m = new Machine();
    pointer(m, 0x12345678, DS);
    m.set(Reg.RBX, -1);
    // lss rbx, [rdi]; lfs with 32 and lgs with 16 bits of offset read the selector behind those.
    expect(m.run("480fb21f f4")).toBe(Exit.Privileged);
    expect([m.get(Reg.RBX), m.cpu.selector(Seg.SS)]).toEqual([0x12345678n, DS]);
    m.write(DATA + 4, [DS & 255, DS >>> 8]);
    m.set(Reg.RBX, -1);
    expect(m.run("0fb41f f4")).toBe(Exit.Privileged);
    expect([m.get(Reg.RBX), m.cpu.selector(Seg.FS)]).toEqual([0x12345678n, DS]);
    m.write(DATA + 2, [DS & 255, DS >>> 8]);
    m.set(Reg.RBX, -1);
    expect(m.run("660fb51f f4")).toBe(Exit.Privileged);
    expect([m.get(Reg.RBX), m.cpu.selector(Seg.GS)]).toEqual([0xffffffffffff5678n, DS]);
  });

  it("that is refused leaves both as they were", () => {
    const m = new Machine();
    pointer(m, 0x12345678, 0);
    m.set(Reg.RBX, 7);
    const ss = m.cpu.selector(Seg.SS);
    expect(m.run("480fb21f f4")).toBe(Exit.Exception);
    expect([m.cpu.field(CpuLayout.vector), m.get(Reg.RBX), m.cpu.selector(Seg.SS)]).toEqual([13, 7n, ss]);
  });
});

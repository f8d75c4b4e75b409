// x87 and SSE state as a whole: what is saved and loaded, what the hypervisor's TS bit and pending exceptions do. What
// single instructions compute is in the vectors.

import { beforeEach, describe, expect, it } from "vitest";
import { CpuLayout } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { DATA, Machine, Reg } from "./harness.ts";

const HLT = "f4";
const MXCSR = 24;

let m: Machine;
let image: DataView;

beforeEach(() => {
  m = new Machine();
  image = new DataView(m.memory.u8.buffer, m.cpu.address + CpuLayout.fxsave, 512);
  image.setUint16(0, 0x37f, true);
  image.setUint32(MXCSR, 0x1f80, true);
  m.set(Reg.RDI, DATA);
  m.set(Reg.RSI, DATA + 1024);
});

/** The exception that a run ended in. */
function exception(): { vector: number; error: number } {
  return { vector: m.cpu.field(CpuLayout.vector), error: m.cpu.field(CpuLayout.errorCode) };
}

describe("fxsave and fxrstor", () => {
  it("carry the whole state, over a page boundary too", () => {
    m.set(Reg.RDI, DATA + 4096 - 256);
    // fld1; fldpi; movd xmm5, edi; fxsave64 [rdi]; fninit; pxor xmm5, xmm5; fxrstor64 [rdi]; fxsave64 [rsi]
    const code = "d9e8 d9eb 660f6eef 480fae07 dbe3 660fefed 480fae0f 480fae06";
    expect(m.run(code + HLT)).toBe(Exit.Privileged);
    const saved = m.read(DATA + 4096 - 256, 416);
    expect(m.read(DATA + 1024, 416)).toEqual(saved);
    expect(saved.slice(0, 6)).toEqual([0x7f, 3, 0, 0x30, 0xc0, 0]);
    // ST(0) is pi, ST(1) is 1.
    expect(saved.slice(32, 42)).toEqual([0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40]);
    expect(saved.slice(48, 58)).toEqual([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
    // XMM5 has the address that RDI was.
    expect(saved.slice(240, 256)).toEqual([0x00, 0x0f, 0x60, ...new Array(13).fill(0)]);
  });

  it("refuse an address that isn't aligned, and fault before anything is loaded", () => {
    m.set(Reg.RDI, DATA + 8);
    expect(m.run("480fae07" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 13, error: 0 });
    m.set(Reg.RDI, DATA + 4 * 4096 - 256);
    expect(m.run("480fae0f" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 14, error: 4 });
    expect(m.get(Reg.CR2)).toBe(BigInt(DATA + 4 * 4096));
    expect(image.getUint16(0, true)).toBe(0x37f);
  });

  it("refuse an MXCSR with bits that don't exist, and leave the old one", () => {
    m.write(DATA + MXCSR, [0x80, 0x1f, 1, 0]);
    expect(m.run("480fae0f" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 13, error: 0 });
    expect(image.getUint32(MXCSR, true)).toBe(0x1f80);
  });
});

describe("x87's own forms of saving", () => {
  it("fnsave empties the unit, frstor brings it back with tags and TOP", () => {
    // fldz; fld1; fnsave [rdi]; fnstsw ax; frstor [rdi]; fstp qword [rsi]; fstp qword [rsi+8]; fnstsw bx's way: fnstsw [rsi+16]
    expect(m.run("d9ee d9e8 dd37 dfe0 dd27 dd1e dd5e08 dd7e10" + HLT)).toBe(Exit.Privileged);
    expect(m.get(Reg.RAX) & 0xffffn).toBe(0n);
    expect(m.read64(DATA + 1024)).toBe(0x3ff0000000000000n);
    expect(m.read64(DATA + 1032)).toBe(0n);
    expect(m.read(DATA + 1040, 2)).toEqual([0, 0]);
    // The tag word: ST(0) in register 6 valid, register 7 zero, the others empty.
    expect(m.read(DATA + 8, 2)).toEqual([0xff, 0x4f]);
  });

  it("fnstenv masks all exceptions once it has stored their masks", () => {
    // fldcw [rdi]; fnstenv [rsi]; fnstcw [rdi]
    m.write(DATA, [0x40, 0x03]);
    expect(m.run("d92f d936 d93f" + HLT)).toBe(Exit.Privileged);
    expect(m.read(DATA + 1024, 2)).toEqual([0x40, 0x03]);
    expect(m.read(DATA, 2)).toEqual([0x7f, 0x03]);
  });
});

describe("the hypervisor's TS bit", () => {
  it.each([
    ["x87", "d9e8"],
    ["SSE", "0f28c1"],
    ["SSE arithmetic", "f20f58c1"],
    ["fxsave", "480fae07"],
    ["ldmxcsr", "0fae17"],
    ["fwait", "9b"],
    ["MMX", "0f6fc1"],
    ["a conversion from MMX", "0f2ac1"],
  ])("makes %s raise #NM, changing nothing", (_, code) => {
    m.cpu.setField(CpuLayout.ts, 1);
    const before = m.memory.u8.slice(image.byteOffset, image.byteOffset + 512);
    expect(m.run(code + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 7, error: 0 });
    expect(m.memory.u8.slice(image.byteOffset, image.byteOffset + 512)).toEqual(before);
    m.cpu.setField(CpuLayout.ts, 0);
    m.write(DATA, [0x80, 0x1f, 0, 0]);
    expect(m.run(code + HLT)).toBe(Exit.Privileged);
  });
});

describe("an unmasked x87 exception", () => {
  it("is reported by the next waiting instruction, not by those that don't wait", () => {
    // fldcw (#Z unmasked); fld1; fldz; fdivp; fnstsw ax; fwait
    m.write(DATA, [0x7b, 0x03]);
    expect(m.run("d92f d9e8 d9ee def9 dfe0 9b" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 16, error: 0 });
    expect(m.get(Reg.RAX) & 0x80ffn).toBe(0x8084n);
    // fnclex clears it.
    expect(m.run("dbe2 9b" + HLT)).toBe(Exit.Privileged);
  });
});

describe("MMX registers", () => {
  it("are the x87's, whatever TOP is, and emms empties the stack", () => {
    // fld1; fldpi; movq mm1, mm7; movq [rdi], mm6; fxsave64 [rsi]; emms; fnstsw ax
    expect(m.run("d9e8 d9eb 0f6fcf 0f7f37 480fae06 0f77 dfe0" + HLT)).toBe(Exit.Privileged);
    // 1 was loaded first, into physical register 7; pi is in 6.
    expect(m.read(DATA, 8)).toEqual([0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9]);
    const saved = m.read(DATA + 1024, 64);
    expect(saved.slice(2, 5)).toEqual([0, 0, 0xff]);
    expect(saved.slice(48, 58)).toEqual([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff]);
    expect(m.get(Reg.RAX) & 0x3800n).toBe(0n);
    expect(image.getUint8(4)).toBe(0);
  });

  it("wait for a pending x87 exception, and a fault of memory leaves the stack alone", () => {
    m.write(DATA, [0x7b, 0x03]);
    // fldcw (#Z unmasked); fld1; fldz; fdivp; paddb mm0, mm1
    expect(m.run("d92f d9e8 d9ee def9 0ffcc1" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 16, error: 0 });
    m.set(Reg.RDI, 0x1000);
    expect(m.run("dbe3 d9e8 0ffc07" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 14, error: 4 });
    expect([image.getUint16(2, true), image.getUint8(4)]).toEqual([0x3800, 0x80]);
  });
});

describe("reciprocals", () => {
  it.each([
    ["rcpps", "0f53c1", (x: number) => 1 / x],
    ["rsqrtps", "0f52c1", (x: number) => 1 / Math.sqrt(x)],
  ])("%s is within 1.5 * 2^-12, raising nothing", (_, code, exact) => {
    const operands = [3, 0.1, 1e-30, 12345.678];
    for (const [i, x] of operands.entries()) image.setFloat32(176 + i * 4, x, true);
    expect(m.run(code + HLT)).toBe(Exit.Privileged);
    for (const [i, x] of operands.entries()) {
      expect(Math.abs(image.getFloat32(160 + i * 4, true) / exact(Math.fround(x)) - 1)).toBeLessThan(1.5 * 2 ** -12);
    }
    expect(image.getUint32(MXCSR, true)).toBe(0x1f80);
  });

  it("of zeroes, denormals, infinities and NaNs are what hardware gives", () => {
    const from = [0x80000000, 0x00000001, 0x7f800000, 0x7f800001];
    for (const [i, bits] of from.entries()) image.setUint32(176 + i * 4, bits, true);
    const results = () => [0, 4, 8, 12].map((at) => image.getUint32(160 + at, true));
    m.run("0f53c1" + HLT);
    expect(results()).toEqual([0xff800000, 0x7f800000, 0, 0x7fc00001]);
    image.setUint32(176 + 4, 0xbf800000, true);
    m.run("0f52c1" + HLT);
    expect(results()).toEqual([0xff800000, 0xffc00000, 0, 0x7fc00001]);
  });
});

describe("an unmasked SSE exception", () => {
  it("is #XM at the instruction, with MXCSR telling why and the destination as it was", () => {
    image.setUint32(MXCSR, 0x1d80, true);
    image.setFloat64(160, 1, true);
    image.setFloat64(176, 0, true);
    expect(m.run("f20f5ec1" + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 19, error: 0 });
    expect(image.getUint32(MXCSR, true)).toBe(0x1d84);
    expect(image.getFloat64(160, true)).toBe(1);
  });
});

describe("what CPUID doesn't announce", () => {
  it.each([
    ["xsave", "0fae27"],
    ["rdrand", "0fc7f0"],
    ["vmovdqa", "c5f96f07"],
    ["xgetbv", "0f01d0"],
    ["pshufb on MMX registers", "0f3800c1"],
  ])("%s is #UD, and the log says so", (_, code) => {
    expect(m.run(code + HLT)).toBe(Exit.Exception);
    expect(exception()).toEqual({ vector: 6, error: 0 });
  });
});

// Privileged instructions of PV kernels, byte by byte: which are carried out, which are #GP, and what they give.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { emulateForced, emulatePrivileged } from "../../../hypervisor/traps/emulate.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import { __HYPERVISOR_physdev_op } from "../../../shared/abi/xen.ts";
import type { Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

let hv: Hypervisor;
let a: BareDomain;
let vcpu: Vcpu;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1);
  vcpu = a.vcpu;
  hv.current = vcpu;
});

/** Emulates the bytes at FLAT: how far RIP moved, or "#GP". */
function run(...bytes: number[]): number | "#GP" {
  a.bytes.set(bytes);
  vcpu.cpu.setNum(Reg.RIP, FLAT);
  return emulatePrivileged(hv, vcpu) ? vcpu.cpu.num(Reg.RIP) - FLAT : "#GP";
}

const setIopl = (iopl: number): void => {
  a.view.setUint32(0x800, iopl, true);
  expect(a.call(__HYPERVISOR_physdev_op, 6, FLAT + 0x800)).toBe(0);
};

describe("emulation", () => {
  test("what no PV kernel may do is #GP", () => {
    const refused: number[][] = [
      [0xf4], // hlt
      [0xfa], // cli
      [0xfb], // sti
      [0xec], // in al, dx
      [0xe6, 0x80], // out 0x80, al
      [0x6e], // outsb
      [0x0f, 0x08], // invd
      [0x0f, 0x01, 0x38], // invlpg [rax]
      [0x0f, 0x01, 0xf0], // lmsw ax
      [0x0f, 0x01, 0xf8], // swapgs
      [0x0f, 0x01, 0x10], // lgdt [rax]
      [0x0f, 0x00, 0xd8], // ltr ax
      [0x0f, 0x07], // sysret
      [0x0f, 0x33], // rdpmc
      [0x44, 0x0f, 0x20, 0xc0], // mov rax, cr8
      [0x0f, 0x20, 0xc8], // mov rax, cr1
    ];
    for (const bytes of refused) expect([bytes, run(...bytes)]).toEqual([bytes, "#GP"]);
  });

  test("with virtual IOPL 1 ports read all ones, writes vanish, cli and sti do nothing", () => {
    setIopl(1);
    vcpu.cpu.set(Reg.RAX, 0x11223344, 0x55667788);
    expect(run(0xe4, 0x80)).toBe(2);
    expect(vcpu.cpu.big(Reg.RAX)).toBe(0x55667788112233ffn);
    expect(run(0x66, 0xed)).toBe(2);
    expect(vcpu.cpu.big(Reg.RAX)).toBe(0x556677881122ffffn);
    expect(run(0xed)).toBe(1);
    expect(vcpu.cpu.big(Reg.RAX)).toBe(0xffffffffn);
    expect(run(0xee)).toBe(1);
    expect(run(0xfa)).toBe(1);
    expect(run(0xfb)).toBe(1);
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(1); // As it was: the guest's own affair.
  });

  test("rep insb fills with ones a piece at a time; a page that isn't there faults at its address", () => {
    setIopl(1);
    vcpu.cpu.setNum(Reg.RCX, 300);
    vcpu.cpu.setNum(Reg.RDI, FLAT + 0x1000);
    expect(run(0xf3, 0x6c)).toBe(0);
    expect(vcpu.cpu.num(Reg.RCX)).toBe(44);
    expect(run(0xf3, 0x6c)).toBe(2);
    expect(a.bytes.slice(0x1000, 0x1000 + 300).every((b) => b === 0xff)).toBe(true);
    vcpu.traps.set(14, 0, 0xe033, (FLAT + 0x700) as Va);
    vcpu.cpu.setNum(Reg.RSP, FLAT + 0x8000);
    vcpu.cpu.setNum(Reg.RDI, 0x5000);
    vcpu.cpu.setNum(Reg.RCX, 1);
    expect(run(0xf3, 0x6c)).toBe(0x700);
    expect(hv.memory.view.getBigUint64(vcpu.vcpuInfo + 16, true)).toBe(0x5000n);
  });

  test("the I/O bitmap opens single ports to user mode", () => {
    a.bytes.fill(0xff, 0x2000, 0x4000);
    a.bytes[0x2000 + 0x80 / 8] = 0xfe;
    a.view.setBigUint64(0x800, BigInt(FLAT + 0x2000), true);
    a.view.setUint32(0x808, 65536, true);
    expect(a.call(__HYPERVISOR_physdev_op, 7, FLAT + 0x800)).toBe(0);
    expect(run(0xe4, 0x80)).toBe(2);
    expect(run(0xe4, 0x81)).toBe("#GP");
    expect(run(0xe5, 0x80)).toBe("#GP"); // Four ports.
  });

  test("with TF the debug exception comes behind what was emulated; not behind cli and sti, nor behind what faults", () => {
    setIopl(1);
    const HANDLER = 0x700;
    for (const vector of [1, 14]) vcpu.traps.set(vector, 0, 0xe033, (FLAT + HANDLER + vector) as Va);
    const step = (...bytes: number[]): (number | "#GP" | undefined)[] => {
      vcpu.cpu.set(Reg.RFLAGS, 0x302, 0);
      vcpu.cpu.setNum(Reg.RSP, FLAT + 0x8000);
      vcpu.debugReg[6] = 0n;
      const went = run(...bytes);
      const stepped = went === HANDLER + 1;
      expect(vcpu.debugReg[6]).toBe(stepped ? 0x4000n : 0n);
      // The frame's RIP lies behind RCX and R11.
      return [went, stepped ? a.view.getUint32(vcpu.cpu.num(Reg.RSP) - FLAT + 16, true) - FLAT : undefined];
    };
    expect(step(0x0f, 0xa2)).toEqual([HANDLER + 1, 2]); // cpuid
    expect(step(0x0f, 0x06)).toEqual([HANDLER + 1, 2]); // clts
    expect(step(0xec)).toEqual([HANDLER + 1, 1]); // in al, dx
    expect(step(0xe6, 0x80)).toEqual([HANDLER + 1, 2]); // out 0x80, al
    expect(step(0xfa)).toEqual([1, undefined]); // cli
    expect(step(0xfb)).toEqual([1, undefined]); // sti
    expect(step(0xf4)).toEqual(["#GP", undefined]); // hlt
    vcpu.cpu.setNum(Reg.RDI, FLAT + 0x900);
    expect(step(0x6c)).toEqual([HANDLER + 1, 1]); // insb
    vcpu.cpu.setNum(Reg.RDI, 0x1000);
    expect(step(0x6c)).toEqual([HANDLER + 14, undefined]);
    vcpu.cpu.set(Reg.RFLAGS, 0x202, 0);
    expect(run(0x0f, 0x06)).toBe(2);
  });

  test("CR0, CR2, CR3, CR4; only TS of CR0 can change", () => {
    expect(run(0x0f, 0x20, 0xc3)).toBe(3);
    expect(vcpu.cpu.big(Reg.RBX)).toBe(0x80050033n);
    vcpu.cpu.setBig(Reg.RBX, 0x8005003bn);
    expect(run(0x0f, 0x22, 0xc3)).toBe(3);
    expect(vcpu.cpu.field(CpuLayout.ts)).toBe(1);
    vcpu.cpu.setBig(Reg.RBX, 0x80050032n);
    expect(run(0x0f, 0x22, 0xc3)).toBe("#GP");
    expect(run(0x0f, 0x06)).toBe(2);
    expect(vcpu.cpu.field(CpuLayout.ts)).toBe(0);
    expect(run(0x41, 0x0f, 0x20, 0xd8)).toBe(4); // mov r8, cr3
    expect(vcpu.cpu.num(Reg.R8)).toBe(vcpu.guestTable * 4096);
    vcpu.cpu.setNum(Reg.RAX, 0x123456);
    expect(run(0x0f, 0x22, 0xd8)).toBe("#GP"); // A table that isn't one.
    expect(run(0x0f, 0x20, 0xe0)).toBe(3);
    expect(vcpu.cpu.num(Reg.RAX) & 0x620).toBe(0x620);
  });

  test("MSRs: segment bases are taken if canonical, EFER can be written back as read, others are #GP", () => {
    vcpu.traps.set(13, 0, 0xe033, (FLAT + 0x700) as Va);
    const write = (msr: number, value: bigint): number | "#GP" => {
      vcpu.cpu.setNum(Reg.RCX, msr);
      vcpu.cpu.setBig(Reg.RAX, value & 0xffffffffn);
      vcpu.cpu.setBig(Reg.RDX, value >> 32n);
      return run(0x0f, 0x30);
    };
    const read = (msr: number): bigint | "#GP" => {
      vcpu.cpu.setNum(Reg.RCX, msr);
      return run(0x0f, 0x32) === 2 ? (vcpu.cpu.big(Reg.RDX) << 32n) | vcpu.cpu.big(Reg.RAX) : "#GP";
    };
    expect(write(0xc0000101, 0xffffffff81000000n)).toBe(2);
    expect(vcpu.cpu.big(Reg.GS_BASE)).toBe(0xffffffff81000000n);
    expect(write(0xc0000102, 0x7f0000001000n)).toBe(2);
    expect(vcpu.cpu.big(Reg.GS_BASE_OTHER)).toBe(0x7f0000001000n);
    expect(write(0xc0000100, 0x800000000000n)).toBe("#GP");
    const efer = read(0xc0000080) as bigint;
    expect(efer).toBe(0xd01n);
    expect(write(0xc0000080, efer)).toBe(2);
    expect(write(0xc0000080, efer ^ 1n)).toBe("#GP");
    expect(read(0x1b)).toBe(0xfee00900n);
    expect(read(0x12345678)).toBe("#GP");
    expect(write(0x12345678, 0n)).toBe("#GP");
  });

  test("before there is a #GP handler, an MSR that doesn't exist reads 0, which is logged", () => {
    vcpu.cpu.setNum(Reg.RCX, 0x12345678);
    expect(run(0x0f, 0x32)).toBe(2);
    expect(vcpu.cpu.num(Reg.RAX)).toBe(0);
    expect(hv.log.read(0, 1e6)).toContain("faking RDMSR 0x12345678");
  });

  test("user mode gets #GP for all of it but cpuid", () => {
    vcpu.kernelMode = false;
    for (const bytes of [
      [0x0f, 0x06],
      [0x0f, 0x32],
      [0x0f, 0x20, 0xc0],
      [0x0f, 0x09],
    ])
      expect(run(...bytes)).toBe("#GP");
    vcpu.cpu.setNum(Reg.RAX, 0x40000000);
    expect(run(0x0f, 0xa2)).toBe(2);
  });

  test("an instruction that ends where its page does, before one that isn't mapped", () => {
    a.unmap(0x1000);
    a.bytes.set([0x0f, 0x06], 0xffe);
    vcpu.cpu.setNum(Reg.RIP, FLAT + 0xffe);
    expect(emulatePrivileged(hv, vcpu)).toBe(true);
    a.bytes.set([0x0f], 0xfff);
    vcpu.cpu.setNum(Reg.RIP, FLAT + 0xfff);
    expect(emulatePrivileged(hv, vcpu)).toBe(false);
  });

  test("the forced-emulation prefix is for cpuid alone", () => {
    const forced = (...bytes: number[]): boolean => {
      a.bytes.set([0x0f, 0x0b, 0x78, 0x65, 0x6e, ...bytes]);
      vcpu.cpu.setNum(Reg.RIP, FLAT);
      return emulateForced(hv, vcpu);
    };
    vcpu.cpu.setNum(Reg.RAX, 0x40000000);
    expect(forced(0x0f, 0xa2)).toBe(true);
    const text = [Reg.RBX, Reg.RCX, Reg.RDX].map((reg) => {
      const word = vcpu.cpu.lo(reg);
      return String.fromCharCode(word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24);
    });
    expect(text.join("")).toBe("XenVMMXenVMM");
    expect(vcpu.cpu.num(Reg.RIP)).toBe(FLAT + 7);
    expect(forced(0x0f, 0x32)).toBe(false);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(FLAT);
  });
});

// Emulation and selectors at their edges: every MSR that SUPPORT.md names, control registers, strings of ports in both
// directions and sizes, the I/O bitmap's ends, prefixes, and each bit of a descriptor that CS and SS need.
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { cpuidLeaf } from "../../../hypervisor/traps/cpuid.ts";
import { emulateForced, emulatePrivileged } from "../../../hypervisor/traps/emulate.ts";
import { codeSelectorOk, stackSelectorOk } from "../../../hypervisor/traps/segments.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import {
  __HYPERVISOR_mmuext_op,
  __HYPERVISOR_physdev_op,
  __HYPERVISOR_set_gdt,
  __HYPERVISOR_vm_assist,
  MMUEXT_SET_LDT,
} from "../../../shared/abi/xen.ts";
import type { Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

let hv: Hypervisor;
let a: BareDomain;
let vcpu: Vcpu;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1, { vcpus: 2 });
  vcpu = a.vcpu;
  hv.current = vcpu;
  vcpu.traps.set(13, 0, 0xe033, (FLAT + 0x700) as Va);
});

function run(...bytes: number[]): number | "#GP" {
  a.bytes.set(bytes);
  vcpu.cpu.setNum(Reg.RIP, FLAT);
  return emulatePrivileged(hv, vcpu) ? vcpu.cpu.num(Reg.RIP) - FLAT : "#GP";
}
const setIopl = (iopl: number): number => {
  a.view.setUint32(0x800, iopl, true);
  return a.call(__HYPERVISOR_physdev_op, 6, FLAT + 0x800);
};
const setBitmap = (va: bigint, ports: number): number => {
  a.view.setBigUint64(0x800, va, true);
  a.view.setUint32(0x808, ports, true);
  return a.call(__HYPERVISOR_physdev_op, 7, FLAT + 0x800);
};

describe("MSRs", () => {
  const write = (msr: number, value: bigint): boolean => {
    vcpu.cpu.setNum(Reg.RCX, msr);
    vcpu.cpu.setBig(Reg.RAX, value & 0xffffffffn);
    vcpu.cpu.setBig(Reg.RDX, value >> 32n);
    return run(0x0f, 0x30) === 2;
  };
  const read = (msr: number): bigint | "#GP" => {
    vcpu.cpu.setNum(Reg.RCX, msr);
    return run(0x0f, 0x32) === 2 ? (vcpu.cpu.big(Reg.RDX) << 32n) | vcpu.cpu.big(Reg.RAX) : "#GP";
  };

  test("read as SUPPORT.md says", () => {
    vcpu.cpu.setBig(Reg.FS_BASE, 0x7f0000001000n);
    vcpu.cpu.setBig(Reg.GS_BASE, 0xffffffff81000000n);
    vcpu.cpu.setBig(Reg.GS_BASE_OTHER, 0x7f0000002000n);
    for (const [msr, value] of [
      [0x8b, 0n],
      [0x179, 2n],
      [0x17a, 0n],
      [0x17b, 0n],
      [0x277, 0x0000050100070406n],
      [0xc0000080, 0xd01n],
      [0xc0000100, 0x7f0000001000n],
      [0xc0000101, 0xffffffff81000000n],
      [0xc0000102, 0x7f0000002000n],
      [0xc0010015, 0n],
      [0xc001001f, 0n],
      [0xc0011029, 2n],
      [0x3ff, "#GP"],
      [0x400, 0xffffffffffffffffn],
      [0x401, 0n],
      [0x404, 0xffffffffffffffffn],
      [0x407, 0n],
      [0x408, "#GP"],
      [0x40000000, "#GP"],
    ] as const)
      expect([msr, read(msr)]).toEqual([msr, value]);
    expect(read(0x1b)).toBe(0xfee00900n);
    hv.current = a.domain.vcpus[1];
    vcpu = hv.current;
    expect(read(0x1b)).toBe(0xfee00800n);
    hv.time.clock.advance(2 ** 33);
    const tsc = read(0x10) as bigint;
    expect(tsc >= 2n ** 33n && tsc <= BigInt(hv.time.now())).toBe(true);
  });

  test("written as SUPPORT.md says", () => {
    for (const [msr, value, ok] of [
      [0x10, 0n, false],
      [0x1b, 0xfee00900n, false],
      [0x8b, 0n, false],
      [0x17a, 5n, true],
      [0x17b, 5n, true],
      [0x179, 2n, false],
      [0x277, 0n, false],
      [0x400, 5n, true],
      [0x401, 0n, true],
      [0x401, 1n, false],
      [0x402, 1n << 32n, false],
      [0x407, 0n, true],
      [0x408, 0n, false],
      [0x3ff, 0n, false],
      [0xc0000080, 0xd01n, true],
      [0xc0000080, 0x1_0000_0d01n, false],
      [0xc0000080, 0x501n, false],
      [0xc0000100, 0xffff800000000000n, true],
      [0xc0000101, 0x800000000000n, false],
      [0xc0000102, 0xffff000000000000n, false],
      [0xc0010015, 1n, true],
      [0xc001001f, 1n, true],
      [0xc0011029, 2n, false],
    ] as const)
      expect([msr, value, write(msr, value)]).toEqual([msr, value, ok]);
    expect(vcpu.cpu.big(Reg.FS_BASE)).toBe(0xffff800000000000n);
  });

  test("the hypercall page's: fills a frame of one's own, page 0 alone", () => {
    const frame = BigInt(a.data + 40) << 12n;
    expect(write(0x40000000, frame | 1n)).toBe(false);
    expect(write(0x40000000, (BigInt(a.domain.sharedInfo) << 12n) + (1n << 40n))).toBe(false);
    expect(write(0x40000000, BigInt(a.vcpu.guestTable) << 12n)).toBe(false);
    expect(a.bytes[40 * 4096]).toBe(0);
    expect(write(0x40000000, frame)).toBe(true);
    expect(a.bytes[40 * 4096]).not.toBe(0);
  });
});

describe("control and debug registers", () => {
  test("CR0 but for TS, CR2 by the vcpu_info, CR3 by a table, CR4 not at all; no others", () => {
    vcpu.cpu.setBig(Reg.RAX, 0x1_8005_0033n);
    expect(run(0x0f, 0x22, 0xc0)).toBe("#GP");
    vcpu.cpu.setBig(Reg.RAX, 0x80050033n);
    hv.traps.setTs(vcpu, true);
    expect(run(0x0f, 0x20, 0xc3)).toBe(3);
    expect(vcpu.cpu.big(Reg.RBX)).toBe(0x8005003bn);
    expect(run(0x0f, 0x22, 0xc0)).toBe(3);
    expect(vcpu.cpu.field(CpuLayout.ts)).toBe(0);
    vcpu.cpu.setBig(Reg.RAX, 0xffff_8123_4567_89abn);
    expect(run(0x0f, 0x22, 0xd0)).toBe(3);
    expect(hv.memory.view.getBigUint64(vcpu.vcpuInfo + 16, true)).toBe(0xffff_8123_4567_89abn);
    expect(run(0x0f, 0x20, 0xd3)).toBe(3);
    expect(vcpu.cpu.big(Reg.RBX)).toBe(0xffff_8123_4567_89abn);
    for (const cr3 of [0n, 1n << 63n, BigInt(hv.memory.frames) << 12n, BigInt(a.data) << 12n]) {
      vcpu.cpu.setBig(Reg.RAX, cr3);
      expect([cr3, run(0x0f, 0x22, 0xd8)]).toEqual([cr3, "#GP"]);
    }
    vcpu.cpu.setNum(Reg.RAX, vcpu.guestTable * 4096);
    expect(run(0x0f, 0x22, 0xd8)).toBe(3);
    expect(run(0x0f, 0x22, 0xe0)).toBe(3);
    for (const modrm of [0xc8, 0xe8, 0xf0, 0xf8]) {
      expect([modrm, run(0x0f, 0x20, modrm)]).toEqual([modrm, "#GP"]);
      expect([modrm, run(0x0f, 0x22, modrm)]).toEqual([modrm, "#GP"]);
    }
  });

  test("DR0 to DR3 in the guest's range, DR6 and DR7 with their fixed bits and no breakpoints; 4 and 5 are 6 and 7", () => {
    const put = (reg: number, value: bigint): number | "#GP" => {
      vcpu.cpu.setBig(Reg.RAX, value);
      return run(0x0f, 0x23, 0xc0 | (reg << 3));
    };
    const get = (reg: number): bigint => {
      expect(run(0x0f, 0x21, 0xc3 | (reg << 3))).toBe(3);
      return vcpu.cpu.big(Reg.RBX);
    };
    for (const reg of [0, 1, 2, 3]) {
      expect([reg, put(reg, 0x1000n + BigInt(reg)), get(reg)]).toEqual([reg, 3, 0x1000n + BigInt(reg)]);
      expect([put(reg, 1n << 47n), put(reg, 0xffff800000000000n)]).toEqual(["#GP", "#GP"]);
      expect(get(reg)).toBe(0x1000n + BigInt(reg));
    }
    expect([put(6, 0xffffffffn), get(6), get(4)]).toEqual([3, 0xffffefffn, 0xffffefffn]);
    expect([put(4, 0n), get(6)]).toEqual([3, 0xffff0ff0n]);
    expect([put(6, 1n << 32n), put(7, 1n << 32n)]).toEqual(["#GP", "#GP"]);
    expect([put(7, 0xffff0700n & ~0x2000n), get(7)]).toEqual([3, 0xffff0700n]);
    for (const enable of [1n, 0x80n, 0x2000n]) expect([enable, put(7, enable)]).toEqual([enable, "#GP"]);
    expect([put(5, 0xfc00n & ~0x2000n), get(7)]).toEqual([3, 0x400n]);
    expect(run(0x44, 0x0f, 0x21, 0xc3)).toBe("#GP"); // DR8
    expect(run(0x44, 0x0f, 0x23, 0xc3)).toBe("#GP");
  });
});

describe("ports", () => {
  test("outs reads memory, one way or the other by DF; ins writes it; each of its size", () => {
    setIopl(1);
    const written: [number, number, number][] = [];
    vi.spyOn(hv, "portWrite").mockImplementation((_domain, port, bytes, value) => {
      written.push([port, bytes, value >>> 0]);
    });
    a.view.setBigUint64(0x2000, 0x8877665544332211n, true);
    const out = (dx: number, rsi: number, rcx: number, flags: number, ...bytes: number[]): number | "#GP" => {
      written.length = 0;
      vcpu.cpu.setNum(Reg.RDX, dx);
      vcpu.cpu.setNum(Reg.RSI, FLAT + rsi);
      vcpu.cpu.setNum(Reg.RCX, rcx);
      vcpu.cpu.set(Reg.RFLAGS, flags, 0);
      return run(...bytes);
    };
    expect(out(0x12345, 0x2000, 7, 0x202, 0x6e)).toBe(1);
    expect([written, vcpu.cpu.num(Reg.RSI), vcpu.cpu.num(Reg.RCX)]).toEqual([[[0x2345, 1, 0x11]], FLAT + 0x2001, 7]);
    expect(out(0x80, 0x2004, 2, 0x602, 0xf3, 0x6f)).toBe(2);
    expect(written).toEqual([
      [0x80, 4, 0x88776655],
      [0x80, 4, 0x44332211],
    ]);
    expect([vcpu.cpu.num(Reg.RSI), vcpu.cpu.num(Reg.RCX)]).toEqual([FLAT + 0x1ffc, 0]);
    expect(out(0x80, 0x2000, 2, 0x202, 0xf3, 0x66, 0x6f)).toBe(3);
    expect(written).toEqual([
      [0x80, 2, 0x2211],
      [0x80, 2, 0x4433],
    ]);
    expect(out(0x80, 0x2000, 0, 0x202, 0xf3, 0x6e)).toBe(2);
    expect(written).toEqual([]);
    expect(out(0x80, 0x2000, 300, 0x202, 0xf3, 0x6e)).toBe(0);
    expect([written.length, vcpu.cpu.num(Reg.RCX)]).toEqual([256, 44]);
    // With a segment base or 32-bit addresses, at an address that isn't canonical: not done.
    for (const bytes of [
      [0x64, 0x6e],
      [0x65, 0x6e],
      [0x67, 0x6e],
    ])
      expect([bytes, out(0x80, 0x2000, 1, 0x202, ...bytes)]).toEqual([bytes, "#GP"]);
    vcpu.cpu.set(Reg.RSI, 0, 0x8000);
    expect(run(0x6e)).toBe("#GP");
    // A page that isn't there: a fault for reading, and nothing written.
    vcpu.traps.set(14, 0, 0xe033, (FLAT + 0x900) as Va);
    vcpu.cpu.setNum(Reg.RSP, FLAT + 0x8000);
    written.length = 0;
    vcpu.cpu.setNum(Reg.RSI, 0x5000);
    expect(run(0x6e)).toBe(0x900);
    expect([written.length, a.view.getUint32(vcpu.cpu.num(Reg.RSP) - FLAT + 16, true)]).toEqual([0, 0]);
    vcpu.cpu.setNum(Reg.RSP, FLAT + 0x8000);
    vcpu.cpu.setNum(Reg.RDI, 0x5000);
    expect(run(0x6c)).toBe(0x900);
    expect(a.view.getUint32(vcpu.cpu.num(Reg.RSP) - FLAT + 16, true)).toBe(2);
  });

  test("the virtual IOPL: 1 is the kernel's, with the architectural assist 0 too; user mode needs 3; 4 is none", () => {
    expect([run(0xfa), run(0xe4, 0x80)]).toEqual(["#GP", "#GP"]);
    expect(a.call(__HYPERVISOR_vm_assist, 0, 4)).toBe(0);
    expect([run(0xfa), run(0xe4, 0x80)]).toEqual([1, 2]);
    expect(a.call(__HYPERVISOR_vm_assist, 1, 4)).toBe(0);
    expect(setIopl(4)).toBe(-22);
    expect(vcpu.iopl).toBe(0);
    for (const [iopl, kernel, user] of [
      [0, "#GP", "#GP"],
      [1, 2, "#GP"],
      [2, 2, "#GP"],
      [3, 2, 2],
    ] as const) {
      expect(setIopl(iopl)).toBe(0);
      vcpu.kernelMode = true;
      expect([iopl, run(0xe6, 0x80)]).toEqual([iopl, kernel]);
      vcpu.kernelMode = false;
      expect([iopl, run(0xe6, 0x80)]).toEqual([iopl, user]);
      vcpu.kernelMode = true;
    }
  });

  test("the bitmap: its last port, ports across a byte's end, beyond its number, and where it can't be read", () => {
    a.bytes.fill(0, 0x2000, 0x4000);
    expect(setBitmap(BigInt(FLAT + 0x2000), 65537)).toBe(-22);
    expect(setBitmap(BigInt(FLAT + 0x2000), 0x84)).toBe(0);
    const at = (port: number, opcode: number): number | "#GP" => {
      vcpu.cpu.setNum(Reg.RDX, port);
      return run(opcode);
    };
    expect([at(0x83, 0xec), at(0x84, 0xec), at(0x80, 0xed), at(0x81, 0xed)]).toEqual([1, "#GP", 1, "#GP"]);
    a.bytes[0x2010] = 0x01; // 0x80
    expect([at(0x80, 0xec), at(0x81, 0xec), at(0x7d, 0xed), at(0x7c, 0xed)]).toEqual(["#GP", 1, "#GP", 1]);
    expect(setBitmap(BigInt(FLAT + 0x2000), 65536)).toBe(0);
    expect([at(0xffff, 0xec), at(0xfffd, 0xed), at(0xfffc, 0xed)]).toEqual([1, "#GP", 1]);
    a.unmap(0x3000);
    expect([at(0x7ff0, 0xec), at(0x8000, 0xec), at(0x7ffd, 0xed)]).toEqual([1, "#GP", "#GP"]);
    expect(setBitmap(0x5000n, 65536)).toBe(0);
    expect(at(0x80, 0xec)).toBe("#GP");
    expect(setBitmap(0xffff800000000000n, 1)).toBe(-22);
  });
});

describe("cpuid", () => {
  test("each leaf as SUPPORT.md says, and zeros between", () => {
    const leaf = (a: number, c = 0): number[] => cpuidLeaf(hv, a, c);
    const text = (...words: number[]): string => new TextDecoder().decode(Uint32Array.from(words)).replace(/\0/g, "");
    expect(leaf(0)[0]).toBe(0xd);
    expect(text(leaf(0)[1], leaf(0)[3], leaf(0)[2])).toBe("AuthenticAMD");
    expect(leaf(0x80000000)[0]).toBe(0x80000008);
    expect(leaf(1)[0]).toBe(0x663);
    // The initial APIC id, the top byte, is 0 on every vcpu, as Xen 4.17 has it for PV domains.
    expect(leaf(1)[1]).toBe(0x10800);
    expect(text(...[2, 3, 4].flatMap((n) => leaf(0x80000000 + n)))).toBe("Xenolith virtual x86-64 processor");
    expect(leaf(0x80000008)[0]).toBe(0x3028);
    expect(leaf(0x40000000)[0]).toBe(0x40000005);
    expect(leaf(0x40000001)).toEqual([(4 << 16) | 17, 0, 0, 0]);
    expect(leaf(0x40000002)).toEqual([1, 0x40000000, 1, 0]);
    expect(leaf(0x40000003)).toEqual([2, 0, 1_000_000, 1]);
    expect(leaf(0x40000003, 1)).toEqual([0, 0, 0x80000000, 1]);
    expect(leaf(0x40000003, 2)).toEqual([1_000_000, 0, 0, 0]);
    expect(leaf(0x40000005)).toEqual([0, 25, 0, 0]); // 32 MiB of machine memory.
    for (const [a, c] of [
      [2, 0],
      [7, 0],
      [0xd, 0],
      [5, 0],
      [0x3fffffff, 0],
      [0x40000003, 3],
      [0x40000004, 0],
      [0x40000005, 1],
      [0x400000ff, 0],
      [0x40000100, 0],
      [0x40000101, 0],
      [0x80000009, 0],
      [0xffffffff, 0],
    ])
      expect([a, c, leaf(a, c)]).toEqual([a, c, [0, 0, 0, 0]]);
  });
});

describe("decoding", () => {
  test("REX counts only right before the opcode; prefixes in any order; 15 bytes at most", () => {
    expect(run(0x41, 0x66, 0x0f, 0x20, 0xd8)).toBe(5); // mov rax, cr3: the REX is lost.
    expect(vcpu.cpu.num(Reg.RAX)).toBe(vcpu.guestTable * 4096);
    expect(run(0x2e, 0x3e, 0x26, 0x36, 0x0f, 0x06)).toBe(6);
    expect(run(...new Array(13).fill(0x66), 0x0f, 0x06)).toBe(15);
    expect(run(...new Array(14).fill(0x66), 0x0f, 0x06)).toBe("#GP");
    expect(run(...new Array(15).fill(0x66))).toBe("#GP");
    expect(run(...new Array(12).fill(0x66), 0x0f, 0x20, 0xc0)).toBe(15);
    expect(run(...new Array(13).fill(0x66), 0x0f, 0x20, 0xc0)).toBe("#GP");
    expect(run(0x90)).toBe("#GP");
    vcpu.cpu.set(Reg.RIP, 0, 0x8000);
    expect(emulatePrivileged(hv, vcpu)).toBe(false);
    vcpu.cpu.setNum(Reg.RIP, 0x5000);
    expect(emulatePrivileged(hv, vcpu)).toBe(false);
  });

  test("the forced prefix needs all its bytes, and those of cpuid, where they can be read", () => {
    const forced = (at: number, ...bytes: number[]): boolean => {
      a.bytes.set(bytes, at);
      vcpu.cpu.setNum(Reg.RIP, FLAT + at);
      return emulateForced(hv, vcpu);
    };
    const good = [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2];
    expect(forced(0, ...good)).toBe(true);
    for (let i = 0; i < good.length; i++) {
      const bad = good.slice();
      bad[i] ^= 1;
      expect([i, forced(0, ...bad)]).toEqual([i, false]);
    }
    a.unmap(0x1000);
    expect(forced(0x1000 - 7, ...good)).toBe(true);
    expect(forced(0x1000 - 6, ...good.slice(0, 6))).toBe(false);
    expect(forced(0x1000 - 4, ...good.slice(0, 4))).toBe(false);
    vcpu.cpu.set(Reg.RIP, 0, 0x8000);
    expect(emulateForced(hv, vcpu)).toBe(false);
  });
});

describe("selectors", () => {
  const code = (s: number): boolean => codeSelectorOk(hv, vcpu, s);
  const stack = (s: number): boolean => stackSelectorOk(hv, vcpu, s);
  const CODE = 0x00affb000000ffffn;
  const DATA = 0x00cff3000000ffffn;

  test("of the LDT: each bit that CS and SS need", () => {
    const entries: [bigint, boolean, boolean][] = [
      [CODE, true, false],
      [DATA, false, true],
      [CODE & ~(1n << 47n), false, false], // not present
      [CODE & ~(1n << 44n), false, false], // a system segment
      [CODE & ~(1n << 53n), false, false], // not 64-bit
      [CODE | (1n << 54n), false, false], // 64-bit and 32-bit at once
      [CODE & ~(1n << 41n), true, false], // not readable: fine for code
      [DATA & ~(1n << 47n), false, false],
      [DATA & ~(1n << 44n), false, false],
      [DATA & ~(1n << 41n), false, false], // not writable
    ];
    entries.forEach(([descriptor], i) => {
      a.view.setBigUint64(0x1000 + i * 8, descriptor, true);
    });
    a.view.setUint32(0, MMUEXT_SET_LDT, true);
    a.view.setBigUint64(8, BigInt(FLAT + 0x1000), true);
    a.view.setBigUint64(16, BigInt(entries.length), true);
    expect(a.call(__HYPERVISOR_mmuext_op, FLAT, 1, 0, 0x7ff0)).toBe(0);
    entries.forEach(([descriptor, c, s], i) => {
      const selector = (i << 3) | 7;
      expect([descriptor.toString(16), code(selector), stack(selector)]).toEqual([descriptor.toString(16), c, s]);
    });
    const beyond = (entries.length << 3) | 7;
    a.view.setBigUint64(0x1000 + entries.length * 8, CODE, true);
    expect([code(beyond), stack(beyond)]).toEqual([false, false]);
    a.unmap(0x1000);
    expect([code(7), stack(15)]).toEqual([false, false]);
  });

  test("of the GDT: within its entries and below Xen's own, which stand for themselves", () => {
    const page = a.data + 60;
    a.view.setBigUint64(60 * 4096 + 8, CODE, true);
    a.view.setBigUint64(60 * 4096 + 16, DATA, true);
    a.view.setBigUint64(60 * 4096 + 24, CODE, true);
    a.unmap(60 * 4096);
    a.view.setBigUint64(0, BigInt(page), true);
    expect(a.call(__HYPERVISOR_set_gdt, FLAT, 3)).toBe(0);
    expect([code(0xb), stack(0x13), stack(0xb), code(0x13)]).toEqual([true, true, false, false]);
    expect(code(0x1b)).toBe(false); // The fourth of three.
    expect([code(3), stack(3), code(0), stack(0)]).toEqual([false, false, false, false]);
    expect([code(0xe033), stack(0xe02b), code(0xe02b), stack(0xe033)]).toEqual([true, true, false, false]);
    expect([code(0xe003), stack(0xfffb)]).toEqual([false, false]);
  });
});

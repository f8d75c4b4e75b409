// How a kernel is entered at a handler and left by iret: the frame on the stack, word by word, and every way in which a
// guest's stack or frame can be wrong.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg, Seg } from "../../../hypervisor/machine/cpu_state.ts";
import { PageType } from "../../../hypervisor/memory/frame_table.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import {
  __HYPERVISOR_callback_op,
  __HYPERVISOR_iret,
  __HYPERVISOR_set_callbacks,
  __HYPERVISOR_set_trap_table,
  __HYPERVISOR_stack_switch,
  __HYPERVISOR_vm_assist,
} from "../../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const STACK = 0x8000;
const HANDLER = FLAT + 0x100;
let hv: Hypervisor;
let a: BareDomain;
let vcpu: Vcpu;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1);
  vcpu = a.vcpu;
  hv.current = vcpu;
  hv.memory.u8[vcpu.vcpuInfo + 1] = 0;
  const { cpu } = vcpu;
  for (let reg = 0; reg < 16; reg++) cpu.setNum(reg, 0x1111 * reg);
  cpu.setNum(Reg.RSP, FLAT + STACK - 3); // Not aligned, on purpose.
  cpu.setNum(Reg.RIP, FLAT + 0x500);
  cpu.set(Reg.RFLAGS, 0x50746, 0); // RF, AC, TF, IF, DF and arithmetic flags.
});

function handler(vector: number, flags = 0): void {
  vcpu.traps.set(vector, flags, 0xe033, HANDLER as Va);
}

const stack = (offset: number): bigint[] =>
  Array.from({ length: (STACK - offset) / 8 }, (_, i) => a.view.getBigUint64(offset + i * 8, true));
const rsp = (): number => vcpu.cpu.num(Reg.RSP) - FLAT;

describe("a frame in kernel mode", () => {
  test("an exception with an error code: rcx, r11, code, rip, cs without RPL, rflags, rsp, ss", () => {
    handler(13);
    hv.traps.inject(vcpu, 13, 0x18);
    // The stack is aligned to 16 downwards first.
    expect(rsp()).toBe(STACK - 16 - 64);
    expect(stack(rsp()).slice(0, 8)).toEqual([
      0x1111n,
      BigInt(0x1111 * 11),
      0x18n,
      BigInt(FLAT + 0x500),
      0xe030n,
      0x50746n,
      BigInt(FLAT + STACK - 3),
      0xe02bn,
    ]);
    const { cpu } = vcpu;
    expect(cpu.num(Reg.RIP)).toBe(HANDLER);
    expect([cpu.selector(Seg.CS), cpu.selector(Seg.SS)]).toEqual([0xe033, 0xe02b]);
    expect(cpu.num(Reg.RFLAGS)).toBe(0x646); // TF, RF, AC cleared; DF and IF stay.
    expect(cpu.num(Reg.RCX)).toBe(HANDLER); // Xen returns by sysret.
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(0);
  });

  test("RF shows in the frames of faults, and in no others", () => {
    const pushed = (): bigint => stack(rsp())[vcpu.cpu.num(Reg.RIP) === HANDLER ? 4 : 5];
    vcpu.cpu.set(Reg.RFLAGS, 0x246, 0);
    handler(6);
    hv.traps.inject(vcpu, 6, 0);
    expect(pushed()).toBe(0x10246n);
    vcpu.cpu.set(Reg.RFLAGS, 0x10246, 0);
    handler(1);
    hv.traps.inject(vcpu, 1, 0);
    expect(pushed()).toBe(0x246n);
  });

  test("the upcall mask is saved beside CS and shown as IF, and set when the trap table says so", () => {
    handler(6, 4);
    hv.memory.u8[vcpu.vcpuInfo + 1] = 1;
    hv.traps.inject(vcpu, 6, 0);
    expect(rsp()).toBe(STACK - 16 - 56 - 8 + 8);
    const [, , , cs, rflags] = stack(rsp());
    expect(cs).toBe(0x1_0000_e030n);
    expect(rflags & 0x200n).toBe(0n);
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(1);
  });

  test("a page fault tells the address in vcpu_info, and the guest's own mode in the error code", () => {
    handler(14);
    vcpu.cpu.set(Reg.CR2, 0x1234, 0xffff8123);
    hv.traps.inject(vcpu, 14, 7);
    expect(stack(rsp())[2]).toBe(3n);
    expect(hv.memory.view.getBigUint64(vcpu.vcpuInfo + 16, true)).toBe(0xffff812300001234n);
  });

  test("with the architectural IOPL assist the frame shows the virtual IOPL", () => {
    handler(6);
    vcpu.iopl = 1;
    hv.traps.inject(vcpu, 6, 0);
    expect(stack(rsp())[4] & 0x3000n).toBe(0n);
    expect(a.call(__HYPERVISOR_vm_assist, 0, 4)).toBe(0);
    hv.traps.inject(vcpu, 6, 0);
    expect(stack(rsp())[4] & 0x3000n).toBe(0x1000n);
  });

  test("#NM clears TS, so that its handler may use the FPU", () => {
    handler(7);
    hv.traps.setTs(vcpu, true);
    vcpu.cpu.setField(CpuLayout.vector, 7);
    hv.traps.exception(vcpu);
    expect([vcpu.cr0Ts, vcpu.cpu.field(CpuLayout.ts)]).toEqual([false, 0]);
  });

  test("an event masks upcalls and enters the event callback; a masked or missing one does not", () => {
    expect(a.call(__HYPERVISOR_set_callbacks, HANDLER, HANDLER + 1, HANDLER + 2)).toBe(0);
    vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
    hv.memory.u8[vcpu.vcpuInfo] = 1;
    hv.memory.u8[vcpu.vcpuInfo + 1] = 1;
    hv.traps.deliverPending(vcpu);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(FLAT + 0x500);
    hv.memory.u8[vcpu.vcpuInfo + 1] = 0;
    hv.traps.deliverPending(vcpu);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(HANDLER);
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(1);
  });

  test("an NMI goes first, and the next waits until iret", () => {
    a.view.setUint16(0, 4, true); // CALLBACKTYPE_nmi
    a.view.setUint16(2, 0, true);
    a.view.setBigUint64(8, BigInt(HANDLER), true);
    expect(a.call(__HYPERVISOR_callback_op, 0, FLAT)).toBe(0);
    vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
    vcpu.nmiPending = true;
    hv.traps.deliverPending(vcpu);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(HANDLER);
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(1);
    const first = rsp();
    vcpu.nmiPending = true;
    hv.traps.deliverPending(vcpu);
    expect(rsp()).toBe(first);
    vcpu.nmiMasked = false;
    hv.traps.deliverPending(vcpu);
    expect(rsp()).toBe(first - 56 - (first % 16));
  });
});

describe("what can't be delivered ends the domain, and only it", () => {
  const crashed = (reason: RegExp): void => {
    expect([a.domain.isShutDown, a.domain.shutdownReason]).toEqual([true, 3]);
    expect(hv.log.read(0, 1e6)).toMatch(reason);
  };

  test("no handler", () => {
    hv.traps.inject(vcpu, 6, 0);
    crashed(/no handler for #UD/);
  });

  for (const [what, lo, hi] of [
    ["not mapped", 0x12345000, 0],
    ["not canonical", 0, 0x8000],
    ["in Xen's part", 0x1000, 0xffff8000],
    ["just above the hole, so that the frame would reach into it", 0x10, 0xffff8000],
    ["in the last page before the wrap", 0, 0],
  ] as const)
    test(`a stack ${what}`, () => {
      handler(6);
      vcpu.cpu.set(Reg.RSP, lo, hi);
      hv.traps.inject(vcpu, 6, 0);
      crashed(/can't take an exception frame/);
    });

  test("an event without a callback", () => {
    hv.memory.u8[vcpu.vcpuInfo] = 1;
    hv.traps.deliverPending(vcpu);
    crashed(/no handler where one was to be entered/);
  });

  test("iret with its frame out of reach, or to user mode without a user table", () => {
    vcpu.cpu.set(Reg.RSP, 0x12345000, 0);
    a.call(__HYPERVISOR_iret);
    crashed(/reading its iret context/);
  });

  test("iret to user mode without a user table", () => {
    frame({ cs: 0xe033 });
    a.call(__HYPERVISOR_iret);
    crashed(/without a user page table/);
  });
});

/** Puts an iret_context onto the stack and points RSP at it. */
function frame(fields: { cs?: number; rip?: bigint; rflags?: number; flags?: number; ss?: number }): void {
  const words = [
    0xaan, // rax
    0x11n, // r11
    0xccn, // rcx
    BigInt(fields.flags ?? 0),
    fields.rip ?? BigInt(FLAT + 0x700),
    BigInt(fields.cs ?? 0xe030),
    BigInt(fields.rflags ?? 0x246),
    BigInt(FLAT + 0x3000),
    BigInt(fields.ss ?? 0xe02b),
  ];
  words.forEach((word, i) => {
    a.view.setBigUint64(0x6000 + i * 8, word, true);
  });
  vcpu.cpu.setNum(Reg.RSP, FLAT + 0x6000);
}

describe("iret", () => {
  test("loads all of the frame; IF becomes the upcall mask; IOPL and VM are not the guest's to set", () => {
    frame({ rflags: 0x23046 });
    a.call(__HYPERVISOR_iret);
    const { cpu } = vcpu;
    expect([Reg.RAX, Reg.RCX, Reg.R11, Reg.RIP, Reg.RSP].map((r) => cpu.num(r))).toEqual([
      0xaa,
      0xcc,
      0x11,
      FLAT + 0x700,
      FLAT + 0x3000,
    ]);
    expect(cpu.num(Reg.RFLAGS)).toBe(0x246);
    expect([cpu.selector(Seg.CS), cpu.selector(Seg.SS)]).toEqual([0xe033, 0xe02b]);
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(1);
  });

  test("from a system call it leaves RCX and R11 as sysret does", () => {
    frame({ flags: 0x100 });
    a.call(__HYPERVISOR_iret);
    expect(vcpu.cpu.num(Reg.RCX)).toBe(FLAT + 0x700);
    expect(vcpu.cpu.num(Reg.R11)).toBe(0x246);
  });

  test("a target that can't be loaded is #GP there, with the selector", () => {
    handler(13);
    frame({ cs: 0x1000 });
    a.call(__HYPERVISOR_iret);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(HANDLER);
    const at = vcpu.cpu.num(Reg.RSP) - FLAT;
    expect(a.view.getBigUint64(at + 16, true)).toBe(0x1000n);
    expect(a.view.getBigUint64(at + 24, true)).toBe(BigInt(FLAT + 0x700));
    frame({ rip: 0x8000_0000_0000n });
    a.call(__HYPERVISOR_iret);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(HANDLER);
  });
});

describe("user mode", () => {
  beforeEach(() => {
    // The kernel's own table serves as the user's too, as some kernels have it.
    const l4 = vcpu.guestTable;
    expect(hv.mm.setGuestTable(vcpu, l4, true)).toBe(0);
    expect(hv.mm.types.get(l4 as Mfn, PageType.L4)).toBe(0);
    hv.mm.types.put(l4);
    expect(a.call(__HYPERVISOR_stack_switch, 0xe02b, FLAT + STACK)).toBe(0);
    vcpu.cpu.setNum(Reg.GS_BASE, 0x111000);
    vcpu.cpu.setNum(Reg.GS_BASE_OTHER, 0x222000);
    frame({ cs: 0xe033 });
    a.call(__HYPERVISOR_iret);
    expect(vcpu.kernelMode).toBe(false);
    expect(vcpu.cpu.num(Reg.GS_BASE)).toBe(0x222000);
  });

  test("an exception enters the kernel on the stack of stack_switch, with the kernel's GS, CS with RPL 3", () => {
    handler(14);
    vcpu.cpu.setNum(Reg.CR2, 0x5000);
    hv.traps.inject(vcpu, 14, 0);
    expect(vcpu.kernelMode).toBe(true);
    expect(vcpu.cpu.num(Reg.GS_BASE)).toBe(0x111000);
    expect(rsp()).toBe(STACK - 64);
    const words = stack(rsp());
    expect([words[2], words[4], words[6]]).toEqual([4n, 0xe033n, BigInt(FLAT + 0x3000)]);
  });

  test("syscall enters the syscall callback with DF clear; without one it is #UD at the instruction", () => {
    vcpu.cpu.set(Reg.RFLAGS, 0x602, 0);
    vcpu.cpu.setNum(Reg.RIP, FLAT + 0x702); // After the instruction.
    handler(6);
    hv.traps.userSyscall(vcpu);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(HANDLER);
    expect(stack(rsp())[2]).toBe(BigInt(FLAT + 0x700));

    frame({ cs: 0xe033, rflags: 0x646 });
    a.call(__HYPERVISOR_iret);
    expect(a.call(__HYPERVISOR_set_callbacks, HANDLER, HANDLER, HANDLER + 0x40)).toBe(0);
    vcpu.cpu.setNum(Reg.RIP, FLAT + 0x702);
    hv.traps.userSyscall(vcpu);
    expect(vcpu.cpu.num(Reg.RIP)).toBe(HANDLER + 0x40);
    expect(vcpu.cpu.num(Reg.RFLAGS) & 0x400).toBe(0);
    expect(stack(rsp())[4] & 0x400n).toBe(0x400n);
  });

  test("int n needs the DPL of the mode: else #GP at the instruction with the vector in the code", () => {
    handler(13);
    handler(0x21, 1); // For the kernel.
    handler(0x22, 3); // For programs too.
    const raise = (vector: number): number => {
      if (vcpu.kernelMode) {
        frame({ cs: 0xe033 });
        a.call(__HYPERVISOR_iret);
      }
      vcpu.cpu.setNum(Reg.RIP, FLAT + 0x702);
      vcpu.cpu.setField(CpuLayout.vector, vector);
      hv.traps.softInterrupt(vcpu);
      return rsp();
    };
    let at = raise(0x21);
    expect([a.view.getUint32(at + 16, true), a.view.getUint32(at + 24, true)]).toEqual([(0x21 << 3) | 2, FLAT + 0x700]);
    at = raise(0x22);
    expect(a.view.getUint32(at + 16, true)).toBe(FLAT + 0x702);
  });
});

describe("set_trap_table", () => {
  test("takes entries up to the one with address 0, refuses addresses that are not canonical", () => {
    const put = (i: number, vector: number, flags: number, address: bigint): void => {
      a.view.setUint8(i * 16, vector);
      a.view.setUint8(i * 16 + 1, flags);
      a.view.setUint16(i * 16 + 2, 0xe033, true);
      a.view.setBigUint64(i * 16 + 8, address, true);
    };
    put(0, 3, 3, 0xffffffff81000000n);
    put(1, 255, 4, 0x1000n);
    put(2, 5, 0, 0n);
    put(3, 6, 0, 0x2000n);
    expect(a.call(__HYPERVISOR_set_trap_table, FLAT)).toBe(0);
    expect([3, 255, 6].map((v) => vcpu.traps.address(v))).toEqual([0xffff81000000, 0x1000, 0]);
    expect([vcpu.traps.dpl(3), vcpu.traps.masksEvents(255)]).toEqual([3, true]);
    put(1, 4, 0, 0x800000000000n);
    expect(a.call(__HYPERVISOR_set_trap_table, FLAT)).toBe(-22);
    expect(a.call(__HYPERVISOR_set_trap_table, 0)).toBe(0);
    expect(vcpu.traps.address(3)).toBe(0);
    expect(a.call(__HYPERVISOR_set_trap_table, 0x10)).toBe(-14);
  });
});

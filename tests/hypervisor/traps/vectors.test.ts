// Every vector: who may raise it, where it arrives and with what; delivery upon delivery; and what can't be delivered.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import {
  __HYPERVISOR_callback_op,
  __HYPERVISOR_iret,
  __HYPERVISOR_nmi_op,
  __HYPERVISOR_set_trap_table,
  __HYPERVISOR_stack_switch,
  __HYPERVISOR_vm_assist,
} from "../../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const STACK = 0x8000;
const RIP = FLAT + 0x502;
/** Exceptions with an error code (Intel SDM volume 3, table 6-1). */
const WITH_CODE = [8, 10, 11, 12, 13, 14, 17];
let hv: Hypervisor;
let a: BareDomain;
let vcpu: Vcpu;

const handlerOf = (vector: number): number => FLAT + 0x10000 + vector * 16;
const rsp = (): number => vcpu.cpu.num(Reg.RSP) - FLAT;
const word = (i: number): bigint => a.view.getBigUint64(rsp() + i * 8, true);
const rip = (): number => vcpu.cpu.num(Reg.RIP);

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1);
  vcpu = a.vcpu;
  hv.current = vcpu;
  reset();
});

function reset(): void {
  hv.memory.u8[vcpu.vcpuInfo + 1] = 0;
  vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
  vcpu.cpu.setNum(Reg.RIP, RIP);
  vcpu.cpu.set(Reg.RFLAGS, 0x246, 0);
}

/** Handlers for all vectors, each at its own address, with the same DPL and flags. */
function handlers(flags: number): void {
  for (let vector = 0; vector < 256; vector++) vcpu.traps.set(vector, flags, 0xe033, handlerOf(vector) as Va);
}

function interrupt(vector: number): void {
  vcpu.cpu.setField(CpuLayout.vector, vector);
  hv.traps.softInterrupt(vcpu);
}

/** Enters user mode, whose table is the kernel's. */
function toUser(): void {
  if (vcpu.guestTableUser === 0) expect(hv.mm.setGuestTable(vcpu, vcpu.guestTable, true)).toBe(0);
  a.call(__HYPERVISOR_stack_switch, 0xe02b, FLAT + STACK);
  [0, 0, 0, 0, RIP, 0xe033, 0x246, FLAT + 0x3000, 0xe02b].forEach((value, i) => {
    a.view.setBigUint64(0x6000 + i * 8, BigInt(value), true);
  });
  vcpu.cpu.setNum(Reg.RSP, FLAT + 0x6000);
  a.call(__HYPERVISOR_iret);
  expect(vcpu.kernelMode).toBe(false);
}

describe("exceptions", () => {
  test("each of 0 to 31 arrives at its own handler, with an error code where the processor pushes one", () => {
    handlers(0);
    for (let vector = 0; vector < 32; vector++) {
      reset();
      hv.traps.inject(vcpu, vector, 0x5a);
      expect([vector, rip()]).toEqual([vector, handlerOf(vector)]);
      const code = WITH_CODE.includes(vector);
      expect([vector, STACK - rsp()]).toEqual([vector, code ? 64 : 56]);
      expect([vector, word(code ? 3 : 2)]).toEqual([vector, BigInt(RIP)]);
      if (code) expect([vector, word(2) & 0xfbn]).toEqual([vector, 0x5an & 0xfbn]);
    }
  });

  test("one upon the other: the second's frame lies below the first's, and shows the first handler", () => {
    handlers(0);
    hv.traps.inject(vcpu, 13, 8);
    const first = rsp();
    hv.traps.inject(vcpu, 14, 2);
    expect(first - rsp()).toBe(64);
    expect(word(3)).toBe(BigInt(handlerOf(13)));
    expect(word(6)).toBe(BigInt(FLAT + first));
    expect(rip()).toBe(handlerOf(14));
  });

  test("a stack that grows into a page that isn't there ends the domain at the frame that doesn't fit", () => {
    handlers(0);
    a.unmap(STACK - 4096);
    let frames = 0;
    vcpu.cpu.setNum(Reg.RSP, FLAT + STACK + 256);
    while (!a.domain.isShutDown && frames < 100) {
      hv.traps.inject(vcpu, 13, 0);
      frames++;
    }
    expect(frames).toBe(5);
    expect(hv.log.read(0, 1e6)).toContain(`its kernel stack at 0x${(FLAT + STACK).toString(16)} can't take`);
  });

  test("a stack pointer that is not canonical is said to be so", () => {
    handlers(0);
    vcpu.cpu.set(Reg.RSP, 0, 0x8000);
    hv.traps.inject(vcpu, 13, 0);
    expect(hv.log.read(0, 1e6)).toContain("its kernel stack at an address that is not canonical can't take");
  });

  test("a frame never lies on both sides of the hole, though its lower part be mapped", () => {
    // The last page of the lower half, by tables of its own.
    const [l3, l2, l1] = [0, 1, 2].map(() => a.domain.memory.alloc() as Mfn);
    const put = (table: number, mfn: number): void => {
      hv.memory.u32[table * 1024 + 1022] = mfn * 4096 + 7;
    };
    put(l3, l2);
    put(l2, l1);
    put(l1, a.data);
    expect(hv.mm.setEntry(4, vcpu.guestTable * 1024 + 510, l3 * 4096 + 7, 0, a.domain.id)).toBe(0);
    handlers(0);
    vcpu.cpu.set(Reg.RSP, 0xfffff800, 0x7fff);
    hv.traps.inject(vcpu, 6, 0);
    expect(a.domain.isShutDown).toBe(false);
    expect(vcpu.cpu.num(Reg.RSP)).toBe(0x7ffffffff800 - 64 + 8);
    vcpu.cpu.set(Reg.RSP, 0, 0xffff8000);
    hv.traps.inject(vcpu, 6, 0);
    expect(a.domain.isShutDown).toBe(true);
  });

  test("a vector without a handler ends the domain, whichever it is", () => {
    for (const vector of [0, 5, 19, 31]) {
      const b = new BareDomain(hv, 10 + vector);
      hv.traps.inject(b.vcpu, vector, 0);
      expect([vector, b.domain.isShutDown]).toEqual([vector, true]);
    }
    expect(hv.log.read(0, 1e6)).toMatch(/no handler for #DE[\s\S]*no handler for vector 5/);
  });
});

describe("int n", () => {
  test("each vector of DPL 3 arrives from user mode without an error code, at the instruction's end", () => {
    handlers(3);
    for (let vector = 0; vector < 256; vector++) {
      toUser();
      interrupt(vector);
      expect([vector, rip(), word(2)]).toEqual([vector, handlerOf(vector), BigInt(RIP)]);
      expect([vector, STACK - rsp()]).toEqual([vector, 56]);
    }
  });

  test("DPL 0 is nobody's, 1 and 2 the kernel's, 3 everybody's; int3 and into are free", () => {
    for (const [dpl, user, kernel] of [
      [0, false, false],
      [1, false, true],
      [2, false, true],
      [3, true, true],
    ] as const) {
      handlers(dpl);
      for (const vector of [0, 2, 5, 8, 14, 32, 0x21, 255]) {
        reset();
        interrupt(vector);
        expect([dpl, vector, rip() === handlerOf(vector)]).toEqual([dpl, vector, kernel]);
        toUser();
        interrupt(vector);
        expect([dpl, vector, rip() === handlerOf(vector)]).toEqual([dpl, vector, user]);
        if (user) continue;
        expect([rip(), word(2), word(3)]).toEqual([handlerOf(13), BigInt((vector << 3) | 2), BigInt(RIP - 2)]);
      }
      for (const vector of [3, 4]) {
        toUser();
        interrupt(vector);
        expect([vector, rip()]).toEqual([vector, handlerOf(vector)]);
      }
    }
  });

  test("0x80 needs no DPL once it has a handler, and is #GP before", () => {
    handlers(0);
    toUser();
    interrupt(0x80);
    expect(rip()).toBe(handlerOf(0x80));
    vcpu.traps.set(0x80, 3, 0xe033, 0 as Va);
    toUser();
    interrupt(0x7f);
    expect(rip()).toBe(handlerOf(13));
    vcpu.traps.set(0x80, 0, 0xe033, 0 as Va);
    toUser();
    interrupt(0x80);
    expect(rip()).toBe(handlerOf(13));
  });

  test("int1, of one byte, is free; int 1, of two, is not", () => {
    handlers(0);
    a.bytes[0x501] = 0xf1;
    interrupt(1);
    expect([rip(), word(2)]).toEqual([handlerOf(1), BigInt(RIP)]);
    reset();
    a.bytes.set([0xcd, 1], 0x500);
    interrupt(1);
    expect([rip(), word(3)]).toEqual([handlerOf(13), BigInt(RIP - 2)]);
    // At an address of which the byte can't be read, it counts as the longer one.
    vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
    vcpu.cpu.setNum(Reg.RIP, 0x1002);
    interrupt(1);
    expect([rip(), word(3)]).toEqual([handlerOf(13), 0x1000n]);
    vcpu.cpu.setNum(Reg.RSP, FLAT + STACK);
    vcpu.cpu.set(Reg.RIP, 2, 0x8000);
    interrupt(1);
    expect(rip()).toBe(handlerOf(13));
  });
});

describe("the trap table", () => {
  const entry = (at: number, vector: number, flags: number, address: bigint): void => {
    a.view.setUint8(at, vector);
    a.view.setUint8(at + 1, flags);
    a.view.setUint16(at + 2, 0xe033, true);
    a.view.setBigUint64(at + 8, address, true);
  };

  test("an array that ends in a page that isn't there is taken up to it", () => {
    a.unmap(0x3000);
    for (let i = 0; i < 4; i++) entry(0x3000 - 64 + i * 16, 32 + i, 0, 0x1000n);
    expect(a.call(__HYPERVISOR_set_trap_table, FLAT + 0x3000 - 64)).toBe(-14);
    expect([32, 33, 34, 35].map((v) => vcpu.traps.address(v))).toEqual([0x1000, 0x1000, 0x1000, 0x1000]);
  });

  test("the upper half of an address counts, for what ends the array and for what is canonical", () => {
    entry(0, 32, 0, 0xffff800000000000n);
    entry(16, 33, 0, 0x00007fffffffffffn);
    entry(32, 34, 0, 0x0000800000000000n);
    expect(a.call(__HYPERVISOR_set_trap_table, FLAT)).toBe(-22);
    expect([32, 33, 34].map((v) => vcpu.traps.address(v))).toEqual([0x800000000000, 0x7fffffffffff, 0]);
  });

  test("an array at an address that is not canonical, or the hypervisor's, is not read", () => {
    expect(a.call(__HYPERVISOR_set_trap_table, 1n << 47n)).toBe(-14);
    expect(a.call(__HYPERVISOR_set_trap_table, 0xffff800000000000n)).toBe(-14);
  });
});

describe("NMIs", () => {
  const pend = (): void => {
    vcpu.nmiPending = true;
    hv.traps.deliverPending(vcpu);
  };

  test("nmi_op registers the callback of vcpu 0's kernel and takes it away", () => {
    a.view.setBigUint64(0, BigInt(handlerOf(2)), true);
    expect(a.call(__HYPERVISOR_nmi_op, 0, FLAT)).toBe(0);
    pend();
    expect(rip()).toBe(handlerOf(2));
    expect(a.call(__HYPERVISOR_nmi_op, 1, 0)).toBe(0);
    vcpu.nmiMasked = false;
    reset();
    pend();
    expect(rip()).toBe(RIP);
    expect(a.call(__HYPERVISOR_nmi_op, 7, 0)).toBe(-38);
  });

  test("an address that is not canonical is refused by callback_op, and unregister is for NMIs alone", () => {
    a.view.setUint16(0, 4, true);
    a.view.setBigUint64(8, 1n << 47n, true);
    expect(a.call(__HYPERVISOR_callback_op, 0, FLAT)).toBe(-22);
    expect(vcpu.traps.address(2)).toBe(0);
    handlers(0);
    expect(a.call(__HYPERVISOR_callback_op, 1, FLAT)).toBe(0);
    expect(vcpu.traps.address(2)).toBe(0);
    for (const [type, result] of [
      [0, -22],
      [1, -22],
      [2, -22],
      [5, -22],
      [7, -22],
      [9, -38],
    ]) {
      a.view.setUint16(0, type, true);
      expect([type, a.call(__HYPERVISOR_callback_op, 1, FLAT)]).toEqual([type, result]);
    }
    expect(a.call(__HYPERVISOR_callback_op, 2, FLAT)).toBe(-38);
    expect(a.call(__HYPERVISOR_callback_op, 0, 0)).toBe(-14);
    expect(a.call(__HYPERVISOR_callback_op, 1, 0)).toBe(-14);
  });

  test("while one is handled, events wait for their mask only; after iret the next NMI comes", () => {
    handlers(0);
    vcpu.traps.set(2, 4, 0xe033, handlerOf(2) as Va);
    vcpu.eventCallback = (FLAT + 0x20000) as Va;
    hv.memory.u8[vcpu.vcpuInfo] = 1;
    pend();
    expect([rip(), hv.memory.u8[vcpu.vcpuInfo + 1]]).toEqual([handlerOf(2), 1]);
    hv.traps.deliverPending(vcpu);
    expect(rip()).toBe(handlerOf(2));
    hv.memory.u8[vcpu.vcpuInfo + 1] = 0;
    pend();
    expect(rip()).toBe(FLAT + 0x20000); // The NMI is still masked, the event is not.
    expect(vcpu.nmiPending).toBe(true);
  });

  test("without a handler it is dropped, and an event goes ahead", () => {
    vcpu.eventCallback = (FLAT + 0x20000) as Va;
    hv.memory.u8[vcpu.vcpuInfo] = 1;
    pend();
    expect([rip(), vcpu.nmiPending, vcpu.nmiMasked]).toEqual([FLAT + 0x20000, false, false]);
  });
});

describe("iret", () => {
  const iret = (fields: Partial<Record<"flags" | "rip" | "cs" | "rflags" | "rsp" | "ss", bigint>>): void => {
    const f = { flags: 0n, rip: BigInt(RIP), cs: 0xe030n, rflags: 0x246n, rsp: BigInt(FLAT + 0x3000), ss: 0xe02bn };
    const all = { ...f, ...fields };
    [0n, 0n, 0n, all.flags, all.rip, all.cs, all.rflags, all.rsp, all.ss].forEach((value, i) => {
      a.view.setBigUint64(0x6000 + i * 8, value, true);
    });
    vcpu.cpu.setNum(Reg.RSP, FLAT + 0x6000);
    a.call(__HYPERVISOR_iret);
  };

  test("selectors: null, beyond the table, the hypervisor's, of the LDT without one: #GP with the selector", () => {
    handlers(0);
    for (const [cs, ss, code] of [
      [0n, 0xe02bn, 0],
      [0x8n, 0xe02bn, 8],
      [0xfff8n, 0xe02bn, 0xfff8],
      [0xcn, 0xe02bn, 0xc],
      [0xe008n, 0xe02bn, 0xe008],
      [0xe030n, 0n, 0],
      [0xe030n, 0x10n, 0x10],
      [0xe030n, 0xe033n, 0xe030],
      [0xe030n, 0x14n, 0x14],
    ] as const) {
      iret({ cs, ss });
      expect([cs, ss, rip(), word(2)]).toEqual([cs, ss, handlerOf(13), BigInt(code)]);
    }
    expect(a.domain.isShutDown).toBe(false);
  });

  test("a rip that is not canonical is #GP(0) there; a stack pointer that isn't is loaded and does no harm until used", () => {
    handlers(0);
    iret({ rip: 0x8000_0000_0000n });
    expect([rip(), word(2), word(3)]).toEqual([handlerOf(13), 0n, 0x8000_0000_0000n]);
    iret({ rsp: 0x8000_0000_0000n });
    expect(rip()).toBe(RIP);
    expect(vcpu.cpu.big(Reg.RSP)).toBe(0x8000_0000_0000n);
    hv.traps.inject(vcpu, 6, 0);
    expect(a.domain.isShutDown).toBe(true);
  });

  test("RFLAGS: NT, RF, AC, ID pass; IOPL, VM, VIF, VIP and what is reserved do not; bits above 31 are dropped", () => {
    iret({ rflags: 0xffff_ffff_ffff_ffffn });
    expect(vcpu.cpu.big(Reg.RFLAGS)).toBe(0x254fd7n);
    iret({ rflags: 0n });
    expect(vcpu.cpu.big(Reg.RFLAGS)).toBe(0x202n);
    expect(hv.memory.u8[vcpu.vcpuInfo + 1]).toBe(1);
  });

  test("the frame's IOPL is taken with the assist for it alone", () => {
    iret({ rflags: 0x3246n });
    expect(vcpu.iopl).toBe(0);
    expect(a.call(__HYPERVISOR_vm_assist, 0, 4)).toBe(0);
    iret({ rflags: 0x2246n });
    expect(vcpu.iopl).toBe(2);
  });

  test("NMIs are let through again", () => {
    vcpu.nmiMasked = true;
    iret({});
    expect(vcpu.nmiMasked).toBe(false);
  });

  test("a frame that ends in a page that isn't there ends the domain", () => {
    a.unmap(0x7000);
    vcpu.cpu.setNum(Reg.RSP, FLAT + 0x7000 - 64);
    a.call(__HYPERVISOR_iret);
    expect(a.domain.isShutDown).toBe(true);
  });
});

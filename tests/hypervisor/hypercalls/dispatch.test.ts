// From registers to handlers: numbers, gaps, results, the hypercall page; multicalls and continuations; the calls of every
// domain; who may do what to whom.
import { beforeEach, describe, expect, test } from "vitest";
import { Args, CONTINUE } from "../../../hypervisor/hypercalls/args.ts";
import { hypercallPage } from "../../../hypervisor/hypercalls/hypercall_page.ts";
import { hypercallTable } from "../../../hypervisor/hypercalls/table.ts";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { PREEMPT_ENTRIES } from "../../../hypervisor/limits.ts";
import { Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { VcpuGuestContext } from "../../../shared/abi/arch_x86.ts";
import {
  XEN_DOMCTL_createdomain,
  XEN_DOMCTL_destroydomain,
  XEN_DOMCTL_getdomaininfo,
  XEN_DOMCTL_getvcpucontext,
  XEN_DOMCTL_INTERFACE_VERSION,
  XEN_DOMCTL_max_vcpus,
  XEN_DOMCTL_pausedomain,
  XEN_DOMCTL_setvcpucontext,
  XEN_DOMCTL_unpausedomain,
  XenDomctl,
} from "../../../shared/abi/domctl.ts";
import {
  __HYPERVISOR_console_io,
  __HYPERVISOR_domctl,
  __HYPERVISOR_get_debugreg,
  __HYPERVISOR_mmu_update,
  __HYPERVISOR_multicall,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_set_debugreg,
  __HYPERVISOR_sysctl,
  __HYPERVISOR_vm_assist,
  __HYPERVISOR_xen_version,
  DOMID_SELF,
} from "../../../shared/abi/xen.ts";
import type { Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

let hv: Hypervisor;
let a: BareDomain;
let dom0: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  a = new BareDomain(hv, 1);
});

describe("dispatch", () => {
  test("gaps and numbers out of range answer -ENOSYS, the upper half of RAX counts", () => {
    for (const nr of [7, 11, 19, 27, 31, 34, 48, 63, 64, 127, 0xffffffff]) expect([nr, a.call(nr)]).toEqual([nr, -38]);
    a.vcpu.cpu.set(Reg.RAX, 17, 1);
    hv.dispatcher.call(a.vcpu);
    expect(a.vcpu.cpu.big(Reg.RAX)).toBe(2n ** 64n - 38n);
    expect(a.call(__HYPERVISOR_xen_version, 0)).toBe(0x40011);
  });

  test("each entry of the table has its number's place, and no two share one", () => {
    hypercallTable().forEach((call, nr) => {
      if (call !== undefined) expect(call.nr).toBe(nr);
    });
    expect(hypercallTable().filter((call) => call !== undefined)).toHaveLength(31);
  });

  test("the hypercall page: 32 bytes a call; iret's pushes rax and doesn't return", () => {
    const page = hypercallPage();
    const version = [0x51, 0x41, 0x53, 0xb8, 17, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3, 0xcc];
    expect([...page.subarray(17 * 32, 17 * 32 + 15)]).toEqual(version);
    expect([...page.subarray(23 * 32, 23 * 32 + 12)]).toEqual([
      0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc,
    ]);
    expect(page[127 * 32 + 4]).toBe(127);
  });

  test("arguments: 64-bit values keep all their bits in halves, fail range checks as numbers, and -1 is no address", () => {
    const args = new Args();
    a.vcpu.cpu.set(Reg.RDI, 0xfffffff0, 0xffffffff);
    a.vcpu.cpu.set(Reg.RSI, 0x1000, 0x8000);
    a.vcpu.cpu.set(Reg.R10, 0x1000, 0xffff8000);
    args.loadRegisters(a.vcpu.cpu, 6);
    expect([args.lo(0), args.hi(0), args.i32(0)]).toEqual([0xfffffff0, 0xffffffff, -16]);
    expect(args.num(0)).toBeGreaterThanOrEqual(2 ** 64 - 2048);
    expect([args.va(0), args.va(1), args.va(3)]).toEqual([0xfffffffffff0, -1, 0x800000001000]);
    args.setNum(4, 2 ** 40 + 5);
    args.storeRegisters(a.vcpu.cpu);
    expect(a.vcpu.cpu.num(Reg.R8)).toBe(2 ** 40 + 5);
    expect(a.vcpu.cpu.hi(Reg.RDI)).toBe(0xffffffff);
  });
});

/** Writes multicall entries at FLAT. */
function entries(list: readonly (readonly number[])[]): void {
  list.forEach(([op, ...args], i) => {
    a.view.setBigUint64(i * 64, BigInt(op), true);
    a.view.setBigInt64(i * 64 + 8, -999n, true);
    args.forEach((arg, j) => {
      a.view.setBigUint64(i * 64 + 16 + j * 8, BigInt(arg), true);
    });
  });
}
const results = (n: number): number[] =>
  Array.from({ length: n }, (_, i) => Number(a.view.getBigInt64(i * 64 + 8, true)));

describe("multicall", () => {
  test("each entry has its own result; failures don't stop the rest; no multicall in a multicall", () => {
    entries([[__HYPERVISOR_xen_version, 0], [99], [__HYPERVISOR_multicall, FLAT, 1], [__HYPERVISOR_xen_version, 7, 0]]);
    expect(a.call(__HYPERVISOR_multicall, FLAT, 4)).toBe(0);
    expect(results(4)).toEqual([0x40011, -38, -22, 4096]);
  });

  test("a debug register in the upper half of the address space is a result like any other", () => {
    const value = 0xffffffff81000000n;
    expect(a.call(__HYPERVISOR_set_debugreg, 2, value)).toBe(0);
    entries([
      [__HYPERVISOR_get_debugreg, 2],
      [__HYPERVISOR_xen_version, 0],
    ]);
    expect(a.call(__HYPERVISOR_multicall, FLAT, 2)).toBe(0);
    expect([a.view.getBigUint64(8, true), results(2)[1]]).toEqual([value, 0x40011]);
  });

  test("lists that wrap, are out of reach, or end in a page that isn't there", () => {
    // The count is an unsigned int: the upper half doesn't count. A list that is too long goes on to where it ends.
    expect(a.call(__HYPERVISOR_multicall, FLAT, 2n ** 63n)).toBe(0);
    expect(a.call(__HYPERVISOR_multicall, 0x800000000000n, 1)).toBe(-14);
    expect(a.call(__HYPERVISOR_multicall, FLAT, 0)).toBe(0);
    a.unmap(0x1000);
    entries(Array.from({ length: 64 }, () => [__HYPERVISOR_xen_version, 0]));
    expect(a.call(__HYPERVISOR_multicall, FLAT, 65)).toBe(-14);
    expect(results(64).every((r) => r === 0x40011)).toBe(true);
  });

  test("a list that is preempted goes on where it was, and each entry is done once", () => {
    entries(Array.from({ length: 40 }, () => [__HYPERVISOR_xen_version, 0]));
    hv.sched.reschedule = true; // Somebody else is always more urgent.
    hv.current = a.vcpu;
    const { cpu } = a.vcpu;
    cpu.setNum(Reg.RAX, __HYPERVISOR_multicall);
    cpu.setNum(Reg.RDI, FLAT);
    cpu.setNum(Reg.RSI, 40);
    let turns = 0;
    let done = 0;
    while (hv.dispatcher.call(a.vcpu) === CONTINUE) {
      turns++;
      done += 1;
      expect([cpu.num(Reg.RDI), cpu.num(Reg.RSI)]).toEqual([FLAT + done * 64, 40 - done]);
      expect(cpu.num(Reg.RAX)).toBe(__HYPERVISOR_multicall);
    }
    expect(turns).toBe(39);
    expect(cpu.num(Reg.RAX)).toBe(0);
    expect(results(40).every((r) => r === 0x40011)).toBe(true);
  });

  test("an entry that is preempted, and can't take the arguments for what is left of it, ends the list", () => {
    const word = (offset: number): number => hv.mm.findL1(a.vcpu, (FLAT + offset) as Va);
    const slot = word(0x3000);
    const updates = new BigUint64Array(2 * (PREEMPT_ENTRIES + 1));
    for (let i = 0; i < updates.length; i += 2) updates.set([BigInt(slot * 4), BigInt(hv.memory.u32[slot])], i);
    a.bytes.set(new Uint8Array(updates.buffer), 0x4000);
    const list = (): number => {
      entries([[__HYPERVISOR_mmu_update, FLAT + 0x4000, updates.length / 2, 0, DOMID_SELF]]);
      hv.sched.reschedule = true;
      return a.call(__HYPERVISOR_multicall, FLAT, 1);
    };
    expect([list(), ...results(1)]).toEqual([0, 0]);
    const here = word(0);
    expect(hv.mm.setEntry(1, here, hv.memory.u32[here] & ~2, 0, a.domain.id)).toBe(0);
    hv.tlb.flushAll();
    expect([list(), ...results(1)]).toEqual([-14, -999]);
  });

  test("after an entry that ends the domain nothing more is done", () => {
    a.view.setUint32(0x800, 0, true);
    entries([
      [__HYPERVISOR_sched_op, 2, FLAT + 0x800],
      [__HYPERVISOR_xen_version, 0],
    ]);
    a.call(__HYPERVISOR_multicall, FLAT, 2);
    expect(a.domain.isShutDown).toBe(true);
    expect(results(2)[1]).toBe(-999);
  });
});

describe("console_io", () => {
  const write = (d: BareDomain, text: string): number => {
    d.bytes.set(new TextEncoder().encode(text), 0x100);
    return d.call(__HYPERVISOR_console_io, 0, text.length, FLAT + 0x100);
  };

  test("a domU's lines are named and made printable, dom0's output is as it is", () => {
    expect(write(a, "one\ntw")).toBe(0);
    expect(write(a, "o\x1b[2J\n")).toBe(0);
    expect(write(dom0, "raw\x1b[0m\n")).toBe(0);
    const log = hv.log.read(0, 1e6);
    expect(log).toContain("(XEN) (d1) one\n(XEN) (d1) two[2J\nraw\x1b[0m\n");
    expect(a.call(__HYPERVISOR_console_io, 0, 10, 0x10)).toBe(-14);
    expect(a.call(__HYPERVISOR_console_io, 1, 10, FLAT)).toBe(-1);
  });

  test("a domU is refused where the machine doesn't allow it", () => {
    const strict = new BareDomain(bareMachine({ memoryMiB: 32, consoleIo: false }).hv, 1);
    expect(strict.call(__HYPERVISOR_console_io, 0, 1, FLAT)).toBe(-1);
  });
});

describe("vm_assist and features", () => {
  test("0x220e0 for a domU, with pae_extended_cr3 bit 4 too; dom0's has bit 11", () => {
    const features = (d: BareDomain): number => {
      d.view.setUint32(0, 0, true);
      expect(d.call(__HYPERVISOR_xen_version, 6, FLAT)).toBe(0);
      return d.view.getUint32(4, true);
    };
    expect(features(a)).toBe(0x220e0);
    expect(a.call(__HYPERVISOR_vm_assist, 0, 3)).toBe(0);
    expect(features(a)).toBe(0x220f0);
    expect(dom0.call(__HYPERVISOR_vm_assist, 0, 3)).toBe(0);
    expect(features(dom0)).toBe(0x228f0);
    expect([a.call(__HYPERVISOR_vm_assist, 0, 6), a.call(__HYPERVISOR_vm_assist, 2, 3)]).toEqual([-22, -38]);
  });
});

/** Issues a domctl of dom0's; `fill` sets its argument, at FLAT of dom0. */
function domctl(cmd: number, domain: number, fill: (op: ReturnType<typeof XenDomctl.at>) => void = () => {}) {
  dom0.bytes.fill(0, 0, XenDomctl.size);
  const op = XenDomctl.at(dom0.view, 0);
  op.cmd = cmd;
  op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
  op.domain = domain;
  fill(op);
  return { result: dom0.call(__HYPERVISOR_domctl, FLAT), op };
}

describe("domctl", () => {
  const create = (domid = 0) =>
    domctl(XEN_DOMCTL_createdomain, domid, (op) => {
      op.createdomain.max_vcpus = 2;
      op.createdomain.max_grant_frames = -1;
      op.createdomain.max_maptrack_frames = -1;
      op.createdomain.handle = new Uint8Array(16).fill(7);
    });

  test("is for dom0 alone, and for its own version of the interface", () => {
    for (let i = 0; i < 144; i++) a.bytes[i] = 0;
    const op = XenDomctl.at(a.view, 0);
    op.cmd = XEN_DOMCTL_pausedomain;
    op.domain = 0;
    expect(a.call(__HYPERVISOR_domctl, FLAT)).toBe(-13);
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    expect(a.call(__HYPERVISOR_domctl, FLAT)).toBe(-1);
    op.domain = 99;
    expect(a.call(__HYPERVISOR_domctl, FLAT)).toBe(-3);
    expect(a.call(__HYPERVISOR_sysctl, FLAT)).toBe(-1); // The same version number, but no right.
  });

  test("a domain is made paused, found, and taken back to the last frame", () => {
    const free = hv.frames.freeFrames;
    const { result, op } = create();
    expect(result).toBe(0);
    const id = op.domain;
    expect(id).toBe(2); // The next one that nobody has.
    expect(create(id).result).toBe(-17);
    expect(domctl(XEN_DOMCTL_max_vcpus, id, (o) => (o.max_vcpus.max = 3)).result).toBe(-22);
    expect(domctl(XEN_DOMCTL_max_vcpus, id, (o) => (o.max_vcpus.max = 2)).result).toBe(0);
    const info = domctl(XEN_DOMCTL_getdomaininfo, id);
    expect(info.result).toBe(0);
    expect(info.op.getdomaininfo.domain).toBe(id);
    expect(info.op.getdomaininfo.flags & 8).toBe(8);
    expect(info.op.getdomaininfo.max_vcpu_id).toBe(1);
    expect([...info.op.getdomaininfo.handle]).toEqual(new Array(16).fill(7));
    expect(domctl(XEN_DOMCTL_destroydomain, id).result).toBe(0);
    expect(hv.domains.has(id as never)).toBe(false);
    expect(hv.frames.freeFrames).toBe(free);
    expect(domctl(XEN_DOMCTL_destroydomain, id).result).toBe(-3);
  });

  test("pausing counts; what isn't paused can't be unpaused", () => {
    expect(domctl(XEN_DOMCTL_unpausedomain, 1).result).toBe(0);
    expect(domctl(XEN_DOMCTL_unpausedomain, 1).result).toBe(-22);
    expect(domctl(XEN_DOMCTL_pausedomain, 1).result).toBe(0);
    expect(domctl(XEN_DOMCTL_pausedomain, 1).result).toBe(0);
    expect(a.domain.pauseCount).toBe(2);
    expect(domctl(XEN_DOMCTL_pausedomain, 0).result).toBe(-22);
  });

  test("a vcpu's context comes back as it was set; what isn't canonical or not a table is refused", () => {
    const AT = 0x2000;
    const context = VcpuGuestContext.at(dom0.view, AT);
    const get = (): number =>
      domctl(XEN_DOMCTL_getvcpucontext, 1, (o) => {
        o.vcpucontext.vcpu = 0;
        o.vcpucontext.ctxt_num = FLAT + AT;
      }).result;
    const set = (vcpu = 0): number =>
      domctl(XEN_DOMCTL_setvcpucontext, 1, (o) => {
        o.vcpucontext.vcpu = vcpu;
        o.vcpucontext.ctxt_num = FLAT + AT;
      }).result;
    expect(get()).toBe(0);
    expect(context.ctrlreg.num(3)).toBe(a.vcpu.guestTable * 4096);
    context.user_regs.rax = 0x123456789abcdef0n;
    context.user_regs.rip = 0xffffffff81000000n;
    context.user_regs.rflags = 0x3246n;
    context.trap_ctxt.get(14).address = 0xffffffff81000100n;
    expect(set()).toBe(0);
    expect(a.vcpu.cpu.big(Reg.RAX)).toBe(0x123456789abcdef0n);
    expect(a.vcpu.cpu.num(Reg.RFLAGS)).toBe(0x246);
    expect(a.vcpu.iopl).toBe(3);
    dom0.bytes.fill(0, AT, AT + VcpuGuestContext.size);
    expect(get()).toBe(0);
    expect(context.user_regs.rip).toBe(0xffffffff81000000n);
    expect(context.trap_ctxt.get(14).address).toBe(0xffffffff81000100n);
    context.user_regs.rip = 0x800000000000n;
    expect(set()).toBe(-22);
    context.user_regs.rip = 0n;
    context.trap_ctxt.get(3).address = 0x7fff000000000000n;
    expect(set()).toBe(-22);
    context.trap_ctxt.get(3).address = 0n;
    context.ctrlreg.setNum(3, (a.vcpu.guestTable + 1) * 4096);
    expect(set()).toBe(-95); // It has a table already.
    expect(set(1)).toBe(-22);
  });
});

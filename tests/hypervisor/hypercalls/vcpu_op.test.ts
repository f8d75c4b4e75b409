// vcpu_op and the contexts that it loads: each field that is checked, what a refused one leaves behind, going up and down,
// timers of one's own and of others, areas at addresses that can't be.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import { getContext, setContext } from "../../../hypervisor/vcpu_context.ts";
import { VcpuGuestContext, VGCF_in_kernel, VGCF_online } from "../../../shared/abi/arch_x86.ts";
import {
  VCPUOP_down,
  VCPUOP_get_physid,
  VCPUOP_get_runstate_info,
  VCPUOP_initialise,
  VCPUOP_is_up,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_info,
  VCPUOP_register_vcpu_time_memory_area,
  VCPUOP_send_nmi,
  VCPUOP_set_periodic_timer,
  VCPUOP_set_singleshot_timer,
  VCPUOP_stop_periodic_timer,
  VCPUOP_stop_singleshot_timer,
  VCPUOP_up,
} from "../../../shared/abi/vcpu.ts";
import { __HYPERVISOR_vcpu_op } from "../../../shared/abi/xen.ts";
import type { Mfn } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const NOT_CANONICAL = 0x0000_8000_0000_0000n;
let hv: Hypervisor;
let a: BareDomain;
/** Not initialised: it has no tables, as createdomain makes it. */
let second: Vcpu;
type Context = ReturnType<typeof VcpuGuestContext.create>;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1, { vcpus: 2 });
  second = a.domain.vcpus[1];
  hv.current = a.vcpu;
  hv.mm.types.putPageAndType(second.guestTable);
  second.guestTable = 0 as Mfn;
  second.initialised = false;
  second.down = true;
  a.vcpu.down = false;
});

const op = (cmd: number, id: number, va: number | bigint = 0): number => a.call(__HYPERVISOR_vcpu_op, cmd, id, va);

/** A context that is accepted, changed by `change`. */
function context(change: (c: Context) => void = () => {}): Context {
  const c = VcpuGuestContext.create();
  c.flags_num = VGCF_in_kernel;
  c.user_regs.rip = 0x1000n;
  c.user_regs.cs = 0xe033;
  c.user_regs.ss = 0xe02b;
  c.ctrlreg.setNum(3, a.vcpu.guestTable * 4096);
  change(c);
  return c;
}

describe("a context", () => {
  const refusals: [string, (c: Context) => void][] = [
    ["rip", (c) => (c.user_regs.rip = NOT_CANONICAL)],
    ["rsp", (c) => (c.user_regs.rsp = NOT_CANONICAL)],
    ["kernel_sp", (c) => (c.kernel_sp = NOT_CANONICAL)],
    ["fs_base", (c) => (c.fs_base = NOT_CANONICAL)],
    ["gs_base_kernel", (c) => (c.gs_base_kernel = NOT_CANONICAL)],
    ["gs_base_user", (c) => (c.gs_base_user = NOT_CANONICAL)],
    ["event callback", (c) => (c.event_callback_eip = NOT_CANONICAL)],
    ["failsafe callback", (c) => (c.failsafe_callback_eip = NOT_CANONICAL)],
    ["syscall callback", (c) => (c.syscall_callback_eip = NOT_CANONICAL)],
    ["first trap", (c) => (c.trap_ctxt.get(0).address = NOT_CANONICAL)],
    ["last trap", (c) => (c.trap_ctxt.get(255).address = NOT_CANONICAL)],
    ["LDT's base", (c) => (c.ldt_base = NOT_CANONICAL)],
    ["LDT's alignment", (c) => (c.ldt_base = 0x1008n)],
    ["LDT in Xen's range", (c) => (c.ldt_base = 0xffff_8000_0000_0000n)],
    ["LDT's size", (c) => (c.ldt_ents = 8193n)],
    ["LDT's size, above 32 bits", (c) => (c.ldt_ents = 1n << 32n)],
    ["GDT's size", (c) => (c.gdt_ents = 7169n)],
    ["GDT's size, above 32 bits", (c) => (c.gdt_ents = 1n << 32n)],
    ["GDT's frames", (c) => (c.gdt_ents = 1n)],
    ["code selector", (c) => (c.user_regs.cs = 8)],
    ["stack selector", (c) => (c.user_regs.ss = 8)],
    ["user mode without a table", (c) => (c.flags_num = 0)],
    ["no table", (c) => c.ctrlreg.setNum(3, 0)],
    ["a table of data", (c) => c.ctrlreg.setNum(3, a.data * 4096)],
    ["a user's table of data", (c) => c.ctrlreg.setNum(1, a.data * 4096)],
    ["a table beyond memory", (c) => c.ctrlreg.set(3, 1n << 63n)],
  ];
  test.each(refusals)("is refused for its %s, and leaves a new vcpu as it was", (_what, change) => {
    const before = hv.frames.typeCount[a.vcpu.guestTable];
    expect(setContext(hv, second, context(change))).toBe(-22);
    expect([second.initialised, second.guestTable, second.guestTableUser]).toEqual([false, 0, 0]);
    hv.mm.types.settle(a.domain.memory, () => false); // What it took is given back by and by.
    expect(hv.frames.typeCount[a.vcpu.guestTable]).toBe(before);
    expect(second.cpu.field(CpuLayout.gdtEntries)).toBe(0);
    // And none of it stands in the way of a good one.
    expect(setContext(hv, second, context())).toBe(0);
    expect(hv.frames.typeCount[a.vcpu.guestTable]).toBe(before + 1);
  });

  test("of vcpu 0 sets the domain's assists, which must be known ones; of others leaves them", () => {
    const first = a.vcpu;
    const set = (vcpu: Vcpu, assists: bigint): number =>
      setContext(
        hv,
        vcpu,
        context((c) => (c.vm_assist = assists)),
      );
    expect(set(first, 1n << 6n)).toBe(-22);
    expect(set(first, 1n << 33n)).toBe(-22);
    first.initialised = false;
    hv.mm.types.putPageAndType(first.guestTable);
    const table = first.guestTable;
    first.guestTable = 0 as Mfn;
    const good = context((c) => {
      c.vm_assist = (1n << 32n) | 0x3fn;
      c.ctrlreg.setNum(3, table * 4096);
    });
    expect(setContext(hv, first, good)).toBe(0);
    expect([a.domain.vmAssist, a.domain.m2pStrict]).toEqual([0x3f, true]);
    expect(set(second, 1n << 6n)).toBe(0);
    expect(a.domain.vmAssist).toBe(0x3f);
  });

  test("comes back as it was set", () => {
    const c = context((c) => {
      c.flags_num = VGCF_in_kernel | VGCF_online | 0x38; // Both callbacks that disable events.
      c.user_regs.rax = 0x1122334455667788n;
      c.user_regs.r15 = 0xffffffffffffffffn;
      c.user_regs.rflags = 0x1246n;
      c.event_callback_eip = 0xffffffff81000010n;
      c.failsafe_callback_eip = 0x20n;
      c.syscall_callback_eip = 0xffffffff81000030n;
      c.kernel_sp = 0xffff888000001000n;
      c.kernel_ss_lo = 0xe02b;
      c.fs_base = 0x7f0000001000n;
      c.gs_base_kernel = 0xffff888000002000n;
      c.gs_base_user = 0x3000n;
      c.ctrlreg.setNum(1, a.vcpu.guestTable * 4096);
      c.ctrlreg.setNum(0, 8);
      c.debugreg.set(0, 0x4000n);
      for (const vector of [0, 14, 255]) {
        const trap = c.trap_ctxt.get(vector);
        trap.flags = 7;
        trap.cs = 0xe030;
        trap.address = BigInt(0xffff_ffff) * 0x100000000n + BigInt(0x81000000 + vector);
      }
    });
    expect(setContext(hv, second, c)).toBe(0);
    expect([second.down, second.kernelMode, second.cr0Ts, second.iopl]).toEqual([false, true, true, 1]);
    expect([second.failsafeDisablesEvents, second.syscallDisablesEvents]).toEqual([true, true]);
    const got = VcpuGuestContext.create();
    getContext(hv, second, got);
    for (const field of [
      "event_callback_eip",
      "failsafe_callback_eip",
      "syscall_callback_eip",
      "kernel_sp",
      "kernel_ss",
      "fs_base",
      "gs_base_kernel",
      "gs_base_user",
      "gdt_ents",
      "ldt_ents",
    ] as const)
      expect([field, got[field]]).toEqual([field, c[field]]);
    expect([got.user_regs.rax, got.user_regs.r15]).toEqual([0x1122334455667788n, 0xffffffffffffffffn]);
    expect(got.user_regs.rflags).toBe(0x1246n);
    expect([got.ctrlreg.num(0), got.ctrlreg.num(1), got.ctrlreg.num(3)]).toEqual([
      0x8005003b,
      a.vcpu.guestTable * 4096,
      a.vcpu.guestTable * 4096,
    ]);
    expect(got.debugreg.get(0)).toBe(0x4000n);
    for (const vector of [0, 1, 14, 255]) {
      const trap = got.trap_ctxt.get(vector);
      const there = vector !== 1;
      expect([vector, trap.flags, trap.cs]).toEqual([vector, there ? 7 : 0, there ? 0xe033 : 0]);
      expect(trap.address).toBe(there ? 0xffff_ffff_8100_0000n + BigInt(vector) : 0n);
    }
    expect(got.flags_lo & (VGCF_in_kernel | VGCF_online)).toBe(VGCF_in_kernel | VGCF_online);
    // A callback of address 0 is none.
    expect(
      setContext(
        hv,
        second,
        context((c) => c.ctrlreg.setNum(1, a.vcpu.guestTable * 4096)),
      ),
    ).toBe(0);
    expect([second.eventCallback, second.failsafeCallback, second.syscallCallback]).toEqual([-1, -1, -1]);
    expect([second.down, second.cr0Ts]).toEqual([true, false]);
    getContext(hv, second, got);
    expect([got.event_callback_eip, got.syscall_callback_eip]).toEqual([0n, 0n]);
  });

  test("of a vcpu that has its tables must name the same ones", () => {
    const set = (change: (c: Context) => void): number => setContext(hv, second, context(change));
    expect(set(() => {})).toBe(0);
    expect(set(() => {})).toBe(0);
    expect(set((c) => c.ctrlreg.setNum(3, a.data * 4096))).toBe(-95);
    expect(set((c) => c.ctrlreg.setNum(1, a.vcpu.guestTable * 4096))).toBe(-95);
    expect(set((c) => (c.flags_num = 0))).toBe(-95);
    expect(set((c) => (c.gdt_ents = 512n))).toBe(-95);
    expect(set((c) => (c.ldt_ents = 1n))).toBe(-95);
  });

  test("MXCSR's reserved bits are not loaded, without the flag no FPU state at all", () => {
    const fill = (flags: number) =>
      context((c) => {
        c.flags_num = VGCF_in_kernel | flags;
        const fpu = new Uint8Array(512).fill(0xff);
        c.fpu_ctxt = fpu;
      });
    const mxcsr = (): number => hv.memory.view.getUint32(second.cpu.address + CpuLayout.fxsave + 24, true);
    expect(setContext(hv, second, fill(0))).toBe(0);
    expect(mxcsr()).toBe(0x1f80);
    expect(setContext(hv, second, fill(1))).toBe(0);
    expect(mxcsr()).toBe(0xffbf);
  });
});

describe("going up and down", () => {
  test("initialise once, then up; the last one up ends the domain by going down", () => {
    const bytes = new Uint8Array(context().$view.buffer as ArrayBuffer);
    a.bytes.set(bytes, 0x4000);
    expect(op(VCPUOP_up, 1)).toBe(-22);
    expect(op(VCPUOP_initialise, 1, 0x1000)).toBe(-14);
    expect(op(VCPUOP_initialise, 0, FLAT + 0x4000)).toBe(-17);
    expect(op(VCPUOP_initialise, 2, FLAT + 0x4000)).toBe(-2);
    expect(op(VCPUOP_initialise, 1, FLAT + 0x4000)).toBe(0);
    expect(op(VCPUOP_initialise, 1, FLAT + 0x4000)).toBe(-17);
    expect(op(VCPUOP_is_up, 1)).toBe(0);
    expect(op(VCPUOP_up, 1)).toBe(0);
    expect([op(VCPUOP_is_up, 0), op(VCPUOP_is_up, 1), op(VCPUOP_is_up, 0xffffffff)]).toEqual([1, 1, -2]);
    expect(op(VCPUOP_down, 0)).toBe(0);
    expect([a.vcpu.down, a.domain.isShutDown]).toEqual([true, false]);
    expect(op(VCPUOP_down, 1)).toBe(0);
    expect([second.down, a.domain.isShutDown, a.domain.shutdownReason]).toEqual([false, true, 0]);
  });

  test("an NMI is sent to any of its vcpus, which wakes; with an argument it is refused", () => {
    second.blocked = true;
    expect(op(VCPUOP_send_nmi, 1, FLAT)).toBe(-22);
    expect(second.nmiPending).toBe(false);
    expect(op(VCPUOP_send_nmi, 1)).toBe(0);
    expect([second.nmiPending, second.blocked]).toEqual([true, false]);
    expect(op(VCPUOP_get_physid, 0, FLAT)).toBe(-22);
    expect(op(99, 0)).toBe(-38);
  });
});

describe("timers", () => {
  test("the periodic one may be another's, the single-shot one may not", () => {
    a.view.setBigUint64(0, 5_000_000n, true);
    expect(op(VCPUOP_set_periodic_timer, 1, FLAT)).toBe(0);
    expect(second.periodicNs).toBe(5_000_000);
    expect(op(VCPUOP_stop_periodic_timer, 1)).toBe(0);
    expect(second.periodicNs).toBe(0);
    expect(op(VCPUOP_set_periodic_timer, 1, 0x1000)).toBe(-14);
    a.view.setBigUint64(0, (1n << 63n) + 1n, true);
    expect(op(VCPUOP_set_periodic_timer, 1, FLAT)).toBe(-22);
    expect(op(VCPUOP_set_singleshot_timer, 1, FLAT)).toBe(-22);
    expect(op(VCPUOP_stop_singleshot_timer, 1)).toBe(-22);
    expect(op(VCPUOP_set_singleshot_timer, 0, 0x1000)).toBe(-14);
    a.view.setBigUint64(0, BigInt(hv.time.now() + 1000), true);
    expect(op(VCPUOP_set_singleshot_timer, 0, FLAT)).toBe(0);
    expect(hv.time.timers.next).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(op(VCPUOP_stop_singleshot_timer, 0)).toBe(0);
    expect(hv.time.timers.next).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("areas", () => {
  const areas = [VCPUOP_register_runstate_memory_area, VCPUOP_register_vcpu_time_memory_area];
  test.each(areas)("are refused in Xen's range and beyond, and forgotten with address 0 (%i)", (cmd) => {
    const register = (address: bigint): number => {
      a.view.setBigUint64(0, address, true);
      return op(cmd, 0, FLAT);
    };
    const area = (): number => (cmd === VCPUOP_register_runstate_memory_area ? a.vcpu.runstateArea : a.vcpu.timeArea);
    expect(op(cmd, 0, 0x1000)).toBe(-14);
    for (const address of [NOT_CANONICAL, 0xffff_8000_0000_0000n, 0x7fff_ffff_fff8n, 0xffff_7fff_ffff_fff8n])
      expect([address, register(address)]).toEqual([address, -14]);
    expect(area()).toBe(-1);
    expect(register(BigInt(FLAT + 0x2000))).toBe(0);
    expect(area()).toBe(FLAT + 0x2000);
    expect(register(0n)).toBe(0);
    expect(area()).toBe(-1);
  });

  test("runstate info goes where it was asked for, or nowhere", () => {
    expect(op(VCPUOP_get_runstate_info, 0, 0x1000)).toBe(-14);
    expect(op(VCPUOP_get_runstate_info, 1, FLAT + 0x100)).toBe(0);
    expect(a.view.getUint32(0x100, true)).toBe(3);
  });

  test("a vcpu_info: of its own page, aligned, within it, of a vcpu that runs here or is down", () => {
    const register = (id: number, mfn: number | bigint, offset: number): number => {
      a.view.setBigUint64(0, BigInt(mfn), true);
      a.view.setUint32(8, offset, true);
      return op(VCPUOP_register_vcpu_info, id, FLAT);
    };
    const page = a.data + 9;
    expect(op(VCPUOP_register_vcpu_info, 0, 0x1000)).toBe(-14);
    expect(register(0, page, 4096 - 63)).toBe(-6);
    expect(register(0, page, 4)).toBe(-6);
    expect(register(0, 1n << 40n, 0)).toBe(-22);
    expect(register(0, a.vcpu.guestTable, 0)).toBe(-22);
    expect(register(0, a.domain.sharedInfo + 100000, 0)).toBe(-22);
    second.down = false;
    expect(register(1, page, 64)).toBe(-22);
    second.down = true;
    const counts = [hv.frames.refCount[page], hv.frames.typeCount[page]];
    expect(register(1, page, 4096 - 64)).toBe(0);
    expect([hv.frames.refCount[page], hv.frames.typeCount[page]]).toEqual(counts.map((n) => n + 1));
    expect(second.vcpuInfo).toBe(page * 4096 + 4096 - 64);
    expect(register(1, page, 0)).toBe(-22);
    expect(register(0, page, 0)).toBe(0);
    expect(hv.memory.u8[second.vcpuInfo]).toBe(1); // Everything is announced anew.
  });
});

test("a new vcpu runs with what its context says", () => {
  expect(
    setContext(
      hv,
      second,
      context((c) => (c.user_regs.rdi = 0x1234n)),
    ),
  ).toBe(0);
  expect(second.cpu.num(Reg.RDI)).toBe(0x1234);
  expect(second.cpu.field(CpuLayout.cr3)).toBe(a.vcpu.guestTable);
});

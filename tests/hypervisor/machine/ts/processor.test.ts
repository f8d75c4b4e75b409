// The TypeScript processor alone: page tables made by hand, and a hypervisor of a few lines that only knows how to push a
// bounce frame and to carry out the iret hypercall.
import { describe, expect, test } from "vitest";
import { CpuLayout, CpuState, Reg, Seg } from "../../../../hypervisor/machine/cpu_state.ts";
import { allocateMemory, MachineMemory } from "../../../../hypervisor/machine/memory.ts";
import { Exit, type Tlb } from "../../../../hypervisor/machine/processor.ts";
import { Pte, pteLo } from "../../../../hypervisor/machine/pte.ts";
import { type TsHost, TsProcessor } from "../../../../hypervisor/machine/ts/processor.ts";
import { PageWalker } from "../../../../hypervisor/machine/walk.ts";
import { FLAT_KERNEL_CS, FLAT_KERNEL_SS, IretContext } from "../../../../shared/abi/arch_x86.ts";
import { __HYPERVISOR_iret } from "../../../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";
import { type KernelCode, type KernelCpu, type KernelMain, PageFault } from "../../../../shared/kernel.ts";

const BASE = 0x40000000 as Va;
const PAGES = 16;
const ALL = Pte.P | Pte.RW | Pte.US;

/** Page 5 is read-only, page 6 not mapped, page 7 maps a frame out of order. */
class Rig {
  readonly memory = new MachineMemory(allocateMemory(1));
  readonly cpu: CpuState;
  readonly processor: TsProcessor;
  readonly calls: number[][] = [];
  readonly crashes: string[] = [];
  readonly dropped: number[] = [];
  readonly outs: [number, number][] = [];
  nowNs = 0;
  firstMfn = 0;

  constructor(main: KernelMain) {
    const { memory } = this;
    this.cpu = new CpuState(memory, memory.reserve(CpuLayout.size));
    const table = (): number => memory.reserve(4096) / 4096;
    const [l4, l3, l2, l1] = [table(), table(), table(), table()];
    this.firstMfn = memory.reserve(PAGES * 4096) / 4096;
    memory.u32[l4 * 1024] = pteLo(l3 as Mfn, ALL);
    memory.u32[l3 * 1024 + 2] = pteLo(l2 as Mfn, ALL);
    memory.u32[l2 * 1024] = pteLo(l1 as Mfn, ALL);
    for (let i = 0; i < PAGES; i++)
      if (i !== 6)
        memory.u32[l1 * 1024 + i * 2] = pteLo(
          (this.firstMfn + (i === 7 ? 9 : i)) as Mfn,
          i === 5 ? ALL & ~Pte.RW : ALL,
        );
    const tlb: Tlb = {
      lookup: () => 0 as Mfn,
      flushAll() {},
      flushTable() {},
      flushPage() {},
      retire() {},
      dropCode: (mfn) => this.dropped.push(mfn),
      deviceWrites() {},
      dropDeviceCode() {},
    };
    const host: TsHost = {
      hypercall: (cpu) => this.#hypercall(cpu),
      portOut: (_cpu, port, value) => {
        if (port !== 0x500) return false;
        this.outs.push([port, value]);
        return true;
      },
      crash: (_cpu, reason) => this.crashes.push(reason),
      tsc: (retired) => ({ lo: 1000 + retired, hi: 1 }),
      log: () => {},
      nowNs: () => this.nowNs,
    };
    this.processor = new TsProcessor(memory, new PageWalker(memory), tlb, host, main, BASE);
    this.cpu.setField(CpuLayout.cr3, l4);
    this.cpu.setVa(Reg.RIP, this.processor.entryPoint);
    this.cpu.setVa(Reg.RSP, (BASE + 0x5000) as Va);
    this.cpu.setVa(Reg.RSI, (BASE + 0x1000) as Va);
    this.cpu.setNum(Reg.RFLAGS, 0x202);
    this.cpu.setSelector(Seg.CS, FLAT_KERNEL_CS);
    this.cpu.setSelector(Seg.SS, FLAT_KERNEL_SS);
  }

  run(): Exit {
    return this.processor.run(this.cpu, 1_000_000);
  }

  /** What the hypervisor does to enter a handler: rcx, r11, [error code], rip, cs, rflags, rsp, ss. */
  bounce(handler: Va, errorCode?: number): void {
    const { cpu } = this;
    const words = [cpu.num(Reg.RCX), cpu.num(Reg.R11)];
    if (errorCode !== undefined) words.push(errorCode);
    words.push(cpu.num(Reg.RIP), FLAT_KERNEL_CS, cpu.num(Reg.RFLAGS), cpu.num(Reg.RSP), FLAT_KERNEL_SS);
    const sp = cpu.num(Reg.RSP) - words.length * 8;
    words.forEach((word, i) => {
      this.memory.view.setBigUint64(this.machine(sp + i * 8), BigInt(word), true);
    });
    cpu.setNum(Reg.RSP, sp);
    cpu.setVa(Reg.RIP, handler);
  }

  machine(va: number): number {
    return this.firstMfn * 4096 + (va - BASE);
  }

  #hypercall(cpu: CpuState): void {
    const nr = cpu.num(Reg.RAX);
    this.calls.push([nr, ...[Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9].map((r) => cpu.num(r))]);
    if (nr !== __HYPERVISOR_iret) {
      cpu.setNum(Reg.RAX, -38);
      return;
    }
    const frame = IretContext.at(this.memory.view, this.machine(cpu.num(Reg.RSP)));
    cpu.setBig(Reg.RAX, frame.rax);
    cpu.setBig(Reg.RCX, frame.rcx);
    cpu.setBig(Reg.R11, frame.r11);
    cpu.setBig(Reg.RIP, frame.rip);
    cpu.setBig(Reg.RSP, frame.rsp);
  }
}

describe("the TypeScript processor", () => {
  test("a handler runs on top of what it interrupts, nested ones too, and each returns by iret", () => {
    const log: string[] = [];
    let handler = 0 as Va;
    const rig = new Rig(function* (cpu): KernelCode {
      handler = cpu.entry(function* (): KernelCode {
        log.push("handler");
        yield;
        log.push("handler ends");
      });
      expect(cpu.startInfo).toBe(BASE + 0x1000);
      for (let i = 0; ; i++) {
        log.push(`main ${i}`);
        yield;
      }
    });
    rig.run();
    const [rip, rsp] = [rig.cpu.num(Reg.RIP), rig.cpu.num(Reg.RSP)];
    rig.cpu.setNum(Reg.RCX, 77);
    rig.cpu.setNum(Reg.RAX, 12345);
    rig.bounce(handler);
    rig.run();
    rig.bounce(handler, 2); // A vector with an error code: the frame is one word longer.
    rig.run();
    rig.run();
    rig.run();
    expect(rig.cpu.num(Reg.RIP)).toBe(rip);
    rig.run();
    expect(log).toEqual(["main 0", "handler", "handler", "handler ends", "handler ends", "main 1"]);
    expect(rig.cpu.num(Reg.RSP)).toBe(rsp);
    expect(rig.cpu.num(Reg.RCX)).toBe(77);
    expect(rig.cpu.num(Reg.RAX)).toBe(12345);
    expect(rig.crashes).toEqual([]);
  });

  test("a hypercall has its arguments in the registers, and gives RAX back signed", () => {
    const results: number[] = [];
    const rig = new Rig(function* (cpu): KernelCode {
      results.push(cpu.hypercall(17, 1, 2 ** 40, -1, 4, 5, 6));
      yield;
    });
    rig.run();
    expect(rig.calls).toEqual([[17, 1, 2 ** 40, 2 ** 64, 4, 5, 6]]);
    expect(results).toEqual([-38]);
  });

  test("a view is the frames themselves; a hole, a read-only page and a break in the frames are refused", () => {
    const rig = new Rig(function* (cpu: KernelCpu): KernelCode {
      const view = cpu.view((BASE + 0x1ff0) as Va, 0x20, true);
      view[0x1f] = 99;
      expect(() => cpu.view((BASE + 0x5000) as Va, 1, true)).toThrow(PageFault);
      expect(cpu.view((BASE + 0x5000) as Va, 1, false).length).toBe(1);
      expect(() => cpu.view((BASE + 0x5800) as Va, 0x1000, false)).toThrow(/0x40006000/);
      expect(() => cpu.view((BASE + 0x7ff8) as Va, 16, false)).toThrow(RangeError);
      expect(() => cpu.view((2 ** 48) as Va, 1, false)).toThrow(RangeError);
      yield;
    });
    rig.run();
    expect(rig.crashes).toEqual([]);
    expect(rig.memory.u8[rig.machine(BASE + 0x200f)]).toBe(99);
    expect(rig.dropped).toEqual([rig.firstMfn + 1, rig.firstMfn + 2]);
  });

  test("what the kernel throws, and its main function's return, crash the domain with the reason", () => {
    const thrown = new Rig(function* (): KernelCode {
      yield;
      throw new Error("out of ideas");
    });
    thrown.run();
    expect(thrown.crashes).toEqual([]);
    thrown.run();
    expect(thrown.crashes[0]).toContain("out of ideas");
    const returned = new Rig(function* (): KernelCode {
      yield* [];
    });
    returned.run();
    expect(returned.crashes[0]).toContain("main function returned");
  });

  test("an RIP that stands for nothing, and a stack without a frame, crash the domain", () => {
    let handler = 0 as Va;
    const main = function* (cpu: KernelCpu): KernelCode {
      handler = cpu.entry(function* (): KernelCode {
        yield* [];
      });
      for (;;) yield;
    };
    const lost = new Rig(main);
    lost.run();
    lost.bounce(0x123450 as Va);
    lost.run();
    expect(lost.crashes[0]).toContain("0x123450");
    const torn = new Rig(main);
    torn.run();
    torn.bounce(handler);
    torn.memory.u8.fill(0, torn.machine(torn.cpu.num(Reg.RSP)), torn.machine(BASE + 0x5000));
    torn.run();
    expect(torn.crashes[0]).toContain("no frame to return by");
  });

  test("a slice expires by host time or by work, and work is never more than the budget", () => {
    const seen: boolean[] = [];
    const rig = new Rig(function* (cpu): KernelCode {
      seen.push(cpu.expired());
      rig.nowNs += 1_000_000;
      seen.push(cpu.expired());
      yield;
      for (let i = 0; i < 1000; i++) cpu.view(BASE, 4096, false);
      seen.push(cpu.expired());
      yield;
    });
    expect(rig.run()).toBe(Exit.Interrupted);
    expect(rig.processor.run(rig.cpu, 5000)).toBe(Exit.Budget);
    expect(rig.processor.retired).toBe(5000);
    expect(seen).toEqual([false, true, true]);
  });

  test("out reaches the machine where it may, and is a fault elsewhere", () => {
    const rig = new Rig(function* (cpu): KernelCode {
      cpu.out(0x500, 7);
      expect(() => cpu.out(0x60, 7)).toThrow(/general protection/);
      yield;
    });
    rig.run();
    expect(rig.outs).toEqual([[0x500, 7]]);
    expect(rig.crashes).toEqual([]);
  });
});

// Domains without kernels, for tests that call the hypervisor's parts directly: each has vcpus, frames and a flat kernel
// mapping of them at FLAT (user-accessible, as a builder would make it), so that hypercall arguments can lie in its memory.

import type { Domain } from "../../hypervisor/domain.ts";
import { CONTINUE } from "../../hypervisor/hypercalls/args.ts";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { createDomain, createVcpu } from "../../hypervisor/lifecycle.ts";
import { Reg, Seg } from "../../hypervisor/machine/cpu_state.ts";
import { FRAME_SIZE } from "../../hypervisor/machine/memory.ts";
import { PageType } from "../../hypervisor/memory/frame_table.ts";
import type { Vcpu } from "../../hypervisor/vcpu.ts";
import { FLAT_KERNEL_CS, FLAT_KERNEL_SS } from "../../shared/abi/arch_x86.ts";
import type { DomId, Mfn, Va } from "../../shared/brand.ts";

/** Where a bare domain's data frames are mapped: 512 KiB from 1 GiB on. */
export const FLAT = 0x40000000;
const DATA_FRAMES = 128;
const PRESENT_WRITABLE_USER = 7;
const ARGUMENTS = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9];

export class BareDomain {
  readonly hv: Hypervisor;
  readonly domain: Domain;
  /** First frame of the data, which are consecutive. */
  readonly data: Mfn;

  constructor(hv: Hypervisor, id: number, options: { vcpus?: number; privileged?: boolean } = {}) {
    this.hv = hv;
    const domain = createDomain(hv, {
      id: id as DomId,
      privileged: options.privileged ?? false,
      processor: hv.x86,
      handle: new Uint8Array(16),
      maxVcpus: options.vcpus ?? 1,
      maxPages: 256,
      maxGrantFrames: 4,
      maxMaptrackFrames: 4,
    });
    if (domain === undefined) throw new Error("no memory for the domain");
    this.domain = domain;
    const [l4, l3, l2, l1] = [0, 1, 2, 3].map(() => domain.memory.alloc() as Mfn);
    this.data = hv.frames.allocContiguous(domain.memory, DATA_FRAMES) as Mfn;
    const entry = (table: Mfn, index: number, mfn: number, flags: number): void => {
      hv.memory.u32[table * 1024 + index * 2] = mfn * FRAME_SIZE + flags;
    };
    entry(l4, 0, l3, PRESENT_WRITABLE_USER);
    entry(l3, FLAT / 2 ** 30, l2, PRESENT_WRITABLE_USER);
    entry(l2, 0, l1, PRESENT_WRITABLE_USER);
    for (let i = 0; i < DATA_FRAMES; i++) entry(l1, i, this.data + i, PRESENT_WRITABLE_USER);
    for (let i = 0; i < domain.maxVcpus; i++) {
      const vcpu = createVcpu(hv, domain) as Vcpu;
      const error = (i === 0 ? hv.mm.pin(l4, PageType.L4, domain.id) : 0) || hv.mm.setGuestTable(vcpu, l4, false);
      if (error !== 0) throw new Error(`the page tables were refused: ${error}`);
      vcpu.cpu.setSelector(Seg.CS, FLAT_KERNEL_CS);
      vcpu.cpu.setSelector(Seg.SS, FLAT_KERNEL_SS);
      vcpu.periodicNs = 0;
      vcpu.initialised = true;
    }
  }

  get vcpu(): Vcpu {
    return this.domain.vcpus[0];
  }

  /** The data as bytes, and as a view; offset 0 is at FLAT. */
  get bytes(): Uint8Array {
    return this.hv.memory.u8.subarray(this.data * FRAME_SIZE, (this.data + DATA_FRAMES) * FRAME_SIZE);
  }

  get view(): DataView {
    return new DataView(this.hv.memory.u8.buffer, this.data * FRAME_SIZE, DATA_FRAMES * FRAME_SIZE);
  }

  /** Takes the page at a data offset out of the page table. */
  unmap(offset: number): void {
    const word = this.hv.mm.findL1(this.vcpu, (FLAT + offset) as Va);
    this.hv.mm.setEntry(1, word, 0, 0, this.domain.id);
  }

  /** Issues a hypercall as the vcpu, continuations included; numbers below 2^53 or bigint. The signed result. */
  call(nr: number, ...args: (number | bigint)[]): number {
    return this.callOn(this.vcpu, nr, ...args);
  }

  callOn(vcpu: Vcpu, nr: number, ...args: (number | bigint)[]): number {
    const { cpu } = vcpu;
    this.hv.current = vcpu;
    cpu.setNum(Reg.RAX, nr);
    ARGUMENTS.forEach((reg, i) => {
      cpu.setBig(reg, BigInt.asUintN(64, BigInt(args[i] ?? 0)));
    });
    while (this.hv.dispatcher.call(vcpu) === CONTINUE);
    return cpu.lo(Reg.RAX) + (cpu.hi(Reg.RAX) | 0) * 4294967296;
  }

  /** Issues an event_channel_op with u32 words as its argument; the result, and the argument's words afterwards. */
  op(nr: number, cmd: number, words: readonly number[]): { result: number; words: number[] } {
    words.forEach((word, i) => {
      this.view.setUint32(i * 4, word, true);
    });
    const result = this.call(nr, cmd, FLAT);
    return { result, words: words.map((_, i) => this.view.getUint32(i * 4, true)) };
  }
}

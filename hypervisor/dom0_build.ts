// Builds domain 0: gives it contiguous frames, lays out its start of day (public/xen.h, "Start-of-day memory layout"),
// makes and pins its page tables, and points its first vcpu at a TypeScript kernel. Called once by index.ts with a domain
// that has one vcpu and no memory. Other domains are built by dom0's toolstack through hypercalls.
//
// Layout by page: start_info; the pfn-to-mfn list; the page tables, level 4 first; one page of stack; the rest is free. All
// of it is mapped from VIRT_BASE on, page tables read-only. Unlike a domU's kernel it has no image and no console ring.

import { FLAT_KERNEL_CS, FLAT_KERNEL_SS } from "../shared/abi/arch_x86.ts";
import { SIF_INITDOMAIN, SIF_PRIVILEGED, StartInfo, VcpuInfo } from "../shared/abi/xen.ts";
import type { Mfn, Va } from "../shared/brand.ts";
import type { KernelMain } from "../shared/kernel.ts";
import type { Domain } from "./domain.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { Reg, Seg } from "./machine/cpu_state.ts";
import { FRAME_SIZE } from "./machine/memory.ts";
import { ENTRIES_PER_TABLE, Pte, pteLo } from "./machine/pte.ts";
import { TsProcessor } from "./machine/ts/processor.ts";
import { PageType } from "./memory/frame_table.ts";
import { kernelHost } from "./ts_kernels.ts";

/** Where dom0's memory begins in its address space: 1 GiB, in the lower half, so that addresses are plain numbers. */
export const DOM0_VIRT_BASE = 0x40000000 as Va;
const TABLE = Pte.P | Pte.RW | Pte.US | Pte.A | Pte.D;
const WRITABLE = TABLE;
const READ_ONLY = Pte.P | Pte.US | Pte.A;
const INTERRUPTS_ON = 0x202;
const MAGIC = "xen-3.0-x86_64";

/** Throws Error, one clear line, when the machine has not that much memory free. */
export function buildDom0(hv: Hypervisor, domain: Domain, main: KernelMain, memoryMiB: number): void {
  const pages = memoryMiB * 256;
  domain.memory.maxPages = pages;
  const first = hv.frames.freeFrames >= pages ? hv.frames.allocContiguous(domain.memory, pages) : -1;
  if (first === -1)
    throw new Error(`dom0 needs ${memoryMiB} MiB, and ${Math.floor(hv.frames.freeFrames / 256)} MiB are free`);
  const mfn = (pfn: number): Mfn => (first + pfn) as Mfn;
  const va = (pfn: number): Va => (DOM0_VIRT_BASE + pfn * FRAME_SIZE) as Va;

  const listPages = Math.ceil((pages * 8) / FRAME_SIZE);
  const l1Count = Math.ceil(pages / ENTRIES_PER_TABLE);
  const l2Count = Math.ceil(l1Count / ENTRIES_PER_TABLE);
  const l4 = 1 + listPages;
  const l3 = l4 + 1;
  const l2 = l3 + 1;
  const l1 = l2 + l2Count;
  const stack = l1 + l1Count;
  if (stack + 256 > pages) throw new Error(`dom0 can't start in ${memoryMiB} MiB`);

  const u32 = hv.memory.u32;
  for (let pfn = 0; pfn < pages; pfn++) {
    u32[mfn(1) * 1024 + pfn * 2] = mfn(pfn);
    hv.mm.setM2p(mfn(pfn), pfn);
    const isTable = pfn >= l4 && pfn < stack;
    u32[mfn(l1) * 1024 + pfn * 2] = pteLo(mfn(pfn), isTable ? READ_ONLY : WRITABLE);
  }
  for (let i = 0; i < l1Count; i++) u32[mfn(l2) * 1024 + i * 2] = pteLo(mfn(l1 + i), TABLE);
  const firstSlot = Math.floor(DOM0_VIRT_BASE / 2 ** 30);
  for (let i = 0; i < l2Count; i++) u32[mfn(l3) * 1024 + (firstSlot + i) * 2] = pteLo(mfn(l2 + i), TABLE);
  u32[mfn(l4) * 1024] = pteLo(mfn(l3), TABLE);

  const info = StartInfo.at(hv.memory.view, mfn(0) * FRAME_SIZE);
  info.magic = MAGIC;
  info.nr_pages_num = pages;
  info.shared_info_num = domain.sharedInfo * FRAME_SIZE;
  info.flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
  info.pt_base_num = va(l4);
  info.nr_pt_frames_num = stack - l4;
  info.mfn_list_num = va(1);

  const vcpu = domain.vcpus[0];
  const error = hv.mm.pin(mfn(l4), PageType.L4, domain.id) || hv.mm.setGuestTable(vcpu, mfn(l4), false);
  if (error) throw new Error(`dom0's own page tables were refused (${error}): a bug`);

  const processor = new TsProcessor(hv.memory, hv.walker, hv.tlb, kernelHost(hv), main, DOM0_VIRT_BASE);
  domain.processor = processor;
  const { cpu } = vcpu;
  cpu.setVa(Reg.RIP, processor.entryPoint);
  cpu.setVa(Reg.RSP, va(stack + 1));
  cpu.setVa(Reg.RSI, va(0));
  cpu.setNum(Reg.RFLAGS, INTERRUPTS_ON);
  cpu.setSelector(Seg.CS, FLAT_KERNEL_CS);
  cpu.setSelector(Seg.SS, FLAT_KERNEL_SS);
  vcpu.kernelSs = FLAT_KERNEL_SS;
  vcpu.kernelSp = va(stack + 1);
  hv.memory.u8[vcpu.vcpuInfo + VcpuInfo.offsets.evtchn_upcall_mask] = 1;
}

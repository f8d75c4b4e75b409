// The hypercall page: code through which a kernel may issue hypercalls, 32 bytes for each number, as Xen 4.17 fills it
// (a part of the ABI: kernels jump into it). Filled by domctl hypercall_init and by a guest's write to the MSR that CPUID
// leaf 0x40000002 names. iret is jumped to, not called: RCX, R11 and RAX go onto the stack as its frame wants them.

import { __HYPERVISOR_iret } from "../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { PageType } from "../memory/frame_table.ts";

const NR_ENTRIES = 128;
const INT3 = 0xcc;

// biome-ignore format: one instruction a line
const ENTRY = [
  0x51,             // push %rcx
  0x41, 0x53,       // push %r11
  0xb8, 0, 0, 0, 0, // mov  $nr, %eax
  0x0f, 0x05,       // syscall
  0x41, 0x5b,       // pop  %r11
  0x59,             // pop  %rcx
  0xc3,             // ret
];
// biome-ignore format: one instruction a line
const IRET_ENTRY = [
  0x51,             // push %rcx
  0x41, 0x53,       // push %r11
  0x50,             // push %rax
  0xb8, __HYPERVISOR_iret, 0, 0, 0, // mov $iret, %eax
  0x0f, 0x05,       // syscall
];

/** The page's 4096 bytes. */
export function hypercallPage(): Uint8Array {
  const page = new Uint8Array(4096).fill(INT3);
  for (let nr = 0; nr < NR_ENTRIES; nr++) {
    page.set(nr === __HYPERVISOR_iret ? IRET_ENTRY : ENTRY, nr * 32);
    if (nr !== __HYPERVISOR_iret) page[nr * 32 + 4] = nr;
  }
  return page;
}

/** Fills a frame of domain `id` that may be written; false when it is not such a frame. */
export function fillHypercallPage(hv: Hypervisor, id: DomId, mfn: number): boolean {
  if (hv.mm.types.getPageAndType(mfn, id, PageType.Writable) !== 0) return false;
  hv.memory.frame(mfn as Mfn).set(hypercallPage());
  hv.tlb.dropCode(mfn as Mfn);
  hv.mm.types.putPageAndType(mfn as Mfn);
  return true;
}

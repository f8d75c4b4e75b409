// HYPERVISOR_set_gdt and update_descriptor (public/arch-x86/xen.h): the guest's segment descriptors. The GDT's frames
// become descriptor pages, which nobody can write to but through update_descriptor. What a descriptor may be is
// memory/descriptors.ts. Error numbers as in Xen 4.17.

import { XEN_EFAULT, XEN_EINVAL } from "../../shared/abi/errno.ts";
import type { Mfn } from "../../shared/brand.ts";
import { DescriptorCheck, FIRST_RESERVED_GDT_ENTRY } from "../memory/descriptors.ts";
import { PageType } from "../memory/frame_table.ts";
import type { Handler } from "./args.ts";

const DESCRIPTORS_PER_FRAME = 512;

/** (list of machine frame numbers, u64 each; number of descriptors) */
export const setGdt: Handler = (hv, vcpu, a) => {
  const entries = a.u32(1);
  if (entries > FIRST_RESERVED_GDT_ENTRY) return -XEN_EINVAL;
  const count = Math.ceil(entries / DESCRIPTORS_PER_FRAME);
  if (!hv.access.read(vcpu, a.va(0), hv.scratchBytes, 0, count * 8)) return -XEN_EFAULT;
  const frames: number[] = [];
  for (let i = 0; i < count; i++) {
    const hi = hv.scratch.getUint32(i * 8 + 4, true);
    frames.push(hi === 0 ? hv.scratch.getUint32(i * 8, true) : -1);
  }
  return hv.mm.setGdt(vcpu, frames, entries);
};

/** (machine address of the descriptor, the descriptor): in a descriptor page, or in one that is not in use. */
export const updateDescriptor: Handler = (hv, vcpu, a) => {
  const check = new DescriptorCheck();
  if (a.lo(0) & 7 || !check.accept(a.lo(1), a.hi(1))) return -XEN_EINVAL;
  const mfn = a.hi(0) === 0 ? a.lo(0) >>> 12 : -1;
  if (!hv.frames.getPage(mfn, vcpu.domain.id)) return -XEN_EINVAL;
  const type = hv.frames.type[mfn] === PageType.SegDesc ? PageType.SegDesc : PageType.Writable;
  const error = hv.mm.types.get(mfn as Mfn, type);
  if (!error) {
    hv.mm.storeRaw((mfn * 4096 + (a.lo(0) & 0xfff)) / 4, check.lo, check.hi);
    hv.mm.types.put(mfn as Mfn);
  }
  hv.frames.putPage(mfn as Mfn);
  return error;
};

// What a code or stack selector stands for, checked as the processor checks it when `iret` loads it. Used by iret.ts,
// set_segment_base and vcpu contexts. Descriptors: Intel SDM volume 3, 3.4.5; Xen's flat ones: public/arch-x86/xen-x86_64.h.
// Only 64-bit code runs here so far: a 32-bit code segment is refused.

import { FIRST_RESERVED_GDT_ENTRY, FLAT_KERNEL_SS, FLAT_USER_CS } from "../../shared/abi/arch_x86.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { CpuLayout } from "../machine/cpu_state.ts";
import { FRAME_SIZE } from "../machine/memory.ts";
import type { Vcpu } from "../vcpu.ts";
import { withKernelTable } from "./guest_mode.ts";

const PRESENT = 1 << 15;
const CODE_OR_DATA = 1 << 12;
const CODE = 1 << 11;
const WRITABLE = 1 << 9;
const LONG = 1 << 21;
const DEFAULT_32 = 1 << 22;
const DPL_3 = 3 << 13;

/**
 * The descriptor that a selector names, as halves; undefined when it is outside its table or can't be read. An LDT is read by the
 * kernel's tables, as in Xen, and its segments are raised to ring 3 as a GDT's are.
 */
export function readDescriptor(hv: Hypervisor, vcpu: Vcpu, selector: number): { lo: number; hi: number } | undefined {
  const index = selector >>> 3;
  if (selector & 4) {
    if (index >= vcpu.cpu.field(CpuLayout.ldtEntries)) return undefined;
    const at = vcpu.cpu.address + CpuLayout.ldtBase;
    const base = hv.memory.view.getUint32(at, true) + hv.memory.view.getUint16(at + 4, true) * 4294967296;
    const there = withKernelTable(vcpu, () => hv.access.read(vcpu, (base + index * 8) as Va, hv.scratchBytes, 0, 8));
    const hi = hv.scratch.getUint32(4, true);
    return there ? { lo: hv.scratch.getUint32(0, true), hi: hi & CODE_OR_DATA ? (hi | DPL_3) >>> 0 : hi } : undefined;
  }
  if (index >= FIRST_RESERVED_GDT_ENTRY || index >= vcpu.cpu.field(CpuLayout.gdtEntries)) return undefined;
  const frame = vcpu.cpu.field(CpuLayout.gdtFrames + (index >>> 9) * 4) as Mfn;
  if (frame === 0) return undefined;
  const at = (frame * FRAME_SIZE + (index & 511) * 8) >>> 2;
  return { lo: hv.memory.u32[at], hi: hv.memory.u32[at + 1] };
}

/** The base address in a descriptor. */
export function descriptorBase(d: { lo: number; hi: number }): number {
  return ((d.lo >>> 16) | ((d.hi & 0xff) << 16) | (d.hi & 0xff000000)) >>> 0;
}

/** May CS be this selector (RPL 3)? */
export function codeSelectorOk(hv: Hypervisor, vcpu: Vcpu, selector: number): boolean {
  if (selector === FLAT_USER_CS) return true;
  const d = readDescriptor(hv, vcpu, selector);
  if (d === undefined || (selector & ~3) === 0) return false;
  const need = PRESENT | CODE_OR_DATA | CODE | LONG;
  return (d.hi & need) === need && !(d.hi & DEFAULT_32);
}

/** May SS be this selector (RPL 3)? */
export function stackSelectorOk(hv: Hypervisor, vcpu: Vcpu, selector: number): boolean {
  if (selector === FLAT_KERNEL_SS) return true;
  if ((selector & ~3) === 0) return false;
  const d = readDescriptor(hv, vcpu, selector);
  const need = PRESENT | CODE_OR_DATA | WRITABLE;
  return d !== undefined && (d.hi & (need | CODE)) === need;
}

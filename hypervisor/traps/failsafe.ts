// The failsafe callback: where a kernel is entered when its vcpu gets the processor and one of its data segment registers can't be
// loaded any more, for its descriptor has been changed or taken away since. That register is null then, and the frame tells what
// all four were. Called by enterVcpu (time/vcpu_time.ts). As Xen 4.17's load_segments; the frame:
//   RCX, R11, DS, ES, FS, GS, RIP, CS with the saved upcall mask, RFLAGS, RSP, SS

import { FLAT_RING3_CS32, FLAT_RING3_CS64, FLAT_RING3_DS32 } from "../../shared/abi/arch_x86.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Seg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { readDescriptor } from "./segments.ts";

/** In the order of the frame. */
const DATA_SEGMENTS = [Seg.DS, Seg.ES, Seg.FS, Seg.GS] as const;
/** Xen's own segments that may be loaded, and null: without RPL. */
const ALWAYS: readonly number[] = [0, FLAT_RING3_CS32 & ~3, FLAT_RING3_CS64 & ~3, FLAT_RING3_DS32 & ~3];
// Bits of a descriptor's high half: present and no system segment; code, which must be readable. Its DPL is 3.
const SEGMENT = 0x9000;
const CODE = 0x800;
const READABLE = 0x200;

/** The vcpu got the processor: are its data segments still what they were? */
export function checkDataSegments(hv: Hypervisor, vcpu: Vcpu): void {
  const { cpu } = vcpu;
  if ((cpu.selector(Seg.DS) | cpu.selector(Seg.ES) | cpu.selector(Seg.FS) | cpu.selector(Seg.GS)) <= 3) return;
  const selectors = DATA_SEGMENTS.map((segment) => cpu.selector(segment));
  const bad = DATA_SEGMENTS.filter((_, i) => !loadable(hv, vcpu, selectors[i]));
  for (const segment of bad) cpu.setSelector(segment, 0);
  if (bad.length > 0) hv.traps.failsafe(vcpu, selectors);
}

function loadable(hv: Hypervisor, vcpu: Vcpu, selector: number): boolean {
  if (ALWAYS.includes(selector & ~3)) return true;
  const hi = readDescriptor(hv, vcpu, selector)?.hi ?? 0;
  return (hi & SEGMENT) === SEGMENT && (hi & (CODE | READABLE)) !== CODE;
}

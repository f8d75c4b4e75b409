// Segment descriptors of PV guests: which ones a guest's GDT or LDT may hold, and how they are changed so that none of
// them reaches below ring 3. Called when a frame becomes a descriptor page and by update_descriptor. As Xen 4.17's
// check_descriptor for 64-bit guests; Intel SDM volume 3, 3.4.5.

import type { Mfn } from "../../shared/brand.ts";

// Bits of a descriptor's high half.
const PRESENT = 1 << 15;
const NOT_SYSTEM = 1 << 12;
const TYPE = 0xf00;
const CALL_GATE = 0xc00;
const DPL_SHIFT = 13;
const GATE_RESERVED = 0xff;
/** GDT entries up to here are the guest's (14 pages); those above are the hypervisor's. */
export const FIRST_RESERVED_GDT_ENTRY = 7168;
/** The hypervisor's flat 64-bit code segment, which guests may use. */
export const FLAT_RING3_CS64 = 0xe033;

/** Whether a gate, trap or callback may name this code selector: one of the guest's own, or the flat one. */
export function gateSelectorOk(selector: number): boolean {
  return selector >>> 3 < FIRST_RESERVED_GDT_ENTRY || (selector & 4) !== 0 || selector === FLAT_RING3_CS64;
}

/** A descriptor as checked: its halves, changed where Xen changes them. The fields hold the last result. */
export class DescriptorCheck {
  lo = 0;
  hi = 0;

  /** False when a guest may not have this descriptor. */
  accept(lo: number, hi: number): boolean {
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
    if (!(hi & PRESENT)) return true; // Always faults.
    const asked = (hi >>> DPL_SHIFT) & 3;
    const dpl = Math.max(asked, 3); // Guest kernels run at ring 3.
    const b = (hi & ~(3 << DPL_SHIFT)) | (dpl << DPL_SHIFT);
    if (hi & NOT_SYSTEM) {
      this.hi = b >>> 0;
      return true;
    }
    if ((hi & TYPE) === 0) return true; // The upper half of a call gate, or harmless.
    if ((hi & TYPE) !== CALL_GATE) return false;
    const selector = lo >>> 16;
    if (!gateSelectorOk(selector) || hi & GATE_RESERVED) return false;
    // DPL 0 makes every use of the gate a #GP; the one asked for is kept in the selector.
    this.hi = (b & ~(3 << DPL_SHIFT)) >>> 0;
    this.lo = ((lo & 0xffff) | (((selector & ~3) | dpl) << 16)) >>> 0;
    return true;
  }
}

/** Checks the 512 descriptors of a frame and changes them where needed; false at the first that is refused. */
export function descriptorPageOk(u32: Uint32Array, mfn: Mfn): boolean {
  const check = new DescriptorCheck();
  for (let at = mfn * 1024; at < mfn * 1024 + 1024; at += 2) {
    if (!check.accept(u32[at], u32[at + 1])) return false;
    u32[at] = check.lo;
    u32[at + 1] = check.hi;
  }
  return true;
}

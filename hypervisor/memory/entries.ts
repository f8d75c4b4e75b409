// What a single page-table entry of a PV guest may be, and what the hypervisor adds to it. Pure functions over halves of
// entries and the frame table; page_types.ts takes the references. As Xen 4.17's get_page_from_l1e and disallow masks.
// Left out: forcing uncached attributes onto device mappings, for memory here has no caches to speak of.

import { XEN_EBUSY, XEN_EINVAL, XEN_EPERM } from "../../shared/abi/errno.ts";
import { DOMID_IO } from "../../shared/abi/xen.ts";
import type { DomId } from "../../shared/brand.ts";
import { Pte, PteHi } from "../machine/pte.ts";
import type { FrameTable } from "./frame_table.ts";

const CACHE_ATTRIBUTES = Pte.PWT | Pte.PCD | Pte.PAT;
/** At levels 2 to 4: cache attributes, large pages and the global bit. */
const TABLE_DISALLOWED = CACHE_ATTRIBUTES | Pte.PSE | Pte.G;
/** Flags of which a change needs no new validation, by half; everything else affects translation or safety. */
const HARMLESS_LO = Pte.AVAIL | Pte.G | Pte.D | Pte.A | Pte.US;

export function tableFlagsOk(lo: number): boolean {
  return (lo & TABLE_DISALLOWED) === 0;
}

/** Whether a present level-1 entry's flags are allowed to a domain: cache attributes only to those with devices. */
export function l1FlagsOk(lo: number, privileged: boolean): boolean {
  return privileged || (lo & CACHE_ATTRIBUTES) === 0;
}

/** Whether a new present entry differs from the old present one only in flags that need no validation. */
export function onlyHarmlessChange(oldLo: number, oldHi: number, lo: number, hi: number): boolean {
  return ((oldLo ^ lo) & ~HARMLESS_LO) === 0 && ((oldHi ^ hi) & PteHi.RESERVED) === 0;
}

/**
 * Looks at a present level-1 entry in a table of `owner`. Negative: it is refused with that errno. 0: it maps a device
 * frame, which is not counted. Positive: it maps the frame `lo >>> 12`, which has an owner, and if the writable type
 * cannot be had the errno is minus this.
 */
export function checkL1(f: FrameTable, lo: number, hi: number, owner: DomId, pageOwner: DomId): number {
  const privileged = f.memoryOf(owner)?.privileged === true;
  if (!l1FlagsOk(lo, privileged)) return -XEN_EINVAL;
  const mfn = hi & PteHi.RESERVED ? -1 : lo >>> 12;
  if (!f.isValid(mfn) || f.owner[mfn] === DOMID_IO) {
    const allOnes = (hi & PteHi.RESERVED) === PteHi.RESERVED && lo >>> 12 === 0xfffff;
    if (!privileged || !f.isValid(mfn)) return allOnes ? -XEN_EINVAL : -XEN_EPERM;
    return 0;
  }
  if (f.refCount[mfn] === 0 || f.owner[mfn] !== pageOwner) return -XEN_EBUSY;
  return XEN_EBUSY;
}

/** The low half as it is stored: guests' entries all get the user bit, for their kernels run at CPL 3 too. */
export function adjustLo(level: number, lo: number, hi: number): number {
  if (!(lo & Pte.P)) return lo;
  if (level === 4) return (lo | Pte.US | Pte.A) >>> 0;
  if (level !== 1) return (lo | Pte.US) >>> 0;
  const kernel = !(lo & Pte.US) || (hi & PteHi.GUEST_KERNEL) !== 0;
  return (lo | Pte.US | (kernel ? 0 : Pte.G)) >>> 0;
}

/** The high half as it is stored: a level-1 entry that came without the user bit is marked as the guest kernel's. */
export function adjustHi(level: number, lo: number, hi: number): number {
  return level === 1 && lo & Pte.P && !(lo & Pte.US) ? (hi | PteHi.GUEST_KERNEL) >>> 0 : hi;
}

// Whose frames a memory-management hypercall may name: the `foreigndom` argument of mmu_update, mmuext_op and
// update_va_mapping_otherdomain (Xen's get_pg_owner, and its default access policy).

import { DOMID_IO, DOMID_SELF, DOMID_XEN } from "../../shared/abi/xen.ts";
import type { DomId } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import type { Vcpu } from "../vcpu.ts";

export const NO_OWNER = -1;

/** The owner that a domain id names, or NO_OWNER. A domain must call itself DOMID_SELF here: its own id is refused. */
export function pageOwner(hv: Hypervisor, vcpu: Vcpu, domid: number): DomId | typeof NO_OWNER {
  if (domid === DOMID_SELF) return vcpu.domain.id;
  if (domid === vcpu.domain.id) return NO_OWNER;
  if (domid === DOMID_IO || domid === DOMID_XEN) return domid as DomId;
  return hv.find(domid)?.id ?? NO_OWNER;
}

/** Whether the caller may work on this owner's frames: its own, a device's (each entry is checked), all if privileged. */
export function mayName(vcpu: Vcpu, owner: DomId): boolean {
  return owner === vcpu.domain.id || owner === DOMID_IO || vcpu.domain.privileged;
}

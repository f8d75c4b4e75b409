// HYPERVISOR_update_va_mapping and update_va_mapping_otherdomain (public/xen.h): one level-1 entry, named by the virtual
// address that it maps, changed and flushed in one call. There is one processor with one translation cache, so the
// choice of vcpus in the flags only has to be readable.

import { XEN_EFAULT, XEN_EINVAL, XEN_EPERM, XEN_ESRCH } from "../../shared/abi/errno.ts";
import { UVMF_ALL, UVMF_FLUSHTYPE_MASK, UVMF_INVLPG, UVMF_LOCAL, UVMF_TLB_FLUSH } from "../../shared/abi/xen.ts";
import type { DomId, Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { canonical } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { type Args, CONTINUE, type Handler } from "./args.ts";
import { pause } from "./batch.ts";
import { mayName, NO_OWNER, pageOwner } from "./page_owner.ts";

/** (virtual address, new entry, UVMF_ flags) */
export const updateVaMapping: Handler = (hv, vcpu, a) => update(hv, vcpu, a, vcpu.domain.id);

/** (virtual address, new entry, UVMF_ flags, domain whose frame is mapped) */
export const updateVaMappingOtherdomain: Handler = (hv, vcpu, a) => {
  const owner = pageOwner(hv, vcpu, a.u32(3) & 0xffff);
  if (owner === NO_OWNER) return -XEN_ESRCH;
  return update(hv, vcpu, a, owner);
};

function update(hv: Hypervisor, vcpu: Vcpu, a: Args, owner: DomId): number {
  // Unlike mmu_update, this call needs privilege for DOMID_IO too.
  if (owner !== vcpu.domain.id && !(vcpu.domain.privileged && mayName(vcpu, owner))) return -XEN_EPERM;
  const { memory } = vcpu.domain;
  // What an earlier call left may be what this one is about.
  if (memory.deferred.length > 0 && !hv.mm.types.settle(memory, () => pause(hv))) return CONTINUE;
  const va = a.va(0);
  const word = hv.mm.findL1(vcpu, va);
  if (word === -1 || va === -1) return -XEN_EINVAL;
  const error = hv.mm.setEntry(1, word, a.lo(1), a.hi(1), owner);
  if (error) return error;
  const flush = a.lo(2) & UVMF_FLUSHTYPE_MASK;
  if (flush !== UVMF_TLB_FLUSH && flush !== UVMF_INVLPG) return 0;
  const targets = canonical((a.lo(2) & ~UVMF_FLUSHTYPE_MASK) >>> 0, a.hi(2));
  if (targets !== UVMF_LOCAL && targets !== UVMF_ALL && !vcpuMaskReadable(hv, vcpu, targets)) return -XEN_EFAULT;
  if (flush === UVMF_INVLPG) hv.tlb.flushPage(va);
  else hv.tlb.flushAll();
  return 0;
}

/** Whether a bitmap of the domain's vcpus can be read at `va`. */
export function vcpuMaskReadable(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): boolean {
  const words = Math.ceil(vcpu.domain.vcpus.length / 64);
  return hv.access.read(vcpu, va, hv.scratchBytes, 0, words * 8);
}

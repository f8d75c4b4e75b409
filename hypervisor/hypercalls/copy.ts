// Copying a hypercall's argument structure from and to the guest, to the start of scratch: copied once, then checked, then
// used. For handlers whose argument is one structure.

import type { Accessor, Fields, Struct } from "../../shared/abi/struct.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import type { Vcpu } from "../vcpu.ts";

/** The structure at `va`, copied; undefined: -EFAULT. */
export function copyIn<F extends Fields>(
  hv: Hypervisor,
  vcpu: Vcpu,
  va: Va | -1,
  of: Struct<F>,
): Accessor<F> | undefined {
  const { size } = of;
  const done =
    size & 3
      ? hv.access.read(vcpu, va, hv.scratchBytes, 0, size)
      : hv.access.readWords(vcpu, va, hv.scratchWords, size >>> 2);
  return done ? of.at(hv.scratch, 0) : undefined;
}

/** Writes the structure in scratch back; false: -EFAULT. */
export function copyOut(hv: Hypervisor, vcpu: Vcpu, va: Va | -1, of: { readonly size: number }): boolean {
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, of.size);
}

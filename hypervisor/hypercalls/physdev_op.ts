// HYPERVISOR_physdev_op (public/physdev.h): I/O privilege for every domain; physical interrupts for dom0. There is no PCI bus
// and no I/O APIC, so their operations answer -ENOSYS.

import { XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM } from "../../shared/abi/errno.ts";
import {
  MAP_PIRQ_TYPE_GSI,
  PHYSDEVOP_alloc_irq_vector,
  PHYSDEVOP_apic_read,
  PHYSDEVOP_apic_write,
  PHYSDEVOP_eoi,
  PHYSDEVOP_irq_status_query,
  PHYSDEVOP_map_pirq,
  PHYSDEVOP_set_iobitmap,
  PHYSDEVOP_set_iopl,
  PHYSDEVOP_unmap_pirq,
  PhysdevIrqStatusQuery,
  PhysdevMapPirq,
  PhysdevSetIobitmap,
  PhysdevUnmapPirq,
} from "../../shared/abi/physdev.ts";
import { NR_PIRQS } from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import { rangeOk } from "../memory/guest_access.ts";
import type { Handler } from "./args.ts";
import { copyIn, copyOut } from "./copy.ts";

const IOBITMAP_BYTES = 8192;

/** (command, argument) */
export const physdevOp: Handler = (hv, vcpu, a) => {
  const va = a.va(1);
  switch (a.i32(0)) {
    case PHYSDEVOP_set_iopl: {
      const iopl = hv.access.readU32(vcpu, va);
      if (iopl === -1) return -XEN_EFAULT;
      if (iopl > 3) return -XEN_EINVAL;
      vcpu.iopl = iopl;
      return 0;
    }
    case PHYSDEVOP_set_iobitmap: {
      const arg = copyIn(hv, vcpu, va, PhysdevSetIobitmap);
      if (arg === undefined) return -XEN_EFAULT;
      const bitmap = canonical(arg.bitmap_lo, arg.bitmap_hi);
      if (!rangeOk(bitmap, IOBITMAP_BYTES) || arg.nr_ports > 65536) return -XEN_EINVAL;
      vcpu.ioBitmap = bitmap;
      vcpu.ioBitmapPorts = arg.nr_ports;
      return 0;
    }
    case PHYSDEVOP_eoi: {
      const irq = hv.access.readU32(vcpu, va);
      if (irq === -1) return -XEN_EFAULT;
      // Device lines are edges: nothing is held back until the end of an interrupt.
      return vcpu.domain.events.pirqPort(irq) === undefined ? -XEN_EINVAL : 0;
    }
    case PHYSDEVOP_irq_status_query: {
      const arg = copyIn(hv, vcpu, va, PhysdevIrqStatusQuery);
      if (arg === undefined) return -XEN_EFAULT;
      if (arg.irq >= NR_PIRQS) return -XEN_EINVAL;
      arg.flags = 0; // No EOI needed, not shared.
      return copyOut(hv, vcpu, va, PhysdevIrqStatusQuery) ? 0 : -XEN_EFAULT;
    }
    case PHYSDEVOP_map_pirq: {
      const arg = copyIn(hv, vcpu, va, PhysdevMapPirq);
      if (arg === undefined) return -XEN_EFAULT;
      const domain = hv.resolve(arg.domid);
      if (!vcpu.domain.privileged || domain !== vcpu.domain) return -XEN_EPERM;
      if (arg.type !== MAP_PIRQ_TYPE_GSI || arg.index < 0 || arg.index >= NR_PIRQS) return -XEN_EINVAL;
      if (arg.pirq >= 0 && arg.pirq !== arg.index) return -XEN_EINVAL; // Interrupts keep their numbers.
      arg.pirq = arg.index;
      return copyOut(hv, vcpu, va, PhysdevMapPirq) ? 0 : -XEN_EFAULT;
    }
    case PHYSDEVOP_unmap_pirq: {
      const arg = copyIn(hv, vcpu, va, PhysdevUnmapPirq);
      if (arg === undefined) return -XEN_EFAULT;
      if (!vcpu.domain.privileged || hv.resolve(arg.domid) !== vcpu.domain) return -XEN_EPERM;
      return arg.pirq >= 0 && arg.pirq < NR_PIRQS ? 0 : -XEN_EINVAL;
    }
    case PHYSDEVOP_apic_read:
    case PHYSDEVOP_apic_write:
    case PHYSDEVOP_alloc_irq_vector:
      return vcpu.domain.privileged ? -XEN_ENOSYS : -XEN_EPERM;
    default:
      return -XEN_ENOSYS;
  }
};

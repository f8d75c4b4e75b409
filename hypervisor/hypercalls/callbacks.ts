// Where a kernel wants to be entered: set_trap_table, callback_op, set_callbacks, stack_switch (public/xen.h, callback.h,
// arch-x86/xen.h). Every address is checked to be canonical when it is registered.

import { FLAT_KERNEL_CS, TI_FLAG_IF, TRAP_nmi, TrapInfo } from "../../shared/abi/arch_x86.ts";
import {
  CALLBACKF_mask_events,
  CALLBACKOP_register,
  CALLBACKOP_unregister,
  CALLBACKTYPE_event,
  CALLBACKTYPE_failsafe,
  CALLBACKTYPE_nmi,
  CALLBACKTYPE_syscall,
  CALLBACKTYPE_syscall32,
  CALLBACKTYPE_sysenter,
  CallbackRegister,
  CallbackUnregister,
} from "../../shared/abi/callback.ts";
import { XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS } from "../../shared/abi/errno.ts";
import type { Va } from "../../shared/brand.ts";
import { PREEMPT_ENTRIES } from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { CONTINUE, type Handler } from "./args.ts";
import { copyIn } from "./copy.ts";

/** Cost of an entry on the virtual clock, ns: a list need not have an end. */
const ENTRY_NS = 10;

/** (trap_info array that ends with address 0, or NULL to clear the table) */
export const setTrapTable: Handler = (hv, vcpu, a) => {
  if (a.isNull(0)) {
    vcpu.traps.clear();
    return 0;
  }
  let va = a.va(0);
  for (let done = 1; ; done++) {
    if (va === -1 || !hv.access.read(vcpu, va, hv.scratchBytes, 0, TrapInfo.size)) return -XEN_EFAULT;
    const lo = hv.scratch.getUint32(TrapInfo.offsets.address, true);
    const hi = hv.scratch.getUint32(TrapInfo.offsets.address + 4, true);
    if ((lo | hi) === 0) return 0;
    const address = canonical(lo, hi);
    if (address === -1) return -XEN_EINVAL;
    vcpu.traps.set(
      hv.scratchBytes[TrapInfo.offsets.vector],
      hv.scratchBytes[TrapInfo.offsets.flags],
      hv.scratch.getUint16(TrapInfo.offsets.cs, true),
      address,
    );
    va = (va + TrapInfo.size) as Va;
    hv.charge(ENTRY_NS);
    if (done % PREEMPT_ENTRIES === 0 && hv.preemptCheck()) {
      a.setVa(0, va);
      return CONTINUE;
    }
  }
};

function registerCallback(vcpu: Vcpu, type: number, flags: number, address: Va | -1): number {
  if (address === -1) return -XEN_EINVAL;
  const mask = (flags & CALLBACKF_mask_events) !== 0;
  switch (type) {
    case CALLBACKTYPE_event:
      vcpu.eventCallback = address;
      return 0;
    case CALLBACKTYPE_failsafe:
      vcpu.failsafeCallback = address;
      vcpu.failsafeDisablesEvents = mask;
      return 0;
    case CALLBACKTYPE_syscall:
      vcpu.syscallCallback = address;
      vcpu.syscallDisablesEvents = mask;
      return 0;
    case CALLBACKTYPE_syscall32:
      vcpu.syscall32Callback = address;
      vcpu.syscall32DisablesEvents = mask;
      return 0;
    case CALLBACKTYPE_sysenter:
      vcpu.sysenterCallback = address;
      vcpu.sysenterDisablesEvents = mask;
      return 0;
    case CALLBACKTYPE_nmi:
      registerNmi(vcpu, address);
      return 0;
    default:
      return -XEN_ENOSYS;
  }
}

/** The NMI callback is the trap table's vector 2, with events masked on entry. */
export function registerNmi(vcpu: Vcpu, address: Va): void {
  vcpu.traps.set(TRAP_nmi, TI_FLAG_IF, FLAT_KERNEL_CS, address);
}

/** (command, callback_register or callback_unregister) */
export const callbackOp: Handler = (hv, vcpu, a) => {
  switch (a.i32(0)) {
    case CALLBACKOP_register: {
      const reg = copyIn(hv, vcpu, a.va(1), CallbackRegister);
      if (reg === undefined) return -XEN_EFAULT;
      return registerCallback(vcpu, reg.type, reg.flags, canonical(reg.address_lo, reg.address_hi));
    }
    case CALLBACKOP_unregister: {
      const unreg = copyIn(hv, vcpu, a.va(1), CallbackUnregister);
      if (unreg === undefined) return -XEN_EFAULT;
      switch (unreg.type) {
        case CALLBACKTYPE_nmi:
          vcpu.traps.set(TRAP_nmi, 0, 0, 0 as Va);
          return 0;
        case CALLBACKTYPE_event:
        case CALLBACKTYPE_failsafe:
        case CALLBACKTYPE_syscall:
        case CALLBACKTYPE_syscall32:
        case CALLBACKTYPE_sysenter:
          return -XEN_EINVAL;
        default:
          return -XEN_ENOSYS;
      }
    }
    default:
      return -XEN_ENOSYS;
  }
};

/** (event, failsafe, syscall): an address that is not canonical leaves that callback as it was, as in Xen. */
export const setCallbacks: Handler = (_hv, vcpu, a) => {
  registerCallback(vcpu, CALLBACKTYPE_event, 0, a.va(0));
  registerCallback(vcpu, CALLBACKTYPE_failsafe, 0, a.va(1));
  registerCallback(vcpu, CALLBACKTYPE_syscall, 0, a.va(2));
  return 0;
};

/** (ss, rsp): the stack for entries from user mode. What is not canonical crashes the domain when it is used. */
export const stackSwitch: Handler = (_hv, vcpu, a) => {
  vcpu.kernelSs = (a.u32(0) & 0xffff) | 3;
  vcpu.kernelSp = a.va(1);
  return 0;
};

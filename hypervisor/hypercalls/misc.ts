// Small hypercalls of the processor's side: fpu_taskswitch, set_debugreg, get_debugreg, set_segment_base, iret, vm_assist,
// nmi_op (public/xen.h, arch-x86/xen-x86_64.h, nmi.h). What they change is the traps' and the vcpu's.

import {
  SEGBASE_FS,
  SEGBASE_GS_KERNEL,
  SEGBASE_GS_USER,
  SEGBASE_GS_USER_SEL,
  TRAP_nmi,
} from "../../shared/abi/arch_x86.ts";
import { XEN_EFAULT, XEN_EINVAL, XEN_ENODEV, XEN_ENOSYS } from "../../shared/abi/errno.ts";
import { XENNMI_register_callback, XENNMI_unregister_callback, XennmiCallback } from "../../shared/abi/nmi.ts";
import { VMASST_CMD_disable, VMASST_CMD_enable, VMASST_TYPE_m2p_strict } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { canonical, Reg } from "../machine/cpu_state.ts";
import { readDebug, writeDebug } from "../traps/control_registers.ts";
import { iret } from "../traps/iret.ts";
import { descriptorBase, readDescriptor } from "../traps/segments.ts";
import type { Vcpu } from "../vcpu.ts";
import { VM_ASSIST_VALID } from "../vcpu_context.ts";
import { type Handler, NO_RESULT } from "./args.ts";
import { registerNmi } from "./callbacks.ts";
import { copyIn } from "./copy.ts";

/** (set) */
export const fpuTaskswitch: Handler = (hv, vcpu, a) => {
  hv.traps.setTs(vcpu, a.u32(0) !== 0);
  return 0;
};

/** (register, value) */
export const setDebugreg: Handler = (_hv, vcpu, a) =>
  writeDebug(vcpu, a.u32(0), (BigInt(a.hi(1)) << 32n) | BigInt(a.lo(1)));

/** (register): its value, or -ENODEV */
export const getDebugreg: Handler = (_hv, vcpu, a) => {
  const value = readDebug(vcpu, a.u32(0));
  if (value === undefined) return -XEN_ENODEV;
  // All 64 bits are the result, which a number can't hold.
  vcpu.cpu.setBig(Reg.RAX, value);
  return value < 2n ** 53n ? Number(value) : NO_RESULT;
};

/** The iret hypercall: all registers come from the stack. */
export const iretCall: Handler = (hv, vcpu) => {
  iret(hv, vcpu);
  return NO_RESULT;
};

/** (which, base or selector) */
export const setSegmentBase: Handler = (hv, vcpu, a) => {
  const which = a.u32(0);
  if (which === SEGBASE_GS_USER_SEL) {
    loadUserGs(hv, vcpu, a.u32(1) & 0xffff);
    return 0;
  }
  const reg = which === SEGBASE_FS ? Reg.FS_BASE : which === SEGBASE_GS_KERNEL ? Reg.GS_BASE : Reg.GS_BASE_OTHER;
  if (which > SEGBASE_GS_KERNEL || (which !== SEGBASE_GS_USER && reg === Reg.GS_BASE_OTHER)) return -XEN_EINVAL;
  if (canonical(a.lo(1), a.hi(1)) === -1) return -XEN_EINVAL;
  vcpu.cpu.set(reg, a.lo(1), a.hi(1));
  return 0;
};

/** Loads user mode's GS from the GDT or LDT; a selector that can't be loaded becomes NUL. */
function loadUserGs(hv: Hypervisor, vcpu: Vcpu, selector: number): void {
  const d = selector > 3 ? readDescriptor(hv, vcpu, selector | 3) : undefined;
  const present = d !== undefined && (d.hi & 0x9000) === 0x9000;
  vcpu.cpu.set(Reg.GS_BASE_OTHER, present ? descriptorBase(d) : 0, 0);
}

/** (command, type) */
export const vmAssist: Handler = (_hv, vcpu, a) => {
  const type = a.u32(1);
  const domain = vcpu.domain;
  const valid = type === VMASST_TYPE_m2p_strict || (type < 32 && VM_ASSIST_VALID & (1 << type));
  if (!valid) return -XEN_EINVAL;
  const cmd = a.u32(0);
  if (cmd !== VMASST_CMD_enable && cmd !== VMASST_CMD_disable) return -XEN_ENOSYS;
  const on = cmd === VMASST_CMD_enable;
  if (type === VMASST_TYPE_m2p_strict) domain.m2pStrict = on;
  else if (on) domain.vmAssist |= 1 << type;
  else domain.vmAssist &= ~(1 << type);
  return 0;
};

/** (command, xennmi_callback): the older way to register the NMI handler, for vcpu 0. */
export const nmiOp: Handler = (hv, vcpu, a) => {
  switch (a.u32(0)) {
    case XENNMI_register_callback: {
      const arg = copyIn(hv, vcpu, a.va(1), XennmiCallback);
      if (arg === undefined) return -XEN_EFAULT;
      const address = canonical(arg.handler_address_lo, arg.handler_address_hi);
      if (address === -1) return -XEN_EINVAL;
      registerNmi(vcpu, address);
      return 0;
    }
    case XENNMI_unregister_callback:
      vcpu.traps.set(TRAP_nmi, 0, 0, 0 as Va);
      return 0;
    default:
      return -XEN_ENOSYS;
  }
};

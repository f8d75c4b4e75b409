// HYPERVISOR_multicall (public/xen.h): a list of hypercalls in one. Each entry is copied, carried out, and its result
// written into it. An entry that is preempted gets its remaining arguments written back, and the list goes on from it.

import { XEN_EFAULT, XEN_EINVAL } from "../../shared/abi/errno.ts";
import { __HYPERVISOR_iret, __HYPERVISOR_multicall, MulticallEntry } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import { Reg } from "../machine/cpu_state.ts";
import { startOk } from "../memory/guest_access.ts";
import { CONTINUE, type Handler, NO_RESULT } from "./args.ts";

const SIZE = MulticallEntry.size;
const ARGS = MulticallEntry.offsets.args;
const RESULT = MulticallEntry.offsets.result;
/** A number that no table has. */
const NO_CALL = 0x7fffffff;

/** (list, number of entries) */
export const multicall: Handler = (hv, vcpu, a) => {
  const dispatcher = hv.dispatcher;
  const { entry } = dispatcher.inner;
  const words = hv.scratchWords.u32;
  if (dispatcher.inMulticall) return -XEN_EINVAL; // Not inside itself.
  let count = a.u32(1);
  let va = a.va(0);
  if (count === 0) return 0;
  if (!startOk(va)) return -XEN_EFAULT;
  for (let first = true; count > 0; first = false) {
    if (!first && hv.preemptCheck()) {
      a.setVa(0, va);
      a.setNum(1, count);
      return CONTINUE;
    }
    if (!hv.access.readWords(vcpu, va, entry, SIZE / 4)) return -XEN_EFAULT;
    const nr = entry.u32[1] === 0 ? entry.u32[0] : NO_CALL;
    dispatcher.inMulticall = true;
    const result = dispatcher.callInner(vcpu, nr);
    dispatcher.inMulticall = false;
    if (nr === __HYPERVISOR_iret) return NO_RESULT;
    if (result === CONTINUE) {
      if (!hv.access.write(vcpu, (va + ARGS) as Va, entry.u8, ARGS, SIZE - ARGS)) return -XEN_EFAULT;
      a.setVa(0, va);
      a.setNum(1, count);
      return CONTINUE;
    }
    // A handler whose result takes all 64 bits has put it into RAX (get_debugreg), which is this call's own.
    words[0] = result === NO_RESULT ? vcpu.cpu.lo(Reg.RAX) : result;
    words[1] = result === NO_RESULT ? vcpu.cpu.hi(Reg.RAX) : Math.floor(result / 4294967296);
    vcpu.cpu.set(Reg.RAX, __HYPERVISOR_multicall, 0);
    if (!hv.access.writeWords(vcpu, (va + RESULT) as Va, hv.scratchWords, 2)) return -XEN_EFAULT;
    va = (va + SIZE) as Va;
    count--;
    if (hv.domainGone(vcpu)) return NO_RESULT;
  }
  return 0;
};

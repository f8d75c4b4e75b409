// Scheduling parameters: domctl scheduler_op (one domain) and sysctl scheduler_op (the machine). 4.17 has no BVT: the
// structures are those of Xen 3.0, an extension. Weights are the toolstack's view; here it is mcu_advance.

import {
  XEN_DOMCTL_SCHEDOP_getinfo,
  XEN_DOMCTL_SCHEDOP_putinfo,
  XEN_SCHEDULER_BVT,
  type XenDomctlSchedulerOp,
} from "../../shared/abi/domctl.ts";
import { XEN_EINVAL } from "../../shared/abi/errno.ts";
import type { Of } from "../../shared/abi/struct.ts";
import {
  XEN_SYSCTL_SCHEDOP_getinfo,
  XEN_SYSCTL_SCHEDOP_putinfo,
  type XenSysctlSchedulerOp,
} from "../../shared/abi/sysctl.ts";
import type { Domain } from "../domain.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { WEIGHT_SCALE } from "../sched/bvt.ts";

const MS = 1_000_000;
/** The least context-switch allowance, ns: below it the machine would do nothing but switch. */
const MIN_CTX_ALLOW_NS = 10_000;
/** The longest warp limits, ms: 10 days. */
const MAX_LIMIT_MS = 864_000_000;

/** domctl: reads, or sets and reads back, a domain's parameters. */
export function schedulerOp(hv: Hypervisor, domain: Domain, op: Of<typeof XenDomctlSchedulerOp>): number {
  if (op.sched_id !== XEN_SCHEDULER_BVT) return -XEN_EINVAL;
  const bvt = op.bvt;
  if (op.cmd === XEN_DOMCTL_SCHEDOP_putinfo) {
    const { mcu_adv, warpback, warpvalue } = bvt;
    const warpl = bvt.warpl_num;
    const warpu = bvt.warpu_num;
    if (mcu_adv < 1 || mcu_adv > WEIGHT_SCALE || warpback > 1 || warpvalue < 0) return -XEN_EINVAL;
    if (warpl < 0 || warpl > MAX_LIMIT_MS || warpu < 0 || warpu > MAX_LIMIT_MS) return -XEN_EINVAL;
    hv.sched.account();
    hv.bvt.set(domain, {
      mcuAdvance: mcu_adv,
      warpback: warpback === 1,
      warpValue: warpvalue,
      warplNs: warpl * MS,
      warpuNs: warpu * MS,
    });
    hv.sched.reschedule = true;
  } else if (op.cmd !== XEN_DOMCTL_SCHEDOP_getinfo) return -XEN_EINVAL;
  const params = hv.bvt.params(domain);
  bvt.mcu_adv = params.mcuAdvance;
  bvt.warpback = params.warpback ? 1 : 0;
  bvt.warpvalue = params.warpValue;
  bvt.warpl_num = params.warplNs / MS;
  bvt.warpu_num = params.warpuNs / MS;
  return 0;
}

/** sysctl: the context-switch allowance. */
export function systemSchedulerOp(hv: Hypervisor, op: Of<typeof XenSysctlSchedulerOp>): number {
  if (op.cpupool_id !== 0 || op.sched_id !== XEN_SCHEDULER_BVT) return -XEN_EINVAL;
  if (op.cmd === XEN_SYSCTL_SCHEDOP_putinfo) {
    if (op.sched_bvt.ctx_allow < MIN_CTX_ALLOW_NS) return -XEN_EINVAL;
    hv.bvt.ctxAllowNs = op.sched_bvt.ctx_allow;
    hv.sched.reschedule = true;
  } else if (op.cmd !== XEN_SYSCTL_SCHEDOP_getinfo) return -XEN_EINVAL;
  op.sched_bvt.ctx_allow = hv.bvt.ctxAllowNs;
  return 0;
}

// The parameters of Borrowed Virtual Time: a domain's by domctl, the machine's by sysctl, in the form of Xen 3.0's
// public/sched_ctl.h (an extension: 4.17 has no BVT). Called by xl sched-bvt and for cpu_weight.

import type { Kernel } from "../../guests/sdk/index.ts";
import * as D from "../../shared/abi/domctl.ts";
import * as S from "../../shared/abi/sysctl.ts";
import type { DomId } from "../../shared/brand.ts";

/** BVT parameters of a domain, as xl sched-bvt shows them. */
export interface BvtParameters {
  mcuAdvance: number;
  warp: boolean;
  warpValue: number;
  /** Milliseconds; 0: no bound. */
  warpLimitMs: number;
  unwarpLimitMs: number;
}

/** weight x mcuAdvance, as the hypervisor's BVT has it: a new domain's weight of 256 is an mcu_advance of 2^17. */
export const WEIGHT_SCALE = 1 << 25;

export function getBvt(kernel: Kernel, domid: DomId): BvtParameters {
  return kernel.xen.domctl(
    D.XEN_DOMCTL_scheduler_op,
    domid,
    (u) => schedulerOp(u, D.XEN_DOMCTL_SCHEDOP_getinfo),
    (u) => {
      const b = D.XenDomctlSchedulerOp.at(u).bvt;
      return {
        mcuAdvance: b.mcu_adv,
        warp: b.warpback !== 0,
        warpValue: b.warpvalue,
        warpLimitMs: b.warpl_num,
        unwarpLimitMs: b.warpu_num,
      };
    },
  );
}

export function setBvt(kernel: Kernel, domid: DomId, p: BvtParameters): void {
  kernel.xen.domctl(D.XEN_DOMCTL_scheduler_op, domid, (u) => {
    schedulerOp(u, D.XEN_DOMCTL_SCHEDOP_putinfo);
    const b = D.XenDomctlSchedulerOp.at(u).bvt;
    b.mcu_adv = p.mcuAdvance;
    b.warpback = p.warp ? 1 : 0;
    b.warpvalue = p.warpValue;
    b.warpl_num = p.warpLimitMs;
    b.warpu_num = p.unwarpLimitMs;
  });
}

function schedulerOp(u: DataView, cmd: number): void {
  const s = D.XenDomctlSchedulerOp.at(u);
  s.sched_id = D.XEN_SCHEDULER_BVT;
  s.cmd = cmd;
}

/** The context-switch allowance of BVT in nanoseconds. */
export function bvtAllowanceNs(kernel: Kernel): number {
  return kernel.xen.sysctl(
    S.XEN_SYSCTL_scheduler_op,
    (u) => {
      const s = S.XenSysctlSchedulerOp.at(u);
      s.sched_id = D.XEN_SCHEDULER_BVT;
      s.cmd = S.XEN_SYSCTL_SCHEDOP_getinfo;
    },
    (u) => S.XenSysctlSchedulerOp.at(u).sched_bvt.ctx_allow,
  );
}

export function setBvtAllowanceNs(kernel: Kernel, allowanceNs: number): void {
  kernel.xen.sysctl(S.XEN_SYSCTL_scheduler_op, (u) => {
    const s = S.XenSysctlSchedulerOp.at(u);
    s.sched_id = D.XEN_SCHEDULER_BVT;
    s.cmd = S.XEN_SYSCTL_SCHEDOP_putinfo;
    s.sched_bvt.ctx_allow = allowanceNs;
  });
}

// struct xen_domctl_getdomaininfo (public/domctl.h), as domctl getdomaininfo and sysctl getdomaininfolist give it: what `xl list`
// shows. Fields of what isn't there (paging, sharing, further cpupools) are 0.

import {
  XEN_DOMCTL_CDF_xs_domain,
  XEN_DOMINF_blocked,
  XEN_DOMINF_dying,
  XEN_DOMINF_paused,
  XEN_DOMINF_running,
  XEN_DOMINF_shutdown,
  XEN_DOMINF_shutdownshift,
  XEN_DOMINF_xs_domain,
  XEN_INVALID_MAX_VCPU_ID,
  type XenDomctlGetdomaininfo,
} from "../../shared/abi/domctl.ts";
import type { Of } from "../../shared/abi/struct.ts";
import { RUNSTATE_running } from "../../shared/abi/vcpu.ts";
import { type Domain, Dying } from "../domain.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { nsHigh } from "../time/time.ts";

/** Width of the guest-physical addresses that are given out. */
const GPADDR_BITS = 64;

export function fillDomainInfo(hv: Hypervisor, domain: Domain, info: Of<typeof XenDomctlGetdomaininfo>): void {
  let flags = XEN_DOMINF_blocked;
  let cpuTime = 0;
  let online = 0;
  for (const vcpu of domain.vcpus) {
    cpuTime += hv.sched.timeIn(vcpu, RUNSTATE_running);
    if (vcpu.down) continue;
    online++;
    if (!vcpu.blocked && vcpu.polling === undefined) flags &= ~XEN_DOMINF_blocked;
    if (vcpu === hv.sched.running) flags |= XEN_DOMINF_running;
  }
  if (domain.dying !== Dying.Alive) flags |= XEN_DOMINF_dying;
  if (domain.isShutDown) flags |= XEN_DOMINF_shutdown;
  if (domain.controllerPauseCount > 0) flags |= XEN_DOMINF_paused;
  if (domain.createFlags & XEN_DOMCTL_CDF_xs_domain) flags |= XEN_DOMINF_xs_domain;
  // A domain without a reason yet shows SHUTDOWN_CODE_INVALID, all ones.
  flags |= (domain.shutdownReason & 0xff) << XEN_DOMINF_shutdownshift;

  info.domain = domain.id;
  info.flags = flags >>> 0;
  info.tot_pages_num = domain.memory.totPages;
  info.max_pages_num = domain.memory.maxPages;
  info.outstanding_pages_num = 0;
  info.shr_pages_num = 0;
  info.paged_pages_num = 0;
  info.shared_info_frame_num = domain.sharedInfo;
  info.cpu_time_lo = cpuTime >>> 0;
  info.cpu_time_hi = nsHigh(cpuTime);
  info.nr_online_vcpus = online;
  info.max_vcpu_id = domain.vcpus.length === 0 ? XEN_INVALID_MAX_VCPU_ID : domain.vcpus.length - 1;
  info.ssidref = domain.ssidref;
  info.handle = domain.handle;
  info.cpupool = 0;
  info.gpaddr_bits = GPADDR_BITS;
  info.arch_config.emulation_flags = 0;
  info.arch_config.misc_flags = 0;
}

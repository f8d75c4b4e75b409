// HYPERVISOR_domctl (public/domctl.h): what a toolstack does to other domains: -EPERM for all but dom0. The argument is
// copied to scratch, checked, carried out, and written back where the command has results. Scheduling parameters are
// scheduler_ctl.ts's. What a PV toolstack has no use for (HVM, shadow, passthrough, memory sharing) answers -ENOSYS.

import { VcpuGuestContext } from "../../shared/abi/arch_x86.ts";
import {
  XEN_DOMCTL_CDF_hvm,
  XEN_DOMCTL_CDF_xs_domain,
  XEN_DOMCTL_createdomain,
  XEN_DOMCTL_destroydomain,
  XEN_DOMCTL_get_address_size,
  XEN_DOMCTL_getdomaininfo,
  XEN_DOMCTL_gettscinfo,
  XEN_DOMCTL_getvcpuaffinity,
  XEN_DOMCTL_getvcpucontext,
  XEN_DOMCTL_getvcpuinfo,
  XEN_DOMCTL_hypercall_init,
  XEN_DOMCTL_INTERFACE_VERSION,
  XEN_DOMCTL_iomem_permission,
  XEN_DOMCTL_ioport_permission,
  XEN_DOMCTL_irq_permission,
  XEN_DOMCTL_max_mem,
  XEN_DOMCTL_max_vcpus,
  XEN_DOMCTL_pausedomain,
  XEN_DOMCTL_resumedomain,
  XEN_DOMCTL_SENDTRIGGER_NMI,
  XEN_DOMCTL_scheduler_op,
  XEN_DOMCTL_sendtrigger,
  XEN_DOMCTL_set_address_size,
  XEN_DOMCTL_setdomainhandle,
  XEN_DOMCTL_settimeoffset,
  XEN_DOMCTL_settscinfo,
  XEN_DOMCTL_setvcpuaffinity,
  XEN_DOMCTL_setvcpucontext,
  XEN_DOMCTL_subscribe,
  XEN_DOMCTL_unpausedomain,
  XenDomctl,
} from "../../shared/abi/domctl.ts";
import {
  XEN_EACCES,
  XEN_EEXIST,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENODATA,
  XEN_ENOMEM,
  XEN_ENOSYS,
  XEN_EPERM,
  XEN_ERESTART,
  XEN_ESRCH,
} from "../../shared/abi/errno.ts";
import type { Of } from "../../shared/abi/struct.ts";
import { RUNSTATE_running } from "../../shared/abi/vcpu.ts";
import type { DomId, Port, Va } from "../../shared/brand.ts";
import { XEN_DOMCTL_script } from "../../shared/script_image.ts";
import type { Domain } from "../domain.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { createDomain, createVcpu, killDomain, resumeDomain } from "../lifecycle.ts";
import {
  DEFAULT_GRANT_FRAMES,
  DEFAULT_MAPTRACK_FRAMES,
  MAX_DOMAINS,
  MAX_DOMID,
  MAX_GRANT_FRAMES,
  MAX_MAPTRACK_FRAMES,
  MAX_VCPUS,
} from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import { nsHigh } from "../time/time.ts";
import { setScript } from "../ts_kernels.ts";
import type { Vcpu } from "../vcpu.ts";
import { getContext, setContext } from "../vcpu_context.ts";
import { CONTINUE, type Handler } from "./args.ts";
import { copyIn, copyOut } from "./copy.ts";
import { fillDomainInfo } from "./domain_info.ts";
import { fillHypercallPage } from "./hypercall_page.ts";
import { schedulerOp } from "./scheduler_ctl.ts";

type Op = Of<typeof XenDomctl>;
const KNOWN_FLAGS = XEN_DOMCTL_CDF_xs_domain;
const PORTS = 65536;
const TSC_KHZ = 1_000_000;

/** (xen_domctl) */
export const domctl: Handler = (hv, vcpu, a) => {
  const va = a.va(0);
  const op = copyIn(hv, vcpu, va, XenDomctl);
  if (op === undefined) return -XEN_EFAULT;
  if (op.interface_version !== XEN_DOMCTL_INTERFACE_VERSION) return -XEN_EACCES;
  const creates = op.cmd === XEN_DOMCTL_createdomain;
  const domain = creates ? vcpu.domain : target(hv, op);
  if (domain === undefined) return -XEN_ESRCH;
  if (!vcpu.domain.privileged) return -XEN_EPERM;
  if (creates) return create(hv, vcpu, va, op);
  const result = operate(hv, vcpu, domain, op);
  if (result !== WRITE_BACK) return result;
  return copyOut(hv, vcpu, va, XenDomctl) ? 0 : -XEN_EFAULT;
};

/** The operation succeeded and its argument is to be written back. */
const WRITE_BACK = -0x20000;

/** getdomaininfo gives the first domain from the id on, dying ones too; others but destroydomain want a living one. */
function target(hv: Hypervisor, op: Op): Domain | undefined {
  if (op.cmd === XEN_DOMCTL_destroydomain) return hv.domains.get(op.domain as DomId);
  if (op.cmd !== XEN_DOMCTL_getdomaininfo) return hv.find(op.domain);
  let found: Domain | undefined;
  for (const domain of hv.domains.values())
    if (domain.id >= op.domain && (found === undefined || domain.id < found.id)) found = domain;
  return found;
}

function operate(hv: Hypervisor, current: Vcpu, domain: Domain, op: Op): number {
  switch (op.cmd) {
    case XEN_DOMCTL_destroydomain:
      return domain === current.domain ? -XEN_EINVAL : destroy(hv, current, domain);
    case XEN_DOMCTL_pausedomain:
      if (domain === current.domain) return -XEN_EINVAL;
      domain.controllerPauseCount++;
      hv.sched.pause(domain);
      return 0;
    case XEN_DOMCTL_unpausedomain:
      if (domain.controllerPauseCount === 0) return -XEN_EINVAL;
      domain.controllerPauseCount--;
      hv.sched.unpause(domain);
      return 0;
    case XEN_DOMCTL_resumedomain:
      if (domain === current.domain) return -XEN_EINVAL;
      resumeDomain(hv, domain);
      return 0;
    case XEN_DOMCTL_getdomaininfo:
      op.domain = domain.id;
      fillDomainInfo(hv, domain, op.getdomaininfo);
      return WRITE_BACK;
    case XEN_DOMCTL_max_mem:
      domain.memory.maxPages = Math.min(Math.floor(op.max_mem.max_memkb_num / 4), hv.frames.totalFrames);
      return 0;
    case XEN_DOMCTL_max_vcpus:
      return maxVcpus(hv, domain, op.max_vcpus.max);
    case XEN_DOMCTL_setvcpucontext:
    case XEN_DOMCTL_getvcpucontext:
      return vcpuContext(hv, current, domain, op);
    case XEN_DOMCTL_getvcpuinfo:
      return vcpuInfo(hv, domain, op);
    case XEN_DOMCTL_setvcpuaffinity:
    case XEN_DOMCTL_getvcpuaffinity:
      return -XEN_ENOSYS;
    case XEN_DOMCTL_scheduler_op: {
      const result = schedulerOp(hv, domain, op.scheduler_op);
      return result === 0 ? WRITE_BACK : result;
    }
    case XEN_DOMCTL_setdomainhandle:
      domain.handle.set(op.setdomainhandle.handle);
      return 0;
    case XEN_DOMCTL_settimeoffset:
      if (Math.abs(op.settimeoffset.time_offset_seconds_num) > 2 ** 40) return -XEN_EINVAL;
      domain.timeOffsetSeconds = op.settimeoffset.time_offset_seconds_num;
      hv.time.updateWallclock(domain.sharedInfo, domain.timeOffsetSeconds);
      return 0;
    default:
      return operateMore(hv, domain, op);
  }
}

function operateMore(hv: Hypervisor, domain: Domain, op: Op): number {
  switch (op.cmd) {
    case XEN_DOMCTL_hypercall_init:
      return fillHypercallPage(hv, domain.id, op.hypercall_init.gmfn_num) ? 0 : -XEN_EACCES;
    case XEN_DOMCTL_ioport_permission:
      return ioportPermission(domain, op);
    case XEN_DOMCTL_irq_permission:
    case XEN_DOMCTL_iomem_permission:
      return -XEN_EPERM; // Dom0's devices are its own: there is nothing to give away.
    case XEN_DOMCTL_set_address_size:
      return op.address_size.size === 64 ? 0 : -XEN_EINVAL;
    case XEN_DOMCTL_get_address_size:
      op.address_size.size = 64;
      return WRITE_BACK;
    case XEN_DOMCTL_gettscinfo:
      op.tsc_info.tsc_mode = 0;
      op.tsc_info.gtsc_khz = TSC_KHZ;
      op.tsc_info.incarnation = 0;
      op.tsc_info.elapsed_nsec_num = 0;
      return WRITE_BACK;
    case XEN_DOMCTL_settscinfo:
      // The TSC is the system time, for every domain: the default mode is the only one.
      return op.tsc_info.tsc_mode === 0 ? 0 : -XEN_EINVAL;
    case XEN_DOMCTL_subscribe:
      domain.suspendPort = op.subscribe.port as Port;
      return 0;
    case XEN_DOMCTL_sendtrigger: {
      if (op.sendtrigger.trigger !== XEN_DOMCTL_SENDTRIGGER_NMI) return -XEN_ENOSYS;
      const vcpu = domain.vcpus[op.sendtrigger.vcpu];
      if (vcpu === undefined) return -XEN_ESRCH;
      vcpu.nmiPending = true;
      hv.sched.unblock(vcpu);
      return 0;
    }
    case XEN_DOMCTL_script:
      return setScript(hv, domain);
    default:
      return -XEN_ENOSYS;
  }
}

/**
 * As in Xen a continuation, which a kernel in TypeScript can't have: what it calls is done before anybody else runs. It is told
 * -ERESTART when its time is over, and is to call again.
 */
function destroy(hv: Hypervisor, vcpu: Vcpu, domain: Domain): number {
  const result = killDomain(hv, domain);
  const whole = vcpu.domain.processor !== hv.x86;
  return result === CONTINUE && whole && hv.preemptCheck() ? -XEN_ERESTART : result;
}

function create(hv: Hypervisor, vcpu: Vcpu, va: Va | -1, op: Op): number {
  const config = op.createdomain;
  if (config.flags & XEN_DOMCTL_CDF_hvm || config.flags & ~KNOWN_FLAGS) return -XEN_EINVAL;
  if (config.max_vcpus < 1 || config.max_vcpus > MAX_VCPUS) return -XEN_EINVAL;
  if (config.max_grant_frames > MAX_GRANT_FRAMES || config.max_maptrack_frames > MAX_MAPTRACK_FRAMES)
    return -XEN_EINVAL;
  if (hv.domains.size >= MAX_DOMAINS) return -XEN_ENOMEM;
  const wanted = op.domain;
  const explicit = wanted > 0 && wanted < MAX_DOMID;
  if (explicit && hv.domains.has(wanted as DomId)) return -XEN_EEXIST;
  const id = explicit ? (wanted as DomId) : hv.nextDomid();
  const domain = createDomain(hv, {
    id,
    privileged: false,
    processor: hv.x86,
    handle: config.handle.slice(),
    maxVcpus: config.max_vcpus,
    maxPages: 0,
    maxEvtchnPort: config.max_evtchn_port,
    maxGrantFrames: config.max_grant_frames < 0 ? DEFAULT_GRANT_FRAMES : config.max_grant_frames,
    maxMaptrackFrames: config.max_maptrack_frames < 0 ? DEFAULT_MAPTRACK_FRAMES : config.max_maptrack_frames,
  });
  if (domain === undefined) return -XEN_ENOMEM;
  domain.createFlags = config.flags;
  domain.ssidref = config.ssidref;
  op.domain = id;
  return copyOut(hv, vcpu, va, XenDomctl) ? 0 : -XEN_EFAULT;
}

/** Makes the domain's vcpus, once: the number must be the one that it was created with, as since Xen 4.13. */
function maxVcpus(hv: Hypervisor, domain: Domain, max: number): number {
  if (max !== domain.maxVcpus) return -XEN_EINVAL;
  while (domain.vcpus.length < max) if (createVcpu(hv, domain) === undefined) return -XEN_ENOMEM;
  return 0;
}

function vcpuContext(hv: Hypervisor, current: Vcpu, domain: Domain, op: Op): number {
  const vcpu = domain.vcpus[op.vcpucontext.vcpu];
  const va = canonical(op.vcpucontext.ctxt_lo, op.vcpucontext.ctxt_hi);
  if (domain === current.domain) return -XEN_EINVAL;
  if (vcpu === undefined) return op.cmd === XEN_DOMCTL_setvcpucontext ? -XEN_EINVAL : -XEN_ESRCH;
  const context = VcpuGuestContext.create();
  const bytes = new Uint8Array(context.$view.buffer as ArrayBuffer);
  if (op.cmd === XEN_DOMCTL_getvcpucontext) {
    if (!vcpu.initialised) return -XEN_ENODATA;
    getContext(hv, vcpu, context);
    return hv.access.write(current, va, bytes, 0, bytes.length) ? WRITE_BACK : -XEN_EFAULT;
  }
  if (op.vcpucontext.ctxt_lo === 0 && op.vcpucontext.ctxt_hi === 0) {
    // A NULL context resets the vcpu.
    hv.mm.releaseVcpu(vcpu);
    vcpu.initialised = false;
    vcpu.down = true;
    hv.sched.update(vcpu);
    return 0;
  }
  if (!hv.access.read(current, va, bytes, 0, bytes.length)) return -XEN_EFAULT;
  return setContext(hv, vcpu, context);
}

function vcpuInfo(hv: Hypervisor, domain: Domain, op: Op): number {
  const info = op.getvcpuinfo;
  const vcpu = domain.vcpus[info.vcpu];
  if (vcpu === undefined) return info.vcpu >= domain.maxVcpus ? -XEN_EINVAL : -XEN_ESRCH;
  info.online = vcpu.down ? 0 : 1;
  info.blocked = vcpu.blocked || vcpu.polling !== undefined ? 1 : 0;
  info.running = vcpu === hv.sched.running ? 1 : 0;
  const cpuTime = hv.sched.timeIn(vcpu, RUNSTATE_running);
  info.cpu_time_lo = cpuTime >>> 0;
  info.cpu_time_hi = nsHigh(cpuTime);
  info.cpu = 0;
  return WRITE_BACK;
}

function ioportPermission(domain: Domain, op: Op): number {
  const { first_port, nr_ports, allow_access } = op.ioport_permission;
  if (first_port + nr_ports > PORTS) return -XEN_EINVAL;
  if (nr_ports === 0) return 0;
  const last = first_port + nr_ports - 1;
  // What overlaps is taken out first, then given as asked.
  const kept: [number, number][] = [];
  for (const [from, to] of domain.ioPorts) {
    if (from < first_port) kept.push([from, Math.min(to, first_port - 1)]);
    if (to > last) kept.push([Math.max(from, last + 1), to]);
  }
  if (allow_access) kept.push([first_port, last]);
  domain.ioPorts = kept;
  return 0;
}

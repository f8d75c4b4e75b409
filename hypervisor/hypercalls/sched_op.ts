// HYPERVISOR_sched_op (public/sched.h): what a guest tells the scheduler. A call that blocks returns 0 at once and takes
// effect before the guest runs on.

import { XEN_EFAULT, XEN_EINVAL, XEN_ENOSPC, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../shared/abi/errno.ts";
import {
  SCHEDOP_block,
  SCHEDOP_pin_override,
  SCHEDOP_poll,
  SCHEDOP_remote_shutdown,
  SCHEDOP_shutdown,
  SCHEDOP_shutdown_code,
  SCHEDOP_watchdog,
  SCHEDOP_yield,
  SchedPinOverride,
  SchedPoll,
  SchedRemoteShutdown,
  SchedWatchdog,
  SHUTDOWN_watchdog,
} from "../../shared/abi/sched.ts";
import type { Port, Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import { PortState } from "../events/event_channels.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { shutdownDomain } from "../lifecycle.ts";
import { MAX_POLL_PORTS, WATCHDOG_TIMERS } from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import { rangeOk } from "../memory/guest_access.ts";
import { Timer } from "../time/timers.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Handler } from "./args.ts";
import { copyIn } from "./copy.ts";

/** (command, argument) */
export const schedOp: Handler = (hv, vcpu, a) => {
  const va = a.va(1);
  switch (a.i32(0)) {
    case SCHEDOP_yield:
      hv.sched.yield(vcpu);
      return 0;
    case SCHEDOP_block:
      return block(hv, vcpu);
    case SCHEDOP_shutdown: {
      const reason = hv.access.readU32(vcpu, va);
      if (reason === -1) return -XEN_EFAULT;
      shutdownDomain(hv, vcpu.domain, reason & 0xff);
      return 0;
    }
    case SCHEDOP_shutdown_code: {
      const reason = hv.access.readU32(vcpu, va);
      if (reason === -1) return -XEN_EFAULT;
      if (vcpu.domain.shutdownReason === -1) vcpu.domain.shutdownReason = reason & 0xff;
      return 0;
    }
    case SCHEDOP_poll:
      return poll(hv, vcpu, va);
    case SCHEDOP_remote_shutdown: {
      const arg = copyIn(hv, vcpu, va, SchedRemoteShutdown);
      if (arg === undefined) return -XEN_EFAULT;
      const domain = hv.find(arg.domain_id);
      if (domain === undefined) return -XEN_ESRCH;
      if (!vcpu.domain.privileged) return -XEN_EPERM;
      shutdownDomain(hv, domain, arg.reason & 0xff);
      return 0;
    }
    case SCHEDOP_watchdog: {
      const arg = copyIn(hv, vcpu, va, SchedWatchdog);
      return arg === undefined ? -XEN_EFAULT : watchdog(hv, vcpu.domain, arg.id, arg.timeout);
    }
    case SCHEDOP_pin_override: {
      if (!vcpu.domain.privileged) return -XEN_EPERM;
      const arg = copyIn(hv, vcpu, va, SchedPinOverride);
      if (arg === undefined) return -XEN_EFAULT;
      return arg.pcpu > 0 ? -XEN_EINVAL : 0; // There is one processor, so every vcpu is on it.
    }
    default:
      return -XEN_ENOSYS;
  }
};

/** (command, argument by value): the form before Xen 3.1: yield, block, shutdown. */
export const schedOpCompat: Handler = (hv, vcpu, a) => {
  switch (a.i32(0)) {
    case SCHEDOP_yield:
      hv.sched.yield(vcpu);
      return 0;
    case SCHEDOP_block:
      return block(hv, vcpu);
    case SCHEDOP_shutdown:
      shutdownDomain(hv, vcpu.domain, a.u32(1) & 0xff);
      return 0;
    default:
      return -XEN_ENOSYS;
  }
};

/** Unmasks upcalls and sleeps until one is there, in one step, so that none is slept through. */
function block(hv: Hypervisor, vcpu: Vcpu): number {
  hv.memory.u8[vcpu.vcpuInfo + 1] = 0;
  hv.sched.block(vcpu);
  return 0;
}

function poll(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  const arg = copyIn(hv, vcpu, va, SchedPoll);
  if (arg === undefined) return -XEN_EFAULT;
  const count = arg.nr_ports;
  const timeout = arg.timeout_num;
  const portsVa = canonical(arg.ports_lo, arg.ports_hi);
  if (count > MAX_POLL_PORTS) return -XEN_EINVAL;
  if (count > 0 && !rangeOk(portsVa, count * 4)) return -XEN_EFAULT;
  if (hv.events.needsDelivery(vcpu)) return 0;
  const ports: Port[] = [];
  for (let i = 0; i < count; i++) {
    // One by one, as in Xen: what lies behind a pending port doesn't matter.
    const port = hv.access.readU32(vcpu, (portsVa + i * 4) as Va);
    if (port === -1) return -XEN_EFAULT;
    const state = vcpu.domain.events.at(port)?.state ?? PortState.Free;
    if (state <= PortState.Reserved) return -XEN_EINVAL;
    if (hv.events.isPending(vcpu.domain, port)) return 0;
    ports.push(port as Port);
  }
  if (timeout !== 0 && timeout <= hv.time.now()) return 0;
  vcpu.polling = ports;
  vcpu.domain.pollers++;
  if (timeout !== 0) hv.time.timers.set(vcpu.pollTimer, timeout);
  hv.sched.update(vcpu);
  return 0;
}

/** Sets up (id 0), sets again, or stops (0 seconds) a watchdog, which shuts the domain down when it fires. */
function watchdog(hv: Hypervisor, domain: Domain, id: number, seconds: number): number {
  if (id > WATCHDOG_TIMERS) return -XEN_EINVAL;
  const deadline = hv.time.now() + seconds * 1e9;
  if (id === 0) {
    for (let i = 0; i < WATCHDOG_TIMERS; i++) {
      if (domain.watchdogs[i] !== undefined) continue;
      const timer = new Timer(() => {
        hv.log.guestLine(`Watchdog timer ${i} of domain ${domain.id} fired`);
        shutdownDomain(hv, domain, SHUTDOWN_watchdog);
      });
      domain.watchdogs[i] = timer;
      hv.time.timers.set(timer, deadline);
      return i + 1;
    }
    return -XEN_ENOSPC;
  }
  const timer = domain.watchdogs[id - 1];
  if (timer === undefined) return -XEN_EINVAL;
  if (seconds === 0) {
    hv.time.timers.stop(timer);
    domain.watchdogs[id - 1] = undefined;
  } else hv.time.timers.set(timer, deadline);
  return 0;
}

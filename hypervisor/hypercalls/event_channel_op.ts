// HYPERVISOR_event_channel_op (public/event_channel.h): the guest's face of event channels. Arguments are copied, the
// channels' file does the work, results are copied back. The FIFO ABI's operations answer -ENOSYS, as a Xen without it
// does; kernels then stay with two levels.

import { XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS, XEN_EPERM, XEN_ESRCH } from "../../shared/abi/errno.ts";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_pirq,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_reset,
  EVTCHNOP_send,
  EVTCHNOP_status,
  EVTCHNOP_unmask,
  EVTCHNSTAT_closed,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_pirq,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_virq,
  EvtchnAllocUnbound,
  EvtchnBindInterdomain,
  EvtchnBindIpi,
  EvtchnBindPirq,
  EvtchnBindVcpu,
  EvtchnBindVirq,
  EvtchnOp,
  EvtchnReset,
  EvtchnStatus,
} from "../../shared/abi/event_channel.ts";
import { DOMID_SELF } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import { PortState } from "../events/event_channels.ts";
import type { Hypervisor } from "../hypervisor.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Handler } from "./args.ts";
import { copyIn, copyOut } from "./copy.ts";

/** Cost of closing a port on the virtual clock, for reset. */
const CLOSE_NS = 20;

/** (command, argument) */
export const eventChannelOp: Handler = (hv, vcpu, a) => operate(hv, vcpu, a.i32(0), a.va(1));

/** (struct evtchn_op: the command, and its argument from byte 4 on) */
export const eventChannelOpCompat: Handler = (hv, vcpu, a) => {
  const va = a.va(0);
  // All of it is copied first, as in Xen, however little of it the command needs.
  const arg = copyIn(hv, vcpu, va, EvtchnOp);
  return va === -1 || arg === undefined ? -XEN_EFAULT : operate(hv, vcpu, arg.cmd | 0, (va + 4) as Va);
};

function operate(hv: Hypervisor, vcpu: Vcpu, cmd: number, va: Va | -1): number {
  const channels = vcpu.domain.events;
  switch (cmd) {
    case EVTCHNOP_send: {
      const port = hv.access.readU32(vcpu, va);
      return port === -1 ? -XEN_EFAULT : channels.send(port);
    }
    case EVTCHNOP_unmask: {
      const port = hv.access.readU32(vcpu, va);
      return port === -1 ? -XEN_EFAULT : channels.unmask(port);
    }
    case EVTCHNOP_close: {
      const port = hv.access.readU32(vcpu, va);
      return port === -1 ? -XEN_EFAULT : channels.close(port);
    }
    case EVTCHNOP_alloc_unbound:
      return allocUnbound(hv, vcpu, va);
    case EVTCHNOP_bind_interdomain: {
      const arg = copyIn(hv, vcpu, va, EvtchnBindInterdomain);
      if (arg === undefined) return -XEN_EFAULT;
      const remote = anyDomain(hv, vcpu, arg.remote_dom);
      if (remote === undefined) return -XEN_ESRCH;
      const port = channels.bindInterdomain(remote, arg.remote_port);
      return port < 0
        ? port
        : give(hv, vcpu, va, EvtchnBindInterdomain, EvtchnBindInterdomain.offsets.local_port, port);
    }
    case EVTCHNOP_bind_virq: {
      const arg = copyIn(hv, vcpu, va, EvtchnBindVirq);
      if (arg === undefined) return -XEN_EFAULT;
      const port = channels.bindVirq(arg.virq, arg.vcpu);
      return port < 0 ? port : give(hv, vcpu, va, EvtchnBindVirq, EvtchnBindVirq.offsets.port, port);
    }
    case EVTCHNOP_bind_ipi: {
      const arg = copyIn(hv, vcpu, va, EvtchnBindIpi);
      if (arg === undefined) return -XEN_EFAULT;
      const port = channels.bindIpi(arg.vcpu);
      return port < 0 ? port : give(hv, vcpu, va, EvtchnBindIpi, EvtchnBindIpi.offsets.port, port);
    }
    case EVTCHNOP_bind_pirq: {
      const arg = copyIn(hv, vcpu, va, EvtchnBindPirq);
      if (arg === undefined) return -XEN_EFAULT;
      const port = channels.bindPirq(arg.pirq);
      return port < 0 ? port : give(hv, vcpu, va, EvtchnBindPirq, EvtchnBindPirq.offsets.port, port);
    }
    case EVTCHNOP_bind_vcpu: {
      const arg = copyIn(hv, vcpu, va, EvtchnBindVcpu);
      return arg === undefined ? -XEN_EFAULT : channels.bindVcpu(arg.port, arg.vcpu);
    }
    case EVTCHNOP_status:
      return status(hv, vcpu, va);
    case EVTCHNOP_reset:
      return reset(hv, vcpu, va);
    default:
      return -XEN_ENOSYS;
  }
}

/** Any living domain by id, DOMID_SELF included: rights are checked by what follows. */
function anyDomain(hv: Hypervisor, vcpu: Vcpu, id: number): Domain | undefined {
  return id === DOMID_SELF ? vcpu.domain : hv.find(id);
}

function mayControl(vcpu: Vcpu, domain: Domain): boolean {
  return domain === vcpu.domain || vcpu.domain.privileged;
}

/** Puts a new port into the argument in scratch and writes it back. */
function give(
  hv: Hypervisor,
  vcpu: Vcpu,
  va: Va | -1,
  of: { readonly size: number },
  offset: number,
  port: number,
): number {
  hv.scratch.setUint32(offset, port, true);
  return copyOut(hv, vcpu, va, of) ? 0 : -XEN_EFAULT;
}

function allocUnbound(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  const arg = copyIn(hv, vcpu, va, EvtchnAllocUnbound);
  if (arg === undefined) return -XEN_EFAULT;
  const domain = anyDomain(hv, vcpu, arg.dom);
  if (domain === undefined) return -XEN_ESRCH;
  if (!mayControl(vcpu, domain)) return -XEN_EPERM;
  const port = domain.events.allocUnbound(arg.remote_dom === DOMID_SELF ? vcpu.domain.id : arg.remote_dom);
  return port < 0 ? port : give(hv, vcpu, va, EvtchnAllocUnbound, EvtchnAllocUnbound.offsets.port, port);
}

function status(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  const arg = copyIn(hv, vcpu, va, EvtchnStatus);
  if (arg === undefined) return -XEN_EFAULT;
  const domain = anyDomain(hv, vcpu, arg.dom);
  if (domain === undefined) return -XEN_ESRCH;
  // Xen's array of ports begins with 128; a port within the used part that is free reads as closed.
  const channel = domain.events.at(arg.port);
  if (channel === undefined && arg.port >= domain.events.validPorts) return -XEN_EINVAL;
  if (!mayControl(vcpu, domain)) return -XEN_EPERM;
  arg.vcpu = channel?.vcpu ?? 0;
  switch (channel?.state) {
    case PortState.Unbound:
      arg.status = EVTCHNSTAT_unbound;
      arg.unbound_dom = channel.remoteDomid;
      break;
    case PortState.Interdomain:
      arg.status = EVTCHNSTAT_interdomain;
      arg.interdomain_dom = channel.remote!.id;
      arg.interdomain_port = channel.remotePort;
      break;
    case PortState.Pirq:
      arg.status = EVTCHNSTAT_pirq;
      arg.pirq = channel.irq;
      break;
    case PortState.Virq:
      arg.status = EVTCHNSTAT_virq;
      arg.virq = channel.irq;
      break;
    case PortState.Ipi:
      arg.status = EVTCHNSTAT_ipi;
      break;
    default:
      arg.status = EVTCHNSTAT_closed;
  }
  return copyOut(hv, vcpu, va, EvtchnStatus) ? 0 : -XEN_EFAULT;
}

function reset(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  const arg = copyIn(hv, vcpu, va, EvtchnReset);
  if (arg === undefined) return -XEN_EFAULT;
  const domain = anyDomain(hv, vcpu, arg.dom);
  if (domain === undefined) return -XEN_ESRCH;
  if (!mayControl(vcpu, domain)) return -XEN_EPERM;
  if (domain !== vcpu.domain && domain.controllerPauseCount === 0) return -XEN_EINVAL;
  hv.charge(domain.events.active * CLOSE_NS);
  domain.events.closeAll();
  return 0;
}

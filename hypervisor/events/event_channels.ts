// The event channels of one domain: the table of its ports and what each is bound to. Called by event_channel_op (the
// guest), by domctl and memory teardown (closing all), and by events.ts, which makes ports pending. Implements the
// two-level ABI of public/event_channel.h; the FIFO ABI is left out.
//
// States of a port, and who moves it: Free → Unbound (alloc_unbound) ⇄ Interdomain (bind_interdomain by the peer; back
// when the peer closes); Free → Virq, Ipi, Pirq (bind_*); every state → Free (close, reset, the domain's death).
// Both ends of an interdomain channel name each other at all times: closing one frees it and makes the other Unbound.

import { XEN_EBUSY, XEN_EEXIST, XEN_EINVAL, XEN_ENOENT, XEN_ENOSPC, XEN_EPERM } from "../../shared/abi/errno.ts";
import {
  EVTCHN_2L_NR_CHANNELS,
  NR_VIRQS,
  VIRQ_DEBUG,
  VIRQ_TIMER,
  VIRQ_XENOPROF,
  VIRQ_XENPMU,
} from "../../shared/abi/xen.ts";
import type { Port } from "../../shared/brand.ts";
import { type Domain, Dying } from "../domain.ts";
import { NR_PIRQS } from "../limits.ts";
import type { Events } from "./events.ts";

export const PortState = { Free: 0, Reserved: 1, Unbound: 2, Interdomain: 3, Pirq: 4, Virq: 5, Ipi: 6 } as const;
export type PortState = (typeof PortState)[keyof typeof PortState];

/** Ports that Xen allocates at once, which shows in what EVTCHNOP_status says of free ones. */
const PORT_GROUP = 64;

export class Channel {
  readonly port: Port;
  state: PortState = PortState.Free;
  /** The vcpu whose selector and upcall announce the port. */
  vcpu = 0;
  /** Unbound: who may bind to it. */
  remoteDomid = 0;
  /** Interdomain: the other end. */
  remote: Domain | undefined = undefined;
  remotePort = 0 as Port;
  /** Virq, Pirq: which. */
  irq = 0;

  constructor(port: Port) {
    this.port = port;
  }
}

/** VIRQs that are the domain's, not one vcpu's: announced wherever the domain binds them. */
export function virqIsGlobal(virq: number): boolean {
  return virq !== VIRQ_TIMER && virq !== VIRQ_DEBUG && virq !== VIRQ_XENOPROF && virq !== VIRQ_XENPMU;
}

export class EventChannels {
  readonly #domain: Domain;
  readonly #events: Events;
  readonly #channels: (Channel | undefined)[] = [];
  /** No free port lies below this one. */
  #firstFree = 1;
  #active = 0;
  /** Port of each vcpu's VIRQs (vcpu 0 for global ones), and of each physical interrupt; 0: not bound. */
  readonly #lastPort: number;
  readonly #virqs = new Map<number, Port>();
  readonly #pirqs = new Map<number, Port>();

  /** `lastPort` is the highest that it may have (createdomain's max_evtchn_port). */
  constructor(domain: Domain, events: Events, lastPort: number) {
    this.#lastPort = Math.min(lastPort, EVTCHN_2L_NR_CHANNELS - 1);
    this.#domain = domain;
    this.#events = events;
    const reserved = new Channel(0 as Port);
    reserved.state = PortState.Reserved;
    this.#channels.push(reserved);
  }

  /** The channel at a port number as a guest gave it; undefined when the number was never in use. */
  at(port: number): Channel | undefined {
    return this.#channels[port];
  }

  /** Ports that Xen would have room for by now: it allocates them in groups. */
  get validPorts(): number {
    return Math.ceil(this.#channels.length / PORT_GROUP) * PORT_GROUP;
  }

  /** Ports in use. */
  get active(): number {
    return this.#active;
  }

  virqPort(vcpu: number, virq: number): Port | undefined {
    return this.#virqs.get(vcpu * NR_VIRQS + virq);
  }

  pirqPort(pirq: number): Port | undefined {
    return this.#pirqs.get(pirq);
  }

  /** A free port, marked with nothing yet, or a negative errno. */
  #free(): Channel | number {
    if (this.#domain.dying !== Dying.Alive) return -XEN_EINVAL;
    let port = this.#firstFree;
    while (port < this.#channels.length && this.#channels[port]!.state !== PortState.Free) port++;
    if (port > this.#lastPort) return -XEN_ENOSPC;
    this.#firstFree = port;
    const channel = (this.#channels[port] ??= new Channel(port as Port));
    return channel;
  }

  #take(channel: Channel, state: PortState): Port {
    channel.state = state;
    this.#active++;
    return channel.port;
  }

  allocUnbound(remoteDomid: number): number {
    const channel = this.#free();
    if (typeof channel === "number") return channel;
    channel.remoteDomid = remoteDomid;
    return this.#take(channel, PortState.Unbound);
  }

  bindInterdomain(remote: Domain, remotePort: number): number {
    const channel = this.#free();
    if (typeof channel === "number") return channel;
    const peer = remote.events.at(remotePort);
    if (peer === undefined || peer.state !== PortState.Unbound || peer.remoteDomid !== this.#domain.id)
      return -XEN_EINVAL;
    channel.remote = remote;
    channel.remotePort = peer.port;
    const port = this.#take(channel, PortState.Interdomain);
    peer.state = PortState.Interdomain;
    peer.remote = this.#domain;
    peer.remotePort = port;
    // The peer may have sent while nobody was there: tell this end once, to be safe.
    this.#events.setPending(this.#domain, channel);
    return port;
  }

  bindVirq(virq: number, vcpu: number): number {
    if (virq >= NR_VIRQS) return -XEN_EINVAL;
    if (virqIsGlobal(virq) && vcpu !== 0) return -XEN_EINVAL;
    if (vcpu >= this.#domain.vcpus.length) return -XEN_ENOENT;
    const key = vcpu * NR_VIRQS + virq;
    if (this.#virqs.has(key)) return -XEN_EEXIST;
    const channel = this.#free();
    if (typeof channel === "number") return channel;
    channel.vcpu = vcpu;
    channel.irq = virq;
    this.#virqs.set(key, channel.port);
    return this.#take(channel, PortState.Virq);
  }

  bindIpi(vcpu: number): number {
    if (vcpu >= this.#domain.vcpus.length) return -XEN_ENOENT;
    const channel = this.#free();
    if (typeof channel === "number") return channel;
    channel.vcpu = vcpu;
    return this.#take(channel, PortState.Ipi);
  }

  bindPirq(pirq: number): number {
    if (pirq >= NR_PIRQS) return -XEN_EINVAL;
    if (!this.#domain.privileged) return -XEN_EPERM;
    if (this.#pirqs.has(pirq)) return -XEN_EEXIST;
    if (this.#events.pirqOwner(pirq) !== undefined) return -XEN_EBUSY;
    const channel = this.#free();
    if (typeof channel === "number") return channel;
    channel.irq = pirq;
    this.#pirqs.set(pirq, channel.port);
    this.#events.routePirq(pirq, this.#domain);
    return this.#take(channel, PortState.Pirq);
  }

  close(port: number): number {
    const channel = this.#channels[port];
    if (channel === undefined || channel.state === PortState.Free || channel.state === PortState.Reserved)
      return -XEN_EINVAL;
    if (channel.state === PortState.Virq)
      this.#virqs.delete((virqIsGlobal(channel.irq) ? 0 : channel.vcpu) * NR_VIRQS + channel.irq);
    if (channel.state === PortState.Pirq) {
      this.#pirqs.delete(channel.irq);
      this.#events.routePirq(channel.irq, undefined);
    }
    if (channel.state === PortState.Interdomain) {
      const peer = channel.remote!.events.at(channel.remotePort)!;
      peer.state = PortState.Unbound;
      peer.remote = undefined;
      peer.remoteDomid = this.#domain.id;
      channel.remote = undefined;
    }
    this.#events.clearPending(this.#domain, channel.port);
    channel.state = PortState.Free;
    channel.vcpu = 0;
    this.#active--;
    if (channel.port < this.#firstFree) this.#firstFree = channel.port;
    return 0;
  }

  send(port: number): number {
    const channel = this.#channels[port];
    if (channel === undefined) return -XEN_EINVAL;
    switch (channel.state) {
      case PortState.Interdomain: {
        const remote = channel.remote!;
        this.#events.setPending(remote, remote.events.at(channel.remotePort)!);
        return 0;
      }
      case PortState.Ipi:
        this.#events.setPending(this.#domain, channel);
        return 0;
      case PortState.Unbound:
        return 0; // Nobody there: dropped silently, as Xen does.
      default:
        return -XEN_EINVAL;
    }
  }

  bindVcpu(port: number, vcpu: number): number {
    if (vcpu >= this.#domain.vcpus.length) return -XEN_ENOENT;
    const channel = this.#channels[port];
    if (channel === undefined) return -XEN_EINVAL;
    switch (channel.state) {
      case PortState.Virq:
        if (!virqIsGlobal(channel.irq)) return -XEN_EINVAL;
        break;
      case PortState.Unbound:
      case PortState.Interdomain:
      case PortState.Pirq:
        break;
      default:
        return -XEN_EINVAL;
    }
    channel.vcpu = vcpu;
    return 0;
  }

  unmask(port: number): number {
    if (port >= this.validPorts) return -XEN_EINVAL;
    // Ports that were never in use have a mask bit like any other.
    while (port >= this.#channels.length) this.#channels.push(new Channel(this.#channels.length as Port));
    const channel = this.#channels[port]!;
    this.#events.unmask(this.#domain, channel);
    return 0;
  }

  /** Closes every port; the peers see theirs become unbound. */
  closeAll(): void {
    for (let port = this.#channels.length - 1; port > 0; port--) this.close(port);
  }
}

// Making events pending: the sending half of event channels, and the sources inside the hypervisor (virtual and physical
// interrupts). Delivery, the bounce to the guest's handler, is traps/'s. The protocol (public/event_channel.h, xen.h),
// fields in shared_info and vcpu_info, all touched by atomics here since the guest changes them too:
//  1. set the port's bit in evtchn_pending [XEN]; if it was set already, nothing more;
//  2. if its bit in evtchn_mask [GUEST] is clear, set the word's bit in evtchn_pending_sel of the port's vcpu;
//  3. if that was clear, set evtchn_upcall_pending of that vcpu; if that was clear, wake the vcpu.
//  4. Whoever polls for the port is woken in any case.
// The guest takes them in reverse: clears upcall_pending, takes the selector, then each word's unmasked bits.

import { SharedInfo, VcpuInfo } from "../../shared/abi/xen.ts";
import type { Port } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { NR_PIRQS } from "../limits.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Channel } from "./event_channels.ts";

const PENDING = SharedInfo.offsets.evtchn_pending;
const MASK = SharedInfo.offsets.evtchn_mask;
const SEL = VcpuInfo.offsets.evtchn_pending_sel;

/** Where the word with a port's bit is in machine memory, less the offset of the bitmap. */
function wordOf(domain: Domain, port: number): number {
  return domain.sharedInfo * FRAME_SIZE + (port >>> 5) * 4;
}

export class Events {
  readonly #hv: Hypervisor;
  readonly #memory: MachineMemory;
  readonly #u8: Uint8Array<SharedArrayBuffer>;
  /** Who bound each physical interrupt. Device lines are edges here: nothing is held back until an EOI. */
  readonly #pirqOwner: (Domain | undefined)[] = new Array(NR_PIRQS).fill(undefined);

  constructor(hv: Hypervisor) {
    this.#hv = hv;
    this.#memory = hv.memory;
    this.#u8 = hv.memory.u8;
  }

  /** Steps 1 to 4 for a channel of the domain. */
  setPending(domain: Domain, channel: Channel): void {
    const port = channel.port;
    const word = wordOf(domain, port);
    const bit = 1 << (port & 31);
    if (this.#memory.atomicOr(word + PENDING, bit) & bit) return;
    if (this.#hv.trace.events) this.#hv.trace.emitter.emit("event", domain.id, port, channel.vcpu);
    const masked = (this.#memory.atomicLoad(word + MASK) & bit) !== 0;
    // A domain that is being built has ports before it has vcpus.
    if (!masked && channel.vcpu < domain.vcpus.length) this.#select(domain.vcpus[channel.vcpu], port);
    this.#wakePollers(domain, port);
  }

  #select(vcpu: Vcpu, port: Port): void {
    const word = port >>> 6;
    const bit = 1 << (word & 31);
    const sel = vcpu.vcpuInfo + SEL + (word >>> 5) * 4;
    if (!(this.#memory.atomicOr(sel, bit) & bit)) this.markPending(vcpu);
  }

  /** Step 3: the upcall. */
  markPending(vcpu: Vcpu): void {
    if (this.#memory.atomicExchange8(vcpu.vcpuInfo, 1) === 0) this.#hv.sched.unblock(vcpu);
  }

  /** Step 4. A vcpu that polls for several ports is woken by any event of the domain, as in Xen. */
  #wakePollers(domain: Domain, port: Port): void {
    if (domain.pollers === 0) return;
    for (const vcpu of domain.vcpus) {
      const ports = vcpu.polling;
      if (ports !== undefined && (ports.length !== 1 || ports[0] === port)) this.#hv.sched.endPoll(vcpu);
    }
  }

  isPending(domain: Domain, port: number): boolean {
    return this.#bit(domain, PENDING, port);
  }

  isMasked(domain: Domain, port: number): boolean {
    return this.#bit(domain, MASK, port);
  }

  /** Does the vcpu hold its upcalls back? */
  upcallsMasked(vcpu: Vcpu): boolean {
    return this.#u8[vcpu.vcpuInfo + 1] !== 0;
  }

  #bit(domain: Domain, bitmap: number, port: number): boolean {
    return (this.#memory.atomicLoad(wordOf(domain, port) + bitmap) & (1 << (port & 31))) !== 0;
  }

  clearPending(domain: Domain, port: Port): void {
    this.#memory.atomicAnd(wordOf(domain, port) + PENDING, ~(1 << (port & 31)));
  }

  /** EVTCHNOP_unmask: clears the mask bit, and announces the port if it is pending. */
  unmask(domain: Domain, channel: Channel): void {
    const port = channel.port;
    const bit = 1 << (port & 31);
    if (!(this.#memory.atomicAnd(wordOf(domain, port) + MASK, ~bit) & bit)) return;
    if (this.isPending(domain, port)) this.#select(domain.vcpus[channel.vcpu], port);
  }

  /** Has the vcpu an event that it would take now (pending, upcalls not masked)? */
  needsDelivery(vcpu: Vcpu): boolean {
    return this.#u8[vcpu.vcpuInfo] !== 0 && this.#u8[vcpu.vcpuInfo + 1] === 0;
  }

  /** A VIRQ of one vcpu (TIMER, DEBUG). Dropped when it isn't bound. */
  sendVcpuVirq(vcpu: Vcpu, virq: number): void {
    const port = vcpu.domain.events.virqPort(vcpu.id, virq);
    if (port !== undefined) this.setPending(vcpu.domain, vcpu.domain.events.at(port)!);
  }

  /** A VIRQ of the domain, to the vcpu where it is bound. */
  sendDomainVirq(domain: Domain, virq: number): void {
    const port = domain.events.virqPort(0, virq);
    if (port !== undefined) this.setPending(domain, domain.events.at(port)!);
  }

  /** A VIRQ that only dom0 gets (DOM_EXC, CON_RING). */
  sendGlobalVirq(virq: number): void {
    const dom0 = this.#hv.domains.get(0 as Domain["id"]);
    if (dom0 !== undefined) this.sendDomainVirq(dom0, virq);
  }

  /** Physical interrupt `irq` goes to the domain from now on, or to nobody. */
  routePirq(irq: number, domain: Domain | undefined): void {
    this.#pirqOwner[irq] = domain;
  }

  pirqOwner(irq: number): Domain | undefined {
    return this.#pirqOwner[irq];
  }

  /** A device raised its line. Nobody there: dropped, as an unbound interrupt is. */
  sendPirq(irq: number): void {
    const domain = this.#pirqOwner[irq];
    const port = domain?.events.pirqPort(irq);
    if (domain !== undefined && port !== undefined) this.setPending(domain, domain.events.at(port)!);
  }
}

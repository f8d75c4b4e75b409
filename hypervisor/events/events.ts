// Making events pending: the send side of event channels, for the hypervisor's own sources too.

import type { Port } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import type { Vcpu } from "../vcpu.ts";

export declare class Events {
  /** Sets the port pending as its vcpu sees it. */
  notify(domain: Domain, port: Port): void;
  /** A VIRQ of one vcpu (TIMER, DEBUG). */
  sendVcpuVirq(vcpu: Vcpu, virq: number): void;
  /** A domain-wide VIRQ, where the domain bound it. */
  sendDomainVirq(domain: Domain, virq: number): void;
  /** A VIRQ for dom0 (DOM_EXC, CON_RING). */
  sendGlobalVirq(virq: number): void;
  /** A physical interrupt, level: stays until its owner's EOI. */
  sendPirq(irq: number): void;
}

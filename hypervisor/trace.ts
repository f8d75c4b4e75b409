// Tracing: what the hypervisor tells whoever listens (`--trace`, tests). Each place that has something to tell tests one
// boolean of this object first, so that tracing costs a load and a branch when it is off. Formatting as text is
// trace_format.ts's. A listener must not change anything.

import { EventEmitter } from "eventemitter3";
import type { DomId, Port } from "../shared/brand.ts";
import type { Vcpu } from "./vcpu.ts";

export interface TraceEvents {
  /** A hypercall has returned. `args` are the arguments as they were when it was issued, 64-bit numbers as bigint. */
  hypercall(vcpu: Vcpu, nr: number, name: string, args: readonly bigint[], result: number): void;
  /** An exception or callback is being delivered to the guest: the frame is built. */
  trap(vcpu: Vcpu, kind: "exception" | "event" | "syscall" | "failsafe" | "nmi", vector: number, error: number): void;
  /** A privileged instruction, or cpuid, is about to be emulated or refused; RIP is at it, or at its forcing prefix. */
  privileged(vcpu: Vcpu): void;
  /** A port became pending. */
  event(domain: DomId, port: Port, vcpu: number): void;
  /** A vcpu got the processor, for at most `sliceNs`. */
  schedule(vcpu: Vcpu, sliceNs: number): void;
  /** One instruction is about to be executed (only within the window of `insn`). */
  instruction(vcpu: Vcpu): void;
}

export class Trace {
  readonly emitter = new EventEmitter<TraceEvents>();
  hypercalls = false;
  traps = false;
  events = false;
  sched = false;
  /** Instructions still to be traced one by one; 0: none. */
  insn = 0;
}

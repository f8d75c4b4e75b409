// Event channels of a TypeScript kernel (public/event_channel.h, two-level ABI): ports are objects; an event wakes the
// port's waiters and calls its handler. The pending words are shared with Xen and touched by Atomics only:
// 1. [XEN] sets the port's bit in evtchn_pending, then, when it was clear and unmasked, the word's bit in
//    evtchn_pending_sel, then evtchn_upcall_pending.
// 2. [GUEST] clears evtchn_upcall_pending, takes evtchn_pending_sel by exchange with 0, clears each pending bit that is
//    not masked, and only then handles the event: one that comes meanwhile sets its bit again.

import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_pirq,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_send,
  EVTCHNOP_unmask,
  EvtchnAllocUnbound,
  EvtchnBindInterdomain,
  EvtchnBindPirq,
  EvtchnBindVirq,
  EvtchnClose,
  EvtchnSend,
  EvtchnUnmask,
} from "../../shared/abi/event_channel.ts";
import { DOMID_SELF, SharedInfo, VcpuInfo } from "../../shared/abi/xen.ts";
import type { DomId, Port } from "../../shared/brand.ts";
import { type Task, WaitQueue } from "./threads.ts";
import type { Xen } from "./xen.ts";

/** A bound event channel. Events coalesce: any number since the last `wait` or `take` count as one. */
export interface EventPort {
  readonly port: Port;
  /** Woken by each event: for waitAny; then look at `take()`. */
  readonly queue: WaitQueue;
  /** True when there was an event since the last look, which it forgets. */
  take(): boolean;
  /** Waits for an event and takes it; false when `timeoutNs` passed first or the port was closed. */
  wait(timeoutNs?: number): Task<boolean>;
  /** Called at each event, from the kernel's main loop, outside any thread: short. What it throws is `Kernel.onFailure`'s. */
  onEvent: (() => void) | undefined;
  /** EVTCHNOP_send. Throws XenError, as when the port was closed by the other side's end (EINVAL). */
  notify(): void;
  /** Closes the channel; waiters wake with false. Again: nothing. */
  close(): void;
}

export class Events {
  readonly #xen: Xen;
  readonly #flags: Uint8Array;
  readonly #words: Int32Array;
  readonly #ports = new Map<number, Bound>();
  readonly #report: (port: Port, error: unknown) => void;

  /**
   * `sharedInfo` is the bytes of the shared_info page; the kernel runs on vcpu 0. `report` is told what a port's `onEvent`
   * threw.
   */
  constructor(xen: Xen, sharedInfo: Uint8Array<SharedArrayBuffer>, report: (port: Port, error: unknown) => void) {
    this.#xen = xen;
    this.#report = report;
    this.#flags = sharedInfo;
    this.#words = new Int32Array(sharedInfo.buffer, sharedInfo.byteOffset, 1024);
    // Every port is masked until it is bound here; an event that came before stays pending.
    const mask = SharedInfo.offsets.evtchn_mask / 4;
    for (let i = 0; i < 128; i++) Atomics.store(this.#words, mask + i, -1);
  }

  /** Binds to a port that `domain` allocated for this one. */
  bindInterdomain(domain: DomId, remotePort: Port): EventPort {
    return this.#bound(
      this.#xen.eventChannelOp(
        EVTCHNOP_bind_interdomain,
        EvtchnBindInterdomain,
        (s) => {
          s.remote_dom = domain;
          s.remote_port = remotePort;
        },
        (s) => s.local_port as Port,
      ),
    );
  }

  /** A port that the toolstack made for this kernel: its console's, its xenstore's. */
  adopt(port: Port): EventPort {
    return this.#bound(port);
  }

  /** A fresh port of this kernel that `remote` may bind to. */
  allocUnbound(remote: DomId): EventPort {
    return this.#bound(this.allocUnboundFor(DOMID_SELF as DomId, remote));
  }

  /** A fresh port of `domain`, for `remote`: what a domain builder does for its guest. Privileged for other domains. */
  allocUnboundFor(domain: DomId, remote: DomId): Port {
    return this.#xen.eventChannelOp(
      EVTCHNOP_alloc_unbound,
      EvtchnAllocUnbound,
      (s) => {
        s.dom = domain;
        s.remote_dom = remote;
      },
      (s) => s.port as Port,
    );
  }

  /** `virq` is a VIRQ_. */
  bindVirq(virq: number): EventPort {
    return this.#bound(
      this.#xen.eventChannelOp(
        EVTCHNOP_bind_virq,
        EvtchnBindVirq,
        (s) => {
          s.virq = virq;
        },
        (s) => s.port as Port,
      ),
    );
  }

  /** A physical interrupt line of the machine. Lines are edge-triggered: there is nothing to acknowledge. */
  bindPirq(pirq: number): EventPort {
    return this.#bound(
      this.#xen.eventChannelOp(
        EVTCHNOP_bind_pirq,
        EvtchnBindPirq,
        (s) => {
          s.pirq = pirq;
        },
        (s) => s.port as Port,
      ),
    );
  }

  /** True when Xen has news: `dispatch` then. */
  get pending(): boolean {
    return this.#flags[VcpuInfo.offsets.evtchn_upcall_pending] !== 0;
  }

  /** Takes all pending events and wakes who waits for them. @internal For kernel.ts. */
  dispatch(): void {
    const flag = VcpuInfo.offsets.evtchn_upcall_pending;
    while (Atomics.exchange(this.#flags, flag, 0) !== 0) {
      for (let half = 0; half < 2; half++) {
        let selector = Atomics.exchange(this.#words, VcpuInfo.offsets.evtchn_pending_sel / 4 + half, 0);
        while (selector !== 0) {
          const bit = 31 - Math.clz32(selector & -selector);
          selector &= selector - 1;
          this.#word((half * 32 + bit) * 2);
          this.#word((half * 32 + bit) * 2 + 1);
        }
      }
    }
  }

  #word(index: number): void {
    const at = SharedInfo.offsets.evtchn_pending / 4 + index;
    const mask = Atomics.load(this.#words, SharedInfo.offsets.evtchn_mask / 4 + index);
    let bits = Atomics.load(this.#words, at) & ~mask;
    while (bits !== 0) {
      const lowest = bits & -bits;
      bits &= bits - 1;
      Atomics.and(this.#words, at, ~lowest);
      const bound = this.#ports.get(index * 32 + 31 - Math.clz32(lowest));
      try {
        bound?.fire();
      } catch (error) {
        this.#report(bound!.port, error);
      }
    }
  }

  #bound(port: Port): EventPort {
    const bound = new Bound(this.#xen, port, () => this.#ports.delete(port));
    this.#ports.set(port, bound);
    // Unmasking delivers what came before.
    this.#xen.eventChannelOp(
      EVTCHNOP_unmask,
      EvtchnUnmask,
      (s) => {
        s.port = port;
      },
      () => 0,
    );
    return bound;
  }
}

class Bound implements EventPort {
  readonly #xen: Xen;
  readonly port: Port;
  readonly queue = new WaitQueue();
  onEvent: (() => void) | undefined = undefined;
  #fired = false;
  #closed = false;
  readonly #forget: () => void;

  constructor(xen: Xen, port: Port, forget: () => void) {
    this.#xen = xen;
    this.port = port;
    this.#forget = forget;
  }

  fire(): void {
    this.#fired = true;
    this.queue.wakeAll();
    this.onEvent?.();
  }

  take(): boolean {
    const fired = this.#fired;
    this.#fired = false;
    return fired;
  }

  *wait(timeoutNs = Infinity): Task<boolean> {
    yield* this.queue.until(() => this.#fired || this.#closed, timeoutNs);
    return this.take();
  }

  notify(): void {
    this.#xen.eventChannelOp(
      EVTCHNOP_send,
      EvtchnSend,
      (s) => {
        s.port = this.port;
      },
      () => 0,
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.#xen.eventChannelOp(
      EVTCHNOP_close,
      EvtchnClose,
      (s) => {
        s.port = this.port;
      },
      () => 0,
    );
    this.queue.wakeAll();
  }
}

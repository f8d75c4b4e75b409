// The scheduler's core: when a vcpu may run, who runs now, runstates and accounting. Called by everything that blocks,
// wakes, pauses or ends a vcpu, and by the main loop, which asks who is next. The policy behind it is a Scheduler.
//
// A vcpu is runnable when it is up, nothing blocks it, and neither it nor its domain is paused; then, and only then, the
// policy knows it. Its runstate (public/vcpu.h) is running, runnable, blocked (waits for an event), or offline (paused, down
// or shut down); time in each adds up exactly.

import { RUNSTATE_blocked, RUNSTATE_offline, RUNSTATE_runnable, RUNSTATE_running } from "../../shared/abi/vcpu.ts";
import type { Domain } from "../domain.ts";
import { ZERO } from "../doubles.ts";
import type { Hypervisor } from "../hypervisor.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Scheduler } from "./scheduler.ts";

export class SchedCore {
  readonly policy: Scheduler;
  readonly #hv: Hypervisor;
  /** The vcpu that holds the processor, until the next schedule(). */
  running: Vcpu | undefined = undefined;
  /** Set when the running vcpu is to give up the processor: the main loop looks at it between runs. */
  reschedule = false;
  /** System time at which the running vcpu's slice ends. */
  sliceEnd = ZERO;
  /** System time up to which the running vcpu has been charged. */
  #chargedUntil = ZERO;
  /** Nanoseconds in which nothing was runnable, up to the last time that it began. */
  #idleNs = ZERO;
  #idleSince = ZERO;

  constructor(hv: Hypervisor, policy: Scheduler) {
    this.#hv = hv;
    this.policy = policy;
  }

  addDomain(domain: Domain): void {
    this.policy.addDomain(domain);
  }

  removeDomain(domain: Domain): void {
    if (this.running?.domain === domain) {
      this.account();
      this.running = undefined;
      this.#idleSince = this.#hv.time.now();
      this.reschedule = true;
    }
    this.policy.removeDomain(domain);
    for (const vcpu of domain.vcpus) vcpu.queued = false;
  }

  /** May it run? */
  isRunnable(vcpu: Vcpu): boolean {
    return !(vcpu.down || vcpu.blocked || vcpu.polling !== undefined) && vcpu.pauseCount + vcpu.domain.pauseCount === 0;
  }

  /** To be called after anything that isRunnable looks at has changed. */
  update(vcpu: Vcpu): void {
    const runnable = this.isRunnable(vcpu);
    if (runnable !== vcpu.queued) {
      vcpu.queued = runnable;
      const now = this.#hv.time.now();
      if (runnable) {
        this.policy.wake(vcpu, now);
        // Choosing anew lets it go first if it should, and else cuts the running one's slice to what is left beside it.
        this.reschedule = true;
      } else this.policy.sleep(vcpu);
    }
    if (vcpu === this.running) {
      if (!runnable) this.reschedule = true;
    } else this.#setRunstate(vcpu, this.#restState(vcpu));
  }

  #restState(vcpu: Vcpu): number {
    if (vcpu.queued) return RUNSTATE_runnable;
    const paused = vcpu.down || vcpu.pauseCount + vcpu.domain.pauseCount > 0;
    return (vcpu.blocked || vcpu.polling !== undefined) && !paused ? RUNSTATE_blocked : RUNSTATE_offline;
  }

  #setRunstate(vcpu: Vcpu, state: number): void {
    if (vcpu.runstate === state) return;
    const now = this.#hv.time.now();
    vcpu.runstateTime[vcpu.runstate] += now - vcpu.runstateSince;
    vcpu.runstateSince = now;
    vcpu.runstate = state;
  }

  /** SCHEDOP_block, after upcalls were unmasked: sleeps until an event, unless one is there. */
  block(vcpu: Vcpu): void {
    if (this.#hv.events.needsDelivery(vcpu)) return;
    vcpu.blocked = true;
    this.update(vcpu);
  }

  /** An event, or something else that the vcpu waits for, has come. */
  unblock(vcpu: Vcpu): void {
    if (vcpu.polling !== undefined) this.endPoll(vcpu);
    if (!vcpu.blocked) return;
    vcpu.blocked = false;
    this.update(vcpu);
  }

  endPoll(vcpu: Vcpu): void {
    if (vcpu.polling === undefined) return;
    vcpu.polling = undefined;
    vcpu.domain.pollers--;
    this.#hv.time.timers.stop(vcpu.pollTimer);
    this.update(vcpu);
  }

  pauseVcpu(vcpu: Vcpu): void {
    vcpu.pauseCount++;
    this.update(vcpu);
  }

  unpauseVcpu(vcpu: Vcpu): void {
    vcpu.pauseCount--;
    this.update(vcpu);
  }

  pause(domain: Domain): void {
    domain.pauseCount++;
    for (const vcpu of domain.vcpus) this.update(vcpu);
  }

  unpause(domain: Domain): void {
    domain.pauseCount--;
    for (const vcpu of domain.vcpus) this.update(vcpu);
  }

  yield(vcpu: Vcpu): void {
    this.policy.yield(vcpu);
    this.reschedule = true;
  }

  /** Charges the running vcpu for the time since it was last charged. */
  account(): void {
    const now = this.#hv.time.now();
    if (this.running !== undefined && now > this.#chargedUntil)
      this.policy.charge(this.running, now - this.#chargedUntil, now);
    this.#chargedUntil = now;
  }

  /** Is the slice over, or another to go first? */
  get due(): boolean {
    return this.reschedule || this.running === undefined || this.#hv.time.now() >= this.sliceEnd;
  }

  /** Chooses anew. Returns whether the processor has changed hands; `running` is undefined when nothing is runnable. */
  schedule(): boolean {
    this.account();
    this.reschedule = false;
    const now = this.#hv.time.now();
    const last = this.running;
    const next = this.policy.pick(now);
    if (next !== undefined) this.sliceEnd = now + this.policy.sliceNs;
    if (next === last) return false;
    this.running = next;
    if (last !== undefined) this.#setRunstate(last, this.#restState(last));
    if (next !== undefined) this.#setRunstate(next, RUNSTATE_running);
    if (last === undefined) this.#idleNs += now - this.#idleSince;
    if (next === undefined) this.#idleSince = now;
    return true;
  }

  /** Nanoseconds in which nothing was runnable. */
  get totalIdleNs(): number {
    return this.#idleNs + (this.running === undefined ? this.#hv.time.now() - this.#idleSince : 0);
  }

  /** ns that the vcpu has spent in `state`, up to now. */
  timeIn(vcpu: Vcpu, state: number): number {
    const current = vcpu.runstate === state ? this.#hv.time.now() - vcpu.runstateSince : 0;
    return vcpu.runstateTime[state] + current;
  }
}

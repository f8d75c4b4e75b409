// What a scheduling policy is asked: which runnable vcpu next, and for how long. core.ts
// does all the rest (states, runstates, accounting), so that a second policy is one more file beside bvt.ts.

import type { Domain } from "../domain.ts";
import type { Vcpu } from "../vcpu.ts";

export interface Scheduler {
  /** XEN_SCHEDULER_* number, and name as `xl info` shows it. */
  readonly id: number;
  readonly name: string;
  /** Of the vcpu that pick() returned: how long it may run, ns. */
  readonly sliceNs: number;

  addDomain(domain: Domain): void;
  removeDomain(domain: Domain): void;
  /** The vcpu has become runnable at `now`. */
  wake(vcpu: Vcpu, now: number): void;
  /** It is no longer runnable. */
  sleep(vcpu: Vcpu): void;
  /** The vcpu ran for `ns`. */
  charge(vcpu: Vcpu, ns: number, now: number): void;
  /** The vcpu gives its turn away: the next pick prefers any other. */
  yield(vcpu: Vcpu): void;
  /** The vcpu to run next, undefined when none is runnable. */
  pick(now: number): Vcpu | undefined;
  /** How the vcpu stands, in the policy's own terms, for people. */
  describe(vcpu: Vcpu, now: number): string;
}

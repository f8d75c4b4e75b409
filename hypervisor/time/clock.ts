// The machine's clock: nanoseconds since boot, from one of two sources (DESIGN, the execution contract). Real: the host's
// monotonic clock. Virtual: one instruction retired is 1 ns, and what the hypervisor does has fixed costs, so that a run
// can be repeated exactly; idle time is skipped. Only hypervisor.ts advances the virtual clock.

import { ZERO } from "../doubles.ts";

export interface Clock {
  readonly virtual: boolean;
  /** Nanoseconds since boot, never going back. */
  now(): number;
  /** The virtual clock moves by `ns`; nothing on the real one, which moves by itself. */
  advance(ns: number): void;
}

export class VirtualClock implements Clock {
  readonly virtual = true;
  #now = 0;

  now(): number {
    return this.#now;
  }

  advance(ns: number): void {
    this.#now += ns;
  }
}

export class RealClock implements Clock {
  readonly virtual = false;
  readonly #host: () => number;
  readonly #boot: number;
  #last = ZERO;

  /** `hostNs` gives monotonic host nanoseconds; now() is counted from this moment. */
  constructor(hostNs: () => number) {
    this.#host = hostNs;
    this.#boot = hostNs();
  }

  now(): number {
    const now = Math.floor(this.#host() - this.#boot);
    if (now > this.#last) this.#last = now;
    return this.#last;
  }

  advance(_ns: number): void {}
}

// Borrowed Virtual Time (Duda and Cheriton, SOSP 1999, sections 2 and 3), with the parameters that Xen 3.0's scheduler of
// that name had. A vcpu that ran for t adds t / MCU x mcu_advance to its actual virtual time A; its effective virtual time
// is E = A - (warped ? warp_value : 0); the runnable vcpu with the least E runs, until its E would pass the next one's by
// the context-switch allowance C. A woken one starts from the scheduler virtual time (the least A of the runnable), so
// that sleeping saves nothing up. The warp limits bound how long a domain may run warped, and how long it then may not.
// Virtual times are fractions of ns x mcu_advance / MCU: doubles hold them to better than 1 part in 10^12 for years.

import { XEN_SCHEDULER_BVT } from "../../shared/abi/domctl.ts";
import type { DomId } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import { ZERO } from "../doubles.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Scheduler } from "./scheduler.ts";

/** Minimum charging unit, ns: the unit of time that mcu_advance is for. */
export const MCU_NS = 100_000;
/** Default context-switch allowance C, ns. */
export const CTX_ALLOW_NS = 5_000_000;
/** weight x mcu_advance: weights up to 32768 are exact to 0.1%. */
export const WEIGHT_SCALE = 1 << 25;
export const DEFAULT_WEIGHT = 256;

/** One domain's parameters. */
export interface BvtParams {
  /** Inverse of the weight: virtual time added per MCU, 1 to 2^25. */
  mcuAdvance: number;
  /** Whether the domain's vcpus run warped. */
  warpback: boolean;
  /** How much virtual time a warped vcpu borrows; virtual time units. */
  warpValue: number;
  /** How long it may run warped, ns of its own running; 0: no bound. */
  warplNs: number;
  /** How long it must stay unwarped after that, ns; 0: not at all. */
  warpuNs: number;
}

/** mcu_advance for a weight (1 to 65535), and back. */
export function weightToAdvance(weight: number): number {
  return Math.max(1, Math.round(WEIGHT_SCALE / weight));
}

export const advanceToWeight = weightToAdvance;

interface VcpuState {
  avt: number;
  /** ns run warped since it was last unwarped. */
  warpedNs: number;
  /** System time until which it may not warp. */
  unwarpedUntil: number;
  yielded: boolean;
}

export class Bvt implements Scheduler {
  readonly id = XEN_SCHEDULER_BVT;
  readonly name = "bvt";
  sliceNs = 0;
  /** The context-switch allowance C, ns. */
  ctxAllowNs = CTX_ALLOW_NS;
  #svt = ZERO;
  readonly #params = new Map<DomId, BvtParams>();
  readonly #states = new Map<Vcpu, VcpuState>();
  readonly #runnable: Vcpu[] = [];

  addDomain(domain: Domain): void {
    this.#params.set(domain.id, {
      mcuAdvance: weightToAdvance(DEFAULT_WEIGHT),
      warpback: false,
      warpValue: 0,
      warplNs: 2_000_000_000,
      warpuNs: 1_000_000_000,
    });
  }

  removeDomain(domain: Domain): void {
    this.#params.delete(domain.id);
    for (const vcpu of domain.vcpus) {
      this.sleep(vcpu);
      this.#states.delete(vcpu);
    }
  }

  /** The domain's parameters, to be read; set() changes them. */
  params(domain: Domain): Readonly<BvtParams> {
    return this.#params.get(domain.id)!;
  }

  set(domain: Domain, params: Partial<BvtParams>): void {
    Object.assign(this.#params.get(domain.id)!, params);
  }

  #state(vcpu: Vcpu): VcpuState {
    let state = this.#states.get(vcpu);
    if (state === undefined) {
      state = { avt: this.#svt, warpedNs: ZERO, unwarpedUntil: ZERO, yielded: false };
      this.#states.set(vcpu, state);
    }
    return state;
  }

  /** Effective virtual time. */
  #evt(vcpu: Vcpu, now: number): number {
    const state = this.#state(vcpu);
    const params = this.#params.get(vcpu.domain.id)!;
    return params.warpback && now >= state.unwarpedUntil ? state.avt - params.warpValue : state.avt;
  }

  describe(vcpu: Vcpu, now: number): string {
    const { mcuAdvance } = this.params(vcpu.domain);
    return `A ${Math.round(this.#state(vcpu).avt)}, E ${Math.round(this.#evt(vcpu, now))}, mcu_advance ${mcuAdvance}`;
  }

  wake(vcpu: Vcpu, _now: number): void {
    if (this.#runnable.includes(vcpu)) return;
    const state = this.#state(vcpu);
    if (state.avt < this.#svt) state.avt = this.#svt;
    state.yielded = false;
    this.#runnable.push(vcpu);
  }

  sleep(vcpu: Vcpu): void {
    const at = this.#runnable.indexOf(vcpu);
    if (at >= 0) this.#runnable.splice(at, 1);
  }

  charge(vcpu: Vcpu, ns: number, now: number): void {
    const state = this.#state(vcpu);
    const params = this.#params.get(vcpu.domain.id)!;
    state.avt += (ns / MCU_NS) * params.mcuAdvance;
    if (!params.warpback || now < state.unwarpedUntil) return;
    state.warpedNs += ns;
    if (params.warplNs > 0 && state.warpedNs >= params.warplNs) {
      state.warpedNs = 0;
      state.unwarpedUntil = now + params.warpuNs;
    }
  }

  yield(vcpu: Vcpu): void {
    this.#state(vcpu).yielded = true;
  }

  pick(now: number): Vcpu | undefined {
    let best: Vcpu | undefined;
    let bestEvt = Number.POSITIVE_INFINITY;
    let nextEvt = Number.POSITIVE_INFINITY;
    let svt = Number.POSITIVE_INFINITY;
    let yielded: Vcpu | undefined;
    for (const vcpu of this.#runnable) {
      const state = this.#state(vcpu);
      if (state.avt < svt) svt = state.avt;
      if (state.yielded) {
        state.yielded = false;
        if (yielded === undefined) {
          yielded = vcpu;
          continue;
        }
      }
      const evt = this.#evt(vcpu, now);
      if (evt < bestEvt) {
        nextEvt = bestEvt;
        bestEvt = evt;
        best = vcpu;
      } else if (evt < nextEvt) nextEvt = evt;
    }
    if (svt !== Number.POSITIVE_INFINITY) this.#svt = svt;
    if (best === undefined) {
      if (yielded === undefined) return undefined;
      best = yielded;
      bestEvt = this.#evt(best, now);
    } else if (yielded !== undefined) {
      // What it gives away is gone, as with sleeping: else it could save up by yielding, and then shut the others out.
      const state = this.#state(yielded);
      state.avt = Math.max(state.avt, this.#state(best).avt);
      nextEvt = Math.min(nextEvt, Math.max(bestEvt, this.#evt(yielded, now)));
    }
    const params = this.#params.get(best.domain.id)!;
    this.sliceNs =
      nextEvt === Number.POSITIVE_INFINITY
        ? this.ctxAllowNs * 10
        : Math.floor(((nextEvt - bestEvt) / params.mcuAdvance) * MCU_NS) + this.ctxAllowNs;
    const state = this.#state(best);
    if (params.warpback && params.warplNs > 0 && now >= state.unwarpedUntil)
      this.sliceNs = Math.max(1, Math.min(this.sliceNs, params.warplNs - state.warpedNs));
    return best;
  }
}

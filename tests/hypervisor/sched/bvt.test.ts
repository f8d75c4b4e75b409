// Borrowed Virtual Time on simulated vcpus: shares, preemption, warping, what sleeping is worth.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Domain } from "../../../hypervisor/domain.ts";
import { Bvt, WEIGHT_SCALE, weightToAdvance } from "../../../hypervisor/sched/bvt.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import type { DomId } from "../../../shared/brand.ts";

/** A domain with one vcpu, as far as the policy looks at it. */
function fakeVcpu(bvt: Bvt, id: number, weight: number): Vcpu {
  const domain = { id: id as DomId, vcpus: [] as Vcpu[] };
  const vcpu = { domain, id: 0 } as unknown as Vcpu;
  domain.vcpus.push(vcpu);
  bvt.addDomain(domain as unknown as Domain);
  bvt.set(domain as unknown as Domain, { mcuAdvance: weightToAdvance(weight) });
  return vcpu;
}

/** Runs spinning vcpus for `totalNs`: what each got. Slices end where the policy says. */
function spin(bvt: Bvt, vcpus: Vcpu[], totalNs: number): number[] {
  const got = new Map(vcpus.map((v) => [v, 0]));
  let now = 0;
  while (now < totalNs) {
    const vcpu = bvt.pick(now) as Vcpu;
    const ns = Math.min(bvt.sliceNs, totalNs - now);
    now += ns;
    got.set(vcpu, (got.get(vcpu) ?? 0) + ns);
    bvt.charge(vcpu, ns, now);
  }
  return vcpus.map((v) => got.get(v) ?? 0);
}

describe("BVT", () => {
  test("weights map to whole numbers within 0.1%", () => {
    for (let weight = 1; weight <= 32768; weight++)
      expect(Math.abs((weightToAdvance(weight) * weight) / WEIGHT_SCALE - 1)).toBeLessThan(0.001);
  });

  test("spinning vcpus get the processor in proportion to their weights", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 512 }), { minLength: 1, maxLength: 8 }), (weights) => {
        const bvt = new Bvt();
        bvt.ctxAllowNs = 1_000_000;
        const vcpus = weights.map((weight, i) => fakeVcpu(bvt, i + 1, weight));
        for (const vcpu of vcpus) bvt.wake(vcpu, 0);
        const sum = weights.reduce((x, y) => x + y, 0);
        // Long enough for the lightest to have had a hundred turns, so that the last turn's rest doesn't matter.
        const total = Math.ceil((sum / Math.min(...weights)) * 100e6) * weights.length;
        const got = spin(bvt, vcpus, total);
        got.forEach((ns, i) => {
          expect(Math.abs(ns / total / (weights[i] / sum) - 1)).toBeLessThan(0.02);
        });
      }),
      { numRuns: 30 },
    );
  });

  test("one that slept gets no more than its share for it, and goes first when it wakes", () => {
    const bvt = new Bvt();
    const [a, b] = [fakeVcpu(bvt, 1, 256), fakeVcpu(bvt, 2, 256)];
    bvt.wake(a, 0);
    bvt.charge(a, 10e9, 10e9); // b sleeps for ten seconds.
    expect(bvt.pick(10e9)).toBe(a);
    bvt.wake(b, 10e9);
    bvt.charge(a, 1000, 10e9 + 1000);
    expect(bvt.pick(10e9 + 1000)).toBe(b);
    const [gotA, gotB] = spin(bvt, [a, b], 1e9);
    expect(Math.abs(gotA - gotB)).toBeLessThanOrEqual(2 * bvt.ctxAllowNs);
  });

  test("alone, a vcpu runs ten context-switch allowances at a time; beside another, until it is one ahead", () => {
    const bvt = new Bvt();
    const [a, b] = [fakeVcpu(bvt, 1, 256), fakeVcpu(bvt, 2, 256)];
    bvt.wake(a, 0);
    bvt.pick(0);
    expect(bvt.sliceNs).toBe(50_000_000);
    bvt.wake(b, 0);
    bvt.charge(a, 3_000_000, 3e6);
    expect(bvt.pick(3e6)).toBe(b);
    expect(bvt.sliceNs).toBe(8_000_000);
  });

  test("a warped domain is ahead by its warp value, until its limit, and then not for as long as it must not", () => {
    const bvt = new Bvt();
    const [a, b] = [fakeVcpu(bvt, 1, 256), fakeVcpu(bvt, 2, 256)];
    const warp = weightToAdvance(256) * 1000; // 100 ms of its own running.
    bvt.set(a.domain, { warpback: true, warpValue: warp, warplNs: 20_000_000, warpuNs: 50_000_000 });
    bvt.wake(a, 0);
    bvt.wake(b, 0);
    let now = 0;
    let warped = 0;
    while (bvt.pick(now) === a) {
      const ns = bvt.sliceNs;
      now += ns;
      warped += ns;
      bvt.charge(a, ns, now);
    }
    expect(warped).toBe(20_000_000);
    // Unwarped, it owes b what it had.
    expect(bvt.pick(now)).toBe(b);
    bvt.charge(b, 50_000_000, now + 50_000_000);
    now += 50_000_000;
    expect(bvt.pick(now)).toBe(a); // It may warp again.
  });

  test("one that did nothing but yield can't shut the other out afterwards", () => {
    const bvt = new Bvt();
    const [a, b] = [fakeVcpu(bvt, 1, 256), fakeVcpu(bvt, 2, 256)];
    bvt.wake(a, 0);
    bvt.wake(b, 0);
    let now = 0;
    while (now < 1e9) {
      const vcpu = bvt.pick(now) as Vcpu;
      const ns = vcpu === a ? 1000 : bvt.sliceNs;
      now += ns;
      bvt.charge(vcpu, ns, now);
      if (vcpu === a) bvt.yield(a);
    }
    const [gotA, gotB] = spin(bvt, [a, b], 1e8);
    expect(gotA).toBeGreaterThan(0.4e8);
    expect(gotB).toBeGreaterThan(0.4e8);
  });

  test("one that yields is passed over once, if there is another", () => {
    const bvt = new Bvt();
    const [a, b] = [fakeVcpu(bvt, 1, 256), fakeVcpu(bvt, 2, 1)];
    bvt.wake(a, 0);
    bvt.wake(b, 0);
    bvt.charge(b, 1e6, 1e6);
    expect(bvt.pick(1e6)).toBe(a);
    bvt.yield(a);
    expect(bvt.pick(1e6)).toBe(b);
    expect(bvt.pick(1e6)).toBe(a);
    bvt.sleep(b);
    bvt.yield(a);
    expect(bvt.pick(1e6)).toBe(a);
  });
});

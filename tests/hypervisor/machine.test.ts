// Whole machines without dom0: kernels from ELF files, alone and beside each other, on the virtual clock.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createMachine, formatTrace, type Machine } from "../../hypervisor/index.ts";
import { killDomain } from "../../hypervisor/lifecycle.ts";
import { weightToAdvance } from "../../hypervisor/sched/bvt.ts";
import { RUNSTATE_running } from "../../shared/abi/vcpu.ts";
import type { DomId } from "../../shared/brand.ts";
import { BareDomain } from "../harness/bare.ts";
import { bareMachine, buildDomu, DomuMachine, drainConsole } from "../harness/domu.ts";

const guest = (name: string): string => join(import.meta.dirname, `../guests/${name}/${name}.elf`);

/** A machine with spinning domains of these weights, the first with id 1. */
function spinners(weights: readonly number[]): Machine {
  const machine = bareMachine({ memoryMiB: 128 });
  weights.forEach((weight, i) => {
    const domain = buildDomu(machine.hv, readFileSync(guest("spin")), (i + 1) as DomId, { domainMiB: 8 });
    machine.hv.bvt.set(domain, { mcuAdvance: weightToAdvance(weight) });
    machine.hv.sched.unpause(domain);
  });
  return machine;
}

function runFor(machine: Machine, ns: number): void {
  const end = machine.hv.time.now() + ns;
  expect(machine.runUntil(() => machine.hv.time.now() >= end, 1e6)).toBe(true);
}

const ran = (machine: Machine, id: number): number => {
  machine.hv.sched.account();
  const vcpu = machine.domains.get(id)?.vcpus[0];
  return vcpu === undefined ? 0 : machine.hv.sched.timeIn(vcpu, RUNSTATE_running);
};

describe("a kernel from an ELF file", () => {
  test("prints through console_io and powers off", () => {
    const machine = new DomuMachine(guest("conio"));
    expect(machine.runToEnd()).toBe(0);
    expect(machine.console).toBe("conio: a line through console_io\n");
    expect(machine.machine.checker()).toEqual([]);
  });

  test("is refused console_io where the machine says so", () => {
    const machine = new DomuMachine(guest("conio"), { consoleIo: false });
    expect(machine.runToEnd()).toBe(0);
    expect(machine.console).toBe("");
  });

  for (const [name, reason] of [
    ["garbage", /no handler for #UD/],
    ["badstack", /can't take an exception frame/],
    ["faultloop", /can't take an exception frame/],
    ["badtraps", /can't take an exception frame/],
  ] as const)
    test(`that misbehaves (${name}) is crashed, with the reason and its registers in the log`, () => {
      const machine = new DomuMachine(guest(name));
      expect(machine.runToEnd()).toBe(3);
      expect(machine.log).toMatch(reason);
      expect(machine.log).toMatch(/RIP: {4}e033:\[<[0-9a-f]{16}>\]/);
      expect(machine.machine.checker()).toEqual([]);
    });
});

describe("domains beside each other", () => {
  test("spinning ones share the processor by their weights", () => {
    const machine = spinners([1, 2, 4]);
    machine.hv.bvt.ctxAllowNs = 1_000_000;
    runFor(machine, 350_000_000);
    const shares = [1, 2, 3].map((id) => ran(machine, id) / machine.hv.time.now());
    [1 / 7, 2 / 7, 4 / 7].forEach((due, i) => {
      expect(Math.abs(shares[i] / due - 1)).toBeLessThan(0.05);
    });
  });

  test("a paused one stands still; a destroyed one gives back every frame, and the other goes on", () => {
    const machine = spinners([1]);
    const free = machine.hv.frames.freeFrames;
    const { hv } = machine;
    const domain = buildDomu(hv, readFileSync(guest("spin")), 2 as DomId, { domainMiB: 8 });
    hv.sched.unpause(domain);
    runFor(machine, 30_000_000);
    hv.sched.pause(domain);
    runFor(machine, 1_000_000);
    const before = ran(machine, 2);
    expect(before).toBeGreaterThan(5_000_000);
    runFor(machine, 30_000_000);
    expect(ran(machine, 2)).toBe(before);
    hv.sched.unpause(domain);
    runFor(machine, 30_000_000);
    expect(ran(machine, 2)).toBeGreaterThan(before);
    while (killDomain(hv, domain) !== 0);
    expect(hv.frames.freeFrames).toBe(free);
    const one = ran(machine, 1);
    runFor(machine, 20_000_000);
    expect(ran(machine, 1) - one).toBeGreaterThan(19_000_000);
    expect(machine.checker()).toEqual([]);
  });

  test("dom0 hears that a domain has ended, and the log's growth", () => {
    const machine = bareMachine({ memoryMiB: 64 });
    const dom0 = new BareDomain(machine.hv, 0, { privileged: true });
    const bind = (virq: number): number => dom0.op(32, 1, [virq, 0, 0]).words[2];
    const [exc, ring] = [bind(3), bind(8)];
    const domain = buildDomu(machine.hv, readFileSync(guest("conio")), 1 as DomId, {});
    machine.hv.sched.unpause(domain);
    machine.runUntil(() => domain.isShutDown, 1000);
    expect([exc, ring].map((port) => machine.hv.events.isPending(dom0.domain, port))).toEqual([true, true]);
  });
});

describe("the virtual clock", () => {
  /** What a machine with a ticking, a spinning and a crashing domain does in 100 ms, in every detail. */
  function record(hotTier?: boolean): string {
    const machine = spinners([3]);
    const { regions } = machine.hv.x86;
    if (hotTier !== undefined) {
      regions.enabled = hotTier;
      regions.threshold = 0;
      regions.worth = 0;
    }
    const lines: string[] = [];
    Object.assign(machine.trace, { hypercalls: true, traps: true, events: true, sched: true, insn: 500 });
    formatTrace(machine, (line) => lines.push(line));
    for (const [i, name] of ["ticker", "faultloop", "smoke"].entries()) {
      const domain = buildDomu(machine.hv, readFileSync(guest(name)), (i + 2) as DomId, { domainMiB: 8 });
      machine.hv.sched.unpause(domain);
    }
    for (let i = 0; i < 50; i++) {
      runFor(machine, 2_000_000);
      for (const domain of machine.domains.values()) lines.push(drainConsole(machine.hv, domain));
    }
    if (hotTier) expect(regions.compiled).toBeGreaterThan(1);
    return lines.join("\n") + machine.log.read(0, 1e9);
  }

  test("gives the same run byte for byte", () => {
    const first = record();
    expect(first.length).toBeGreaterThan(20_000);
    expect(first).toContain("hypercall xen_version");
    expect(first).toContain("trap vector 14");
    expect(record() === first).toBe(true);
  });

  test("has the same time of day whatever the host's is", () => {
    const at = (wallclockNs: bigint, clock: "virtual" | "real"): bigint => {
      const hostClock = { nowNs: () => 1, wallclockNs: () => wallclockNs };
      return createMachine({ memory: { mib: 16 }, clock, hostClock }).hv.time.wallclockAtBoot;
    };
    expect(at(5n, "virtual")).toBe(at(6n, "virtual"));
    expect(Number(at(5n, "virtual") / 1_000_000n)).toBe(Date.UTC(2026, 0, 1));
    expect(at(5n, "real")).toBe(5n);
  });

  test("gives the same run with hot code compiled as early as can be, and never", () => {
    expect(record(true) === record(false)).toBe(true);
  });
});

// The kernels behind the benchmarks: each thing that they time is done, and works, on the virtual clock. What it takes is
// for `npm run bench` to say.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dom0Kernel } from "../../dom0/kernel.ts";
import { elfPath, root } from "../../scripts/guests/build.ts";
import { RUNSTATE_running } from "../../shared/abi/vcpu.ts";
import type { DomId } from "../../shared/brand.ts";
import { Dom0Machine } from "../harness/dom0.ts";
import { bareMachine, buildDomu, drainConsole } from "../harness/domu.ts";

test("hypercalls times each of its operations, and none fails", () => {
  const folder = "guests/bench/hypercalls";
  const cfg = `${readFileSync(join(root, folder, "hypercalls.cfg"), "utf8")}extra = "quick"\n`;
  const files = { "bench.cfg": cfg, [elfPath(folder)]: readFileSync(join(root, elfPath(folder))) };
  const machine = new Dom0Machine({ main: dom0Kernel(), memoryMiB: 64, dom0MemoryMiB: 16, files });
  machine.host.type("xl create -q -c bench.cfg\n");
  machine.host.endInput();
  machine.runToExit();
  const lines = machine.host.output.trimEnd().split("\n");
  expect(lines).toHaveLength(18);
  for (const line of lines.slice(0, -1)) expect(line).toMatch(/^bench: .*: [1-9]\d*\.\d ns$/);
  expect(lines.at(-1)).toBe("bench: end");
  expect(machine.machine.checker()).toEqual([]);
});

test("company: the sleeping domain wakes in time beside one that spins, one that calls and one that faults", () => {
  const machine = bareMachine({ memoryMiB: 64 });
  const { hv } = machine;
  hv.bvt.ctxAllowNs = 1_000_000;
  const elf = readFileSync(join(root, elfPath("guests/bench/company")));
  const domains = ["spin", "hypercalls", "faults", "nap"].map((cmdline, i) =>
    buildDomu(hv, elf, (i + 1) as DomId, { domainMiB: 8, cmdline }),
  );
  hv.bvt.set(domains[3], { warpback: true, warpValue: 1e9, warplNs: 0 });
  for (const domain of domains) hv.sched.unpause(domain);
  let text = "";
  expect(
    machine.runUntil(() => {
      text += drainConsole(hv, domains[3]);
      return text.includes("\n");
    }),
  ).toBe(true);
  const late = /^company: late by (\d+) ns, (\d+) ns, (\d+) ns\n/.exec(text);
  // Warped, it waits for nothing but what is under way: on the virtual clock that is a few microseconds.
  expect(Number(late?.[3])).toBeLessThan(50_000);
  const ran = domains.slice(0, 3).map((domain) => hv.sched.timeIn(domain.vcpus[0], RUNSTATE_running));
  for (const ns of ran) expect(Math.abs(ns / ran[0] - 1)).toBeLessThan(0.1);
  expect(machine.checker()).toEqual([]);
});

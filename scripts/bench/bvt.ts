// Is Borrowed Virtual Time as fair as DESIGN says? Eight domains with weights 1 to 8 and C = 1 ms share the processor for ten
// seconds: the error of each one's share, on the virtual clock and on the real one, when all spin, and when two of them do
// nothing but hypercalls and page faults. Then how late a domain wakes beside eight that spin, warped and not. The
// machine runs in this thread, without dom0; the domains are guests/bench/company.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Machine } from "../../hypervisor/index.ts";
import { weightToAdvance } from "../../hypervisor/sched/bvt.ts";
import { RUNSTATE_running } from "../../shared/abi/vcpu.ts";
import type { DomId } from "../../shared/brand.ts";
import { bareMachine, buildDomu, drainConsole } from "../../tests/harness/domu.ts";
import type { Bench, Context, Row } from "./form.ts";

const KERNEL = fileURLToPath(new URL("../../guests/bench/company/company.elf", import.meta.url));
const WEIGHTS = [1, 2, 3, 4, 5, 6, 7, 8];
const SUM = WEIGHTS.reduce((sum, weight) => sum + weight, 0);
const CTX_ALLOW_NS = 1_000_000;
const WINDOW_NS = 10_000_000_000;
/** Before the window: all have booted, and the engine has compiled. */
const WARM_UP_NS = 300_000_000;
/** Goals: on the virtual clock of each one's share, in percent; on the real one in percentage points. */
const GOAL_VIRTUAL = 1;
const GOAL_REAL = 2;
/** The warped one: ahead by 100 ms of its own running, without a limit. */
const WARP_NS = 100_000_000;
const WAKE_LIMIT_NS = 30_000_000_000;
const LATENESS = ["median", "99th percentile", "most"];

type Clock = "virtual" | "real";

export const run: Bench = (context) => {
  const rows: Row[] = [];
  for (const clock of ["virtual", "real"] as const) {
    rows.push(fairness(clock, "all spin", []));
    rows.push(fairness(clock, "weight 3 makes hypercalls, weight 6 faults", ["", "", "hypercalls", "", "", "faults"]));
  }
  const plain = latency(context, false);
  const warped = latency(context, true);
  LATENESS.forEach((name, i) => {
    rows.push({ name: `late to wake, ${name}, not warped`, value: plain[i], unit: "us" });
  });
  LATENESS.forEach((name, i) => {
    const ratio = plain[i] / warped[i];
    rows.push({ name: `late to wake, ${name}, warped`, value: warped[i], unit: "us", baseline: plain[i], ratio });
  });
  return rows;
};

/** A machine with the eight domains, running; `roles` are their command lines, "spin" where none is given. */
function company(clock: Clock, roles: readonly string[]): Machine {
  const machine = bareMachine({ memoryMiB: 160, clock });
  machine.hv.bvt.ctxAllowNs = CTX_ALLOW_NS;
  WEIGHTS.forEach((weight, i) => {
    add(machine, i + 1, roles[i] || "spin", weight);
  });
  return machine;
}

function add(machine: Machine, id: number, role: string, weight: number, warp = 0): void {
  const { hv } = machine;
  const domain = buildDomu(hv, readFileSync(KERNEL), id as DomId, { domainMiB: 8, cmdline: role });
  const mcuAdvance = weightToAdvance(weight);
  hv.bvt.set(domain, { mcuAdvance, warpback: warp > 0, warpValue: warp, warplNs: 0 });
  hv.sched.unpause(domain);
}

function runFor(machine: Machine, ns: number): void {
  const { time } = machine.hv;
  const until = time.now() + ns;
  if (!machine.runUntil(() => time.now() >= until, Number.POSITIVE_INFINITY)) throw new Error("the machine stopped");
}

/** ns that each of the domains has run. */
function running({ hv, domains }: Machine): number[] {
  hv.sched.account();
  return [...domains.values()].map((domain) => hv.sched.timeIn(domain.vcpus[0], RUNSTATE_running));
}

/** The largest error of a share. */
function fairness(clock: Clock, what: string, roles: readonly string[]): Row {
  const machine = company(clock, roles);
  runFor(machine, WARM_UP_NS);
  const before = running(machine);
  const from = machine.hv.time.now();
  runFor(machine, WINDOW_NS);
  const window = machine.hv.time.now() - from;
  const virtual = clock === "virtual";
  const errors = running(machine).map((ns, i) => {
    const due = WEIGHTS[i] / SUM;
    const share = (ns - before[i]) / window;
    return Math.abs(share - due) / (virtual ? due : 1);
  });
  return {
    name: `largest error of a share, ${clock} clock: ${what}`,
    value: Math.max(...errors) * 100,
    unit: virtual ? "%" : "points",
    goal: virtual ? GOAL_VIRTUAL : GOAL_REAL,
  };
}

/** How late a ninth domain, of weight 1, wakes from 500 sleeps: LATENESS, us. */
function latency(context: Context, warped: boolean): number[] {
  const machine = company("real", []);
  const id = WEIGHTS.length + 1;
  add(machine, id, "sleep", 1, warped ? (WARP_NS / 100_000) * weightToAdvance(1) : 0);
  const { hv } = machine;
  const until = hv.time.now() + WAKE_LIMIT_NS;
  const domain = hv.domains.get(id as DomId);
  if (domain === undefined) throw new Error("the ninth domain is gone");
  let text = "";
  // What it tells first is not used: meanwhile the engine compiles.
  const told = (): RegExpMatchArray | undefined => [...text.matchAll(/late by (\d+) ns, (\d+) ns, (\d+) ns\n/g)][1];
  machine.runUntil(() => {
    text += drainConsole(hv, domain);
    return told() !== undefined || hv.time.now() > until;
  }, Number.POSITIVE_INFINITY);
  const found = told();
  if (found === undefined) throw new Error(`the sleeping domain did not wake often enough; it printed:\n${text}`);
  return LATENESS.map((_, i) => context.calibrated(Number(found[i + 1]) / 1000));
}

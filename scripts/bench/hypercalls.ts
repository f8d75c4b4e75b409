// How long single operations of the hypervisor take, seen from inside a domain: guests/bench/hypercalls, an ELF kernel that
// runs on real Xen too, prints them. Beside each BASELINE's figure of the same operation: the best of its three columns.
// Goals: a null hypercall in 80 ns, and all others twice as fast as that best column.

import { BASELINE_STEP_NS, type Bench, geometricMean, type Row } from "./form.ts";
import { timedSession } from "./session.ts";

const CONFIG = "guests/bench/hypercalls/hypercalls.cfg";
const LIMIT_MS = 60_000;
const SAMPLES = 25;
const NULL_HYPERCALL = "null hypercall (xen_version)";
const NULL_GOAL_NS = 80;
const GOAL_RATIO = 2;

/** Real Xen 4.17, ns, by the name that the kernel prints. */
const BASELINE: Readonly<Record<string, number>> = {
  [NULL_HYPERCALL]: 189,
  "multicall of 32, each": 187,
  "event sent to self: send, upcall, iret": 1001,
  "event sent while masked": 299,
  "mmu_update, one L1 entry": 924,
  "mmu_update, batch of 64, each": 513,
  "update_va_mapping, no flush": 831,
  "update_va_mapping, INVLPG": 1017,
  "update_va_mapping, TLB flush": 7062,
  "direct write to a page table": 2315,
  "pin and unpin an empty L4": 10347,
  "page fault to a minimal handler and back by iret": 1181,
  "sched_op yield": 2414,
  "NEW_BASEPTR (same table)": 5976,
  "grant map and unmap, self": 11777,
  "rdmsr, emulated": 1469,
  "user syscall to kernel and back": 8932,
};

export const run: Bench = async (context) => {
  const { output } = await timedSession([`xl create -c ${CONFIG}`], [], LIMIT_MS);
  const measured = new Map(
    [...output.matchAll(/^bench: (.*): ([\d.]+) ns$/gm)].map(([, name, ns]) => [name, Number(ns)]),
  );
  const rows = Object.entries(BASELINE).map(([name, baseline]): Row => {
    const ns = measured.get(name);
    if (ns === undefined) throw new Error(`the bench kernel gave no "${name}"; it printed:\n${output}`);
    const value = context.calibrated(ns);
    const goal = name === NULL_HYPERCALL ? NULL_GOAL_NS : baseline / GOAL_RATIO;
    return { name, value, unit: "ns", runs: SAMPLES, baseline, ratio: baseline / value, goal };
  });
  const ratio = geometricMean(rows.map((row) => row.ratio as number));
  rows.push({ name: "times ahead, geometric mean", value: ratio, unit: "times", goal: GOAL_RATIO, goalIsLeast: true });
  context.note(`times are medians, calibrated to a step of ${BASELINE_STEP_NS} ns`);
  return rows;
};

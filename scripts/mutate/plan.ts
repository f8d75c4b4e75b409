// table: what is mutated, and which tests are asked first. A mutant that those let live is put before all the rest: every
// test of the hypervisor but the processors' own, the guests with transcripts, and the attacks.

/** Folders and files of the guards, and where their tests are. The first prefix that fits counts. */
export const PLAN: readonly (readonly [source: string, tests: readonly string[]])[] = [
  ["hypervisor/memory/checker.ts", []],
  ["hypervisor/memory/", ["tests/hypervisor/memory/"]],
  ["hypervisor/grants/", ["tests/hypervisor/grants/"]],
  ["hypervisor/events/", ["tests/hypervisor/events/"]],
  ["hypervisor/traps/", ["tests/hypervisor/traps/"]],
  ["hypervisor/hypercalls/batch.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/descriptors.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/memory_op.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/mmu_update.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/mmuext_op.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/page_owner.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/update_va_mapping.ts", ["tests/hypervisor/memory/"]],
  ["hypervisor/hypercalls/grant_table_op.ts", ["tests/hypervisor/grants/"]],
  ["hypervisor/hypercalls/event_channel_op.ts", ["tests/hypervisor/events/"]],
  ["hypervisor/hypercalls/callbacks.ts", ["tests/hypervisor/traps/", "tests/hypervisor/hypercalls/"]],
  [
    "hypervisor/hypercalls/sched_op.ts",
    ["tests/hypervisor/time/", "tests/hypervisor/events/", "tests/hypervisor/hypercalls/"],
  ],
  ["hypervisor/hypercalls/vcpu_op.ts", ["tests/hypervisor/time/", "tests/hypervisor/hypercalls/"]],
  ["hypervisor/hypercalls/args.ts", ["tests/hypervisor/hypercalls/"]],
  ["hypervisor/hypercalls/copy.ts", ["tests/hypervisor/hypercalls/"]],
  ["hypervisor/hypercalls/misc.ts", ["tests/hypervisor/hypercalls/"]],
  ["hypervisor/hypercalls/multicall.ts", ["tests/hypervisor/hypercalls/"]],
  [
    "hypervisor/hypercalls/domctl.ts",
    ["tests/hypervisor/hypercalls/", "tests/hypervisor/lifecycle.test.ts", "tests/hypervisor/ts_kernels.test.ts"],
  ],
  ["hypervisor/hypercalls/sysctl.ts", ["tests/hypervisor/hypercalls/", "tests/hypervisor/debug_keys.test.ts"]],
  ["hypervisor/hypercalls/domain_info.ts", ["tests/hypervisor/hypercalls/"]],
  ["hypervisor/lifecycle.ts", ["tests/hypervisor/lifecycle.test.ts", "tests/hypervisor/hypercalls/"]],
  ["hypervisor/debug_keys.ts", ["tests/hypervisor/debug_keys.test.ts"]],
  ["hypervisor/ts_kernels.ts", ["tests/hypervisor/ts_kernels.test.ts"]],
  ["hypervisor/machine/ts/script.ts", ["tests/hypervisor/ts_kernels.test.ts"]],
  ["hypervisor/machine/tlb.ts", ["tests/hypervisor/grants/", "tests/hypervisor/memory/"]],
  ["hypervisor/vcpu_context.ts", ["tests/hypervisor/traps/", "tests/hypervisor/hypercalls/"]],
];

/** All that a mutant must pass to survive. */
export const EVERYTHING: readonly string[] = [
  "tests/hypervisor/memory/",
  "tests/hypervisor/grants/",
  "tests/hypervisor/events/",
  "tests/hypervisor/traps/",
  "tests/hypervisor/hypercalls/",
  "tests/hypervisor/time/",
  "tests/hypervisor/costs.test.ts",
  "tests/hypervisor/debug_keys.test.ts",
  "tests/hypervisor/fuzz.test.ts",
  "tests/hypervisor/lifecycle.test.ts",
  "tests/hypervisor/machine.test.ts",
  "tests/hypervisor/slices.test.ts",
  "tests/hypervisor/trace.test.ts",
  "tests/hypervisor/ts_kernels.test.ts",
  "tests/guests/transcripts.test.ts",
  "tests/guests/attacks.test.ts",
];

/** The tests to ask first for a source file; empty: it is not mutated. */
export function firstTests(file: string): readonly string[] {
  return PLAN.find(([source]) => file.startsWith(source))?.[1] ?? [];
}

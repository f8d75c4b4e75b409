// The property of tests/hypervisor/memory/chaos.test.ts at length: 100,000 random steps, the walker after each. CHAOS_SEED
// in the environment starts at another seed; a failing one is in the message and fails again.

import { expect, it } from "vitest";
import { Chaos } from "../hypervisor/memory/chaos.ts";

const FIRST = Number(process.env["CHAOS_SEED"] ?? 1000);
const SEEDS = Array.from({ length: 50 }, (_, i) => FIRST + i);

it.each(SEEDS)(
  "no sequence of operations upsets the page types (seed %i)",
  (seed) => {
    expect(new Chaos(seed * 0x9e3779b1).run(2000), `seed ${seed}`).toEqual([]);
  },
  300_000,
);

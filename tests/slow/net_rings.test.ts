// The property of tests/dom0/backends/net/hostile.test.ts at length: 100,000 slots that keep to no rule in the rings of a network
// frontend; each is answered once or its ring is shut, neighbours go on talking, and the machine's invariants hold afterwards.
// NET_RING_SEED in the environment starts at another seed.

import { expect, it } from "vitest";
import { fuzz } from "../dom0/backends/net/fuzz.ts";

const FIRST = Number(process.env["NET_RING_SEED"] ?? 1000);
const SEEDS = Array.from({ length: 20 }, (_, i) => FIRST + i);
const CASES = 5000;

it.each(SEEDS)(
  "no slot or index upsets the network backend (seed %i)",
  (seed) => {
    const { cases, okay, errors, shut } = fuzz(seed, CASES);
    expect(cases, `seed ${seed}`).toBeGreaterThanOrEqual(CASES);
    expect(Math.min(okay, errors), `seed ${seed}`).toBeGreaterThan(CASES / 20);
    expect(shut, `seed ${seed}`).toBeGreaterThan(10);
  },
  300_000,
);

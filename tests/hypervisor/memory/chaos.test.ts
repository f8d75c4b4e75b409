// The property that all isolation rests on: whatever guests do, counts, types and cached translations agree with the page
// tables. 2,000 random steps here; tests/slow does many more. A failing seed is in the message: put it into SEEDS.

import { expect, it } from "vitest";
import { Chaos } from "./chaos.ts";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

it.each(SEEDS)("no sequence of operations upsets the page types (seed %i)", (seed) => {
  const chaos = new Chaos(seed * 0x9e3779b1);
  expect(chaos.run(200), `seed ${seed}`).toEqual([]);
});

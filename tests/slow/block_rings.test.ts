// The property of tests/dom0/backends/block/hostile.test.ts at length: 100,000 requests that keep to no rule, each answered once,
// and the machine's invariants hold afterwards. RING_SEED in the environment starts at another seed.

import { expect, it } from "vitest";
import type { Task } from "../../guests/sdk/index.ts";
import { withDisk } from "../harness/block.ts";
import { HostileFront, randomOf } from "../harness/hostile_front.ts";

const FIRST = Number(process.env["RING_SEED"] ?? 1000);
const SEEDS = Array.from({ length: 20 }, (_, i) => FIRST + i);

it.each(SEEDS)(
  "no request upsets the block backend (seed %i)",
  (seed) => {
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const hostile = new HostileFront(rig, randomOf(seed), seed % 2 === 1);
        yield* hostile.connect();
        while (hostile.counts.cases < 500) yield* hostile.round();
        const free = rig.kernel.pages.freePages;
        while (hostile.counts.cases < 5000) yield* hostile.round();
        // The device queue keeps a page for each request of several segments that it ever had at once.
        expect(rig.kernel.pages.freePages, `seed ${seed}`).toBeGreaterThanOrEqual(free - 32);
        expect(hostile.counts.okay, `seed ${seed}`).toBeGreaterThan(100);
      },
      { disk: new Uint8Array(64 * 512) },
    );
  },
  300_000,
);

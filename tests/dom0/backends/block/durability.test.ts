// What was written and then covered by a flush that was acknowledged survives a crash of the host at any moment after; what no
// flush covered may be lost. Each sector holds the number of its last write, so that a crash's disk can be judged.
import { describe, expect, test } from "vitest";
import { type BlockFront, sleep, type Task } from "../../../../guests/sdk/index.ts";
import { withDisk } from "../../../harness/block.ts";
import { VolatileFiles } from "../../../harness/volatile_files.ts";

const SECTORS = 64;

/** xorshift: numbers from 0 to 1. */
function randomOf(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 4294967296;
  };
}

/** Sectors whose content after a crash is older than what a flush had covered. */
function lost(disk: Uint8Array, covered: readonly number[]): number[] {
  const view = new DataView(disk.buffer, disk.byteOffset, disk.byteLength);
  return covered.flatMap((least, sector) => (view.getUint32(sector * 512, true) < least ? [sector] : []));
}

/** Three threads write, one flushes, one crashes the host again and again; the sectors that were lost. */
function storm(seed: number, ignoreSync: boolean): number {
  const random = randomOf(seed);
  let failures = 0;
  let files: VolatileFiles | undefined;
  const written = new Array<number>(SECTORS).fill(0);
  const covered = new Array<number>(SECTORS).fill(0);
  let number = 0;
  let going = true;
  function* write(front: BlockFront): Task {
    const buffer = front.buffer(1);
    while (going) {
      const sector = Math.floor(random() * SECTORS);
      // One writer for a sector at a time, as a file system would.
      if (written[sector] < 0) {
        yield* sleep(1000);
        continue;
      }
      written[sector] = -1;
      const mine = ++number;
      buffer.pages.view.setUint32(0, mine, true);
      yield* front.write(sector, buffer, 0, 512);
      written[sector] = mine;
    }
  }
  function* flush(front: BlockFront): Task {
    while (going) {
      const before = [...written];
      yield* front.flush();
      before.forEach((n, sector) => {
        if (n > covered[sector]) covered[sector] = n;
      });
      yield* sleep(50_000 * random());
    }
  }
  withDisk(
    function* (rig): Task {
      yield* rig.attach("disk");
      const front = yield* rig.connect();
      const threads = [write(front), write(front), write(front), flush(front)].map((t) => rig.kernel.spawn("t", t));
      for (let i = 0; i < 40; i++) {
        yield* sleep(20_000 + 200_000 * random());
        failures += lost((files as VolatileFiles).crash("disk", random), covered).length;
      }
      going = false;
      for (const thread of threads) yield* thread.join();
      expect(threads.map((t) => t.error)).toEqual([undefined, undefined, undefined, undefined]);
      expect(number).toBeGreaterThan(50);
      expect(Math.max(...covered)).toBeGreaterThan(0);
    },
    { disk: new Uint8Array(SECTORS * 512) },
    ({ host }) => {
      files = new VolatileFiles(host);
      files.ignoreSync = ignoreSync;
    },
  );
  return failures;
}

describe("a flush", () => {
  test.each([1, 2, 3])("that was acknowledged is kept by every crash (seed %i)", (seed) => {
    expect(storm(seed, false)).toBe(0);
  });

  test("that did nothing would be noticed by these tests", () => {
    expect(storm(1, true)).toBeGreaterThan(0);
  });
});

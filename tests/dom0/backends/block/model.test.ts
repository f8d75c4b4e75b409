// Random writes, reads, flushes, reconnections and detachments against a model of the disk: no byte is ever wrong. Several requests
// are always under way, each on sectors of its own, as a file system would have it. The seed is in the failure's message.
import { expect, test } from "vitest";
import type { BlockBuffer, BlockFront, Task, Thread } from "../../../../guests/sdk/index.ts";
import { type BlockRig, SELF, withDisk } from "../../../harness/block.ts";
import { type Random, randomOf } from "../../../harness/hostile_front.ts";

const SECTORS = 2048;
const THREADS = 8;
/** Each thread's own part of the disk. */
const PART = SECTORS / THREADS;

class Model {
  readonly #rig: BlockRig;
  readonly #random: Random;
  readonly bytes = new Uint8Array(SECTORS * 512);
  problems: string[] = [];
  requests = 0;

  constructor(rig: BlockRig, random: Random) {
    this.#rig = rig;
    this.#random = random;
  }

  /** A connection's life: so many requests in each thread, then the end. */
  *session(rounds: number): Task {
    const front = yield* this.#rig.connect(51712, 2 ** this.#below(4), this.#random() < 0.5);
    const buffers = Array.from({ length: THREADS }, () => front.buffer(40));
    const threads: Thread[] = buffers.map((buffer, n) =>
      this.#rig.kernel.spawn(`part ${n}`, this.#work(front, buffer, n * PART, rounds)),
    );
    for (const thread of threads) {
      yield* thread.join();
      if (thread.error) throw thread.error;
    }
    for (const buffer of buffers) buffer.free();
    yield* front.close();
  }

  *#work(front: BlockFront, buffer: BlockBuffer, first: number, rounds: number): Task {
    for (let i = 0; i < rounds; i++) {
      const sector = first + this.#below(PART - 1);
      const size = 512 * (1 + this.#below(Math.min(first + PART - sector, 300)));
      const offset = 512 * this.#below(19);
      const mine = this.bytes.subarray(sector * 512, sector * 512 + size);
      const data = buffer.pages.bytes.subarray(offset, offset + size);
      this.requests++;
      const what = this.#random();
      if (what < 0.1) yield* front.flush();
      else if (what < 0.2) {
        mine.fill(0);
        yield* front.discard(sector, size / 512);
      } else if (what < 0.6) {
        for (let at = 0; at < size; at++) data[at] = (at * 17 + i * 31 + sector) & 0xff;
        mine.set(data);
        yield* front.write(sector, buffer, offset, size);
      } else {
        data.fill(0xee);
        yield* front.read(sector, buffer, offset, size);
        if (Buffer.compare(data, mine) !== 0) this.problems.push(`${size} bytes at sector ${sector}, request ${i}`);
      }
    }
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }
}

test.each([1, 2, 3])("a disk holds what was written, whatever comes and goes (seed %i)", (seed) => {
  let model: Model | undefined;
  const machine = withDisk(
    function* (rig): Task {
      const random = randomOf(seed);
      const m = new Model(rig, random);
      model = m;
      yield* rig.attach("disk");
      for (let life = 0; life < 6; life++) {
        yield* m.session(20);
        if (random() < 0.5) {
          expect(yield* rig.disks.detach(SELF, 51712, random() < 0.5)).toBe(true);
          yield* rig.attach("disk");
        } else {
          rig.xs.write("/local/domain/0/device/vbd/51712/state", "1");
          yield* rig.store.waitFor("/local/domain/0/backend/vbd/0/51712/state", ["2"]);
        }
      }
    },
    { disk: new Uint8Array(SECTORS * 512) },
  );
  expect(model?.problems, `seed ${seed}`).toEqual([]);
  expect(model?.requests).toBe(6 * 20 * THREADS);
  const left = machine.host.disk.get("disk") as Uint8Array;
  expect(Buffer.compare(left, model?.bytes ?? new Uint8Array(0)), `seed ${seed}`).toBe(0);
});

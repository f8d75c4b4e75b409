// A frontend that keeps to no rule, on a ring of its own: random requests, mended here and there so that they get further, random
// indexes. What it counts must hold whatever it did: each request taken is answered once, and a good one still works.

import type { Kernel, Task } from "../../guests/sdk/index.ts";
import { PAGE_SIZE, sleep } from "../../guests/sdk/index.ts";
import { BlkifRequest, BlkifResponse } from "../../shared/abi/io/blkif.ts";
import { FrontRing } from "../../shared/request_ring.ts";
import { type BlockRig, SELF } from "./block.ts";

export type Random = () => number;

/** xorshift: numbers from 0 to 1. */
export function randomOf(seed: number): Random {
  let x = (seed * 2654435761) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 4294967296;
  };
}

export class HostileFront {
  readonly #rig: BlockRig;
  readonly #kernel: Kernel;
  readonly #random: Random;
  readonly #base: string;
  readonly #back: string;
  readonly #persistent: boolean;
  readonly #data;
  readonly #refs: number[];
  readonly #ringPage;
  readonly #ringRef: number;
  #ring: FrontRing;
  #port;
  /** Cases tried, responses by status, connections ended by a bad index. */
  readonly counts = { cases: 0, okay: 0, error: 0, unsupported: 0, shut: 0 };

  constructor(rig: BlockRig, random: Random, persistent = false, devid = 51712) {
    this.#persistent = persistent;
    this.#rig = rig;
    this.#kernel = rig.kernel;
    this.#random = random;
    this.#base = `/local/domain/0/device/vbd/${devid}`;
    this.#back = `/local/domain/0/backend/vbd/0/${devid}`;
    const { kernel } = rig;
    this.#data = kernel.allocPages(8);
    this.#refs = Array.from({ length: 8 }, (_, i) =>
      kernel.grants.grantAccess(SELF, (this.#data.pfn + i) as never, i === 7),
    );
    this.#ringPage = kernel.allocPages(1);
    this.#ringRef = kernel.grants.grantAccess(SELF, this.#ringPage.pfn, false);
    this.#ring = new FrontRing([this.#ringPage.bytes], BlkifRequest.size);
    this.#port = kernel.events.allocUnbound(SELF);
  }

  *connect(): Task {
    const { store } = this.#rig;
    this.#ringPage.bytes.fill(0);
    this.#ring = new FrontRing([this.#ringPage.bytes], BlkifRequest.size);
    this.#port = this.#kernel.events.allocUnbound(SELF);
    yield* store.write(`${this.#base}/ring-ref`, String(this.#ringRef));
    yield* store.write(`${this.#base}/event-channel`, String(this.#port.port));
    yield* store.write(`${this.#base}/feature-persistent`, this.#persistent ? "1" : "0");
    yield* store.write(`${this.#base}/state`, "3");
    yield* store.waitFor(`${this.#back}/state`, ["4"]);
  }

  /** A batch of cases, its answers, and now and then a jump of the index. */
  *round(): Task {
    const count = 1 + Math.floor(this.#random() * 31);
    const slot = new Uint8Array(BlkifRequest.size);
    for (let i = 0; i < count; i++) {
      this.#make(slot);
      this.#ring.send(slot);
      this.counts.cases++;
    }
    this.#ring.publish();
    this.#port.notify();
    let answered = 0;
    const answer = new Uint8Array(BlkifResponse.size);
    const view = BlkifResponse.at(new DataView(answer.buffer));
    for (let tries = 0; answered < count; ) {
      if (this.#ring.waiting() < 0) throw new Error("more answers than requests");
      for (let n = this.#ring.waiting(); n > 0; n--, answered++) {
        this.#ring.take(answer);
        this.counts[view.status === 0 ? "okay" : view.status === -1 ? "error" : "unsupported"]++;
      }
      if (answered === count) break;
      if (tries++ > 100) throw new Error(`${answered} of ${count} requests were answered`);
      yield* sleep(2e5);
    }
    if (this.#random() < 0.15) yield* this.#jump();
  }

  /** An index that no honest frontend can have: the ring is shut, and a new connection works. */
  *#jump(): Task {
    const words = new Uint32Array(this.#ringPage.bytes.buffer, this.#ringPage.bytes.byteOffset, 16);
    Atomics.add(words, 0, 33 + Math.floor(this.#random() * 4e9));
    this.#port.notify();
    yield* this.#rig.store.waitFor(`${this.#back}/state`, ["5"]);
    this.counts.shut++;
    yield* this.#rig.store.write(`${this.#base}/state`, "6");
    yield* this.#rig.store.waitFor(`${this.#back}/state`, ["6"]);
    this.#port.close();
    yield* this.#rig.store.write(`${this.#base}/state`, "1");
    yield* this.#rig.store.waitFor(`${this.#back}/state`, ["2"]);
    yield* this.connect();
  }

  #make(slot: Uint8Array): void {
    const random = this.#random;
    const below = (n: number): number => Math.floor(random() * n);
    for (let i = 0; i < slot.length; i++) slot[i] = below(256);
    const view = new DataView(slot.buffer);
    if (random() < 0.9) slot[0] = below(8);
    if (random() < 0.8) slot[1] = slot[0] === 6 ? below(2) : random() < 0.7 ? 1 + below(3) : below(14);
    if (slot[0] === 6 && random() < 0.8) view.setUint16(2, below(300), true);
    // Sectors near the ends of the disk, of 2^32 and of 2^64.
    const sector = [below(64), below(64), below(64), 64 - below(9), 2 ** 32 - below(3), below(2 ** 32)][below(6)];
    view.setUint32(16, sector >>> 0, true);
    view.setUint32(20, random() < 0.8 ? 0 : 0xffffffff, true);
    if (random() < 0.8)
      for (let i = 0; i < 11; i++) {
        const at = (slot[0] === 6 ? 28 : 24) + i * (slot[0] === 6 ? 4 : 8);
        if (at + 8 > slot.length) break;
        view.setUint32(at, random() < 0.97 ? this.#refs[below(8)] : below(20000), true);
        if (slot[0] !== 6 && random() < 0.9) {
          slot[at + 4] = below(8);
          slot[at + 5] = random() < 0.95 ? slot[at + 4] + below(8 - slot[at + 4]) : below(10);
        }
      }
    // Pages of segments, which lie in the data, are as random.
    const page = below(8) * PAGE_SIZE;
    const data = this.#data.view;
    for (let i = 0; i < 8; i++) {
      data.setUint32(page + i * 8, this.#refs[below(7)], true);
      const first = below(8);
      data.setUint16(page + i * 8 + 4, first | ((first + below(9 - first)) << 8), true);
    }
  }
}

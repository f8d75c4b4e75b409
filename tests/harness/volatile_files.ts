// A host whose disk has a volatile cache: writes stay in it until a sync, and a crash keeps any part of what was not synced, in
// any order and torn within a write, as the seed decides. Between the device host and the simulated files, for tests of flush.
// A write that comes while a sync is under way isn't covered by it: the sync ends later than it begins.

import type { SimulatedHost } from "./host.ts";

interface Write {
  readonly path: string;
  readonly position: number;
  readonly data: Uint8Array;
}

export class VolatileFiles {
  readonly #host: SimulatedHost;
  /** What a crash would leave for certain. */
  readonly #stable = new Map<string, Uint8Array>();
  #pending: Write[] = [];
  readonly #paths = new Map<number, string>();
  /** A backend that answered a flush without a sync would be caught by this: then syncs do nothing. */
  ignoreSync = false;

  /** Puts itself between; `host` has its files already. */
  constructor(host: SimulatedHost) {
    this.#host = host;
    for (const [path, data] of host.disk) this.#stable.set(path, data.slice());
    const { open, write, sync } = host;
    host.open = (path, mode) => {
      const opened = open.call(host, path, mode);
      this.#paths.set(opened.handle, path);
      return opened;
    };
    const patched: { write: unknown } = host;
    patched.write = (...args: unknown[]): unknown => {
      const [handle, from, position] = args as [number, Uint8Array[], number];
      if (typeof handle === "number")
        this.#pending.push({ path: this.#paths.get(handle) ?? "", position, data: Buffer.concat(from) });
      return Reflect.apply(write, host, args);
    };
    host.sync = (handle: number): void => {
      sync.call(host, handle);
      if (this.ignoreSync) return;
      const path = this.#paths.get(handle);
      for (const w of this.#pending) if (w.path === path) this.#stable.get(w.path)?.set(w.data, w.position);
      this.#pending = this.#pending.filter((w) => w.path !== path);
    };
  }

  /** What is on the disk after a crash now. `random` gives numbers from 0 to 1. */
  crash(path: string, random: () => number): Uint8Array {
    const left = (this.#stable.get(path) ?? new Uint8Array(0)).slice();
    const lost = this.#pending.filter((w) => w.path === path && random() < 0.5);
    for (const w of lost.sort(() => random() - 0.5)) {
      const torn = 512 * Math.floor((random() * (w.data.length + 512)) / 512);
      left.set(w.data.subarray(0, torn), w.position);
    }
    return left;
  }

  /** The simulated host under it. */
  get host(): SimulatedHost {
    return this.#host;
  }
}

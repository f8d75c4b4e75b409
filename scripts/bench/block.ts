// How fast disks are: reads and writes of a cached host file at random places by a frontend through blkback, against the same access
// by plain Node file I/O, in turns in the same run. Goals of issue 5: 60% of Node's throughput at 128 KiB and 50% of its rate at
// 4 KiB, both at depth 32. Writes are not flushed, on either side.

import { closeSync, fdatasyncSync, mkdtempSync, openSync, read, rmSync, write, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { DeviceHost, LINGER_MS } from "../../dom0/host/devices.ts";
import { DiskThreads } from "../../dom0/host/disk_threads.ts";
import { NodeFiles } from "../../dom0/host/files.ts";
import { guestRows } from "./block/guest.ts";
import type { Result, Setup } from "./block/worker.ts";
import { type Bench, median, type Row } from "./form.ts";

const FILE_MIB = 64;
const ROUNDS = 5;
/** What is compiled meanwhile is not in the figures. */
const WARM_UPS = 3;
const KIB = 1024;
const MIB = 1048576;

interface Case {
  readonly write: boolean;
  readonly size: number;
  readonly depth: number;
  readonly requests: number;
}

const CASES: readonly Case[] = [false, true].flatMap((write) => [
  { write, size: 4 * KIB, depth: 1, requests: 2000 },
  { write, size: 128 * KIB, depth: 1, requests: 600 },
  { write, size: 4 * KIB, depth: 32, requests: 8000 },
  { write, size: 128 * KIB, depth: 32, requests: 2000 },
]);

export const run: Bench = async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "xenolith-bench-"));
  const path = join(folder, "disk");
  // Two processes can't have the same image.
  const guestPath = join(folder, "guest");
  for (const file of [path, guestPath]) writeFileSync(file, Buffer.alloc(FILE_MIB * MIB, "xenolith"));
  const machine = new BenchMachine(path);
  const fd = openSync(path, "r+");
  try {
    const rows: Row[] = [];
    for (const test of CASES) {
      for (let round = 0; round < WARM_UPS; round++) {
        await plain(fd, test);
        await machine.run(test);
      }
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        theirs.push(await plain(fd, test));
        ours.push(await machine.run(test));
      }
      if (test.write) fdatasyncSync(fd);
      rows.push(row(test, median(ours), median(theirs)));
    }
    rows.push(...(await guestRows(guestPath, CASES, (test) => plain(fd, test), row)));
    context.note(
      "baseline: plain Node file I/O on the same file; ratio: the part of its rate (at depth 1: of its speed) that is reached",
    );
    return rows;
  } finally {
    closeSync(fd);
    await machine.end();
    rmSync(folder, { recursive: true });
  }
};

function row(test: Case, ours: number, theirs: number): Row {
  const name = `${test.write ? "write" : "read"} ${test.size / KIB} KiB, depth ${test.depth}`;
  if (test.depth === 1) {
    const each = (ms: number): number => (ms * 1000) / test.requests;
    return { name, value: each(ours), unit: "us", runs: ROUNDS, baseline: each(theirs), ratio: theirs / ours };
  }
  const large = test.size > 4 * KIB;
  const rate = (ms: number): number =>
    large ? ((test.requests * test.size) / MIB / ms) * 1000 : (test.requests / ms) * 1000;
  const baseline = rate(theirs);
  return {
    name,
    value: rate(ours),
    unit: large ? "MiB/s" : "requests/s",
    runs: ROUNDS,
    baseline,
    ratio: theirs / ours,
    goal: Math.round(baseline * (large ? 0.6 : 0.5)),
    goalIsLeast: true,
  };
}

/** The same access by Node alone; milliseconds. */
async function plain(fd: number, { write: writes, size, depth, requests }: Case): Promise<number> {
  const places = Math.floor((FILE_MIB * MIB) / size);
  const call = (writes ? write : read) as typeof read;
  let sent = 0;
  const started = performance.now();
  const one = (buffer: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      const next = (error: Error | null): void => {
        if (error) reject(error);
        else if (sent === requests) resolve();
        else call(fd, buffer, 0, size, ((sent++ * 7919) % places) * size, next);
      };
      next(null);
    });
  await Promise.all(Array.from({ length: depth }, () => one(Buffer.alloc(size, 1))));
  return performance.now() - started;
}

class BenchMachine {
  readonly #worker = new Worker(new URL("./block/worker.mjs", import.meta.url));
  readonly #command = new Int32Array(new SharedArrayBuffer(64));
  readonly #ended: Promise<void>;
  #done: (ms: number) => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor(path: string) {
    const memory = new WebAssembly.Memory({ initial: 64 * 16, maximum: 64 * 16, shared: true });
    const devices = new DeviceHost(
      memory,
      {
        files: new NodeFiles(new DiskThreads(memory, new URL("../disk_thread.mjs", import.meta.url))),
        terminal: {
          info: () => ({ isTTY: false, outputIsTTY: false, columns: 80, rows: 24, colour: false }),
          read: () => new Uint8Array(0),
          write: () => {},
          resized: () => new Promise(() => {}),
        },
        config: { version: "bench", logs: false },
        log: undefined,
        exit: () => {},
      },
      LINGER_MS,
    );
    this.#ended = new Promise((resolve) => {
      this.#worker.on("message", (message: "ring" | Result | { log: string }) => {
        if (message === "ring") devices.serve();
        else if ("ms" in message) this.#done(message.ms);
        else {
          this.#failed(new Error(`the machine has ended:\n${message.log}`));
          resolve();
        }
      });
      this.#worker.on("error", (error) => {
        this.#failed(error as Error);
        resolve();
      });
    });
    const command = this.#command.buffer as SharedArrayBuffer;
    this.#worker.postMessage({ memory, path, command } satisfies Setup);
  }

  /** Milliseconds. */
  run({ write: writes, size, depth, requests }: Case): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#command.set([writes ? 1 : 0, size, depth, requests], 1);
      Atomics.add(this.#command, 0, 1);
    });
  }

  async end(): Promise<void> {
    this.#failed = () => {};
    Atomics.store(this.#command, 0, -1);
    await this.#ended;
    await this.#worker.terminate();
  }
}

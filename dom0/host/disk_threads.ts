// The threads that disks have for their data, one each with a device queue of its own (disk_thread.ts): started when a disk is
// opened, which takes 30 ms of processor time, ended when it is closed, at most one for each queue there is. Used by files.ts.

import { Worker } from "node:worker_threads";
import { DEVICE_QUEUES } from "../../shared/devices.ts";
import { QueueServer } from "./queue_server.ts";

/** What the host's cache answers takes 1 to 3 us; a disk without moving parts some 80. */
const SLOW_MS = 0.15;

/** What a thread is told. */
export interface DiskThreadData {
  readonly memory: WebAssembly.Memory;
  readonly queue: number;
  /** Of the file in dom0's requests. */
  readonly handle: number;
  readonly fd: number;
  /** i32: not 0 when the thread is to end. */
  readonly stop: SharedArrayBuffer;
  /** A call that took longer, and longer than its bytes take at 1 GB/s, waited for something else than memory. */
  readonly slowMs: number;
}

export interface DiskThread {
  readonly queue: number;
  /** Resolves when what was asked before is done, and the thread has ended. */
  stop(): Promise<void>;
}

export class DiskThreads {
  readonly #memory: WebAssembly.Memory;
  readonly #module: URL;
  readonly #slowMs: number;
  readonly #used = new Set<number>();

  /** `module` is disk_thread.ts in a form that a worker loads. With `slowMs` below 0 every disk counts as slow. */
  constructor(memory: WebAssembly.Memory, module: URL, slowMs = SLOW_MS) {
    this.#memory = memory;
    this.#module = module;
    this.#slowMs = slowMs;
  }

  /** A thread for the file `fd`; undefined when there are enough, or the host has none to give. */
  async start(handle: number, fd: number): Promise<DiskThread | undefined> {
    let queue = 1;
    while (this.#used.has(queue)) queue++;
    if (queue >= DEVICE_QUEUES) return undefined;
    this.#used.add(queue);
    const stop = new SharedArrayBuffer(4);
    const data: DiskThreadData = { memory: this.#memory, queue, handle, fd, stop, slowMs: this.#slowMs };
    const worker = new Worker(this.#module, { workerData: data });
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    const free = (): void => {
      this.#used.delete(queue);
    };
    const failed = await new Promise<boolean>((resolve) => {
      const fail = (): void => resolve(true);
      worker.once("error", fail);
      worker.once("message", () => {
        // From here on an error is one of ours: nobody catches it.
        worker.off("error", fail);
        resolve(false);
      });
    });
    if (failed) {
      free();
      return undefined;
    }
    worker.unref();
    const server = new QueueServer(this.#memory, queue);
    return {
      queue,
      stop: async () => {
        worker.ref();
        Atomics.store(new Int32Array(stop), 0, 1);
        server.ring();
        await ended;
        free();
      },
    };
  }
}

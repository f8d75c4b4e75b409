// The threads that disks have for their data, one each with a device queue of its own (disk_thread.ts): started when a disk is
// opened, ended when it is closed, at most one for each queue there is. Used by files.ts.

import { Worker } from "node:worker_threads";
import { DEVICE_QUEUES } from "../../shared/devices.ts";
import { QueueServer } from "./queue_server.ts";

/** What a thread is told. */
export interface DiskThreadData {
  readonly memory: WebAssembly.Memory;
  readonly queue: number;
  /** Of the file in dom0's requests. */
  readonly handle: number;
  readonly fd: number;
  /** i32: not 0 when the thread is to end. */
  readonly stop: SharedArrayBuffer;
}

export interface DiskThread {
  readonly queue: number;
  /** Resolves when what was asked before is done, and the thread has ended. */
  stop(): Promise<void>;
}

export class DiskThreads {
  readonly #memory: WebAssembly.Memory;
  readonly #module: URL;
  readonly #used = new Set<number>();

  /** `module` is disk_thread.ts in a form that a worker loads. */
  constructor(memory: WebAssembly.Memory, module: URL) {
    this.#memory = memory;
    this.#module = module;
  }

  /** A thread for the file `fd`; undefined when there are enough, or the host has none to give. */
  async start(handle: number, fd: number): Promise<DiskThread | undefined> {
    let queue = 1;
    while (this.#used.has(queue)) queue++;
    if (queue >= DEVICE_QUEUES) return undefined;
    this.#used.add(queue);
    const stop = new SharedArrayBuffer(4);
    const workerData = { memory: this.#memory, queue, handle, fd, stop } satisfies DiskThreadData;
    const worker = new Worker(this.#module, { workerData });
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

// A thread that moves one disk's data, from a device queue of its own: by the host's synchronous calls, straight from and to
// machine frames. For what is in the host's cache such a call takes 1.3 us at 4 KiB, the same through libuv's threads and
// the event loop 7 to 20; nobody else waits for this disk. While calls turn out to be slow, several are under way at once
// through libuv's threads, as a disk that must move or a server far off wants it. Started and ended by disk_threads.ts.

import { read, readSync, readv, readvSync, write, writeSync, writev, writevSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { XEN_EBADF, XEN_EINVAL, XEN_ENOSYS } from "../../shared/abi/errno.ts";
import { DeviceOp } from "../../shared/devices.ts";
import type { DiskThreadData } from "./disk_threads.ts";
import { rest } from "./open_file.ts";
import { type Bytes, errnoOf, QueueRequest, QueueServer, Refused } from "./queue_server.ts";

/** 1 GB/s: what memory is never slower than. */
const SLOW_MS_PER_BYTE = 1e-6;
/** So many requests then go through libuv's threads before a call is tried here again. */
const SLOW_REQUESTS = 64;
/** How long the thread looks for further requests before it sleeps: to wake it costs both sides some 20 us. */
const LINGER_MS = 0.05;
/** While more requests wait, the machine is told of so many at once. */
const TOLD_TOGETHER = 8;

type Callback = (error: NodeJS.ErrnoException | null, bytes: number) => void;

class DiskThread {
  readonly #data: DiskThreadData;
  readonly #server: QueueServer;
  readonly #stop: Int32Array;
  readonly #request = new QueueRequest();
  #slow = 0;
  #strikes = 0;
  /** Completions that the machine was not told of. */
  #untold = 0;
  #turn = 0;
  /** Keeps the thread when all that it waits for is the doorbell. */
  readonly #alive = setInterval(() => {}, 2 ** 30);

  constructor(data: DiskThreadData) {
    this.#data = data;
    this.#server = new QueueServer(data.memory, data.queue);
    this.#stop = new Int32Array(data.stop);
  }

  /** Serves until it is told to stop. Returns while answers come by the event loop, which then calls it again. */
  run(): void {
    const server = this.#server;
    this.#turn++;
    for (;;) {
      while (server.waiting > 0) {
        server.take(this.#request);
        this.#start();
      }
      if (server.outstanding > 0) break;
      if (this.#linger()) continue;
      if (!server.idle()) continue;
      if (Atomics.load(this.#stop, 0) !== 0) {
        clearInterval(this.#alive);
        return;
      }
      server.sleep();
    }
    const turn = this.#turn;
    const again = (): void => {
      if (turn === this.#turn) this.run();
    };
    if (server.idle()) server.rung().then(again);
    else setImmediate(again);
  }

  /** True as soon as there is more to do. */
  #linger(): boolean {
    const until = performance.now() + LINGER_MS;
    do for (let i = 0; i < 100; i++) if (this.#server.waiting > 0) return true;
    while (performance.now() < until);
    return false;
  }

  #start(): void {
    const r = this.#request;
    try {
      if (r.handle !== this.#data.handle) throw new Refused(XEN_EBADF);
      if (r.op !== DeviceOp.FileRead && r.op !== DeviceOp.FileWrite) throw new Refused(XEN_ENOSYS);
      if (r.position > Number.MAX_SAFE_INTEGER) throw new Refused(XEN_EINVAL);
      const pieces =
        r.segments === 0 && this.#server.reaches(r.address, r.sizeBytes) ? undefined : this.#server.data(r);
      if (this.#slow > 0) this.#later(r, pieces);
      else this.#end(r.id, this.#now(r, pieces));
    } catch (error) {
      this.#end(r.id, -errnoOf(error));
    }
  }

  #end(id: number, status: number): void {
    this.#server.complete(id, status);
    if (++this.#untold < TOLD_TOGETHER && this.#slow === 0 && this.#server.waiting > 0) return;
    this.#untold = 0;
    this.#server.interrupt(0);
  }

  /** Moves the data in this thread; the bytes moved. */
  #now(r: QueueRequest, pieces: Bytes[] | undefined): number {
    const { fd, slowMs } = this.#data;
    const { memory } = this.#server;
    const { address, position, sizeBytes } = r;
    const writes = r.op === DeviceOp.FileWrite;
    const began = performance.now();
    let at = 0;
    for (let n = -1; at < sizeBytes && n !== 0; at += n) {
      if (pieces !== undefined) n = (writes ? writevSync : readvSync)(fd, rest(pieces, at), position + at);
      else if (writes) n = writeSync(fd, memory, address + at, sizeBytes - at, position + at);
      else n = readSync(fd, memory, address + at, sizeBytes - at, position + at);
    }
    this.#judge(performance.now() - began > slowMs + sizeBytes * SLOW_MS_PER_BYTE);
    return at;
  }

  /** One slow call may be a busy processor; the next one after those through libuv is enough. */
  #judge(slow: boolean): void {
    if (!slow) this.#strikes = 0;
    else if (this.#strikes++ > 0) {
      this.#strikes = 1;
      this.#slow = SLOW_REQUESTS;
    }
  }

  /** Has libuv's threads move it. */
  #later({ id, op, address, position, sizeBytes }: QueueRequest, pieces: Bytes[] | undefined): void {
    this.#slow--;
    const { fd } = this.#data;
    const { memory } = this.#server;
    const writes = op === DeviceOp.FileWrite;
    const next = (at: number): void => {
      const done: Callback = (error, n) => {
        if (!error && n > 0 && at + n < sizeBytes) return next(at + n);
        this.#end(id, error ? -errnoOf(error) : at + n);
        if (this.#server.outstanding === 0) this.run();
      };
      if (pieces !== undefined) (writes ? writev : readv)(fd, rest(pieces, at), position + at, done);
      else if (writes) write(fd, memory, address + at, sizeBytes - at, position + at, done);
      else read(fd, memory, address + at, sizeBytes - at, position + at, done);
    };
    next(0);
  }
}

const thread = new DiskThread(workerData as DiskThreadData);
parentPort?.postMessage("ready");
thread.run();

// The machine of `npm run bench -- block`: dom0 with the block backend on a host file, and a frontend in the same kernel, so that
// every request goes through a ring, grants, event channels and the device queue, and none through a guest's processor.
// Waits for a command of the main thread, carries it out, tells how long it took.

import { parentPort } from "node:worker_threads";
import { type BlockFront, kernelMain, sleep, type Task } from "../../../guests/sdk/index.ts";
import { createMachine, DeviceBus } from "../../../hypervisor/index.ts";
import { BlockRig } from "../../../tests/harness/block.ts";

/** What the main thread sends once. */
export interface Setup {
  readonly memory: WebAssembly.Memory;
  readonly path: string;
  /** i32: number of the command (changed to begin one), write (1), bytes, depth, requests. */
  readonly command: SharedArrayBuffer;
}
export interface Result {
  readonly ms: number;
}

export const RING_PAGES = 4;

const port = parentPort;
if (port === null) throw new Error("this module is for a worker thread");

port.once("message", ({ memory, path, command }: Setup) => {
  const words = new Int32Array(command);
  const bus = new DeviceBus(memory, () => port.postMessage("ring"));
  const main = kernelMain(function* (kernel): Task {
    const rig = new BlockRig(kernel);
    yield* rig.attach(path);
    const front = yield* rig.connect(51712, RING_PAGES);
    for (let seen = 0; ; ) {
      const next = Atomics.load(words, 0);
      if (next < 0) yield* kernel.host.exit(0);
      if (next === seen) {
        yield* sleep(1e6);
        continue;
      }
      seen = next;
      const started = performance.now();
      yield* storm(rig, front, words);
      port.postMessage({ ms: performance.now() - started } satisfies Result);
    }
  });
  const machine = createMachine({
    memory,
    clock: "real",
    hostClock: { nowNs: () => Math.round(performance.now() * 1e6), wallclockNs: () => 0n },
    seed: 1,
    dom0: { main, memoryMiB: 32 },
    devices: bus,
    guestConsoleIo: false,
  });
  while (machine.exitStatus === undefined && !bus.stopped) {
    const seen = bus.doorbell();
    const idleNs = machine.step();
    if (idleNs > 0) bus.sleep(seen, idleNs);
  }
  port.postMessage({ log: machine.log.read(0, machine.log.end) });
});

/** `depth` threads, each with one request at a time at places that a fixed sequence gives. */
function* storm(rig: BlockRig, front: BlockFront, words: Int32Array): Task {
  const [, write, size, depth, requests] = words;
  const places = Math.floor((front.sectors * 512) / size);
  let sent = 0;
  function* one(): Task {
    const buffer = front.buffer(size / 4096);
    while (sent < requests) {
      const sector = (((sent++ * 7919) % places) * size) / 512;
      if (write) yield* front.write(sector, buffer, 0, size);
      else yield* front.read(sector, buffer, 0, size);
    }
    buffer.free();
  }
  const threads = Array.from({ length: depth }, (_, i) => rig.kernel.spawn(`storm ${i}`, one()));
  for (const thread of threads) {
    yield* thread.join();
    if (thread.error) throw thread.error;
  }
}

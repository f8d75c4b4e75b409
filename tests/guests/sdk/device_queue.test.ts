// The driver of a device queue that is full, and whose host answers in any order, too late, or wrongly.
import { expect, test } from "vitest";
import { kernelMain, SegmentList, sleep, type Task } from "../../../guests/sdk/index.ts";
import {
  DEVICE_PIRQ,
  DEVICE_QUEUE_MFN,
  DeviceCompletion,
  QUEUE_ENTRIES,
  QueueLayout,
} from "../../../shared/devices.ts";
import { Dom0Machine } from "../../harness/dom0.ts";
import { Later } from "../../harness/host.ts";

const FILE = new Uint8Array(1 << 20).map((_, i) => (i >> 12) & 0xff);

/** Reads of the host wait until they are let go. */
function holdReads(machine: Dom0Machine): (() => void)[] {
  const held: (() => void)[] = [];
  const { host } = machine;
  const read = host.read.bind(host) as (handle: number, into: Uint8Array[], position: number) => number;
  const patched: { read: unknown } = host;
  patched.read = (handle: number, into: Uint8Array[], position: number) => {
    const later = new Later<number>();
    held.push(() => later.resolve(read(handle, into, position)));
    return later;
  };
  return held;
}

test("a full queue makes further requests wait; what comes at once is told in the order of the requests", () => {
  const count = QUEUE_ENTRIES + 60;
  const order: number[] = [];
  const seen: number[] = [];
  let held: (() => void)[] = [];
  let data!: Uint8Array;
  const machine = new Dom0Machine({
    files: { f: FILE },
    main: kernelMain(function* (kernel): Task {
      const file = yield* kernel.host.open("f");
      const pages = kernel.allocPages(count * 2);
      data = pages.bytes;
      const letGo = function* (): Task {
        yield* sleep(1e6);
        if (held.length > 0) seen.push(held.length);
        for (const answer of held.splice(0).reverse()) answer();
      };
      for (let i = 0; i < count; i++) {
        const segments = new SegmentList();
        // Every second one in two pieces, the others in one.
        segments.add((pages.mfn + i * 2) * 4096, 512);
        segments.add((pages.mfn + i * 2) * 4096 + (i % 2 ? 512 : 4096), 512);
        const completed = (status: number): void => {
          expect([status, segments.count]).toEqual([1024, i % 2 ? 1 : 2]);
          order.push(i);
        };
        file.move(false, i * 4096, segments, { completed });
      }
      while (order.length < count) yield* letGo();
      yield* kernel.host.exit(7);
    }),
  });
  held = holdReads(machine);
  expect(machine.runToExit()).toBe(7);
  expect(seen).toEqual([QUEUE_ENTRIES, 60]);
  const upTo = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
  expect(order).toEqual(upTo(0, count));
  for (let i = 0; i < count; i++) {
    expect(data[i * 8192 + 511]).toBe(i & 0xff);
    expect(data[i * 8192 + (i % 2 ? 512 : 4096)]).toBe(i & 0xff);
  }
});

test("a completion of what was not asked stops the driver, and harms nobody", () => {
  const machine = new Dom0Machine({
    files: { f: FILE },
    main: kernelMain(function* (kernel): Task {
      yield* kernel.host.readFile("f");
      const { u32, i32 } = machine.machine.hv.memory;
      const queue = DEVICE_QUEUE_MFN * 1024;
      const tail = Atomics.load(i32, queue + QueueLayout.completeTail / 4);
      const at = queue + (QueueLayout.completions + (tail % QUEUE_ENTRIES) * DeviceCompletion.size) / 4;
      u32[at] = 12345;
      Atomics.store(i32, queue + QueueLayout.completeTail / 4, tail + 1);
      machine.machine.hv.events.sendPirq(DEVICE_PIRQ);
      yield* sleep(1e6);
      kernel.shutdown(5);
    }),
  });
  machine.runUntil(() => machine.machine.exitStatus !== undefined);
  expect(machine.machine.exitStatus).toBe(5);
  expect(machine.log).toContain("device queue: completion of 12345, which is not outstanding");
});

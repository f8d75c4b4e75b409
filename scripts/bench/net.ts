// Networking between two frontends in TypeScript over the backend, the bridge, rings, grants and events: frames of 1500 bytes a
// second, round trips, and a ping beside a bulk stream. TypeScript kernels other than dom0 are not there yet, so the
// frontends are threads of dom0 which grant to their own domain: every copy and hypercall is as between domains, but there
// is no switch between them, and all share one domain's time.

import { type Task, yieldNow } from "../../guests/sdk/index.ts";
import { NetFront, type NetStack, parseIp } from "../../guests/sdk/net/index.ts";
import { createMachine } from "../../hypervisor/index.ts";
import { type NetRig, netKernel, SELF } from "../../tests/harness/net.ts";
import { type Bench, median, type Row } from "./form.ts";

const FRAME = 1514;
const RUNS = 5;
const RUN_NS = 1e9;
const PINGS = 300;
/** Frames that are sent before the backend is told. */
const BURST = 32;
const GOAL_FRAMES = 300_000;
const GOAL_PING_MS = 2;
const ETHERTYPE_TEST = 0x88b5;

interface Results {
  framesPerSecond: number[];
  idleNs: number[];
  busyNs: number[];
}

export const run: Bench = (context) => {
  const results: Results = { framesPerSecond: [], idleNs: [], busyNs: [] };
  let done = false;
  let failure: unknown;
  const main = netKernel(
    function* (rig): Task {
      yield* bulk(rig, results);
      yield* pings(rig, results);
      done = true;
    },
    (error) => {
      failure = error;
      done = true;
    },
  );
  const machine = createMachine({
    memory: { mib: 96 },
    clock: "real",
    hostClock: { nowNs: () => Math.round(performance.now() * 1e6), wallclockNs: () => BigInt(Date.now()) * 1000000n },
    dom0: { main, memoryMiB: 64 },
  });
  while (!done && machine.exitStatus === undefined) machine.step();
  if (failure !== undefined) throw failure;
  // Work done in a second is calibrated by dividing where a time is multiplied.
  const frames = median(results.framesPerSecond) / context.calibrated(1);
  const time = (values: readonly number[], of: number): number =>
    context.calibrated([...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * of)]);
  const rows: Row[] = [
    {
      name: "frames of 1500 bytes a second",
      value: frames,
      unit: "1/s",
      runs: RUNS,
      goal: GOAL_FRAMES,
      goalIsLeast: true,
    },
    { name: "throughput of these", value: (frames * FRAME * 8) / 1e9, unit: "Gbit/s", runs: RUNS },
    { name: "round trip of a ping, 56 bytes", value: time(results.idleNs, 0.5) / 1e3, unit: "us", runs: PINGS },
    {
      name: "ping beside a bulk stream, median",
      value: time(results.busyNs, 0.5) / 1e6,
      unit: "ms",
      runs: results.busyNs.length,
      goal: GOAL_PING_MS,
    },
    {
      name: "ping beside a bulk stream, 99%",
      value: time(results.busyNs, 0.99) / 1e6,
      unit: "ms",
      runs: results.busyNs.length,
      goal: GOAL_PING_MS,
    },
  ];
  context.note("both frontends and the backend are threads of one domain: no domain switches are in these figures");
  return rows;
};

/** One frontend sends all it can to another. */
function* bulk(rig: NetRig, results: Results): Task {
  let got = 0;
  yield* rig.attach(0);
  yield* rig.attach(1);
  const connect = (devid: number, onFrame: () => void): Task<NetFront> =>
    NetFront.connect({ kernel: rig.kernel, store: rig.store, path: rig.path(devid), backendDomid: SELF, onFrame });
  const sender = yield* connect(0, () => {});
  const receiver = yield* connect(1, () => got++);
  yield* teach(sender, receiver);
  for (let run = 0; run <= RUNS; run++) {
    const start = rig.kernel.systemTimeNs();
    const before = got;
    while (rig.kernel.systemTimeNs() - start < RUN_NS) yield* burst(sender, receiver.mac);
    const seconds = (rig.kernel.systemTimeNs() - start) / 1e9;
    if (run > 0) results.framesPerSecond.push((got - before) / seconds); // The first is for warming up.
  }
  yield* rig.nics.detach(SELF, 0, true);
  yield* rig.nics.detach(SELF, 1, true);
  yield* sender.close();
  yield* receiver.close();
}

/** Shows the bridge where the receiver is. */
function* teach(sender: NetFront, receiver: NetFront): Task {
  receiver.send((page) => frame(page, sender.mac, receiver.mac));
  yield* yieldNow();
}

function frame(page: Uint8Array, target: Uint8Array, source: Uint8Array): number {
  page.set(target, 0);
  page.set(source, 6);
  page[12] = ETHERTYPE_TEST >> 8;
  page[13] = ETHERTYPE_TEST & 255;
  return FRAME;
}

function* burst(sender: NetFront, target: Uint8Array): Task {
  yield* sender.untilRoom();
  for (let i = 0; i < BURST; i++) if (!sender.send((page) => frame(page, target, sender.mac), false, false)) break;
  sender.flush();
}

/** Pings on an idle network, then to the receiver of a stream. */
function* pings(rig: NetRig, results: Results): Task {
  const now = (): number => rig.kernel.systemTimeNs();
  const receiver = yield* rig.station(2);
  const pinger = yield* rig.station(3);
  const streamer = yield* rig.station(4);
  const target = parseIp("10.0.0.3");
  const measure = function* (into: number[]): Task {
    for (let i = 0; i < PINGS; i++) {
      const ns = yield* pinger.ping(target, i, 56, now);
      if (ns !== undefined) into.push(ns);
    }
  };
  yield* measure([]);
  yield* measure(results.idleNs);
  rig.kernel.spawn("stream", stream(streamer, receiver.front.mac));
  yield* measure(results.busyNs);
}

function* stream(stack: NetStack, target: Uint8Array): Task {
  for (;;) yield* burst(stack.front, target);
}

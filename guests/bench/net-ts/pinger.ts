// Pings the receiver (scripts/bench/net.ts): round trips of a quiet network at first, then once more for each line typed.

import { parseIp } from "xenolith/net";
import { kernelMain, type Task } from "xenolith/sdk";
import { joinNetwork } from "../../udp-echo/network.ts";

const PINGS = 1000;
/** Before JavaScript's compiler has seen enough of it, a round trip takes three times as long. */
const WARM_UP = 3000;
const BYTES = 56;
/** What the bridge drops is lost: it isn't waited for long. */
const WAIT_NS = 100e6;

export default kernelMain(function* (kernel) {
  const stack = yield* joinNetwork(kernel);
  const target = parseIp("10.8.0.1");
  const measure = function* (name: string, count: number): Task {
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const ns = yield* stack.ping(target, i, BYTES, () => kernel.systemTimeNs(), WAIT_NS);
      if (ns !== undefined) times.push(ns);
    }
    times.sort((a, b) => a - b);
    const at = (of: number): number => Math.round(times[Math.floor((times.length - 1) * of)]);
    kernel.console.print(`pinger: ${name}: ${times.length} answers, median ${at(0.5)} ns, 99% ${at(0.99)} ns`);
  };
  yield* measure("warm-up", WARM_UP);
  yield* measure("quiet", PINGS);
  for (;;) {
    yield* kernel.console.readLine();
    yield* measure("busy", PINGS);
  }
});

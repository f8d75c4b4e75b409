// Pings the receiver (scripts/bench/net.ts): round trips of a quiet network at first, then once more for each line typed.

import { parseIp } from "xenolith/net";
import { kernelMain, type Task } from "xenolith/sdk";
import { joinNetwork } from "../../udp-echo/network.ts";

const PINGS = 300;
const BYTES = 56;
/** What the bridge drops is lost: it isn't waited for long. */
const WAIT_NS = 100e6;

export default kernelMain(function* (kernel) {
  const stack = yield* joinNetwork(kernel);
  const target = parseIp("10.8.0.1");
  const measure = function* (name: string): Task {
    const times: number[] = [];
    for (let i = 0; i < PINGS; i++) {
      const ns = yield* stack.ping(target, i, BYTES, () => kernel.systemTimeNs(), WAIT_NS);
      if (ns !== undefined) times.push(ns);
    }
    times.sort((a, b) => a - b);
    const at = (of: number): number => Math.round(times[Math.floor((times.length - 1) * of)]);
    kernel.console.print(`pinger: ${name}: ${times.length} answers, median ${at(0.5)} ns, 99% ${at(0.99)} ns`);
  };
  yield* measure("warm-up");
  yield* measure("quiet");
  for (;;) {
    yield* kernel.console.readLine();
    yield* measure("busy");
  }
});

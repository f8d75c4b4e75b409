// Counts what its interface receives (scripts/bench/net.ts), and answers pings, as every stack does.
import { kernelMain, sleep } from "xenolith/sdk";
import { joinNetwork } from "../../udp-echo/network.ts";

const SECOND_NS = 1e9;

export default kernelMain(function* (kernel) {
  const { front } = yield* joinNetwork(kernel);
  kernel.console.print("receiver: ready");
  for (let before = 0, since = kernel.systemTimeNs(), n = 0; ; ) {
    yield* sleep(SECOND_NS);
    const [got, now] = [front.received, kernel.systemTimeNs()];
    const rate = Math.round(((got - before) * 1e9) / (now - since));
    // What comes besides a stream, pings and the like, is a few frames.
    if (got - before > 1000) kernel.console.print(`receiver: ${++n}: ${rate} frames/s, ${got} in all`);
    [before, since] = [got, now];
  }
});

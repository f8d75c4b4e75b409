// Sends all it can to the receiver (scripts/bench/net.ts): full frames of an Ethernet type that nobody else uses.

import { parseIp } from "xenolith/net";
import { kernelMain } from "xenolith/sdk";
import { joinNetwork } from "../../udp-echo/network.ts";

const FRAME = 1514;
const ETHERTYPE_TEST = 0x88b5;
/** Frames that are sent before the backend is told. */
const BURST = 32;

export default kernelMain(function* (kernel) {
  const stack = yield* joinNetwork(kernel);
  const target = yield* stack.resolve(parseIp("10.8.0.1"));
  if (target === undefined) throw new Error("the receiver does not answer");
  const { front } = stack;
  const header = new Uint8Array(14);
  const view = new DataView(header.buffer);
  view.setUint16(0, Math.floor(target / 2 ** 32));
  view.setUint32(2, target >>> 0);
  header.set(front.mac, 6);
  view.setUint16(12, ETHERTYPE_TEST);
  const fill = (page: Uint8Array): number => {
    page.set(header);
    return FRAME;
  };
  while (yield* front.untilRoom()) {
    for (let i = 0; i < BURST && front.send(fill, false, false); i++);
    front.flush();
  }
});

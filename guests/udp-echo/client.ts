// Sends datagrams of sizes that tell much, empty ones, odd ones, ones of many frames, and says what came back.

import { type NetStack, parseIp } from "xenolith/net";
import { type Kernel, kernelMain, type Task } from "xenolith/sdk";
import { joinNetwork, option } from "./network.ts";

const ECHO_PORT = 7;
const OWN_PORT = 4096;
/** Around what one frame holds (1472), what pieces hold (1480 each), a page, and the most that IPv4 can carry. */
const SIZES = [0, 1, 2, 3, 7, 8, 64, 511, 1471, 1472, 1473, 1474, 2952, 2953, 4095, 4096, 4097, 8191, 30001, 65507];
const TRIES = 3;
const WAIT_NS = 3e9;

export default kernelMain(function* (kernel) {
  const stack = yield* joinNetwork(kernel);
  const server = parseIp(option(kernel, "server") ?? "10.7.0.1");
  let wrong = 0;
  for (const size of SIZES) {
    const answer = yield* ask(stack, server, size);
    const same = answer?.every((byte, i) => byte === pattern(size, i));
    const said = same ? "the same" : answer ? "other bytes" : "nothing";
    if (!same) wrong++;
    kernel.console.print(`client: ${size} bytes: ${said} came back`);
  }
  kernel.console.print(`client: ${SIZES.length - wrong} of ${SIZES.length} came back right`);
  yield* leave(kernel, stack);
});

/** Sends `size` bytes, again when nothing comes back; what comes late of another size is not for this one. */
function* ask(stack: NetStack, server: number, size: number): Task<Uint8Array | undefined> {
  const socket = stack.udp(OWN_PORT);
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      yield* socket.send(
        server,
        ECHO_PORT,
        Uint8Array.from({ length: size }, (_, i) => pattern(size, i)),
      );
      let answer = yield* socket.receive(WAIT_NS);
      while (answer !== undefined && answer.data.length !== size) answer = yield* socket.receive(WAIT_NS);
      if (answer !== undefined) return answer.data;
    }
    return undefined;
  } finally {
    socket.close();
  }
}

const pattern = (size: number, i: number): number => (size + i * 7 + (i >> 8)) & 255;

/** Lets go of the interface before the end, as a driver that is unloaded does. */
function* leave(kernel: Kernel, stack: NetStack): Task {
  yield* stack.front.close();
  kernel.console.print("client: good bye");
}

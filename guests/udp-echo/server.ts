// An echo server (RFC 862) as a kernel: what comes to UDP port 7 goes back to where it came from, until `xl shutdown`.

import { formatIp } from "xenolith/net";
import { kernelMain } from "xenolith/sdk";
import { joinNetwork } from "./network.ts";

const ECHO_PORT = 7;

export default kernelMain(function* (kernel) {
  kernel.spawn("shutdown", kernel.obeyShutdown());
  const stack = yield* joinNetwork(kernel);
  const socket = stack.udp(ECHO_PORT);
  kernel.console.print(`echo: at ${formatIp(stack.ip)}, port ${ECHO_PORT}`);
  for (;;) {
    const datagram = yield* socket.receive();
    if (datagram !== undefined) yield* socket.send(datagram.ip, datagram.port, datagram.data);
  }
});

// Servers on the host's loopback for network tests, in a process of their own, since the tests wait without an event loop:
// TCP that answers a line, HTTP with a megabyte, or the MD5 of what is
// posted, and TFTP (UDP, RFC 1350) with one block. Prints its ports in JSON.
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";

const LOOPBACK = "127.0.0.1";
const tcp = createTcp((socket) => {
  socket.on("error", () => {});
  socket.once("data", (bytes) => socket.end(`tcp says ${bytes}`));
});
const megabyte = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7 + (i >> 8)) & 255));
const http = createServer((request, response) => {
  if (request.method !== "POST") return response.end(megabyte);
  const hash = createHash("md5");
  request.on("data", (bytes) => hash.update(bytes)).on("end", () => response.end(`got ${hash.digest("hex")}\n`));
});
const udp = createSocket("udp4");
udp.on("message", (message, { port, address }) => {
  if (message.readUInt16BE(0) !== 1) return; // An acknowledgement.
  const name = message.subarray(2, message.indexOf(0, 2));
  udp.send(Buffer.concat([Buffer.from([0, 3, 0, 1]), Buffer.from(`udp says ${name}\n`)]), port, address);
});
await Promise.all([
  new Promise((resolve) => tcp.listen(0, LOOPBACK, resolve)),
  new Promise((resolve) => http.listen(0, LOOPBACK, resolve)),
  new Promise((resolve) => udp.bind(0, LOOPBACK, resolve)),
]);
console.log(JSON.stringify({ tcp: tcp.address().port, http: http.address().port, udp: udp.address().port }));

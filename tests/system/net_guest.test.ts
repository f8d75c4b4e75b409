// The network frontend in C (guests/bench/net) before a station at its bridge's uplink, whose frames bear checksums that nobody has
// looked at: it answers what is right, with checksums that are right, and nothing else.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETH,
  IP,
  markFragment,
  PROTOCOL_UDP,
  parseIp,
  readArp,
  readIpv4,
  readMac,
  readUdp,
  TYPE_ARP,
  UDP,
  writeArp,
  writeEth,
  writeIpv4,
} from "../../guests/sdk/net/packets.ts";
import { fillChecksum } from "../../shared/checksum.ts";
import { RunningSession } from "../harness/running.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-net-guest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ECHO = 7;
const OURS = { mac: 0x020000000005, ip: parseIp("10.0.0.5") };
const THEIR_IP = parseIp("10.0.0.2");

/** The uplink's other end: frames after their lengths. */
class Station {
  readonly #socket: Socket;
  readonly #frames: DataView[] = [];
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => {}).on("data", (bytes) => this.#take(bytes));
  }

  #take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32BE()) {
      const frame = Uint8Array.from(this.#rest.subarray(4, 4 + this.#rest.readUInt32BE()));
      this.#rest = this.#rest.subarray(4 + frame.length);
      this.#frames.push(new DataView(frame.buffer));
    }
  }

  send(frame: DataView): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.byteLength);
    this.#socket.write(Buffer.concat([length, new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength)]));
  }

  /** The next frame that `read` makes something of. */
  async next<T>(read: (frame: DataView) => T | undefined): Promise<T> {
    for (;;) {
      for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift()) {
        const found = read(frame);
        if (found !== undefined) return found;
      }
      await once(this.#socket, "data");
    }
  }
}

interface Datagram {
  readonly mac: number;
  readonly payload: Uint8Array;
  readonly sourcePort?: number;
  readonly targetIp?: number;
  /** Spoils the frame, whose checksums are right until then. */
  readonly spoil?: (frame: DataView) => void;
}

function datagram({ mac, payload, sourcePort = 4096, targetIp = THEIR_IP, spoil }: Datagram): DataView {
  const frame = new DataView(new ArrayBuffer(ETH + IP + UDP + payload.length));
  writeEth(frame, mac, OURS.mac, 0x0800);
  writeIpv4(frame, OURS.ip, targetIp, PROTOCOL_UDP, UDP + payload.length);
  frame.setUint16(ETH + IP, sourcePort);
  frame.setUint16(ETH + IP + 2, ECHO);
  frame.setUint16(ETH + IP + 4, UDP + payload.length);
  new Uint8Array(frame.buffer).set(payload, ETH + IP + UDP);
  fillChecksum(frame, frame.byteLength);
  spoil?.(frame);
  return frame;
}

/** The payload of an echo's answer; undefined for any other frame, or when one of its checksums is wrong. */
function answer(frame: DataView): Uint8Array | undefined {
  const ip = readIpv4(frame);
  if (ip?.protocol !== PROTOCOL_UDP || ip.source !== THEIR_IP || ip.target !== OURS.ip) return undefined;
  const udp = readUdp(frame, ip, false);
  if (udp?.sourcePort !== ECHO || frame.getUint16(ip.from + 6) === 0) return undefined;
  return new Uint8Array(frame.buffer).slice(udp.from, udp.to);
}

const UDP_CHECKSUM = ETH + IP + 6;
const flip = (at: number) => (frame: DataView) => frame.setUint8(at, frame.getUint8(at) ^ 0x10);

/** What is sent, and whether it is to be answered. */
const CASES: readonly [what: string, answered: boolean, more: Partial<Datagram>, bytes: number][] = [
  ["a datagram", true, {}, 100],
  ["a wrong checksum", false, { spoil: flip(UDP_CHECKSUM) }, 100],
  ["a wrong byte", false, { spoil: flip(ETH + IP + UDP + 20) }, 100],
  ["no checksum", true, { spoil: (frame) => frame.setUint16(UDP_CHECKSUM, 0) }, 100],
  ["a wrong checksum of the header", false, { spoil: flip(ETH + 10) }, 100],
  ["a fragment", false, { spoil: (frame) => markFragment(frame, 1, 0, true) }, 100],
  ["a length past its end", false, { spoil: (frame) => frame.setUint16(ETH + IP + 4, 200) }, 100],
  ["another's address", false, { targetIp: parseIp("10.0.0.9") }, 100],
  ["another echo", false, { sourcePort: ECHO }, 100],
  ["an odd number of bytes", true, {}, 101],
  ["no bytes but one", true, {}, 1],
  ["a full frame", true, {}, 1472],
];

test("a guest answers what is right, and nothing else", async () => {
  const path = join(folder, "uplink");
  const server = createServer().listen(path);
  const machine = new RunningSession(
    ["xl create -q guests/bench/net/net.cfg", 'xl console net --timeout 200 --expect "echo is ready\\n"'],
    { options: ["--uplink", `unix:${path}`], open: true },
  );
  const [socket] = (await once(server, "connection")) as [Socket];
  const station = new Station(socket);
  await machine.shows("echo is ready");

  const asked = new DataView(new ArrayBuffer(60));
  writeArp(asked, ARP_REQUEST, OURS, { mac: 0, ip: THEIR_IP });
  station.send(asked);
  const mac = await station.next((frame) => {
    const arp = frame.getUint16(12) === TYPE_ARP ? readArp(frame) : undefined;
    const ours = arp?.op === ARP_REPLY && arp.senderIp === THEIR_IP && readMac(frame, 0) === OURS.mac;
    return ours ? arp.senderMac : undefined;
  });

  const expected: string[] = [];
  const answered: string[] = [];
  for (const [i, [what, right, more, bytes]] of CASES.entries()) {
    const payload = Uint8Array.from({ length: bytes }, (_, at) => (at === 0 ? i : at * 7 + i));
    station.send(datagram({ mac, payload, ...more }));
    if (right) expected.push(`${what}: ${payload}`);
  }
  while (answered.length < expected.length) {
    const payload = await station.next(answer);
    answered.push(`${CASES[payload[0]]?.[0]}: ${payload}`);
  }
  expect(answered).toEqual(expected);

  machine.type("xl shutdown -w net", "xl list");
  const { status, errors } = await machine.end();
  socket.destroy();
  server.close();
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
});

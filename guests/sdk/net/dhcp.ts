// A DHCP client (RFC 2131, options of RFC 2132) on the stack: asks for an address and configures the stack with it. The
// lease is kept as long as the kernel runs; renewal is left out. Everything in an answer is checked before use.

import type { Task } from "../threads.ts";
import { BROADCAST_IP, writeMac } from "./packets.ts";
import type { Datagram, NetStack, UdpSocket } from "./stack.ts";

const CLIENT = 68;
const SERVER = 67;
const BOOTREQUEST = 1;
const BOOTREPLY = 2;
const COOKIE = 0x63825363;
const OPTIONS = 240;
const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const ACK = 5;
const TRIES = 5;
const WAIT_NS = 2e9;

const Option = { mask: 1, router: 3, wanted: 50, type: 53, server: 54, list: 55, end: 255 } as const;

export interface Lease {
  readonly ip: number;
  readonly mask: number;
  readonly router: number;
}

interface Answer extends Lease {
  readonly type: number;
  readonly server: number;
}

/** Asks until it has a lease; undefined when nobody gives one. `transaction` is a random 32-bit number. */
export function* dhcp(stack: NetStack, transaction: number): Task<Lease | undefined> {
  const socket = stack.udp(CLIENT);
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      const offer = yield* ask(stack, socket, transaction, DISCOVER, undefined);
      if (offer === undefined) continue;
      const lease = yield* ask(stack, socket, transaction, REQUEST, offer);
      if (lease === undefined) continue;
      stack.configure(lease.ip, lease.mask, lease.router);
      return lease;
    }
    return undefined;
  } finally {
    socket.close();
  }
}

function* ask(
  stack: NetStack,
  socket: UdpSocket,
  transaction: number,
  type: number,
  offer: Answer | undefined,
): Task<Answer | undefined> {
  yield* socket.send(BROADCAST_IP, SERVER, message(stack.mac, transaction, type, offer));
  for (;;) {
    const datagram: Datagram | undefined = yield* socket.receive(WAIT_NS);
    if (datagram === undefined) return undefined;
    const answer = datagram.port === SERVER ? readAnswer(datagram.data, transaction) : undefined;
    if (answer?.type === (type === DISCOVER ? OFFER : ACK)) return answer;
  }
}

function message(mac: number, transaction: number, type: number, offer: Answer | undefined): Uint8Array {
  const bytes = new Uint8Array(300);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (BOOTREQUEST << 24) | 0x010600);
  view.setUint32(4, transaction);
  view.setUint16(10, 0x8000); // Answer by broadcast: we have no address.
  writeMac(view, 28, mac);
  view.setUint32(236, COOKIE);
  const options = [Option.type, 1, type, Option.list, 2, Option.mask, Option.router];
  if (offer !== undefined) {
    options.push(Option.wanted, 4, ...bytesOf(offer.ip));
    options.push(Option.server, 4, ...bytesOf(offer.server));
  }
  bytes.set([...options, Option.end], OPTIONS);
  return bytes;
}

/** Undefined for what is no answer to us. */
export function readAnswer(data: Uint8Array, transaction: number): Answer | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < OPTIONS || view.getUint8(0) !== BOOTREPLY) return undefined;
  if (view.getUint32(4) !== transaction >>> 0 || view.getUint32(236) !== COOKIE) return undefined;
  const found = new Map<number, number>();
  for (let at = OPTIONS; at < data.length && data[at] !== Option.end; ) {
    const option = data[at];
    if (option === 0) {
      at++;
      continue;
    }
    const length = data[at + 1] ?? 0;
    if (at + 2 + length > data.length) break;
    if (length === 1) found.set(option, data[at + 2]);
    if (length >= 4) found.set(option, view.getUint32(at + 2));
    at += 2 + length;
  }
  return {
    type: found.get(Option.type) ?? 0,
    ip: view.getUint32(16),
    mask: found.get(Option.mask) ?? 0xffffff00,
    router: found.get(Option.router) ?? 0,
    server: found.get(Option.server) ?? 0,
  };
}

function bytesOf(ip: number): number[] {
  return [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255];
}

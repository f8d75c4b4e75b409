// A small network stack for TypeScript kernels on a frontend (front.ts): ARP, IPv4 to neighbours and through one gateway,
// answers to pings and own pings, UDP sockets, datagrams of several frames. Left out: TCP, IPv6, routing beyond the gateway. Caches and
// queues are bounded: nothing that comes from the wire can make it grow.

import { fillChecksum, fold, sum16 } from "../../../shared/checksum.ts";
import { Channel, type Task, WaitQueue } from "../threads.ts";
import { piecesOf, Reassembler } from "./fragments.ts";
import { MAX_SEND, NetFront, type NetFrontOptions } from "./front.ts";
import {
  ARP_REPLY,
  ARP_REQUEST,
  BROADCAST_IP,
  BROADCAST_MAC,
  ETH,
  IP,
  type Ipv4,
  markFragment,
  PROTOCOL_ICMP,
  PROTOCOL_UDP,
  readArp,
  readIpv4,
  readMac,
  readUdp,
  TYPE_ARP,
  TYPE_IPV4,
  UDP,
  writeArp,
  writeEth,
  writeIpv4,
} from "./packets.ts";

const MAX_NEIGHBOURS = 256;
/** Datagrams that wait in one socket; more are dropped. */
const MAX_WAITING = 256;
const ARP_TRIES = 3;
const ARP_WAIT_NS = 1e9;
const ECHO_REPLY = 0;
const ECHO_REQUEST = 8;
const MTU = 1500;
const MAX_PACKET = 65535;

export interface Datagram {
  readonly ip: number;
  readonly port: number;
  readonly data: Uint8Array;
}

/** A UDP port of this kernel's. */
export class UdpSocket {
  readonly port: number;
  readonly #stack: NetStack;
  readonly #waiting = new Channel<Datagram>();
  /**
   * Where set, called with each datagram instead of keeping it: `data` is only good until it returns. For sinks and echoes
   * that must be fast.
   */
  onDatagram: ((ip: number, port: number, data: Uint8Array) => void) | undefined = undefined;

  constructor(stack: NetStack, port: number) {
    this.#stack = stack;
    this.port = port;
  }

  /** Sends once the neighbour's address is known; false when nobody answers there. */
  *send(ip: number, port: number, data: Uint8Array): Task<boolean> {
    return yield* this.#stack.sendUdp(this.port, ip, port, data);
  }

  /** The next datagram; undefined when `timeoutNs` passed first. */
  *receive(timeoutNs = Infinity): Task<Datagram | undefined> {
    return yield* this.#waiting.receive(timeoutNs);
  }

  close(): void {
    this.#stack.unbind(this.port);
  }

  /** @internal For the stack. */
  take(ip: number, port: number, data: Uint8Array): void {
    if (this.onDatagram !== undefined) this.onDatagram(ip, port, data);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.send({ ip, port, data: data.slice() });
  }
}

export class NetStack {
  /** Own address, 0 while there is none; and what is reached without the gateway. */
  ip = 0;
  mask = 0;
  gateway = 0;
  front!: NetFront;
  mac = 0;
  readonly #neighbours = new Map<number, number>();
  readonly #learned = new WaitQueue();
  readonly #sockets = new Map<number, UdpSocket>();
  readonly #echoes = new Channel<{ ip: number; sequence: number }>();
  readonly #fragments = new Reassembler();
  readonly #now: () => number;
  #nextId = 1;

  private constructor(now: () => number) {
    this.#now = now;
  }

  /** Connects the frontend and puts a stack on it, without an address yet. */
  static *connect(options: Omit<NetFrontOptions, "onFrame">): Task<NetStack> {
    const stack = new NetStack(() => options.kernel.systemTimeNs());
    stack.front = yield* NetFront.connect({ ...options, onFrame: (bytes, valid) => stack.#frame(bytes, valid) });
    stack.mac = readMac(new DataView(stack.front.mac.buffer), 0);
    return stack;
  }

  configure(ip: number, mask: number, gateway = 0): void {
    this.ip = ip;
    this.mask = mask >>> 0;
    this.gateway = gateway;
  }

  /** A socket on `port`. Throws RangeError when there is one. */
  udp(port: number): UdpSocket {
    if (this.#sockets.has(port)) throw new RangeError(`UDP port ${port} is in use`);
    const socket = new UdpSocket(this, port);
    this.#sockets.set(port, socket);
    return socket;
  }

  unbind(port: number): void {
    this.#sockets.delete(port);
  }

  /** Sends an echo request; nanoseconds until the answer, undefined when there is none in `timeoutNs`. */
  *ping(ip: number, sequence: number, sizeBytes: number, now: () => number, timeoutNs = 1e9): Task<number | undefined> {
    const mac = yield* this.resolve(ip);
    if (mac === undefined) return undefined;
    const start = now();
    if (!(yield* this.front.untilRoom())) return undefined;
    this.#send(mac, ip, PROTOCOL_ICMP, 8 + sizeBytes, (view) => {
      const at = ETH + IP;
      view.setUint16(at, ECHO_REQUEST << 8);
      view.setUint16(at + 2, 0);
      view.setUint32(at + 4, sequence & 0xffff);
      for (let i = 0; i < sizeBytes; i++) view.setUint8(at + 8 + i, i & 255);
      view.setUint16(at + 2, fold(sum16(view, at, at + 8 + sizeBytes)));
    });
    for (;;) {
      const left = timeoutNs - (now() - start);
      const echo = left <= 0 ? undefined : yield* this.#echoes.receive(left);
      if (echo === undefined) return undefined;
      if (echo.ip === ip && echo.sequence === (sequence & 0xffff)) return now() - start;
    }
  }

  /** Up to 65507 bytes, in as many frames as that takes. Throws RangeError for more; false when nobody answers there. */
  *sendUdp(sourcePort: number, ip: number, port: number, data: Uint8Array): Task<boolean> {
    if (IP + UDP + data.length > MAX_PACKET) throw new RangeError(`a datagram of ${data.length} bytes`);
    const mac = yield* this.resolve(ip);
    if (mac === undefined || !(yield* this.front.untilRoom())) return false;
    if (IP + UDP + data.length <= MTU) return this.trySendUdp(mac, sourcePort, ip, port, data);
    const whole = new Uint8Array(ETH + IP + UDP + data.length);
    const view = viewOf(whole);
    writeEth(view, mac, this.mac, TYPE_IPV4);
    writeIpv4(view, this.ip, ip, PROTOCOL_UDP, UDP + data.length);
    this.#writeUdp(view, whole, sourcePort, port, data);
    fillChecksum(view, whole.length); // No backend can do it for pieces.
    return yield* this.#sendPieces(whole);
  }

  /** Sends a packet that is longer than a frame. Others' packets may go between its pieces. */
  *#sendPieces(whole: Uint8Array): Task<boolean> {
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    const payload = ETH + IP;
    const view = viewOf(whole);
    const target = view.getUint32(ETH + 16);
    for (const { from, to } of piecesOf(whole.length - payload, MTU - IP)) {
      if (!(yield* this.front.untilRoom())) return false;
      this.#send(readMac(view, 0), target, view.getUint8(ETH + 9), to - from, (out, page) => {
        page.set(whole.subarray(payload + from, payload + to), payload);
        markFragment(out, id, from, payload + to < whole.length);
      });
    }
    return true;
  }

  #writeUdp(view: DataView, page: Uint8Array, sourcePort: number, port: number, data: Uint8Array): void {
    const at = ETH + IP;
    view.setUint16(at, sourcePort);
    view.setUint16(at + 2, port);
    view.setUint16(at + 4, UDP + data.length);
    view.setUint16(at + 6, 0);
    page.set(data, at + UDP);
  }

  /** Sends at once to a known neighbour; false when the ring is full. The checksum is left to the backend. */
  trySendUdp(mac: number, sourcePort: number, ip: number, port: number, data: Uint8Array, flush = true): boolean {
    return this.#send(
      mac,
      ip,
      PROTOCOL_UDP,
      UDP + data.length,
      (view, page) => {
        this.#writeUdp(view, page, sourcePort, port, data);
        // From 0.0.0.0 (DHCP) nobody may take a blank checksum for granted.
        if (this.ip === 0) fillChecksum(view, ETH + IP + UDP + data.length);
      },
      this.ip !== 0,
      flush,
    );
  }

  /** The Ethernet address behind which `ip` is: asked for if need be. Undefined when nobody answers. */
  *resolve(ip: number): Task<number | undefined> {
    if (ip === BROADCAST_IP || (this.mask !== 0 && (ip | this.mask) >>> 0 === BROADCAST_IP)) return BROADCAST_MAC;
    const near = ((ip ^ this.ip) & this.mask) === 0 || this.gateway === 0;
    const next = near ? ip : this.gateway;
    for (let tries = 0; tries < ARP_TRIES && !this.#neighbours.has(next); tries++) {
      if (!(yield* this.front.untilRoom())) return undefined;
      const self = { mac: this.mac, ip: this.ip };
      this.front.send((page) => writeArp(viewOf(page), ARP_REQUEST, self, { mac: 0, ip: next }));
      yield* this.#learned.until(() => this.#neighbours.has(next), ARP_WAIT_NS);
    }
    return this.#neighbours.get(next);
  }

  #send(
    mac: number,
    ip: number,
    protocol: number,
    payload: number,
    fill: (view: DataView, page: Uint8Array) => void,
    csumBlank = false,
    flush = true,
  ): boolean {
    const size = ETH + IP + payload;
    if (size > MAX_SEND) throw new RangeError(`a packet of ${size} bytes`);
    return this.front.send(
      (page) => {
        const view = viewOf(page);
        writeEth(view, mac, this.mac, TYPE_IPV4);
        writeIpv4(view, this.ip, ip, protocol, payload);
        fill(view, page);
        return size;
      },
      csumBlank,
      flush,
    );
  }

  #frame(bytes: Uint8Array, valid: boolean): void {
    if (bytes.length < ETH) return;
    const view = viewOf(bytes);
    const type = view.getUint16(12);
    if (type === TYPE_ARP) this.#arp(view);
    else if (type === TYPE_IPV4) this.#ipv4(view, bytes, valid);
  }

  #arp(view: DataView): void {
    const arp = readArp(view);
    if (arp === undefined || this.ip === 0 || arp.targetIp !== this.ip) return;
    if (this.#neighbours.size >= MAX_NEIGHBOURS) this.#neighbours.clear();
    this.#neighbours.set(arp.senderIp, arp.senderMac);
    this.#learned.wakeAll();
    if (arp.op !== ARP_REQUEST) return;
    const self = { mac: this.mac, ip: this.ip };
    this.front.send((page) => writeArp(viewOf(page), ARP_REPLY, self, { mac: arp.senderMac, ip: arp.senderIp }));
  }

  #ipv4(view: DataView, bytes: Uint8Array, valid: boolean): void {
    const ip = readIpv4(view);
    if (ip === undefined) return;
    const ours = ip.target === this.ip || ip.target === BROADCAST_IP || this.ip === 0;
    if (!ours) return;
    if (ip.offset !== 0 || ip.more) {
      const whole = this.#fragments.take(ip, bytes, this.#now());
      if (whole !== undefined) this.#packet(viewOf(whole), whole, readIpv4(viewOf(whole))!, false);
    } else this.#packet(view, bytes, ip, valid);
  }

  #packet(view: DataView, bytes: Uint8Array, ip: Ipv4, valid: boolean): void {
    if (ip.protocol === PROTOCOL_ICMP) this.#icmp(view, bytes, ip);
    else if (ip.protocol === PROTOCOL_UDP) {
      const udp = readUdp(view, ip, valid);
      if (udp === undefined) return;
      this.#sockets.get(udp.targetPort)?.take(ip.source, udp.sourcePort, bytes.subarray(udp.from, udp.to));
    }
  }

  #icmp(view: DataView, bytes: Uint8Array, ip: Ipv4): void {
    const { from, to } = ip;
    if (to - from < 8 || ip.target !== this.ip || fold(sum16(view, from, to)) !== 0) return;
    const type = view.getUint8(from);
    if (type === ECHO_REPLY && this.#echoes.length < MAX_WAITING)
      this.#echoes.send({ ip: ip.source, sequence: view.getUint16(from + 6) });
    if (type !== ECHO_REQUEST || to - from > MTU - IP) return;
    this.#send(readMac(view, 6), ip.source, PROTOCOL_ICMP, to - from, (out, page) => {
      const at = ETH + IP;
      page.set(bytes.subarray(from, to), at);
      out.setUint8(at, ECHO_REPLY);
      out.setUint16(at + 2, 0);
      out.setUint16(at + 2, fold(sum16(out, at, at + to - from)));
    });
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

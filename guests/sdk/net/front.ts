// A network frontend for TypeScript kernels (public/io/netif.h): one interface, frames in and out. Pages are granted once and
// used again: a transmit page belongs to the backend from `send` to its response, a receive page from its request to the
// frame. Checksums are left blank where the sender asks for it; received frames of several slots are put together. Left out:
// several queues, segmentation offload, multicast control.

import {
  NETIF_RSP_OKAY,
  NETRXF_csum_blank,
  NETRXF_data_validated,
  NETRXF_extra_info,
  NETRXF_more_data,
  NETTXF_csum_blank,
  NETTXF_data_validated,
  NetifRxRequest,
  NetifRxResponse,
  NetifTxRequest,
  NetifTxResponse,
} from "../../../shared/abi/io/netif.ts";
import {
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitWait,
} from "../../../shared/abi/io/xenbus.ts";
import type { DomId, GrantRef } from "../../../shared/brand.ts";
import { FrontRing } from "../../../shared/request_ring.ts";
import { RING_BAD } from "../../../shared/ring.ts";
import type { FrontStore } from "../block_front.ts";
import type { EventPort } from "../events.ts";
import type { Kernel } from "../kernel.ts";
import { PAGE_SIZE, type Pages } from "../pages.ts";
import { type Task, WaitQueue } from "../threads.ts";

/** The longest frame that is sent: one page. */
export const MAX_SEND = PAGE_SIZE;
const ETH_HEADER = 14;
const MAX_FRAME = 65535;

export interface NetFrontOptions {
  readonly kernel: Kernel;
  readonly store: FrontStore;
  /** "/local/domain/1/device/vif/0" */
  readonly path: string;
  readonly backendDomid: DomId;
  /** Frames that may be under way in each direction, up to the ring's 256 (the default): a page and a grant for each. */
  readonly slots?: number;
  /**
   * Called with each frame, from the event's handler or from `poll`; the bytes are only good until it returns. `valid`: its
   * checksum need not be looked at.
   */
  onFrame(bytes: Uint8Array, valid: boolean): void;
}

export class NetFront {
  readonly #o: NetFrontOptions;
  readonly #rings: Pages;
  readonly #ringRefs: readonly GrantRef[];
  readonly #tx: FrontRing;
  readonly #rx: FrontRing;
  readonly #port: EventPort;
  readonly #txPages: Pages;
  readonly #rxPages: Pages;
  readonly #txRefs: readonly GrantRef[];
  readonly #rxRefs: readonly GrantRef[];
  readonly #txFree: number[] = [];
  /** 1 for each page that the backend has. */
  readonly #txSent: Uint8Array;
  readonly #txSlot = new Uint8Array(NetifTxRequest.size);
  readonly #txReq = NetifTxRequest.at(new DataView(this.#txSlot.buffer));
  readonly #txAnswer = new Uint8Array(NetifTxResponse.size);
  readonly #txRsp = NetifTxResponse.at(new DataView(this.#txAnswer.buffer));
  readonly #rxSlot = new Uint8Array(NetifRxRequest.size);
  readonly #rxReq = NetifRxRequest.at(new DataView(this.#rxSlot.buffer));
  readonly #rxAnswer = new Uint8Array(NetifRxResponse.size);
  readonly #rxRsp = NetifRxResponse.at(new DataView(this.#rxAnswer.buffer));
  readonly #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #partsBad = false;
  #closed = false;
  /** Woken when there is room to send again, and at the end. */
  readonly space = new WaitQueue();
  /** Six bytes. */
  mac = new Uint8Array(6);
  sent = 0;
  /** Frames that the backend did not take. */
  refused = 0;
  received = 0;

  private constructor(options: NetFrontOptions) {
    this.#o = options;
    const { kernel, backendDomid } = options;
    const grant = (pages: Pages, readonly: boolean): GrantRef[] =>
      Array.from({ length: pages.count }, (_, i) =>
        kernel.grants.grantAccess(backendDomid, (pages.pfn + i) as Pages["pfn"], readonly),
      );
    this.#rings = kernel.allocPages(2);
    this.#ringRefs = grant(this.#rings, false);
    this.#tx = new FrontRing([this.#rings.bytes.subarray(0, PAGE_SIZE)], NetifTxRequest.size);
    this.#rx = new FrontRing([this.#rings.bytes.subarray(PAGE_SIZE)], NetifRxRequest.size);
    const slots = Math.min(options.slots ?? this.#tx.size, this.#tx.size, this.#rx.size);
    this.#txPages = kernel.allocPages(slots);
    this.#txRefs = grant(this.#txPages, true);
    this.#rxPages = kernel.allocPages(slots);
    this.#rxRefs = grant(this.#rxPages, false);
    this.#txSent = new Uint8Array(slots);
    for (let i = slots - 1; i >= 0; i--) this.#txFree.push(i);
    this.#port = kernel.events.allocUnbound(backendDomid);
    this.#port.onEvent = () => this.poll();
  }

  /** Connects to the interface whose frontend folder is `path`. Throws Error when the backend closes instead. */
  static *connect(options: NetFrontOptions): Task<NetFront> {
    const { store, path } = options;
    const back = (yield* store.read(`${path}/backend`)) ?? "";
    yield* store.waitFor(`${back}/state`, [String(XenbusStateInitWait)]);
    const front = new NetFront(options);
    const mac = ((yield* store.read(`${path}/mac`)) ?? "").split(":").map((byte) => Number.parseInt(byte, 16));
    front.mac = Uint8Array.from(mac);
    for (const [name, value] of [
      ["tx-ring-ref", front.#ringRefs[0]],
      ["rx-ring-ref", front.#ringRefs[1]],
      ["event-channel", front.#port.port],
      ["request-rx-copy", 1],
      ["feature-rx-notify", 1],
      ["feature-sg", 1],
      ["feature-gso-tcpv4", 0],
      ["feature-ipv6-csum-offload", 1],
    ] as const)
      yield* store.write(`${path}/${name}`, String(value));
    for (let id = 0; id < front.#rxPages.count; id++) front.#offer(id);
    front.#rx.publish();
    yield* store.write(`${path}/state`, String(XenbusStateConnected));
    const states = [XenbusStateConnected, XenbusStateClosing, XenbusStateClosed].map(String);
    const state = yield* store.waitFor(`${back}/state`, states);
    if (state !== String(XenbusStateConnected)) throw new Error(`the backend of ${path} has closed`);
    front.#port.notify();
    return front;
  }

  /** Frames that `send` has room for. */
  get room(): number {
    return this.#closed ? 0 : this.#txFree.length;
  }

  /**
   * Sends one frame, which `fill` writes into a page: it returns the frame's bytes, up to MAX_SEND. False when there is no
   * room: wait for `space`. `csumBlank`: the TCP or UDP checksum is left to the backend. `flush` tells the backend; without
   * it, call `flush` after the last of several.
   */
  send(fill: (page: Uint8Array<SharedArrayBuffer>) => number, csumBlank = false, flush = true): boolean {
    const id = this.#closed ? undefined : this.#txFree.pop();
    if (id === undefined) return false;
    const size = fill(this.#txPages.bytes.subarray(id * PAGE_SIZE, (id + 1) * PAGE_SIZE));
    if (!(size >= ETH_HEADER && size <= MAX_SEND)) throw new RangeError(`a frame of ${size} bytes`);
    this.#txReq.gref = this.#txRefs[id];
    this.#txReq.offset = 0;
    this.#txReq.flags = csumBlank ? NETTXF_csum_blank | NETTXF_data_validated : 0;
    this.#txReq.id = id;
    this.#txReq.size = size;
    this.#tx.send(this.#txSlot);
    this.#txSent[id] = 1;
    this.sent++;
    if (flush) this.flush();
    return true;
  }

  flush(): void {
    if (!this.#closed && this.#tx.publish()) this.#notify();
  }

  /** Waits until a frame can be sent; false at the end. */
  *untilRoom(): Task<boolean> {
    yield* this.space.until(() => this.#txFree.length > 0 || this.#closed);
    return !this.#closed;
  }

  /** Looks at both rings: called at each event. Throws Error, the interface closed, when the backend breaks the protocol. */
  poll(): void {
    if (this.#closed) return;
    do this.#reap();
    while (this.#tx.sleep());
    do this.#receive();
    while (this.#rx.sleep());
    if (this.#rx.publish()) this.#notify();
  }

  /** Stops; pages that the backend still holds stay granted, and are lost. */
  *close(): Task {
    if (this.#closed) return;
    const { store, path, kernel } = this.#o;
    this.#closed = true;
    this.space.wakeAll();
    const back = yield* store.read(`${path}/backend`);
    // Without its nodes the device is gone already, and so is the backend.
    if (back !== undefined) {
      yield* store.write(`${path}/state`, String(XenbusStateClosing));
      yield* store.write(`${path}/state`, String(XenbusStateClosed));
      yield* store.waitFor(`${back}/state`, [String(XenbusStateClosed)]);
    }
    this.#port.close();
    const held = [...this.#ringRefs, ...this.#txRefs, ...this.#rxRefs].filter((ref) => !kernel.grants.endAccess(ref));
    if (held.length === 0) for (const pages of [this.#rings, this.#txPages, this.#rxPages]) pages.free();
  }

  #reap(): void {
    const waiting = this.#tx.waiting();
    if (waiting === RING_BAD) this.#broken("its tx responses' index is wrong");
    for (let i = 0; i < waiting; i++) {
      this.#tx.take(this.#txAnswer);
      const { id, status } = this.#txRsp;
      if (this.#txSent[id] !== 1) this.#broken(`response to frame ${id}, which was not sent`);
      if (status !== NETIF_RSP_OKAY) this.refused++;
      this.#txSent[id] = 0;
      this.#txFree.push(id);
    }
    if (waiting > 0) this.space.wakeAll();
  }

  #receive(): void {
    const waiting = this.#rx.waiting();
    if (waiting === RING_BAD) this.#broken("its rx responses' index is wrong");
    for (let i = 0; i < waiting; i++) {
      this.#rx.take(this.#rxAnswer);
      const { id, offset, flags, status } = this.#rxRsp;
      if (id >= this.#rxPages.count || flags & NETRXF_extra_info) this.#broken(`rx response ${id} with flags ${flags}`);
      const good = status >= 0 && offset + status <= PAGE_SIZE && this.#partsBytes + status <= MAX_FRAME;
      if (!good) this.#partsBad = true;
      const at = id * PAGE_SIZE + offset;
      const part = this.#rxPages.bytes.subarray(at, at + Math.max(0, status));
      if (flags & NETRXF_more_data) {
        // Copied: the page goes back to the backend.
        this.#parts.push(part.slice());
        this.#partsBytes += part.length;
      } else this.#whole(part, flags);
      this.#offer(id);
    }
  }

  #whole(last: Uint8Array<SharedArrayBuffer>, flags: number): void {
    const valid = (flags & (NETRXF_csum_blank | NETRXF_data_validated)) !== 0;
    if (!this.#partsBad) {
      this.received++;
      if (this.#parts.length === 0) this.#o.onFrame(last, valid);
      else {
        const whole = new Uint8Array(this.#partsBytes + last.length);
        let at = 0;
        for (const part of [...this.#parts, last]) {
          whole.set(part, at);
          at += part.length;
        }
        this.#o.onFrame(whole, valid);
      }
    }
    this.#parts.length = 0;
    this.#partsBytes = 0;
    this.#partsBad = false;
  }

  #offer(id: number): void {
    this.#rxReq.id = id;
    this.#rxReq.pad = 0;
    this.#rxReq.gref = this.#rxRefs[id];
    this.#rx.send(this.#rxSlot);
  }

  #notify(): void {
    try {
      this.#port.notify();
    } catch {
      // The backend has closed its end: its state tells.
    }
  }

  #broken(what: string): never {
    this.#closed = true;
    this.space.wakeAll();
    throw new Error(`the network backend breaks the protocol: ${what}`);
  }
}

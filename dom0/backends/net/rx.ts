// What a guest receives (public/io/netif.h, rx ring): frames of the queue are copied into pages that the guest has offered,
// a page a slot. A frame needs all its slots at once: until the guest offers them it waits, and the queue's bound drops what
// comes too much. A page that can't be written gets an error response, and the frame is lost. Run by connection.ts.

import {
  NETIF_RSP_ERROR,
  NETRXF_csum_blank,
  NETRXF_data_validated,
  NETRXF_extra_info,
  NETRXF_more_data,
  NetifExtraInfo,
  NetifRxRequest,
  NetifRxResponse,
  XEN_NETIF_EXTRA_TYPE_GSO,
  XEN_NETIF_GSO_TYPE_TCPV4,
  XEN_NETIF_GSO_TYPE_TCPV6,
} from "../../../shared/abi/io/netif.ts";
import { fillChecksum } from "../../../shared/checksum.ts";
import type { BackRing } from "../../../shared/request_ring.ts";
import { RING_BAD } from "../../../shared/ring.ts";
import { Csum, type Frame, PAGE_SIZE } from "../../net/frame.ts";
import type { FrameQueue } from "../../net/queue.ts";
import { DeviceError } from "../backend.ts";
import type { Copies } from "./copies.ts";
import { MAX_SLOTS, RX_BATCH } from "./limits.ts";

/** What the frontend can take. */
export interface RxFeatures {
  /** Frames of more than a page. */
  readonly sg: boolean;
  /** Frames whose TCP or UDP checksum is still blank, over IPv4 and over IPv6. */
  readonly csum4: boolean;
  readonly csum6: boolean;
  /** Long TCP frames that stand for many, over IPv4 and over IPv6. */
  readonly gso4: boolean;
  readonly gso6: boolean;
}

/** Whether a frame must be cut into segments for such a frontend. */
export function mustCut(frame: Frame, features: RxFeatures): boolean {
  return frame.gsoSize > 0 && !(features.sg && (isIpv6(frame) ? features.gso6 : features.gso4));
}

const isIpv6 = (frame: Frame): boolean => frame.view.getUint16(12) === 0x86dd;

/** A slot that was taken: a page of data with its number among the copies, or an extra slot. */
interface Placed {
  id: number;
  flags: number;
  size: number;
  copy: number;
  /** Not 0: an extra slot with this segment size, over IPv4 or IPv6. */
  gsoSize: number;
  gsoType: number;
}

export class Rx {
  readonly #ring: BackRing;
  readonly #copies: Copies;
  readonly #queue: FrameQueue;
  readonly #features: RxFeatures;
  readonly #request = new Uint8Array(NetifRxRequest.size);
  readonly #req = NetifRxRequest.at(new DataView(this.#request.buffer));
  readonly #response = new Uint8Array(NetifRxResponse.size);
  readonly #rsp = NetifRxResponse.at(new DataView(this.#response.buffer));
  readonly #extraBytes = new Uint8Array(NetifExtraInfo.size);
  readonly #extra = NetifExtraInfo.at(new DataView(this.#extraBytes.buffer));
  readonly #placed: Placed[] = [];
  readonly #frames: Frame[] = [];
  /** True while the next frame waits for slots. */
  #starved = false;

  constructor(ring: BackRing, copies: Copies, queue: FrameQueue, features: RxFeatures) {
    this.#ring = ring;
    this.#copies = copies;
    this.#queue = queue;
    this.#features = features;
  }

  /** Whether there is a frame that may find its slots. */
  get ready(): boolean {
    return this.#queue.length > 0 && !this.#starved;
  }

  /** The guest may have offered slots. */
  retry(): void {
    this.#starved = false;
  }

  /** Delivers a batch. True when the guest wants an event. Throws DeviceError for a ring to be shut. */
  run(): boolean {
    this.#copies.clear();
    let count = 0;
    while (this.#frames.length < RX_BATCH && this.#copies.hasRoom(MAX_SLOTS)) {
      const frame = this.#queue.peek();
      if (frame === undefined) break;
      const pages = Math.ceil(frame.size / PAGE_SIZE);
      const slots = pages + (frame.gsoSize > 0 ? 1 : 0);
      if (pages > 1 && !this.#features.sg) {
        this.#queue.shift()?.release();
        this.#queue.dropped++;
        continue;
      }
      if (!this.#hasSlots(slots)) break;
      this.#queue.shift();
      this.#frames.push(frame);
      count = this.#place(frame, pages, count);
    }
    this.#copies.run();
    for (let i = 0; i < count; i++) this.#respond(this.#placed[i]);
    for (const frame of this.#frames) frame.release();
    this.#frames.length = 0;
    return count > 0 && this.#ring.publish();
  }

  #hasSlots(slots: number): boolean {
    for (let asked = false; ; asked = true) {
      const waiting = this.#ring.waiting();
      if (waiting === RING_BAD) throw new DeviceError("the rx ring's request index is wrong");
      if (waiting >= slots) return true;
      // Before it waits, an event is asked for at the next request, and the index looked at once more.
      if (asked) break;
      this.#ring.sleep();
    }
    this.#starved = true;
    return false;
  }

  /** Takes slots for the frame's pages, and behind the first one for its segment size; returns where the next begin. */
  #place(frame: Frame, pages: number, first: number): number {
    const { gsoSize } = frame;
    const flags = this.#checksum(frame) | (gsoSize > 0 ? NETRXF_extra_info : 0);
    let next = first;
    for (let i = 0; i < pages; i++) {
      const placed = this.#take(next++);
      placed.size = Math.min(PAGE_SIZE, frame.size - i * PAGE_SIZE);
      placed.flags = (i === 0 ? flags : 0) | (i < pages - 1 ? NETRXF_more_data : 0);
      placed.copy = this.#copies.count;
      this.#copies.toGuest(frame.mfn + i, frame.offset, this.#req.gref, 0, placed.size);
      if (i > 0 || gsoSize === 0) continue;
      const extra = this.#take(next++);
      extra.gsoSize = gsoSize;
      extra.gsoType = isIpv6(frame) ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4;
    }
    return next;
  }

  /** Takes the next request as number `i` of this batch. */
  #take(i: number): Placed {
    this.#ring.take(this.#request);
    const placed = this.#placed[i] ?? { id: 0, flags: 0, size: 0, copy: 0, gsoSize: 0, gsoType: 0 };
    this.#placed[i] = placed;
    placed.id = this.#req.id;
    placed.gsoSize = 0;
    return placed;
  }

  /** The frame's flags; a blank checksum that this guest can't take is filled in, for all its receivers. */
  #checksum(frame: Frame): number {
    if (frame.csum === Csum.valid) return NETRXF_data_validated;
    if (frame.csum !== Csum.blank) return 0;
    const takes = isIpv6(frame) ? this.#features.csum6 : this.#features.csum4;
    if (takes) return NETRXF_csum_blank | NETRXF_data_validated;
    fillChecksum(frame.view, frame.size);
    frame.csum = Csum.valid;
    return NETRXF_data_validated;
  }

  #respond(placed: Placed): void {
    if (placed.gsoSize > 0) {
      this.#extra.type = XEN_NETIF_EXTRA_TYPE_GSO;
      this.#extra.gso_size = placed.gsoSize;
      this.#extra.gso_type = placed.gsoType;
      this.#ring.respond(this.#extraBytes);
      return;
    }
    this.#rsp.id = placed.id;
    this.#rsp.offset = 0;
    this.#rsp.flags = placed.flags;
    this.#rsp.status = this.#copies.okay(placed.copy, 1) ? placed.size : NETIF_RSP_ERROR;
    this.#ring.respond(this.#response);
  }
}

// What a guest receives (public/io/netif.h, rx ring): frames of the queue are copied into pages that the guest has offered,
// a page a slot. A frame needs all its slots at once: until the guest offers them it waits, and the queue's bound drops what
// comes too much. A page that can't be written gets an error response, and the frame is lost. Run by connection.ts.

import {
  NETIF_RSP_ERROR,
  NETRXF_csum_blank,
  NETRXF_data_validated,
  NETRXF_more_data,
  NetifRxRequest,
  NetifRxResponse,
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
}

interface Placed {
  id: number;
  flags: number;
  size: number;
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
      const slots = Math.ceil(frame.size / PAGE_SIZE);
      if (slots > 1 && !this.#features.sg) {
        this.#queue.shift()?.release();
        this.#queue.dropped++;
        continue;
      }
      if (!this.#hasSlots(slots)) break;
      this.#queue.shift();
      this.#frames.push(frame);
      count = this.#place(frame, slots, count);
    }
    this.#copies.run();
    for (let i = 0; i < count; i++) this.#respond(this.#placed[i], this.#copies.okay(i, 1));
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

  #place(frame: Frame, slots: number, first: number): number {
    const flags = this.#checksum(frame);
    for (let i = 0; i < slots; i++) {
      this.#ring.take(this.#request);
      const { id, gref } = this.#req;
      const size = Math.min(PAGE_SIZE, frame.size - i * PAGE_SIZE);
      this.#copies.toGuest(frame.mfn + i, frame.offset, gref, 0, size);
      const placed = this.#placed[first + i] ?? { id: 0, flags: 0, size: 0 };
      this.#placed[first + i] = placed;
      placed.id = id;
      placed.size = size;
      placed.flags = (i === 0 ? flags : 0) | (i < slots - 1 ? NETRXF_more_data : 0);
    }
    return first + slots;
  }

  /** The frame's flags; a blank checksum that this guest can't take is filled in, for all its receivers. */
  #checksum(frame: Frame): number {
    if (frame.csum === Csum.valid) return NETRXF_data_validated;
    if (frame.csum !== Csum.blank) return 0;
    const takes = frame.view.getUint16(12) === 0x86dd ? this.#features.csum6 : this.#features.csum4;
    if (takes) return NETRXF_csum_blank | NETRXF_data_validated;
    fillChecksum(frame.view, frame.size);
    frame.csum = Csum.valid;
    return NETRXF_data_validated;
  }

  #respond(placed: Placed, okay: boolean): void {
    this.#rsp.id = placed.id;
    this.#rsp.offset = 0;
    this.#rsp.flags = placed.flags;
    this.#rsp.status = okay ? placed.size : NETIF_RSP_ERROR;
    this.#ring.respond(this.#response);
  }
}

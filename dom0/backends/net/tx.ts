// What a guest sends (public/io/netif.h, tx ring): packets of one or more slots, copied out of its pages by grant copy, given
// to the bridge. A packet whose sizes, offsets or grants are wrong gets an error response for each of its slots, and the
// guest may go on; a ring whose index or chain of slots can't be right is shut, as nothing in it can be trusted any more.
// Run by connection.ts. Packets that ask for TCP segmentation stay whole
// (Frame.gsoSize). Left out: multicast control, which is not announced, so that packets that use it are errors.

import {
  NETIF_RSP_DROPPED,
  NETIF_RSP_ERROR,
  NETIF_RSP_NULL,
  NETIF_RSP_OKAY,
  NETTXF_csum_blank,
  NETTXF_data_validated,
  NETTXF_extra_info,
  NETTXF_more_data,
  NetifExtraInfo,
  NetifTxRequest,
  NetifTxResponse,
  XEN_NETIF_EXTRA_FLAG_MORE,
  XEN_NETIF_EXTRA_TYPE_GSO,
  XEN_NETIF_EXTRA_TYPE_MAX,
  XEN_NETIF_GSO_TYPE_TCPV4,
  XEN_NETIF_GSO_TYPE_TCPV6,
} from "../../../shared/abi/io/netif.ts";
import type { BackRing } from "../../../shared/request_ring.ts";
import { RING_BAD } from "../../../shared/ring.ts";
import { Csum, ETH_HEADER, type Frame, type FramePool, PAGE_SIZE } from "../../net/frame.ts";
import type { Credit } from "../../net/rate.ts";
import { DeviceError } from "../backend.ts";
import type { Copies } from "./copies.ts";
import { MAX_SLOTS, MIN_SEGMENT, TX_BATCH } from "./limits.ts";

/** A packet between taking its slots and answering them. */
interface Packet {
  frame: Frame | undefined;
  /** NETIF_RSP_ of all its slots; the copies may still make it an error. */
  status: number;
  /** Its data slots' ids, and how many extra slots follow the first. */
  readonly ids: number[];
  extras: number;
  gsoSize: number;
  firstCopy: number;
  copies: number;
}

interface Slot {
  gref: number;
  offset: number;
  size: number;
}

export class Tx {
  readonly #ring: BackRing;
  readonly #copies: Copies;
  readonly #pool: FramePool;
  readonly #credit: Credit;
  readonly #request = new Uint8Array(NetifTxRequest.size);
  readonly #req = NetifTxRequest.at(new DataView(this.#request.buffer));
  readonly #extra = NetifExtraInfo.at(new DataView(this.#request.buffer));
  readonly #response = new Uint8Array(NetifTxResponse.size);
  readonly #rsp = NetifTxResponse.at(new DataView(this.#response.buffer));
  readonly #packets: Packet[] = [];
  #count = 0;
  readonly #slots: Slot[] = [];
  /** True while the packet whose first slot lies in #request waits for credit. */
  #held = false;
  /** After `run`: nanoseconds until there is credit for the held packet; 0 when none is held. */
  waitNs = 0;

  constructor(ring: BackRing, copies: Copies, pool: FramePool, credit: Credit) {
    this.#ring = ring;
    this.#copies = copies;
    this.#pool = pool;
    this.#credit = credit;
  }

  /** Whether the ring has requests, or an index that is wrong. */
  get ready(): boolean {
    return this.#held ? this.waitNs === 0 : this.#ring.waiting() !== 0;
  }

  /** Asks for an event at the next request; true when there is one by now. */
  sleep(): boolean {
    return !this.#held && this.#ring.sleep();
  }

  /** The time for the held packet may have come. */
  retry(): void {
    this.waitNs = 0;
  }

  /**
   * Takes a batch of packets, answers them, and gives `receive` the frames: each is released after it. True when the guest
   * wants an event. Throws DeviceError for a ring to be shut.
   */
  run(nowNs: number, receive: (frame: Frame) => void): boolean {
    this.#count = 0;
    this.#copies.clear();
    let broken: unknown;
    try {
      while (this.#count < TX_BATCH && this.#copies.hasRoom(2 * MAX_SLOTS) && this.#takePacket(nowNs));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      broken = error; // What came before is carried out.
    }
    this.#copies.run();
    for (let i = 0; i < this.#count; i++) this.#answer(this.#packets[i]);
    const notify = this.#count > 0 && this.#ring.publish();
    for (let i = 0; i < this.#count; i++) {
      const { frame, status } = this.#packets[i];
      if (frame === undefined) continue;
      this.#packets[i].frame = undefined;
      if (status === NETIF_RSP_OKAY) receive(frame);
      frame.release();
    }
    if (broken !== undefined) throw broken;
    return notify;
  }

  #available(): number {
    const waiting = this.#ring.waiting();
    if (waiting === RING_BAD) throw new DeviceError("the tx ring's request index is wrong");
    return waiting;
  }

  /** Takes the next packet's slots; false when there is none, or no credit. */
  #takePacket(nowNs: number): boolean {
    let available = this.#available();
    if (!this.#held) {
      if (available === 0) return false;
      this.#ring.take(this.#request);
      available--;
    }
    this.waitNs = this.#credit.take(this.#req.size, nowNs);
    this.#held = this.waitNs > 0;
    if (this.#held) return false;

    const { gref, offset, flags, id, size: total } = this.#req;
    const packet = this.#next();
    packet.ids.push(id);
    if (flags & NETTXF_extra_info) available = this.#takeExtras(packet, available);
    let slots = 1;
    this.#setSlot(0, gref, offset, 0);
    let rest = 0;
    for (let more = flags & NETTXF_more_data; more !== 0; ) {
      if (available === 0) throw new DeviceError("a packet in the tx ring has no end");
      available--;
      this.#ring.take(this.#request);
      packet.ids.push(this.#req.id);
      const { size } = this.#req;
      if (slots < MAX_SLOTS) this.#setSlot(slots, this.#req.gref, this.#req.offset, size);
      slots++;
      rest += size;
      if (size === 0) packet.status = NETIF_RSP_ERROR;
      more = this.#req.flags & NETTXF_more_data;
    }
    this.#count++;
    if (slots > MAX_SLOTS || total < ETH_HEADER || rest >= total) packet.status = NETIF_RSP_ERROR;
    if (packet.status !== NETIF_RSP_OKAY) return true;
    this.#slots[0].size = total - rest;
    this.#gather(packet, slots, total, flags);
    return true;
  }

  /** Extra slots: one may ask for segmentation; nothing else that they can ask for was announced. */
  #takeExtras(packet: Packet, waiting: number): number {
    let available = waiting;
    for (let more: number = XEN_NETIF_EXTRA_FLAG_MORE; more !== 0; ) {
      if (available === 0) throw new DeviceError("an extra slot in the tx ring is missing");
      available--;
      this.#ring.take(this.#request);
      packet.extras++;
      const { type, flags, gso_type, gso_size } = this.#extra;
      if (type === 0 || type >= XEN_NETIF_EXTRA_TYPE_MAX) throw new DeviceError(`an extra slot has the type ${type}`);
      const tcp = gso_type === XEN_NETIF_GSO_TYPE_TCPV4 || gso_type === XEN_NETIF_GSO_TYPE_TCPV6;
      if (type === XEN_NETIF_EXTRA_TYPE_GSO && tcp && gso_size >= MIN_SEGMENT && packet.extras === 1)
        packet.gsoSize = gso_size;
      else packet.status = NETIF_RSP_ERROR;
      more = flags & XEN_NETIF_EXTRA_FLAG_MORE;
    }
    return available;
  }

  /** Adds the copies that make one frame of the slots. */
  #gather(packet: Packet, slots: number, total: number, flags: number): void {
    for (let i = 0; i < slots; i++) {
      if (this.#slots[i].offset + this.#slots[i].size <= PAGE_SIZE) continue;
      packet.status = NETIF_RSP_ERROR;
      return;
    }
    const frame = this.#pool.alloc(total);
    if (frame === undefined) {
      packet.status = NETIF_RSP_DROPPED;
      return;
    }
    frame.csum = flags & NETTXF_csum_blank ? Csum.blank : flags & NETTXF_data_validated ? Csum.valid : Csum.unknown;
    // The checksum of segments can only be made when they are.
    frame.gsoSize = frame.csum === Csum.blank ? packet.gsoSize : 0;
    packet.frame = frame;
    packet.firstCopy = this.#copies.count;
    let at = frame.offset;
    for (let i = 0; i < slots; i++) {
      const { gref, offset, size } = this.#slots[i];
      for (let done = 0; done < size; ) {
        const into = at % PAGE_SIZE;
        const n = Math.min(size - done, PAGE_SIZE - into);
        this.#copies.fromGuest(gref, offset + done, frame.mfn + Math.floor(at / PAGE_SIZE), into, n);
        done += n;
        at += n;
      }
    }
    packet.copies = this.#copies.count - packet.firstCopy;
  }

  #answer(packet: Packet): void {
    if (packet.copies > 0 && !this.#copies.okay(packet.firstCopy, packet.copies)) packet.status = NETIF_RSP_ERROR;
    for (let i = 0; i < packet.ids.length; i++) {
      this.#respond(packet.ids[i], packet.status);
      if (i === 0) for (let n = 0; n < packet.extras; n++) this.#respond(0, NETIF_RSP_NULL);
    }
  }

  #respond(id: number, status: number): void {
    this.#rsp.id = id;
    this.#rsp.status = status;
    this.#ring.respond(this.#response);
  }

  /** The next packet's record, emptied; it counts when #count is raised. */
  #next(): Packet {
    let packet = this.#packets[this.#count];
    if (packet === undefined) {
      packet = { frame: undefined, status: NETIF_RSP_OKAY, ids: [], extras: 0, gsoSize: 0, firstCopy: 0, copies: 0 };
      this.#packets.push(packet);
    }
    packet.status = NETIF_RSP_OKAY;
    packet.ids.length = 0;
    packet.extras = 0;
    packet.gsoSize = 0;
    packet.copies = 0;
    return packet;
  }

  #setSlot(i: number, gref: number, offset: number, size: number): void {
    if (i === this.#slots.length) this.#slots.push({ gref, offset, size });
    else {
      this.#slots[i].gref = gref;
      this.#slots[i].offset = offset;
      this.#slots[i].size = size;
    }
  }
}

// A block frontend for TypeScript kernels (public/io/blkif.h): one disk, any number of requests at once, each a call that
// suspends its thread. Data lies in buffers that were granted to the backend when they were made, so that nothing is copied, and
// a backend that keeps grants mapped (feature-persistent) need not map them again. Requests of more than 11 pages are
// indirect where the backend takes them. Left out: several queues.

import {
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP_DISCARD,
  BLKIF_OP_FLUSH_DISKCACHE,
  BLKIF_OP_INDIRECT,
  BLKIF_OP_READ,
  BLKIF_OP_WRITE,
  BLKIF_RSP_OKAY,
  BlkifRequest,
  BlkifRequestDiscard,
  BlkifRequestIndirect,
  BlkifRequestSegment,
  BlkifResponse,
  VDISK_READONLY,
} from "../../shared/abi/io/blkif.ts";
import {
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitialised,
  XenbusStateInitWait,
} from "../../shared/abi/io/xenbus.ts";
import type { DomId } from "../../shared/brand.ts";
import { FrontRing } from "../../shared/request_ring.ts";
import { type BlockBuffer, BlockBuffers } from "./block_buffers.ts";
import type { EventPort } from "./events.ts";
import type { Kernel } from "./kernel.ts";
import { PAGE_SIZE } from "./pages.ts";
import { type Task, WaitQueue } from "./threads.ts";

const SECTOR = 512;
/** An indirect request's list of segments is one page here. */
const MAX_SEGMENTS = PAGE_SIZE / BlkifRequestSegment.size;

/** What a frontend needs of xenstore. */
export interface FrontStore {
  read(path: string): Task<string | undefined>;
  write(path: string, value: string): Task;
  /** Waits until the node's value is one of `values`; which. */
  waitFor(path: string, values: readonly string[]): Task<string>;
}

/** A request that the backend answered with an error: `status` is a BLKIF_RSP_. */
export class BlockError extends Error {
  override readonly name = "BlockError";
  readonly status: number;
  constructor(what: string, status: number) {
    super(`${what}: status ${status}`);
    this.status = status;
  }
}

/** A request under way, or room for one: there are as many as the ring has slots. */
class Outstanding {
  readonly id: number;
  /** Undefined: no answer yet. */
  status: number | undefined = undefined;
  readonly done = new WaitQueue();
  /** Its thread was cancelled before the answer came. */
  abandoned = false;
  /** For the segments of an indirect request. */
  list: BlockBuffer | undefined = undefined;

  constructor(id: number) {
    this.id = id;
  }
}

export interface BlockFrontOptions {
  readonly kernel: Kernel;
  readonly store: FrontStore;
  /** "/local/domain/1/device/vbd/51712" */
  readonly path: string;
  readonly backendDomid: DomId;
  /** A power of two; as many as the backend takes. Default 1. */
  readonly ringPages?: number;
  /** False: the backend is to map pages for each request anew, even if it could keep them mapped. */
  readonly persistent?: boolean;
}

export class BlockFront {
  readonly #o: BlockFrontOptions;
  readonly #buffers: BlockBuffers;
  readonly #ringPages: BlockBuffer;
  readonly #ring: FrontRing;
  readonly #port: EventPort;
  readonly #slots: readonly Outstanding[];
  readonly #free: Outstanding[];
  readonly #space = new WaitQueue();
  readonly #slot = new Uint8Array(BlkifRequest.size);
  readonly #view = new DataView(this.#slot.buffer);
  readonly #answer = new Uint8Array(BlkifResponse.size);
  readonly #response = BlkifResponse.at(new DataView(this.#answer.buffer));
  /** Of 512 bytes. */
  sectors = 0;
  readonly = false;
  /** Pages that one request may have. */
  maxSegments = BLKIF_MAX_SEGMENTS_PER_REQUEST;
  flushes = false;
  discards = false;

  private constructor(options: BlockFrontOptions) {
    this.#o = options;
    const { kernel, backendDomid } = options;
    this.#buffers = new BlockBuffers(kernel, backendDomid);
    this.#ringPages = this.#buffers.take(options.ringPages ?? 1);
    const { bytes, count } = this.#ringPages.pages;
    const pages = Array.from({ length: count }, (_, i) => bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    this.#ring = new FrontRing(pages, BlkifRequest.size);
    this.#slots = Array.from({ length: this.#ring.size }, (_, id) => new Outstanding(id));
    this.#free = [...this.#slots];
    this.#port = kernel.events.allocUnbound(backendDomid);
    this.#port.onEvent = () => this.#drain();
  }

  /** Connects to the disk whose frontend folder is `path`. Throws Error when the backend closes instead. */
  static *connect(options: BlockFrontOptions): Task<BlockFront> {
    const { store, path } = options;
    const back = (yield* store.read(`${path}/backend`)) ?? "";
    const is = (...states: number[]): string[] => states.map(String);
    yield* store.waitFor(`${back}/state`, is(XenbusStateInitWait, XenbusStateInitialised, XenbusStateConnected));
    const front = new BlockFront(options);
    const { refs } = front.#ringPages;
    if (refs.length === 1) {
      yield* store.write(`${path}/ring-ref`, String(refs[0]));
      // A connection before this one may have had more.
      if ((yield* store.read(`${path}/ring-page-order`)) !== undefined)
        yield* store.write(`${path}/ring-page-order`, "0");
    } else {
      yield* store.write(`${path}/ring-page-order`, String(Math.log2(refs.length)));
      for (const [i, ref] of refs.entries()) yield* store.write(`${path}/ring-ref${i}`, String(ref));
    }
    yield* store.write(`${path}/event-channel`, String(front.#port.port));
    yield* store.write(`${path}/protocol`, "x86_64-abi");
    const persistent = options.persistent !== false && (yield* store.read(`${back}/feature-persistent`)) === "1";
    front.#buffers.persistent = persistent;
    yield* store.write(`${path}/feature-persistent`, persistent ? "1" : "0");
    yield* store.write(`${path}/state`, String(XenbusStateInitialised));
    const state = yield* store.waitFor(
      `${back}/state`,
      is(XenbusStateConnected, XenbusStateClosing, XenbusStateClosed),
    );
    if (state !== String(XenbusStateConnected)) throw new Error(`the backend of ${path} has closed`);
    function* number(name: string): Task<number> {
      return Number((yield* store.read(`${back}/${name}`)) ?? 0);
    }
    front.sectors = yield* number("sectors");
    front.readonly = ((yield* number("info")) & VDISK_READONLY) !== 0;
    const indirect = yield* number("feature-max-indirect-segments");
    front.maxSegments = Math.max(BLKIF_MAX_SEGMENTS_PER_REQUEST, Math.min(indirect, MAX_SEGMENTS));
    front.flushes = (yield* number("feature-flush-cache")) === 1;
    front.discards = (yield* number("feature-discard")) === 1;
    yield* store.write(`${path}/state`, String(XenbusStateConnected));
    return front;
  }

  /** Zeroed pages for data. */
  buffer(pages: number): BlockBuffer {
    return this.#buffers.take(pages);
  }

  /** Reads `sizeBytes` into the buffer from byte `offset` on; whole sectors. Throws BlockError. */
  *read(sector: number, buffer: BlockBuffer, offset: number, sizeBytes: number): Task {
    yield* this.#transfer(BLKIF_OP_READ, sector, buffer, offset, sizeBytes);
  }

  *write(sector: number, buffer: BlockBuffer, offset: number, sizeBytes: number): Task {
    yield* this.#transfer(BLKIF_OP_WRITE, sector, buffer, offset, sizeBytes);
  }

  /** Returns when every write that has returned is on stable storage. Throws BlockError. */
  *flush(): Task {
    const status = yield* this.request((view) => {
      BlkifRequest.at(view).operation = BLKIF_OP_FLUSH_DISKCACHE;
    });
    if (status !== BLKIF_RSP_OKAY) throw new BlockError("flush", status);
  }

  *discard(sector: number, sectors: number): Task {
    const status = yield* this.request((view) => {
      const r = BlkifRequestDiscard.at(view);
      r.operation = BLKIF_OP_DISCARD;
      r.sector_number_num = sector;
      r.nr_sectors_num = sectors;
    });
    if (status !== BLKIF_RSP_OKAY) throw new BlockError("discard", status);
  }

  /** Sends a request that `fill` writes into a zeroed slot, but for its id; the response's status. */
  *request(fill: (slot: DataView) => void): Task<number> {
    const entry = yield* this.#take();
    this.#slot.fill(0);
    fill(this.#view);
    return yield* this.#answered(entry);
  }

  *#take(): Task<Outstanding> {
    while (this.#free.length === 0) yield* this.#space.wait();
    return this.#free.pop() as Outstanding;
  }

  /** Sends what is in the slot, as `entry`, and waits for the answer. */
  *#answered(entry: Outstanding): Task<number> {
    this.#view.setUint32(BlkifRequest.offsets.id, entry.id, true);
    entry.status = undefined;
    this.#ring.send(this.#slot);
    if (this.#ring.publish()) this.#port.notify();
    try {
      while (entry.status === undefined) yield* entry.done.wait();
      return entry.status;
    } finally {
      if (entry.status === undefined) entry.abandoned = true;
      else this.#release(entry);
    }
  }

  #release(entry: Outstanding): void {
    this.#free.push(entry);
    this.#space.wakeOne();
  }

  /** Lets go of the disk: waits until the backend has closed. */
  *close(): Task {
    const { store, path } = this.#o;
    const back = (yield* store.read(`${path}/backend`)) ?? "";
    yield* store.write(`${path}/state`, String(XenbusStateClosing));
    yield* store.write(`${path}/state`, String(XenbusStateClosed));
    yield* store.waitFor(`${back}/state`, [String(XenbusStateClosed)]);
    this.#port.close();
    for (const { list } of this.#slots) list?.free();
    this.#buffers.close();
    this.#ringPages.free();
  }

  *#transfer(op: number, sector: number, buffer: BlockBuffer, offset: number, sizeBytes: number): Task {
    if (offset % SECTOR || sizeBytes % SECTOR || sizeBytes <= 0 || offset + sizeBytes > buffer.pages.bytes.length)
      throw new RangeError(`${sizeBytes} bytes at ${offset} of a buffer of ${buffer.pages.count} pages`);
    const first = Math.floor(offset / PAGE_SIZE);
    const count = Math.ceil((offset + sizeBytes) / PAGE_SIZE) - first;
    if (count > this.maxSegments) throw new RangeError(`${count} pages: ${this.maxSegments} are possible`);
    const entry = yield* this.#take();
    const view = this.#view;
    this.#slot.fill(0);
    if (count <= BLKIF_MAX_SEGMENTS_PER_REQUEST) {
      const { offsets } = BlkifRequest;
      view.setUint8(offsets.operation, op);
      view.setUint8(offsets.nr_segments, count);
      setSegments(view, offsets.seg, buffer, offset, sizeBytes);
    } else {
      entry.list ??= this.buffer(1);
      setSegments(entry.list.pages.view, 0, buffer, offset, sizeBytes);
      const { offsets } = BlkifRequestIndirect;
      view.setUint8(offsets.operation, BLKIF_OP_INDIRECT);
      view.setUint8(offsets.indirect_op, op);
      view.setUint16(offsets.nr_segments, count, true);
      view.setUint32(offsets.indirect_grefs, entry.list.refs[0], true);
    }
    // Both forms have it there.
    view.setUint32(BlkifRequest.offsets.sector_number, sector >>> 0, true);
    view.setUint32(BlkifRequest.offsets.sector_number + 4, Math.floor(sector / 2 ** 32), true);
    const status = yield* this.#answered(entry);
    if (status !== BLKIF_RSP_OKAY)
      throw new BlockError(
        `${op === BLKIF_OP_READ ? "read" : "write"} of ${sizeBytes} bytes at sector ${sector}`,
        status,
      );
  }

  #drain(): void {
    do {
      for (let n = this.#ring.waiting(); n > 0; n--) {
        this.#ring.take(this.#answer);
        const entry = this.#slots[this.#response.id_lo];
        // A response to nothing that was asked is the backend's mistake, and nobody's to wait for.
        if (entry === undefined) continue;
        entry.status = this.#response.status;
        if (entry.abandoned) this.#release(entry);
        entry.abandoned = false;
        entry.done.wakeOne();
      }
      // A bad index is left alone: nothing can be believed of this ring any more.
    } while (this.#ring.waiting() >= 0 && this.#ring.sleep() && this.#ring.waiting() > 0);
  }
}

/** The segments of so many bytes from `offset` of a buffer, at `at` of `view`. */
function setSegments(view: DataView, at: number, buffer: BlockBuffer, offset: number, sizeBytes: number): void {
  const { offsets, size } = BlkifRequestSegment;
  const end = offset + sizeBytes;
  let to = at;
  for (let page = Math.floor(offset / PAGE_SIZE); page * PAGE_SIZE < end; page++, to += size) {
    const start = page * PAGE_SIZE;
    view.setUint32(to + offsets.gref, buffer.refs[page], true);
    view.setUint8(to + offsets.first_sect, Math.max(offset - start, 0) / SECTOR);
    view.setUint8(to + offsets.last_sect, Math.min(end - start, PAGE_SIZE) / SECTOR - 1);
  }
}

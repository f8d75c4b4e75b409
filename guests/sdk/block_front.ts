// A block frontend for TypeScript kernels (public/io/blkif.h): one disk, any number of requests at once, each a call that
// suspends its thread. Data lies in buffers whose pages are granted to the backend for as long as the buffer lives. Requests of
// more than 11 pages are indirect where the backend takes them. Left out: several queues, persistent grants as a protocol.

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
import type { DomId, GrantRef, Pfn } from "../../shared/brand.ts";
import { FrontRing } from "../../shared/request_ring.ts";
import type { EventPort } from "./events.ts";
import type { Kernel } from "./kernel.ts";
import { PAGE_SIZE, type Pages } from "./pages.ts";
import { type Task, WaitQueue } from "./threads.ts";

const SECTOR = 512;
const SECTORS_PER_PAGE = PAGE_SIZE / SECTOR;

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

/** Pages that the backend may reach. */
export interface BlockBuffer {
  readonly pages: Pages;
  readonly refs: readonly GrantRef[];
  /** Takes the grants back; not while a request uses them. */
  free(): void;
}

interface Outstanding {
  status: number | undefined;
  readonly done: WaitQueue;
}

export interface BlockFrontOptions {
  readonly kernel: Kernel;
  readonly store: FrontStore;
  /** "/local/domain/1/device/vbd/51712" */
  readonly path: string;
  readonly backendDomid: DomId;
  /** A power of two; as many as the backend takes. Default 1. */
  readonly ringPages?: number;
}

export class BlockFront {
  readonly #o: BlockFrontOptions;
  readonly #ringPages: BlockBuffer;
  readonly #ring: FrontRing;
  readonly #port: EventPort;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #space = new WaitQueue();
  readonly #slot = new Uint8Array(BlkifRequest.size);
  readonly #view = new DataView(this.#slot.buffer);
  readonly #answer = new Uint8Array(BlkifResponse.size);
  readonly #answerView = new DataView(this.#answer.buffer);
  #nextId = 1;
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
    this.#ringPages = grant(kernel, backendDomid, options.ringPages ?? 1);
    const { bytes, count } = this.#ringPages.pages;
    const pages = Array.from({ length: count }, (_, i) => bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    this.#ring = new FrontRing(pages, BlkifRequest.size);
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
    front.maxSegments = Math.max(BLKIF_MAX_SEGMENTS_PER_REQUEST, yield* number("feature-max-indirect-segments"));
    front.flushes = (yield* number("feature-flush-cache")) === 1;
    front.discards = (yield* number("feature-discard")) === 1;
    yield* store.write(`${path}/state`, String(XenbusStateConnected));
    return front;
  }

  /** Zeroed pages for data. */
  buffer(pages: number): BlockBuffer {
    return grant(this.#o.kernel, this.#o.backendDomid, pages);
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
    yield* this.#space.until(() => this.#ring.space > 0);
    this.#slot.fill(0);
    fill(this.#view);
    const id = this.#nextId++;
    BlkifRequest.at(this.#view).id_lo = id;
    const entry: Outstanding = { status: undefined, done: new WaitQueue() };
    this.#outstanding.set(id, entry);
    this.#ring.send(this.#slot);
    if (this.#ring.publish()) this.#port.notify();
    yield* entry.done.until(() => entry.status !== undefined);
    return entry.status as number;
  }

  /** Lets go of the disk: waits until the backend has closed. */
  *close(): Task {
    const { store, path } = this.#o;
    const back = (yield* store.read(`${path}/backend`)) ?? "";
    yield* store.write(`${path}/state`, String(XenbusStateClosing));
    yield* store.write(`${path}/state`, String(XenbusStateClosed));
    yield* store.waitFor(`${back}/state`, [String(XenbusStateClosed)]);
    this.#port.close();
    this.#ringPages.free();
  }

  *#transfer(op: number, sector: number, buffer: BlockBuffer, offset: number, sizeBytes: number): Task {
    if (offset % SECTOR || sizeBytes % SECTOR || sizeBytes <= 0 || offset + sizeBytes > buffer.pages.bytes.length)
      throw new RangeError(`${sizeBytes} bytes at ${offset} of a buffer of ${buffer.pages.count} pages`);
    const first = Math.floor(offset / PAGE_SIZE);
    const count = Math.ceil((offset + sizeBytes) / PAGE_SIZE) - first;
    if (count > this.maxSegments) throw new RangeError(`${count} pages: ${this.maxSegments} are possible`);
    const segments = (view: DataView, at: number): void => {
      const s = BlkifRequestSegment.at(view);
      for (let i = 0; i < count; i++) {
        s.$at(at + i * BlkifRequestSegment.size);
        const start = Math.max(offset, (first + i) * PAGE_SIZE);
        const end = Math.min(offset + sizeBytes, (first + i + 1) * PAGE_SIZE);
        s.gref = buffer.refs[first + i];
        s.first_sect = (start / SECTOR) % SECTORS_PER_PAGE;
        s.last_sect = (end / SECTOR - 1) % SECTORS_PER_PAGE;
      }
    };
    const what = `${op === BLKIF_OP_READ ? "read" : "write"} of ${sizeBytes} bytes at sector ${sector}`;
    let status: number;
    if (count <= BLKIF_MAX_SEGMENTS_PER_REQUEST) {
      status = yield* this.request((view) => {
        const r = BlkifRequest.at(view);
        r.operation = op;
        r.nr_segments = count;
        r.sector_number_num = sector;
        segments(view, BlkifRequest.offsets.seg);
      });
    } else {
      const list = this.buffer(Math.ceil((count * BlkifRequestSegment.size) / PAGE_SIZE));
      segments(list.pages.view, 0);
      status = yield* this.request((view) => {
        const r = BlkifRequestIndirect.at(view);
        r.operation = BLKIF_OP_INDIRECT;
        r.indirect_op = op;
        r.nr_segments = count;
        r.sector_number_num = sector;
        for (const [i, ref] of list.refs.entries())
          view.setUint32(BlkifRequestIndirect.offsets.indirect_grefs + i * 4, ref, true);
      });
      list.free();
    }
    if (status !== BLKIF_RSP_OKAY) throw new BlockError(what, status);
  }

  #drain(): void {
    do {
      for (let n = this.#ring.waiting(); n > 0; n--) {
        this.#ring.take(this.#answer);
        const { id_lo: id, status } = BlkifResponse.at(this.#answerView);
        const entry = this.#outstanding.get(id);
        // A response to nothing that was asked is the backend's mistake, and nobody's to wait for.
        if (entry === undefined) continue;
        this.#outstanding.delete(id);
        entry.status = status;
        entry.done.wakeAll();
        this.#space.wakeOne();
      }
      // A bad index is left alone: nothing can be believed of this ring any more.
    } while (this.#ring.waiting() >= 0 && this.#ring.sleep() && this.#ring.waiting() > 0);
  }
}

function grant(kernel: Kernel, domid: DomId, count: number): BlockBuffer {
  const pages = kernel.allocPages(count);
  const refs = Array.from({ length: count }, (_, i) => kernel.grants.grantAccess(domid, (pages.pfn + i) as Pfn, false));
  return {
    pages,
    refs,
    free: () => {
      for (const ref of refs)
        if (!kernel.grants.endAccess(ref)) throw new Error(`grant ${ref} is still in use by domain ${domid}`);
      pages.free();
    },
  };
}

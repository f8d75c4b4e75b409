// A connected frontend: takes requests off the ring, has the disk carry them out straight in the guest's pages, answers. Many
// are under way at once, each a thread of its own while the host works. Made by instance.ts for each connection.
//
// - A request's pages are mapped while it is carried out, and only then: persistent grants are not offered.
// - A flush is answered after the disk's sync has returned, which covers every write that was answered before.
// - A request that is wrong is answered with an error. An index that makes no sense ends the connection: `broken`.

import {
  type EventPort,
  GrantError,
  type GrantedPages,
  type Kernel,
  type Segment,
  type Task,
  WaitQueue,
  yieldNow,
} from "../../../guests/sdk/index.ts";
import {
  BLKIF_RSP_EOPNOTSUPP,
  BLKIF_RSP_ERROR,
  BLKIF_RSP_OKAY,
  BlkifRequest,
  BlkifResponse,
} from "../../../shared/abi/io/blkif.ts";
import type { DomId, GrantRef } from "../../../shared/brand.ts";
import { BackRing } from "../../../shared/request_ring.ts";
import type { Disk } from "./disk.ts";
import { BlockLimits } from "./limits.ts";
import { type BlockRequest, indirectParts, type PagePart, parseRequest, SECTOR, totalBytes } from "./request.ts";

/** The id of a request, as it came: two halves. */
interface Id {
  readonly lo: number;
  readonly hi: number;
}

export interface ConnectionOptions {
  readonly kernel: Kernel;
  readonly domid: DomId;
  readonly disk: Disk;
  readonly sectors: number;
  readonly writable: boolean;
  readonly discard: boolean;
  /** The ring's pages, mapped writable. */
  readonly ring: GrantedPages;
  readonly port: EventPort;
  /** Told once, when the frontend's index makes no sense. */
  broken(reason: string): void;
}

export class BlockConnection {
  readonly #o: ConnectionOptions;
  readonly #ring: BackRing;
  #sectors: number;
  readonly #work = new WaitQueue();
  readonly #idle = new WaitQueue();
  readonly #slot = new Uint8Array(BlkifRequest.size);
  readonly #slotView = new DataView(this.#slot.buffer);
  readonly #response = new Uint8Array(BlkifResponse.size);
  readonly #responseView = BlkifResponse.at(new DataView(this.#response.buffer));
  #event = true;
  #stopped = false;
  #inFlight = 0;
  #mapped = 0;
  #unpublished = false;
  /** For tests and statistics. */
  readonly counts = { read: 0, write: 0, flush: 0, discard: 0, errors: 0 };

  constructor(options: ConnectionOptions) {
    this.#o = options;
    const { ring, port, sectors, kernel, domid } = options;
    this.#ring = new BackRing(
      Array.from({ length: ring.count }, (_, i) => ring.page(i)),
      BlkifRequest.size,
    );
    this.#sectors = sectors;
    port.onEvent = () => this.#wake();
    kernel.spawn(`disk of domain ${domid}`, this.#serve());
  }

  /** The disk has another size: for requests that begin from now on. */
  resize(sectors: number): void {
    this.#sectors = sectors;
  }

  /** No more requests are taken; returns when none is under way. The ring and the port are the caller's to give back. */
  *stop(): Task {
    this.#stopped = true;
    this.#work.wakeAll();
    yield* this.#idle.until(() => this.#inFlight === 0);
  }

  #wake(): void {
    this.#event = true;
    this.#work.wakeAll();
  }

  *#serve(): Task {
    for (;;) {
      yield* this.#work.until(() => this.#stopped || (this.#event && this.#inFlight < BlockLimits.inFlight));
      if (this.#stopped) return;
      this.#event = false;
      for (let turn = 0; this.#inFlight < BlockLimits.inFlight; turn++) {
        const waiting = this.#ring.waiting();
        if (waiting < 0) {
          this.#stopped = true;
          this.#o.broken("the request index of its ring makes no sense");
          return;
        }
        if (waiting === 0 && !this.#ring.sleep()) break;
        if (waiting === 0) continue;
        this.#ring.take(this.#slot);
        this.#start();
        if (turn < BlockLimits.requestsPerTurn) continue;
        this.#publish();
        turn = 0;
        yield* yieldNow();
        if (this.#stopped) return;
      }
      // Full: whoever is answered next sees to it that the rest is taken.
      if (this.#inFlight >= BlockLimits.inFlight) this.#event = true;
      this.#publish();
    }
  }

  /** Begins the request in the slot. */
  #start(): void {
    const { id_lo: lo, id_hi: hi } = BlkifRequest.at(this.#slotView);
    const id = { lo, hi };
    const request = parseRequest(this.#slotView);
    if (request.kind === "unknown") this.#respond(id, request.operation, BLKIF_RSP_EOPNOTSUPP);
    else if (request.kind === "bad") this.#respond(id, request.operation, BLKIF_RSP_ERROR);
    else {
      this.#inFlight++;
      this.#o.kernel.spawn("disk request", this.#request(id, request));
    }
  }

  *#request(id: Id, request: BlockRequest): Task {
    let status: number = BLKIF_RSP_ERROR;
    try {
      status = yield* this.#carryOut(request);
    } catch (error) {
      // A failure of the host, or a grant that isn't one: the guest is told, and its log or ours need not be filled.
      if (!(error instanceof Error)) throw error;
      const name = (error as { code?: unknown }).code;
      if (name === "EOPNOTSUPP") status = BLKIF_RSP_EOPNOTSUPP;
      else if (!(error instanceof GrantError) && name === undefined) this.#o.kernel.log(`${error.stack ?? error}`);
    } finally {
      this.#inFlight--;
      if (!this.#stopped) {
        this.#respond(id, request.operation, status);
        if (this.#event) this.#work.wakeAll();
        // Those that end in the same turn are shown together.
        yield* this.#publishSoon();
      }
      if (this.#inFlight === 0) this.#idle.wakeAll();
    }
  }

  *#carryOut(request: BlockRequest): Task<number> {
    const { counts } = this;
    const { disk, writable } = this.#o;
    switch (request.kind) {
      case "read":
      case "write":
        counts[request.kind]++;
        return yield* this.#transfer(request.kind === "write", request.sector, request.parts);
      case "flush": {
        counts.flush++;
        yield* disk.sync();
        if (request.parts.length === 0) return BLKIF_RSP_OKAY;
        // A flush with data: the data too is stable when it is answered.
        const status = yield* this.#transfer(true, request.sector, request.parts);
        if (status === BLKIF_RSP_OKAY) yield* disk.sync();
        return status;
      }
      case "indirect": {
        const parts = this.#indirect(request.pages, request.count);
        if (parts === undefined) return BLKIF_RSP_ERROR;
        counts[request.write ? "write" : "read"]++;
        return yield* this.#transfer(request.write, request.sector, parts);
      }
      case "discard":
        counts.discard++;
        if (!this.#o.discard) return BLKIF_RSP_EOPNOTSUPP;
        if (!writable || !this.#within(request.sector, request.sectors)) return BLKIF_RSP_ERROR;
        if (request.sectors > 0) yield* disk.discard(request.sector * SECTOR, request.sectors * SECTOR);
        return BLKIF_RSP_OKAY;
      default:
        return BLKIF_RSP_ERROR;
    }
  }

  /** Both are whole numbers, rounded if above 2^53: then they are too large anyhow. */
  #within(sector: number, sectors: number): boolean {
    return sector <= this.#sectors && sectors <= this.#sectors - sector;
  }

  #indirect(refs: readonly GrantRef[], count: number): PagePart[] | undefined {
    const { kernel, domid } = this.#o;
    const pages = kernel.grants.mapPages(domid, refs, true, true);
    try {
      const copies = refs.map((_, i) => pages.page(i).slice());
      return indirectParts(copies, count);
    } finally {
      pages.unmap();
    }
  }

  *#transfer(write: boolean, sector: number, parts: readonly PagePart[]): Task<number> {
    const { kernel, domid, disk, writable } = this.#o;
    const size = totalBytes(parts);
    if ((write && !writable) || !this.#within(sector, size / SECTOR)) return BLKIF_RSP_ERROR;
    yield* this.#idle.until(() => this.#mapped + parts.length <= BlockLimits.mappedPages);
    const refs = parts.map((part) => part.ref);
    const pages = kernel.grants.mapPages(domid, refs, write, !write);
    this.#mapped += parts.length;
    try {
      const segments = gather(parts, pages);
      if (write) {
        yield* disk.writeFrom(sector * SECTOR, segments);
        return BLKIF_RSP_OKAY;
      }
      const got = yield* disk.readInto(sector * SECTOR, segments);
      // The processor must forget what it decoded from these pages: that is what taking the views does.
      for (let i = 0; i < pages.count; i++) pages.page(i);
      return got === size ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
    } finally {
      this.#mapped -= parts.length;
      this.#idle.wakeAll();
      pages.unmap();
    }
  }

  #respond(id: Id, operation: number, status: number): void {
    if (status !== BLKIF_RSP_OKAY) this.counts.errors++;
    const r = this.#responseView;
    r.id_lo = id.lo;
    r.id_hi = id.hi;
    r.operation = operation;
    r.status = status;
    this.#ring.respond(this.#response);
    this.#unpublished = true;
  }

  *#publishSoon(): Task {
    yield* yieldNow();
    if (!this.#stopped) this.#publish();
  }

  #publish(): void {
    if (!this.#unpublished) return;
    this.#unpublished = false;
    if (!this.#ring.publish()) return;
    try {
      this.#o.port.notify();
    } catch {
      // The guest has closed its end or is gone; its state will say so.
    }
  }
}

/** The parts as machine addresses, neighbours as one. */
function gather(parts: readonly PagePart[], pages: GrantedPages): Segment[] {
  const segments: { address: number; sizeBytes: number }[] = [];
  parts.forEach((part, i) => {
    const address = pages.address(i) + part.offset;
    const last = segments.at(-1);
    if (last !== undefined && last.address + last.sizeBytes === address) last.sizeBytes += part.sizeBytes;
    else segments.push({ address, sizeBytes: part.sizeBytes });
  });
  return segments;
}

// A connected frontend: takes requests off the ring, has the disk carry them out straight in the guest's pages, answers. Many
// are under way at once; each is an object of a pool, so that nothing is allocated for one. One thread takes requests and
// shows answers, all that there are at once; what isn't a mere transfer of data has a thread of its own.
//
// - A flush is answered after the disk's sync has returned, which covers every write that was answered before.
// - A request that is wrong is answered with an error. An index that makes no sense ends the connection: `broken`.

import {
  type Completion,
  type EventPort,
  type GrantedPages,
  type Kernel,
  type Pages,
  SegmentList,
  type Task,
  WaitQueue,
  yieldNow,
} from "../../../guests/sdk/index.ts";
import { XEN_EOPNOTSUPP } from "../../../shared/abi/errno.ts";
import { GNTST_okay } from "../../../shared/abi/grant_table.ts";
import {
  BLKIF_RSP_EOPNOTSUPP,
  BLKIF_RSP_ERROR,
  BLKIF_RSP_OKAY,
  BlkifRequest,
  BlkifResponse,
} from "../../../shared/abi/io/blkif.ts";
import type { DomId } from "../../../shared/brand.ts";
import { BackRing } from "../../../shared/request_ring.ts";
import type { Disk } from "./disk.ts";
import { type GuestPages, PersistentPages, RequestPages, TransientPages } from "./guest_pages.ts";
import { BlockLimits } from "./limits.ts";
import { BlockRequest, Kind, SECTOR } from "./request.ts";

export interface ConnectionOptions {
  readonly kernel: Kernel;
  readonly domid: DomId;
  readonly disk: Disk;
  readonly sectors: number;
  readonly writable: boolean;
  readonly discard: boolean;
  /** Whether the frontend uses its grants again and again. */
  readonly persistent: boolean;
  /** The ring's pages, mapped writable. */
  readonly ring: GrantedPages;
  readonly port: EventPort;
  /** Told once, when the frontend's index makes no sense. */
  broken(reason: string): void;
}

/** A request under way. */
class Transfer implements Completion {
  readonly request = new BlockRequest();
  readonly pages = new RequestPages();
  readonly segments = new SegmentList();
  readonly #ended: (transfer: Transfer, status: number) => void;
  /** Of a flush with data: the thread that waits for it. */
  waiter: WaitQueue | undefined = undefined;
  status: number | undefined = undefined;

  constructor(ended: (transfer: Transfer, status: number) => void) {
    this.#ended = ended;
  }

  completed(status: number): void {
    this.#ended(this, status);
  }
}

export class BlockConnection {
  readonly #o: ConnectionOptions;
  readonly #ring: BackRing;
  readonly #pages: GuestPages;
  #sectors: number;
  readonly #work = new WaitQueue();
  readonly #idle = new WaitQueue();
  readonly #slot = new Uint8Array(BlkifRequest.size);
  readonly #slotView = new DataView(this.#slot.buffer);
  readonly #response = new Uint8Array(BlkifResponse.size);
  readonly #responseView = BlkifResponse.at(new DataView(this.#response.buffer));
  readonly #pool: Transfer[] = [];
  /** Transfers that wait until fewer pages are in use. */
  readonly #waiting: Transfer[] = [];
  /** A copy of an indirect request's list. */
  readonly #list: Pages;
  /** There is something to take or to show. */
  #due = true;
  #stopped = false;
  #inFlight = 0;
  #mapped = 0;
  #unpublished = false;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    const { ring, port, sectors, kernel, domid, persistent } = options;
    this.#ring = new BackRing(
      Array.from({ length: ring.count }, (_, i) => ring.page(i)),
      BlkifRequest.size,
    );
    const { dma } = kernel.grants;
    this.#pages = persistent
      ? new PersistentPages(dma, domid, BlockLimits.mappedPages)
      : new TransientPages(dma, domid);
    this.#list = kernel.allocPages(1);
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
    this.#wake();
    for (const transfer of this.#waiting.splice(0)) this.#finish(transfer, BLKIF_RSP_ERROR);
    yield* this.#idle.until(() => this.#inFlight === 0);
    this.#pages.close();
    this.#list.free();
  }

  #wake(): void {
    this.#due = true;
    this.#work.wakeAll();
  }

  *#serve(): Task {
    while (!this.#stopped) {
      if (!this.#due) {
        yield* this.#work.wait();
        continue;
      }
      this.#due = false;
      while (this.#waiting.length > 0 && this.#fits(this.#waiting[0])) this.#move(this.#waiting.shift() as Transfer);
      if (!this.#takeSome()) {
        // Others have their turn first.
        this.#due = true;
        this.#publish();
        yield* yieldNow();
      } else this.#publish();
    }
  }

  /** Takes what there is. False when more may be left, true when a wake will come for whatever is. */
  #takeSome(): boolean {
    const { inFlight, requestsPerTurn } = BlockLimits;
    for (let taken = 0; this.#inFlight < inFlight; ) {
      const waiting = this.#ring.waiting();
      if (waiting < 0) {
        this.#stopped = true;
        this.#o.broken("the request index of its ring makes no sense");
        return true;
      }
      if (waiting === 0) {
        if (this.#ring.sleep()) continue;
        return true;
      }
      if (taken++ === requestsPerTurn) return false;
      this.#ring.take(this.#slot);
      this.#start();
    }
    return true;
  }

  /** Begins the request in the slot. */
  #start(): void {
    const transfer = this.#pool.pop() ?? new Transfer((t, status) => this.#ended(t, status));
    const { request } = transfer;
    request.parse(this.#slotView);
    this.#inFlight++;
    switch (request.kind) {
      case Kind.Indirect:
        if (this.#fetchList(request)) this.#begin(transfer);
        else this.#finish(transfer, BLKIF_RSP_ERROR);
        break;
      case Kind.Transfer:
        this.#begin(transfer);
        break;
      case Kind.Unknown:
      case Kind.Bad:
        this.#finish(transfer, request.kind === Kind.Bad ? BLKIF_RSP_ERROR : BLKIF_RSP_EOPNOTSUPP);
        break;
      default:
        this.#o.kernel.spawn("disk request", this.#command(transfer));
    }
  }

  #fetchList(request: BlockRequest): boolean {
    const { kernel, domid } = this.#o;
    const copied = kernel.grants.dma.copyFrom(domid, request.list, this.#list, request.listBytes);
    return copied === GNTST_okay && request.listed(this.#list.view);
  }

  /** Begins a transfer, or has it wait. */
  #begin(transfer: Transfer): void {
    const { write, sector, sectors } = transfer.request;
    if ((write && !this.#o.writable) || !this.#within(sector, sectors)) this.#finish(transfer, BLKIF_RSP_ERROR);
    else if (this.#waiting.length === 0 && this.#fits(transfer)) this.#move(transfer);
    else this.#waiting.push(transfer);
  }

  #within(sector: number, sectors: number): boolean {
    return sector <= this.#sectors && sectors <= this.#sectors - sector;
  }

  #fits({ request }: Transfer): boolean {
    return this.#mapped + request.parts <= BlockLimits.mappedPages;
  }

  #move(transfer: Transfer): void {
    const { request, pages, segments } = transfer;
    let mapped = false;
    try {
      mapped = this.#pages.map(request, pages);
      if (mapped) {
        this.#mapped += request.parts;
        segments.clear();
        for (let i = 0; i < request.parts; i++)
          segments.add(pages.mappings.addresses[i] + request.offsets[i], request.sizes[i]);
        this.#o.disk.move(request.write, request.sector * SECTOR, segments, transfer);
        return;
      }
    } catch (error) {
      // Such as no page for the list of segments: this request can't be, others may.
      this.#o.kernel.log(`disk of domain ${this.#o.domid}: ${error}`);
    }
    if (mapped) this.#ended(transfer, -1);
    else this.#finish(transfer, BLKIF_RSP_ERROR);
  }

  /** The disk has moved the data, or failed. */
  #ended(transfer: Transfer, status: number): void {
    const { request, pages, segments } = transfer;
    this.#pages.unmap(request, pages);
    this.#mapped -= request.parts;
    if (status === segments.sizeBytes) this.#finish(transfer, BLKIF_RSP_OKAY);
    else this.#finish(transfer, status === -XEN_EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR);
  }

  /** Flush and discard. */
  *#command(transfer: Transfer): Task {
    let status: number = BLKIF_RSP_ERROR;
    try {
      status =
        transfer.request.kind === Kind.Flush ? yield* this.#flush(transfer) : yield* this.#discard(transfer.request);
    } catch (error) {
      // A failure of the host: the guest is told, and its log or ours need not be filled.
      if (!(error instanceof Error)) throw error;
      const { code } = error as { code?: unknown };
      if (code === "EOPNOTSUPP") status = BLKIF_RSP_EOPNOTSUPP;
      else if (code === undefined) this.#o.kernel.log(`${error.stack ?? error}`);
    } finally {
      this.#finish(transfer, status);
    }
  }

  *#flush(transfer: Transfer): Task<number> {
    const { disk } = this.#o;
    yield* disk.sync();
    if (transfer.request.parts === 0) return BLKIF_RSP_OKAY;
    const waiter = new WaitQueue();
    transfer.waiter = waiter;
    transfer.status = undefined;
    this.#begin(transfer);
    yield* waiter.until(() => transfer.status !== undefined);
    if (transfer.status === BLKIF_RSP_OKAY) yield* disk.sync();
    return transfer.status as unknown as number;
  }

  *#discard({ sector, sectors }: BlockRequest): Task<number> {
    const { disk, discard, writable } = this.#o;
    if (!discard) return BLKIF_RSP_EOPNOTSUPP;
    if (!writable || !this.#within(sector, sectors)) return BLKIF_RSP_ERROR;
    if (sectors > 0) yield* disk.discard(sector * SECTOR, sectors * SECTOR);
    return BLKIF_RSP_OKAY;
  }

  /** The request is over: it is answered, unless a thread waits for this part of it. */
  #finish(transfer: Transfer, status: number): void {
    const { request, waiter } = transfer;
    if (waiter !== undefined) {
      transfer.waiter = undefined;
      transfer.status = status;
      waiter.wakeAll();
      return;
    }
    this.#inFlight--;
    if (!this.#stopped) {
      const r = this.#responseView;
      r.id_lo = request.idLo;
      r.id_hi = request.idHi;
      r.operation = request.operation;
      r.status = status;
      this.#ring.respond(this.#response);
      this.#unpublished = true;
      this.#wake();
    }
    this.#pool.push(transfer);
    if (this.#inFlight === 0) this.#idle.wakeAll();
  }

  #publish(): void {
    if (!this.#unpublished || this.#stopped) return;
    this.#unpublished = false;
    if (!this.#ring.publish()) return;
    try {
      this.#o.port.notify();
    } catch {
      // The guest has closed its end or is gone; its state will say so.
    }
  }
}

// A connected frontend: its two rings and event channel mapped, and the thread that serves them: in turn what it sends and
// what it receives, a batch each, so that no guest keeps dom0 to itself. All copies are done within a batch, so that nothing
// is under way when the guest dies or the device is taken away. Made by index.ts for each connection.

import {
  type EventPort,
  type Kernel,
  type Mapping,
  type Task,
  WaitQueue,
  yieldNow,
} from "../../../guests/sdk/index.ts";
import { NetifRxRequest, NetifTxRequest } from "../../../shared/abi/io/netif.ts";
import type { DomId, Port } from "../../../shared/brand.ts";
import { BackRing } from "../../../shared/request_ring.ts";
import type { Frame, FramePool } from "../../net/frame.ts";
import type { FrameQueue } from "../../net/queue.ts";
import type { Credit } from "../../net/rate.ts";
import { DeviceError } from "../backend.ts";
import { Copies } from "./copies.ts";
import { Rx, type RxFeatures } from "./rx.ts";
import { Tx } from "./tx.ts";

/** What the frontend wrote. */
export interface FrontNodes {
  readonly txRef: number;
  readonly rxRef: number;
  readonly port: number;
  readonly features: RxFeatures;
}

/** What the device has, connected or not. */
export interface Wires {
  readonly kernel: Kernel;
  readonly domid: DomId;
  readonly pool: FramePool;
  readonly queue: FrameQueue;
  readonly credit: Credit;
  /** A frame that the guest has sent. */
  receive(frame: Frame): void;
  /** The guest has broken the protocol. */
  fail(reason: string): void;
}

export class Connection {
  readonly #wires: Wires;
  readonly #mappings: Mapping[] = [];
  readonly #copies: Copies;
  readonly #port: EventPort;
  readonly #tx: Tx;
  readonly #rx: Rx;
  readonly #work = new WaitQueue();
  #stopped = false;

  /** Maps and binds; throws GrantError or XenError with nothing left mapped. */
  constructor(wires: Wires, name: string, front: FrontNodes) {
    const { kernel, domid, pool, queue, credit } = wires;
    this.#wires = wires;
    try {
      for (const ref of [front.txRef, front.rxRef]) this.#mappings.push(kernel.mapGrant(domid, ref, false));
      this.#port = kernel.events.bindInterdomain(domid, front.port as Port);
    } catch (error) {
      this.#unmap();
      throw error;
    }
    const [txPage, rxPage] = this.#mappings.map((mapping) => mapping.page(0));
    this.#copies = new Copies(kernel, domid);
    this.#tx = new Tx(new BackRing([txPage], NetifTxRequest.size), this.#copies, pool, credit);
    this.#rx = new Rx(new BackRing([rxPage], NetifRxRequest.size), this.#copies, queue, front.features);
    this.#port.onEvent = () => {
      this.#rx.retry();
      this.wake();
    };
    kernel.spawn(name, this.#run());
  }

  /** There is something for the guest. */
  wake(): void {
    this.#work.wakeOne();
  }

  /** Ends it; nothing of the guest's is in use afterwards. Again: nothing. */
  close(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#port.close();
    this.#unmap();
    this.#copies.free();
    this.#work.wakeAll();
  }

  *#run(): Task {
    while (!this.#stopped) {
      try {
        this.#turn();
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        this.#wires.fail(error.message);
        this.close();
        return;
      }
      if (this.#tx.ready || this.#rx.ready || this.#tx.sleep()) {
        yield* yieldNow();
        continue;
      }
      const { waitNs } = this.#tx;
      yield* this.#work.wait(waitNs > 0 ? waitNs : Infinity);
      this.#tx.retry();
    }
  }

  /** One batch in each direction. */
  #turn(): void {
    let notify = false;
    if (this.#tx.ready) notify = this.#tx.run(this.#wires.kernel.systemTimeNs(), this.#wires.receive);
    if (this.#rx.ready && this.#rx.run()) notify = true;
    if (!notify || this.#stopped) return;
    try {
      this.#port.notify();
    } catch {
      // The guest has closed its end or is gone: the store tells.
    }
  }

  #unmap(): void {
    for (const mapping of this.#mappings) mapping.unmap();
    this.#mappings.length = 0;
  }
}

// The dom0 side of one of the device queues: numbered steps and layout are in shared/devices.ts. A request is sent when there
// is a free entry, and whoever sent it is called when it is completed: nothing is allocated for that. Threads wait for an
// entry and for the completion (`submit`). What the host writes is checked: an index too far ahead, or an id that isn't
// outstanding, is an error in the host and stops the driver.

import type { DomId, Mfn } from "../../shared/brand.ts";
import {
  DEVICE_QUEUE_FRAMES,
  DeviceCompletion,
  type DeviceOp,
  DeviceRequest,
  DeviceSegment,
  DOORBELL_PORT,
  QUEUE_ENTRIES,
  QUEUE_MAGIC,
  QueueLayout,
  queueMfn,
} from "../../shared/devices.ts";
import type { Kernel } from "./kernel.ts";
import { PAGE_SIZE, type Pages } from "./pages.ts";
import type { SegmentList } from "./segments.ts";
import { type Task, WaitQueue } from "./threads.ts";

/** The fields of a request that differ from 0. */
export interface RequestFields {
  readonly op: DeviceOp;
  readonly handle?: number;
  readonly inputBytes?: number;
  readonly position?: number;
  readonly address?: number;
  readonly sizeBytes?: number;
}

/** Whoever sent a request. */
export interface Completion {
  /** It is over: called once, from the kernel's main loop, outside of any thread. `status` is as the operation says. */
  completed(status: number): void;
}

export class DeviceQueue {
  readonly #kernel: Kernel;
  readonly #number: number;
  readonly #words: Int32Array;
  readonly #request;
  readonly #completion;
  // Requests under way, by the low bits of their ids; the bits above count, so that ids tell which request was first.
  readonly #senders = new Array<Completion | undefined>(QUEUE_ENTRIES).fill(undefined);
  readonly #ids = new Uint32Array(QUEUE_ENTRIES);
  readonly #free = Uint8Array.from({ length: QUEUE_ENTRIES }, (_, i) => QUEUE_ENTRIES - 1 - i);
  /** Entries that are free. */
  space = QUEUE_ENTRIES;
  #sent = 0;
  /** The page with the segments of each request that has more than one; those that were used before are kept. */
  readonly #lists = new Array<Pages | undefined>(QUEUE_ENTRIES).fill(undefined);
  readonly #unused: Pages[] = [];
  readonly #doneIds = new Uint32Array(QUEUE_ENTRIES);
  readonly #doneStatuses = new Int32Array(QUEUE_ENTRIES);
  readonly #freed = new WaitQueue();

  /** Maps queue `number`, frames of `owner`. Throws XenError when this domain may not, and Error without devices. */
  constructor(kernel: Kernel, owner: DomId, number: number) {
    this.#kernel = kernel;
    this.#number = number;
    const mfns = Array.from({ length: DEVICE_QUEUE_FRAMES }, (_, i) => (queueMfn(number) + i) as Mfn);
    const bytes = kernel.mapForeign(owner, mfns, true).bytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    if (view.getUint32(QueueLayout.magic, true) !== QUEUE_MAGIC) throw new Error("this machine has no devices");
    this.#request = DeviceRequest.at(view, QueueLayout.submissions);
    this.#completion = DeviceCompletion.at(view, QueueLayout.completions);
  }

  /** Moves data to or from `segments` (1 to 256); only while there is `space`. */
  move(op: DeviceOp, handle: number, position: number, segments: SegmentList, sender: Completion): void {
    if (segments.count === 1) {
      this.#send(op, handle, 0, position, segments.address(0), segments.sizeBytes, 0, sender);
      return;
    }
    const list = this.#unused.pop() ?? this.#kernel.allocPages(1);
    this.#lists[this.#free[this.space - 1]] = list;
    const { view } = list;
    for (let i = 0, at = 0; i < segments.count; i++, at += DeviceSegment.size) {
      const address = segments.address(i);
      view.setUint32(at + DeviceSegment.offsets.address, address >>> 0, true);
      view.setUint32(at + DeviceSegment.offsets.address + 4, Math.floor(address / 2 ** 32), true);
      view.setUint32(at + DeviceSegment.offsets.sizeBytes, segments.size(i), true);
    }
    const at = list.mfn * PAGE_SIZE;
    this.#send(op, handle, 0, position, at, segments.sizeBytes, segments.count, sender);
  }

  /** The same for a thread. `segments` stay as they are until then. */
  *moved(op: DeviceOp, handle: number, position: number, segments: SegmentList): Task<number> {
    yield* this.#freed.until(() => this.space > 0);
    const waiter = new Waiter();
    this.move(op, handle, position, segments, waiter);
    return yield* waiter.wait();
  }

  /** Sends a request and waits for its status. If the thread is cancelled meanwhile, `pages` are freed at completion. */
  *submit(fields: RequestFields, pages?: Pages): Task<number> {
    const waiter = new Waiter();
    let sent = false;
    let taken = false;
    try {
      yield* this.#freed.until(() => this.space > 0);
      const { op, handle = 0, inputBytes = 0, position = 0, address = 0, sizeBytes = 0 } = fields;
      this.#send(op, handle, inputBytes, position, address, sizeBytes, 0, waiter);
      sent = true;
      const status = yield* waiter.wait();
      taken = true;
      return status;
    } finally {
      // Completed, and cancelled before it ran again: as if it had not been sent.
      if (!sent || (!taken && waiter.status !== undefined)) pages?.free();
      else if (!taken) waiter.orphan = pages;
    }
  }

  #send(
    op: DeviceOp,
    handle: number,
    inputBytes: number,
    position: number,
    address: number,
    sizeBytes: number,
    segments: number,
    sender: Completion,
  ): void {
    const slot = this.#free[--this.space];
    const id = ((this.#sent++ * QUEUE_ENTRIES) | slot) >>> 0;
    this.#ids[slot] = id;
    this.#senders[slot] = sender;
    const tail = Atomics.load(this.#words, QueueLayout.submitTail / 4);
    const request = this.#request.$at(QueueLayout.submissions + (tail & (QUEUE_ENTRIES - 1)) * DeviceRequest.size);
    request.id = id;
    request.op = op;
    request.segments = segments;
    request.handle = handle;
    request.inputBytes = inputBytes;
    request.position_num = position;
    request.address_num = address;
    request.sizeBytes = sizeBytes;
    Atomics.store(this.#words, QueueLayout.submitTail / 4, (tail + 1) | 0);
    const idle = Atomics.compareExchange(this.#words, QueueLayout.hostIdle / 4, 1, 0) === 1;
    if (idle || this.#words[QueueLayout.ringAlways / 4] === 1) this.#kernel.cpu.out(DOORBELL_PORT, this.#number);
  }

  /** Takes what was completed: at each interrupt. */
  drain(): void {
    let head = Atomics.load(this.#words, QueueLayout.completeHead / 4);
    let count = 0;
    for (; ; count++) {
      const waiting = (Atomics.load(this.#words, QueueLayout.completeTail / 4) - head) | 0;
      if (waiting === 0 || count === QUEUE_ENTRIES) break;
      if (waiting < 0 || waiting > QUEUE_ENTRIES) throw new Error(`device queue: ${waiting} completions at once`);
      const c = this.#completion.$at(QueueLayout.completions + (head & (QUEUE_ENTRIES - 1)) * DeviceCompletion.size);
      this.#insert(count, c.id, c.status);
      head = (head + 1) | 0;
      Atomics.store(this.#words, QueueLayout.completeHead / 4, head);
    }
    for (let i = 0; i < count; i++) this.#complete(this.#doneIds[i], this.#doneStatuses[i]);
  }

  /** Keeps the completions in the order of their requests, in which most of them come. */
  #insert(count: number, id: number, status: number): void {
    const ids = this.#doneIds;
    const statuses = this.#doneStatuses;
    let i = count;
    for (; i > 0 && ((ids[i - 1] - id) | 0) > 0; i--) {
      ids[i] = ids[i - 1];
      statuses[i] = statuses[i - 1];
    }
    ids[i] = id;
    statuses[i] = status;
  }

  #complete(id: number, status: number): void {
    const slot = id & (QUEUE_ENTRIES - 1);
    const sender = this.#senders[slot];
    if (sender === undefined || this.#ids[slot] !== id)
      throw new Error(`device queue: completion of ${id}, which is not outstanding`);
    const list = this.#lists[slot];
    if (list !== undefined) this.#unused.push(list);
    this.#lists[slot] = undefined;
    this.#senders[slot] = undefined;
    this.#free[this.space++] = slot;
    this.#freed.wakeOne();
    sender.completed(status);
  }
}

/** A thread that waits for its request. */
class Waiter implements Completion {
  status: number | undefined = undefined;
  /** Freed at completion when nobody waits any more. */
  orphan: Pages | undefined = undefined;
  readonly #done = new WaitQueue();

  *wait(): Task<number> {
    yield* this.#done.until(() => this.status !== undefined);
    return this.status as number;
  }

  completed(status: number): void {
    this.status = status;
    this.orphan?.free();
    this.#done.wakeAll();
  }
}

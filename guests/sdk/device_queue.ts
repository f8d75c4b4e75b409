// The dom0 side of the device queues: numbered steps and layout are in shared/devices.ts. Requests wait for a free entry,
// then for their completion. What the host writes is checked: an index too far ahead, or an id that isn't outstanding, is
// an error in the host and stops the driver.

import type { DomId, Mfn } from "../../shared/brand.ts";
import {
  DEVICE_PIRQ,
  DEVICE_QUEUE_FRAMES,
  DEVICE_QUEUE_MFN,
  DeviceCompletion,
  type DeviceOp,
  DeviceRequest,
  DeviceSegment,
  DOORBELL_PORT,
  MAX_SEGMENTS,
  QUEUE_ENTRIES,
  QUEUE_MAGIC,
  QueueLayout,
} from "../../shared/devices.ts";
import type { Segment } from "./host.ts";
import type { Kernel } from "./kernel.ts";
import { PAGE_SIZE, type Pages } from "./pages.ts";
import { type Task, WaitQueue } from "./threads.ts";

/** The fields of a request that differ from 0. */
export interface RequestFields {
  readonly op: DeviceOp;
  readonly handle?: number;
  readonly inputBytes?: number;
  readonly position?: number;
  readonly address?: number;
  readonly sizeBytes?: number;
  readonly segments?: number;
}

interface Outstanding {
  status: number | undefined;
  readonly done: WaitQueue;
  /** Freed at completion when nobody waits any more. */
  orphan: Pages | undefined;
}

export class DeviceQueue {
  readonly #kernel: Kernel;
  readonly #words: Int32Array;
  readonly #request;
  readonly #completion;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #free = new WaitQueue();
  #nextId = 1;

  /** Maps the queues, frames of `owner`. Throws XenError when this domain may not, and Error without devices. */
  constructor(kernel: Kernel, owner: DomId) {
    this.#kernel = kernel;
    const mfns = Array.from({ length: DEVICE_QUEUE_FRAMES }, (_, i) => (DEVICE_QUEUE_MFN + i) as Mfn);
    const bytes = kernel.mapForeign(owner, mfns, true).bytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    if (view.getUint32(QueueLayout.magic, true) !== QUEUE_MAGIC) throw new Error("this machine has no devices");
    this.#request = DeviceRequest.at(view, QueueLayout.submissions);
    this.#completion = DeviceCompletion.at(view, QueueLayout.completions);
    kernel.events.bindPirq(DEVICE_PIRQ).onEvent = () => this.#drain();
  }

  /** Sends a request and waits for its status. If the thread is cancelled meanwhile, `pages` are freed at completion. */
  *submit(fields: RequestFields, pages?: Pages): Task<number> {
    let entry: Outstanding | undefined;
    try {
      yield* this.#free.until(() => this.#outstanding.size < QUEUE_ENTRIES);
      const sent = this.#send(fields);
      entry = sent;
      yield* sent.done.until(() => sent.status !== undefined);
      return sent.status as number;
    } finally {
      if (entry === undefined) pages?.free();
      else if (entry.status === undefined) entry.orphan = pages;
    }
  }

  /** The same with scattered data; `list` is a page for the segment list, freed here. */
  *scatter(fields: RequestFields, segments: readonly Segment[], list: Pages): Task<number> {
    if (segments.length < 1 || segments.length > MAX_SEGMENTS) {
      list.free();
      throw new RangeError(`${segments.length} segments: 1 to ${MAX_SEGMENTS} are possible`);
    }
    const at = DeviceSegment.at(list.view);
    let sizeBytes = 0;
    segments.forEach((segment, i) => {
      at.$at(i * DeviceSegment.size);
      at.address_num = segment.address;
      at.sizeBytes = segment.sizeBytes;
      sizeBytes += segment.sizeBytes;
    });
    const address = list.mfn * PAGE_SIZE;
    const status = yield* this.submit({ ...fields, address, sizeBytes, segments: segments.length }, list);
    list.free();
    return status;
  }

  #send(fields: RequestFields): Outstanding {
    const tail = Atomics.load(this.#words, QueueLayout.submitTail / 4);
    const request = this.#request.$at(QueueLayout.submissions + (tail & (QUEUE_ENTRIES - 1)) * DeviceRequest.size);
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    request.id = id;
    request.op = fields.op;
    request.segments = fields.segments ?? 0;
    request.handle = fields.handle ?? 0;
    request.inputBytes = fields.inputBytes ?? 0;
    request.position_num = fields.position ?? 0;
    request.address_num = fields.address ?? 0;
    request.sizeBytes = fields.sizeBytes ?? 0;
    const entry: Outstanding = { status: undefined, done: new WaitQueue(), orphan: undefined };
    this.#outstanding.set(id, entry);
    Atomics.store(this.#words, QueueLayout.submitTail / 4, (tail + 1) | 0);
    const idle = Atomics.compareExchange(this.#words, QueueLayout.hostIdle / 4, 1, 0) === 1;
    if (idle || this.#words[QueueLayout.ringAlways / 4] === 1) this.#kernel.cpu.out(DOORBELL_PORT, 1);
    return entry;
  }

  #drain(): void {
    const done: { id: number; status: number }[] = [];
    let head = Atomics.load(this.#words, QueueLayout.completeHead / 4);
    for (;;) {
      const tail = Atomics.load(this.#words, QueueLayout.completeTail / 4);
      const count = (tail - head) | 0;
      if (count === 0) break;
      if (count < 0 || count > QUEUE_ENTRIES) throw new Error(`device queue: ${count} completions at once`);
      const c = this.#completion.$at(QueueLayout.completions + (head & (QUEUE_ENTRIES - 1)) * DeviceCompletion.size);
      done.push({ id: c.id, status: c.status });
      head = (head + 1) | 0;
      Atomics.store(this.#words, QueueLayout.completeHead / 4, head);
    }
    done.sort((a, b) => (a.id - b.id) | 0);
    for (const { id, status } of done) {
      const entry = this.#outstanding.get(id);
      if (entry === undefined) throw new Error(`device queue: completion of ${id}, which is not outstanding`);
      this.#outstanding.delete(id);
      entry.status = status;
      entry.orphan?.free();
      entry.done.wakeAll();
      this.#free.wakeOne();
    }
  }
}

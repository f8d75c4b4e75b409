// The host's end of one device queue (the protocol is in shared/devices.ts): takes requests as copies, gives the frames that
// they name, puts completions back and raises the interrupt. What a request asks for is its user's business: devices.ts on the
// main thread for queue 0, disk_thread.ts for a disk's own. Nothing that dom0 writes makes this throw but `Refused`.

import * as errno from "../../shared/abi/errno.ts";
import {
  ControlLayout,
  DEVICE_CONTROL_MFN,
  DEVICE_PIRQ,
  DeviceCompletion,
  DeviceRequest,
  DeviceSegment,
  FIRST_DMA_MFN,
  MAX_SEGMENTS,
  QUEUE_ENTRIES,
  QueueLayout,
  queueMfn,
} from "../../shared/devices.ts";

const PAGE = 4096;
const HIGH = 2 ** 32;
const TAIL = QueueLayout.submitTail / 4;
const HEAD = QueueLayout.submitHead / 4;
const IDLE = QueueLayout.hostIdle / 4;

export type Bytes = Uint8Array<SharedArrayBuffer>;

/** A failure with its errno, positive. */
export class Refused extends Error {
  readonly errno: number;
  constructor(number: number) {
    super(`errno ${number}`);
    this.errno = number;
  }
}

const NUMBERS = new Map(Object.entries(errno).map(([name, value]) => [name.slice(4), value]));

/** The errno, positive, of what a service has thrown. */
export function errnoOf(error: unknown): number {
  if (error instanceof Refused) return error.errno;
  const code = (error as { code?: unknown } | null)?.code;
  return (typeof code === "string" ? NUMBERS.get(code) : undefined) ?? errno.XEN_EIO;
}

/** A copy of a request's fields. */
export class QueueRequest {
  id = 0;
  op = 0;
  segments = 0;
  handle = 0;
  inputBytes = 0;
  /** Rounded above 2^53, as is `address`. */
  position = 0;
  address = 0;
  sizeBytes = 0;
}

export class QueueServer {
  /** All of the machine's memory. */
  readonly memory: Bytes;
  readonly #u32: Uint32Array;
  /** What the machine and all its devices share. */
  readonly control: Int32Array;
  readonly #queue: Int32Array;
  readonly #submissions: number;
  readonly #completions: number;
  /** Requests taken and not yet completed. */
  outstanding = 0;

  constructor(memory: WebAssembly.Memory, number: number) {
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    const start = queueMfn(number) * PAGE;
    this.memory = new Uint8Array(buffer);
    this.#u32 = new Uint32Array(buffer);
    this.control = new Int32Array(buffer, DEVICE_CONTROL_MFN * PAGE, ControlLayout.size / 4);
    this.#queue = new Int32Array(buffer, start, QueueLayout.size / 4);
    this.#submissions = (start + QueueLayout.submissions) / 4;
    this.#completions = (start + QueueLayout.completions) / 4;
  }

  /** Requests that wait; negative when dom0 has broken the index: it gets no answer until that is right again. */
  get waiting(): number {
    const count = (Atomics.load(this.#queue, TAIL) - Atomics.load(this.#queue, HEAD)) | 0;
    return count > QUEUE_ENTRIES || (count > 0 && this.outstanding >= QUEUE_ENTRIES) ? -1 : count;
  }

  /** Counts requests taken, modulo 2^32. */
  get taken(): number {
    return Atomics.load(this.#queue, HEAD);
  }

  /** Takes the next request; only when one is `waiting`. `taking` is called before dom0 can see that it was taken. */
  take(into: QueueRequest, taking?: (r: QueueRequest) => void): void {
    const head = Atomics.load(this.#queue, HEAD);
    const at = this.#submissions + (head & (QUEUE_ENTRIES - 1)) * (DeviceRequest.size / 4);
    const u32 = this.#u32;
    const { offsets } = DeviceRequest;
    const opAndSegments = u32[at + offsets.op / 4];
    into.id = u32[at + offsets.id / 4];
    into.op = opAndSegments & 0xffff;
    into.segments = opAndSegments >>> 16;
    into.handle = u32[at + offsets.handle / 4];
    into.inputBytes = u32[at + offsets.inputBytes / 4];
    into.position = u32[at + offsets.position / 4] + u32[at + offsets.position / 4 + 1] * HIGH;
    into.address = u32[at + offsets.address / 4] + u32[at + offsets.address / 4 + 1] * HIGH;
    into.sizeBytes = u32[at + offsets.sizeBytes / 4];
    taking?.(into);
    Atomics.store(this.#queue, HEAD, (head + 1) | 0);
    this.outstanding++;
  }

  /** Dom0 must ring from now on, which takes `hostIdle` to 0 again. False when there are requests already: look again. */
  idle(): boolean {
    Atomics.store(this.#queue, IDLE, 1);
    if (this.waiting <= 0) return true;
    // Requests came before the flag was seen. If dom0 has taken it, it rings; if not, they are ours.
    return Atomics.compareExchange(this.#queue, IDLE, 1, 0) !== 1;
  }

  /** After `idle()`: blocks the thread until dom0 rings. */
  sleep(): void {
    Atomics.wait(this.#queue, IDLE, 1);
  }

  /** After `idle()`: resolves when dom0 rings, at once if it has. */
  async rung(): Promise<void> {
    const waits = Atomics.waitAsync(this.#queue, IDLE, 1);
    if (waits.async) await waits.value;
  }

  /** Does what dom0 does when it rings. */
  ring(): void {
    Atomics.store(this.#queue, IDLE, 0);
    Atomics.notify(this.#queue, IDLE);
  }

  /** Does a device reach these bytes? */
  reaches(address: number, sizeBytes: number): boolean {
    return address >= FIRST_DMA_MFN * PAGE && address + sizeBytes <= this.memory.length;
  }

  /** The frames that a request names, as views. Throws Refused. */
  data({ address, sizeBytes, segments }: QueueRequest): Bytes[] {
    if (sizeBytes === 0) return [];
    if (segments === 0) return [this.#piece(address, sizeBytes)];
    const listBytes = segments * DeviceSegment.size;
    if (segments > MAX_SEGMENTS || (address % PAGE) + listBytes > PAGE) throw new Refused(errno.XEN_EINVAL);
    const list = DeviceSegment.at(new DataView(this.#piece(address, listBytes).slice().buffer));
    const pieces: Bytes[] = [];
    let total = 0;
    for (let i = 0; i < segments; i++) {
      list.$at(i * DeviceSegment.size);
      pieces.push(this.#piece(list.address_num, list.sizeBytes));
      total += list.sizeBytes;
    }
    if (total !== sizeBytes) throw new Refused(errno.XEN_EINVAL);
    return pieces;
  }

  #piece(address: number, sizeBytes: number): Bytes {
    if (!this.reaches(address, sizeBytes)) throw new Refused(errno.XEN_EFAULT);
    return this.memory.subarray(address, address + sizeBytes);
  }

  complete(id: number, status: number): void {
    const tail = Atomics.load(this.#queue, QueueLayout.completeTail / 4);
    const at = this.#completions + (tail & (QUEUE_ENTRIES - 1)) * (DeviceCompletion.size / 4);
    this.#u32[at + DeviceCompletion.offsets.id / 4] = id;
    this.#u32[at + DeviceCompletion.offsets.status / 4] = status;
    // At most QUEUE_ENTRIES requests are taken and not completed, so the entry is free unless dom0 doesn't take what is
    // its own; then it loses its own answers.
    Atomics.store(this.#queue, QueueLayout.completeTail / 4, (tail + 1) | 0);
    this.outstanding--;
  }

  /**
   * Raises the queues' interrupt and wakes the machine; `ended` requests are no longer worked on. In this order the machine
   * always sees one of them: work going on, an interrupt, or the doorbell.
   */
  interrupt(ended: number): void {
    Atomics.or(this.control, ControlLayout.lines / 4, 1 << DEVICE_PIRQ);
    if (ended !== 0) Atomics.sub(this.control, ControlLayout.busy / 4, ended);
    Atomics.add(this.control, ControlLayout.doorbell / 4, 1);
    Atomics.notify(this.control, ControlLayout.doorbell / 4);
  }
}

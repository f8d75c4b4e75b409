// The devices: the host's end of the queues of shared/devices.ts (the protocol is there). Requests are copied, checked and
// carried out by the services that are injected: Node's files and terminal (files.ts, terminal.ts), or simulated ones in a
// test. Data moves straight between the services and machine frames. A request that is wrong gets an errno; nothing that
// dom0 writes makes this throw. Called at each ring.

import { pack, unpack } from "msgpackr";
import * as errno from "../../shared/abi/errno.ts";
import {
  ControlLayout,
  DEVICE_CONTROL_MFN,
  DEVICE_PIRQ,
  DEVICE_QUEUE_FRAMES,
  DEVICE_QUEUE_MFN,
  DeviceCompletion,
  DeviceOp,
  DeviceRequest,
  DeviceSegment,
  type FileInfo,
  type HostConfig,
  type KernelModule,
  MAX_SEGMENTS,
  type OpenedFile,
  QUEUE_ENTRIES,
  QueueLayout,
  type TerminalInfo,
} from "../../shared/devices.ts";

const PAGE = 4096;
type Bytes = Uint8Array<SharedArrayBuffer>;
/** A value, or a promise of it: a service that answers at once is answered for at once. */
type Soon<T> = T | PromiseLike<T>;

/** Files of the host. Errors are thrown with a `code` such as "ENOENT". */
export interface FileService {
  open(path: string, mode: "r" | "r+" | "w"): Soon<OpenedFile>;
  /** Fills `into` in order from `position`; fewer bytes only at the end of the file. */
  read(handle: number, into: Bytes[], position: number): Soon<number>;
  write(handle: number, from: Bytes[], position: number): Soon<number>;
  /** Resolves when all writes that were completed before are on stable storage. */
  sync(handle: number): Soon<void>;
  /** So many bytes from `position` are no longer needed, and read as zeros from then on. */
  discard(handle: number, position: number, sizeBytes: number): Soon<void>;
  close(handle: number): Soon<void>;
  stat(path: string): Soon<FileInfo>;
  list(path: string): Soon<string[]>;
}

/** The terminal, or standard input and output. */
export interface TerminalService {
  info(): TerminalInfo;
  /** Up to `limit` bytes when there are any; none at the end of input. */
  read(limit: number): Soon<Uint8Array>;
  /** Resolves when the bytes are on their way. The bytes are a copy. */
  write(bytes: Uint8Array): Soon<void>;
  resized(): Soon<TerminalInfo>;
}

/** Streams of Ethernet frames to neighbours outside of the machine. */
export interface NetService {
  /** Errors are thrown with a `code`. */
  open(spec: string): Soon<number>;
  /** Waits for whole frames, each after its length (32 bits, big-endian), at most `limit` bytes; none at the end. */
  read(handle: number, limit: number): Soon<Uint8Array>;
  /** Frames in the same form. What the neighbour is too slow for is dropped. The bytes are a copy. */
  write(handle: number, bytes: Uint8Array): void;
  close(handle: number): Soon<void>;
}

/** Byte streams to programs of the host, one at a time for each. */
export interface ChannelService {
  /** Errors are thrown with a `code`. */
  open(path: string): Soon<number>;
  /** Waits for bytes, at most `limit`; none when the channel is closed. */
  read(handle: number, limit: number): Soon<Uint8Array>;
  /** Resolves when somebody is connected who had room for the bytes, which are a copy. */
  write(handle: number, bytes: Uint8Array): Soon<void>;
  /** `last` goes to whoever is connected. */
  close(handle: number, last: Uint8Array): Soon<void>;
}

/** Kernels in TypeScript as texts. */
export interface KernelService {
  /** The handle is one of the files'. Errors that are no person's are thrown with a `code`. */
  bundle(path: string): Soon<KernelModule>;
}

export interface HostServices {
  readonly files: FileService;
  readonly terminal: TerminalService;
  /** Undefined: nothing outside can be reached. */
  readonly net?: NetService;
  /** Undefined: no channels. */
  readonly channels?: ChannelService | undefined;
  /** Undefined: the machine runs none. */
  readonly kernels?: KernelService | undefined;
  readonly config: HostConfig;
  /** Appends to a log; undefined when none are kept. */
  readonly log: ((name: string, bytes: Uint8Array) => Soon<void>) | undefined;
  /** Dom0 asks the machine to end. */
  exit(status: number): void;
}

interface Request {
  readonly id: number;
  readonly op: number;
  readonly handle: number;
  readonly inputBytes: number;
  readonly position: number;
  readonly address: number;
  readonly data: Bytes[];
  readonly sizeBytes: number;
}

/** For `npm start`: a doorbell and the way through two event loops take about as long. */
export const LINGER_MS = 0.1;

/** A failure with its errno, positive. */
class Refused extends Error {
  readonly errno: number;
  constructor(number: number) {
    super(`errno ${number}`);
    this.errno = number;
  }
}

const NUMBERS = new Map(Object.entries(errno).map(([name, value]) => [name.slice(4), value]));

export class DeviceHost {
  readonly #services: HostServices;
  readonly #memory: Bytes;
  readonly #view: DataView;
  readonly #control: Int32Array;
  readonly #queue: Int32Array;
  readonly #limit: number;
  readonly #lingerMs: number;
  #lingerUntil = 0;
  #lingering = false;
  /** Requests taken and not yet completed. */
  outstanding = 0;

  /**
   * With `lingerMs` the host looks for further requests itself for so long after the last one, at each turn of its event loop:
   * meanwhile dom0 need not ring, which costs both sides more than the request itself.
   */
  constructor(memory: WebAssembly.Memory, services: HostServices, lingerMs = 0) {
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.#services = services;
    this.#lingerMs = lingerMs;
    this.#memory = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#control = new Int32Array(buffer, DEVICE_CONTROL_MFN * PAGE, ControlLayout.size / 4);
    this.#queue = new Int32Array(buffer, DEVICE_QUEUE_MFN * PAGE, QueueLayout.size / 4);
    this.#limit = buffer.byteLength;
  }

  /** Takes and starts every request there is, then lets dom0 know that the next one must ring. */
  serve(): void {
    for (;;) {
      const before = Atomics.load(this.#queue, QueueLayout.submitHead / 4);
      const broken = !this.#take();
      if (!broken && this.#lingerMs > 0 && this.#linger(before)) return;
      Atomics.store(this.#queue, QueueLayout.hostIdle / 4, 1);
      const head = Atomics.load(this.#queue, QueueLayout.submitHead / 4);
      if (broken || Atomics.load(this.#queue, QueueLayout.submitTail / 4) === head) return;
      // Requests came before the flag was seen. If dom0 has taken it, it rings; if not, they are ours.
      if (Atomics.compareExchange(this.#queue, QueueLayout.hostIdle / 4, 1, 0) !== 1) return;
    }
  }

  /** True while there is reason to expect more soon; then `serve` is called again at the next turn of the event loop. */
  #linger(before: number): boolean {
    const now = performance.now();
    if (Atomics.load(this.#queue, QueueLayout.submitHead / 4) !== before) this.#lingerUntil = now + this.#lingerMs;
    if (now >= this.#lingerUntil) return false;
    if (!this.#lingering) {
      this.#lingering = true;
      setImmediate(() => {
        this.#lingering = false;
        this.serve();
      });
    }
    return true;
  }

  /** The machine's main-loop counter, and whether it sleeps: for the watchdog. */
  pulse(): { heartbeat: number; running: boolean } {
    return {
      heartbeat: Atomics.load(this.#control, ControlLayout.heartbeat / 4),
      running: Atomics.load(this.#control, ControlLayout.running / 4) === 1,
    };
  }

  /** False when dom0 has broken the index: it gets no answer until that is right again. */
  #take(): boolean {
    let head = Atomics.load(this.#queue, QueueLayout.submitHead / 4);
    for (;;) {
      const count = (Atomics.load(this.#queue, QueueLayout.submitTail / 4) - head) | 0;
      if (count === 0) return true;
      if (count < 0 || count > QUEUE_ENTRIES || this.outstanding >= QUEUE_ENTRIES) return false;
      const at = DEVICE_QUEUE_MFN * PAGE + QueueLayout.submissions + (head & (QUEUE_ENTRIES - 1)) * DeviceRequest.size;
      const copy = new DataView(this.#memory.slice(at, at + DeviceRequest.size).buffer);
      const waits = this.#waitsForPerson(copy);
      if (!waits) Atomics.add(this.#control, ControlLayout.busy / 4, 1);
      head = (head + 1) | 0;
      Atomics.store(this.#queue, QueueLayout.submitHead / 4, head);
      this.outstanding++;
      this.#start(copy, waits);
    }
  }

  #waitsForPerson(copy: DataView): boolean {
    const { op } = DeviceRequest.at(copy);
    return (
      op === DeviceOp.TtyResize ||
      op === DeviceOp.NetRead ||
      op === DeviceOp.ChannelRead ||
      op === DeviceOp.ChannelWrite ||
      (op === DeviceOp.TtyRead && this.#services.terminal.info().isTTY)
    );
  }

  #start(copy: DataView, waits: boolean): void {
    const r = DeviceRequest.at(copy);
    const done = (status: number): void => {
      this.#complete(r.id, status);
      this.#wake(waits ? 0 : 1);
    };
    const failed = (error: unknown): void => done(-errnoOf(error));
    try {
      const data = this.#data(r.address_num, r.sizeBytes, r.segments);
      const { id, op, handle, inputBytes, position_num: position, address_num: address, sizeBytes } = r;
      if (position > Number.MAX_SAFE_INTEGER || inputBytes > sizeBytes) throw new Refused(errno.XEN_EINVAL);
      const status = this.#perform({ id, op, handle, inputBytes, position, address, data, sizeBytes });
      if (typeof status === "number") done(status);
      else status.then(done, failed);
    } catch (error) {
      failed(error);
    }
  }

  /** The frames that a request names, as views. Those below the queues' end are the machine's own. */
  #data(address: number, sizeBytes: number, segments: number): Bytes[] {
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
    const first = (DEVICE_QUEUE_MFN + DEVICE_QUEUE_FRAMES) * PAGE;
    if (!(address >= first && address + sizeBytes <= this.#limit)) throw new Refused(errno.XEN_EFAULT);
    return this.#memory.subarray(address, address + sizeBytes);
  }

  #perform(r: Request): Soon<number> {
    const { files, terminal, config, log } = this.#services;
    switch (r.op) {
      case DeviceOp.FileOpen: {
        const { path, mode } = input(r);
        if (mode !== "r" && mode !== "r+" && mode !== "w") throw new Refused(errno.XEN_EINVAL);
        return then(files.open(text(path), mode), (file) => reply(r, file));
      }
      case DeviceOp.FileRead:
        return files.read(r.handle, r.data, r.position);
      case DeviceOp.FileWrite:
        return files.write(r.handle, r.data, r.position);
      case DeviceOp.FileSync:
        return then(files.sync(r.handle), () => 0);
      case DeviceOp.FileDiscard:
        if (r.address > Number.MAX_SAFE_INTEGER - r.position) throw new Refused(errno.XEN_EINVAL);
        return then(files.discard(r.handle, r.position, r.address), () => 0);
      case DeviceOp.FileClose:
        return then(files.close(r.handle), () => 0);
      case DeviceOp.FileStat:
        return then(files.stat(text(input(r).path)), (info) => reply(r, info));
      case DeviceOp.FileList:
        return then(files.list(text(input(r).path)), (names) => reply(r, names));
      case DeviceOp.LogAppend: {
        if (log === undefined) throw new Refused(errno.XEN_ENODEV);
        const name = text(input(r).name);
        if (!/^[\w.-]{1,100}$/.test(name) || /^\.+$/.test(name)) throw new Refused(errno.XEN_EINVAL);
        return then(log(name, this.#copy(r).subarray(r.inputBytes)), () => r.sizeBytes - r.inputBytes);
      }
      case DeviceOp.TtyInfo:
        return reply(r, terminal.info());
      case DeviceOp.TtyRead:
        if (r.data.length !== 1) throw new Refused(errno.XEN_EINVAL);
        return then(terminal.read(r.sizeBytes), (bytes) => {
          r.data[0].set(bytes);
          return bytes.length;
        });
      case DeviceOp.TtyWrite:
        return then(terminal.write(this.#copy(r)), () => r.sizeBytes);
      case DeviceOp.TtyResize:
        return then(terminal.resized(), (info) => reply(r, info));
      case DeviceOp.Exit:
        Atomics.store(this.#control, ControlLayout.stop / 4, 1);
        this.#services.exit(r.handle & 0xff);
        return 0;
      case DeviceOp.Config:
        return reply(r, config);
      case DeviceOp.KernelBundle:
        if (this.#services.kernels === undefined) throw new Refused(errno.XEN_ENODEV);
        return then(this.#services.kernels.bundle(text(input(r).path)), (module) => reply(r, module));
      case DeviceOp.NetOpen:
        return this.#net().open(text(input(r).spec));
      case DeviceOp.NetRead:
        if (r.data.length !== 1) throw new Refused(errno.XEN_EINVAL);
        return then(this.#net().read(r.handle, r.sizeBytes), (bytes) => {
          r.data[0].set(bytes);
          return bytes.length;
        });
      case DeviceOp.NetWrite:
        this.#net().write(r.handle, this.#copy(r));
        return r.sizeBytes;
      case DeviceOp.NetClose:
        return then(this.#net().close(r.handle), () => 0);
      case DeviceOp.ChannelOpen:
        return this.#channels().open(text(input(r).path));
      case DeviceOp.ChannelRead:
        if (r.data.length !== 1) throw new Refused(errno.XEN_EINVAL);
        return then(this.#channels().read(r.handle, r.sizeBytes), (bytes) => {
          r.data[0].set(bytes);
          return bytes.length;
        });
      case DeviceOp.ChannelWrite:
        return then(this.#channels().write(r.handle, this.#copy(r)), () => r.sizeBytes);
      case DeviceOp.ChannelClose:
        return then(this.#channels().close(r.handle, this.#copy(r)), () => 0);
      default:
        throw new Refused(errno.XEN_ENOSYS);
    }
  }

  #net(): NetService {
    if (this.#services.net === undefined) throw new Refused(errno.XEN_ENODEV);
    return this.#services.net;
  }

  #channels(): ChannelService {
    if (this.#services.channels === undefined) throw new Refused(errno.XEN_ENODEV);
    return this.#services.channels;
  }

  #copy(r: Request): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(r.sizeBytes);
    let at = 0;
    for (const piece of r.data) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  #complete(id: number, status: number): void {
    const tail = Atomics.load(this.#queue, QueueLayout.completeTail / 4);
    const at = DEVICE_QUEUE_MFN * PAGE + QueueLayout.completions + (tail & (QUEUE_ENTRIES - 1)) * DeviceCompletion.size;
    this.#view.setUint32(at, id, true);
    this.#view.setInt32(at + 4, status, true);
    // At most QUEUE_ENTRIES requests are taken and not completed, so the entry is free unless dom0 doesn't take what is
    // its own; then it loses its own answers.
    Atomics.store(this.#queue, QueueLayout.completeTail / 4, (tail + 1) | 0);
    this.outstanding--;
  }

  /**
   * Raises the queues' interrupt and wakes the machine; `ended` requests are no longer worked on. In this order the machine
   * always sees one of them: work going on, an interrupt, or the doorbell.
   */
  #wake(ended: number): void {
    Atomics.or(this.#control, ControlLayout.lines / 4, 1 << DEVICE_PIRQ);
    Atomics.sub(this.#control, ControlLayout.busy / 4, ended);
    Atomics.add(this.#control, ControlLayout.doorbell / 4, 1);
    Atomics.notify(this.#control, ControlLayout.doorbell / 4);
  }
}

function then<T>(value: Soon<T>, map: (value: T) => number): Soon<number> {
  return isLater(value) ? value.then(map) : map(value);
}

function isLater<T>(value: Soon<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && "then" in value;
}

/** The structured part of a request: always an object, whatever dom0 wrote. */
function input(r: Request): Record<string, unknown> {
  if (r.data.length !== 1) throw new Refused(errno.XEN_EINVAL);
  let value: unknown;
  try {
    value = unpack(r.data[0].slice(0, r.inputBytes));
  } catch {
    throw new Refused(errno.XEN_EINVAL);
  }
  if (typeof value !== "object" || value === null) throw new Refused(errno.XEN_EINVAL);
  return value as Record<string, unknown>;
}

function text(value: unknown): string {
  if (typeof value !== "string" || value.includes("\0")) throw new Refused(errno.XEN_EINVAL);
  return value;
}

function reply(r: Request, value: unknown): number {
  const bytes = pack(value);
  if (r.data.length !== 1) throw new Refused(errno.XEN_EINVAL);
  if (bytes.length > r.sizeBytes) throw new Refused(errno.XEN_ENOBUFS);
  r.data[0].set(bytes);
  return bytes.length;
}

function errnoOf(error: unknown): number {
  if (error instanceof Refused) return error.errno;
  const code = (error as { code?: unknown } | null)?.code;
  return (typeof code === "string" ? NUMBERS.get(code) : undefined) ?? errno.XEN_EIO;
}

// The devices: what the requests of queue 0 ask for (queue_server.ts has the queue itself). They are checked and carried out
// by the services that are injected: Node's files and terminal (files.ts, terminal.ts), or simulated ones in a
// test. Data moves straight between the services and machine frames. A request that is wrong gets an errno; nothing that
// dom0 writes makes this throw. Called at each ring.

import { pack, unpack } from "msgpackr";
import * as errno from "../../shared/abi/errno.ts";
import {
  ControlLayout,
  DeviceOp,
  type FileInfo,
  type HostConfig,
  type KernelModule,
  type OpenedFile,
  type OpenedNet,
  type TerminalInfo,
} from "../../shared/devices.ts";
import { type Bytes, errnoOf, QueueRequest, QueueServer, Refused } from "./queue_server.ts";

/** A value, or a promise of it: a service that answers at once is answered for at once. */
type Soon<T> = T | PromiseLike<T>;

/** Files of the host. Errors are thrown with a `code` such as "ENOENT". */
export interface FileService {
  /** With `disk` there will be many reads and writes. */
  open(path: string, mode: "r" | "r+" | "w", disk: boolean): Soon<OpenedFile>;
  /** Fills `into` in order from `position`; fewer bytes only at the end of the file. */
  read(handle: number, into: Bytes[], position: number): Soon<number>;
  write(handle: number, from: Bytes[], position: number): Soon<number>;
  /** Resolves when all writes that were completed before are on stable storage. */
  sync(handle: number): Soon<void>;
  /** So many bytes from `position` are no longer needed, and read as zeros from then on. */
  discard(handle: number, position: number, sizeBytes: number): Soon<void>;
  close(handle: number): Soon<void>;
  /** Bytes that it has by now. */
  size(handle: number): Soon<number>;
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
  /** Errors' messages are lines for a person. */
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

interface Request extends QueueRequest {
  readonly data: Bytes[];
}

/** For `npm start`: a doorbell and the way through two event loops take about as long. */
export const LINGER_MS = 0.1;
/** Characters of a reason, which must fit into dom0's page. */
const MAX_LINE = 500;

export class DeviceHost {
  readonly #services: HostServices;
  readonly #queue: QueueServer;
  readonly #lingerMs: number;
  #lingerUntil = 0;
  #lingering = false;

  /**
   * With `lingerMs` the host looks for further requests itself for so long after the last one, at each turn of its event loop:
   * meanwhile dom0 need not ring, which costs both sides more than the request itself.
   */
  constructor(memory: WebAssembly.Memory, services: HostServices, lingerMs = 0) {
    this.#services = services;
    this.#lingerMs = lingerMs;
    this.#queue = new QueueServer(memory, 0);
  }

  /** Requests taken and not yet completed. */
  get outstanding(): number {
    return this.#queue.outstanding;
  }

  /** Takes and starts every request there is, then lets dom0 know that the next one must ring. */
  serve(): void {
    do {
      const before = this.#queue.taken;
      while (this.#queue.waiting > 0) this.#start();
      if (this.#queue.waiting === 0 && this.#lingerMs > 0 && this.#linger(before)) return;
    } while (!this.#queue.idle());
  }

  /** True while there is reason to expect more soon; then `serve` is called again at the next turn of the event loop. */
  #linger(before: number): boolean {
    const now = performance.now();
    if (this.#queue.taken !== before) this.#lingerUntil = now + this.#lingerMs;
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
    const { control } = this.#queue;
    return {
      heartbeat: Atomics.load(control, ControlLayout.heartbeat / 4),
      running: Atomics.load(control, ControlLayout.running / 4) === 1,
    };
  }

  #waitsForPerson(op: number): boolean {
    return (
      op === DeviceOp.TtyResize ||
      op === DeviceOp.NetRead ||
      op === DeviceOp.ChannelRead ||
      op === DeviceOp.ChannelWrite ||
      (op === DeviceOp.TtyRead && this.#services.terminal.info().isTTY)
    );
  }

  #start(): void {
    const queue = this.#queue;
    const r = new QueueRequest();
    let busy = 0;
    queue.take(r, () => {
      busy = this.#waitsForPerson(r.op) ? 0 : 1;
      Atomics.add(queue.control, ControlLayout.busy / 4, busy);
    });
    const done = (status: number): void => {
      queue.complete(r.id, status);
      queue.interrupt(busy);
    };
    const failed = (error: unknown): void => done(-errnoOf(error));
    try {
      const request: Request = Object.assign(r, { data: queue.data(r) });
      if (r.position > Number.MAX_SAFE_INTEGER || r.inputBytes > r.sizeBytes) throw new Refused(errno.XEN_EINVAL);
      const status = this.#perform(request);
      if (typeof status === "number") done(status);
      else status.then(done, failed);
    } catch (error) {
      failed(error);
    }
  }

  #perform(r: Request): Soon<number> {
    const { files, terminal, config, log } = this.#services;
    switch (r.op) {
      case DeviceOp.FileOpen: {
        const { path, mode, disk } = input(r);
        if (mode !== "r" && mode !== "r+" && mode !== "w") throw new Refused(errno.XEN_EINVAL);
        return then(files.open(text(path), mode, disk === true), (file) => reply(r, file));
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
      case DeviceOp.FileSize:
        return then(files.size(Number(input(r).handle)), (size) => reply(r, { size }));
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
        Atomics.store(this.#queue.control, ControlLayout.stop / 4, 1);
        this.#services.exit(r.handle & 0xff);
        return 0;
      case DeviceOp.Config:
        return reply(r, config);
      case DeviceOp.KernelBundle:
        if (this.#services.kernels === undefined) throw new Refused(errno.XEN_ENODEV);
        return then(this.#services.kernels.bundle(text(input(r).path)), (module) => reply(r, module));
      case DeviceOp.NetOpen:
        return joined(this.#net(), text(input(r).spec)).then((opened) => reply(r, opened));
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
}

async function joined(net: NetService, spec: string): Promise<OpenedNet> {
  try {
    return { handle: await net.open(spec) };
  } catch (error) {
    const line = error instanceof Error ? error.message : String(error);
    return { error: line.slice(0, MAX_LINE) };
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

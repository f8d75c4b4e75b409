// Dom0's driver for the machine's devices (shared/devices.ts): typed calls that suspend the calling thread until the host
// has answered. Only dom0 can map the queues. Data passes through buffers in dom0's own pages, or goes straight to and
// from frames that the caller names (`readInto`). Errors of the host are thrown as HostError.
//
// A thread that is cancelled while the host works leaves its buffer to the request: it is freed when the host is done.

import { pack, unpack } from "msgpackr";
import { XEN_ENOMEM, XEN_ENOSPC } from "../../shared/abi/errno.ts";
import { DOMID_IO } from "../../shared/abi/xen.ts";
import type { DomId } from "../../shared/brand.ts";
import {
  DEVICE_PIRQ,
  DeviceOp,
  type FileInfo,
  type HostConfig,
  type KernelModule,
  type OpenedFile,
  type OpenedNet,
} from "../../shared/devices.ts";
import { type Completion, DeviceQueue } from "./device_queue.ts";
import type { EventPort } from "./events.ts";
import type { Kernel } from "./kernel.ts";
import { PAGE_SIZE, type Pages } from "./pages.ts";
import { type Segment, SegmentList } from "./segments.ts";
import { Terminal } from "./terminal.ts";
import type { Task } from "./threads.ts";
import { errnoName } from "./xen.ts";

export type { FileInfo, TerminalInfo } from "../../shared/devices.ts";

/** What the host answered instead: `code` is the error's usual name, "ENOENT". */
export class HostError extends Error {
  override readonly name = "HostError";
  readonly errno: number;
  readonly code: string;
  constructor(what: string, status: number) {
    const code = errnoName(-status);
    super(`${what}: ${code}`);
    this.errno = -status;
    this.code = code;
  }
}

const CHUNK_PAGES = 64;
const CHUNK = CHUNK_PAGES * PAGE_SIZE;
/** Frames moved at once: more than the longest. */
const NET_CHUNK = 17 * PAGE_SIZE;

export class Host {
  readonly #kernel: Kernel;
  readonly #queues: (DeviceQueue | undefined)[] = [];
  #port: EventPort | undefined = undefined;
  /** The terminal of `npm start`, or its standard input and output. */
  readonly tty: Terminal;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.tty = new Terminal(this);
  }

  /** The whole file. For large ones, `open` and read in pieces. */
  *readFile(path: string): Task<Uint8Array> {
    return yield* this.#readAll(yield* this.open(path));
  }

  /** All of an open file, which is closed then. */
  *#readAll(file: HostFile): Task<Uint8Array> {
    try {
      const parts: Uint8Array[] = [];
      let at = 0;
      for (;;) {
        const part = yield* file.read(at, CHUNK);
        if (part.length > 0) parts.push(part);
        at += part.length;
        if (part.length < CHUNK) break;
      }
      const whole = new Uint8Array(at);
      let to = 0;
      for (const part of parts) {
        whole.set(part, to);
        to += part.length;
      }
      return whole;
    } finally {
      yield* file.close();
    }
  }

  *stat(path: string): Task<FileInfo> {
    return (yield* this.structured(DeviceOp.FileStat, path, { path }, 1)) as FileInfo;
  }

  /** Names in a directory, folders with a slash at the end; at most what fits in 256 KiB. */
  *list(path: string): Task<string[]> {
    return (yield* this.structured(DeviceOp.FileList, path, { path }, CHUNK_PAGES)) as string[];
  }

  /** Opens a host file; relative paths begin where the machine was started. "w" empties it or makes it. */
  *open(path: string, mode: "r" | "r+" | "w" = "r"): Task<HostFile> {
    return yield* this.#openFile({ path, mode });
  }

  /** The same for what a disk is made of: it may get a queue and a thread of the host to itself. */
  *openDisk(path: string, mode: "r" | "r+"): Task<HostFile> {
    return yield* this.#openFile({ path, mode, disk: true });
  }

  /** In a thread of its own: when who waits is cancelled, what is opened then is closed again. */
  *#openFile(request: { path: string; mode: string; disk?: true }): Task<HostFile> {
    const { path } = request;
    const result: { file?: HostFile; error?: unknown; wanted: boolean } = { wanted: true };
    const open = function* (host: Host): Task {
      try {
        result.file = new HostFile(
          host,
          path,
          (yield* host.structured(DeviceOp.FileOpen, path, request, 1)) as OpenedFile,
        );
      } catch (error) {
        result.error = error;
      }
      if (!result.wanted) yield* result.file?.close() ?? [];
    };
    const thread = this.#kernel.spawn(`open ${path}`, open(this));
    let file: HostFile | undefined;
    try {
      yield* thread.join();
      file = result.file;
      if (file === undefined) throw result.error;
      return file;
    } finally {
      result.wanted = false;
      if (file === undefined && result.file !== undefined) this.spawn(result.file.close());
    }
  }

  /** Appends to the log `name` (letters, digits, `-._`), if the machine keeps logs; else nothing. */
  *appendLog(name: string, text: string | Uint8Array): Task {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    const head = pack({ name });
    const room = CHUNK - head.length;
    for (let at = 0; at < bytes.length; at += room) {
      const piece = bytes.subarray(at, at + room);
      const size = head.length + piece.length;
      const pages = this.buffer(size);
      pages.bytes.set(head);
      pages.bytes.set(piece, head.length);
      const status = yield* this.transfer(DeviceOp.LogAppend, pages, size, { inputBytes: head.length }, () => 0);
      if (errnoName(-status) === "ENODEV") return;
      if (status < 0) throw new HostError(`log ${name}`, status);
    }
  }

  *config(): Task<HostConfig> {
    return (yield* this.structured(DeviceOp.Config, "configuration", {}, 1)) as HostConfig;
  }

  /** The kernel's module at `path` as one text, for a script image; throws HostError, ENODEV where none are run. */
  *bundleKernel(path: string): Task<{ name: string; text: Uint8Array } | { error: string }> {
    const module = (yield* this.structured(DeviceOp.KernelBundle, path, { path }, 1)) as KernelModule;
    if ("error" in module) return module;
    const text = yield* this.#readAll(new HostFile(this, path, module));
    return { name: module.name, text };
  }

  /** Joins a neighbour outside of the machine, or says why not; the forms of `spec` are in dom0/host/net.ts. */
  *openNet(spec: string): Task<HostNet | { readonly error: string }> {
    const opened = (yield* this.structured(DeviceOp.NetOpen, spec, { spec }, 1)) as OpenedNet;
    return "error" in opened ? opened : new HostNet(this, spec, opened.handle);
  }

  /** A byte stream at a listening unix socket of the host. */
  *openChannel(path: string): Task<HostChannel> {
    const handle = yield* this.#openHandle(DeviceOp.ChannelOpen, path, { path });
    return new HostChannel(this, path, handle);
  }

  /** A request in msgpack that is answered by a handle. */
  *#openHandle(op: DeviceOp, what: string, input: object): Task<number> {
    const pages = this.buffer(PAGE_SIZE);
    const request = pack(input);
    pages.bytes.set(request);
    const fields = { inputBytes: request.length };
    const handle = yield* this.transfer(op, pages, request.length, fields, (n) => n);
    if (handle < 0) throw new HostError(what, handle);
    return handle;
  }

  /** Ends the machine: the process exits with `status` when what was written before is out. */
  *exit(status: number): Task<never> {
    yield* this.request(DeviceOp.Exit, { handle: status });
    for (;;) yield { queues: [], timeoutNs: Infinity };
  }

  /** @internal A request without data → status. */
  *request(op: DeviceOp, fields: { handle?: number; position?: number; address?: number }): Task<number> {
    return yield* this.queue(0).submit({ op, ...fields });
  }

  /** @internal Own pages as a DMA buffer. */
  buffer(sizeBytes: number): Pages {
    return this.#kernel.allocPages(Math.max(1, Math.ceil(sizeBytes / PAGE_SIZE)));
  }

  /** @internal Sends the first `sizeBytes` of `pages` and frees them when the host is done; `read` sees them before that. */
  *transfer<T>(
    op: DeviceOp,
    pages: Pages,
    sizeBytes: number,
    fields: { handle?: number; position?: number; inputBytes?: number },
    read: (status: number) => T,
  ): Task<number | T> {
    const address = pages.mfn * PAGE_SIZE;
    const status = yield* this.queue(0).submit({ op, address, sizeBytes, ...fields }, pages);
    try {
      return status < 0 ? status : read(status);
    } finally {
      pages.free();
    }
  }

  /** @internal A request in msgpack, answered in msgpack. */
  *structured(op: DeviceOp, what: string, request: object, replyPages: number): Task<unknown> {
    const input = pack(request);
    const size = Math.max(input.length, replyPages * PAGE_SIZE);
    const pages = this.buffer(size);
    pages.bytes.set(input);
    const reply = yield* this.transfer<Uint8Array>(op, pages, size, { inputBytes: input.length }, (status) =>
      pages.bytes.slice(0, status),
    );
    if (typeof reply === "number") throw new HostError(what, reply);
    return unpack(reply);
  }

  /** @internal Queue `n`, mapped when it is first used. */
  queue(n: number): DeviceQueue {
    this.#queues[n] ??= new DeviceQueue(this.#kernel, DOMID_IO as DomId, n);
    if (this.#port === undefined) {
      this.#port = this.#kernel.events.bindPirq(DEVICE_PIRQ);
      this.#port.onEvent = () => {
        for (const queue of this.#queues) queue?.drain();
      };
    }
    return this.#queues[n];
  }

  /** @internal For what must wait until there is an entry. */
  spawn(code: Task): void {
    this.#kernel.spawn("device request", code);
  }
}

/** An open file of the host. */
export class HostFile {
  readonly #host: Host;
  readonly path: string;
  /** When it was opened; of a block device its capacity. */
  readonly sizeBytes: number;
  /** The same for two paths to one file or device; undefined when nothing else can be the same. */
  readonly identity: string | undefined;
  readonly #handle: number;
  /** For data. */
  readonly #queue: DeviceQueue;

  constructor(host: Host, path: string, { handle, size, identity, queue = 0 }: OpenedFile) {
    this.#host = host;
    this.path = path;
    this.#handle = handle;
    this.sizeBytes = size;
    this.identity = identity;
    this.#queue = host.queue(queue);
  }

  /** Up to `sizeBytes` (at most 256 KiB at once) from `position`; fewer only at the end of the file. */
  *read(position: number, sizeBytes: number): Task<Uint8Array> {
    const size = Math.min(sizeBytes, CHUNK);
    const pages = this.#host.buffer(size);
    const fields = { handle: this.#handle, position };
    const data = yield* this.#host.transfer<Uint8Array>(DeviceOp.FileRead, pages, size, fields, (n) =>
      pages.bytes.slice(0, n),
    );
    if (typeof data === "number") throw new HostError(this.path, data);
    return data;
  }

  /**
   * Begins to read straight into machine memory, or to write (`write`) from there. `sender` is told the bytes that were moved, of
   * reads fewer only at the end of the file, or a negative errno; `segments` stay as they are until then.
   */
  move(write: boolean, position: number, segments: SegmentList, sender: Completion): void {
    const op = write ? DeviceOp.FileWrite : DeviceOp.FileRead;
    const queue = this.#queue;
    if (queue.space > 0) queue.move(op, this.#handle, position, segments, sender);
    else
      this.#host.spawn(
        (function* (handle): Task {
          let status = -XEN_ENOMEM;
          try {
            status = yield* queue.moved(op, handle, position, segments);
          } finally {
            sender.completed(status);
          }
        })(this.#handle),
      );
  }

  /** Reads straight into machine memory, up to 256 segments; returns the bytes read, fewer only at the end of the file. */
  *readInto(position: number, segments: readonly Segment[]): Task<number> {
    return yield* this.#moved(DeviceOp.FileRead, position, segments);
  }

  /** Writes all of `bytes` at `position`. */
  *write(position: number, bytes: Uint8Array): Task {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const piece = bytes.subarray(at, at + CHUNK);
      const pages = this.#host.buffer(piece.length);
      pages.bytes.set(piece);
      const fields = { handle: this.#handle, position: position + at };
      const status = yield* this.#host.transfer(DeviceOp.FileWrite, pages, piece.length, fields, (n) => n);
      if (status < 0) throw new HostError(this.path, status);
    }
  }

  /** Writes straight from machine memory, up to 256 segments, all of it. */
  *writeFrom(position: number, segments: readonly Segment[]): Task {
    const size = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
    if ((yield* this.#moved(DeviceOp.FileWrite, position, segments)) !== size)
      throw new HostError(this.path, -XEN_ENOSPC);
  }

  *#moved(op: DeviceOp, position: number, segments: readonly Segment[]): Task<number> {
    const list = new SegmentList();
    for (const { address, sizeBytes } of segments) list.add(address, sizeBytes);
    const status = yield* this.#queue.moved(op, this.#handle, position, list);
    if (status < 0) throw new HostError(this.path, status);
    return status;
  }

  /** Returns when everything that was written before is on stable storage. */
  *sync(): Task {
    this.#check(yield* this.#host.request(DeviceOp.FileSync, { handle: this.#handle }));
  }

  /** Gives the storage of a range back; it reads as zeros. Throws EOPNOTSUPP where the host can't. */
  *discard(position: number, sizeBytes: number): Task {
    const fields = { handle: this.#handle, position, address: sizeBytes };
    this.#check(yield* this.#host.request(DeviceOp.FileDiscard, fields));
  }

  /** Bytes that it has by now; of an export since its server was last met. */
  *sizeNow(): Task<number> {
    const { size } = (yield* this.#host.structured(DeviceOp.FileSize, this.path, { handle: this.#handle }, 1)) as {
      readonly size: number;
    };
    return size;
  }

  #check(status: number): void {
    if (status < 0) throw new HostError(this.path, status);
  }

  *close(): Task {
    yield* this.#host.request(DeviceOp.FileClose, { handle: this.#handle });
  }
}

/** A stream of Ethernet frames, each after its length in four bytes, big-endian. */
export class HostNet {
  readonly #host: Host;
  readonly #spec: string;
  readonly #handle: number;

  constructor(host: Host, spec: string, handle: number) {
    this.#host = host;
    this.#spec = spec;
    this.#handle = handle;
  }

  /** Waits for frames and gives them to `read`, whole, while the buffer lasts; false at the end of the stream. */
  *read(read: (bytes: Uint8Array<SharedArrayBuffer>) => void): Task<boolean> {
    const pages = this.#host.buffer(NET_CHUNK);
    const fields = { handle: this.#handle };
    const got = yield* this.#host.transfer(DeviceOp.NetRead, pages, NET_CHUNK, fields, (n) => {
      read(pages.bytes.subarray(0, n));
      return n;
    });
    if (got < 0) throw new HostError(this.#spec, got);
    return got > 0;
  }

  /** `fill` puts frames into the buffer it is given and returns how many bytes they are. */
  *write(fill: (bytes: Uint8Array<SharedArrayBuffer>) => number): Task {
    const pages = this.#host.buffer(NET_CHUNK);
    const size = fill(pages.bytes);
    const status = yield* this.#host.transfer(DeviceOp.NetWrite, pages, size, { handle: this.#handle }, (n) => n);
    if (status < 0) throw new HostError(this.#spec, status);
  }

  *close(): Task {
    yield* this.#host.request(DeviceOp.NetClose, { handle: this.#handle });
  }
}

/** A byte stream to programs of the host, one at a time. */
export class HostChannel {
  readonly #host: Host;
  readonly #path: string;
  readonly #handle: number;

  constructor(host: Host, path: string, handle: number) {
    this.#host = host;
    this.#path = path;
    this.#handle = handle;
  }

  /** Waits for bytes, at most a page; none when the channel was closed. */
  *read(): Task<Uint8Array> {
    const pages = this.#host.buffer(PAGE_SIZE);
    const fields = { handle: this.#handle };
    const got = yield* this.#host.transfer<Uint8Array>(DeviceOp.ChannelRead, pages, PAGE_SIZE, fields, (n) =>
      pages.bytes.slice(0, n),
    );
    if (typeof got === "number") throw new HostError(this.#path, got);
    return got;
  }

  /** Waits until a program is connected and has room. */
  *write(bytes: Uint8Array): Task {
    const status = yield* this.#send(DeviceOp.ChannelWrite, bytes);
    if (status < 0) throw new HostError(this.#path, status);
  }

  /** `last` goes to whoever is connected; nobody waits for it to be taken. Calls that wait end. */
  *close(last: Uint8Array): Task {
    yield* this.#send(DeviceOp.ChannelClose, last);
  }

  *#send(op: DeviceOp, bytes: Uint8Array): Task<number> {
    const pages = this.#host.buffer(bytes.length);
    pages.bytes.set(bytes);
    return yield* this.#host.transfer(op, pages, bytes.length, { handle: this.#handle }, (n) => n);
  }
}

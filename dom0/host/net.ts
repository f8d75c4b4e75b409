// Neighbours of the machine: streams of Ethernet frames over a socket, in the form of QEMU's `-netdev stream` and of passt
// (each frame after its length, 32 bits, big-endian). Used by the devices for dom0's uplinks. No root is needed. Forms:
//
//   passt[,OPTION...]      starts passt, which gives guests the host's network; OPTIONs are passt's own ("-t", "8080:80")
//   unix:PATH              connects to a socket; again each second while nobody is there
//   listen:unix:PATH       waits for one neighbour at a time
//   tcp:HOST:PORT, listen:tcp:HOST:PORT    the same over TCP
//
// A neighbour that is slow or away loses frames, as on a wire; it delays nobody.

import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NetService } from "./devices.ts";
import { FrameSplitter } from "./frame_splitter.ts";
import { type Address, listen } from "./listener.ts";
import { fault } from "./raw_file.ts";

/** Between two attempts to reach a neighbour. */
const RETRY_MS = 1000;
/** Bytes on their way to a neighbour above which frames are dropped. */
const MAX_UNSENT = 1 << 20;
/** Bytes received and not yet taken by dom0 above which the socket isn't read. */
const MAX_UNREAD = 1 << 20;
const MAX_OPEN = 64;
const NOBODY = 65534;

export class NodeNet implements NetService {
  readonly #open = new Map<number, Stream>();
  #next = 1;

  async open(spec: string): Promise<number> {
    if (this.#open.size >= MAX_OPEN) throw fault("EMFILE", "too many uplinks");
    const stream = spec === "passt" || spec.startsWith("passt,") ? new PasstStream(spec) : streamOf(spec);
    await stream.start();
    const handle = this.#next++;
    this.#open.set(handle, stream);
    return handle;
  }

  read(handle: number, limit: number): Promise<Uint8Array> {
    return this.#stream(handle).read(limit);
  }

  write(handle: number, bytes: Uint8Array): void {
    this.#stream(handle).write(bytes);
  }

  close(handle: number): void {
    const stream = this.#stream(handle);
    this.#open.delete(handle);
    stream.close();
  }

  /** Ends all: for the end of the process. */
  closeAll(): void {
    for (const handle of [...this.#open.keys()]) this.close(handle);
  }

  #stream(handle: number): Stream {
    const stream = this.#open.get(handle);
    if (stream === undefined) throw fault("EBADF", `uplink ${handle}`);
    return stream;
  }
}

function addressOf(text: string): Address | undefined {
  if (text.startsWith("unix:") && text.length > 5) return { path: text.slice(5) };
  const tcp = /^tcp:(.+):(\d{1,5})$/.exec(text);
  return tcp && Number(tcp[2]) <= 65535
    ? { host: tcp[1].replace(/^\[(.*)\]$/, "$1"), port: Number(tcp[2]) }
    : undefined;
}

function streamOf(spec: string): Stream {
  const listens = spec.startsWith("listen:");
  const address = addressOf(listens ? spec.slice(7) : spec);
  if (address === undefined) throw fault("EINVAL", `uplink "${spec}"`);
  return listens ? new ListeningStream(address) : new ConnectingStream(address);
}

/** The two queues of a stream, whatever makes its socket. */
abstract class Stream {
  protected closed = false;
  #socket: Socket | undefined = undefined;
  #splitter = new FrameSplitter();
  #waiting: { limit: number; resolve: (bytes: Uint8Array) => void } | undefined = undefined;

  abstract start(): Promise<void>;
  /** The neighbour has gone. */
  protected abstract lost(): void;

  read(limit: number): Promise<Uint8Array> {
    if (this.#waiting !== undefined || this.closed) throw fault("EBUSY", "uplink");
    return new Promise((resolve) => {
      this.#waiting = { limit, resolve };
      this.#feed();
    });
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket !== undefined && socket.writableLength < MAX_UNSENT) socket.write(bytes);
  }

  close(): void {
    this.closed = true;
    this.#socket?.destroy();
    this.#waiting?.resolve(new Uint8Array(0));
    this.#waiting = undefined;
  }

  /** Takes a connected socket into use. One that breaks the form is dropped. */
  protected use(socket: Socket): void {
    this.#socket = socket;
    this.#splitter = new FrameSplitter();
    socket.setNoDelay(true);
    socket.on("data", (bytes) => {
      if (!this.#splitter.add(bytes)) socket.destroy();
      else if (this.#splitter.size > MAX_UNREAD) socket.pause();
      this.#feed();
    });
    socket.on("error", () => {}); // "close" follows.
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (!this.closed) this.lost();
    });
  }

  protected get connected(): boolean {
    return this.#socket !== undefined;
  }

  #feed(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const bytes = this.#splitter.take(waiting.limit);
    if (bytes.length === 0) return;
    this.#waiting = undefined;
    if (this.#splitter.size <= MAX_UNREAD) this.#socket?.resume();
    waiting.resolve(bytes);
  }
}

class ConnectingStream extends Stream {
  readonly #address: Address;

  constructor(address: Address) {
    super();
    this.#address = address;
  }

  /** The first attempt may fail: the neighbour may come later. */
  async start(): Promise<void> {
    await this.#attempt();
  }

  protected override lost(): void {
    setTimeout(() => this.#attempt(), RETRY_MS).unref();
  }

  #attempt(): Promise<void> {
    if (this.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const socket = connect(this.#address);
      const failed = (): void => {
        this.lost();
        resolve();
      };
      socket.once("error", failed);
      socket.once("connect", () => {
        socket.off("error", failed);
        if (this.closed) socket.destroy();
        else this.use(socket);
        resolve();
      });
    });
  }
}

class ListeningStream extends Stream {
  readonly #address: Address;
  #server: Server | undefined = undefined;

  constructor(address: Address) {
    super();
    this.#address = address;
  }

  async start(): Promise<void> {
    this.#server = await listen(this.#address, (socket) => {
      if (this.connected || this.closed) socket.destroy();
      else this.use(socket);
    });
  }

  protected override lost(): void {
    // The next neighbour connects.
  }

  override close(): void {
    super.close();
    this.#server?.close();
  }
}

/** Undefined while nobody listens there. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("error", () => resolve(undefined));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

/** passt as a child, in a folder of its own: it gives up root's rights, and must still be able to write its socket. */
class PasstStream extends Stream {
  readonly #options: string[];
  readonly #folder = mkdtempSync(join(tmpdir(), "xenolith-passt-"));
  #child: ChildProcess | undefined = undefined;
  #runs = 0;

  constructor(spec: string) {
    super();
    this.#options = spec.split(",").slice(1);
    if (process.getuid?.() === 0) chownSync(this.#folder, NOBODY, NOBODY);
  }

  async start(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  protected override lost(): void {
    this.#child?.kill();
    setTimeout(() => this.#run().catch(() => this.lost()), RETRY_MS).unref();
  }

  override close(): void {
    super.close();
    this.#child?.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run(): Promise<void> {
    if (this.closed) return;
    const path = join(this.#folder, `${this.#runs++}.sock`);
    const options = ["--foreground", "--one-off", "--quiet", "--mtu", "1500", "--socket", path, ...this.#options];
    const child = spawn("passt", options, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-4000);
    });
    let ended: Error | undefined;
    child.once("error", (error: NodeJS.ErrnoException) => {
      ended = fault(error.code ?? "EIO", "passt can't be started");
    });
    child.once("exit", () => {
      const line =
        said.split("\n").findLast((text) => text !== "" && !text.startsWith("Failed to send")) ?? "no reason";
      ended ??= fault("EIO", `passt has ended: ${line}`);
    });
    // Its socket has a name before anybody listens there.
    for (let waited = 0; ; waited += 10) {
      const socket = await connected(path);
      if (socket !== undefined) {
        if (this.closed) socket.destroy();
        else this.use(socket);
        return;
      }
      if (ended !== undefined) throw ended;
      if (waited > 5000) throw fault("ETIMEDOUT", "passt does not open its socket");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

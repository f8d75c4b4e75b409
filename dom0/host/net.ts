// Neighbours of the machine: streams of Ethernet frames over a socket, in the form of QEMU's `-netdev stream` and of passt
// (each frame after its length, 32 bits, big-endian). Used by the devices for dom0's uplinks. Forms:
//
//   passt[,OPTION...]      starts passt, which gives guests the host's network; OPTIONs are passt's own ("-t", "8080:80")
//   unix:PATH              connects to a socket; again each second while nobody is there
//   listen:unix:PATH       waits for one neighbour at a time
//   tcp:HOST:PORT, listen:tcp:HOST:PORT    the same over TCP
//   tap:NAME               a network interface of the host, where that is permitted (tap.ts)
//
// A neighbour that is slow or away loses frames, as on a wire; it delays nobody.

import { connect, type Server } from "node:net";
import type { NetService } from "./devices.ts";
import { type Address, listen } from "./listener.ts";
import { PasstStream } from "./passt.ts";
import { fault } from "./raw_file.ts";
import { RETRY_MS, Stream } from "./stream.ts";
import { TapStream } from "./tap.ts";

const MAX_OPEN = 64;

export class NodeNet implements NetService {
  readonly #open = new Map<number, Stream>();
  #next = 1;

  async open(spec: string): Promise<number> {
    if (this.#open.size >= MAX_OPEN) throw fault("EMFILE", "too many uplinks");
    const stream = streamOf(spec);
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
  if (spec === "passt" || spec.startsWith("passt,")) return new PasstStream(spec);
  if (spec.startsWith("tap:")) return new TapStream(spec);
  const listens = spec.startsWith("listen:");
  const address = addressOf(listens ? spec.slice(7) : spec);
  if (address === undefined) throw fault("EINVAL", `uplink "${spec}"`);
  return listens ? new ListeningStream(address) : new ConnectingStream(address);
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

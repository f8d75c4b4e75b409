// Channels of guests at listening unix sockets: a clean stream of bytes between a guest and a program of the host. Used by the
// devices for dom0's console backend.
//
// One program is served at a time; the next is served when it has gone, from where it left off. What the guest writes waits
// while nobody is connected or the program is slow, and a program that the guest is too slow for isn't read. A program that
// has ended its own side (shutdown of writing) is served until it closes: Node shows no difference, a write of nothing does.

import type { Server, Socket } from "node:net";
import type { ChannelService } from "./devices.ts";
import { HostLimits } from "./limits.ts";
import { listen } from "./listener.ts";
import { fault } from "./raw_file.ts";

const NOTHING = new Uint8Array(0);
/** How often a program that has ended its side is asked whether it is still there. */
const PROBE_MS = 100;

export class NodeChannels implements ChannelService {
  readonly #open = new Map<number, Channel>();
  #opening = 0;
  #next = 1;

  async open(path: string): Promise<number> {
    if (this.#open.size + this.#opening >= HostLimits.channels) throw fault("EMFILE", "too many channels");
    const channel = new Channel();
    this.#opening++;
    try {
      await channel.start(path);
    } finally {
      this.#opening--;
    }
    const handle = this.#next++;
    this.#open.set(handle, channel);
    return handle;
  }

  read(handle: number, limit: number): Promise<Uint8Array> {
    return this.#channel(handle).read(limit);
  }

  write(handle: number, bytes: Uint8Array): Promise<void> {
    return this.#channel(handle).write(bytes);
  }

  close(handle: number, last: Uint8Array): void {
    const channel = this.#channel(handle);
    this.#open.delete(handle);
    channel.close(last);
  }

  /** Ends all: for the end of the process. */
  closeAll(): void {
    for (const handle of [...this.#open.keys()]) this.close(handle, NOTHING);
  }

  #channel(handle: number): Channel {
    const channel = this.#open.get(handle);
    if (channel === undefined) throw fault("EBADF", `channel ${handle}`);
    return channel;
  }
}

interface Write {
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
}

class Channel {
  #server: Server | undefined = undefined;
  #peer: Socket | undefined = undefined;
  readonly #waitingPeers: Socket[] = [];
  /** Writes for which nobody is connected. */
  readonly #held: Write[] = [];
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #reader: { readonly limit: number; readonly resolve: (bytes: Uint8Array) => void } | undefined = undefined;

  async start(path: string): Promise<void> {
    const options = { pauseOnConnect: true, allowHalfOpen: true };
    this.#server = await listen({ path }, (socket) => this.#arrive(socket), options);
  }

  read(limit: number): Promise<Uint8Array> {
    if (this.#reader !== undefined) throw fault("EBUSY", "channel");
    return new Promise((resolve) => {
      this.#reader = { limit, resolve };
      this.#feed();
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#send({ bytes, resolve }));
  }

  close(last: Uint8Array): void {
    const server = this.#server;
    this.#server = undefined;
    server?.close();
    for (const peer of this.#waitingPeers.splice(0)) peer.destroy();
    // What it sends from now on is for nobody; it must be read all the same, so that its end is seen.
    this.#peer?.removeAllListeners("data").resume().end(last);
    this.#peer = undefined;
    for (const { resolve } of this.#held.splice(0)) resolve();
    this.#reader?.resolve(NOTHING);
    this.#reader = undefined;
  }

  #arrive(socket: Socket): void {
    socket.on("error", () => {}); // "close" follows.
    if (this.#server === undefined || this.#waitingPeers.length >= HostLimits.waitingPeers) socket.destroy();
    else if (this.#peer === undefined) this.#use(socket);
    else this.#waitingPeers.push(socket);
  }

  #use(socket: Socket): void {
    this.#peer = socket;
    socket.on("data", (bytes) => {
      this.#unread.push(bytes);
      this.#unreadBytes += bytes.length;
      if (this.#unreadBytes > HostLimits.channelUnread) socket.pause();
      this.#feed();
    });
    let probing: NodeJS.Timeout | undefined;
    socket.once("end", () => {
      // "close" follows when it turns out to have closed.
      const probe = (): void => void (socket.writable && socket.writableLength === 0 && socket.write(NOTHING));
      probe();
      probing = setInterval(probe, PROBE_MS).unref();
    });
    socket.once("close", () => {
      clearInterval(probing);
      if (this.#peer !== socket) return;
      this.#peer = undefined;
      const next = this.#waitingPeers.shift();
      if (next !== undefined) this.#use(next);
    });
    if (this.#unreadBytes <= HostLimits.channelUnread) socket.resume();
    for (const write of this.#held.splice(0)) this.#send(write);
  }

  /** Bytes that a program didn't take before it went are lost with it; those that come when it has gone are not. */
  #send(write: Write): void {
    const peer = this.#peer;
    if (this.#server === undefined) write.resolve();
    else if (!peer?.writable) this.#held.push(write);
    else
      peer.write(NOTHING, (error) => {
        if (error || peer !== this.#peer) this.#send(write);
        else peer.write(write.bytes, () => write.resolve());
      });
  }

  #feed(): void {
    const reader = this.#reader;
    if (reader === undefined || this.#unreadBytes === 0) return;
    this.#reader = undefined;
    const whole = this.#unread.length === 1 ? this.#unread[0] : Buffer.concat(this.#unread);
    const taken = whole.subarray(0, reader.limit);
    const rest = whole.subarray(taken.length);
    this.#unread = rest.length === 0 ? [] : [rest];
    this.#unreadBytes = rest.length;
    if (this.#unreadBytes <= HostLimits.channelUnread) this.#peer?.resume();
    reader.resolve(taken);
  }
}

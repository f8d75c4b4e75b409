// Channels of guests at listening unix sockets: a clean stream of bytes between a guest and a program of the host. Used by the
// devices for dom0's console backend.
//
// One program is served at a time; the next is served when it has gone, from where it left off. What the guest writes waits
// while nobody is connected or the program is slow, and a program that the guest is too slow for isn't read.

import type { Server, Socket } from "node:net";
import type { ChannelService } from "./devices.ts";
import { HostLimits } from "./limits.ts";
import { listen } from "./listener.ts";
import { fault } from "./raw_file.ts";

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
    for (const handle of [...this.#open.keys()]) this.close(handle, new Uint8Array(0));
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
    this.#server = await listen({ path }, (socket) => this.#arrive(socket), { pauseOnConnect: true });
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
    this.#reader?.resolve(new Uint8Array(0));
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
    socket.once("close", () => {
      if (this.#peer !== socket) return;
      this.#peer = undefined;
      const next = this.#waitingPeers.shift();
      if (next !== undefined) this.#use(next);
    });
    if (this.#unreadBytes <= HostLimits.channelUnread) socket.resume();
    for (const write of this.#held.splice(0)) this.#send(write);
  }

  /** Bytes that a program which has gone didn't take are lost with it. */
  #send(write: Write): void {
    if (this.#peer?.writable) this.#peer.write(write.bytes, () => write.resolve());
    else this.#held.push(write);
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

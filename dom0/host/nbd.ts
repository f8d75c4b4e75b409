// A disk of a network block device's server (the NBD protocol, doc/proto.md of nbd: fixed newstyle handshake, simple replies):
// qemu-nbd and nbdkit serve qcow2, VMDK, remote and compressed images so. Opened by the paths nbd:unix:SOCKET,
// nbd:HOST:PORT, each with :exportname=NAME if wanted (QEMU's form), nbd://HOST[:PORT]/NAME and nbd+unix:///NAME?socket=SOCKET.
// Made by files.ts. Left out: TLS, structured replies, block sizes above 512.
//
// A connection that breaks is made again, and what wasn't answered is asked again. A server may have lost writes that it had
// answered but not flushed: those are kept here until a flush has covered them, and are written again first. The export may have
// another size then, as the protocol has no other way to tell of one: what lies past a new end fails, or is forgotten.

import { connect, type Socket } from "node:net";
import { type Export, type NbdAddress, negotiate, parseAddress, Reader } from "./nbd_handshake.ts";
import type { Bytes, OpenFile } from "./open_file.ts";
import { fault } from "./raw_file.ts";

const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const Command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4 } as const;
type Command = (typeof Command)[keyof typeof Command];
const Flag = { readOnly: 2, flush: 4, trim: 32 } as const;
const HEADER = 28;
const REPLY = 16;
/** Above this much unflushed data a flush is sent on our own account. */
const KEPT_BYTES = 32 * 1048576;
/** How long a lost server is looked for, and how often. */
const LOST_MS = 60_000;
const RETRY_MS = 250;
/** Errors of the protocol that have names; others are EIO. */
const ERRORS: Readonly<Record<number, string>> = {
  1: "EPERM",
  12: "ENOMEM",
  22: "EINVAL",
  28: "ENOSPC",
  95: "EOPNOTSUPP",
};

interface Request {
  readonly command: Command;
  readonly position: number;
  readonly sizeBytes: number;
  /** What is written, or where what is read goes. */
  readonly data: readonly Uint8Array[];
  readonly done: (error: Error | undefined) => void;
}

interface Kept {
  readonly position: number;
  readonly data: Uint8Array;
}

export class NbdDisk implements OpenFile {
  readonly identity: string;
  readonly #address: NbdAddress;
  #export: Export = { size: 0, flags: 0 };
  #socket: Socket | undefined = undefined;
  /** Sent or to be sent, in order; the number is the cookie. */
  readonly #outstanding = new Map<number, Request>();
  #next = 1;
  #kept: Kept[] = [];
  #keptBytes = 0;
  #closed = false;

  private constructor(address: NbdAddress) {
    this.#address = address;
    this.identity = `nbd ${JSON.stringify(address)}`;
  }

  static async open(path: string, mode: "r" | "r+" | "w"): Promise<NbdDisk> {
    const address = parseAddress(path);
    if (address === undefined) throw fault("EINVAL", path);
    const disk = new NbdDisk(address);
    await disk.#connect();
    if (mode !== "r" && disk.#export.flags & Flag.readOnly) {
      await disk.close();
      throw fault("EROFS", path);
    }
    return disk;
  }

  get size(): number {
    return this.#export.size;
  }

  async read(into: Bytes[], position: number): Promise<number> {
    const left = Math.max(0, this.size - position);
    const pieces = cut(into, left);
    const sizeBytes = total(pieces);
    if (sizeBytes > 0) await this.#ask(Command.read, position, sizeBytes, pieces);
    return sizeBytes;
  }

  async write(from: Bytes[], position: number): Promise<number> {
    const sizeBytes = total(from);
    if (sizeBytes > this.size - position) throw fault("ENOSPC", "past the end of the export");
    if (sizeBytes === 0) return 0;
    // A copy: it may have to be sent again when the guest has its pages back.
    const data = Buffer.concat(from);
    await this.#ask(Command.write, position, sizeBytes, [data]);
    if (this.#export.flags & Flag.flush) {
      this.#kept.push({ position, data });
      this.#keptBytes += sizeBytes;
      if (this.#keptBytes > KEPT_BYTES) await this.sync();
    }
    return sizeBytes;
  }

  async sync(): Promise<void> {
    if (!(this.#export.flags & Flag.flush)) return; // Such a server keeps nothing back.
    const covered = new Set(this.#kept);
    await this.#ask(Command.flush, 0, 0, []);
    this.#kept = this.#kept.filter((kept) => !covered.has(kept));
    this.#keptBytes = this.#kept.reduce((sum, kept) => sum + kept.data.length, 0);
  }

  async discard(position: number, sizeBytes: number): Promise<void> {
    if (!(this.#export.flags & Flag.trim)) throw fault("EOPNOTSUPP", "the server can't trim");
    for (let at = 0; at < sizeBytes; at += 2 ** 30)
      await this.#ask(Command.trim, position + at, Math.min(2 ** 30, sizeBytes - at), []);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    socket.end(header(Command.disconnect, 0, 0, 0));
    socket.unref();
  }

  #ask(command: Command, position: number, sizeBytes: number, data: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | undefined): void => (error ? reject(error) : resolve());
      const cookie = this.#next++;
      const request: Request = { command, position, sizeBytes, data, done };
      this.#outstanding.set(cookie, request);
      this.#send(cookie, request);
    });
  }

  /** Nothing while there is no connection: it is sent when there is one. */
  #send(cookie: number, { command, position, sizeBytes, data }: Request): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.write(header(command, cookie, position, sizeBytes));
    if (command === Command.write) for (const piece of data) socket.write(piece);
  }

  async #connect(): Promise<void> {
    const socket = connect(this.#address.where);
    socket.setNoDelay(true);
    const reader = new Reader(socket);
    try {
      const found = await negotiate(socket, reader, this.#address.name);
      this.#kept = this.#kept.flatMap((kept) => within(kept, found.size));
      for (const { position, data } of this.#kept) await rewrite(socket, reader, position, data);
      this.#export = found;
    } catch (error) {
      socket.destroy();
      throw error;
    }
    if (this.#closed) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    for (const [cookie, request] of this.#outstanding)
      if (request.position + request.sizeBytes <= this.size) this.#send(cookie, request);
      else {
        this.#outstanding.delete(cookie);
        request.done(fault("EIO", "past the end that the export has now"));
      }
    void this.#receive(socket, reader);
  }

  async #receive(socket: Socket, reader: Reader): Promise<void> {
    try {
      for (;;) {
        const reply = await reader.take(REPLY);
        const cookie = reply.readUInt32BE(12);
        const request = this.#outstanding.get(cookie);
        if (reply.readUInt32BE(0) !== REPLY_MAGIC || reply.readUInt32BE(8) !== 0 || request === undefined)
          throw fault("EIO", "the server's answer makes no sense");
        const error = reply.readUInt32BE(4);
        if (error === 0 && request.command === Command.read) for (const piece of request.data) await reader.fill(piece);
        this.#outstanding.delete(cookie);
        request.done(error === 0 ? undefined : fault(ERRORS[error] ?? "EIO", `the server's error ${error}`));
      }
    } catch {
      socket.destroy();
      if (this.#socket === socket) this.#socket = undefined;
      if (!this.#closed) await this.#reconnect();
    }
  }

  async #reconnect(): Promise<void> {
    const until = Date.now() + LOST_MS;
    while (!this.#closed) {
      try {
        await this.#connect();
        return;
      } catch {
        if (Date.now() > until) {
          // Whoever waits is told; later requests wait for the server again.
          const waiting = [...this.#outstanding.values()];
          this.#outstanding.clear();
          for (const request of waiting) request.done(fault("EIO", "the server is gone"));
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
  }
}

function header(command: Command, cookie: number, position: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(command, 6);
  bytes.writeUInt32BE(cookie, 12);
  bytes.writeBigUInt64BE(BigInt(position), 16);
  bytes.writeUInt32BE(sizeBytes, 24);
  return bytes;
}

/** Writes what an earlier connection had been told was written; before anything else is under way. */
async function rewrite(socket: Socket, reader: Reader, position: number, data: Uint8Array): Promise<void> {
  socket.write(header(Command.write, 0, position, data.length));
  socket.write(data);
  const reply = await reader.take(REPLY);
  if (reply.readUInt32BE(0) !== REPLY_MAGIC || reply.readUInt32BE(4) !== 0) throw fault("EIO", "a write again failed");
}

/** What of a write lies before the end of an export. */
function within(kept: Kept, size: number): Kept[] {
  const { position, data } = kept;
  if (position >= size) return [];
  return position + data.length <= size ? [kept] : [{ position, data: data.subarray(0, size - position) }];
}

const total = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, piece) => sum + piece.length, 0);

/** The first `limit` bytes of the pieces. */
function cut(pieces: readonly Bytes[], limit: number): Bytes[] {
  let left = limit;
  return pieces.flatMap((piece) => {
    const part = piece.subarray(0, Math.min(piece.length, left));
    left -= part.length;
    return part.length > 0 ? [part] : [];
  });
}

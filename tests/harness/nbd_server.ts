// A small NBD server for tests, with a volatile cache: what was written is lost when it dies, unless a flush came. Speaks the fixed
// newstyle handshake with NBD_OPT_GO (or, if told so, only the older NBD_OPT_EXPORT_NAME) and simple replies.

import { createServer, type Server, type Socket } from "node:net";
import { Reader } from "../../dom0/host/nbd_handshake.ts";

export interface NbdOptions {
  readonly name?: string;
  readonly flags?: number;
  readonly old?: boolean;
}

export class NbdServer {
  /** What survives, and what clients see. */
  stable: Buffer;
  seen: Buffer;
  /** Requests by command. */
  readonly counts = [0, 0, 0, 0, 0];
  /** Does not answer while true. */
  mute = false;
  readonly #options: NbdOptions;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(data: Buffer, options: NbdOptions = {}) {
    this.stable = Buffer.from(data);
    this.seen = Buffer.from(data);
    this.#options = options;
  }

  /** A path, or "": some port of the loopback, which is given. */
  async listen(path: string): Promise<number> {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      this.#serve(socket).catch(() => socket.destroy());
    });
    const listening = new Promise<void>((resolve) => this.#server?.once("listening", resolve));
    if (path === "") this.#server.listen(0, "127.0.0.1");
    else this.#server.listen(path);
    await listening;
    const address = this.#server.address();
    return typeof address === "object" ? (address?.port ?? 0) : 0;
  }

  /** As by kill -9 and a crash of its host: what was not flushed is gone. */
  async die(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await new Promise((resolve) => this.#server?.close(resolve));
    this.seen = Buffer.from(this.stable);
  }

  /** While it is dead: another size from now on. What is new is zeros. */
  resize(sizeBytes: number): void {
    const data = Buffer.alloc(sizeBytes);
    this.stable.copy(data);
    this.stable = data;
    this.seen = Buffer.from(data);
  }

  async #serve(socket: Socket): Promise<void> {
    const reader = new Reader(socket);
    const hello = Buffer.alloc(18);
    hello.write("NBDMAGICIHAVEOPT", "latin1");
    hello.writeUInt16BE(3, 16);
    socket.write(hello);
    await reader.take(4);
    const flags = this.#options.flags ?? 1 | 4 | 32;
    for (;;) {
      const head = await reader.take(16);
      const option = head.readUInt32BE(8);
      const data = await reader.take(head.readUInt32BE(12));
      const reply = (type: number, body: Buffer): void => {
        const out = Buffer.alloc(20);
        out.writeBigUInt64BE(0x3e889045565a9n, 0);
        out.writeUInt32BE(option, 8);
        out.writeUInt32BE(type, 12);
        out.writeUInt32BE(body.length, 16);
        socket.write(Buffer.concat([out, body]));
      };
      const size = Buffer.alloc(10);
      size.writeBigUInt64BE(BigInt(this.seen.length));
      size.writeUInt16BE(flags, 8);
      if (option === 1) {
        socket.write(size);
        break;
      }
      if (this.#options.old) reply(0x80000001, Buffer.alloc(0));
      else if (data.toString("utf8", 4, 4 + data.readUInt32BE(0)) !== (this.#options.name ?? ""))
        reply(0x80000006, Buffer.from("no such export"));
      else {
        reply(3, Buffer.concat([Buffer.alloc(2), size]));
        reply(1, Buffer.alloc(0));
        break;
      }
    }
    for (;;) await this.#request(socket, reader);
  }

  async #request(socket: Socket, reader: Reader): Promise<void> {
    const head = await reader.take(28);
    const command = head.readUInt16BE(6);
    const at = Number(head.readBigUInt64BE(16));
    const size = head.readUInt32BE(24);
    if (command === 2) {
      socket.end();
      return;
    }
    const data = command === 1 ? await reader.take(size) : undefined;
    if (this.mute) return;
    if (at + size > this.seen.length) {
      const refusal = Buffer.alloc(16);
      refusal.writeUInt32BE(0x67446698, 0);
      refusal.writeUInt32BE(command === 1 ? 28 : 22, 4);
      head.copy(refusal, 8, 8, 16);
      socket.write(refusal);
      return;
    }
    this.counts[command]++;
    const reply = Buffer.alloc(16);
    reply.writeUInt32BE(0x67446698, 0);
    head.copy(reply, 8, 8, 16);
    data?.copy(this.seen, at);
    if (command === 3) this.seen.copy(this.stable);
    if (command === 4) this.seen.fill(0, at, at + size);
    socket.write(command === 0 ? Buffer.concat([reply, this.seen.subarray(at, at + size)]) : reply);
  }
}

// The beginning of an NBD connection (doc/proto.md of nbd, "Fixed newstyle negotiation"), the addresses that name an export, and
// reading a socket piece by piece. Used by nbd.ts.

import type { NetConnectOpts, Socket } from "node:net";
import { fault } from "./raw_file.ts";

export interface NbdAddress {
  readonly where: NetConnectOpts & ({ readonly path: string } | { readonly host: string; readonly port: number });
  /** Of the export; empty: the default one. */
  readonly name: string;
}

/** What is exported: bytes, and the transmission flags of the protocol. */
export interface Export {
  readonly size: number;
  readonly flags: number;
}

const PORT = 10809;

/** Undefined for what is no address. */
export function parseAddress(path: string): NbdAddress | undefined {
  if (/^nbd(\+unix)?:\/\//.test(path)) return parseUri(path);
  const [, rest, name = ""] = /^nbd:(.*?)(?::exportname=(.*))?$/.exec(path) ?? [];
  if (rest === undefined) return undefined;
  if (rest.startsWith("unix:")) return rest.length > 5 ? { where: { path: rest.slice(5) }, name } : undefined;
  const [, host, port] = /^(.+?)(?::(\d{1,5}))?$/.exec(rest) ?? [];
  return host === undefined ? undefined : { where: { host, port: Number(port ?? PORT) }, name };
}

function parseUri(path: string): NbdAddress | undefined {
  let uri: URL;
  try {
    uri = new URL(path);
  } catch {
    return undefined;
  }
  const name = decodeURIComponent(uri.pathname.replace(/^\//, ""));
  const socket = uri.searchParams.get("socket");
  if (uri.protocol === "nbd+unix:") return socket ? { where: { path: socket }, name } : undefined;
  const host = uri.hostname.replace(/^\[|\]$/g, "");
  return host ? { where: { host, port: Number(uri.port || PORT) }, name } : undefined;
}

const OPTION_MAGIC = "IHAVEOPT";
const OPT_EXPORT_NAME = 1;
const OPT_GO = 7;
const REP_ACK = 1;
const REP_INFO = 3;
const REP_ERR_UNSUP = 0x80000001;
const INFO_EXPORT = 0;
const FIXED_NEWSTYLE = 1;
const NO_ZEROES = 2;

/** Up to the transmission phase. Throws errors with a code. */
export async function negotiate(socket: Socket, reader: Reader, name: string): Promise<Export> {
  const hello = await reader.take(18);
  if (hello.toString("latin1", 0, 16) !== `NBDMAGIC${OPTION_MAGIC}` || !(hello.readUInt16BE(16) & FIXED_NEWSTYLE))
    throw fault("EPROTO", "this is no NBD server of the newstyle kind");
  const flags = hello.readUInt16BE(16) & (FIXED_NEWSTYLE | NO_ZEROES);
  const answer = Buffer.alloc(4);
  answer.writeUInt32BE(flags);
  socket.write(answer);
  const nameBytes = Buffer.from(name);
  const go = Buffer.alloc(6 + nameBytes.length);
  go.writeUInt32BE(nameBytes.length);
  nameBytes.copy(go, 4);
  socket.write(option(OPT_GO, go));
  let found: Export | undefined;
  for (;;) {
    const reply = await reader.take(20);
    const type = reply.readUInt32BE(12);
    const data = await reader.take(Math.min(reply.readUInt32BE(16), 65536));
    if (type === REP_INFO && data.readUInt16BE(0) === INFO_EXPORT) found = toExport(data.subarray(2));
    else if (type === REP_ACK && found) return found;
    else if (type === REP_ERR_UNSUP) break;
    else if (type !== REP_INFO) throw fault("ENOENT", `the server has no export "${name}"`);
  }
  // An old server: it hangs up if there is no such export.
  socket.write(option(OPT_EXPORT_NAME, nameBytes));
  const old = toExport(await reader.take(10));
  if (!(flags & NO_ZEROES)) await reader.take(124);
  return old;
}

function option(number: number, data: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.write(OPTION_MAGIC, "latin1");
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function toExport(data: Buffer): Export {
  const size = Number(data.readBigUInt64BE(0));
  if (!Number.isSafeInteger(size)) throw fault("EFBIG", "the export is too large");
  return { size, flags: data.readUInt16BE(8) };
}

/** Reads exact numbers of bytes off a socket; throws when it ends or fails. */
export class Reader {
  readonly #socket: Socket;
  #pieces: Buffer[] = [];
  #error: Error | undefined = undefined;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (piece: Buffer) => {
      this.#pieces.push(piece);
      this.#wake();
    });
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(fault("ECONNRESET", "the connection has ended")));
  }

  #end(error: Error): void {
    this.#error ??= error;
    this.#wake();
  }

  async take(sizeBytes: number): Promise<Buffer> {
    const into = Buffer.alloc(sizeBytes);
    await this.fill(into);
    return into;
  }

  async fill(into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const piece = this.#pieces[0];
      if (piece === undefined) {
        if (this.#error) throw this.#error;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          if (this.#socket.destroyed) this.#end(fault("ECONNRESET", "the connection has ended"));
        });
        continue;
      }
      const part = piece.subarray(0, into.length - at);
      into.set(part, at);
      at += part.length;
      if (part.length === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(part.length);
    }
  }
}

// Files of the host for dom0, by Node's file system calls. Reads and writes go straight from and to machine frames, in
// libuv's threads, so neither the machine nor the devices wait for a disk. Used by main.ts.

import { close, fstat, open, readdir, readv, stat, writev } from "node:fs";
import { promisify } from "node:util";
import type { FileInfo } from "../../shared/devices.ts";
import type { FileService } from "./devices.ts";

type Bytes = Uint8Array<SharedArrayBuffer>;

const openFile = promisify(open);
const statFile = promisify(stat);
const statOpen = promisify(fstat);
const closeFile = promisify(close);
const readNames = promisify(readdir) as (path: string, options: { withFileTypes: true }) => Promise<Dirent[]>;
type Dirent = import("node:fs").Dirent;

/** Open files at once: a bound on what a dom0 that forgets to close can take. */
const MAX_OPEN = 256;

export class NodeFiles implements FileService {
  readonly #open = new Map<number, number>();
  #next = 1;

  async open(path: string, mode: "r" | "r+" | "w"): Promise<{ handle: number; size: number }> {
    if (this.#open.size >= MAX_OPEN) throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    const fd = await openFile(path, mode);
    const info = await statOpen(fd);
    if (info.isDirectory()) {
      await closeFile(fd);
      throw Object.assign(new Error(path), { code: "EISDIR" });
    }
    const handle = this.#next++;
    this.#open.set(handle, fd);
    return { handle, size: info.size };
  }

  async read(handle: number, into: Bytes[], position: number): Promise<number> {
    return await this.#whole(into, (pieces, at) => vectored(readv, this.#fd(handle), pieces, position + at));
  }

  async write(handle: number, from: Bytes[], position: number): Promise<number> {
    return await this.#whole(from, (pieces, at) => vectored(writev, this.#fd(handle), pieces, position + at));
  }

  async close(handle: number): Promise<void> {
    const fd = this.#fd(handle);
    this.#open.delete(handle);
    await closeFile(fd);
  }

  async stat(path: string): Promise<FileInfo> {
    const info = await statFile(path);
    const kind = info.isFile() ? "file" : info.isDirectory() ? "directory" : "other";
    return { kind, size: info.size, mtimeMs: info.mtimeMs };
  }

  async list(path: string): Promise<string[]> {
    const entries = await readNames(path, { withFileTypes: true });
    return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
  }

  /** Repeats a call that may move less than asked until all is moved or nothing more comes. */
  async #whole(pieces: Bytes[], move: (pieces: Bytes[], at: number) => Promise<number>): Promise<number> {
    let at = 0;
    let left = pieces.filter((piece) => piece.length > 0);
    while (left.length > 0) {
      const n = await move(left, at);
      if (n === 0) break;
      at += n;
      left = skip(left, n);
    }
    return at;
  }

  #fd(handle: number): number {
    const fd = this.#open.get(handle);
    if (fd === undefined) throw Object.assign(new Error(`handle ${handle}`), { code: "EBADF" });
    return fd;
  }
}

type Vectored = typeof readv | typeof writev;

function vectored(call: Vectored, fd: number, pieces: Bytes[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    call(fd, pieces, position, (error: NodeJS.ErrnoException | null, n: number) =>
      error ? reject(error) : resolve(n),
    );
  });
}

function skip(pieces: Bytes[], count: number): Bytes[] {
  let n = count;
  return pieces.flatMap((piece) => {
    const gone = Math.min(n, piece.length);
    n -= gone;
    return gone === piece.length ? [] : [piece.subarray(gone)];
  });
}

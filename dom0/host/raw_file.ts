// One open file or block device of the host, by Node's file system calls: data goes straight from and to machine frames in
// libuv's threads. Made by files.ts. Holes are made by util-linux's `fallocate`, as Node has no call for it; where that
// program or the file system can't, discard says EOPNOTSUPP and the guest stops asking.

import { spawn } from "node:child_process";
import { close, fdatasync, fstat, open, readFile, readv, type Stats, writev } from "node:fs";
import { promisify } from "node:util";
import { type Bytes, type OpenFile, rest } from "./open_file.ts";

const openFile = promisify(open);
const statOpen = promisify(fstat);
const closeFile = promisify(close);
const syncFile = promisify(fdatasync);
const readText = promisify(readFile);

const SECTOR = 512;

export class RawFile implements OpenFile {
  readonly fd: number;
  readonly size: number;
  readonly identity: string;

  private constructor(fd: number, size: number, identity: string) {
    this.fd = fd;
    this.size = size;
    this.identity = identity;
  }

  static async open(path: string, mode: "r" | "r+" | "w"): Promise<RawFile> {
    const fd = await openFile(path, mode);
    try {
      const info = await statOpen(fd);
      if (info.isDirectory()) throw fault("EISDIR", path);
      const identity = info.isBlockDevice() ? `block ${info.rdev}` : `file ${info.dev}:${info.ino}`;
      return new RawFile(fd, await sizeOf(info), identity);
    } catch (error) {
      await closeFile(fd);
      throw error;
    }
  }

  async read(into: Bytes[], position: number): Promise<number> {
    return await whole(into, (pieces, at) => vectored(readv, this.fd, pieces, position + at));
  }

  async write(from: Bytes[], position: number): Promise<number> {
    return await whole(from, (pieces, at) => vectored(writev, this.fd, pieces, position + at));
  }

  async sync(): Promise<void> {
    await syncFile(this.fd);
  }

  /** The child gets the open file itself, so that a path that names another one by now does no harm. */
  discard(position: number, sizeBytes: number): Promise<void> {
    const args = ["--punch-hole", "--keep-size", "--offset", `${position}`, "--length", `${sizeBytes}`, "/dev/fd/3"];
    return new Promise((resolve, reject) => {
      const child = spawn("fallocate", args, { stdio: ["ignore", "ignore", "ignore", this.fd] });
      const refuse = (): void => reject(fault("EOPNOTSUPP", "no holes can be made"));
      child.on("error", refuse);
      child.on("exit", (status) => (status === 0 ? resolve() : refuse()));
    });
  }

  async sizeNow(): Promise<number> {
    return await sizeOf(await statOpen(this.fd));
  }

  async close(): Promise<void> {
    await closeFile(this.fd);
  }
}

/** An error as Node's calls throw it. */
export function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** A block device's capacity isn't in what fstat says. */
async function sizeOf(info: Stats): Promise<number> {
  if (!info.isBlockDevice()) return info.size;
  const major = (info.rdev >>> 8) & 0xfff;
  const minor = (info.rdev & 0xff) | ((info.rdev >>> 12) & 0xfff00);
  return Number(await readText(`/sys/dev/block/${major}:${minor}/size`, "latin1")) * SECTOR;
}

/** Repeats a call that may move less than asked until all is moved or nothing more comes. */
async function whole(pieces: Bytes[], move: (pieces: Bytes[], at: number) => Promise<number>): Promise<number> {
  let at = 0;
  let left = pieces.filter((piece) => piece.length > 0);
  while (left.length > 0) {
    const n = await move(left, at);
    if (n === 0) break;
    at += n;
    left = rest(left, n);
  }
  return at;
}

type Vectored = typeof readv | typeof writev;

function vectored(call: Vectored, fd: number, pieces: Bytes[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    call(fd, pieces, position, (error: NodeJS.ErrnoException | null, n: number) =>
      error ? reject(error) : resolve(n),
    );
  });
}

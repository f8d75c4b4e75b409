// Files of the host for dom0: handles, and what is behind them by the path's form. Reads and writes go straight from and to
// machine frames, so neither the machine nor the devices wait for a disk; a disk in a file has a thread for them. Used by main.ts.

import { readdir, stat } from "node:fs";
import { promisify } from "node:util";
import type { FileInfo, OpenedFile } from "../../shared/devices.ts";
import type { FileService } from "./devices.ts";
import type { DiskThread, DiskThreads } from "./disk_threads.ts";
import { lockImage } from "./image_lock.ts";
import { NbdDisk } from "./nbd.ts";
import type { Bytes, OpenFile } from "./open_file.ts";
import { RamDisk } from "./ram_disk.ts";
import { fault, RawFile } from "./raw_file.ts";

const statFile = promisify(stat);
const readNames = promisify(readdir) as (path: string, options: { withFileTypes: true }) => Promise<Dirent[]>;
type Dirent = import("node:fs").Dirent;

/** Open files at once: a bound on what a dom0 that forgets to close can take. */
const MAX_OPEN = 256;

async function openByPath(path: string, mode: "r" | "r+" | "w"): Promise<OpenFile> {
  if (path.startsWith("ram:")) return new RamDisk(path);
  if (/^nbd(\+unix)?:/.test(path)) return await NbdDisk.open(path, mode);
  return await RawFile.open(path, mode);
}

export class NodeFiles implements FileService {
  readonly #open = new Map<number, OpenFile>();
  readonly #threads: DiskThreads | undefined;
  readonly #served = new Map<number, DiskThread>();
  #next = 1;

  /** Without `threads` disks are served as all other files are. */
  constructor(threads?: DiskThreads) {
    this.#threads = threads;
  }

  async open(path: string, mode: "r" | "r+" | "w", disk = false): Promise<OpenedFile> {
    if (this.#open.size >= MAX_OPEN) throw fault("EMFILE", "too many open files");
    const file = await openByPath(path, mode);
    if (!disk || !(file instanceof RawFile)) return this.add(file);
    if (!(await this.#mayUse(file, mode !== "r"))) {
      await file.close();
      throw fault("EBUSY", path);
    }
    const opened = this.add(file);
    const thread = await this.#threads?.start(opened.handle, file.fd);
    if (thread === undefined) return opened;
    this.#served.set(opened.handle, thread);
    return { ...opened, queue: thread.queue };
  }

  /** False when another process uses the image in a way that this one can't join. Uses within this machine are dom0's business. */
  async #mayUse(file: RawFile, writes: boolean): Promise<boolean> {
    if (await lockImage(file.fd, writes)) return true;
    return [...this.#open.values()].some(({ identity }) => identity === file.identity);
  }

  /** Gives what is open already a handle. Throws EMFILE. */
  add(file: OpenFile): OpenedFile {
    if (this.#open.size >= MAX_OPEN) throw fault("EMFILE", "too many open files");
    const handle = this.#next++;
    this.#open.set(handle, file);
    const { size, identity } = file;
    return identity === undefined ? { handle, size } : { handle, size, identity };
  }

  async read(handle: number, into: Bytes[], position: number): Promise<number> {
    return await this.#file(handle).read(into, position);
  }

  async write(handle: number, from: Bytes[], position: number): Promise<number> {
    return await this.#file(handle).write(from, position);
  }

  async sync(handle: number): Promise<void> {
    await this.#file(handle).sync();
  }

  async discard(handle: number, position: number, sizeBytes: number): Promise<void> {
    await this.#file(handle).discard(position, sizeBytes);
  }

  async close(handle: number): Promise<void> {
    const file = this.#file(handle);
    this.#open.delete(handle);
    await this.#served.get(handle)?.stop();
    this.#served.delete(handle);
    await file.close();
  }

  async size(handle: number): Promise<number> {
    const file = this.#file(handle);
    return (await file.sizeNow?.()) ?? file.size;
  }

  async stat(path: string): Promise<FileInfo> {
    const info = await statFile(path);
    const kind = info.isFile() ? "file" : info.isDirectory() ? "directory" : info.isBlockDevice() ? "block" : "other";
    return { kind, size: info.size, mtimeMs: info.mtimeMs };
  }

  async list(path: string): Promise<string[]> {
    const entries = await readNames(path, { withFileTypes: true });
    return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
  }

  #file(handle: number): OpenFile {
    const file = this.#open.get(handle);
    if (file === undefined) throw fault("EBADF", `handle ${handle}`);
    return file;
  }
}

// The logs of `--log-dir`: files by name in one folder. One that would grow past its limit becomes NAME.1, what was NAME.1
// becomes NAME.2, and so on; the oldest goes. Appends to one log are done in order. Used by main.ts for guests' consoles, xl's
// notes and the hypervisor's log.

import { closeSync, existsSync, fstatSync, mkdirSync, openSync, renameSync, statSync, write } from "node:fs";
import { dirname, join } from "node:path";
import { HostLimits } from "./limits.ts";

interface Log {
  /** -1 before the first write, and after the file could not be had: then the next append tries again. */
  fd: number;
  size: number;
  /** Settles when what was appended so far is written. */
  last: Promise<void>;
}

export class Logs {
  readonly #dir: string;
  readonly #limit: number;
  readonly #old: number;
  readonly #open = new Map<string, Log>();

  constructor(dir: string, limitBytes: number = HostLimits.logBytes, oldFiles: number = HostLimits.oldLogs) {
    makeFolder(dir);
    this.#dir = dir;
    this.#limit = limitBytes;
    this.#old = oldFiles;
  }

  /** Resolves when the bytes, which must not change meanwhile, are written; a failure is this append's alone. */
  append(name: string, bytes: Uint8Array): Promise<void> {
    let log = this.#open.get(name);
    if (log === undefined) {
      log = { fd: -1, size: 0, last: Promise.resolve() };
      this.#open.set(name, log);
    }
    const to = log;
    const done = to.last.then(() => this.#write(name, to, bytes));
    to.last = done.catch(() => {});
    return done;
  }

  close(): void {
    for (const { fd } of this.#open.values()) if (fd >= 0) closeSync(fd);
    this.#open.clear();
  }

  async #write(name: string, log: Log, bytes: Uint8Array): Promise<void> {
    if (this.#open.get(name) !== log) return; // Closed meanwhile.
    if (log.fd < 0) Object.assign(log, this.#file(name));
    for (let at = 0; at < bytes.length; ) {
      if (log.size >= this.#limit) this.#rotate(name, log);
      const piece = bytes.subarray(at, at + this.#limit - log.size);
      const written = await writeSome(log.fd, piece);
      log.size += written;
      at += written;
    }
  }

  #rotate(name: string, log: Log): void {
    closeSync(log.fd);
    log.fd = -1;
    const path = join(this.#dir, name);
    for (let age = this.#old; age >= 1; age--) {
      try {
        renameSync(age === 1 ? path : `${path}.${age - 1}`, `${path}.${age}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
    Object.assign(log, this.#file(name));
  }

  #file(name: string): { fd: number; size: number } {
    const fd = openSync(join(this.#dir, name), "a");
    return { fd, size: fstatSync(fd).size };
  }
}

/** Makes it and those above it. mkdirSync's own way of doing that never returns below a folder that takes none, as /proc. */
function makeFolder(path: string): void {
  const isFolder = (): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isFolder()) return;
  const above = dirname(path);
  if (above !== path && !existsSync(above)) makeFolder(above);
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isFolder()) throw error; // Another machine that starts may have made it.
  }
}

function writeSome(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => write(fd, bytes, (error, n) => (error ? reject(error) : resolve(n))));
}

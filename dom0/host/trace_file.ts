// Where a trace goes: a file, whole buffers at a time, or standard error, line by line. Written from the machine's thread, which
// has no event loop to wait in: a pipe that is full is tried again after a pause, as a blocking write would wait. When it can't be
// written any more, the machine goes on without it. Used by worker.ts.

import { closeSync, writeSync } from "node:fs";

/** Lines that are written at once. */
const BUFFERED_LINES = 1000;
const STDERR = 2;
const PAUSE_MS = 2;

export class TraceFile {
  readonly #fd: number;
  readonly #failed: (error: Error) => void;
  #lines: string[] = [];
  #broken = false;

  /** Into the open file `fd`, or standard error. `failed` is told once when writing fails. */
  constructor(fd: number | undefined, failed: (error: Error) => void) {
    this.#fd = fd ?? STDERR;
    this.#failed = failed;
  }

  line(text: string): void {
    if (this.#broken) return;
    this.#lines.push(`${text}\n`);
    if (this.#fd === STDERR || this.#lines.length >= BUFFERED_LINES) this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const bytes = Buffer.from(this.#lines.join(""));
    this.#lines = [];
    try {
      writeAll(this.#fd, bytes);
    } catch (error) {
      this.#broken = true;
      this.#failed(error as Error);
    }
  }

  close(): void {
    this.flush();
    if (this.#fd !== STDERR) closeSync(this.#fd);
  }
}

/** Writes all of it, in as many pieces as that takes. Throws what `write` throws, but EAGAIN. */
export function writeAll(fd: number, bytes: Uint8Array, write: typeof writeSync = writeSync): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += write(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(PAUSE, 0, 0, PAUSE_MS);
    }
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4));

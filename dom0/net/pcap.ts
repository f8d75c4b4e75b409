// Captures: the classic pcap format (libpcap's savefile, nanosecond magic 0xa1b23c4d, link type Ethernet), which tcpdump
// and Wireshark read, written through the host. Frames are copied at once and written by a thread of their own; when the
// host is slower than the traffic, frames are left out of the capture and counted, never delayed. Checksums that the sender
// left blank are filled in in the copy, so that readers don't call them wrong.

import { HostError, type HostFile, type Kernel, type Task, WaitQueue } from "../../guests/sdk/index.ts";
import { fillChecksum } from "../../shared/checksum.ts";
import { Csum, type Frame } from "./frame.ts";

const MAGIC_NS = 0xa1b23c4d;
const LINKTYPE_ETHERNET = 1;
const SNAP_LENGTH = 262144;
const RECORD = 16;
/** Bytes that may wait for the host. */
const MAX_WAITING = 1 << 20;

/** The file's head. */
export function pcapHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, MAGIC_NS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_LENGTH, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return new Uint8Array(view.buffer);
}

/** One frame with its head. `timeMs` is since 1970. */
export function pcapRecord(frame: Frame, timeMs: number): Uint8Array {
  const record = new Uint8Array(RECORD + frame.size);
  const view = new DataView(record.buffer);
  const seconds = Math.floor(timeMs / 1000);
  view.setUint32(0, seconds, true);
  view.setUint32(4, Math.floor((timeMs - seconds * 1000) * 1e6), true);
  view.setUint32(8, frame.size, true);
  view.setUint32(12, frame.size, true);
  record.set(frame.bytes, RECORD);
  if (frame.csum === Csum.blank) fillChecksum(new DataView(record.buffer, RECORD), frame.size);
  return record;
}

export class Capture {
  readonly #kernel: Kernel;
  readonly #file: HostFile;
  readonly #work = new WaitQueue();
  #waiting: Uint8Array[] = [pcapHeader()];
  #bytes = 24;
  #closed = false;
  /** Frames left out because the host was too slow, or could not write. */
  missed = 0;

  private constructor(kernel: Kernel, file: HostFile) {
    this.#kernel = kernel;
    this.#file = file;
  }

  /** Begins a capture in a new file of the host; an old one is emptied. Throws HostError. */
  static *open(kernel: Kernel, path: string): Task<Capture> {
    const capture = new Capture(kernel, yield* kernel.host.open(path, "w"));
    kernel.spawn(`capture ${path}`, capture.#run());
    return capture;
  }

  add(frame: Frame): void {
    if (this.#closed || this.#bytes + frame.size > MAX_WAITING) {
      this.missed++;
      return;
    }
    this.#waiting.push(pcapRecord(frame, this.#kernel.clock.wallclockMs()));
    this.#bytes += RECORD + frame.size;
    this.#work.wakeAll();
  }

  /** What was captured before is still written. */
  close(): void {
    this.#closed = true;
    this.#work.wakeAll();
  }

  *#run(): Task {
    let position = 0;
    try {
      for (;;) {
        yield* this.#work.until(() => this.#waiting.length > 0 || this.#closed);
        if (this.#waiting.length === 0) return;
        const bytes = joined(this.#waiting, this.#bytes);
        this.#waiting = [];
        this.#bytes = 0;
        yield* this.#file.write(position, bytes);
        position += bytes.length;
      }
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#kernel.log(`a capture has ended: ${error.message}`); // The disk is full, say: the traffic goes on.
    } finally {
      this.#closed = true;
      yield* this.#file.close();
    }
  }
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

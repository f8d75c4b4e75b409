// A bridge's port to a neighbour outside of the machine, by a stream of the host's (dom0/host/net.ts): one thread brings
// frames in, one carries them out, many at a time. What waits is bounded (queue.ts). Started by Networks.

import { type HostNet, type Kernel, type Task, WaitQueue } from "../../guests/sdk/index.ts";
import { fillChecksum } from "../../shared/checksum.ts";
import type { Attached, Bridge, PortOwner } from "./bridge.ts";
import { Csum, ETH_HEADER, type Frame, type FramePool, MAX_FRAME } from "./frame.ts";
import { FrameQueue } from "./queue.ts";
import { segment } from "./segment.ts";

const HEAD = 4;

export class Uplink implements PortOwner {
  readonly name: string;
  readonly #net: HostNet;
  readonly #pool: FramePool;
  readonly #queue = new FrameQueue();
  readonly #work = new WaitQueue();
  readonly #attached: Attached;
  #ended = false;

  constructor(kernel: Kernel, name: string, net: HostNet, bridge: Bridge, pool: FramePool) {
    this.name = name;
    this.#net = net;
    this.#pool = pool;
    this.#attached = bridge.attach(this);
    kernel.spawn(`${name} in`, this.#receive());
    kernel.spawn(`${name} out`, this.#send());
  }

  deliver(frame: Frame): void {
    if (frame.gsoSize > 0) segment(frame, this.#pool, (piece) => this.#queue.push(piece));
    else this.#queue.push(frame);
    this.#work.wakeOne();
  }

  *#receive(): Task {
    try {
      while (yield* this.#net.read((bytes) => this.#split(bytes)));
    } finally {
      this.#ended = true;
      this.#attached.detach();
      this.#queue.close();
      this.#work.wakeAll();
    }
  }

  /** The host is ours, its neighbour is not: lengths are checked again. */
  #split(bytes: Uint8Array<SharedArrayBuffer>): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + HEAD <= bytes.length; ) {
      const size = view.getUint32(at);
      at += HEAD;
      if (size > bytes.length - at) return;
      if (size >= ETH_HEADER && size <= MAX_FRAME) {
        const frame = this.#pool.alloc(size);
        if (frame === undefined) return; // Full: the rest is lost as on any wire.
        frame.room.set(bytes.subarray(at, at + size));
        this.#attached.receive(frame);
        frame.release();
      }
      at += size;
    }
  }

  *#send(): Task {
    for (;;) {
      yield* this.#work.until(() => this.#queue.length > 0 || this.#ended);
      if (this.#ended) return;
      yield* this.#net.write((room) => this.#fill(room));
    }
  }

  #fill(room: Uint8Array<SharedArrayBuffer>): number {
    const view = new DataView(room.buffer, room.byteOffset, room.byteLength);
    let at = 0;
    for (let frame = this.#queue.peek(); frame !== undefined; frame = this.#queue.peek()) {
      if (at + HEAD + frame.size > room.length) break;
      this.#queue.shift();
      if (frame.csum === Csum.blank) {
        fillChecksum(frame.view, frame.size);
        frame.csum = Csum.valid;
      }
      view.setUint32(at, frame.size);
      room.set(frame.bytes, at + HEAD);
      at += HEAD + frame.size;
      frame.release();
    }
    return at;
  }
}

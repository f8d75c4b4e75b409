// Cuts a byte stream into frames: each comes after its length, 32 bits, big-endian (QEMU's `-netdev stream`, passt). Keeps
// what is not whole yet. Used by net.ts for each socket.

/** Longer ones are none: the stream is out of step, or not of this form at all. */
const MAX_FRAME = 65535;
const HEAD = 4;

export class FrameSplitter {
  #pieces: Uint8Array[] = [];
  /** Bytes kept. */
  size = 0;

  /** False when the stream can't be right: nothing more may be expected of it. */
  add(bytes: Uint8Array): boolean {
    this.#pieces.push(bytes);
    this.size += bytes.length;
    return this.#nextLength() <= MAX_FRAME;
  }

  /** Whole frames, each with its length before it, as many as there are and as fit into `limit` bytes. */
  take(limit: number): Uint8Array {
    const all = this.#join();
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
    let end = 0;
    while (end + HEAD <= all.length) {
      const next = end + HEAD + view.getUint32(end);
      if (next > all.length || next > limit || view.getUint32(end) > MAX_FRAME) break;
      end = next;
    }
    this.#pieces = end < all.length ? [all.subarray(end)] : [];
    this.size -= end;
    return all.subarray(0, end);
  }

  /** The length of the first frame, 0 while it isn't known. Pieces stay as they are: they are many when dom0 is slow. */
  #nextLength(): number {
    if (this.size < HEAD) return 0;
    let length = 0;
    let seen = 0;
    for (const piece of this.#pieces) {
      for (let i = 0; i < piece.length && seen < HEAD; i++, seen++) length = length * 256 + piece[i];
      if (seen === HEAD) break;
    }
    return length;
  }

  #join(): Uint8Array {
    if (this.#pieces.length !== 1) {
      const whole = new Uint8Array(this.size);
      let at = 0;
      for (const piece of this.#pieces) {
        whole.set(piece, at);
        at += piece.length;
      }
      this.#pieces = [whole];
    }
    return this.#pieces[0];
  }
}

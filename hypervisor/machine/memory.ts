// Machine memory: one shared WebAssembly.Memory seen as 4 KiB frames (DESIGN, principle 4). The processors, the
// hypervisor and the device thread all hold views of it. The bottom is the hypervisor's own, reserved at boot before
// the first frame is handed out: processor state, TLBs, decoded code, the machine-to-physical table, device queues.
// Who owns the rest is the frame table's business, not this file's.

import type { Mfn } from "../../shared/brand.ts";
import { type Bulk, bulk } from "./bulk.ts";

export const FRAME_SHIFT = 12;
export const FRAME_SIZE = 1 << FRAME_SHIFT;
const WASM_PAGE = 65536;

export class MachineMemory {
  readonly wasm: WebAssembly.Memory;
  /** Number of 4 KiB frames, at most 2^20. */
  readonly frames: number;
  readonly u8: Uint8Array<SharedArrayBuffer>;
  readonly u16: Uint16Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  readonly #bulk: Bulk;
  #reserved = FRAME_SIZE; // Frame 0 stays unused: a zero MFN in a table or structure is never a frame of anyone's.

  /** Wraps a memory made by `allocateMemory`, here or in another thread. */
  constructor(wasm: WebAssembly.Memory) {
    this.wasm = wasm;
    const buffer = wasm.buffer as unknown as SharedArrayBuffer;
    this.frames = buffer.byteLength / FRAME_SIZE;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.view = new DataView(buffer);
    this.#bulk = bulk(wasm);
  }

  /**
   * Takes `sizeBytes` (rounded up to whole frames) from the bottom for the hypervisor and returns their byte address.
   * Only while the machine is being put together; throws RangeError when the memory is too small.
   */
  reserve(sizeBytes: number): number {
    const address = this.#reserved;
    const end = address + Math.ceil(sizeBytes / FRAME_SIZE) * FRAME_SIZE;
    if (end > this.frames * FRAME_SIZE) throw new RangeError(`machine memory of ${this.frames} frames is too small`);
    this.#reserved = end;
    return address;
  }

  /** The first frame that is not the hypervisor's. */
  get firstFree(): Mfn {
    return (this.#reserved / FRAME_SIZE) as Mfn;
  }

  /** Fills a frame with zeroes: 60 ns, 20 times faster than fill() of its bytes. */
  zero(mfn: Mfn): void {
    this.#bulk.fill(mfn * FRAME_SIZE, 0, FRAME_SIZE);
  }

  /** Copies bytes between addresses of machine memory, which may overlap. */
  copy(to: number, from: number, sizeBytes: number): void {
    this.#bulk.copy(to, from, sizeBytes);
  }

  /** Where two frames differ first: offset of the 8 bytes, from `offset` (a multiple of 8) on; FRAME_SIZE if nowhere. */
  differ(a: Mfn, b: Mfn, offset: number): number {
    return this.#bulk.differ(a * FRAME_SIZE, b * FRAME_SIZE, offset, FRAME_SIZE);
  }

  /** Index of the first entry from `index` on that is present, in a page table; 512 if none is. */
  nextPresent(table: Mfn, index: number): number {
    return this.#bulk.present(table * FRAME_SIZE, FRAME_SIZE / 8, index);
  }

  // Words that two sides race on, at byte addresses that are multiples of 4, and bytes. All 32 bits, signed.

  atomicLoad(address: number): number {
    return this.#bulk.load(address);
  }

  /** Sets bits; what was there before. */
  atomicOr(address: number, bits: number): number {
    return this.#bulk.or(address, bits);
  }

  /** Keeps only these bits; what was there before. */
  atomicAnd(address: number, bits: number): number {
    return this.#bulk.and(address, bits);
  }

  /** Replaces a byte; what was there before. */
  atomicExchange8(address: number, value: number): number {
    return this.#bulk.exchange8(address, value);
  }

  /** The bytes of one frame. */
  frame(mfn: Mfn): Uint8Array<SharedArrayBuffer> {
    return this.u8.subarray(mfn * FRAME_SIZE, (mfn + 1) * FRAME_SIZE);
  }
}

/** A zeroed shared memory of `sizeMiB`, 1 to 4096. The host commits its pages when they are first touched. */
export function allocateMemory(sizeMiB: number): WebAssembly.Memory {
  const pages = (sizeMiB * 1048576) / WASM_PAGE;
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

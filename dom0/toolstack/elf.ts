// Reads a 64-bit ELF kernel image: header, loadable segments, and where its notes lie. Called by kernel_image.ts with whatever
// file a person named, so every number in it is checked before it is used, and each defect is one clear sentence
// (ImageError). Implements the ELF-64 object file format as far as booting needs it: no relocation, no symbols.
// Segments load by physical address, and two overlap when they share a byte, not when they share a page.

import { ImageError } from "./image/error.ts";

export interface Segment {
  /** Physical address as the file states it (before any paddr offset is taken off). */
  readonly paddr: bigint;
  /** Bytes in the file; the rest of `memSize` is zeros. */
  readonly data: Uint8Array;
  readonly memSize: number;
}

export interface ElfFile {
  readonly entry: bigint;
  /** PT_LOAD segments that take memory, by rising physical address, not overlapping; at least one. */
  readonly segments: readonly Segment[];
  /** Contents of the PT_NOTE segments, then of the SHT_NOTE sections. */
  readonly segmentNotes: readonly Uint8Array[];
  readonly sectionNotes: readonly Uint8Array[];
  /** Content of the section __xen_guest, the form that came before notes. */
  readonly guestString: string | undefined;
}

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const SHDR_SIZE = 64;
const PT_LOAD = 1;
const PT_NOTE = 4;
const SHT_NOTE = 7;
const SHT_NOBITS = 8;
const EM_X86_64 = 62;
const MACHINES: Readonly<Record<number, string>> = {
  3: "x86 (32-bit)",
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC 64",
  22: "S/390",
  40: "ARM",
  62: "x86-64",
  183: "AArch64",
  243: "RISC-V",
};
/** No segment may be larger: all machine memory. */
const MAX_MEMORY = 2n ** 32n;

/** Reads `bytes`; the result refers to them. Throws ImageError. */
export function parseElf(bytes: Uint8Array): ElfFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkIdentity(bytes, view);
  const phnum = view.getUint16(56, true);
  if (phnum === 0) throw new ImageError("has no program headers, so there is nothing to load");
  if (view.getUint16(54, true) !== PHDR_SIZE) throw new ImageError("program headers are not of the size of ELF-64's");
  const phoff = offset(bytes, view.getBigUint64(32, true), BigInt(phnum * PHDR_SIZE), "program headers");

  const segments: Segment[] = [];
  const segmentNotes: Uint8Array[] = [];
  for (let i = 0; i < phnum; i++) {
    const at = phoff + i * PHDR_SIZE;
    const type = view.getUint32(at, true);
    if (type !== PT_LOAD && type !== PT_NOTE) continue;
    const fileSize = view.getBigUint64(at + 32, true);
    const memSize = view.getBigUint64(at + 40, true);
    const start = offset(bytes, view.getBigUint64(at + 8, true), fileSize, `segment ${i}`);
    const data = bytes.subarray(start, start + Number(fileSize));
    if (type === PT_NOTE) segmentNotes.push(data);
    else if (memSize < fileSize) throw new ImageError(`segment ${i} has more bytes in the file than in memory`);
    else if (memSize > 0n) segments.push(loadable(i, view.getBigUint64(at + 24, true), data, memSize));
  }
  if (segments.length === 0) throw new ImageError("has no loadable segment");
  segments.sort((a, b) => (a.paddr < b.paddr ? -1 : a.paddr > b.paddr ? 1 : 0));
  checkOverlap(segments);
  return { entry: view.getBigUint64(24, true), segments, segmentNotes, ...sections(bytes, view) };
}

function checkIdentity(bytes: Uint8Array, view: DataView): void {
  const magic = bytes.length >= 4 && view.getUint32(0, false) === 0x7f454c46;
  if (!magic) throw new ImageError(bytes.length === 0 ? "is empty" : "is not an ELF file");
  if (bytes.length > 4 && bytes[4] === 1) throw new ImageError("is a 32-bit ELF file; only 64-bit kernels run here");
  if (bytes.length < EHDR_SIZE) throw new ImageError("is truncated: the ELF header is incomplete");
  if (bytes[4] !== 2) throw new ImageError(`has an unknown ELF class ${bytes[4]}`);
  if (bytes[5] !== 1) throw new ImageError("is a big-endian ELF file; x86-64 is little-endian");
  const machine = view.getUint16(18, true);
  if (machine !== EM_X86_64)
    throw new ImageError(`is for machine ${MACHINES[machine] ?? `number ${machine}`}; only x86-64 kernels run here`);
  const type = view.getUint16(16, true);
  if (type !== 2 && type !== 3)
    throw new ImageError(
      type === 1 ? "is an object file that was never linked" : `has ELF type ${type}, not an executable`,
    );
}

function offset(bytes: Uint8Array, start: bigint, size: bigint, what: string): number {
  const length = BigInt(bytes.length);
  if (start > length || size > length - start)
    throw new ImageError(
      `is truncated: ${what} end at byte ${start + size}, the file at ${length}`.replace(
        /(segment \d+|section \d+) end/,
        "$1 ends",
      ),
    );
  return Number(start);
}

function loadable(i: number, paddr: bigint, data: Uint8Array, memSize: bigint): Segment {
  if (memSize > MAX_MEMORY || paddr + memSize > 2n ** 64n)
    throw new ImageError(
      `segment ${i} lies outside memory: 0x${memSize.toString(16)} bytes at physical 0x${paddr.toString(16)}`,
    );
  return { paddr, data, memSize: Number(memSize) };
}

function checkOverlap(segments: readonly Segment[]): void {
  for (let i = 1; i < segments.length; i++) {
    const [a, b] = [segments[i - 1], segments[i]];
    if (a.paddr + BigInt(a.memSize) > b.paddr)
      throw new ImageError(
        `segments overlap: one at physical 0x${a.paddr.toString(16)} runs into the one at 0x${b.paddr.toString(16)}`,
      );
  }
}

/** Sections are optional in a loadable file: a table that makes no sense is as good as none. */
function sections(bytes: Uint8Array, view: DataView): Pick<ElfFile, "sectionNotes" | "guestString"> {
  const sectionNotes: Uint8Array[] = [];
  let guestString: string | undefined;
  const count = view.getUint16(60, true);
  const table = view.getBigUint64(40, true);
  if (view.getUint16(58, true) !== SHDR_SIZE || table + BigInt(count * SHDR_SIZE) > BigInt(bytes.length))
    return { sectionNotes, guestString };
  const content = (i: number): Uint8Array => {
    const at = Number(table) + i * SHDR_SIZE;
    const [start, size] = [view.getBigUint64(at + 24, true), view.getBigUint64(at + 32, true)];
    const inside = view.getUint32(at + 4, true) !== SHT_NOBITS && start + size <= BigInt(bytes.length);
    return inside ? bytes.subarray(Number(start), Number(start + size)) : new Uint8Array(0);
  };
  const names = view.getUint16(62, true) < count ? content(view.getUint16(62, true)) : new Uint8Array(0);
  for (let i = 0; i < count; i++) {
    const at = Number(table) + i * SHDR_SIZE;
    if (view.getUint32(at + 4, true) === SHT_NOTE) sectionNotes.push(content(i));
    else if (cString(names, view.getUint32(at, true)) === "__xen_guest") guestString = cString(content(i), 0);
  }
  return { sectionNotes, guestString };
}

/** The characters from `start` to the next zero byte or the end. */
export function cString(bytes: Uint8Array, start: number): string {
  let s = "";
  for (let i = start; i < bytes.length && bytes[i] !== 0; i++) s += String.fromCharCode(bytes[i]);
  return s;
}

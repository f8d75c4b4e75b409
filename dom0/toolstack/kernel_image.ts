// A kernel image ready to be placed: its segments by physical address from 0, and the virtual addresses that the start of
// day is built around. Made by prepare.ts of the content of the file that `kernel=` names, once image/ has unpacked it, or of
// the text of a kernel in TypeScript.

import { encodeScriptImage, MAX_SCRIPT_BYTES } from "../../shared/script_image.ts";
import { type ElfFile, parseElf } from "./elf.ts";
import { parseXenNotes, type XenNotes } from "./elf_notes.ts";
import { ImageError } from "./image/error.ts";

export interface LoadSegment {
  /** Address in the domain's pseudo-physical memory. */
  readonly address: number;
  readonly data: Uint8Array;
  readonly memSize: number;
}

export interface KernelImage {
  /** Virtual address of pseudo-physical address 0: virtual = virtBase + physical. */
  readonly virtBase: bigint;
  readonly virtEntry: bigint;
  /** First and one past the last pseudo-physical byte of the image. */
  readonly start: number;
  readonly end: number;
  readonly segments: readonly LoadSegment[];
  /** Page frame number of the hypercall page, where the kernel has one in its image. */
  readonly hypercallPfn: number | undefined;
  /** Where the kernel wants the physical-to-machine list, when outside its own mapping. */
  readonly p2mBase: bigint | undefined;
  /** Run by the TypeScript processor, and all of the domain's memory is mapped at the start of day (shared/kernel.ts). */
  readonly script: boolean;
  /** The ramdisk need not be mapped: start_info then gives its page frame number. */
  readonly unmappedRamdisk: boolean;
}

const PAGE = 4096;
/** Above what any domain can have, so that sums of addresses stay exact numbers. */
const MAX_PHYSICAL = 2n ** 40n;
const CANONICAL_HIGH = 0xffff_8000_0000_0000n;
/** Virtual addresses that are Xen's own in a 64-bit PV guest (public/arch-x86/xen-x86_64.h). */
const XEN_START = 0xffff_8000_0000_0000n;
const XEN_END = 0xffff_8800_0000_0000n;

/** Reads the content of a kernel file; the result refers to it. Throws ImageError. */
export function parseKernelImage(bytes: Uint8Array): KernelImage {
  const file = parseElf(bytes);
  const notes = parseXenNotes(file);
  return place(file, notes);
}

function place(file: ElfFile, notes: XenNotes): KernelImage {
  if (notes.paddrOffset !== undefined && notes.virtBase === undefined)
    throw new ImageError("has the note PADDR_OFFSET without VIRT_BASE");
  const virtBase = notes.virtBase ?? 0n;
  if (virtBase % BigInt(PAGE) !== 0n)
    throw new ImageError(`has VIRT_BASE ${hex(virtBase)}, not at the start of a page`);
  const offset = notes.paddrOffset ?? (notes.legacy ? virtBase : 0n);
  const segments = file.segments.map((s): LoadSegment => {
    const address = s.paddr - offset;
    if (address < 0n || address + BigInt(s.memSize) > MAX_PHYSICAL)
      throw new ImageError(
        `has a segment outside memory: physical ${hex(s.paddr)} to ${hex(s.paddr + BigInt(s.memSize))}`,
      );
    return { address: Number(address), data: s.data, memSize: s.memSize };
  });
  const last = segments[segments.length - 1];
  const [start, end] = [segments[0].address, last.address + last.memSize];
  const [virtStart, virtEnd] = [virtBase + BigInt(start), virtBase + BigInt(end)];
  const virtEntry = notes.entry ?? file.entry;
  if (virtEnd > 2n ** 64n || !canonical(virtStart) || !canonical(virtEnd - 1n))
    throw new ImageError(`lies at virtual ${hex(virtStart)} to ${hex(virtEnd)}, which no x86-64 program can use`);
  if (virtStart < XEN_END && virtEnd > XEN_START)
    throw new ImageError(`lies at virtual ${hex(virtStart)}, in the range that is Xen's own`);
  if (virtEntry < virtStart || virtEntry >= virtEnd)
    throw new ImageError(`has its entry ${hex(virtEntry)} outside the image, ${hex(virtStart)} to ${hex(virtEnd)}`);
  return {
    virtBase,
    virtEntry,
    start,
    end,
    segments,
    hypercallPfn: hypercallPfn(notes, virtBase, virtStart, virtEnd),
    p2mBase: p2mBase(notes, virtBase),
    script: false,
    unmappedRamdisk: notes.modStartPfn,
  };
}

/** Where the memory of a kernel in TypeScript begins: in the lower half, so that addresses are plain numbers. */
const SCRIPT_VIRT_BASE = 0x40000000n;

/** The image of a kernel in TypeScript: `text` is its module and all that it imports, as one script. Throws ImageError. */
export function scriptKernelImage(name: string, text: Uint8Array): KernelImage {
  const data = encodeScriptImage(name, text);
  if (text.length > MAX_SCRIPT_BYTES) throw new ImageError(`is ${text.length} bytes of script, more than can be run`);
  return {
    virtBase: SCRIPT_VIRT_BASE,
    virtEntry: SCRIPT_VIRT_BASE,
    start: 0,
    end: data.length,
    segments: [{ address: 0, data, memSize: data.length }],
    hypercallPfn: undefined,
    p2mBase: undefined,
    script: true,
    unmappedRamdisk: false,
  };
}

function hypercallPfn(notes: XenNotes, virtBase: bigint, start: bigint, end: bigint): number | undefined {
  const page = notes.hypercallPage;
  if (page === undefined) return undefined;
  if (page % BigInt(PAGE) !== 0n)
    throw new ImageError(`has its hypercall page at ${hex(page)}, not at the start of a page`);
  if (page < start - (start % BigInt(PAGE)) || page >= end)
    throw new ImageError(`has its hypercall page ${hex(page)} outside the image, ${hex(start)} to ${hex(end)}`);
  return Number(page - virtBase) / PAGE;
}

/** As the field does: the list goes outside only when the note names whole pages below the kernel's base. */
function p2mBase(notes: XenNotes, virtBase: bigint): bigint | undefined {
  const base = notes.initP2m;
  const usable = base !== undefined && base < virtBase && base % BigInt(PAGE) === 0n;
  if (!usable) return undefined;
  if (!canonical(base) || (base >= XEN_START && base < XEN_END))
    throw new ImageError(`wants its page list at ${hex(base)}, which no guest can use`);
  return base;
}

const canonical = (address: bigint): boolean => address < 2n ** 47n || address >= CANONICAL_HIGH;
const hex = (n: bigint): string => `0x${n.toString(16)}`;

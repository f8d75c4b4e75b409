// What a kernel image says about itself to Xen: the notes of public/elfnote.h, in a PT_NOTE segment, in SHT_NOTE
// sections, or as the older string in section __xen_guest. Called by kernel_image.ts. Notes that PV on x86-64 has no use for
// (PAE mode, symbol table, suspend) are skipped.

import { cString, type ElfFile } from "./elf.ts";
import { ImageError } from "./image/error.ts";

export interface XenNotes {
  readonly entry: bigint | undefined;
  readonly hypercallPage: bigint | undefined;
  readonly virtBase: bigint | undefined;
  readonly paddrOffset: bigint | undefined;
  /** Where the physical-to-machine list wants to be mapped. */
  readonly initP2m: bigint | undefined;
  /** The kernel takes a ramdisk that no initial page table maps. */
  readonly modStartPfn: boolean;
  readonly guestOs: string;
  readonly loader: string;
  readonly xenVersion: string;
  /** Names of features that must be there (marked `!` in FEATURES). */
  readonly requiredFeatures: readonly string[];
  /** The older string: its paddr offset defaults to VIRT_BASE, and HYPERCALL_PAGE is a page number from there. */
  readonly legacy: boolean;
}

// XEN_ELFNOTE_ numbers (public/elfnote.h).
const ENTRY = 1;
const HYPERCALL_PAGE = 2;
const VIRT_BASE = 3;
const PADDR_OFFSET = 4;
const XEN_VERSION = 5;
const GUEST_OS = 6;
const LOADER = 8;
const FEATURES = 10;
const INIT_P2M = 15;
const MOD_START_PFN = 16;

/** Finds the notes of `file`. Throws ImageError when it has none or they are not for this Xen. */
export function parseXenNotes(file: ElfFile): XenNotes {
  const notes = new Map<number, Uint8Array>();
  for (const region of file.segmentNotes) collect(region, notes);
  if (notes.size === 0) for (const region of file.sectionNotes) collect(region, notes);
  if (notes.size > 0) return check(fromNotes(notes));
  if (file.guestString !== undefined) return check(fromString(file.guestString));
  throw new ImageError("has no Xen notes, so it is not a kernel for Xen PV");
}

/** Adds the notes of one region by owner "Xen"; stops at the first that doesn't fit. */
function collect(region: Uint8Array, notes: Map<number, Uint8Array>): void {
  const view = new DataView(region.buffer, region.byteOffset, region.byteLength);
  let at = 0;
  while (at + 12 <= region.length) {
    const nameSize = view.getUint32(at, true);
    const descSize = view.getUint32(at + 4, true);
    const desc = at + 12 + align4(nameSize);
    if (desc + descSize > region.length) return;
    const type = view.getUint32(at + 8, true);
    if (nameSize === 4 && cString(region.subarray(at + 12, at + 16), 0) === "Xen")
      notes.set(type, region.subarray(desc, desc + descSize));
    at = desc + align4(descSize);
  }
}

const align4 = (n: number): number => Math.ceil(n / 4) * 4;

function fromNotes(notes: ReadonlyMap<number, Uint8Array>): XenNotes {
  const text = (type: number): string => cString(notes.get(type) ?? new Uint8Array(0), 0);
  const number = (type: number, name: string): bigint | undefined => {
    const desc = notes.get(type);
    if (desc === undefined) return undefined;
    const view = new DataView(desc.buffer, desc.byteOffset, desc.byteLength);
    if (desc.length === 8) return view.getBigUint64(0, true);
    if (desc.length === 4) return BigInt(view.getUint32(0, true));
    throw new ImageError(`note ${name} has ${desc.length} bytes; a number has 4 or 8`);
  };
  return {
    entry: number(ENTRY, "ENTRY"),
    hypercallPage: number(HYPERCALL_PAGE, "HYPERCALL_PAGE"),
    virtBase: number(VIRT_BASE, "VIRT_BASE"),
    paddrOffset: number(PADDR_OFFSET, "PADDR_OFFSET"),
    initP2m: number(INIT_P2M, "INIT_P2M"),
    modStartPfn: (number(MOD_START_PFN, "MOD_START_PFN") ?? 0n) !== 0n,
    guestOs: text(GUEST_OS),
    loader: text(LOADER),
    xenVersion: text(XEN_VERSION),
    requiredFeatures: required(text(FEATURES)),
    legacy: false,
  };
}

/** `KEY=value,KEY=value`: keys as public/elfnote.h gives them beside each note. */
function fromString(guest: string): XenNotes {
  const pairs = new Map(
    guest.split(",").map((pair): [string, string] => {
      const eq = pair.indexOf("=");
      return eq < 0 ? [pair, ""] : [pair.slice(0, eq), pair.slice(eq + 1)];
    }),
  );
  const number = (key: string): bigint | undefined => {
    const text = pairs.get(key);
    if (text === undefined) return undefined;
    if (!/^(0x[0-9a-fA-F]{1,16}|[0-9]{1,19})$/.test(text))
      throw new ImageError(`__xen_guest has ${key}=${text.slice(0, 40)}, which is not a number`);
    return BigInt(text);
  };
  const virtBase = number("VIRT_BASE");
  const page = number("HYPERCALL_PAGE");
  return {
    entry: number("VIRT_ENTRY"),
    hypercallPage: page === undefined ? undefined : (virtBase ?? 0n) + page * 4096n,
    virtBase,
    paddrOffset: number("ELF_PADDR_OFFSET"),
    initP2m: number("INIT_P2M"),
    modStartPfn: false,
    guestOs: pairs.get("GUEST_OS") ?? "",
    loader: pairs.get("LOADER") ?? "",
    xenVersion: pairs.get("XEN_VER") ?? "",
    requiredFeatures: required(pairs.get("FEATURES") ?? ""),
    legacy: true,
  };
}

const required = (features: string): string[] =>
  features
    .split("|")
    .filter((name) => name.startsWith("!"))
    .map((name) => name.slice(1));

function check(notes: XenNotes): XenNotes {
  if (!notes.xenVersion.startsWith("xen-3.0"))
    throw new ImageError(`is built for Xen "${notes.xenVersion.slice(0, 40)}"; only "xen-3.0" kernels run here`);
  if (!notes.loader.startsWith("generic") && !notes.guestOs.startsWith("linux"))
    throw new ImageError(
      `is built for loader "${notes.loader.slice(0, 40)}"; only "generic" or Linux kernels run here`,
    );
  return notes;
}

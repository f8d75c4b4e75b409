// Fills an empty domain with memory and a start of day, as the field's builder does for PV: frames, image, ramdisk, list of
// machine frames, start_info, page tables, shared_info, grant entries 0 and 1, hypercall page, the first vcpu's
// registers. Called by domain_create.ts; what it does to the domain is undone by destroying the domain.

import type { Kernel, Task } from "../../../guests/sdk/index.ts";
import { yieldNow } from "../../../guests/sdk/index.ts";
import {
  FLAT_KERNEL_CS,
  FLAT_KERNEL_DS,
  FLAT_KERNEL_SS,
  VGCF_in_kernel,
  VGCF_online,
} from "../../../shared/abi/arch_x86.ts";
import {
  GNTTAB_RESERVED_CONSOLE,
  GNTTAB_RESERVED_XENSTORE,
  GrantEntryV1,
  GTF_permit_access,
} from "../../../shared/abi/grant_table.ts";
import { SharedInfo, SIF_MOD_START_PFN, StartInfo, XEN_LEGACY_MAX_VCPUS } from "../../../shared/abi/xen.ts";
import type { DomId, Mfn, Port } from "../../../shared/brand.ts";
import type { KernelImage } from "../kernel_image.ts";
import { XcBuild } from "../xc_build.ts";
import { type Extent, type Layout, PAGE } from "./layout.ts";
import { type Table, tableEntries } from "./page_tables.ts";

export interface BuildRequest {
  readonly domid: DomId;
  readonly image: KernelImage;
  readonly layout: Layout;
  /** Empty: none. */
  readonly ramdisk: Uint8Array;
  readonly cmdline: string;
  /** Machine frame of the domain's shared_info. */
  readonly sharedInfo: Mfn;
}

/** What the toolstack then tells xenstore. */
export interface Built {
  readonly storeMfn: Mfn;
  readonly storePort: Port;
  readonly consoleMfn: Mfn;
  readonly consolePort: Port;
}

const DR6_DEFAULT = 0xffff0ff0;
const DR7_DEFAULT = 0x400;
const RFLAGS_IF = 0x200;
const DOM0 = 0 as DomId;
/** Frames populated, mapped and copied between two turns of the other threads. */
const TURN_PAGES = 4096;

/** Throws OutOfMemory, XenError. */
export function* buildDomain(kernel: Kernel, request: BuildRequest): Task<Built> {
  const { domid, image, layout } = request;
  const xc = new XcBuild(kernel);
  const p2m = yield* populate(xc, domid, layout.totalPages, image.script);
  const { events } = kernel;
  // In this order: the guest's ports 1 and 2.
  const storePort = events.allocUnboundFor(domid, DOM0);
  const consolePort = events.allocUnboundFor(domid, DOM0);

  const frames = (extent: Extent): Mfn[] => p2m.slice(extent.pfn, extent.pfn + extent.pages);
  yield* load(xc, domid, frames(layout.kernel), imageBytes(image, layout.kernel));
  if (layout.ramdisk) yield* load(xc, domid, frames(layout.ramdisk), [{ at: 0, data: request.ramdisk }]);
  yield* load(xc, domid, frames(layout.p2m), [{ at: 0, data: listBytes(p2m) }]);
  if (image.hypercallPfn !== undefined) xc.hypercallInit(domid, p2m[image.hypercallPfn]);

  const built: Built = {
    storeMfn: p2m[layout.xenstorePfn],
    storePort,
    consoleMfn: p2m[layout.consolePfn],
    consolePort,
  };
  xc.withFrame(domid, p2m[layout.startInfoPfn], (bytes) => fillStartInfo(bytes, request, built));
  xc.withFrame(domid, request.sharedInfo, maskUpcalls);
  writeTables(xc, domid, layout, p2m);
  xc.pinL4(domid, p2m[layout.tables[0].pfn]);
  xc.withFrame(domid, xc.grantTableFrame(domid), (bytes) => {
    grantToDom0(bytes, GNTTAB_RESERVED_CONSOLE, built.consoleMfn);
    grantToDom0(bytes, GNTTAB_RESERVED_XENSTORE, built.storeMfn);
  });
  if (image.script) xc.setScript(domid);
  setFirstVcpu(xc, request, p2m[layout.tables[0].pfn]);
  return built;
}

/** `runs`: a kernel in TypeScript has its buffers in consecutive frames (guests/sdk/pages.ts). */
function* populate(xc: XcBuild, domid: DomId, pages: number, runs: boolean): Task<Mfn[]> {
  const p2m: Mfn[] = [];
  while (p2m.length < pages) {
    const count = Math.min(TURN_PAGES, pages - p2m.length);
    const more = runs ? xc.populateRuns(domid, p2m.length, count) : xc.populate(domid, p2m.length, count);
    for (const mfn of more) p2m.push(mfn);
    yield* yieldNow();
  }
  return p2m;
}

interface Piece {
  /** Byte offset from the beginning of the extent. */
  readonly at: number;
  readonly data: Uint8Array;
}

const imageBytes = (image: KernelImage, extent: Extent): Piece[] =>
  image.segments.map((s) => ({ at: s.address - extent.pfn * PAGE, data: s.data }));

function listBytes(p2m: readonly Mfn[]): Uint8Array {
  const list = new Uint8Array(p2m.length * 8);
  const view = new DataView(list.buffer);
  for (let i = 0; i < p2m.length; i++) view.setUint32(i * 8, p2m[i], true);
  return list;
}

/** Copies pieces into frames, which read zero elsewhere; only frames that get bytes are mapped. */
function* load(xc: XcBuild, domid: DomId, frames: readonly Mfn[], pieces: readonly Piece[]): Task {
  for (const { at, data } of pieces) {
    const first = Math.floor(at / PAGE);
    const end = Math.ceil((at + data.length) / PAGE);
    for (let from = first; from < end; from += TURN_PAGES) {
      const touched = frames.slice(from, Math.min(end, from + TURN_PAGES));
      xc.withFrames(domid, touched, (i, bytes) => {
        const page = (from + i) * PAGE; // Offset of this frame in the extent.
        const start = Math.max(page, at);
        const stop = Math.min(page + PAGE, at + data.length);
        bytes.set(data.subarray(start - at, stop - at), start - page);
      });
      yield* yieldNow();
    }
  }
}

function fillStartInfo(bytes: Uint8Array, request: BuildRequest, built: Built): void {
  const { layout, ramdisk, cmdline, sharedInfo } = request;
  const at = (pfn: number): bigint => layout.virtBase + BigInt(pfn * PAGE);
  const info = StartInfo.at(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  info.magic = "xen-3.0-x86_64";
  info.nr_pages_num = layout.totalPages;
  info.shared_info_num = sharedInfo * PAGE;
  info.store_mfn_num = built.storeMfn;
  info.store_evtchn = built.storePort;
  info.console_domU_mfn_num = built.consoleMfn;
  info.console_domU_evtchn = built.consolePort;
  info.pt_base = at(layout.tables[0].pfn);
  info.nr_pt_frames_num = layout.firstTables;
  info.mfn_list = layout.p2m.va;
  if (layout.ramdisk?.mapped) {
    info.mod_start = at(layout.ramdisk.pfn);
    info.mod_len_num = ramdisk.length;
  } else if (layout.ramdisk) {
    info.flags = SIF_MOD_START_PFN;
    info.mod_start_num = layout.ramdisk.pfn;
    info.mod_len_num = layout.ramdisk.pages * PAGE;
  }
  if (layout.p2mFrames) {
    info.first_p2m_pfn_num = layout.p2mFrames.pfn;
    info.nr_p2m_frames_num = layout.p2mFrames.pages;
  }
  // chars() keeps one byte for each character: the line's UTF-8 bytes go in as such.
  info.cmd_line = String.fromCharCode(...new TextEncoder().encode(cmdline));
}

/** No vcpu takes events before its kernel says so. */
function maskUpcalls(bytes: Uint8Array): void {
  const info = SharedInfo.at(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  for (let i = 0; i < XEN_LEGACY_MAX_VCPUS; i++) info.vcpu_info.get(i).evtchn_upcall_mask = 1;
}

function writeTables(xc: XcBuild, domid: DomId, layout: Layout, p2m: readonly Mfn[]): void {
  const { tables, mappings } = layout;
  const frames = tables.map((t: Table) => p2m[t.pfn]);
  xc.withFrames(domid, frames, (i, bytes) => {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, PAGE / 4);
    for (const { index, pfn, flags } of tableEntries(tables[i], tables, mappings)) {
      const mfn = p2m[pfn];
      words[index * 2] = ((mfn << 12) | flags) >>> 0;
      words[index * 2 + 1] = mfn >>> 20;
    }
  });
}

function grantToDom0(bytes: Uint8Array, ref: number, mfn: Mfn): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entry = GrantEntryV1.at(view, ref * GrantEntryV1.size);
  entry.domid = DOM0;
  entry.frame = mfn;
  entry.flags = GTF_permit_access;
}

function setFirstVcpu(xc: XcBuild, { domid, image, layout }: BuildRequest, l4: Mfn): void {
  xc.setVcpuContext(domid, 0, (c) => {
    const { user_regs: regs } = c;
    const stack = layout.virtBase + BigInt((layout.stackPfn + 1) * PAGE);
    regs.rip = image.virtEntry;
    regs.rsp = BigInt.asUintN(64, stack);
    regs.rsi = layout.virtBase + BigInt(layout.startInfoPfn * PAGE);
    regs.rflags_num = RFLAGS_IF;
    regs.cs = FLAT_KERNEL_CS;
    regs.ss = FLAT_KERNEL_SS;
    regs.ds = FLAT_KERNEL_DS;
    regs.es = FLAT_KERNEL_DS;
    regs.fs = FLAT_KERNEL_DS;
    regs.gs = FLAT_KERNEL_DS;
    c.kernel_ss_num = FLAT_KERNEL_SS;
    c.kernel_sp = BigInt.asUintN(64, stack);
    c.flags_num = VGCF_in_kernel | VGCF_online;
    c.ctrlreg.setNum(3, l4 * PAGE);
    c.debugreg.setNum(6, DR6_DEFAULT);
    c.debugreg.setNum(7, DR7_DEFAULT);
  });
}

// Boots an ELF kernel as a domU without any dom0: a machine in the test's own thread, the domain built straight into its
// memory by the toolstack's own plan (layout, page tables, start_info). Its console_io output, if allowed, is the log; the
// pages of its console and xenstore rings are there, with nobody behind them. For tests of the hypervisor alone.

import { readFileSync } from "node:fs";
import { PAGE, planLayout } from "../../dom0/toolstack/builder/layout.ts";
import { tableEntries } from "../../dom0/toolstack/builder/page_tables.ts";
import { parseKernelImage } from "../../dom0/toolstack/kernel_image.ts";
import type { Domain } from "../../hypervisor/domain.ts";
import { fillHypercallPage } from "../../hypervisor/hypercalls/hypercall_page.ts";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { createMachine, type Machine } from "../../hypervisor/index.ts";
import { createDomain, createVcpu } from "../../hypervisor/lifecycle.ts";
import { PageType } from "../../hypervisor/memory/frame_table.ts";
import { setContext } from "../../hypervisor/vcpu_context.ts";
import {
  FLAT_KERNEL_CS,
  FLAT_KERNEL_SS,
  VcpuGuestContext,
  VGCF_in_kernel,
  VGCF_online,
} from "../../shared/abi/arch_x86.ts";
import { GTF_permit_access } from "../../shared/abi/grant_table.ts";
import { SIF_MOD_START_PFN, StartInfo } from "../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";

export interface DomuOptions {
  readonly memoryMiB?: number;
  readonly domainMiB?: number;
  readonly vcpus?: number;
  /** Frames that it may get beyond those it starts with (xl allows 256). Default 0. */
  readonly spareFrames?: number;
  readonly cmdline?: string;
  readonly ramdisk?: Uint8Array;
  readonly clock?: "virtual" | "real";
  /** May the domain write to the log? Default true. */
  readonly consoleIo?: boolean;
}

// struct xencons_interface (public/io/console.h): in[1024], out[2048], in_cons, in_prod, out_cons, out_prod.
const RING_OUT = 1024;
const RING_OUT_BYTES = 2048;
const RING_INDEXES = 3072;
const CONSOLE_PORT = 2;

const consoles = new WeakMap<Domain, number>();

/** The console backend's part: takes what is in the ring of a domain built here, and tells the guest. */
export function drainConsole(hv: Hypervisor, domain: Domain): string {
  const start = consoles.get(domain) as number;
  const word = (start + RING_INDEXES) >>> 2;
  const cons = hv.memory.i32[word + 2];
  const prod = Atomics.load(hv.memory.i32, word + 3);
  let text = "";
  for (let i = cons; i !== prod; i = (i + 1) | 0)
    text += String.fromCharCode(hv.memory.u8[start + RING_OUT + (i & (RING_OUT_BYTES - 1))]);
  if (text === "") return text;
  Atomics.store(hv.memory.i32, word + 2, prod);
  hv.events.setPending(domain, domain.events.at(CONSOLE_PORT)!);
  return text;
}

/** A machine without dom0, and nothing in it yet. */
export function bareMachine(options: DomuOptions = {}): Machine {
  return createMachine({
    memory: { mib: options.memoryMiB ?? 64 },
    clock: options.clock ?? "virtual",
    hostClock: { nowNs: () => performance.now() * 1e6, wallclockNs: () => 1_700_000_000_000_000_000n },
    wallclockNs: 1_700_000_000_000_000_000n,
    guestConsoleIo: options.consoleIo ?? true,
  });
}

/** A machine that runs one domU from an ELF file. */
export class DomuMachine {
  readonly machine: Machine;
  readonly domain: Domain;
  /** What the domain wrote to its console ring, which the harness drains between steps. */
  ring = "";

  constructor(file: string, options: DomuOptions = {}) {
    this.machine = bareMachine(options);
    // A neighbour that never runs, so that there are frames and ports of somebody else.
    const neighbour = createDomain(this.machine.hv, {
      id: 0 as DomId,
      privileged: false,
      processor: this.machine.hv.x86,
      handle: new Uint8Array(16),
      maxVcpus: 1,
      maxPages: 16,
      maxGrantFrames: 1,
      maxMaptrackFrames: 1,
    });
    for (let pfn = 0; pfn < 16; pfn++) this.machine.hv.mm.setM2p(neighbour?.memory.alloc() as Mfn, pfn);
    this.domain = buildDomu(this.machine.hv, readFileSync(file), 1 as DomId, options);
    this.machine.hv.sched.unpause(this.domain);
  }

  /** Runs until the domain has shut down or crashed; its SHUTDOWN_ reason. Throws, with the log, when it doesn't. */
  runToEnd(limitSteps = 100_000): number {
    const { machine } = this;
    for (let i = 0; i < limitSteps; i++) {
      const drained = this.#drain();
      if (this.domain.isShutDown) return this.domain.shutdownReason;
      const idleNs = machine.step();
      if (idleNs === Number.POSITIVE_INFINITY && !drained && !this.#drain()) break;
      if (idleNs > 0) machine.skipIdle();
    }
    throw new Error(`the domain did not end. Log:\n${this.log.slice(-4000)}`);
  }

  #drain(): boolean {
    const text = drainConsole(this.machine.hv, this.domain);
    this.ring += text;
    return text !== "";
  }

  get log(): string {
    return this.machine.log.read(0, Number.MAX_SAFE_INTEGER);
  }

  /** What the domain wrote by console_io. */
  get console(): string {
    const prefix = `(XEN) (d${this.domain.id}) `;
    const lines = this.log.split("\n").filter((line) => line.startsWith(prefix));
    return lines.map((line) => `${line.slice(prefix.length)}\n`).join("");
  }
}

/** Builds the domain, paused. Throws when something of it is refused. */
export function buildDomu(hv: Hypervisor, file: Uint8Array, id: DomId, options: DomuOptions): Domain {
  const image = parseKernelImage(file);
  const pages = (options.domainMiB ?? 16) * 256;
  const ramdisk = options.ramdisk ?? new Uint8Array(0);
  const layout = planLayout(image, pages, ramdisk.length);
  const domain = createDomain(hv, {
    id,
    privileged: false,
    processor: hv.x86,
    handle: new Uint8Array(16).fill(id),
    maxVcpus: options.vcpus ?? 1,
    maxPages: pages + (options.spareFrames ?? 0),
    maxEvtchnPort: 1023, // xl's default.
    maxGrantFrames: 64,
    maxMaptrackFrames: 4,
  });
  if (domain === undefined) throw new Error("no memory for the domain");
  for (let i = 0; i < domain.maxVcpus; i++) createVcpu(hv, domain);

  const p2m: Mfn[] = [];
  for (let pfn = 0; pfn < pages; pfn++) {
    const mfn = domain.memory.alloc();
    if (mfn === -1) throw new Error("no memory for the domain");
    hv.mm.setM2p(mfn, pfn);
    p2m.push(mfn);
  }
  const store = (at: number, data: Uint8Array): void => {
    for (let done = 0; done < data.length; ) {
      const page = Math.floor((at + done) / PAGE);
      const offset = (at + done) % PAGE;
      const n = Math.min(PAGE - offset, data.length - done);
      hv.memory.frame(p2m[page]).set(data.subarray(done, done + n), offset);
      done += n;
    }
  };
  for (const segment of image.segments) store(segment.address, segment.data);
  const list = new BigUint64Array(p2m.map((mfn) => BigInt(mfn)));
  store(layout.p2m.pfn * PAGE, new Uint8Array(list.buffer));
  if (layout.ramdisk !== undefined) store(layout.ramdisk.pfn * PAGE, ramdisk);
  for (const table of layout.tables) {
    const words = hv.memory.u32.subarray(p2m[table.pfn] * 1024, (p2m[table.pfn] + 1) * 1024);
    for (const entry of tableEntries(table, layout.tables, layout.mappings)) {
      words[entry.index * 2] = ((p2m[entry.pfn] << 12) | entry.flags) >>> 0;
      words[entry.index * 2 + 1] = 0;
    }
  }
  if (image.hypercallPfn !== undefined) fillHypercallPage(hv, id, p2m[image.hypercallPfn]);

  const at = (pfn: number): bigint => BigInt.asUintN(64, layout.virtBase + BigInt(pfn * PAGE));
  const info = StartInfo.at(hv.memory.view, p2m[layout.startInfoPfn] * PAGE);
  info.magic = "xen-3.0-x86_64";
  info.nr_pages_num = pages;
  info.shared_info_num = domain.sharedInfo * PAGE;
  info.store_mfn_num = p2m[layout.xenstorePfn];
  info.store_evtchn = domain.events.allocUnbound(0);
  info.console_domU_mfn_num = p2m[layout.consolePfn];
  info.console_domU_evtchn = domain.events.allocUnbound(0);
  // Grant entries 0 and 1: console and xenstore, to domain 0.
  [p2m[layout.consolePfn], p2m[layout.xenstorePfn]].forEach((mfn, ref) => {
    const entry = domain.grants.frames[0] * 1024 + ref * 2;
    hv.memory.u32[entry] = GTF_permit_access;
    hv.memory.u32[entry + 1] = mfn;
  });
  consoles.set(domain, p2m[layout.consolePfn] * PAGE);
  info.pt_base = at(layout.tables[0].pfn);
  info.nr_pt_frames_num = layout.firstTables;
  info.mfn_list = layout.p2m.va;
  if (layout.ramdisk !== undefined) {
    info.flags = layout.ramdisk.mapped ? 0 : SIF_MOD_START_PFN;
    info.mod_start = layout.ramdisk.mapped ? at(layout.ramdisk.pfn) : BigInt(layout.ramdisk.pfn);
    info.mod_len_num = ramdisk.length;
  }
  if (layout.p2mFrames !== undefined) {
    info.first_p2m_pfn_num = layout.p2mFrames.pfn;
    info.nr_p2m_frames_num = layout.p2mFrames.pages;
  }
  info.cmd_line = options.cmdline ?? "";

  const l4 = p2m[layout.tables[0].pfn];
  const pinned = hv.mm.pin(l4, PageType.L4, id);
  if (pinned !== 0) throw new Error(`pinning the first page table failed: ${pinned}`);
  const c = VcpuGuestContext.create();
  c.flags_num = VGCF_in_kernel | VGCF_online;
  c.user_regs.rip = image.virtEntry;
  c.user_regs.rsp = at(layout.stackPfn + 1);
  c.user_regs.rsi = at(layout.startInfoPfn);
  c.user_regs.cs = FLAT_KERNEL_CS;
  c.user_regs.ss = FLAT_KERNEL_SS;
  c.kernel_ss_num = FLAT_KERNEL_SS;
  c.kernel_sp = at(layout.stackPfn + 1);
  c.ctrlreg.setNum(3, l4 * PAGE);
  const error = setContext(hv, domain.vcpus[0], c);
  if (error !== 0) throw new Error(`the first vcpu's context was refused: ${error}`);
  return domain;
}

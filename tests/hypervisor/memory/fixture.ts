// A hypervisor's memory half without the rest: machine memory, frame table, page types, guest access and grants, two or
// more domains with their first page tables, and a translation cache that is as stale as hardware allows. Used by the
// tests of memory/ and grants/, which call hypercall handlers as a guest's registers would.

import { expect } from "vitest";
import { Domain } from "../../../hypervisor/domain.ts";
import { GrantTable } from "../../../hypervisor/grants/grant_table.ts";
import { Grants } from "../../../hypervisor/grants/grants.ts";
import { Args, type Handler } from "../../../hypervisor/hypercalls/args.ts";
import { mmuUpdate } from "../../../hypervisor/hypercalls/mmu_update.ts";
import { mmuextOp } from "../../../hypervisor/hypercalls/mmuext_op.ts";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { CpuLayout, CpuState } from "../../../hypervisor/machine/cpu_state.ts";
import { allocateMemory, FRAME_SIZE, MachineMemory } from "../../../hypervisor/machine/memory.ts";
import { Exit, type Tlb } from "../../../hypervisor/machine/processor.ts";
import { Access, PageWalker } from "../../../hypervisor/machine/walk.ts";
import { type CachedTranslation, Checker } from "../../../hypervisor/memory/checker.ts";
import { DomainMemory } from "../../../hypervisor/memory/domain_memory.ts";
import { FrameTable, PageType } from "../../../hypervisor/memory/frame_table.ts";
import { GuestAccess, makeWords } from "../../../hypervisor/memory/guest_access.ts";
import { MachineToPhys } from "../../../hypervisor/memory/m2p.ts";
import { MemoryManagement } from "../../../hypervisor/memory/mmu.ts";
import { Vcpu } from "../../../hypervisor/vcpu.ts";
import { DOMID_SELF, MmuextOp, MmuUpdate } from "../../../shared/abi/xen.ts";
import type { DomId, Mfn, Va } from "../../../shared/brand.ts";

export const P = 1;
export const RW = 2;
export const US = 4;

/** Keeps every translation that it was ever asked for until it is told to drop it. */
export class ModelTlb implements Tlb {
  readonly held = new Map<string, CachedTranslation>();
  readonly #walker: PageWalker;

  constructor(walker: PageWalker) {
    this.#walker = walker;
  }

  /** A guest's load or store: the frame reached, through the cache if it is there; -1 for a page fault. */
  access(vcpu: Vcpu, va: Va, write: boolean): Mfn | -1 {
    const cr3 = vcpu.cpu.field(CpuLayout.cr3) as Mfn;
    const cached = this.lookup(cr3, va, write);
    if (cached !== 0) return cached;
    const page = (va - (va % FRAME_SIZE)) as Va;
    const mfn = this.#walker.walk(cr3, va, write ? Access.WRITE : Access.READ);
    if (mfn !== -1) this.held.set(`${cr3}:${page}`, { cr3, va: page, mfn, writable: write });
    return mfn;
  }

  lookup(cr3: Mfn, va: Va, write: boolean): Mfn {
    const held = this.held.get(`${cr3}:${va - (va % FRAME_SIZE)}`);
    return held && (held.writable || !write) ? held.mfn : (0 as Mfn);
  }

  flushAll(): void {
    this.held.clear();
  }
  flushTable(cr3: Mfn): void {
    this.#drop((e) => e.cr3 === cr3);
  }
  flushPage(va: Va): void {
    this.#drop((e) => e.va === va - (va % FRAME_SIZE));
  }
  retire(mfn: Mfn): void {
    this.#drop((e) => e.mfn === mfn);
  }
  dropCode(): void {}
  deviceWrites(): void {}
  dropDeviceCode(): void {}

  #drop(which: (entry: CachedTranslation) => boolean): void {
    for (const [key, entry] of this.held) if (which(entry)) this.held.delete(key);
  }
}

/** What a test sets to play the processor in a direct store: writes to the frame, as the instruction would. */
export class FakeStepper {
  retired = 0;
  store: (frame: Uint32Array, cpu: CpuState) => Exit = () => Exit.Budget;
  readonly #memory: MachineMemory;
  constructor(memory: MachineMemory) {
    this.#memory = memory;
  }
  stepWithOverride(cpu: CpuState, _va: Va, mfn: Mfn): Exit {
    this.retired = 1;
    return this.store(this.#memory.u32.subarray(mfn * 1024, mfn * 1024 + 1024), cpu);
  }
}

/** A domain of the fixture: page n of it is mapped at address n * 4096; its tables are its last pages, read-only. */
export interface Guest {
  domain: Domain;
  vcpu: Vcpu;
  /** Machine frame of each page. */
  p2m: Mfn[];
  /** Pages that are neither tables nor the argument page. */
  free: number;
  l4: Mfn;
  l3: Mfn;
  l2: Mfn;
  /** Level-1 tables, for 512 pages each. */
  l1: Mfn[];
  /** Page number of l1[0]; l2, l3, l4 follow the level-1 tables. */
  l1Page: number;
  /** Page used for hypercall arguments. */
  argPage: number;
}

export class Fixture {
  readonly memory: MachineMemory;
  readonly walker: PageWalker;
  readonly tlb: ModelTlb;
  readonly frames: FrameTable;
  readonly mm: MemoryManagement;
  readonly access: GuestAccess;
  readonly grants: Grants;
  readonly stepper: FakeStepper;
  readonly domains = new Map<DomId, Domain>();
  readonly hv: Hypervisor;
  readonly checker: Checker;
  /** Answer of preemptCheck. */
  preempt = false;
  #cpuAddress: number;

  constructor(mib = 8) {
    this.memory = new MachineMemory(allocateMemory(mib));
    this.#cpuAddress = this.memory.reserve(64 * CpuLayout.size);
    this.walker = new PageWalker(this.memory);
    this.tlb = new ModelTlb(this.walker);
    this.frames = new FrameTable(this.memory, this.tlb, new MachineToPhys(this.memory));
    this.stepper = new FakeStepper(this.memory);
    this.mm = new MemoryManagement(this.memory, this.frames, this.tlb, this.stepper);
    this.access = new GuestAccess(this.memory, this.walker, this.tlb);
    this.grants = new Grants(this.memory, this.tlb, this.mm, (id) => this.domains.get(id as DomId));
    const scratchWords = makeWords(16384);
    const scratch = new DataView(scratchWords.u8.buffer);
    this.hv = {
      memory: this.memory,
      walker: this.walker,
      tlb: this.tlb,
      frames: this.frames,
      mm: this.mm,
      access: this.access,
      grants: this.grants,
      domains: this.domains,
      scratchWords,
      scratchBytes: scratchWords.u8,
      scratch,
      mmuRequest: MmuUpdate.at(scratch),
      mmuextRequest: MmuextOp.at(scratch),
      find: (id: number) => this.domains.get(id as DomId),
      charge: () => {},
      preemptCheck: () => this.preempt,
    } as unknown as Hypervisor;
    this.checker = new Checker(
      this.memory,
      this.frames,
      () => this.domains.values(),
      () => this.tlb.held.values(),
    );
  }

  /** Asserts that the walker finds nothing. */
  clean(): void {
    expect(this.checker.check()).toEqual([]);
  }

  /** A domain of `pages` pages (up to 500) with its tables pinned and loaded. */
  guest(id: number, privileged = false, pages = 64): Guest {
    const domain = new Domain(id as DomId, privileged, undefined as never, new Uint8Array(16));
    domain.memory = new DomainMemory(this.frames, id as DomId, privileged, pages);
    domain.grants = new GrantTable(this.memory, this.frames, domain, 4, 2);
    this.domains.set(id as DomId, domain);
    const hooks = { singleshot: () => {}, periodic: () => {}, pollTimeout: () => {} };
    const vcpu = new Vcpu(domain, 0, new CpuState(this.memory, this.#cpuAddress), hooks);
    this.#cpuAddress += CpuLayout.size;
    domain.vcpus.push(vcpu);
    const p2m: Mfn[] = [];
    for (let i = 0; i < pages; i++) p2m.push(domain.memory.alloc() as Mfn);
    const l1Page = pages - 4;
    const [l1, l2, l3, l4] = p2m.slice(l1Page);
    for (let i = 0; i < pages; i++) this.poke(l1, i, p2m[i], P | US | (i < l1Page ? RW : 0));
    this.poke(l2, 0, l1, P | US | RW);
    this.poke(l3, 0, l2, P | US | RW);
    this.poke(l4, 0, l3, P | US | RW);
    expect(this.mm.pin(l4, PageType.L4, domain.id)).toBe(0);
    expect(this.mm.setGuestTable(vcpu, l4, false)).toBe(0);
    const argPage = l1Page - 1;
    for (let i = 0; i < pages; i++) this.frames.m2p.set(p2m[i], i);
    return { domain, vcpu, p2m, free: argPage, l4, l3, l2, l1: [l1], l1Page, argPage };
  }

  /** Writes an entry behind everybody's back: only for tables that are none yet, or to play a bug. */
  poke(table: Mfn, index: number, mfn: number, flags: number, hi = 0): void {
    this.memory.u32[table * 1024 + index * 2] = ((mfn << 12) | flags) >>> 0;
    this.memory.u32[table * 1024 + index * 2 + 1] = hi;
  }

  entry(table: Mfn, index: number): { mfn: number; flags: number; hi: number } {
    const lo = this.memory.u32[table * 1024 + index * 2];
    return { mfn: lo >>> 12, flags: lo & 0xfff, hi: this.memory.u32[table * 1024 + index * 2 + 1] };
  }

  /** Calls a handler with up to six arguments, numbers or 64-bit values. */
  call(g: Guest, handler: Handler, ...args: (number | bigint)[]): number {
    return handler(this.hv, g.vcpu, this.args(...args));
  }

  args(...args: (number | bigint)[]): Args {
    const a = new Args();
    args.forEach((value, i) => {
      const v = BigInt.asUintN(64, BigInt(value));
      a.setHalves(i, Number(v & 0xffffffffn), Number(v >> 32n));
    });
    return a;
  }

  /** The argument page's bytes, and its address. */
  arg(g: Guest): { view: DataView; va: number } {
    const at = g.p2m[g.argPage] * FRAME_SIZE;
    return { view: new DataView(this.memory.u8.buffer, at, FRAME_SIZE), va: g.argPage * FRAME_SIZE };
  }

  /** mmu_update of entries [table, index, low, high, command]; the errno, and how many were done. */
  update(g: Guest, requests: number[][], foreigndom: number = DOMID_SELF): { error: number; done: number } {
    const { view, va } = this.arg(g);
    requests.forEach(([table, index, lo, hi = 0, command = 0], i) => {
      view.setBigUint64(i * 16, BigInt(table) * 4096n + BigInt(index * 8 + command), true);
      view.setUint32(i * 16 + 8, lo >>> 0, true);
      view.setUint32(i * 16 + 12, hi >>> 0, true);
    });
    view.setUint32(4092, 0xffffffff, true);
    const error = this.call(g, mmuUpdate, va, requests.length, va + 4092, foreigndom);
    return { error, done: view.getUint32(4092, true) };
  }

  /** One mmuext_op. */
  ext(
    g: Guest,
    cmd: number,
    arg1: number | bigint = 0,
    arg2: number | bigint = 0,
    foreigndom: number = DOMID_SELF,
  ): number {
    const { view, va } = this.arg(g);
    view.setUint32(0, cmd, true);
    view.setBigUint64(8, BigInt(arg1), true);
    view.setBigUint64(16, BigInt(arg2), true);
    return this.call(g, mmuextOp, va, 1, 0, foreigndom);
  }

  /** Kills a domain as domctl destroydomain does: returns the frames that others keep. */
  destroy(g: Guest): number {
    for (const vcpu of g.domain.vcpus) this.mm.releaseVcpu(vcpu);
    while (this.grants.mappings.releaseAll(g.domain, 100) > 0);
    while (this.mm.relinquish(g.domain, 7) > 0);
    g.domain.memory.whenReleased(() => this.domains.delete(g.domain.id));
    return g.domain.memory.totPages;
  }
}

/** Low half of an entry. */
export function lo(mfn: number, flags: number): number {
  return ((mfn << 12) | flags) >>> 0;
}

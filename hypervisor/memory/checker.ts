// The walker over page types: recomputes every count and type from the page tables, pins, vcpus and grants themselves,
// and compares with what the frame table says, and the uses of each grant with what is mapped of it; checks what the
// translation cache holds against all that. For tests, fuzzing and the machine's checker(): it reads everything, changes
// nothing, and takes time in proportion to the machine's memory.

import { GNTMAP_device_map, GNTMAP_host_map, GNTMAP_readonly } from "../../shared/abi/grant_table.ts";
import { DOMID_INVALID, DOMID_IO, DOMID_XEN } from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import type { GrantTable } from "../grants/grant_table.ts";
import { pinOf } from "../grants/mapping.ts";
import { CpuLayout } from "../machine/cpu_state.ts";
import type { MachineMemory } from "../machine/memory.ts";
import { ENTRIES_PER_TABLE, Pte, pteMfn } from "../machine/pte.ts";
import { type FrameTable, PageFlag, PageType } from "./frame_table.ts";
import { MACH2PHYS_SLOT, MACH2PHYS_VIRT_END, MACH2PHYS_VIRT_START } from "./m2p.ts";
import { isTable, isXenSlot } from "./page_types.ts";

/** One translation that a processor may use without a walk. */
export interface CachedTranslation {
  readonly cr3: Mfn;
  readonly va: Va;
  readonly mfn: Mfn;
  readonly writable: boolean;
}

const GDT_FRAMES = 14;
/** More findings than this are not listed. */
const MOST = 50;

export class Checker {
  readonly #u32: Uint32Array;
  readonly #f: FrameTable;
  readonly #domains: () => Iterable<Domain>;
  readonly #cached: () => Iterable<CachedTranslation>;
  #refs = new Uint32Array(0);
  #types = new Uint32Array(0);
  #linear = new Int32Array(0);
  /** Domain and frame of each grant mapping, as `domid * 2^20 + mfn`. */
  #granted = new Set<number>();
  /** Of each table, what the mappings add up to by reference, in the form of its `pins`. */
  readonly #pins = new Map<GrantTable, Uint32Array>();
  #found: string[] = [];

  constructor(
    memory: MachineMemory,
    frames: FrameTable,
    domains: () => Iterable<Domain>,
    cached: () => Iterable<CachedTranslation> = () => [],
  ) {
    this.#u32 = memory.u32;
    this.#f = frames;
    this.#domains = domains;
    this.#cached = cached;
  }

  /** What is wrong, one sentence each; empty when all is well. */
  check(): string[] {
    const n = this.#f.totalFrames;
    this.#refs = new Uint32Array(n);
    this.#types = new Uint32Array(n);
    this.#linear = new Int32Array(n);
    this.#granted.clear();
    this.#pins.clear();
    this.#found = [];
    for (const domain of this.#domains()) this.#countDomain(domain);
    for (const { grants } of this.#domains()) this.#comparePins(grants);
    for (let mfn = this.#f.first as number; mfn < n; mfn++) this.#countFrame(mfn as Mfn);
    for (let mfn = this.#f.first as number; mfn < n; mfn++) this.#compare(mfn as Mfn);
    this.#checkTotals();
    for (const entry of this.#cached()) this.#checkCached(entry);
    return this.#found;
  }

  #wrong(what: string): void {
    if (this.#found.length < MOST) this.#found.push(what);
  }

  #use(mfn: Mfn, type: PageType, why: string): void {
    this.#refs[mfn]++;
    if (type === PageType.None) return;
    this.#types[mfn]++;
    if (this.#f.type[mfn] !== type)
      this.#wrong(`frame ${mfn} is used as type ${type} (${why}) but has ${this.#f.type[mfn]}`);
  }

  #countDomain(domain: Domain): void {
    for (const vcpu of domain.vcpus) {
      if (vcpu.guestTable) this.#use(vcpu.guestTable, PageType.L4, "base pointer");
      if (vcpu.guestTableUser) this.#use(vcpu.guestTableUser, PageType.L4, "user base pointer");
      if (vcpu.vcpuInfoFrame) this.#use(vcpu.vcpuInfoFrame, PageType.Writable, "vcpu_info");
      for (let i = 0; i < GDT_FRAMES; i++) {
        const mfn = vcpu.cpu.field(CpuLayout.gdtFrames + i * 4) as Mfn;
        if (mfn) this.#use(mfn, PageType.SegDesc, "GDT");
      }
    }
    const { held, deferred } = domain.memory;
    for (const mfn of [...held, ...deferred]) this.#use(mfn, this.#f.type[mfn] as PageType, "unfinished work");
    this.#countGrants(domain);
  }

  /** Device mappings hold references of their own; host mappings' are those of the entries. */
  #countGrants(domain: Domain): void {
    const { maptrack } = domain.grants;
    for (let handle = 0; handle < maptrack.limit; handle++) {
      const flags = maptrack.flags[handle];
      const remote = maptrack.remotes[handle];
      if (flags === 0 || !remote) continue;
      if (remote.owner.memory.released) {
        // Only a host mapping whose entry was overwritten holds nothing of its granter.
        if (flags & GNTMAP_device_map) this.#wrong(`d${domain.id} maps a grant of a domain that is gone`);
        continue;
      }
      const ref = maptrack.refs[handle];
      const mfn = remote.mfns[ref] as Mfn;
      const pins = this.#pins.get(remote) ?? new Uint32Array(remote.pins.length);
      this.#pins.set(remote, pins);
      pins[ref] += pinOf(flags);
      if (remote.users[ref] !== domain.id)
        this.#wrong(`grant ${ref} of d${remote.owner.id} is d${domain.id}'s, the table says d${remote.users[ref]}`);
      if (flags & GNTMAP_device_map)
        this.#use(mfn, flags & GNTMAP_readonly ? PageType.None : PageType.Writable, "device");
      if (flags & GNTMAP_host_map) this.#granted.add(domain.id * 1048576 + mfn);
    }
  }

  #comparePins(grants: GrantTable): void {
    const found = this.#pins.get(grants);
    for (let ref = 0; ref < grants.entries; ref++)
      if (grants.pins[ref] !== (found?.[ref] ?? 0))
        this.#wrong(
          `grant ${ref} of d${grants.owner.id}: in use 0x${grants.pins[ref].toString(16)}, ` +
            `mapped 0x${(found?.[ref] ?? 0).toString(16)}`,
        );
  }

  #countFrame(mfn: Mfn): void {
    const f = this.#f;
    const flags = f.flags[mfn];
    if (flags & PageFlag.Allocated) this.#refs[mfn]++;
    if (flags & PageFlag.Shared) this.#types[mfn]++;
    if (flags & PageFlag.Pinned) this.#use(mfn, f.type[mfn] as PageType, "pin");
    if (isTable(f.type[mfn]) && flags & PageFlag.Validated) this.#countEntries(mfn, f.type[mfn]);
  }

  #countEntries(table: Mfn, level: number): void {
    for (let i = 0; i < ENTRIES_PER_TABLE; i++) {
      const lo = this.#u32[table * 1024 + i * 2];
      const hi = this.#u32[table * 1024 + i * 2 + 1];
      const where = `entry ${i} of level-${level} table ${table}`;
      if (level === 4 && isXenSlot(i)) {
        const expected = i === MACH2PHYS_SLOT ? this.#f.m2p.level3 : -1;
        if (lo & Pte.P && (pteMfn(lo, hi) !== expected || lo & Pte.RW)) this.#wrong(`${where} is the hypervisor's`);
      } else if (lo & Pte.P) this.#countEntry(table, level, lo, hi, where);
    }
  }

  #countEntry(table: Mfn, level: number, lo: number, hi: number, where: string): void {
    const f = this.#f;
    const mfn = pteMfn(lo, hi);
    if (!(lo & Pte.US)) this.#wrong(`${where} has no user bit`);
    if (mfn === -1 || !f.isValid(mfn)) {
      this.#wrong(`${where} maps no memory`);
      return;
    }
    const owner = f.owner[table];
    const privileged = f.memoryOf(owner as DomId)?.privileged === true;
    if (level === 1) {
      if (f.owner[mfn] === DOMID_IO) {
        if (!privileged) this.#wrong(`${where} maps a device frame`);
        return;
      }
      const own = f.owner[mfn] === owner || privileged || this.#granted.has(owner * 1048576 + mfn);
      if (!own) this.#wrong(`${where} maps frame ${mfn} of d${f.owner[mfn]}`);
      this.#use(mfn, lo & Pte.RW ? PageType.Writable : PageType.None, where);
      return;
    }
    if (lo & Pte.PSE) this.#wrong(`${where} is a large page`);
    if (f.owner[mfn] !== owner) this.#wrong(`${where} maps a table of d${f.owner[mfn]}`);
    if (f.type[mfn] !== level) {
      this.#use(mfn, (level - 1) as PageType, where);
      return;
    }
    if (lo & Pte.RW) this.#wrong(`${where} maps a table of its own level writable`);
    if (mfn === table) return;
    this.#use(mfn, level as PageType, where);
    this.#linear[table]++;
    this.#linear[mfn]--;
  }

  #compare(mfn: Mfn): void {
    const f = this.#f;
    const differs = (what: string, has: number, expected: number): void => {
      if (has !== expected)
        this.#wrong(`frame ${mfn} (d${f.owner[mfn]}, type ${f.type[mfn]}): ${what} ${has}, found ${expected}`);
    };
    differs("reference count", f.refCount[mfn], this.#refs[mfn]);
    differs("type count", f.typeCount[mfn], this.#types[mfn]);
    differs("linear count", f.linear[mfn], this.#linear[mfn]);
    const owned = f.owner[mfn] !== DOMID_INVALID && f.owner[mfn] !== DOMID_XEN && f.owner[mfn] !== DOMID_IO;
    if (owned !== f.refCount[mfn] > 0)
      this.#wrong(`frame ${mfn} of d${f.owner[mfn]} has ${f.refCount[mfn]} references`);
    const valid = (f.flags[mfn] & PageFlag.Validated) !== 0;
    if (f.typeCount[mfn] > 0 && !valid) this.#wrong(`frame ${mfn} is in use as type ${f.type[mfn]} unchecked`);
    if (isTable(f.type[mfn]) && valid && f.typeCount[mfn] === 0)
      this.#wrong(`frame ${mfn} is a table that nobody uses`);
  }

  #checkTotals(): void {
    const f = this.#f;
    const counts = new Map<number, number>();
    let free = 0;
    for (let mfn = f.first as number; mfn < f.totalFrames; mfn++) {
      if (f.owner[mfn] === DOMID_INVALID) free++;
      else if (!(f.flags[mfn] & PageFlag.Shared)) counts.set(f.owner[mfn], (counts.get(f.owner[mfn]) ?? 0) + 1);
    }
    if (free !== f.freeFrames) this.#wrong(`${free} frames are free, the allocator says ${f.freeFrames}`);
    for (const { id, memory } of this.#domains()) {
      const count = counts.get(id) ?? 0;
      const listed = [...memory].length;
      if (memory.totPages !== count) this.#wrong(`d${id} owns ${count} frames, its count says ${memory.totPages}`);
      if (listed !== count) this.#wrong(`d${id} owns ${count} frames, its list has ${listed}`);
    }
  }

  /** No cached translation may reach a frame that is free or another's, nor write to one that must not be written. */
  #checkCached({ cr3, va, mfn, writable }: CachedTranslation): void {
    const f = this.#f;
    const where = `the cached translation of ${va.toString(16)} in table ${cr3}`;
    const user = f.owner[cr3];
    const owner = f.owner[mfn];
    if (va >= MACH2PHYS_VIRT_START && va < MACH2PHYS_VIRT_END) {
      if (writable) this.#wrong(`${where} writes to the machine-to-physical table`);
      return;
    }
    if (f.type[cr3] !== PageType.L4) this.#wrong(`${where}: that is no level-4 table`);
    const allowed = owner === user || this.#granted.has(user * 1048576 + mfn) || f.memoryOf(user as DomId)?.privileged;
    if (owner === DOMID_INVALID || !allowed) this.#wrong(`${where} reaches frame ${mfn} of d${owner}`);
    if (writable && owner !== DOMID_IO && f.type[mfn] !== PageType.Writable)
      this.#wrong(`${where} writes to frame ${mfn}, type ${f.type[mfn]}`);
  }
}

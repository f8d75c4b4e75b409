// Random operations, valid and hostile, from several domains at once: page tables, pins, base pointers, descriptors,
// reservations, grants, direct stores, and plain loads and stores through a translation cache that nobody flushes but the
// hypervisor. `run` gives what the walker over page types finds after a step, with the seed that led there. Used by the
// property test (a few thousand steps) and by the slow suite (many more).

import { CONTINUE, type Handler } from "../../../hypervisor/hypercalls/args.ts";
import { setGdt, updateDescriptor } from "../../../hypervisor/hypercalls/descriptors.ts";
import { grantTableOp } from "../../../hypervisor/hypercalls/grant_table_op.ts";
import { memoryOp } from "../../../hypervisor/hypercalls/memory_op.ts";
import { mmuUpdate } from "../../../hypervisor/hypercalls/mmu_update.ts";
import { mmuextOp } from "../../../hypervisor/hypercalls/mmuext_op.ts";
import { updateVaMapping, updateVaMappingOtherdomain } from "../../../hypervisor/hypercalls/update_va_mapping.ts";
import { CpuLayout, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { FRAME_SIZE } from "../../../hypervisor/machine/memory.ts";
import { Exit } from "../../../hypervisor/machine/processor.ts";
import { DOMID_IO, DOMID_SELF, DOMID_XEN } from "../../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";
import { Fixture, type Guest, lo } from "./fixture.ts";

const HANDLERS: Record<string, Handler> = {
  mmu_update: mmuUpdate,
  mmuext_op: mmuextOp,
  update_va_mapping: updateVaMapping,
  update_va_mapping_otherdomain: updateVaMappingOtherdomain,
  memory_op: memoryOp,
  grant_table_op: grantTableOp,
  set_gdt: setGdt,
  update_descriptor: updateDescriptor,
};
const PAGES = 40;
/** The window through which arguments are passed: level-4 slot 511, out of reach of the random operations. */
const WINDOW = 511 * 2 ** 39;

export class Chaos {
  readonly f = new Fixture(4);
  readonly #guests: Guest[] = [];
  /** Grants that were made, and mappings that succeeded, newest last: most operations use these. */
  readonly #granted: { owner: Guest; ref: number; user: Guest; flags: number }[] = [];
  readonly #mapped: { by: Guest; handle: number; address: number; bus: number }[] = [];
  #state: number;
  #nextId = 3;
  /** Operations by name and whether they succeeded, to see that both kinds occur. */
  readonly counts = new Map<string, number>();

  constructor(seed: number) {
    this.#state = seed | 1;
    for (const id of [0, 1, 2]) this.#add(id);
  }

  /** Does `steps` steps; the findings of the first one after which something is wrong, or none. */
  run(steps: number): string[] {
    for (let i = 0; i < steps; i++) {
      const name = this.#step();
      const found = this.f.checker.check();
      if (found.length > 0) return [`step ${i}, ${name}`, ...found];
    }
    return [];
  }

  #add(id: number): void {
    const g = this.f.guest(id, id === 0, PAGES);
    const { domain } = g;
    domain.memory.maxPages = PAGES + 20;
    domain.grants.grow(1);
    domain.vmAssist = 1 << 2;
    // The window's own tables, and the argument page at its end.
    const tables = [0, 1, 2, 3].map(() => domain.memory.alloc() as Mfn);
    for (let i = 0; i < 3; i++) this.f.poke(tables[i], 0, tables[i + 1], 7);
    this.f.mm.setEntry(4, g.l4 * 1024 + 511 * 2, lo(tables[0], 7), 0, domain.id);
    g.p2m.push(tables[3]);
    g.argPage = g.p2m.length - 1;
    this.#guests.push(g);
  }

  #random(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % n;
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random(of.length)];
  }

  /** A frame number: mostly one of the domains', sometimes nonsense. */
  #mfn(g: Guest): number {
    const kind = this.#random(20);
    if (kind < 13) return g.p2m[this.#random(PAGES)];
    if (kind < 15) return this.#pick([g.l1[0], g.l2, g.l3, g.l4]);
    if (kind < 18) return this.#pick(this.#guests).p2m[this.#random(PAGES)];
    if (kind < 19) return this.#pick([g.domain.grants.frames[0], this.f.frames.m2p.firstFrame, 1]);
    return this.#pick([0, this.f.frames.totalFrames - 1 - this.#random(50), this.f.frames.totalFrames, 0xfffff]);
  }

  #entryLo(g: Guest): number {
    const flags = this.#pick([0, 1, 3, 7, 5, 7, 3, 0x63, 0x103, 0x83, 0xe03]);
    return lo(this.#mfn(g), flags);
  }

  #index(): number {
    return this.#pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 36, 37, 38, 39, 200, 201, 256, 258, 300, 510]);
  }

  #address(): number {
    return this.#pick([0, 1, 2, 3, 4, 5, 6, 30, 36, 37, 38, 39, 200, 201, 512, 4096]) * FRAME_SIZE;
  }

  /** The argument window, whatever the guest has made of its tables. */
  #args(g: Guest): { view: DataView; va: bigint } {
    const cr3 = g.vcpu.cpu.field(CpuLayout.cr3);
    if (cr3 !== g.l4) this.f.mm.setGuestTable(g.vcpu, g.l4, false);
    const word = this.f.mm.findL1(g.vcpu, WINDOW as Va);
    const map = (): number => this.f.mm.setEntry(1, word, lo(g.p2m[g.argPage], 7), 0, g.domain.id);
    if (this.f.mm.entryLo(word) >>> 12 !== g.p2m[g.argPage] && map() !== 0) {
      // It had given the page back before it took it out of the window.
      g.domain.memory.maxPages++;
      g.p2m[g.argPage] = g.domain.memory.alloc() as Mfn;
      map();
    }
    const view = new DataView(this.f.memory.u8.buffer, g.p2m[g.argPage] * FRAME_SIZE, FRAME_SIZE);
    return { view, va: 0xffff000000000000n | BigInt(WINDOW) };
  }

  #step(): string {
    const g = this.#pick(this.#guests);
    const ops = [
      this.#update,
      this.#update,
      this.#update,
      this.#updateVa,
      this.#ext,
      this.#ext,
      this.#touch,
      this.#touch,
      this.#reservation,
      this.#grant,
      this.#grant,
      this.#copyOrTransfer,
      this.#descriptors,
      this.#directStore,
      this.#remake,
      this.#wild,
      this.#tree,
    ];
    const op = this.#pick(ops);
    const [name, result] = op.call(this, g);
    const key = `${name} ${result < 0 ? "refused" : "done"}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    return `${name} by d${g.domain.id} gave ${result}`;
  }

  /** A call that is interrupted now and then, and mostly continued; the guest may also do something else instead. */
  #call(g: Guest, handler: Handler, ...values: (number | bigint)[]): number {
    const args = this.f.args(...values);
    for (;;) {
      this.f.preempt = this.#random(3) === 0;
      const result = handler(this.f.hv, g.vcpu, args);
      if (result !== CONTINUE) return result;
      const found = this.f.checker.check();
      if (found.length > 0) throw new Error(`between two pieces of a call: ${found[0]}`);
      if (this.#random(8) === 0) return 0;
    }
  }

  /** Makes a tree of fresh tables out of seven pages, right or a little wrong, and pins it or hangs it into another. */
  #tree(g: Guest): [string, number] {
    // Of levels 1 to 4, and three more of level 1: what is undone later is more than one table.
    const numbers = [10, 11, 12, 13, 14, 15, 16];
    const pages = numbers.map((page) => g.p2m[page]);
    if (this.f.mm.tableLevel(g.l1[0]) !== 1) return ["idle", 0];
    for (const page of numbers) this.f.mm.setEntry(1, g.l1[0] * 1024 + page * 2, 0, 0, g.domain.id);
    for (const [i, mfn] of pages.entries()) {
      if (this.f.frames.typeCount[mfn] !== 0 || this.f.frames.owner[mfn] !== g.domain.id) return ["idle", 0];
      this.f.memory.frame(mfn).fill(0);
      const level = i < 4 ? i + 1 : 1;
      const below = level === 2 ? [pages[0], ...pages.slice(4)] : [pages[level - 2]];
      for (let j = 0; j < 4; j++)
        this.f.memory.u32[mfn * 1024 + this.#index() * 2] = level === 1 ? this.#entryLo(g) : lo(this.#pick(below), 7);
      if (this.#random(8) === 0) this.f.memory.u32[mfn * 1024 + 40] = this.#entryLo(g);
      if (this.#random(8) === 0) this.f.memory.u32[mfn * 1024 + 42] = lo(mfn, 5);
    }
    const { view, va } = this.#args(g);
    if (this.#random(2)) {
      view.setBigUint64(0, BigInt(g.l4) * 4096n + BigInt(this.#index() * 8), true);
      view.setUint32(8, lo(pages[2], 7), true);
      view.setUint32(12, 0, true);
      return ["tree hung", this.#call(g, mmuUpdate, va, 1, 0, DOMID_SELF)];
    }
    view.setUint32(0, this.#pick([3, 3, 3, 2, 5, 15]), true);
    view.setBigUint64(8, BigInt(pages[3]), true);
    return ["tree", this.#call(g, mmuextOp, va, 1, 0, DOMID_SELF)];
  }

  #update(g: Guest): [string, number] {
    const { view, va } = this.#args(g);
    const count = 1 + this.#random(3);
    for (let i = 0; i < count; i++) {
      const table = this.#random(3) ? this.#pick([g.l1[0], g.l2, g.l3, g.l4]) : this.#mfn(g);
      const command = this.#pick([0, 0, 0, 0, 2, 3, 1, 5]);
      view.setBigUint64(i * 16, BigInt(table) * 4096n + BigInt(this.#index() * 8 + command), true);
      view.setUint32(i * 16 + 8, this.#entryLo(g), true);
      view.setUint32(i * 16 + 12, this.#pick([0, 0, 0, 0x80000000, 1 << 20, 1]), true);
    }
    const others = this.#pick([1, 2, DOMID_IO, DOMID_XEN, 77]);
    const foreign = this.#random(4) ? DOMID_SELF : others | (this.#random(3) ? 0 : 2 << 16);
    return ["mmu_update", this.#call(g, mmuUpdate, va, count, 0, foreign)];
  }

  #updateVa(g: Guest): [string, number] {
    this.#args(g);
    const value = BigInt(this.#entryLo(g)) | (BigInt(this.#pick([0, 0x80000000])) << 32n);
    const flags = this.#pick([0, 1, 2, 5, 6]);
    if (this.#random(3)) return ["update_va_mapping", this.#call(g, updateVaMapping, this.#address(), value, flags)];
    const other = this.#pick([1, 2, DOMID_IO]);
    return ["update_va_other", this.#call(g, updateVaMappingOtherdomain, this.#address(), value, flags, other)];
  }

  #ext(g: Guest): [string, number] {
    const { view, va } = this.#args(g);
    const command = this.#pick([0, 1, 2, 3, 4, 4, 5, 15, 15, 6, 7, 13, 16, 17]);
    const mfn = this.#mfn(g);
    if (command === 4 && mfn === g.l4) return ["skip", 0]; // The window's tables hang on this pin.
    // Half of the time a page that is to be pinned is first made ready: unmapped where it is mapped to begin with.
    const page = g.p2m.indexOf(mfn as Mfn);
    if (command < 4 && page >= 0 && this.f.mm.tableLevel(g.l1[0]) === 1 && this.#random(2))
      this.f.mm.setEntry(1, g.l1[0] * 1024 + page * 2, 0, 0, g.domain.id);
    view.setUint32(0, command, true);
    view.setBigUint64(8, BigInt(mfn), true);
    view.setBigUint64(16, BigInt(this.#mfn(g)), true);
    return [`mmuext_op ${command}`, this.#call(g, mmuextOp, va, 1, 0, this.#random(8) ? DOMID_SELF : 2)];
  }

  /** A load or store by the guest's own code: what it may write, it fills with entries of its liking. */
  #touch(g: Guest): [string, number] {
    const write = this.#random(2) === 1;
    const mfn = this.f.tlb.access(g.vcpu, this.#address() as Va, write);
    if (mfn === -1) return ["touch", -1];
    if (write) {
      const at = mfn * 1024 + this.#index() * 2;
      this.f.memory.u32[at] = this.#entryLo(g);
      this.f.memory.u32[at + 1] = 0;
    }
    return ["touch", 0];
  }

  #reservation(g: Guest): [string, number] {
    const { view, va } = this.#args(g);
    const command = this.#pick([0, 1, 1, 6, 11]);
    view.setBigUint64(512, BigInt(this.#mfn(g)), true);
    view.setBigUint64(520, BigInt(this.#random(100)), true);
    const count = command === 11 ? 1 : 1 + this.#random(2);
    for (const [base, list] of [
      [0, 512n],
      [32, 520n],
    ] as const) {
      view.setBigUint64(base, va + list, true);
      view.setBigUint64(base + 8, BigInt(count), true);
      view.setUint32(base + 16, command === 11 ? 0 : this.#pick([0, 0, 1]), true);
      view.setUint32(base + 20, 0, true);
      view.setUint16(base + 24, DOMID_SELF, true);
    }
    view.setBigUint64(64, 0n, true);
    const result = this.#call(g, memoryOp, command, va);
    const mfn = Number(view.getBigUint64(512, true));
    // What it got takes the place of one of its pages in our list, so that it is used.
    if ((command === 0 || command === 6) && result > 0 && mfn < this.f.frames.totalFrames)
      g.p2m[this.#random(PAGES - 4)] = mfn as Mfn;
    return [`memory_op ${command}`, command === 11 ? result : result - 1];
  }

  #grant(g: Guest): [string, number] {
    const other = this.#pick(this.#guests);
    const ref = 8 + this.#random(6);
    if (this.#random(3) === 0) {
      const at = g.domain.grants.frames[0] * FRAME_SIZE + ref * 8;
      const flags = this.#pick([0, 1, 1, 1, 5, 2, 9]);
      this.f.memory.view.setUint16(at + 2, other.domain.id, true);
      this.f.memory.view.setUint32(at + 4, this.#mfn(g), true);
      this.f.memory.view.setUint16(at, flags, true);
      this.#granted.push({ owner: g, ref, user: other, flags });
      return ["grant", 0];
    }
    if (this.#random(2)) {
      const known = this.#random(5) ? this.#granted.at(-1 - this.#random(6)) : undefined;
      const by = known?.user ?? g;
      if (!this.#guests.includes(by)) return ["idle", 0];
      const pte = this.#random(4) === 0;
      const entry = this.#random(3) ? by.l1[0] : this.#mfn(by);
      const address = pte ? entry * FRAME_SIZE + this.#index() * 8 : this.#address();
      const args = this.#args(by);
      args.view.setBigUint64(0, BigInt(address), true);
      args.view.setUint32(8, this.#pick([2, 2, 6, 6, 1, 3, 7, 4]) | (pte ? 16 : 0), true);
      args.view.setUint32(12, known?.ref ?? ref, true);
      args.view.setUint16(16, (known?.owner ?? other).domain.id, true);
      this.#call(by, grantTableOp, 0, args.va, 1);
      const status = args.view.getInt16(18, true);
      const bus = Number(args.view.getBigUint64(24, true));
      if (status === 0) this.#mapped.push({ by, handle: args.view.getUint32(20, true), address, bus });
      return ["map", status];
    }
    const replace = this.#random(5) === 0;
    const mapping = this.#random(6) ? this.#mapped.at(-1 - this.#random(8)) : undefined;
    const by = mapping?.by ?? g;
    if (!this.#guests.includes(by)) return ["idle", 0];
    const args = this.#args(by);
    const second = replace ? this.#address() : this.#random(2) ? (mapping?.bus ?? 4096) : 0;
    args.view.setBigUint64(0, BigInt(this.#random(8) ? (mapping?.address ?? this.#address()) : 0), true);
    args.view.setBigUint64(8, BigInt(second), true);
    args.view.setUint32(16, mapping?.handle ?? this.#random(600), true);
    this.#call(by, grantTableOp, replace ? 7 : 1, args.va, 1);
    return [replace ? "unmap_and_replace" : "unmap", args.view.getInt16(20, true)];
  }

  #copyOrTransfer(g: Guest): [string, number] {
    const { view, va } = this.#args(g);
    const known = this.#granted.filter((grant) => grant.user === g).at(-1 - this.#random(3));
    const other = (known?.owner ?? this.#pick(this.#guests)).domain.id;
    const ref = BigInt(known?.ref ?? 8 + this.#random(6));
    if (this.#random(3) === 0) {
      view.setBigUint64(0, BigInt(this.#mfn(g)), true);
      view.setUint16(8, other, true);
      view.setUint32(12, Number(ref), true);
      this.#call(g, grantTableOp, 4, va, 1);
      return ["transfer", view.getInt16(16, true)];
    }
    const flags = this.#random(4);
    view.setBigUint64(0, flags & 1 ? ref : BigInt(this.#mfn(g)), true);
    view.setUint16(8, flags & 1 ? other : DOMID_SELF, true);
    view.setUint16(10, this.#random(4200), true);
    view.setBigUint64(16, flags & 2 ? ref : BigInt(this.#mfn(g)), true);
    view.setUint16(24, flags & 2 ? other : DOMID_SELF, true);
    view.setUint16(26, this.#random(4096), true);
    view.setUint16(32, this.#random(100), true);
    view.setUint16(34, flags, true);
    this.#call(g, grantTableOp, 5, va, 1);
    return ["copy", view.getInt16(36, true)];
  }

  #descriptors(g: Guest): [string, number] {
    const { view, va } = this.#args(g);
    if (this.#random(2)) {
      const value = BigInt(this.#random(0xffff)) | (BigInt(this.#pick([0x8900, 0xaf9b00, 0x8c00, 0])) << 32n);
      const at = BigInt(this.#mfn(g)) * 4096n + BigInt(this.#index() * 8);
      return ["update_descriptor", this.#call(g, updateDescriptor, at, value)];
    }
    const count = this.#random(3);
    for (let i = 0; i < count; i++) view.setBigUint64(i * 8, BigInt(this.#mfn(g)), true);
    return ["set_gdt", this.#call(g, setGdt, va, count * 512)];
  }

  #directStore(g: Guest): [string, number] {
    this.#args(g);
    const { cpu } = g.vcpu;
    cpu.setField(CpuLayout.errorCode, 7);
    cpu.setField(CpuLayout.vector, 14);
    cpu.setNum(Reg.CR2, this.#address() + this.#index() * 8);
    this.f.stepper.store = (words) => {
      words[this.#index() * 2] = this.#entryLo(g);
      if (this.#random(10) === 0) words[this.#index() * 2] = 3;
      return Exit.Budget;
    };
    return ["direct store", this.f.mm.handlePageFault(g.vcpu) ? 0 : -1];
  }

  /** Any call with any arguments over any memory. */
  #wild(g: Guest): [string, number] {
    const { view, va } = this.#args(g);
    for (let i = 0; i < 64; i++)
      view.setUint32(this.#random(300) * 4, this.#random(4) ? this.#random(40) : this.#random(2 ** 32), true);
    const value = (): bigint => {
      const any = (BigInt(this.#random(2 ** 32)) << 32n) | BigInt(this.#random(2 ** 32));
      const small = BigInt(this.#random(64));
      return this.#pick([
        va,
        va + small * 8n,
        va + 4090n,
        small,
        1n << small,
        -1n - small,
        -small,
        (1n << 47n) - small,
        any,
        0x7ff0n,
      ]);
    };
    const name = this.#pick(Object.keys(HANDLERS));
    const first = name === "memory_op" || name === "grant_table_op" ? BigInt(this.#random(30)) : value();
    const second = this.#random(2) ? BigInt(this.#random(20)) : value();
    const third = this.#random(2) ? BigInt(this.#random(3)) : value();
    const result = this.#call(
      g,
      HANDLERS[name],
      first,
      this.#random(3) ? second : va,
      third,
      value(),
      value(),
      value(),
    );
    if (!Number.isInteger(result) || (result < -4095 && result !== CONTINUE)) throw new Error(`${name} gave ${result}`);
    this.#args(g); // It may have taken the window away.
    return [`wild ${name}`, result];
  }

  /** Now and then a domain that is not dom0 dies, and another one comes. */
  #remake(g: Guest): [string, number] {
    if (g.domain.id === 0 || this.#random(6)) return ["idle", 0];
    this.f.destroy(g);
    this.#guests.splice(this.#guests.indexOf(g), 1);
    this.#add(this.#nextId++);
    return ["destroy", 0];
  }
}

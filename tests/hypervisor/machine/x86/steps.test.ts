// The whole processor - loop, chains, regions, every cache - against the simplest use of it: one instruction at a time, and all
// that is kept forgotten before each. Two machines get the same random code, which writes to itself by every kind of store,
// through several mappings of the same frames in two address spaces; mappings change, frames are written behind the vcpus'
// backs as the hypervisor and devices do it, two vcpus take turns. After each slice registers, flags, exit, fault, count,
// memory, FPU state, accessed and dirty bits must be the same; and an instruction that ends a run has changed nothing.
// A failure prints its seed.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CpuLayout, CpuState } from "../../../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte, PteHi, tableIndex } from "../../../../hypervisor/machine/pte.ts";
import { Access } from "../../../../hypervisor/machine/walk.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";
import { hex, Machine, Reg } from "./harness.ts";

const PROGRAMS = Number(process.env["STEPS_PROGRAMS"] ?? 20);
const FIRST = Number(process.env["STEPS_SEED"] ?? 0);
/** Programs that showed something: a call that dropped its own record. */
const FOUND = [52];
const SLICES = 40;
const BASE = 0x400000;
const PAGES = 6;
const FRAMES = 5;
const USER = Pte.P | Pte.US;

type Random = (below: number) => number;
function random(seed: number): Random {
  let state = (Math.imul(seed, 2654435761) + 1) | 1;
  const next: Random = (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  for (let i = 0; i < 5; i++) next(1);
  return next;
}

/** The instructions of the hardware vectors. */
const POOL = readdirSync(join(import.meta.dirname, "../../../vectors"))
  .filter((file) => file.endsWith(".txt"))
  .flatMap((file) => readFileSync(join(import.meta.dirname, "../../../vectors", file), "utf8").split("\n"))
  .flatMap((line) => /^([0-9a-f]+) /.exec(line)?.[1] ?? [])
  .map(hex);

/** What writes to memory, mostly where RDI and RSP point, and what ends runs. */
const STORES =
  `48890f 48890f 4889442408 668907 0fc307 480fc307 0f2907 0f1107 660ff7c1 0ff7c1 480fc70f f0480fc70f f3a4 f348a5
  f3aa f348ab f3ab 66f3ab aa 48ab a4 48a5 50 6650 ff37 8f07 c8100000 c8100003 e800000000 ffd0 0fae07 dd07 db3f dd1f d9f6 d937
  dd37 f0480107 f00fb10f 0fb10f 48870f 8607 0fc107 f00fba2f05 0fab07 480fab0f c60790 66c7079090 c7079090ffc0 fe07 ff07 48f717
  d127 c10705 0f9407 9c 8c1f 0fa0 fd fc 67f3aa 67aa 660fd607 0f1307 0f7f07 480f7e07 f30f7f07 0f38f107 0fa40705 c9 c3 58 c20800
  0fae1f 660f3a160700 0f2b07 0fe707 d91f df3f cd80 0f05 0f31 9d`
    .split(/\s+/)
    .map(hex);

const int32 = (v: number): number[] => [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >> 24) & 255];

/** An address in the pages, often beside the end of one. */
const place = (next: Random): number =>
  next(3) ? BASE + next(PAGES * 4096) : BASE + 4096 * next(PAGES + 1) - next(20);

/** A few instructions; `calm` ones write less to code, and so get further. */
function some(next: Random, calm: boolean): number[] {
  switch (next(9)) {
    case 0:
      return STORES[next(STORES.length)];
    case 1: // mov r, address or a count
      if (calm) return [0x48, 0xc7, 0xc0 | [7, 6, 3, 5][next(4)], ...int32(BASE + 4096 * 4 + next(4000))];
      return next(5)
        ? [0x48, 0xc7, 0xc0 | [7, 7, 6, 4, 5, 3, 0][next(7)], ...int32(place(next))]
        : [0xb9, ...int32(next(600))];
    case 2: // dec r15d; jnz back
      return [0x41, 0xff, 0xcf, 0x75, 0x9b + next(96)];
    case 3:
      return next(2)
        ? [0x70 + next(16), next(calm ? 20 : 256)]
        : [0x39, 0xc0 | next(64), 0x70 + next(16), 0xc0 + next(60)];
    case 4: // jmp, call
      return [next(3) ? 0xe9 : 0xe8, ...int32(next(2) ? next(300) - 200 : next(4096 * 4) - 8192)];
    case 5: // mov byte [rip + d], or mov [rip + d], rbx
      if (!calm) return [0xc6, 0x05, ...int32(next(2) ? next(60) : next(8192) - 4096), next(2) ? 0x90 : next(256)];
      return [0x48, 0x89, 0x1d, ...int32(next(3) ? 4096 * 3 + next(3000) : next(200))];
    case 6: // lea rax, [rip + d]; jmp rax or call rax
      return [0x48, 0x8d, 0x05, ...int32(next(400) - 200), 0xff, next(2) ? 0xe0 : 0xd0];
    default:
      return calm || next(2) ? POOL[next(POOL.length)] : STORES[next(STORES.length)];
  }
}

function frameOfCode(next: Random, calm: boolean): Uint8Array {
  const bytes = new Uint8Array(4096).fill(0x90);
  for (let at = 0; at < 4096; ) {
    const code = some(next, calm);
    bytes.set(code.slice(0, 4096 - at), at);
    at += code.length + (next(100) ? 0 : next(200));
  }
  return bytes;
}

class Side {
  readonly m = new Machine();
  readonly tables: readonly Mfn[];
  readonly frames: readonly Mfn[];
  /** What stepWithOverride gives instead of a page. */
  readonly other: Mfn;
  /** A copy of the frames. */
  readonly copies: readonly Mfn[];
  readonly cpus: readonly CpuState[];
  cpu: CpuState;

  constructor() {
    const { m } = this;
    this.frames = Array.from({ length: FRAMES }, () => m.frame());
    this.tables = [m.frame(), m.frame()];
    this.other = m.frame();
    this.copies = Array.from({ length: FRAMES }, () => m.frame());
    this.cpus = [m.cpu, new CpuState(m.memory, m.frame() * 4096)];
    this.cpu = m.cpu;
    for (let table = 0; table < 2; table++) for (let page = 0; page < PAGES; page++) this.map(table, page, 0, 0, 0);
  }

  /** Word of the level-1 entry. */
  #entry(table: number, page: number): number {
    const { u32 } = this.m.memory;
    const va = (BASE + page * 4096) as Va;
    let at: number = this.tables[table];
    for (let level = 4; level > 1; level--) {
      const word = (at * 4096 + tableIndex(va, level) * 8) >>> 2;
      if (!(u32[word] & Pte.P)) u32[word] = this.m.frame() * 4096 + (USER | Pte.RW);
      at = u32[word] >>> 12;
    }
    return (at * 4096 + tableIndex(va, 1) * 8) >>> 2;
  }

  map(table: number, page: number, frame: number, lo: number, hi: number): void {
    const word = this.#entry(table, page);
    this.m.memory.u32[word] = this.frames[frame] * 4096 + lo;
    this.m.memory.u32[word + 1] = hi;
  }

  bits(): number[] {
    const all = [];
    for (let table = 0; table < 2; table++)
      for (let page = 0; page < PAGES; page++) all.push(this.m.memory.u32[this.#entry(table, page)] & 0xfff);
    return all;
  }

  get table(): Mfn {
    return this.cpu.field(CpuLayout.cr3) as Mfn;
  }
  set table(mfn: Mfn) {
    this.cpu.setField(CpuLayout.cr3, mfn);
    this.cpu.setField(CpuLayout.ldtTable, mfn);
  }

  forget(): void {
    this.cpu.moveHome();
    this.m.processor.tlb.flushAll();
    for (const mfn of this.frames) this.m.processor.tlb.retire(mfn);
  }

  /** As the hypervisor copies to a guest (memory/guest_access.ts). */
  access(va: Va, byte: number, length: number): void {
    const { memory, walker, processor } = this.m;
    let mfn: Mfn | -1 = processor.tlb.lookup(this.table, va, true);
    if (mfn === 0) {
      mfn = walker.walk(this.table, va, Access.WRITE);
      if (mfn === -1) return;
      processor.tlb.dropCode(mfn);
    }
    memory.u8.fill(byte, mfn * 4096 + (va & 4095), mfn * 4096 + (va & 4095) + length);
  }

  registers(count: number): string {
    return Array.from({ length: count }, (_, r) => this.cpu.big(r).toString(16)).join(" ");
  }

  #sum(at: number, words: number): number {
    const { u32 } = this.m.memory;
    let all = 0;
    for (let i = 0; i < words; i++) all = (Math.imul(all, 31) + u32[at + i]) | 0;
    return all;
  }

  /** Registers but CR2, and the FPU's state. */
  state(): string {
    return `${this.registers(20)} ${this.#sum((this.cpu.address + CpuLayout.fxsave) / 4, 104)}`;
  }

  memory(): string {
    return [...this.frames, this.other].map((mfn) => this.#sum(mfn * 1024, 1024)).join(" ");
  }

  seen(exit: Exit, retired: number): string {
    const fault =
      exit === Exit.Exception ? [this.cpu.field(CpuLayout.vector), this.cpu.field(CpuLayout.errorCode)] : [];
    return [`exit ${exit}`, retired, this.state(), this.cpu.big(Reg.CR2), fault, this.memory(), this.bits()].join(
      " | ",
    );
  }
}

const hot = new Side();
const plain = new Side();
const both = (f: (side: Side) => void): void => {
  f(hot);
  f(plain);
};
hot.m.processor.regions.called = 0;

function start(next: Random): void {
  const seed = next(2 ** 31);
  const rip = next(4) ? BASE + next(PAGES * 4096) : BASE + 4096 * (1 + next(PAGES)) - next(40);
  both(({ cpu }) => {
    const own = random(seed);
    for (let r = 0; r < 16; r++) {
      const kind = own(8);
      if (kind === 0) cpu.setNum(r, own(256));
      else if (kind === 1) cpu.set(r, own(2 ** 32), own(2 ** 32));
      else if (kind === 2)
        cpu.set(r, 0x90c1ffc0, 0x90c3ff90); // code
      else cpu.setNum(r, place(own));
    }
    cpu.setNum(Reg.RSP, BASE + own(PAGES * 4096));
    if (own(2)) cpu.setNum(Reg.RCX, own(own(2) ? 20 : 1500));
    // Now and then DF, seldom TF.
    cpu.setNum(Reg.RFLAGS, 0x202 | (own(0x1000) & 0x8d5) | (own(4) ? 0 : 0x400) | (own(40) ? 0 : 0x100));
    cpu.setNum(Reg.RIP, rip);
  });
}

/** Something that happens between two runs. */
function happen(next: Random): void {
  const page = next(PAGES);
  const frame = next(FRAMES);
  const [table, byte, length, offset] = [next(2), next(256), 1 + next(40), next(4000)];
  const va = (BASE + page * 4096 + offset) as Va;
  const { tlb, regions } = hot.m.processor;
  const remap = (): void => {
    const lo = next(25) ? USER | (next(8) ? Pte.RW : 0) : 0;
    const hi = next(20) ? 0 : PteHi.NX;
    both((side) => side.map(table, page, frame, lo, hi));
  };
  switch (next(24)) {
    case 0:
      remap();
      tlb.flushPage(va);
      break;
    case 1:
      remap();
      tlb.flushTable(hot.tables[table]);
      break;
    case 2:
      tlb.retire(hot.frames[frame]);
      break;
    case 3:
      tlb.flushAll();
      break;
    case 4:
      regions.evict();
      break;
    case 5: // Written by the hypervisor, or by a device.
      both(({ m, frames }) => {
        const at = frames[frame] * 4096 + offset;
        if (table) m.processor.tlb.deviceWrites(frames[frame], true);
        m.memory.u8.fill(byte, at, at + length);
        if (table) m.processor.tlb.deviceWrites(frames[frame], false);
        else m.processor.tlb.dropCode(frames[frame]);
      });
      break;
    case 6:
    case 7:
      both((side) => side.access(va, byte, length));
      break;
    case 8:
    case 9:
      both((side) => {
        side.cpu = side.cpus[table];
      });
      break;
    case 10:
      both((side) => {
        side.table = side.tables[table];
      });
      break;
    case 11: {
      plain.forget();
      const seen = [hot, plain].map((side) => {
        const exit = side.m.processor.stepWithOverride(side.cpu, va, side.other);
        return side.seen(exit, side.m.processor.retired);
      });
      expect(seen[0]).toBe(seen[1]);
    }
  }
}

/** Up to so many instructions one by one. */
function step(budget: number): string {
  const { m } = plain;
  let retired = 0;
  let exit: Exit = Exit.Budget;
  while (retired < budget && exit === Exit.Budget) {
    plain.forget();
    const before = plain.state();
    m.memory.copy(plain.copies[0] * 4096, plain.frames[0] * 4096, FRAMES * 4096);
    exit = m.processor.run(plain.cpu, 1);
    retired += m.processor.retired;
    m.tsc += m.processor.retired;
    if (m.processor.retired !== 0) continue;
    expect(plain.state()).toBe(before);
    plain.frames.forEach((mfn, i) => {
      expect(m.memory.differ(mfn, plain.copies[i], 0)).toBe(4096);
    });
  }
  return plain.seen(exit, retired);
}

function program(seed: number): { retired: number; compiled: number } {
  const next = random(seed);
  const calm = next(2) === 0;
  const table = next(2);
  const code = hot.frames.map(() => frameOfCode(next, calm));
  both((side) => {
    side.forget();
    for (const [i, mfn] of side.frames.entries()) side.m.memory.u8.set(code[i], mfn * 4096);
    side.m.memory.zero(side.other);
    side.m.tsc = 1000;
    for (const cpu of side.cpus) {
      const fx = cpu.address + CpuLayout.fxsave;
      side.m.memory.u8.fill(0, fx, fx + 512);
      side.m.memory.view.setUint16(fx, 0x37f, true);
      side.m.memory.view.setUint32(fx + 24, 0x1f80, true);
      for (let segment = 0; segment < 6; segment++) cpu.setSelector(segment, 0);
      for (const reg of [Reg.FS_BASE, Reg.GS_BASE, Reg.CR2]) cpu.set(reg, 0, 0);
    }
  });
  for (let of = 0; of < 2; of++)
    for (let page = 0; page < PAGES; page++) {
      const frame = next(FRAMES);
      const lo = USER | (next(8) ? Pte.RW : 0);
      both((side) => side.map(of, page, frame, lo, 0));
    }
  for (const i of [1, 0]) {
    both((side) => {
      side.cpu = side.cpus[i];
      side.table = side.tables[table];
    });
    start(next);
  }
  const { processor } = hot.m;
  let retired = 0;
  let compiled = 0;
  for (let slice = 0; slice < SLICES; slice++) {
    happen(next);
    const rip = hot.cpu.num(Reg.RIP);
    const compilable = rip >= BASE && rip < BASE + PAGES * 4096 && next(3) === 0;
    if (compilable && processor.compile([rip as Va])) compiled++;
    const budget = next(3) ? 69 + next(300) : 1 + next(100);
    const exit = processor.run(hot.cpu, budget);
    hot.m.tsc += processor.retired;
    retired += processor.retired;
    expect(hot.seen(exit, processor.retired), `seed ${seed}, slice ${slice}`).toBe(step(budget));
    if (exit !== Exit.Budget || next(10) === 0) start(next);
  }
  return { retired, compiled };
}

it("all that is kept makes no difference to what is executed", () => {
  const sum = { retired: 0, compiled: 0 };
  for (const seed of [...Array.from({ length: PROGRAMS }, (_, i) => FIRST + i), ...FOUND]) {
    const { retired, compiled } = program(seed);
    sum.retired += retired;
    sum.compiled += compiled;
  }
  // Programs that end at once would show nothing.
  expect(sum.retired).toBeGreaterThan(PROGRAMS * 500);
  expect(sum.compiled).toBeGreaterThan(PROGRAMS);
}, 60_000);

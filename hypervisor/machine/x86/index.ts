// The x86-64 processor: runs user-level 64-bit machine code until something concerns the hypervisor (processor.ts, the
// contract). Instructions are described once (describe.ts, instructions/), decoded into records kept per frame
// (decode.ts, code_cache.ts) and run by an interpreter emitted as WebAssembly (loop.ts, functions.ts). This file puts
// these together, runs slices to an exact number of instructions, and turns what ends them into an Exit.
// Left out: 32-bit compatibility mode, AVX.

import type { Mfn, Va } from "../../../shared/brand.ts";
import { CpuLayout, type CpuState, canonical, Reg, type RegisterFile } from "../cpu_state.ts";
import type { MachineMemory } from "../memory.ts";
import { Exit, type Processor, type ProcessorHost } from "../processor.ts";
import { CODE_BITS, CODE_ENTRY, DATA_BITS, DATA_ENTRY, SoftTlb } from "../tlb.ts";
import { Access, type PageWalker } from "../walk.ts";
import { CodeCache } from "./code_cache.ts";
import { Decoder } from "./decode.ts";
import { instruction } from "./describe.ts";
import { FunctionTable } from "./functions.ts";
import { HostContext, hostFunction } from "./host.ts";
import { hotEntries } from "./hot.ts";
import "./undefined.ts";
import { descriptionOf, instructionNamed, instructions } from "./instructions/index.ts";
import { AddressFlag, Entry, Handler, INTERNAL_EXIT, LoopExit, MARGIN, Next, Slot, State, Uop } from "./layout.ts";
import { emitBase } from "./loop.ts";
import { X86Mmu } from "./mmu.ts";
import { type Around, RegionCache } from "./regions/cache.ts";

/** The most instructions between two returns to JavaScript. */
const SLICE = 1 << 18;
/**
 * Blocks that a run may decode before it is interrupted, unless it must be exact: some 40 us each. Without a bound a guest
 * that rewrites its own code all the time would hold the processor for a thousand times what its budget stands for.
 */
const MOST_DECODED = 64;
/**
 * Unless a run must be exact, the clock is looked at each so many page walks and instructions carried out in TypeScript, which
 * take up to a thousand times what others do; a run that has lasted this long since the first look is interrupted.
 */
const SLOW_EVERY = 64;
const LONGEST_NS = 200_000;
const TF = 0x100;
const DEBUG_EXCEPTION = 1;
const MIB = 1 << 20;

/** Words of the state block. */
const RFLAGS = Slot.RFLAGS * 2;
const OTHER_FLAGS = Slot.OTHER_FLAGS * 2;
const EXIT_KIND = State.exitKind / 4;
const VECTOR = State.vector / 4;
const ERROR_CODE = State.errorCode / 4;
const TS = State.ts / 4;
const EXIT_FLAG = State.exitFlag / 4;
const BUDGET = State.budget / 4;
const REMAINING = State.remaining / 4;
const EXECUTED = State.executed / 4;
const PENDING = State.pending / 4;
const CURRENT = State.current / 4;
/** Least budget of a run that the loop is entered for at once. */
const ENOUGH = MARGIN / Uop.size + 1;

interface BaseExports {
  run(pc: number, instructions: number): number;
  resume(instructions: number): number;
  step(pc: number): number;
  enter(): void;
  leave(): void;
  getFlags(): number;
  setFlags(value: number, mask: number): void;
  table: WebAssembly.Table;
}

export class X86Processor implements Processor {
  readonly tlb: SoftTlb;
  /** Instructions completed by the last run. */
  retired = 0;
  /**
   * Whether a run goes on to the last instruction of its budget. If not, it ends where the loop leaves off, up to
   * CHECK_EVERY + 4 instructions early: one by one these take as long as thousands in the loop.
   */
  exact = true;
  /** Byte address of the word that requestExit sets; another thread may set it too. */
  readonly exitFlag: number;
  /** Size of the loop function, in bytes. */
  readonly loopBytes: number;
  /** The hot tier. */
  readonly regions: RegionCache;
  readonly #u8: Uint8Array;
  readonly #u32: Uint32Array;
  readonly #walker: PageWalker;
  readonly #tlb: SoftTlb;
  readonly #code: CodeCache;
  readonly #mmu: X86Mmu;
  readonly #base: BaseExports;
  readonly #context: HostContext;
  readonly #functions: FunctionTable;
  /** The state block. */
  readonly #block: Uint32Array;
  readonly #registers: RegisterFile;
  #asid = 0;
  /** Slow things done in this run, and when the clock was first looked at. */
  #slow = 0;
  #since = 0;

  /** Reserves its memory at the bottom of machine memory: to be made before the first frame is handed out. */
  constructor(memory: MachineMemory, walker: PageWalker, host: ProcessorHost) {
    this.#u8 = memory.u8;
    this.#u32 = memory.u32;
    this.#walker = walker;
    const state = memory.reserve(State.size);
    this.#block = memory.u32.subarray(state >>> 2, (state + State.size) >>> 2);
    this.exitFlag = state + State.exitFlag;
    memory.u16[(state + State.landing) >>> 1] = Handler.LAND;
    const frames = {
      has: (mfn: Mfn) => this.#code.has(mfn),
      drop: (mfn: Mfn) => {
        this.regions.drop(mfn);
        this.#code.drop(mfn);
      },
    };
    const written = {
      touches: (mfn: Mfn, offset: number, bytes: number) => this.#code.touches(mfn, offset, bytes),
      granules: (mfn: Mfn) => this.#code.granules(mfn),
    };
    this.#tlb = new SoftTlb(memory, frames);
    this.tlb = this.#tlb;
    // A sixteenth of the machine, so that a small test machine has room left; 64 MiB hold a whole Linux kernel's text.
    const size = Math.min(64 * MIB, Math.max(MIB, Math.floor((memory.frames * 4096) / 16)));
    const arena = { address: memory.reserve(size), size };
    const addresses = {
      state,
      data: this.#tlb.dataAddress,
      dataMask: ((1 << DATA_BITS) - 1) * DATA_ENTRY,
      code: this.#tlb.codeAddress,
      codeMask: ((1 << CODE_BITS) - 1) * CODE_ENTRY,
      entries: memory.reserve(Entry.LIMIT * Entry.size),
    };
    const vector = () => this.#badAddressVector();
    this.#mmu = new X86Mmu(memory, walker, this.#tlb, state, written, vector, () => this.#overdue());

    const names = new Set(instructions.map((description) => description.name));
    const hot = hotEntries((name) => names.has(name));
    const pages = memory.wasm.buffer.byteLength / 65536;
    const base = emitBase(pages, addresses, hot, instructionNamed);
    this.loopBytes = base.loopBytes;
    const mmu = this.#mmu;
    const timed = host.timed ?? ((_name, f) => f);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(base.bytes), {
      x: {
        memory: memory.wasm,
        missRead: timed("page walks", mmu.missRead),
        missWrite: timed("page walks", mmu.missWrite),
      },
    });
    this.#base = instance.exports as unknown as BaseExports;
    const flags = {
      get: () => this.#base.getFlags(),
      set: (value: number, mask: number) => this.#base.setFlags(value, mask),
    };
    this.#registers = {
      address: state + State.registers,
      holder: undefined,
    };
    this.#context = new HostContext(memory, state, host, this.#mmu, flags);
    this.#context.sizeOf = (cold) => this.#functions.info(cold).shapes[0].size;
    const callHost = (number: number, uop: number): number => {
      if (!this.#overdue()) return hostFunction(number)(this.#context, uop);
      mmu.interrupt();
      return Next.EXIT;
    };
    const imports = {
      ...instance.exports,
      commit: mmu.commit,
      host: timed("instructions in TypeScript", callHost),
    } as Record<string, WebAssembly.ImportValue>;
    this.#functions = new FunctionTable(pages, addresses, imports, memory.wasm, this.#base.table, descriptionOf);
    const nothing = instruction("undefined", [], { flow: "stop" }, (b) => b.host("undefined"));
    this.#code = new CodeCache(memory, arena, new Decoder(instructions), this.#functions, hot, nothing);
    this.regions = new RegionCache(memory, this.#code, this.#functions, addresses, imports, this.#base.table);
    this.#code.onEmpty = () => {
      this.regions.evict();
      this.#tlb.flushCode();
    };
    if (host.timed === undefined) return;
    this.regions.compile = timed("compiling regions", this.regions.compile.bind(this.regions));
    this.#code.record = timed("decoding", this.#code.record.bind(this.#code));
    this.#functions.get = timed("compiling instructions' functions", this.#functions.get.bind(this.#functions));
  }

  requestExit(): void {
    this.#block[EXIT_FLAG] = 1;
  }

  run(cpu: CpuState, budget: number): Exit {
    if (cpu !== this.#registers.holder) this.#load(cpu);
    const block = this.#block;
    const cr3 = cpu.field(CpuLayout.cr3) as Mfn;
    const asid = this.#tlb.asid(cr3);
    if (asid !== this.#asid || cr3 !== this.#mmu.cr3) this.#useTable(cr3, asid);
    block[TS] = cpu.field(CpuLayout.ts);
    this.retired = 0;
    this.#code.decoded = 0;
    this.#slow = 0;
    let exit = -1;
    if (budget >= ENOUGH && (block[RFLAGS] & TF) === 0 && block[EXIT_FLAG] === 0)
      exit = this.#sliceDone(this.#base.resume(this.#slice(budget)));
    else this.#base.enter();
    if (exit < 0) {
      exit = this.#run(budget);
      this.#base.leave();
    }
    if (exit === Exit.Exception || exit === Exit.SoftInterrupt) {
      cpu.setField(CpuLayout.vector, block[VECTOR]);
      cpu.setField(CpuLayout.errorCode, block[ERROR_CODE]);
    }
    return exit as Exit;
  }

  #useTable(cr3: Mfn, asid: number): void {
    this.#asid = asid;
    this.#mmu.cr3 = cr3;
    this.#mmu.asid = asid;
    this.#set(Slot.ASID, asid, 0);
  }

  #load(cpu: CpuState): void {
    cpu.moveTo(this.#registers);
    this.#context.cpu = cpu;
    this.#block[State.fxsave / 4] = cpu.address + CpuLayout.fxsave;
  }

  /**
   * Executes one instruction while the page at `va` is translated, readable and writable, to frame `mfn`: how a store to a
   * page table is tried out on a copy.
   */
  stepWithOverride(cpu: CpuState, va: Va, mfn: Mfn): Exit {
    const page = (va - (va & 4095)) as Va;
    this.#tlb.flushPage(page);
    this.#mmu.overridePage = page;
    this.#mmu.overrideFrame = mfn;
    const exit = this.run(cpu, 1);
    this.#mmu.overridePage = -1;
    this.#tlb.flushPage(page);
    return exit;
  }

  /** Instructions for the next slice. */
  #slice(left: number): number {
    this.#context.retired = this.retired;
    return this.regions.slice(left < SLICE ? left : SLICE);
  }

  /** Counts what a slice has executed; the Exit that it ended in, or -1 when it is to go on. */
  #sliceDone(code: number): number {
    const executed = this.#block[EXECUTED] | 0; // Not made a double of.
    this.retired += executed;
    this.regions.executed(executed);
    if (code !== LoopExit.EXIT) {
      if (code === LoopExit.BUDGET) this.#sample();
      return -1;
    }
    const kind = this.#block[EXIT_KIND] | 0;
    return kind === INTERNAL_EXIT ? -1 : kind;
  }

  /** Tells the hot tier where the slice has ended. */
  #sample(): void {
    const rip = canonical(this.#lo(Reg.RIP), this.#hi(Reg.RIP));
    if (rip !== -1) this.regions.sample(this.#around(rip), rip & 4095);
  }

  /** Compiles what hangs together with the instructions at these addresses of one page, as the last vcpu that ran has it. */
  compile(addresses: readonly Va[]): boolean {
    return this.regions.compile(
      this.#around(addresses[0]),
      addresses.map((va) => va & 4095),
    );
  }

  /** Pages of code about an address, as far as they are in the TLB. */
  #around(address: Va): Around {
    return (pages) => {
      const va = (address + pages * 4096) as Va;
      // Both halves of the address space begin and end with a page that holds no code.
      if (va < 4096 || va >= 2 ** 48 - 4096 || this.#tlb.findCode(this.#asid, va) === 0) return undefined;
      const mfn = this.#tlb.codeFrame(va);
      const frame = this.#code.known(mfn);
      return frame && { mfn, frame };
    };
  }

  /** Goes on with the registers in the state block, until `budget` instructions are retired or something happens. */
  #run(budget: number): Exit {
    const block = this.#block;
    let owed = -1;
    for (;;) {
      const left = budget - this.retired;
      if (left <= 0) return Exit.Budget;
      const trap = (block[OTHER_FLAGS] & TF) !== 0;
      const near = left <= MARGIN / Uop.size;
      let stop = -1;
      if (block[EXIT_FLAG] !== 0 || (this.#code.decoded > MOST_DECODED && !this.exact)) stop = Exit.Interrupted;
      else if (near && this.retired !== 0 && !this.exact && !trap) stop = Exit.Budget;
      if (stop >= 0) {
        if (owed < 0) owed = this.retired === 0 ? 0 : this.#owed();
        if (owed-- === 0) {
          if (stop === Exit.Interrupted) block[EXIT_FLAG] = 0;
          return stop as Exit;
        }
      }
      const pc = this.#resolve();
      if (pc === 0) return Exit.Exception;
      let exit: number;
      // Near its end the budget is spent block by block, as long as a block fits, and then one by one.
      const short = near && this.#code.straight(pc, left) === 0;
      if (trap || short || stop >= 0) {
        this.#context.retired = this.retired;
        exit = this.#step(pc);
        if (exit < 0 && trap) return this.#debug();
      } else {
        exit = this.#sliceDone(this.#base.run(pc, this.#slice(left)));
      }
      if (exit >= 0) return exit as Exit;
    }
  }

  /** Instructions to be executed yet before the run may end, as the flags aren't made that the last of them replaces. */
  #owed(): number {
    const rip = canonical(this.#lo(Reg.RIP), this.#hi(Reg.RIP));
    const map = rip === -1 ? 0 : this.#tlb.findCode(this.#asid, rip);
    const record = map === 0 ? 0 : this.#u32[(map >>> 2) + (rip & 4095)];
    return record === 0 ? 0 : this.#code.flagsDead(record);
  }

  /** One instruction by its own function; -1: it is done, and nothing else happened. */
  #step(pc: number): number {
    const block = this.#block;
    block[BUDGET] = 0;
    block[REMAINING] = 0;
    for (;;) {
      block[CURRENT] = pc;
      block[PENDING] = 0;
      const next = this.#base.step(pc);
      if (next === Next.EXIT) return block[EXIT_KIND];
      // A locked operation that found its operand changed by another thread starts over.
      if (next === pc) continue;
      this.retired++;
      if (next === Next.JUMP || next === Next.EXIT_AFTER) {
        this.#set(Reg.RIP, this.#lo(Slot.BRANCH), this.#hi(Slot.BRANCH));
        if (next === Next.JUMP) return -1;
        const kind = block[EXIT_KIND];
        return kind === INTERNAL_EXIT ? -1 : kind;
      }
      const lo = this.#lo(Reg.RIP) + this.#u8[pc + Uop.len];
      this.#set(Reg.RIP, lo >>> 0, (this.#hi(Reg.RIP) + (lo > 0xffffffff ? 1 : 0)) >>> 0);
      return -1;
    }
  }

  /** Asked before each slow thing is begun: has this run taken too long already? */
  #overdue(): boolean {
    if (this.exact || ++this.#slow % SLOW_EVERY !== 0) return false;
    const { lo, hi } = this.#context.host.tsc(0);
    const now = hi * 4294967296 + lo;
    if (this.#slow === SLOW_EVERY) this.#since = now;
    return now - this.#since > LONGEST_NS;
  }

  #debug(): Exit {
    this.#mmu.note(DEBUG_EXCEPTION, 0);
    return Exit.Exception;
  }

  /** The record for the instruction at RIP, PAGE set for it; 0 when it can't be fetched, the fault noted. */
  #resolve(): number {
    const rip = canonical(this.#lo(Reg.RIP), this.#hi(Reg.RIP));
    if (rip === -1) {
      this.#mmu.note(13, 0);
      return 0;
    }
    this.#set(Slot.PAGE, (this.#lo(Reg.RIP) & ~4095) >>> 0, this.#hi(Reg.RIP));
    const map = this.#tlb.findCode(this.#asid, rip);
    if (map !== 0) {
      const known = this.#u32[(map >>> 2) + (rip & 4095)];
      if (known !== 0 && !this.#code.isStraddle(known)) return known;
    }
    this.#code.prepare();
    const mfn = this.#codeFrame(rip);
    if (mfn === -1) return 0;
    const frame = this.#code.frame(mfn);
    this.#tlb.fillCode(this.#asid, rip, mfn, frame.map);
    const record = this.#code.record(frame, rip & 4095);
    if (!this.#code.isStraddle(record)) return record;

    const nextPage = (rip - (rip & 4095) + 4096) as Va;
    if (nextPage === 0x8000_0000_0000) {
      this.#mmu.note(13, 0);
      return 0;
    }
    const next = this.#codeFrame((nextPage % 2 ** 48) as Va);
    if (next === -1) return 0;
    const second = this.#code.frame(next);
    // Making the second frame may have emptied the arena; then all begins again, with room for both.
    if (this.#code.frame(mfn) !== frame) return this.#resolve();
    this.#tlb.fillCode(this.#asid, nextPage, next, second.map);
    return this.#code.straddle(record, frame, second);
  }

  /** The frame to execute from at `va`, its writers stopped; -1 when it can't be, the page fault noted. */
  #codeFrame(va: Va): Mfn | -1 {
    if (this.#tlb.findCode(this.#asid, va) !== 0) return this.#tlb.codeFrame(va);
    const mfn = this.#walker.walk(this.#mmu.cr3, va, Access.EXEC);
    if (mfn === -1) {
      this.#mmu.notePageFault(va, this.#walker.errorCode);
      return -1;
    }
    if (!this.#code.has(mfn)) this.#tlb.protect(mfn);
    return mfn;
  }

  /** A non-canonical address is #SS when the stack was meant, else #GP. */
  #badAddressVector(): number {
    const record = this.#block[CURRENT];
    const info = this.#functions.info(this.#u8[record + Uop.cold] | (this.#u8[record + Uop.cold + 1] << 8));
    if (!info.shapes.some((shape) => shape.kind === "mem")) return info.description.options.stack ? 12 : 13;
    // With a segment prefix it isn't the stack segment, whatever the base.
    const index = this.#u8[record + Uop.index] >>> 3;
    const segment = this.#u8[record + Uop.scale] & (AddressFlag.FS | AddressFlag.GS);
    if (segment || index === Slot.FS_BASE || index === Slot.GS_BASE) return 13;
    const base = this.#u8[record + Uop.base] >>> 3;
    return base === Reg.RSP || base === Reg.RBP ? 12 : 13;
  }

  #lo(slot: number): number {
    return this.#block[slot * 2];
  }
  #hi(slot: number): number {
    return this.#block[slot * 2 + 1];
  }
  #set(slot: number, lo: number, hi: number): void {
    this.#block[slot * 2] = lo;
    this.#block[slot * 2 + 1] = hi;
  }
}

// The x86 processor on four integer kernels (guests/bench/cpu/): how many times slower than the same bytes run natively in
// this run, with hot code compiled and by the interpreter alone, instructions a second, the size of the interpreter's loop
// function, and how long a processor takes to be made.
// Goals are DESIGN's. Paging and the TLB check are on: each kernel lies in 4 KiB pages. Without gcc there is no native
// side, and the slowdowns are left out. Kernels are timed in processor time, which others on the machine disturb less.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { CpuLayout, CpuState, Reg } from "../../hypervisor/machine/cpu_state.ts";
import { allocateMemory, MachineMemory } from "../../hypervisor/machine/memory.ts";
import { Exit } from "../../hypervisor/machine/processor.ts";
import { Pte, pteLo, tableIndex } from "../../hypervisor/machine/pte.ts";
import { PageWalker } from "../../hypervisor/machine/walk.ts";
import { X86Processor } from "../../hypervisor/machine/x86/index.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import { type Bench, type Context, geometricMean, median, type Row } from "./form.ts";

/** Rounds of each kernel: natively 15 to 30 ms. */
const KERNELS = { sieve: 40, crc32: 150, quicksort: 20, mix: 1000 } as const;
const RUNS = 5;
/** Two regions, made one after the other, and what the engine does about them beside. */
const WARMING = 3;
const GOAL_SLOWDOWN = 3;
const GOAL_INTERPRETED = 9;
const GOAL_LOOP_KB = 45;
const GOAL_READY_MS = 50;

/** Where the programs are linked, how much they own, and a page beside them for the stack and for where they return to. */
const BASE = 0x10000000;
const SIZE = 4 << 20;
const STACK_TOP = BASE + SIZE + 65536;
const RETURN = STACK_TOP;
const SYSCALL = [0x0f, 0x05];
const BUDGET = 1 << 30;

const folder = fileURLToPath(new URL("../../guests/bench/cpu/", import.meta.url));

export const run: Bench = (context) => {
  // As scripts/start.mjs does.
  if (Number.parseInt(process.versions.node, 10) <= 24) setFlagsFromString("--experimental-wasm-branch-hinting");
  const readyMs = median(Array.from({ length: RUNS }, timeToReady));
  const { loopBytes } = new Guest("sieve").processor;
  const native = nativeTimes(context);
  const rows: Row[] = [];
  for (const hotTier of [true, false]) {
    const suffix = hotTier ? "" : ", interpreter alone";
    const slowdowns: number[] = [];
    const speeds: number[] = [];
    for (const [name, rounds] of Object.entries(KERNELS)) {
      const { ns, instructions, checksum } = measure(name, rounds, hotTier);
      speeds.push((instructions / ns) * 1e3);
      const peer = native?.get(name);
      if (!peer) continue;
      if (peer.checksum !== checksum) throw new Error(`${name}: checksum ${checksum}, natively ${peer.checksum}`);
      slowdowns.push(ns / peer.ns);
      rows.push({ name: `${name}, slowdown${suffix}`, value: ns / peer.ns, unit: "times", runs: RUNS });
    }
    if (slowdowns.length > 0) {
      const value = geometricMean(slowdowns);
      const goal = hotTier ? GOAL_SLOWDOWN : GOAL_INTERPRETED;
      rows.push({ name: `geometric mean${suffix}`, value, unit: "times", goal });
    }
    const speed = geometricMean(speeds);
    rows.push({ name: `speed${suffix}`, value: speed, unit: "million instructions/s", runs: RUNS });
  }
  rows.push({ name: "loop function", value: loopBytes / 1000, unit: "KB", goal: GOAL_LOOP_KB });
  const ready = context.calibrated(readyMs);
  rows.push({ name: "time to a processor", value: ready, unit: "ms", runs: RUNS, goal: GOAL_READY_MS });
  return rows;
};

/** Milliseconds from nothing to a processor that has run its first instruction. */
function timeToReady(): number {
  const from = performance.now();
  const guest = new Guest("sieve");
  guest.start(0);
  if (guest.processor.run(guest.cpu, 1) !== Exit.Budget) throw new Error("the first instruction did not run");
  return performance.now() - from;
}

interface Measured {
  ns: number;
  instructions: number;
  checksum: number;
}

/** Median time of a kernel, after runs in which we and the engine compile. */
function measure(name: string, rounds: number, hotTier: boolean): Measured {
  const guest = new Guest(name);
  guest.processor.regions.enabled = hotTier;
  for (let i = 0; i < WARMING; i++) guest.finish(rounds);
  const times: number[] = [];
  let last: { instructions: number; checksum: number } = { instructions: 0, checksum: 0 };
  for (let i = 0; i < RUNS; i++) {
    const from = process.cpuUsage();
    last = guest.finish(rounds);
    const { user, system } = process.cpuUsage(from);
    times.push((user + system) * 1000);
  }
  return { ns: median(times), ...last };
}

/** A kernel in memory of its own, with a vcpu to run it. */
export class Guest {
  readonly memory = new MachineMemory(allocateMemory(64));
  readonly cpu: CpuState;
  readonly processor: X86Processor;
  #next: number;

  constructor(name: string) {
    const { memory } = this;
    this.cpu = new CpuState(memory, memory.reserve(CpuLayout.size));
    const host = {
      tsc: () => ({ lo: 0, hi: 0 }),
      log: (line: string) => {
        throw new Error(line);
      },
    };
    this.processor = new X86Processor(memory, new PageWalker(memory), host);
    this.#next = memory.firstFree;
    const root = this.#next++ as Mfn;
    this.cpu.setField(CpuLayout.cr3, root);
    const image = readFileSync(join(folder, `${name}.bin`));
    for (let at = 0; BASE + at <= RETURN; at += 4096) {
      const mfn = this.#map(root, BASE + at);
      memory.frame(mfn).set(image.subarray(at, at + 4096));
      if (BASE + at === RETURN) memory.frame(mfn).set(SYSCALL);
    }
  }

  /** Sets the vcpu to call the entry with so many rounds. */
  start(rounds: number): void {
    const { cpu, memory } = this;
    cpu.setNum(Reg.RIP, BASE);
    cpu.setNum(Reg.RDI, rounds);
    cpu.setNum(Reg.RFLAGS, 0x202);
    cpu.setNum(Reg.RSP, STACK_TOP - 8);
    // Where it returns to: a syscall instruction, which ends the run.
    const mfn = new PageWalker(memory).walk(cpu.field(CpuLayout.cr3) as Mfn, (STACK_TOP - 8) as Va, 2);
    memory.view.setBigUint64(mfn * 4096 + 4096 - 8, BigInt(RETURN), true);
  }

  /** Runs to the end. */
  finish(rounds: number): { instructions: number; checksum: number } {
    this.start(rounds);
    let instructions = 0;
    let exit: Exit;
    do {
      exit = this.processor.run(this.cpu, BUDGET);
      instructions += this.processor.retired;
    } while (exit === Exit.Budget);
    if (exit !== Exit.Syscall) {
      throw new Error(
        `exit ${exit}, vector ${this.cpu.field(CpuLayout.vector)} at ${this.cpu.num(Reg.RIP).toString(16)}`,
      );
    }
    return { instructions, checksum: this.cpu.lo(Reg.RAX) };
  }

  #map(root: Mfn, address: number): Mfn {
    const { u32 } = this.memory;
    const flags = Pte.P | Pte.RW | Pte.US;
    let table = root;
    for (let level = 4; level > 1; level--) {
      const at = table * 1024 + tableIndex(address as Va, level) * 2;
      if (!(u32[at] & Pte.P)) u32[at] = pteLo(this.#next++ as Mfn, flags);
      table = (u32[at] >>> 12) as Mfn;
    }
    const mfn = this.#next++ as Mfn;
    u32[table * 1024 + tableIndex(address as Va, 1) * 2] = pteLo(mfn, flags);
    return mfn;
  }
}

/** The same images on this machine's own processor, or undefined where they can't be run. */
function nativeTimes(context: Context): Map<string, { ns: number; checksum: number }> | undefined {
  const temporary = mkdtempSync(join(tmpdir(), "bench-cpu-"));
  try {
    const runner = join(temporary, "run");
    execFileSync("gcc", ["-O2", "-o", runner, join(folder, "run.c")], { stdio: "pipe" });
    return new Map(
      Object.entries(KERNELS).map(([name, rounds]) => {
        const args = [join(folder, `${name}.bin`), String(rounds), String(RUNS)];
        const [checksum, ...times] = execFileSync(runner, args, { encoding: "utf8" }).trim().split("\n").map(Number);
        return [name, { ns: median(times), checksum }];
      }),
    );
  } catch (error) {
    context.note(`no native side, so no slowdowns: ${(error as Error).message.split("\n")[0]}`);
    return undefined;
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

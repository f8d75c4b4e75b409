// The worker thread of `npm start`: the machine. Runs the hypervisor's main loop, and sleeps on the doorbell until the next
// timer when nothing is runnable; it never returns to its event loop, so all that reaches it comes through shared memory.
// Loaded by scripts/start.mjs's worker; told its memory and options by main.ts.

import { closeSync, openSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { parentPort } from "node:worker_threads";
import {
  createMachine,
  DeviceBus,
  disassemble,
  formatTrace,
  type Machine,
  setDisassemblerLoader,
} from "../../hypervisor/index.ts";
import { dom0Kernel } from "../kernel.ts";
import { printableLines } from "../printable.ts";
import { folderStore } from "../toolstack/image/folder_store.ts";
import { compileKernel } from "./compile_kernel.ts";
import type { FromWorker, ToWorker } from "./main.ts";
import type { HostOptions } from "./options.ts";
import { TraceFile, writeAll } from "./trace_file.ts";

const port = parentPort;
if (port === null) throw new Error("this module is for a worker thread");
const tell = (message: FromWorker): void => port.postMessage(message);

// Only when an instruction is to be shown: it is large.
setDisassemblerLoader(() => createRequire(import.meta.url)("iced-x86"));

port.once("message", ({ memory, options }: ToWorker) => {
  const bus = new DeviceBus(memory, () => tell("ring"), options.clock === "virtual");
  let machine: Machine;
  let trace: TraceFile | undefined;
  let profile: number | undefined;
  try {
    machine = create(memory, options, bus);
    trace = startTrace(machine, options);
    // Now, so that a path that can't be is told before hours of work.
    profile = options.profileFile === undefined ? undefined : openFor("--profile", options.profileFile);
  } catch (error) {
    // Such as too little memory for dom0, or a file that can't be made: for the person, not a failure of ours.
    tell({ ended: 1, message: error instanceof Error ? error.message : String(error) });
    return;
  }
  if (options.logDir !== undefined) {
    tell({ log: machine.log.read(0, machine.log.end) });
    machine.log.onText = (log) => tell({ log });
  }
  run(machine, bus, options.clock === "virtual", () => trace?.flush());
  trace?.close();
  if (profile !== undefined) writeProfile(machine, profile);
  const status = machine.exitStatus ?? 0;
  const log = machine.log.read(machine.log.end - 4000, 4000);
  tell({
    ended: status,
    message: `dom0 has ended (reason ${status}). The end of the hypervisor's log:\n${printableLines(log)}`,
  });
});

function create(memory: WebAssembly.Memory, options: HostOptions, devices: DeviceBus): Machine {
  return createMachine({
    memory,
    clock: options.clock,
    hostClock: {
      nowNs: () => Math.round(performance.now() * 1e6),
      wallclockNs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n,
    },
    seed: options.seed,
    dom0: { main: dom0Kernel(folderStore()), memoryMiB: options.dom0MemoryMiB },
    devices,
    guestConsoleIo: options.guestConsoleIo,
    compileKernel: options.typescriptKernels ? compileKernel : undefined,
    profile: options.profileFile !== undefined,
    hotTier: options.hotTier,
  });
}

/** The main loop, to dom0's end. `idle` is called before the thread sleeps. */
function run(machine: Machine, bus: DeviceBus, virtual: boolean, idle: () => void): void {
  while (machine.exitStatus === undefined && !bus.stopped) {
    const seen = bus.doorbell();
    const idleNs = machine.step();
    if (idleNs <= 0) continue;
    // On the virtual clock idle time is skipped; without a timer only a person's input can come.
    if (virtual && idleNs !== Infinity) machine.skipIdle();
    else {
      idle();
      bus.sleep(seen, idleNs);
    }
  }
}

/** What `--profile` leaves: instructions of x86 guests, and what took how long, the longest first. */
export interface ProfileFile {
  readonly instructions: number;
  readonly activities: readonly { readonly name: string; readonly count: number; readonly ms: number }[];
}

function writeProfile(machine: Machine, fd: number): void {
  const activities = machine.profile?.activities() ?? [];
  const file: ProfileFile = {
    instructions: machine.profile?.instructions ?? 0,
    activities: activities.map(({ name, count, ns }) => ({ name, count, ms: Number((ns / 1e6).toFixed(3)) })),
  };
  try {
    writeAll(fd, Buffer.from(`${JSON.stringify(file, null, 2)}\n`));
    closeSync(fd);
  } catch (error) {
    say(`the profile could not be written: ${(error as Error).message}`);
  }
}

/** A file to be written, anew. Throws what the person who gave `option` is to read. */
function openFor(option: string, path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    throw new Error(`${option}: ${(error as Error).message}`);
  }
}

/** A line for the person, at a terminal that may be in raw mode. */
function say(line: string): void {
  try {
    writeSync(2, `${line}\r\n`);
  } catch {
    // There is nobody to tell.
  }
}

function startTrace(machine: Machine, options: HostOptions): TraceFile | undefined {
  if (options.trace.length === 0 && options.traceInstructions === 0) return undefined;
  const fd = options.traceFile === undefined ? undefined : openFor("--trace-file", options.traceFile);
  const file = new TraceFile(fd, (error) => {
    if (options.traceFile !== undefined) say(`the trace ends here: ${error.message}`);
  });
  for (const kind of options.trace) machine.trace[kind] = true;
  machine.trace.insn = options.traceInstructions;
  formatTrace(machine, (line) => file.line(line), disassemble);
  return file;
}

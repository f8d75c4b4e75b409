// The worker thread of `npm start`: the machine. Runs the hypervisor's main loop, and sleeps on the doorbell until the next
// timer when nothing is runnable; it never returns to its event loop, so all that reaches it comes through shared memory.
// Loaded by scripts/start.mjs's worker; told its memory and options by main.ts.

import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
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
import { folderStore } from "../toolstack/image/folder_store.ts";
import { compileKernel } from "./compile_kernel.ts";
import type { FromWorker, ToWorker } from "./main.ts";
import type { HostOptions } from "./options.ts";

/** Lines of a trace that are written at once. */
const TRACE_LINES = 1000;

const port = parentPort;
if (port === null) throw new Error("this module is for a worker thread");
const tell = (message: FromWorker): void => port.postMessage(message);

// Only when an instruction is to be shown: it is large.
setDisassemblerLoader(() => createRequire(import.meta.url)("iced-x86"));

port.once("message", ({ memory, options }: ToWorker) => {
  const bus = new DeviceBus(memory, () => tell("ring"), options.clock === "virtual");
  let machine: Machine;
  try {
    machine = create(memory, options, bus);
  } catch (error) {
    // Such as too little memory for dom0: for the person, not a failure of ours.
    tell({ ended: 1, message: error instanceof Error ? error.message : String(error) });
    return;
  }
  if (options.logDir !== undefined) {
    tell({ log: machine.log.read(0, machine.log.end) });
    machine.log.onText = (log) => tell({ log });
  }
  const trace = startTrace(machine, options);
  run(machine, bus, options.clock === "virtual", () => trace?.flush());
  trace?.close();
  if (options.profileFile !== undefined) writeProfile(machine, options.profileFile);
  const status = machine.exitStatus ?? 0;
  const log = machine.log.read(machine.log.end - 4000, 4000);
  tell({ ended: status, message: `dom0 has ended (reason ${status}). The end of the hypervisor's log:\n${log}` });
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

function writeProfile(machine: Machine, path: string): void {
  const activities = machine.profile?.activities() ?? [];
  const file: ProfileFile = {
    instructions: machine.profile?.instructions ?? 0,
    activities: activities.map(({ name, count, ns }) => ({ name, count, ms: Number((ns / 1e6).toFixed(3)) })),
  };
  writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`);
}

/** Writes the trace as text, whole buffers at a time when it goes to a file. */
class TraceFile {
  readonly #fd: number;
  #lines: string[] = [];

  constructor(path: string | undefined) {
    this.#fd = path === undefined ? 2 : openSync(path, "w");
  }

  line(text: string): void {
    this.#lines.push(`${text}\n`);
    if (this.#fd === 2 || this.#lines.length >= TRACE_LINES) this.flush();
  }

  flush(): void {
    if (this.#lines.length > 0) writeSync(this.#fd, this.#lines.join(""));
    this.#lines = [];
  }

  close(): void {
    this.flush();
    if (this.#fd !== 2) closeSync(this.#fd);
  }
}

function startTrace(machine: Machine, options: HostOptions): TraceFile | undefined {
  if (options.trace.length === 0 && options.traceInstructions === 0) return undefined;
  const file = new TraceFile(options.traceFile);
  for (const kind of options.trace) machine.trace[kind] = true;
  machine.trace.insn = options.traceInstructions;
  formatTrace(machine, (line) => file.line(line), disassemble);
  return file;
}

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
import dom0Main from "../kernel.ts";
import type { FromWorker, ToWorker } from "./main.ts";
import type { HostOptions } from "./options.ts";

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
  const stopTracing = trace(machine, options);
  run(machine, bus, options.clock === "virtual");
  stopTracing();
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
    dom0: { main: dom0Main, memoryMiB: options.dom0MemoryMiB },
    devices,
    guestConsoleIo: options.guestConsoleIo,
  });
}

function run(machine: Machine, bus: DeviceBus, virtual: boolean): void {
  while (machine.exitStatus === undefined && !bus.stopped) {
    const seen = bus.doorbell();
    const idleNs = machine.step();
    if (idleNs <= 0) continue;
    // On the virtual clock idle time is skipped; without a timer only a person's input can come.
    if (!virtual || idleNs === Infinity) bus.sleep(seen, idleNs);
    else machine.skipIdle();
  }
}

/** Writes the trace as text; returns what ends it. */
function trace(machine: Machine, options: HostOptions): () => void {
  if (options.trace.length === 0 && options.traceInstructions === 0) return () => {};
  const fd = options.traceFile === undefined ? 2 : openSync(options.traceFile, "w");
  for (const kind of options.trace) machine.trace[kind] = true;
  machine.trace.insn = options.traceInstructions;
  formatTrace(machine, (line) => writeSync(fd, `${line}\n`), disassemble);
  return () => {
    if (fd !== 2) closeSync(fd);
  };
}

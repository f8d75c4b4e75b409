// Boots a machine with dom0 in the test's own thread, its devices simulated (host.ts) and served at once. On the virtual
// clock the same test gives the same run.

import { compileKernel } from "../../dom0/host/compile_kernel.ts";
import { DeviceHost } from "../../dom0/host/devices.ts";
import { allocateMemory, createMachine, DeviceBus, type Machine } from "../../hypervisor/index.ts";
import type { KernelMain } from "../../shared/kernel.ts";
import { SimulatedHost } from "./host.ts";

export interface Dom0Options {
  /** Dom0's kernel. */
  readonly main: KernelMain;
  readonly memoryMiB?: number;
  readonly dom0MemoryMiB?: number;
  readonly seed?: number;
  readonly guestConsoleIo?: boolean;
  /** Files on the simulated disk. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

/** A turn of the main loop may execute a million instructions, so a limit of turns alone can take an hour. */
const HANG_MS = 240_000;

export class Dom0Machine {
  readonly host = new SimulatedHost();
  readonly machine: Machine;
  readonly bus: DeviceBus;

  constructor(options: Dom0Options) {
    for (const [path, data] of Object.entries(options.files ?? {}))
      this.host.disk.set(path, typeof data === "string" ? new TextEncoder().encode(data) : data);
    const memory = allocateMemory(options.memoryMiB ?? 64);
    this.bus = new DeviceBus(memory, () => devices.serve());
    const devices = new DeviceHost(memory, this.host);
    this.machine = createMachine({
      memory,
      clock: "virtual",
      wallclockNs: 1_700_000_000_000_000_000n,
      seed: options.seed ?? 1,
      dom0: { main: options.main, memoryMiB: options.dom0MemoryMiB ?? 16 },
      devices: this.bus,
      guestConsoleIo: options.guestConsoleIo ?? false,
      compileKernel,
    });
  }

  /**
   * Runs until `done` says so, and throws when that can't come any more: dom0 has ended, all sleep for ever, the limit of
   * turns of the main loop is reached, or HANG_MS of real time are over, so that a guest that spins doesn't hold up all
   * tests. The error has the terminal's and the log's ends.
   */
  runUntil(done: () => boolean, limitSteps = 2_000_000): void {
    const until = performance.now() + HANG_MS;
    const stop = (): boolean => done() || this.machine.exitStatus !== undefined || performance.now() > until;
    if (this.machine.runUntil(stop, limitSteps) && done()) return;
    throw new Error(`not reached. Terminal:\n${this.host.output.slice(-2000)}\nLog:\n${this.log.slice(-4000)}`);
  }

  /** Runs until dom0 has ended the machine; its exit status. */
  runToExit(limitSteps?: number): number {
    this.runUntil(() => this.host.exitStatus !== undefined, limitSteps);
    return this.host.exitStatus as number;
  }

  /** Runs until the terminal shows `text`. */
  runToOutput(text: string, limitSteps?: number): void {
    this.runUntil(() => this.host.output.includes(text), limitSteps);
  }

  /** The hypervisor's log. */
  get log(): string {
    return this.machine.log.read(0, Number.MAX_SAFE_INTEGER);
  }
}

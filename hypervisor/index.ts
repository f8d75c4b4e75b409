// The hypervisor's public face: the only file that dom0/ and whatever hosts a machine may import. A machine is put together
// here: memory, clock, hypervisor, dom0 if it has one. Whoever made it calls step() in a loop and sleeps when told to.

import type { DomId } from "../shared/brand.ts";
import { DOORBELL_PORT } from "../shared/devices.ts";
import type { KernelMain } from "../shared/kernel.ts";
import { buildDom0 } from "./dom0_build.ts";
import type { Domain } from "./domain.ts";
import { hypercallTable } from "./hypercalls/table.ts";
import { VERSION_LINE } from "./hypercalls/version_info.ts";
import { Hypervisor } from "./hypervisor.ts";
import { createDomain, createVcpu } from "./lifecycle.ts";
import { DEFAULT_GRANT_FRAMES, DEFAULT_MAPTRACK_FRAMES, VIRTUAL_WALLCLOCK_NS } from "./limits.ts";
import type { HypervisorLog } from "./log.ts";
import type { DeviceBus } from "./machine/devices.ts";
import { allocateMemory, MachineMemory } from "./machine/memory.ts";
import type { CompileKernel } from "./machine/ts/script.ts";
import { Checker } from "./memory/checker.ts";
import { Profile } from "./profile.ts";
import { RealClock, VirtualClock } from "./time/clock.ts";
import type { Trace } from "./trace.ts";

export { DeviceBus } from "./machine/devices.ts";
export { allocateMemory } from "./machine/memory.ts";
export type { CompileKernel } from "./machine/ts/script.ts";
export { disassemble, setDisassemblerLoader } from "./machine/x86/disassemble.ts";
export { formatTrace } from "./trace_format.ts";

/** The host's clocks, injected. */
export interface HostClock {
  /** Monotonic nanoseconds. */
  nowNs(): number;
  /** Nanoseconds since 1970. */
  wallclockNs(): bigint;
}

export interface MachineOptions {
  /** A memory made by allocateMemory (shared with the device thread), or its size. */
  readonly memory: WebAssembly.Memory | { readonly mib: number };
  /** "real" needs `hostClock`; "virtual" counts instructions, and its wallclock starts at `wallclockNs`, by default in 2026. */
  readonly clock: "real" | "virtual";
  readonly hostClock?: HostClock | undefined;
  readonly wallclockNs?: bigint;
  /** Seed of whatever the machine draws at random; named in the log, so that a run can be repeated. */
  readonly seed?: number;
  readonly dom0?: { readonly main: KernelMain; readonly memoryMiB: number };
  readonly devices?: DeviceBus | undefined;
  /** Let every domU write to the log by console_io (default false: -EPERM, as Debian's Xen). */
  readonly guestConsoleIo?: boolean;
  /** Runs kernels in JavaScript as domUs, which have the rights of whoever runs the machine; without it there are none. */
  readonly compileKernel?: CompileKernel | undefined;
  /** Finds out where the time goes. Only on the real clock. */
  readonly profile?: boolean;
  /** Compile what guests execute often (default true). Slower without, otherwise the same. */
  readonly hotTier?: boolean;
}

export interface Machine {
  /** For tests: the parts themselves. Dom0 and hosts don't touch it. */
  readonly hv: Hypervisor;
  readonly log: HypervisorLog;
  readonly trace: Trace;
  readonly domains: ReadonlyMap<number, Domain>;
  /** Undefined unless asked for. */
  readonly profile: Profile | undefined;
  /** One turn of the main loop: 0: call again; else nanoseconds to sleep, Infinity: until the doorbell. */
  step(): number;
  /**
   * Steps until `done` says so (asked between steps), nothing will ever run again, or `limitSteps` are over. On the
   * virtual clock idle time is skipped; on the real one the caller's thread spins. Returns whether `done` was reached.
   */
  runUntil(done: () => boolean, limitSteps?: number): boolean;
  /** On the virtual clock: lets the time pass until the next timer is due. Only when step() said that nothing runs. */
  skipIdle(): void;
  /** The walker over page types and counts: what is wrong, a line each; empty when all is well. Slow. */
  checker(): string[];
  /** Undefined while dom0 lives; then its SHUTDOWN_ reason. */
  readonly exitStatus: number | undefined;
}

const DOM0 = 0 as DomId;
const DEFAULT_STEPS = 10_000_000;

/** Puts a machine together. Throws Error, one clear line, when dom0 doesn't fit into the memory. */
export function createMachine(options: MachineOptions): Machine {
  const wasm = "mib" in options.memory ? allocateMemory(options.memory.mib) : options.memory;
  const virtual = options.clock === "virtual";
  const host = options.hostClock;
  if (!virtual && host === undefined) throw new Error("the real clock needs a host clock");
  const hv = new Hypervisor(new MachineMemory(wasm), {
    clock: virtual || host === undefined ? new VirtualClock() : new RealClock(() => host.nowNs()),
    wallclockAtBoot: options.wallclockNs ?? (virtual || host === undefined ? VIRTUAL_WALLCLOCK_NS : host.wallclockNs()),
    devices: options.devices,
    guestConsoleIo: options.guestConsoleIo ?? false,
    compileKernel: options.compileKernel,
    profile: options.profile && host !== undefined ? new Profile(() => host.nowNs(), hypercallTable()) : undefined,
  });
  hv.x86.regions.enabled = options.hotTier ?? true;
  hv.log.line(VERSION_LINE);
  hv.log.line(
    `Memory: ${hv.frames.totalFrames / 256} MiB, scheduler: ${hv.sched.policy.name}, clock: ${options.clock}`,
  );
  if (options.dom0 !== undefined) startDom0(hv, options.dom0.main, options.dom0.memoryMiB);
  return new MachineLoop(hv);
}

/** Makes dom0 and lets it run. */
function startDom0(hv: Hypervisor, main: KernelMain, memoryMiB: number): void {
  const domain = createDomain(hv, {
    id: DOM0,
    privileged: true,
    processor: hv.x86,
    handle: new Uint8Array(16),
    maxVcpus: 1,
    maxPages: memoryMiB * 256,
    maxGrantFrames: DEFAULT_GRANT_FRAMES,
    maxMaptrackFrames: DEFAULT_MAPTRACK_FRAMES,
  });
  const vcpu = domain === undefined ? undefined : createVcpu(hv, domain);
  if (domain === undefined || vcpu === undefined) throw new Error("the machine's memory is too small for dom0");
  buildDom0(hv, domain, main, memoryMiB);
  domain.ioPorts = [[DOORBELL_PORT, DOORBELL_PORT + 3]];
  vcpu.initialised = true;
  vcpu.down = false;
  domain.controllerPauseCount = 0;
  hv.current = vcpu;
  hv.sched.unpause(domain);
}

class MachineLoop implements Machine {
  readonly hv: Hypervisor;
  readonly log: HypervisorLog;
  readonly trace: Trace;
  readonly domains: ReadonlyMap<number, Domain>;
  readonly profile: Profile | undefined;

  constructor(hv: Hypervisor) {
    this.hv = hv;
    this.log = hv.log;
    this.trace = hv.trace;
    this.domains = hv.domains;
    this.profile = hv.profile;
  }

  step(): number {
    if (this.profile === undefined) return this.hv.step();
    this.profile.begin();
    const idleNs = this.hv.step();
    this.profile.end();
    return idleNs;
  }

  runUntil(done: () => boolean, limitSteps = DEFAULT_STEPS): boolean {
    for (let i = 0; i < limitSteps; i++) {
      if (done()) return true;
      const idle = this.hv.step();
      if (idle === Number.POSITIVE_INFINITY) return done();
      if (idle > 0) this.hv.time.clock.advance(idle);
    }
    return done();
  }

  skipIdle(): void {
    const idle = this.hv.time.timers.next - this.hv.time.now();
    if (idle > 0 && idle !== Number.POSITIVE_INFINITY) this.hv.time.clock.advance(idle);
  }

  checker(): string[] {
    const { hv } = this;
    const domains = () => hv.domains.values();
    return new Checker(hv.memory, hv.frames, domains, () => hv.x86.tlb.entries()).check();
  }

  get exitStatus(): number | undefined {
    const dom0 = this.hv.domains.get(DOM0);
    return dom0?.isShutDown ? dom0.shutdownReason : undefined;
  }
}

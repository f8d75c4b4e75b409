// A TypeScript kernel put together: start of day, its parts, and the main loop that runs threads, takes events and blocks
// when there is nothing to do. A kernel module is `export default kernelMain(function* (kernel) { ... })`: the function
// is the first thread; when it returns, the others go on until `kernel.shutdown`.
//
// The loop: dispatch events; wake threads whose time has come; run one ready thread. When none is ready, set the timer for
// the earliest deadline and block; the upcall that ends the block is delivered at the yield, to a handler that dispatches.

import { SHUTDOWN_poweroff } from "../../shared/abi/sched.ts";
import { VCPUOP_stop_periodic_timer } from "../../shared/abi/vcpu.ts";
import { DOMID_SELF, SIF_INITDOMAIN, StartInfo, VIRQ_TIMER } from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Pfn, Va } from "../../shared/brand.ts";
import type { KernelCode, KernelCpu, KernelMain } from "../../shared/kernel.ts";
import { Arena } from "./arena.ts";
import { Clock } from "./clock.ts";
import { Events } from "./events.ts";
import { Grants } from "./grants.ts";
import { Host } from "./host.ts";
import { PAGE_SIZE, PageAllocator, type Pages } from "./pages.ts";
import { type Task, type Thread, Threads } from "./threads.ts";
import { type Mapping, Window } from "./window.ts";
import { Xen } from "./xen.ts";

const ARENA_PAGES = 16;

export class Kernel {
  readonly cpu: KernelCpu;
  readonly startInfo;
  readonly xen: Xen;
  readonly pages: PageAllocator;
  readonly window: Window;
  readonly events: Events;
  readonly grants: Grants;
  readonly clock: Clock;
  readonly threads: Threads;
  readonly #host: Host | undefined;
  #timerNs = 0;
  #stopped = false;

  constructor(cpu: KernelCpu) {
    this.cpu = cpu;
    const start = cpu.view(cpu.startInfo, StartInfo.size, false);
    this.startInfo = StartInfo.at(new DataView(start.buffer, start.byteOffset, start.byteLength));
    const pfn = (va: number): Pfn => ((va - cpu.base) / PAGE_SIZE) as Pfn;
    const l4 = pfn(this.startInfo.pt_base_num);
    const list = cpu.view(this.startInfo.mfn_list_num as Va, 8, false);
    const firstMfn = new DataView(list.buffer, list.byteOffset).getUint32(0, true) as Mfn;
    // The page tables and one page of stack are the last things of the start of day.
    const firstFree = (l4 + this.startInfo.nr_pt_frames_num + 1) as Pfn;
    this.pages = new PageAllocator(cpu, this.startInfo.nr_pages_num, firstFree, firstMfn);
    const arena = this.pages.alloc(ARENA_PAGES);
    this.xen = new Xen(cpu, new Arena(arena.va, arena.bytes));
    this.window = new Window(cpu, this.xen, this.pages, l4);
    const sharedMfn = (this.startInfo.shared_info_num / PAGE_SIZE) as Mfn;
    const shared = this.window.map(DOMID_SELF as DomId, [sharedMfn], true).page(0);
    this.clock = new Clock(cpu, shared);
    this.threads = new Threads(
      () => this.clock.systemTimeNs(),
      (thread, error) => this.log(`thread ${thread.name}: ${describe(error)}`),
    );
    this.events = new Events(this.xen, shared, (port, error) => this.log(`event ${port}: ${describe(error)}`));
    this.grants = new Grants(this.xen, this.window, this.pages);
    this.xen.setCallbacks(
      cpu.entry(() => this.#upcall()),
      cpu.entry(() => failsafe()),
      0,
    );
    // Ticks that nobody asked for would keep an idle machine awake.
    this.xen.vcpuOp(VCPUOP_stop_periodic_timer, 0, 0);
    this.events.bindVirq(VIRQ_TIMER);
    this.#host = this.startInfo.flags & SIF_INITDOMAIN ? new Host(this) : undefined;
  }

  /** The machine's devices, served by the host: dom0's only. Throws in another domain. */
  get host(): Host {
    if (this.#host === undefined) throw new Error("only dom0 has the machine's devices");
    return this.#host;
  }

  /** Starts a thread. One that throws is logged; it takes nothing else down. */
  spawn(name: string, code: Task<unknown>): Thread {
    return this.threads.spawn(name, code);
  }

  /** System time in nanoseconds: what `sleep` and timeouts count. */
  systemTimeNs(): number {
    return this.clock.systemTimeNs();
  }

  /** `count` zeroed own pages in a row. */
  allocPages(count: number): Pages {
    return this.pages.alloc(count);
  }

  /** Maps frames of another domain; throws XenError. See window.ts. */
  mapForeign(domain: DomId, mfns: readonly Mfn[], writable: boolean): Mapping {
    return this.window.map(domain, mfns, writable);
  }

  /** Maps a granted page; throws GrantError. */
  mapGrant(domain: DomId, ref: number, readonly: boolean): Mapping {
    return this.grants.map(domain, ref as Parameters<Grants["map"]>[1], readonly);
  }

  /** A line for the hypervisor's log (`xl dmesg`), or a domU's console_io where it may. Never throws. */
  log(line: string): void {
    try {
      this.xen.consoleWrite(`${line}\n`);
    } catch {
      // A domU may not write there, and there is no other place to tell.
    }
  }

  /** Ends the domain at the end of this thread's turn. `reason` is a SHUTDOWN_. */
  shutdown(reason: number = SHUTDOWN_poweroff): void {
    this.#stopped = true;
    this.xen.shutdown(reason);
  }

  /** @internal The main loop. */
  *run(): KernelCode {
    while (!this.#stopped) {
      if (this.events.pending) this.events.dispatch();
      const deadlineNs = this.threads.wakeDue();
      if (this.threads.runOne()) {
        if (this.cpu.expired()) yield;
        continue;
      }
      this.#setTimer(deadlineNs);
      this.xen.block();
      yield;
    }
    for (;;) yield;
  }

  *#upcall(): KernelCode {
    yield* [];
    this.events.dispatch();
  }

  #setTimer(deadlineNs: number): void {
    const at = deadlineNs === Infinity ? 0 : Math.ceil(deadlineNs);
    // A timer that has fired is gone, so the same deadline is set again; only "none" needs no repeating.
    if (at === 0 && this.#timerNs === 0) return;
    this.#timerNs = at;
    this.xen.setTimer(at);
  }
}

/** Xen enters it when the kernel's segment selectors are bad, which a TypeScript kernel never sets. */
function* failsafe(): KernelCode {
  yield* [];
  throw new Error("failsafe callback");
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

/** Makes a kernel's main function out of its first thread. */
export function kernelMain(first: (kernel: Kernel) => Task): KernelMain {
  return function* (cpu) {
    const kernel = new Kernel(cpu);
    kernel.spawn("main", first(kernel));
    yield* kernel.run();
  };
}

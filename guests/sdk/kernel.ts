// A TypeScript kernel put together: start of day, its parts, and the main loop that runs threads, takes events and blocks
// when there is nothing to do. A kernel module is `export default kernelMain(function* (kernel) { ... })`: the function
// is the first thread; when it returns, the others go on until `kernel.shutdown`, which comes by itself with the end of the
// last thread.
//
// What a thread or an event's handler throws and nobody catches is the kernel's failure: a domU ends with it (the domain
// crashes, and `xl dmesg` has the stack), dom0 logs it and goes on. `onFailure` may say otherwise.
//
// The loop: dispatch events; wake threads whose time has come; run one ready thread. When none is ready, set the timer for
// the earliest deadline and block; the upcall that ends the block is delivered at the yield, to a handler that dispatches.

import { SHUTDOWN_poweroff, SHUTDOWN_reboot } from "../../shared/abi/sched.ts";
import { VCPUOP_stop_periodic_timer } from "../../shared/abi/vcpu.ts";
import { DOMID_SELF, SIF_INITDOMAIN, StartInfo, VIRQ_TIMER } from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Pfn, Port, Va } from "../../shared/brand.ts";
import type { KernelCode, KernelCpu, KernelMain } from "../../shared/kernel.ts";
import { Arena } from "./arena.ts";
import { Clock } from "./clock.ts";
import { Console } from "./console.ts";
import { Events } from "./events.ts";
import { Grants } from "./grants.ts";
import { Host } from "./host.ts";
import { PAGE_SIZE, PageAllocator, type Pages } from "./pages.ts";
import { type Task, type Thread, Threads } from "./threads.ts";
import { type Mapping, Window } from "./window.ts";
import { Xen } from "./xen.ts";
import { XenStore } from "./xenstore.ts";

const ARENA_PAGES = 16;

/** A device's frontend side, as xenstore has it. */
export interface Device {
  readonly kernel: Kernel;
  readonly store: XenStore;
  readonly path: string;
  readonly backendDomid: DomId;
}

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
  /** Told of what was thrown and not caught; what it throws in its turn ends the domain. See above. */
  onFailure: (what: string, error: unknown) => void;
  readonly #host: Host | undefined;
  readonly #console: Console | undefined;
  readonly #store: XenStore | undefined;
  #timerNs = 0;
  #stopped = false;

  constructor(cpu: KernelCpu) {
    this.cpu = cpu;
    const start = cpu.view(cpu.startInfo, StartInfo.size, false);
    this.startInfo = StartInfo.at(new DataView(start.buffer, start.byteOffset, start.byteLength));
    const pfn = (va: number): Pfn => ((va - cpu.base) / PAGE_SIZE) as Pfn;
    const l4 = pfn(this.startInfo.pt_base_num);
    // The page tables and one page of stack are the last things of the start of day.
    const firstFree = (l4 + this.startInfo.nr_pt_frames_num + 1) as Pfn;
    this.pages = new PageAllocator(cpu, readP2m(cpu, this.startInfo), firstFree);
    const arena = this.pages.alloc(ARENA_PAGES);
    this.xen = new Xen(cpu, new Arena(arena.va, arena.bytes));
    this.window = new Window(cpu, this.xen, this.pages, l4);
    const sharedMfn = (this.startInfo.shared_info_num / PAGE_SIZE) as Mfn;
    const shared = this.window.map(DOMID_SELF as DomId, [sharedMfn], true).page(0);
    this.clock = new Clock(cpu, shared);
    this.threads = new Threads(
      () => this.clock.systemTimeNs(),
      (thread, error) => this.onFailure(`thread ${thread.name}`, error),
    );
    this.events = new Events(this.xen, shared, (port, error) => this.onFailure(`event ${port}`, error));
    this.grants = new Grants(this.xen, this.window, this.pages);
    this.xen.setCallbacks(
      cpu.entry(() => this.#upcall()),
      cpu.entry(() => failsafe()),
      0,
    );
    // Ticks that nobody asked for would keep an idle machine awake.
    this.xen.vcpuOp(VCPUOP_stop_periodic_timer, 0, 0);
    this.events.bindVirq(VIRQ_TIMER);
    if (this.startInfo.flags & SIF_INITDOMAIN) {
      this.#host = new Host(this);
      this.onFailure = (what, error) => this.log(`${what}: ${describe(error)}`);
    } else {
      const page = (mfn: number) => cpu.view(this.pages.va(this.pages.pfn(mfn as Mfn) as Pfn), PAGE_SIZE, true);
      const { console_domU_mfn_num, console_domU_evtchn, store_mfn_num, store_evtchn } = this.startInfo;
      this.#console = new Console(this.events, page(console_domU_mfn_num), console_domU_evtchn as Port);
      this.#store = new XenStore(this.events, page(store_mfn_num), store_evtchn as Port);
      this.onFailure = (_, error) => {
        throw error;
      };
    }
  }

  /** The machine's devices, served by the host: dom0's only. Throws in another domain. */
  get host(): Host {
    if (this.#host === undefined) throw new Error("only dom0 has the machine's devices");
    return this.#host;
  }

  /** The console that `xl console` shows. Throws in dom0, which has `host.tty`. */
  get console(): Console {
    if (this.#console === undefined) throw new Error("dom0's console is the machine's terminal");
    return this.#console;
  }

  /** Xenstore, as a guest has it. Throws in dom0, where xenstored itself runs. */
  get store(): XenStore {
    if (this.#store === undefined) throw new Error("dom0's threads have xenstored itself");
    return this.#store;
  }

  /**
   * What BlockFront and NetStack connect to: the device that the toolstack gave this domain as "vif" 0, "vbd" 51712 (xvda).
   * Throws Error when there is none.
   */
  *device(kind: "vbd" | "vif", devid: number): Task<Device> {
    const path = `device/${kind}/${devid}`;
    const backend = yield* this.store.read(`${path}/backend-id`);
    if (backend === undefined) throw new Error(`this domain has no ${kind} ${devid}`);
    return { kernel: this, store: this.store, path, backendDomid: Number(backend) as DomId };
  }

  /** Starts a thread. One that throws is `onFailure`'s. */
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

  /** A line for people: dom0's goes to the hypervisor's log (`xl dmesg`), another domain's to its console. */
  log(line: string): void {
    if (this.#console === undefined) this.xen.consoleWrite(`${line}\n`);
    else this.#console.print(line);
  }

  /** Ends the domain at the end of this thread's turn. `reason` is a SHUTDOWN_. */
  shutdown(reason: number = SHUTDOWN_poweroff): void {
    this.#stopped = true;
    this.xen.shutdown(reason);
  }

  /** Waits until what was printed has been read, then ends the domain. `reason` is a SHUTDOWN_. */
  *exit(reason: number = SHUTDOWN_poweroff): Task {
    yield* this.console.drain();
    this.shutdown(reason);
  }

  /** A thread for servers: waits for `xl shutdown` or `xl reboot`, and ends the domain then. */
  *obeyShutdown(): Task {
    const { store } = this;
    const asked = yield* store.waitFor("control/shutdown", ["poweroff", "halt", "reboot"]);
    yield* store.write("control/shutdown", ""); // Says that it was seen.
    yield* this.exit(asked === "reboot" ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
  }

  /** @internal The main loop. */
  *run(): KernelCode {
    while (!this.#stopped) {
      if (this.threads.all.size === 0 && this.#console !== undefined) this.spawn("end", this.exit());
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

/** The machine frames of the kernel's pages, from the list that the start of day has (public/xen.h, mfn_list). */
function readP2m(cpu: KernelCpu, startInfo: Kernel["startInfo"]): Uint32Array {
  const p2m = new Uint32Array(startInfo.nr_pages_num);
  for (let pfn = 0; pfn < p2m.length; ) {
    const bytes = cpu.view((startInfo.mfn_list_num + pfn * 8) as Va, PAGE_SIZE, false);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE / 4);
    for (let i = 0; i < words.length && pfn < p2m.length; i += 2) p2m[pfn++] = words[i];
  }
  return p2m;
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

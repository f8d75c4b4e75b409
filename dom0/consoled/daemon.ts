// The console daemon as threads of dom0: opens the consoles of domains (the ring mapped through grant entry 0, the port
// from xenstore, as the toolstack wrote it), serves them in turn, and writes each guest's output to its log,
// `guest-NAME.log`. The toolstack tells when a domain is there and when it ends.

import {
  type EventPort,
  type Kernel,
  type Mapping,
  type Task,
  type Thread,
  WaitQueue,
  yieldNow,
} from "../../guests/sdk/index.ts";
import { GNTTAB_RESERVED_CONSOLE } from "../../shared/abi/grant_table.ts";
import type { DomId, Port } from "../../shared/brand.ts";
import { domainPath, type XsClient } from "../xenstored/index.ts";
import { ByteQueue } from "./byte_queue.ts";
import { GuestConsole, type Sink } from "./console.ts";
import { ConsoleLimits } from "./limits.ts";
import { ConsoleViewer } from "./viewer.ts";

interface Open {
  readonly console: GuestConsole;
  readonly port: EventPort;
  readonly page: Mapping;
}

export class ConsoleDaemon {
  readonly #kernel: Kernel;
  readonly #xs: XsClient;
  readonly #open = new Map<number, Open>();
  readonly #dirty = new Set<GuestConsole>();
  readonly #work = new WaitQueue();

  constructor(kernel: Kernel, xs: XsClient) {
    this.#kernel = kernel;
    this.#xs = xs;
  }

  /** The daemon's thread. */
  *run(): Task {
    for (;;) {
      yield* this.#work.until(() => this.#dirty.size > 0);
      for (const console of [...this.#dirty]) {
        if (!this.#dirty.delete(console)) continue;
        if (console.service()) this.#dirty.add(console);
        yield* yieldNow();
      }
    }
  }

  /** Connects to the console of a domain that was just built. Throws when its ring or port can't be had. */
  open(domid: DomId): void {
    const base = domainPath(domid);
    const remotePort = Number(this.#xs.read(`${base}/console/port`)) as Port;
    const page = this.#kernel.mapGrant(domid, GNTTAB_RESERVED_CONSOLE, false);
    let port: EventPort;
    try {
      port = this.#kernel.events.bindInterdomain(domid, remotePort);
    } catch (error) {
      page.unmap();
      throw error;
    }
    const log = new ConsoleLog(this.#kernel, `guest-${this.#xs.read(`${base}/name`) ?? domid}.log`, () => wake());
    const notify = (): void => {
      try {
        port.notify();
      } catch {
        // The domain has closed its end or is gone; the toolstack will say so.
      }
    };
    const console = new GuestConsole(domid, page.page(0), notify, log);
    const wake = (): void => this.#serve(console);
    port.onEvent = wake;
    this.#open.set(domid, { console, port, page });
    wake();
  }

  /** Takes a domain's last output and disconnects; viewers see the end. Nothing when it isn't connected. */
  close(domid: number): void {
    const open = this.#open.get(domid);
    if (open === undefined) return;
    this.#open.delete(domid);
    open.console.end();
    this.#dirty.delete(open.console);
    open.port.close();
    open.page.unmap();
  }

  /** A viewer of a domain's console; undefined when the domain has none. Close it when done. */
  view(domid: number): ConsoleViewer | undefined {
    const open = this.#open.get(domid);
    return open && new ConsoleViewer(open.console, () => this.#serve(open.console));
  }

  /** Tells viewers of a domain that has shut down but stays that nothing more will come. */
  endOutput(domid: number): void {
    this.#open.get(domid)?.console.end();
  }

  #serve(console: GuestConsole): void {
    if (this.#open.get(console.domid)?.console !== console) return;
    this.#dirty.add(console);
    this.#work.wakeAll();
  }
}

/** Collects a guest's output and appends it to its log, a thread for each while there is something to write. */
class ConsoleLog implements Sink {
  readonly #kernel: Kernel;
  readonly #name: string;
  readonly #drained: () => void;
  readonly #queue = new ByteQueue(ConsoleLimits.logBytes + ConsoleLimits.bytesPerTurn * 2);
  #writer: Thread | undefined = undefined;
  /** The host could not write: from then on there is no log, and the guest doesn't wait for one. */
  #broken = false;

  constructor(kernel: Kernel, name: string, drained: () => void) {
    this.#kernel = kernel;
    this.#name = name.replaceAll(/[^A-Za-z0-9\-._]/g, "_");
    this.#drained = drained;
  }

  push(bytes: Uint8Array): void {
    if (this.#broken) return;
    this.#queue.push(bytes);
    if (this.#writer === undefined || this.#writer.done)
      this.#writer = this.#kernel.spawn(`log of ${this.#name}`, this.#write());
  }

  get full(): boolean {
    return this.#queue.length >= ConsoleLimits.logBytes;
  }

  end(): void {}

  *#write(): Task {
    while (this.#queue.length > 0) {
      const wasFull = this.full;
      const bytes = this.#queue.take(this.#queue.length);
      try {
        yield* this.#kernel.host.appendLog(this.#name, bytes);
      } catch (error) {
        this.#broken = true;
        this.#kernel.log(`consoled: ${this.#name}: ${error instanceof Error ? error.message : error}`);
        this.#queue.take(this.#queue.length);
      }
      if (wasFull) this.#drained();
    }
  }
}

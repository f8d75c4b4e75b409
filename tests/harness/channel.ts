// A channel and its frontend in one kernel: dom0 runs xenstored, the console backend, and a frontend that grants its ring to its
// own domain. At the host's end is a program that the test plays: connected or not, with room or without.

import { ConsoleBackend } from "../../dom0/backends/console/index.ts";
import { Backends } from "../../dom0/backends/index.ts";
import type { ChannelService } from "../../dom0/host/devices.ts";
import { Channels } from "../../dom0/toolstack/channels.ts";
import { XenStoreDaemon, XsClient } from "../../dom0/xenstored/index.ts";
import { type EventPort, type Kernel, kernelMain, type Pages, sleep, type Task } from "../../guests/sdk/index.ts";
import type { GrantRef } from "../../shared/brand.ts";
import { ByteRing, CONSOLE_IN, CONSOLE_OUT } from "../../shared/ring.ts";
import { SELF } from "./block.ts";
import { Dom0Machine } from "./dom0.ts";
import { Later } from "./host.ts";

/** The host's end of one channel. */
export class SimulatedChannel implements ChannelService {
  /** What the program has got. */
  received: number[] = [];
  /** Bytes that it still has room for; 0 also while nobody is connected. */
  room = 0;
  path: string | undefined = undefined;
  #sent: number[] = [];
  #reader: { limit: number; later: Later<Uint8Array> } | undefined = undefined;
  #writes: { bytes: Uint8Array; later: Later<void> }[] = [];
  /** Bytes sent that dom0 hasn't taken. */
  get waiting(): number {
    return this.#sent.length;
  }

  /** The program takes `bytes` more. */
  take(bytes: number): void {
    this.room += bytes;
    this.#feed();
  }

  send(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#sent.push(byte);
    this.#feed();
  }

  open(path: string): number {
    if (path === "/taken" || path === this.path) throw Object.assign(new Error(path), { code: "EADDRINUSE" });
    this.path = path;
    return 1;
  }

  read(_handle: number, limit: number): PromiseLike<Uint8Array> {
    const later = new Later<Uint8Array>();
    this.#reader = { limit, later };
    this.#feed();
    return later;
  }

  write(_handle: number, bytes: Uint8Array): PromiseLike<void> {
    const later = new Later<void>();
    this.#writes.push({ bytes, later });
    this.#feed();
    return later;
  }

  close(_handle: number, last: Uint8Array): void {
    if (this.room > 0) this.received.push(...last);
    this.path = undefined;
    for (const { later } of this.#writes.splice(0)) later.resolve();
    this.#reader?.later.resolve(new Uint8Array(0));
  }

  #feed(): void {
    const reader = this.#reader;
    if (reader !== undefined && this.#sent.length > 0) {
      this.#reader = undefined;
      reader.later.resolve(Uint8Array.from(this.#sent.splice(0, reader.limit)));
    }
    while (this.#writes.length > 0 && this.room >= this.#writes[0].bytes.length) {
      const [{ bytes, later }] = this.#writes.splice(0, 1);
      this.room -= bytes.length;
      this.received.push(...bytes);
      later.resolve();
    }
  }
}

/** A frontend as Linux's hvc_xen: it makes the ring and the port, then says so. */
export class ChannelFront {
  readonly pages: Pages;
  readonly out: ByteRing;
  readonly in: ByteRing;
  readonly port: EventPort;
  readonly ref: GrantRef;
  readonly #kernel: Kernel;

  constructor(rig: ChannelRig, devid: number) {
    const { kernel, xs } = rig;
    this.#kernel = kernel;
    this.pages = kernel.allocPages(1);
    this.out = new ByteRing(this.pages.bytes, 0, CONSOLE_OUT);
    this.in = new ByteRing(this.pages.bytes, 0, CONSOLE_IN);
    this.ref = kernel.grants.grantAccess(SELF, this.pages.pfn as never, false);
    this.port = kernel.events.allocUnbound(SELF);
    const path = `/local/domain/0/device/console/${devid}`;
    xs.write(`${path}/ring-ref`, String(this.ref));
    xs.write(`${path}/port`, String(this.port.port));
    xs.write(`${path}/state`, "3");
  }

  /** Writes all of it, waiting while the ring is full at most `tries` times 0.1 ms; what was written. */
  *write(bytes: Uint8Array, tries = 1000): Task<number> {
    let at = 0;
    for (let i = 0; at < bytes.length && i < tries; i++) {
      const n = this.out.write(bytes.subarray(at));
      at += n;
      if (n > 0) this.port.notify();
      if (at < bytes.length) yield* sleep(1e5);
    }
    return at;
  }

  *read(count: number): Task<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let at = 0, tries = 0; at < count; tries++) {
      if (tries > 10_000) throw new Error(`only ${at} of ${count} bytes have come`);
      const n = this.in.read(bytes.subarray(at));
      at += n;
      if (n > 0) this.port.notify();
      else yield* sleep(1e5);
    }
    return bytes;
  }

  /** Takes everything back; throws when the backend still uses it. */
  free(): void {
    this.port.close();
    if (!this.#kernel.grants.endAccess(this.ref)) throw new Error("the ring is still mapped");
    this.pages.free();
  }
}

export class ChannelRig {
  readonly kernel: Kernel;
  readonly xs: XsClient;
  readonly backends: Backends;
  readonly channels: Channels;
  readonly host: SimulatedChannel;

  constructor(kernel: Kernel, host: SimulatedChannel) {
    this.kernel = kernel;
    this.host = host;
    const store = new XenStoreDaemon(kernel);
    this.xs = new XsClient(store.server);
    this.backends = new Backends(kernel, new XsClient(store.server), [new ConsoleBackend()]);
    this.channels = new Channels(this.xs, this.backends);
    kernel.spawn("backends", this.backends.run());
  }

  front(name: string, value: string): void {
    this.xs.write(`/local/domain/0/device/console/1/${name}`, value);
  }

  /** Waits until the backend's state is that. */
  *state(state: number, devid = 1): Task {
    const path = `/local/domain/0/backend/console/0/${devid}/state`;
    for (let i = 0; this.xs.read(path) !== String(state); i++) {
      if (i > 1000) throw new Error(`the backend's state is ${this.xs.read(path)}, not ${state}`);
      yield* sleep(1e5);
    }
  }
}

/** Runs `body` in dom0; what it throws is thrown here. The machine's invariants are checked at the end. */
export function withChannel(body: (rig: ChannelRig) => Task): void {
  let failed: { error: unknown } | undefined;
  const host = new SimulatedChannel();
  const main = kernelMain(function* (kernel): Task {
    try {
      yield* body(new ChannelRig(kernel, host));
    } catch (error) {
      failed = { error };
    }
    yield* kernel.host.exit(7);
  });
  const machine = new Dom0Machine({ main });
  machine.host.channels = host;
  const status = machine.runToExit();
  if (failed) throw failed.error;
  if (status !== 7) throw new Error(`dom0 ended with ${status}:\n${machine.log}`);
  const problems = machine.machine.checker();
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

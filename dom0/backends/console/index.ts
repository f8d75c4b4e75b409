// The backend of channels: PV consoles beyond the first (public/io/console.h, shared/ring.ts), each a stream of bytes between
// a guest and a listening unix socket of the host. The frontend grants the ring's page and makes the event channel itself
// (nodes "ring-ref" and "port"), as Linux's hvc_xen does. The first console is the console daemon's (dom0/consoled/).
//
// Nothing is added, changed or dropped on the way. All buffers are bounded: while nobody is connected at the socket, or
// whoever is reads slowly, the ring stays full and the guest waits; while the guest reads slowly, the socket isn't read. The
// stream outlives a frontend's connection: what a frontend hasn't taken off yet goes to the next.

import {
  type EventPort,
  type GrantedPages,
  type HostChannel,
  type Task,
  WaitQueue,
} from "../../../guests/sdk/index.ts";
import type { GrantRef, Port } from "../../../shared/brand.ts";
import { ByteRing, CONSOLE_IN, CONSOLE_OUT, RING_BAD } from "../../../shared/ring.ts";
import { ByteQueue } from "../../consoled/index.ts";
import { type Backend, type Device, DeviceError, type Instance, type Nodes } from "../backend.ts";
import { ChannelLimits as Limits } from "./limits.ts";

const MAX_U32 = 0xffffffff;

export class ConsoleBackend implements Backend {
  readonly kind = "console";

  serves(devid: number): boolean {
    return devid !== 0;
  }

  *open(device: Device): Task<Instance> {
    const connection = device.read("connection");
    if (connection !== "socket") throw new DeviceError(`a console of connection "${connection ?? ""}" can't be`);
    const path = device.read("path");
    if (!path) throw new DeviceError("a channel needs a path");
    return new Channel(device, yield* device.kernel.host.openChannel(path));
  }
}

/** A frontend's ring. */
interface Connection {
  readonly page: GrantedPages;
  readonly port: EventPort;
  readonly out: ByteRing;
  readonly in: ByteRing;
}

class Channel implements Instance {
  readonly announce: Nodes = {};
  readonly #device: Device;
  readonly #host: HostChannel;
  readonly #out = new ByteQueue(Limits.outBytes + Limits.lastBytes);
  readonly #in = new ByteQueue(Limits.inBytes + Limits.readBytes);
  readonly #scratch = new Uint8Array(Limits.outBytes);
  /** Woken when a queue has more, or more room. */
  readonly #changed = new WaitQueue();
  #connection: Connection | undefined = undefined;
  #closed = false;

  constructor(device: Device, host: HostChannel) {
    this.#device = device;
    this.#host = host;
    const { kernel, domid, devid } = device;
    kernel.spawn(`channel ${domid}/${devid} out`, this.#write());
    kernel.spawn(`channel ${domid}/${devid} in`, this.#read());
  }

  *connect(): Task<Nodes> {
    yield* [];
    const { kernel, domid } = this.#device;
    const ref = this.#device.frontNumber("ring-ref", MAX_U32) as GrantRef;
    const remote = this.#device.frontNumber("port", MAX_U32) as Port;
    const page = kernel.grants.mapPages(domid, [ref], false);
    try {
      const port = kernel.events.bindInterdomain(domid, remote);
      const bytes = page.page(0);
      const rings = { out: new ByteRing(bytes, 0, CONSOLE_OUT), in: new ByteRing(bytes, 0, CONSOLE_IN) };
      this.#connection = { page, port, ...rings };
      port.onEvent = () => this.#serve();
    } catch (error) {
      page.unmap();
      throw error;
    }
    this.#serve();
    return {};
  }

  *disconnect(): Task {
    yield* [];
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#takeOutput(connection, Limits.outBytes + Limits.lastBytes);
    connection.port.close();
    connection.page.unmap();
  }

  *close(): Task {
    this.#closed = true;
    this.#changed.wakeAll();
    yield* this.#host.close(this.#out.take(this.#out.length));
  }

  /** Moves what there is and what there is room for, at most a ring each way. */
  #serve(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const taken = this.#takeOutput(connection, Limits.outBytes);
    const typed = this.#in.length === 0 ? 0 : connection.in.write(this.#in.peek());
    if (taken === RING_BAD || typed === RING_BAD) {
      this.#connection = undefined;
      connection.port.close();
      connection.page.unmap();
      this.#device.fail("its ring's indexes make no sense");
      return;
    }
    this.#in.take(typed);
    if (taken === 0 && typed === 0) return;
    try {
      connection.port.notify();
    } catch {
      // The guest has closed its end; the frontend's state will say so.
    }
    this.#changed.wakeAll();
  }

  /** As far as the queue then has at most `limit`. */
  #takeOutput({ out }: Connection, limit: number): number {
    const room = Math.min(limit - this.#out.length, this.#scratch.length);
    const n = out.read(this.#scratch.subarray(0, Math.max(0, room)));
    if (n > 0) this.#out.push(this.#scratch.subarray(0, n));
    return n;
  }

  *#write(): Task {
    for (;;) {
      yield* this.#changed.until(() => this.#out.length > 0 || this.#closed);
      if (this.#closed) return;
      const piece = this.#out.take(Math.min(this.#out.length, Limits.pieceBytes));
      this.#serve();
      yield* this.#attempt(this.#host.write(piece));
    }
  }

  *#read(): Task {
    for (;;) {
      yield* this.#changed.until(() => this.#in.length < Limits.inBytes || this.#closed);
      if (this.#closed) return;
      const bytes = yield* this.#attempt(this.#host.read());
      if (bytes === undefined || bytes.length === 0) return;
      this.#in.push(bytes);
      this.#serve();
    }
  }

  /** Undefined when the host refuses, which it only does to a channel that is closed meanwhile, or when something is wrong. */
  *#attempt<T>(call: Task<T>): Task<T | undefined> {
    try {
      return yield* call;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (!this.#closed) this.#device.fail(error.message);
      this.#closed = true;
      return undefined;
    }
  }
}

// One request ring in one page and its event channel (public/io/ring.h; nodes "ring-ref" and "event-channel"), for backends that
// answer requests one after another: docs/BACKEND.md's example is one. Backends that have many requests under way (block/,
// net/) do this themselves.

import { type EventPort, GrantError, type GrantedPages, type Task, WaitQueue } from "../../guests/sdk/index.ts";
import type { GrantRef, Port } from "../../shared/brand.ts";
import { BackRing } from "../../shared/request_ring.ts";
import type { Device } from "./backend.ts";

const MAX_U32 = 0xffffffff;

/** Turns a request into its response, in place. `slot` is a copy: the guest can't change what was checked. It must not throw. */
export type Answer = (slot: DataView) => Task;

export class ServedRing {
  readonly #device: Device;
  readonly #page: GrantedPages;
  readonly #port: EventPort;
  readonly #work = new WaitQueue();
  #stopped = false;
  #answering = false;

  private constructor(device: Device, page: GrantedPages, port: EventPort) {
    this.#device = device;
    this.#page = page;
    this.#port = port;
    port.onEvent = () => this.#work.wakeAll();
  }

  /** Maps and binds what the frontend wrote, and begins to serve. Throws, with nothing left mapped, when that can't be. */
  static *open(device: Device, slotBytes: number, answer: Answer): Task<ServedRing> {
    yield* [];
    const { kernel, domid } = device;
    const ref = device.frontNumber("ring-ref", MAX_U32) as GrantRef;
    const remote = device.frontNumber("event-channel", MAX_U32) as Port;
    const page = kernel.grants.mapPages(domid, [ref], false);
    try {
      const ring = new ServedRing(device, page, kernel.events.bindInterdomain(domid, remote));
      kernel.spawn(`ring of domain ${domid}`, ring.#serve(slotBytes, answer));
      return ring;
    } catch (error) {
      page.unmap();
      throw error;
    }
  }

  /** Returns when the answer that is under way is done and nothing of the guest's is in use. Again: nothing. */
  *close(): Task {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#work.wakeAll();
    yield* this.#work.until(() => !this.#answering);
    this.#port.close();
    try {
      this.#page.unmap();
    } catch (error) {
      // Its domain is gone altogether, and its pages with it.
      if (!(error instanceof GrantError)) throw error;
    }
  }

  *#serve(slotBytes: number, answer: Answer): Task {
    const ring = new BackRing([this.#page.page(0)], slotBytes);
    const slot = new DataView(new ArrayBuffer(slotBytes));
    const bytes = new Uint8Array(slot.buffer);
    for (;;) {
      yield* this.#work.until(() => this.#stopped || ring.waiting() !== 0 || ring.sleep());
      if (this.#stopped) return;
      if (ring.waiting() < 0) return this.#device.fail("the request index of its ring makes no sense");
      ring.take(bytes);
      this.#answering = true;
      try {
        yield* answer(slot);
      } finally {
        this.#answering = false;
        this.#work.wakeAll();
      }
      if (this.#stopped) return;
      ring.respond(bytes);
      if (ring.publish()) this.#notify();
    }
  }

  #notify(): void {
    try {
      this.#port.notify();
    } catch {
      // The guest has closed its end: the store tells.
    }
  }
}

// A backend in sixty lines: a device that puts text into capitals. A request names a granted page and a length.
import { type Backend, type Device, DeviceError, type Instance } from "../../../../dom0/backends/index.ts";
import { type EventPort, type GrantedPages, type Task, WaitQueue } from "../../../../guests/sdk/index.ts";
import type { GrantRef, Port } from "../../../../shared/brand.ts";
import { BackRing } from "../../../../shared/request_ring.ts";

export const SLOT_BYTES = 16; // request: id, grant, length; response: id, status; all u32

class Upper implements Instance {
  readonly announce = { "max-length": "4096" };
  readonly #device: Device;
  readonly #event = new WaitQueue();
  #open: { ring: GrantedPages; port: EventPort; stop: boolean } | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  *connect(): Task<Record<string, string>> {
    yield* []; // A task may wait here, for a host file say.
    const { kernel, domid } = this.#device;
    const ref = this.#device.frontNumber("ring-ref", 0xffffffff) as GrantRef;
    const ring = kernel.grants.mapPages(domid, [ref], false, true);
    const remote = this.#device.frontNumber("event-channel", 0xffffffff) as Port;
    this.#open = { ring, port: kernel.events.bindInterdomain(domid, remote), stop: false };
    this.#open.port.onEvent = () => this.#event.wakeAll();
    kernel.spawn(`upper ${domid}`, this.#serve(new BackRing([ring.page(0)], SLOT_BYTES), this.#open));
    return {};
  }

  *#serve(ring: BackRing, open: { port: EventPort; stop: boolean }): Task {
    const slot = new Uint32Array(SLOT_BYTES / 4);
    for (;;) {
      yield* this.#event.until(() => open.stop || ring.waiting() !== 0 || ring.sleep());
      if (open.stop) return;
      if (ring.waiting() < 0) return this.#device.fail("its index makes no sense");
      ring.take(new Uint8Array(slot.buffer)); // A copy: what is checked is what is used.
      slot[1] = this.#capitals(slot[1] as GrantRef, slot[2]);
      ring.respond(new Uint8Array(slot.buffer));
      if (ring.publish()) open.port.notify();
    }
  }

  #capitals(ref: GrantRef, length: number): number {
    if (length > 4096) return 1;
    try {
      const page = this.#device.kernel.grants.mapPages(this.#device.domid, [ref], false, true);
      const bytes = page.page(0);
      for (let i = 0; i < length; i++) if (bytes[i] >= 97 && bytes[i] <= 122) bytes[i] -= 32;
      page.unmap();
      return 0;
    } catch {
      return 1; // No such grant.
    }
  }

  *disconnect(): Task {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.stop = true;
    this.#event.wakeAll();
    open.port.close();
    open.ring.unmap();
    yield* [];
  }

  *close(): Task {}
}

export const upper: Backend = {
  kind: "vupper",
  *open(device) {
    yield* [];
    if (device.read("mode") !== "loud") throw new DeviceError("mode must be loud");
    return new Upper(device);
  },
};

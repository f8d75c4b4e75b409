// A backend in sixty lines: a device that puts text into capitals. A request names a granted page and a length.
import { type Backend, type Device, DeviceError, type Instance, ServedRing } from "../../../../dom0/backends/index.ts";
import type { Task } from "../../../../guests/sdk/index.ts";
import type { GrantRef } from "../../../../shared/brand.ts";

export const SLOT_BYTES = 16; // request: id, grant, length; response: id, status; all u32

class Upper implements Instance {
  readonly announce = { "max-length": "4096" };
  readonly #device: Device;
  #ring: ServedRing | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  *connect(): Task {
    this.#ring = yield* ServedRing.open(this.#device, SLOT_BYTES, (slot) => this.#answer(slot));
  }

  *disconnect(): Task {
    if (this.#ring) yield* this.#ring.close();
  }

  *#answer(slot: DataView): Task {
    yield* []; // A task may wait here, for a host file say.
    const ref = slot.getUint32(4, true) as GrantRef;
    slot.setUint32(4, this.#capitals(ref, slot.getUint32(8, true)), true);
  }

  /** The status: 0, or 1 for a request that can't be. */
  #capitals(ref: GrantRef, length: number): number {
    if (length > 4096) return 1;
    try {
      const pages = this.#device.kernel.grants.mapPages(this.#device.domid, [ref], false);
      const text = pages.page(0).subarray(0, length);
      for (let i = 0; i < length; i++) if (text[i] >= 97 && text[i] <= 122) text[i] -= 32;
      pages.unmap();
      return 0;
    } catch {
      return 1; // No such grant, or one that is read-only.
    }
  }
}

export const upper: Backend = {
  kind: "vupper",
  *open(device) {
    yield* [];
    if (device.read("mode") !== "loud") throw new DeviceError("mode must be loud");
    return new Upper(device);
  },
};

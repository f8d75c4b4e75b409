// All devices of all backends: finds new ones by a watch on /local/domain/0/backend, tells each of its changes, and ends those
// of a domain that dies. Run as a thread of dom0 (kernel.ts); the toolstack adds a device by writing its nodes, then waits
// here for it to be ready, and takes it away here.

import { type Kernel, type Task, WaitQueue } from "../../guests/sdk/index.ts";
import { XenbusStateClosing, XenbusStateInitialising } from "../../shared/abi/io/xenbus.ts";
import type { DomId } from "../../shared/brand.ts";
import type { XsClient } from "../xenstored/index.ts";
import { type Backend, DeviceError } from "./backend.ts";
import { BackendDevice } from "./device.ts";

const FOLDER = "/local/domain/0/backend";
const S = 1e9;
/** How long a domain's end waits for requests that the host works on; then they end by themselves, their pages held. */
const DEATH_NS = 5 * S;
/** As libxl: a frontend has so long to let its device go. */
const DETACH_NS = 10 * S;
const READY_NS = 40 * S;

export class Backends {
  readonly #kernel: Kernel;
  readonly #xs: XsClient;
  readonly #backends = new Map<string, Backend>();
  readonly #devices = new Map<string, BackendDevice>();
  /** Woken when a device has ended and is forgotten. */
  readonly #gone = new WaitQueue();

  /** `xs` is this object's own: its watches are. */
  constructor(kernel: Kernel, xs: XsClient, backends: readonly Backend[]) {
    this.#kernel = kernel;
    this.#xs = xs;
    for (const backend of backends) this.#backends.set(backend.kind, backend);
  }

  /** The thread. */
  *run(): Task {
    for (const kind of this.#backends.keys()) this.#xs.watch(`${FOLDER}/${kind}`, "back");
    for (;;) {
      const event = yield* this.#xs.events.receive();
      if (event === undefined) return;
      if (event.token === "back") this.#look(event.path);
      else this.#devices.get(event.token)?.wake();
    }
  }

  /** A node in the backend folder has changed: a new device, or something about a known one. */
  #look(path: string): void {
    const [kind, domid, devid] = path.slice(FOLDER.length + 1).split("/");
    const backend = this.#backends.get(kind);
    if (devid === undefined && backend !== undefined) {
      // The watch itself, or a folder: whatever is in it may be older than the watch.
      for (const name of this.#xs.directory(path) ?? []) this.#look(`${path}/${name}`);
      return;
    }
    if (backend === undefined || !/^\d{1,5}$/.test(domid ?? "") || !/^\d{1,10}$/.test(devid ?? "")) return;
    if (backend.serves?.(Number(devid)) === false) return;
    const key = `${kind}/${domid}/${devid}`;
    const known = this.#devices.get(key);
    if (known !== undefined) known.wake();
    else if (this.#xs.read(`${FOLDER}/${key}/state`) === String(XenbusStateInitialising))
      this.#start(backend, key, Number(domid) as DomId, Number(devid));
  }

  #start(backend: Backend, key: string, domid: DomId, devid: number): void {
    const device = new BackendDevice(this.#kernel, this.#xs, backend, domid, devid, FOLDER);
    this.#devices.set(key, device);
    const watched = `${device.frontendPath}/state`;
    this.#xs.watch(watched, key);
    const forget = (function* (self: Backends): Task {
      yield* device.thread.join();
      self.#xs.unwatch(watched, key);
      self.#devices.delete(key);
      // Its nodes may have been written anew meanwhile.
      self.#look(`${FOLDER}/${key}/state`);
      self.#gone.wakeAll();
    })(this);
    this.#kernel.spawn(`end of ${device.thread.name}`, forget);
  }

  /** Waits until a device whose nodes were just written is there for its frontend. Throws DeviceError when it can't be. */
  *ready(kind: string, domid: DomId, devid: number): Task {
    const key = `${kind}/${domid}/${devid}`;
    // The watch's event may not have been taken yet; one of the same number that is about to end is waited for.
    this.#look(`${FOLDER}/${key}/state`);
    yield* this.#gone.until(() => this.#devices.get(key)?.ended !== true, READY_NS);
    const device = this.#devices.get(key);
    if (device === undefined) throw new DeviceError(`${key}: no backend serves it`);
    yield* device.changed.until(() => device.state !== XenbusStateInitialising || device.ended, READY_NS);
    if (device.failure !== undefined) throw new DeviceError(device.failure);
    if (device.state === XenbusStateInitialising) throw new DeviceError(`${key}: the backend does not answer`);
  }

  /** Takes a device away: its frontend is asked and, unless `force`, waited for. False when it doesn't let go. */
  *detach(kind: string, domid: DomId, devid: number, force: boolean): Task<boolean> {
    const device = this.#devices.get(`${kind}/${domid}/${devid}`);
    if (device === undefined) return true;
    device.write("online", "0");
    device.write("state", String(XenbusStateClosing));
    if (force) device.leave();
    else device.wake();
    return yield* this.#gone.until(() => this.#devices.get(device.key) !== device, DETACH_NS);
  }

  /** Ends all devices of a domain that is about to end, and waits for it as long as is sensible. */
  *closeDomain(domid: DomId): Task {
    const devices = [...this.#devices.values()].filter((device) => device.domid === domid);
    for (const device of devices) device.leave();
    yield* this.#gone.until(() => devices.every((device) => this.#devices.get(device.key) !== device), DEATH_NS);
  }

  get kinds(): readonly string[] {
    return [...this.#backends.keys()];
  }

  /** How many devices there are. */
  get count(): number {
    return this.#devices.size;
  }
}

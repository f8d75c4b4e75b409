// A disk of one guest as a backend instance: announces what is offered, reads what the frontend wrote, maps its ring and binds
// its event channel for a connection (public/io/blkif.h, "Backend Device Properties" and "Frontend XenBus Nodes").
// Not offered: barriers, large sectors, several queues.

import { type EventPort, GrantError, type GrantedPages, type Task, WaitQueue } from "../../../guests/sdk/index.ts";
import { VDISK_READONLY } from "../../../shared/abi/io/blkif.ts";
import { XenbusStateConnected } from "../../../shared/abi/io/xenbus.ts";
import type { GrantRef, Port } from "../../../shared/brand.ts";
import { type Device, DeviceError, type Instance, type Nodes } from "../backend.ts";
import { BlockConnection } from "./connection.ts";
import type { Disk } from "./disk.ts";
import { BlockLimits } from "./limits.ts";
import { SECTOR } from "./request.ts";

const PHYSICAL_SECTOR = 4096;
const MAX_U32 = 0xffffffff;

interface Connected {
  readonly connection: BlockConnection;
  readonly ring: GrantedPages;
  readonly port: EventPort;
}

export interface BlockOptions {
  readonly writable: boolean;
  readonly discard: boolean;
  /** Called when the disk has been closed. */
  closed(): void;
  /** Bytes that the disk has by now; undefined: no change can be seen. */
  sizeNow(): Task<number | undefined>;
}

const CONNECTED = String(XenbusStateConnected);

export class BlockInstance implements Instance {
  readonly #device: Device;
  readonly #disk: Disk;
  readonly #writable: boolean;
  readonly #discard: boolean;
  readonly #options: BlockOptions;
  readonly #disconnected = new WaitQueue();
  #sectors: number;
  #connected: Connected | undefined = undefined;

  constructor(device: Device, disk: Disk, options: BlockOptions) {
    this.#device = device;
    this.#disk = disk;
    this.#writable = options.writable;
    this.#discard = options.discard && options.writable;
    this.#options = options;
    this.#sectors = Math.floor(disk.sizeBytes / SECTOR);
  }

  get announce(): Nodes {
    return {
      "max-ring-page-order": String(BlockLimits.ringPageOrder),
      "feature-max-indirect-segments": String(BlockLimits.indirectSegments),
      "feature-flush-cache": "1",
      "feature-barrier": "0",
      "feature-persistent": "1",
      ...(this.#discard
        ? { "feature-discard": "1", "discard-granularity": "4096", "discard-alignment": "0", "discard-secure": "0" }
        : { "feature-discard": "0" }),
      ...this.#geometry,
    };
  }

  get #geometry(): Nodes {
    return {
      sectors: String(this.#sectors),
      info: String(this.#writable ? 0 : VDISK_READONLY),
      "sector-size": String(SECTOR),
      "physical-sector-size": String(PHYSICAL_SECTOR),
    };
  }

  *connect(): Task<Nodes> {
    const device = this.#device;
    yield* [];
    const protocol = device.front("protocol") ?? "x86_64-abi";
    if (protocol !== "x86_64-abi") throw new DeviceError(`the frontend's protocol "${protocol}" is not x86_64-abi`);
    const remotePort = device.frontNumber("event-channel", MAX_U32) as Port;
    const refs = this.#ringRefs();
    const ring = device.kernel.grants.mapPages(device.domid, refs, false);
    let port: EventPort | undefined;
    let connected: Connected;
    try {
      port = device.kernel.events.bindInterdomain(device.domid, remotePort);
      const connection = new BlockConnection({
        kernel: device.kernel,
        domid: device.domid,
        disk: this.#disk,
        sectors: this.#sectors,
        writable: this.#writable,
        discard: this.#discard,
        persistent: device.front("feature-persistent") === "1",
        ring,
        port,
        broken: (reason) => device.fail(reason),
      });
      connected = { connection, ring, port };
    } catch (error) {
      port?.close();
      ring.unmap();
      throw error;
    }
    this.#connected = connected;
    device.kernel.spawn(`size of a disk of domain ${device.domid}`, this.#followSize(connected));
    return this.#geometry;
  }

  /** Tells the frontend of another size as others' backends do: `sectors`, then the state Connected once more. */
  *#followSize(connected: Connected): Task {
    const device = this.#device;
    const over = (): boolean => this.#connected !== connected;
    while (!(yield* this.#disconnected.until(over, BlockLimits.sizeLookNs))) {
      const sizeBytes = yield* this.#options.sizeNow();
      if (sizeBytes === undefined) return;
      const sectors = Math.floor(sizeBytes / SECTOR);
      if (over() || sectors === this.#sectors || sectors === 0 || device.read("state") !== CONNECTED) continue;
      this.#sectors = sectors;
      connected.connection.resize(sectors);
      device.write("sectors", String(sectors));
      device.write("state", CONNECTED);
    }
  }

  #ringRefs(): GrantRef[] {
    const device = this.#device;
    if (device.front("ring-page-order") === undefined)
      return [
        device.frontNumber(device.front("ring-ref") === undefined ? "ring-ref0" : "ring-ref", MAX_U32),
      ] as GrantRef[];
    const order = device.frontNumber("ring-page-order", BlockLimits.ringPageOrder);
    // With one page some frontends write ring-ref, others ring-ref0.
    if (order === 0 && device.front("ring-ref") !== undefined)
      return [device.frontNumber("ring-ref", MAX_U32) as GrantRef];
    return Array.from({ length: 2 ** order }, (_, i) => device.frontNumber(`ring-ref${i}`, MAX_U32) as GrantRef);
  }

  *disconnect(): Task {
    const connected = this.#connected;
    if (connected === undefined) return;
    this.#connected = undefined;
    this.#disconnected.wakeAll();
    yield* connected.connection.stop();
    connected.port.close();
    try {
      connected.ring.unmap();
    } catch (error) {
      // Its domain is gone altogether, and its pages with it.
      if (!(error instanceof GrantError)) throw error;
    }
  }

  *close(): Task {
    try {
      yield* this.#disk.close();
    } finally {
      this.#options.closed();
    }
  }
}

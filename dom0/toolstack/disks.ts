// Disks of guests: found on the host before a domain exists, added when it is made or later, listed, taken away. Nodes are libxl's
// (devices.ts); the data is the backend's (dom0/backends/block/). Called by toolstack.ts and by xl block-*.

import type { Kernel, Task } from "../../guests/sdk/index.ts";
import { XenbusStateInitialising } from "../../shared/abi/io/xenbus.ts";
import type { DomId } from "../../shared/brand.ts";
import type { Backends } from "../backends/index.ts";
import type { XsClient } from "../xenstored/index.ts";
import type { DiskConfig } from "./config/disk.ts";
import { addDevice, backendPath, deviceIds, frontNumber, hasDevice, removeDevice, startDevice } from "./devices.ts";
import { ToolstackError } from "./errors.ts";
import { findFile } from "./files.ts";

const KIND = "vbd";
const INITIALISING = String(XenbusStateInitialising);

/** A disk as xl block-list shows it; -1 where there is no such thing yet. */
export interface DiskRow {
  readonly devid: number;
  readonly state: number;
  readonly eventChannel: number;
  readonly ringRef: number;
  readonly backend: string;
}

export class Disks {
  readonly #kernel: Kernel;
  readonly #xs: XsClient;
  readonly #backends: Backends;

  constructor(kernel: Kernel, xs: XsClient, backends: Backends) {
    this.#kernel = kernel;
    this.#xs = xs;
    this.#backends = backends;
  }

  /** The disks with targets that can be opened as they are: a relative path is looked for as kernels are. */
  *find(disks: readonly DiskConfig[], from: string): Task<DiskConfig[]> {
    const found: DiskConfig[] = [];
    for (const disk of disks) {
      if (disks.some((other) => other !== disk && other.devid === disk.devid))
        throw new ToolstackError(`two disks are ${disk.vdev}`);
      const target = /^(ram|nbd|nbd\+unix):/.test(disk.target)
        ? disk.target
        : yield* findFile(this.#kernel.host, `disk ${disk.vdev}:`, disk.target, from);
      found.push({ ...disk, target });
    }
    return found;
  }

  /** Throws ToolstackError, nothing left of it, when the disk can't be. */
  *attach(domid: DomId, disk: DiskConfig): Task {
    const { devid } = disk;
    if (hasDevice(this.#xs, domid, KIND, devid))
      throw new ToolstackError(`disk ${disk.vdev}: domain ${domid} has one of that name`);
    const flag = (value: boolean): string => (value ? "1" : "0");
    const type = disk.cdrom ? "cdrom" : "disk";
    this.#xs.transaction((view) =>
      addDevice(view, {
        domid,
        kind: KIND,
        devid,
        back: [
          ["params", disk.target],
          ["frontend-id", String(domid)],
          ["online", "1"],
          ["removable", flag(disk.removable)],
          ["bootable", "1"],
          ["state", INITIALISING],
          ["dev", disk.vdev],
          ["type", "phy"],
          ["mode", disk.writable ? "w" : "r"],
          ["device-type", type],
          ["discard-enable", flag(disk.discard)],
          ["specification", "xen"],
        ],
        front: [
          ["backend-id", "0"],
          ["state", INITIALISING],
          ["virtual-device", String(devid)],
          ["device-type", type],
          ["trusted", "1"],
          ["protocol", "x86_64-abi"],
        ],
      }),
    );
    yield* startDevice(this.#xs, this.#backends, { domid, kind: KIND, devid }, `disk ${disk.vdev}`);
  }

  /** False when the guest doesn't let go of it; with `force` it isn't asked. */
  *detach(domid: DomId, devid: number, force: boolean): Task<boolean> {
    if (!(yield* this.#backends.detach(KIND, domid, devid, force))) return false;
    this.#xs.transaction((view) => removeDevice(view, domid, KIND, devid));
    return true;
  }

  has(domid: DomId, devid: number): boolean {
    return hasDevice(this.#xs, domid, KIND, devid);
  }

  list(domid: DomId): DiskRow[] {
    return deviceIds(this.#xs, domid, KIND).map((devid) => {
      const front = (name: string): number => frontNumber(this.#xs, domid, KIND, devid, name);
      return {
        devid,
        state: front("state"),
        eventChannel: front("event-channel"),
        ringRef: front("ring-ref"),
        backend: backendPath(domid, KIND, devid),
      };
    });
  }
}

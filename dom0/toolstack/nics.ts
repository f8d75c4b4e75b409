// Network interfaces of guests: added when a domain is made or later, listed, taken away. Nodes as libxl writes them.
// Called by toolstack.ts and by xl network-*.

import type { Kernel, Task } from "../../guests/sdk/index.ts";
import { XenbusStateInitialising } from "../../shared/abi/io/xenbus.ts";
import type { DomId } from "../../shared/brand.ts";
import type { Backends } from "../backends/index.ts";
import type { XsClient } from "../xenstored/index.ts";
import type { VifConfig } from "./config/vif.ts";
import {
  addDevice,
  backendPath,
  deviceIds,
  frontendPath,
  frontNumber,
  hasDevice,
  removeDevice,
  startDevice,
} from "./devices.ts";
import { ToolstackError } from "./errors.ts";
import { makeUuid, parseUuid } from "./uuid.ts";

const KIND = "vif";
const INITIALISING = String(XenbusStateInitialising);
const SCRIPT = "/etc/xen/scripts/vif-bridge";
const DEFAULT_MTU = 1500;

/** An interface as xl network-list shows it; -1 where there is no such thing yet. */
export interface NicRow {
  readonly devid: number;
  readonly mac: string;
  readonly state: number;
  readonly eventChannel: number;
  readonly txRef: number;
  readonly rxRef: number;
  readonly backend: string;
}

export class Nics {
  readonly #kernel: Kernel;
  readonly #xs: XsClient;
  readonly #backends: Backends;
  #made = 0;

  constructor(kernel: Kernel, xs: XsClient, backends: Backends) {
    this.#kernel = kernel;
    this.#xs = xs;
    this.#backends = backends;
  }

  /** Throws ToolstackError, nothing left of it, when the interface can't be. */
  *attach(domid: DomId, vif: VifConfig): Task {
    const devid = vif.devid ?? this.#freeId(domid);
    if (hasDevice(this.#xs, domid, KIND, devid))
      throw new ToolstackError(`vif ${devid}: domain ${domid} has one of that number`);
    const mac = vif.mac ?? this.#randomMac(domid, devid);
    const back: [string, string][] = [
      ["frontend-id", String(domid)],
      ["online", "1"],
      ["state", INITIALISING],
      ["script", SCRIPT],
    ];
    if (vif.vifname !== undefined) back.push(["vifname", vif.vifname]);
    back.push(["mac", mac]);
    if (vif.ip !== undefined) back.push(["ip", vif.ip]);
    if (vif.rate !== undefined) back.push(["rate", `${vif.rate.bytesPerInterval},${vif.rate.intervalUs}`]);
    if (vif.mtu !== DEFAULT_MTU) back.push(["mtu", String(vif.mtu)]);
    if (vif.pcap !== undefined) back.push(["pcap", vif.pcap]);
    back.push(["bridge", vif.bridge], ["handle", String(devid)], ["type", "vif"], ["hotplug-status", ""]);
    this.#xs.transaction((view) => {
      addDevice(view, {
        domid,
        kind: KIND,
        devid,
        back,
        front: [
          ["backend-id", "0"],
          ["state", INITIALISING],
          ["handle", String(devid)],
          ["mac", mac],
          ["trusted", vif.trusted ? "1" : "0"],
        ],
      });
      view.write(`${frontendPath(domid, KIND, devid)}/mtu`, String(vif.mtu), ["n0", `r${domid}`]);
    });
    yield* startDevice(this.#xs, this.#backends, { domid, kind: KIND, devid }, `vif ${devid}`);
  }

  /** False when the guest doesn't let go of it; with `force` it isn't asked. */
  *detach(domid: DomId, devid: number, force: boolean): Task<boolean> {
    if (!(yield* this.#backends.detach(KIND, domid, devid, force))) return false;
    this.#xs.transaction((view) => removeDevice(view, domid, KIND, devid));
    return true;
  }

  /** The interface of that number or, with colons in it, address; undefined when there is none. */
  find(domid: DomId, name: string): number | undefined {
    const wanted = name.toLowerCase();
    return this.list(domid).find(({ devid, mac }) => (name.includes(":") ? mac === wanted : String(devid) === name))
      ?.devid;
  }

  list(domid: DomId): NicRow[] {
    return deviceIds(this.#xs, domid, KIND).map((devid) => {
      const front = (name: string): number => frontNumber(this.#xs, domid, KIND, devid, name);
      return {
        devid,
        mac: this.#xs.read(`/libxl/${domid}/device/${KIND}/${devid}/mac`) ?? "",
        state: front("state"),
        eventChannel: front("event-channel"),
        txRef: front("tx-ring-ref"),
        rxRef: front("rx-ring-ref"),
        backend: backendPath(domid, KIND, devid),
      };
    });
  }

  #freeId(domid: DomId): number {
    const taken = new Set(deviceIds(this.#xs, domid, KIND));
    let devid = 0;
    while (taken.has(devid)) devid++;
    return devid;
  }

  /** In Xen's range 00:16:3e, its first own bit 0. On the virtual clock the same run chooses the same. */
  #randomMac(domid: DomId, devid: number): string {
    const seed = `vif ${domid} ${devid} ${this.#kernel.clock.wallclockMs()} ${this.#made++}`;
    const [a, b, c] = parseUuid(makeUuid(seed));
    return ["00", "16", "3e", ...[a & 0x7f, b, c].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
  }
}

// Channels of guests: PV consoles beyond the first, added when a domain is made. Nodes as libxl writes them, who takes QEMU for
// their backend. Called by toolstack.ts and by xl channel-list.

import type { Task } from "../../guests/sdk/index.ts";
import { XenbusStateInitialising } from "../../shared/abi/io/xenbus.ts";
import type { DomId } from "../../shared/brand.ts";
import type { Backends } from "../backends/index.ts";
import type { XsClient } from "../xenstored/index.ts";
import type { ChannelConfig } from "./config/channel.ts";
import { addDevice, deviceIds, frontendPath, frontNumber, startDevice } from "./devices.ts";

const KIND = "console";
const INITIALISING = String(XenbusStateInitialising);
const LIMIT_BYTES = "1048576";

/** A channel as xl channel-list shows it; -1 where there is no such thing yet. */
export interface ChannelRow {
  readonly devid: number;
  readonly state: number;
  readonly eventChannel: number;
  readonly ringRef: number;
  readonly connection: string;
}

export class Channels {
  readonly #xs: XsClient;
  readonly #backends: Backends;

  constructor(xs: XsClient, backends: Backends) {
    this.#xs = xs;
    this.#backends = backends;
  }

  /** `devid` from 1. Throws ToolstackError, nothing left of it, when the channel can't be. */
  *attach(domid: DomId, devid: number, channel: ChannelConfig): Task {
    const { name, path } = channel;
    this.#xs.transaction((view) => {
      addDevice(view, {
        domid,
        kind: KIND,
        devid,
        back: [
          ["frontend-id", String(domid)],
          ["online", "1"],
          ["state", INITIALISING],
          ["protocol", "vt100"],
          ["name", name],
          ["connection", "socket"],
          ["path", path],
        ],
        front: [
          ["backend-id", "0"],
          ["state", INITIALISING],
          ["protocol", "vt100"],
        ],
      });
      for (const [node, value] of [
        ["name", name],
        ["limit", LIMIT_BYTES],
        ["type", "ioemu"],
        ["output", `chardev:libxl-channel${devid}`],
        ["tty", ""],
      ])
        view.write(`${frontendPath(domid, KIND, devid)}/${node}`, value, ["n0", `r${domid}`]);
    });
    yield* startDevice(this.#xs, this.#backends, { domid, kind: KIND, devid }, `channel ${name}`);
  }

  list(domid: DomId): ChannelRow[] {
    const record = (devid: number, name: string): string | undefined =>
      this.#xs.read(`/libxl/${domid}/device/${KIND}/${devid}/${name}`);
    // A channel is a console with a name.
    const ids = deviceIds(this.#xs, domid, KIND).filter((devid) => record(devid, "name") !== undefined);
    return ids.map((devid) => {
      const front = (name: string): number => frontNumber(this.#xs, domid, KIND, devid, name);
      return {
        devid,
        state: front("state"),
        eventChannel: front("port"),
        ringRef: front("ring-ref"),
        connection: record(devid, "connection") ?? "",
      };
    });
  }
}

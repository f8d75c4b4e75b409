// Networks of dom0: bridges by name, made when first used, the pool of frames that they share, captures and uplinks. A
// bridge without an uplink joins the guests on it, and nothing else. Used by backends/net/ and kernel.ts.

import type { Kernel, Task } from "../../guests/sdk/index.ts";
import { Bridge } from "./bridge.ts";
import { FramePool } from "./frame.ts";
import { Capture } from "./pcap.ts";
import { PORT_BYTES } from "./queue.ts";
import { Uplink } from "./uplink.ts";

export { Bridge } from "./bridge.ts";
export { Capture } from "./pcap.ts";

/** Frames under way between ports, besides what ports keep. */
const POOL_BYTES = 2 * PORT_BYTES;

/** Why there is no uplink: a line. */
export class UplinkError extends Error {
  override readonly name = "UplinkError";
}

export class Networks {
  readonly kernel: Kernel;
  readonly pool: FramePool;
  readonly #bridges = new Map<string, Bridge>();

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.pool = new FramePool((count) => kernel.allocPages(count), POOL_BYTES);
  }

  /** The bridge of that name. */
  bridge(name: string): Bridge {
    let bridge = this.#bridges.get(name);
    if (bridge === undefined) {
      bridge = new Bridge(name, () => this.kernel.systemTimeNs());
      this.#bridges.set(name, bridge);
    }
    return bridge;
  }

  /** Joins the bridge to a neighbour outside of the machine, for ever. Throws HostError, or UplinkError with the reason. */
  *uplink(bridge: string, spec: string): Task {
    const net = yield* this.kernel.host.openNet(spec);
    if ("error" in net) throw new UplinkError(net.error);
    this.pool.limit += PORT_BYTES;
    new Uplink(this.kernel, `${bridge} ${spec}`, net, this.bridge(bridge), this.pool);
  }

  /** Captures all that a bridge forwards, for ever. Throws HostError. */
  *captureBridge(bridge: string, path: string): Task {
    const capture = yield* this.capture(path);
    this.bridge(bridge).tap = (frame) => capture.add(frame);
  }

  /** Begins a capture into a file of the host. Throws HostError. */
  *capture(path: string): Task<Capture> {
    return yield* Capture.open(this.kernel, path);
  }
}

/** "00:16:3e:01:02:03" as a number; undefined when it is no address of one station. */
export function parseMac(text: string): number | undefined {
  if (!/^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(text)) return undefined;
  const bytes = text.split(":").map((part) => Number.parseInt(part, 16));
  const mac = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  return mac === 0 || bytes[0] & 1 ? undefined : mac;
}

/** The usual form of an address. */
export function formatMac(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replaceAll(/..(?=.)/g, "$&:");
}

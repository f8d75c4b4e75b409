// The network backend, "vif": public/io/netif.h with both rings, scatter-gather, checksums left blank, data copied by grant
// copy (feature-rx-copy; never flipped). Each device is a port of a bridge; a frame that bears another source address than
// the device's own is dropped, so that no guest can take a neighbour's traffic. TCP segmentation is passed
// on to frontends that take it, and carried out for others. Left out: several queues, multicast control, hash control. Registered in dom0/kernel.ts.

import { HostError, type Task } from "../../../guests/sdk/index.ts";
import { type Attached, macNumber, type PortOwner } from "../../net/bridge.ts";
import { ETH_HEADER, type Frame } from "../../net/frame.ts";
import { type Capture, type Networks, parseMac } from "../../net/index.ts";
import { FrameQueue, PORT_BYTES } from "../../net/queue.ts";
import { Credit, type Rate } from "../../net/rate.ts";
import { canSegment, segment } from "../../net/segment.ts";
import { hostErrorText } from "../../toolstack/errors.ts";
import { type Backend, type Device, DeviceError, type Instance, type Nodes } from "../backend.ts";
import { Connection } from "./connection.ts";
import { mustCut, type RxFeatures } from "./rx.ts";

const MAX_REF = 0xffffffff;
const MAX_PORT = 4095;

export class NetBackend implements Backend {
  readonly kind = "vif";
  readonly #networks: Networks;

  constructor(networks: Networks) {
    this.#networks = networks;
  }

  *open(device: Device): Task<Instance> {
    const path = device.read("pcap");
    const capture = path === undefined ? undefined : yield* this.#capture(path);
    return new NetInstance(device, this.#networks, capture);
  }

  *#capture(path: string): Task<Capture> {
    try {
      return yield* this.#networks.capture(path);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      throw new DeviceError(`capture ${path}: ${hostErrorText(error)}`);
    }
  }
}

class NetInstance implements Instance, PortOwner {
  readonly name: string;
  readonly announce: Nodes = {
    "feature-sg": "1",
    "feature-gso-tcpv4": "1",
    "feature-gso-tcpv6": "1",
    "feature-ipv6-csum-offload": "1",
    "feature-rx-copy": "1",
    "feature-rx-flip": "0",
    "feature-multicast-control": "0",
    "feature-split-event-channels": "0",
    "multi-queue-max-queues": "1",
  };
  readonly #device: Device;
  readonly #networks: Networks;
  readonly #capture: Capture | undefined;
  readonly #mac: number;
  readonly #queue = new FrameQueue();
  readonly #credit: Credit;
  readonly #attached: Attached;
  #connection: Connection | undefined = undefined;
  #takes: RxFeatures = { sg: false, csum4: false, csum6: false, gso4: false, gso6: false };
  /** Frames with a source address that is not the device's. */
  foreign = 0;

  constructor(device: Device, networks: Networks, capture: Capture | undefined) {
    this.#device = device;
    this.#networks = networks;
    this.#capture = capture;
    this.name = device.read("vifname") ?? `vif${device.domid}.${device.devid}`;
    const mac = parseMac(device.read("mac") ?? "");
    if (mac === undefined) throw new DeviceError(`${this.name}: the address ${device.read("mac")} is none`);
    this.#mac = mac;
    this.#credit = new Credit(rateOf(device.read("rate")));
    this.#attached = networks.bridge(device.read("bridge") ?? "xenbr0").attach(this);
    networks.pool.limit += PORT_BYTES;
  }

  *connect(): Task<Nodes> {
    yield* [];
    const device = this.#device;
    if (device.front("request-rx-copy") !== "1") throw new DeviceError("the frontend does not ask for rx-copy");
    const features = this.#features();
    const connection = new Connection(
      {
        kernel: device.kernel,
        domid: device.domid,
        pool: this.#networks.pool,
        queue: this.#queue,
        credit: this.#credit,
        receive: (frame) => this.#receive(frame),
        fail: (reason) => device.fail(reason),
      },
      this.name,
      {
        txRef: device.frontNumber("tx-ring-ref", MAX_REF),
        rxRef: device.frontNumber("rx-ring-ref", MAX_REF),
        port: device.frontNumber("event-channel", MAX_PORT),
        features,
      },
    );
    this.#connection = connection;
    this.#takes = features;
    return {};
  }

  #features(): RxFeatures {
    const has = (name: string): boolean => this.#device.front(name) === "1";
    const csum4 = !has("feature-no-csum-offload");
    const csum6 = has("feature-ipv6-csum-offload");
    return {
      sg: has("feature-sg"),
      csum4,
      csum6,
      gso4: csum4 && has("feature-gso-tcpv4"),
      gso6: csum6 && has("feature-gso-tcpv6"),
    };
  }

  *disconnect(): Task {
    yield* [];
    this.#connection?.close();
    this.#connection = undefined;
    this.#queue.clear();
  }

  *close(): Task {
    yield* [];
    this.#attached.detach();
    this.#queue.close();
    this.#capture?.close();
    this.#networks.pool.limit -= PORT_BYTES;
  }

  /** From the bridge. Before the guest is there nothing is kept. */
  deliver(frame: Frame): void {
    if (this.#connection === undefined) return;
    this.#capture?.add(frame);
    if (mustCut(frame, this.#takes)) segment(frame, this.#networks.pool, (piece) => this.#queue.push(piece));
    else this.#queue.push(frame);
    this.#connection.wake();
  }

  #receive(frame: Frame): void {
    this.#capture?.add(frame);
    if (frame.size < ETH_HEADER || macNumber(frame.view, 6) !== this.#mac) {
      this.foreign++;
      return;
    }
    if (frame.gsoSize > 0 && !canSegment(frame)) return;
    this.#attached.receive(frame);
  }
}

/** libxl's "bytes,microseconds". */
function rateOf(text: string | undefined): Rate | undefined {
  const parts = /^(\d{1,15}),(\d{1,10})$/.exec(text ?? "");
  if (parts === null) return undefined;
  const rate = { bytesPerInterval: Number(parts[1]), intervalUs: Number(parts[2]) };
  return rate.bytesPerInterval > 0 && rate.intervalUs > 0 ? rate : undefined;
}

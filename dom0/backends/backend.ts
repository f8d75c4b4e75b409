// What a backend is: a module that serves one kind of device to guests, over what this file declares. docs/BACKEND.md shows one
// of 60 lines. The state machine of xenbus, watches, domains that die and errors are device.ts's business; rings, grants and
// events are the backend's, by the SDK and shared/request_ring.ts.
//
// 1. `open` for each new device: look at its nodes, get what it needs. What it returns is announced, and the state is InitWait.
// 2. `connect` when the frontend has written its nodes: map its rings, bind its event channel, begin to serve; Connected.
// 3. `disconnect` when the frontend closes, restarts or dies: stop, wait for what is under way, unmap everything.
// 4. Again from 2, or `close`: the device is gone.

import type { Kernel, Task } from "../../guests/sdk/index.ts";
import type { DomId } from "../../shared/brand.ts";

/** One kind of device. */
export interface Backend {
  /** Its folder below /local/domain/0/backend: "vbd". */
  readonly kind: string;
  /** False for a device in that folder that somebody else serves; without it all are its own. */
  serves?(devid: number): boolean;
  /** Throws DeviceError, or what describeError knows, for a device that can't be. */
  open(device: Device): Task<Instance>;
}

/** Nodes of xenstore: names to values. */
export type Nodes = Readonly<Record<string, string>>;

/** A device that is served. The calls come one at a time, except that `close` may follow a failure of any. */
export interface Instance {
  /** What the frontend is to know before it connects. */
  readonly announce: Nodes;
  /** What it throws closes the device with an error. Nodes that are returned are written before the state is Connected. */
  connect(): Task<Nodes> | Task;
  /** Returns when nothing of the frontend's is in use. Also called without a connection, and again; throws nothing. */
  disconnect(): Task;
  /** Gives back what `open` took, if anything. */
  close?(): Task;
}

/** A device as its backend sees it. */
export interface Device {
  readonly kernel: Kernel;
  /** The guest. */
  readonly domid: DomId;
  readonly devid: number;
  /** A node of the backend's own folder, written by the toolstack. */
  read(name: string): string | undefined;
  /** Changes a node of the backend's folder. */
  write(name: string, value: string): void;
  /** A node of the frontend's folder: whatever the guest wrote. */
  front(name: string): string | undefined;
  /** The same as a whole number from 0 to `max`. Throws DeviceError. */
  frontNumber(name: string, max: number): number;
  /** For a frontend that breaks the protocol: the reason is noted, and the device is closed. */
  fail(reason: string): void;
}

/** Why a device can't be, or can't go on: one line. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

// One device of one guest, the back's half of the xenbus handshake (public/io/xenbus.h, blkif.h): a thread that follows the
// frontend's state and calls its backend (backend.ts has the order). Made by backends.ts, which tells it of changes.
//
//   own state      frontend's state      what is done
//   InitWait       Initialised, Connected   connect; Connected
//   any            Closing                  Closing
//   any            Closed, none             disconnect; Closed; the end if the device is to go (online = 0)
//   Closed, ...    Initialising             disconnect; InitWait: the frontend begins anew
// A device that is to go and whose frontend never connected ends at once.

import { type Kernel, type Task, type Thread, WaitQueue } from "../../guests/sdk/index.ts";
import {
  XenbusStateClosed,
  XenbusStateClosing,
  XenbusStateConnected,
  XenbusStateInitialised,
  XenbusStateInitialising,
  XenbusStateInitWait,
  XenbusStateUnknown,
} from "../../shared/abi/io/xenbus.ts";
import type { DomId } from "../../shared/brand.ts";
import { clipped, printable } from "../printable.ts";
import { describeError } from "../toolstack/errors.ts";
import type { XsClient } from "../xenstored/index.ts";
import { type Backend, type Device, DeviceError, type Instance, type Nodes } from "./backend.ts";

/** Failures of one device that are logged: a frontend can fail as often as it likes. */
const MAX_NOTED = 20;

export class BackendDevice implements Device {
  readonly kernel: Kernel;
  readonly domid: DomId;
  readonly devid: number;
  /** "vbd/1/51712", below the backend folder. */
  readonly key: string;
  readonly backendPath: string;
  readonly frontendPath: string;
  /** Woken when the state changes and at the end. */
  readonly changed = new WaitQueue();
  /** Why it was closed. */
  failure: string | undefined = undefined;
  state: number = XenbusStateInitialising;
  ended = false;
  readonly #backend: Backend;
  readonly #xs: XsClient;
  readonly #work = new WaitQueue();
  #dirty = true;
  #leave = false;
  #noted = 0;
  #instance: Instance | undefined = undefined;
  /** Its thread. */
  readonly thread: Thread;

  constructor(kernel: Kernel, xs: XsClient, backend: Backend, domid: DomId, devid: number, folder: string) {
    this.kernel = kernel;
    this.#xs = xs;
    this.#backend = backend;
    this.domid = domid;
    this.devid = devid;
    this.key = `${backend.kind}/${domid}/${devid}`;
    this.backendPath = `${folder}/${this.key}`;
    this.frontendPath = xs.read(`${this.backendPath}/frontend`) ?? "";
    this.thread = kernel.spawn(`backend ${this.key}`, this.#run());
  }

  read(name: string): string | undefined {
    return this.#xs.read(`${this.backendPath}/${name}`);
  }

  /** Nothing when the toolstack has removed the device already. */
  write(name: string, value: string): void {
    if (this.#xs.read(this.backendPath) !== undefined) this.#xs.write(`${this.backendPath}/${name}`, value);
  }

  front(name: string): string | undefined {
    return this.#xs.read(`${this.frontendPath}/${name}`);
  }

  frontNumber(name: string, max: number): number {
    const text = this.front(name);
    if (text === undefined) throw new DeviceError(`the frontend has no ${name}`);
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value <= max)) throw new DeviceError(`the frontend's ${name} is no number up to ${max}`);
    return value;
  }

  fail(reason: string): void {
    this.#note(reason);
    this.#setState(XenbusStateClosing);
  }

  /** Something about it has changed in the store. */
  wake(): void {
    this.#dirty = true;
    this.#work.wakeAll();
  }

  /** It has to go, whatever the frontend does. */
  leave(): void {
    this.#leave = true;
    this.wake();
  }

  *#run(): Task {
    try {
      this.#instance = yield* this.#backend.open(this);
      this.#offer(this.#instance.announce);
      while (!this.#leave) {
        yield* this.#work.until(() => this.#dirty);
        this.#dirty = false;
        if (yield* this.#follow(this.#instance)) break;
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const why = describeError(error) ?? error.message;
      this.#note(why);
      this.write("hotplug-error", why);
      this.write("hotplug-status", "error");
    } finally {
      yield* this.#end();
    }
  }

  #offer(nodes: Nodes): void {
    for (const [name, value] of Object.entries(nodes)) this.write(name, value);
    this.write("hotplug-status", "connected");
    this.#setState(XenbusStateInitWait);
  }

  /** Acts on the frontend's state; true at the end. */
  *#follow(instance: Instance): Task<boolean> {
    if (this.#leave || this.#xs.read(this.backendPath) === undefined) return true;
    const going = this.read("online") !== "1";
    const front = Number(this.front("state") ?? XenbusStateUnknown);
    switch (front) {
      case XenbusStateInitialising:
        if (this.state === XenbusStateInitWait) return going;
        yield* instance.disconnect();
        if (going) return true;
        this.failure = undefined;
        this.#offer(instance.announce);
        return false;
      case XenbusStateInitialised:
      case XenbusStateConnected:
        if (this.state === XenbusStateInitWait && !going) yield* this.#connect(instance);
        return going && this.state === XenbusStateInitWait;
      case XenbusStateClosing:
        if (this.state !== XenbusStateClosed) this.#setState(XenbusStateClosing);
        return false;
      case XenbusStateClosed:
      case XenbusStateUnknown:
        yield* instance.disconnect();
        if (!going) this.#setState(XenbusStateClosed);
        return going;
      default:
        return going && this.state === XenbusStateInitWait;
    }
  }

  *#connect(instance: Instance): Task {
    try {
      const nodes = yield* instance.connect();
      if (this.failure !== undefined) return;
      for (const [name, value] of Object.entries(nodes ?? {})) this.write(name, value);
      this.#setState(XenbusStateConnected);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      yield* instance.disconnect();
      this.fail(error.message);
    }
  }

  *#end(): Task {
    try {
      if (this.#instance) {
        yield* this.#instance.disconnect();
        yield* this.#instance.close?.() ?? [];
      }
    } finally {
      this.ended = true;
      this.#setState(XenbusStateClosed);
    }
  }

  /** Where Linux's backends put their errors. */
  #note(why: string): void {
    const reason = clipped(printable(why), 1000); // Parts of it may be the guest's.
    this.failure ??= reason;
    if (++this.#noted <= MAX_NOTED) this.kernel.log(`backend ${this.key}: ${reason}`);
    if (this.#noted === MAX_NOTED) this.kernel.log(`backend ${this.key}: its further failures are not told here`);
    this.#xs.write(`/local/domain/0/error/backend/${this.key}/error`, reason);
  }

  /** Writes only what changes: each write is told to this device's own watch too. */
  #setState(state: number): void {
    this.state = state;
    if (this.read("state") !== String(state)) this.write("state", String(state));
    this.changed.wakeAll();
  }
}

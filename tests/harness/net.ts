// Interfaces and their frontends in one kernel: dom0 runs xenstored, the network backend, and threads that are frontends, which
// grant their pages to their own domain. So that packets good and bad reach the backend through real grants, events and
// xenstore nodes.

import { Backends } from "../../dom0/backends/index.ts";
import { NetBackend } from "../../dom0/backends/net/index.ts";
import { Networks } from "../../dom0/net/index.ts";
import { parseVif } from "../../dom0/toolstack/config/vif.ts";
import { frontendPath } from "../../dom0/toolstack/devices.ts";
import { Nics } from "../../dom0/toolstack/nics.ts";
import { XenStoreDaemon, XsClient } from "../../dom0/xenstored/index.ts";
import { type FrontStore, type Kernel, kernelMain, sleep, type Task } from "../../guests/sdk/index.ts";
import { NetStack, parseIp } from "../../guests/sdk/net/index.ts";
import type { DomId } from "../../shared/brand.ts";
import type { KernelMain } from "../../shared/kernel.ts";
import { Dom0Machine } from "./dom0.ts";

export const SELF = 0 as DomId;
export const MASK = 0xffffff00;

export class NetRig {
  readonly kernel: Kernel;
  readonly xs: XsClient;
  readonly backends: Backends;
  readonly networks: Networks;
  readonly nics: Nics;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    const store = new XenStoreDaemon(kernel);
    this.xs = new XsClient(store.server);
    this.networks = new Networks(kernel);
    this.backends = new Backends(kernel, new XsClient(store.server), [new NetBackend(this.networks)]);
    this.nics = new Nics(kernel, this.xs, this.backends);
    kernel.spawn("backends", this.backends.run());
  }

  readonly store: FrontStore = {
    read: (path) => soon(() => this.xs.read(path)),
    write: (path, value) => soon(() => this.xs.write(path, value)),
    waitFor: (path, values) => this.#waitFor(path, values),
  };

  *#waitFor(path: string, values: readonly string[]): Task<string> {
    for (;;) {
      const value = this.xs.read(path);
      if (value !== undefined && values.includes(value)) return value;
      yield* sleep(1e5);
    }
  }

  /** Attaches interface `devid`, as vif= would say it, to this same domain. */
  *attach(devid: number, text = ""): Task {
    yield* this.nics.attach(
      SELF,
      parseVif(`devid=${devid},mac=${macOf(devid)},${text}`, () => {}),
    );
  }

  path(devid: number): string {
    return frontendPath(SELF, "vif", devid);
  }

  /** A stack on interface `devid`, which is attached first; its address is 10.0.0.(devid + 1). */
  *station(devid: number, text = ""): Task<NetStack> {
    yield* this.attach(devid, text);
    const stack = yield* this.connect(devid);
    stack.configure(parseIp(`10.0.0.${devid + 1}`), MASK);
    return stack;
  }

  *connect(devid: number): Task<NetStack> {
    return yield* NetStack.connect({
      kernel: this.kernel,
      store: this.store,
      path: this.path(devid),
      backendDomid: SELF,
      slots: 64,
    });
  }

  /** A node of the interface's backend folder. */
  back(name: string, devid = 0): string | undefined {
    return this.xs.read(`/local/domain/0/backend/vif/0/${devid}/${name}`);
  }
}

/** 00:16:3e:00:00:01 for interface 0. */
export function macOf(devid: number): string {
  return `00:16:3e:00:00:${(devid + 1).toString(16).padStart(2, "0")}`;
}

function* soon<T>(body: () => T): Task<T> {
  yield* [];
  return body();
}

/** Dom0's kernel for `body`; what it throws is given to `failed`. */
export function netKernel(body: (rig: NetRig) => Task, failed: (error: unknown) => void): KernelMain {
  return kernelMain(function* (kernel): Task {
    try {
      yield* body(new NetRig(kernel));
    } catch (error) {
      failed(error);
    }
    yield* kernel.host.exit(7);
  });
}

/** Runs `body` in dom0; what it throws is thrown here. The machine's invariants are checked at the end. */
export function withNet(body: (rig: NetRig) => Task, prepare?: (machine: Dom0Machine) => void): Dom0Machine {
  let failed: { error: unknown } | undefined;
  const main = netKernel(body, (error) => {
    failed = { error };
  });
  const machine = new Dom0Machine({ dom0MemoryMiB: 32, memoryMiB: 64, main });
  prepare?.(machine);
  const status = machine.runToExit(20_000_000);
  if (failed) throw failed.error;
  if (status !== 7) throw new Error(`dom0 ended with ${status}:\n${machine.log}`);
  const problems = machine.machine.checker();
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return machine;
}

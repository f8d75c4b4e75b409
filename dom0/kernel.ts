// Dom0's kernel: the first domain of every machine, a TypeScript kernel on guests/sdk/. This file starts its services as
// threads (xenstored, consoled, the toolstack), runs the console, and ends the machine when the console is done. Made
// by whoever makes the machine: the worker of `npm start`, tests.

import { HostError, type Kernel, kernelMain, type Task } from "../guests/sdk/index.ts";
import type { DomId } from "../shared/brand.ts";
import type { KernelMain } from "../shared/kernel.ts";
import { ConsoleBackend } from "./backends/console/index.ts";
import { Backends, BlockBackend } from "./backends/index.ts";
import { NetBackend } from "./backends/net/index.ts";
import { ConsoleDaemon } from "./consoled/index.ts";
import { Networks, UplinkError } from "./net/index.ts";
import { Shell } from "./shell/index.ts";
import { hostErrorText } from "./toolstack/errors.ts";
import { FORGETFUL, type ImageStore } from "./toolstack/image/index.ts";
import { Toolstack } from "./toolstack/toolstack.ts";
import { getBvt, setBvt } from "./toolstack/xc_bvt.ts";
import { XenStoreDaemon, XsClient } from "./xenstored/index.ts";

/** Real time by which dom0 may run ahead of its share: many short answers, but no long ones. */
const WARP_MS = 20;
const MCU_PER_MS = 10; // BVT's minimum charging unit is 100 us.

function* main(kernel: Kernel, images: ImageStore): Task {
  warpDom0(kernel);
  const store = new XenStoreDaemon(kernel);
  const xs = new XsClient(store.server);
  const consoles = new ConsoleDaemon(kernel, xs);
  const networks = new Networks(kernel);
  const kinds = [new BlockBackend(), new NetBackend(networks), new ConsoleBackend()];
  const backends = new Backends(kernel, new XsClient(store.server), kinds);
  const toolstack = new Toolstack(kernel, xs, consoles, backends, images);
  service(
    kernel,
    "xenstored",
    store.run((domid) => toolstack.xc.domainInfo(domid)),
  );
  service(kernel, "consoled", consoles.run());
  service(kernel, "backends", backends.run());
  service(kernel, "toolstack", toolstack.watchDeaths(new XsClient(store.server)));
  kernel.spawn("uplinks", startUplinks(kernel, networks));
  const status = yield* new Shell({ kernel, toolstack, consoles, xs }).run();
  yield* kernel.host.exit(status);
}

/** Captures, and joins bridges to, what the machine's command line names. One that can't be is told, and the rest goes on. */
function* startUplinks(kernel: Kernel, networks: Networks): Task {
  const { uplinks = [], captures = [] } = yield* kernel.host.config();
  const attempt = function* (what: string, task: Task): Task {
    try {
      yield* task;
    } catch (error) {
      if (!(error instanceof HostError || error instanceof UplinkError)) throw error;
      const why = error instanceof HostError ? hostErrorText(error) : error.message;
      yield* kernel.host.tty.write(`dom0: no ${what}: ${why}\n`);
    }
  };
  for (const { bridge, file } of captures)
    yield* attempt(`capture of ${bridge} in ${file}`, networks.captureBridge(bridge, file));
  for (const { bridge, spec } of uplinks) yield* attempt(`uplink ${spec} for ${bridge}`, networks.uplink(bridge, spec));
}

/**
 * Dom0 serves the others: when it wakes it runs at once, not when the slice of a guest that computes is over (BVT's warp).
 * What it uses is charged all the same, so that guests keep their shares.
 */
function warpDom0(kernel: Kernel): void {
  const dom0 = 0 as DomId;
  const bvt = getBvt(kernel, dom0);
  setBvt(kernel, dom0, { ...bvt, warp: true, warpValue: WARP_MS * MCU_PER_MS * bvt.mcuAdvance, warpLimitMs: 0 });
}

/** A thread that never ends. If it fails, the machine can't go on as if nothing had happened: the person is told. */
function service(kernel: Kernel, name: string, code: Task): void {
  const thread = kernel.spawn(name, code);
  kernel.spawn(
    `end of ${name}`,
    (function* (): Task {
      yield* thread.join();
      yield* kernel.host.tty.write(
        `dom0: ${name} has failed; xl dmesg tells why. What depends on it no longer works.\n`,
      );
    })(),
  );
}

/** Dom0 for one machine. `images` is where the host keeps unpacked kernels between machines, if it does. */
export function dom0Kernel(images: ImageStore = FORGETFUL): KernelMain {
  return kernelMain((kernel) => main(kernel, images));
}

// A disk and its frontend in one kernel: dom0 runs xenstored, the block backend, and a thread that is the frontend, which grants
// its pages to its own domain. So that requests good and bad reach the backend through real grants, events and xenstore nodes.

import { Backends, BlockBackend } from "../../dom0/backends/index.ts";
import type { DiskConfig } from "../../dom0/toolstack/config/disk.ts";
import { frontendPath } from "../../dom0/toolstack/devices.ts";
import { Disks } from "../../dom0/toolstack/disks.ts";
import { XenStoreDaemon, XsClient } from "../../dom0/xenstored/index.ts";
import { BlockFront, type FrontStore, type Kernel, kernelMain, sleep, type Task } from "../../guests/sdk/index.ts";
import type { DomId } from "../../shared/brand.ts";
import { Dom0Machine } from "./dom0.ts";

export const SELF = 0 as DomId;

export class BlockRig {
  readonly kernel: Kernel;
  readonly xs: XsClient;
  readonly backends: Backends;
  readonly disks: Disks;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    const store = new XenStoreDaemon(kernel);
    this.xs = new XsClient(store.server);
    this.backends = new Backends(kernel, new XsClient(store.server), [new BlockBackend()]);
    this.disks = new Disks(kernel, this.xs, this.backends);
    kernel.spawn("backends", this.backends.run());
  }

  readonly store: FrontStore = storeOf(() => this.xs);

  /** Attaches `target` as disk `devid` of this same domain. */
  *attach(target: string, { devid = 51712, writable = true } = {}): Task {
    const disk: DiskConfig = {
      target,
      vdev: `d${devid}`,
      devid,
      writable,
      cdrom: false,
      removable: false,
      discard: writable,
    };
    yield* this.disks.attach(SELF, disk);
  }

  *connect(devid = 51712, ringPages = 1, persistent = true): Task<BlockFront> {
    const { kernel, store } = this;
    const path = frontendPath(SELF, "vbd", devid);
    return yield* BlockFront.connect({ kernel, store, path, backendDomid: SELF, ringPages, persistent });
  }

  /** A node of the disk's backend folder. */
  back(name: string, devid = 51712): string | undefined {
    return this.xs.read(`/local/domain/0/backend/vbd/0/${devid}/${name}`);
  }
}

function storeOf(xs: () => XsClient): FrontStore {
  return {
    *read(path) {
      yield* [];
      return xs().read(path);
    },
    *write(path, value) {
      yield* [];
      xs().write(path, value);
    },
    *waitFor(path, values) {
      for (;;) {
        const value = xs().read(path);
        if (value !== undefined && values.includes(value)) return value;
        yield* sleep(1e5);
      }
    },
  };
}

/** Runs `body` in dom0; what it throws is thrown here. The machine's invariants are checked at the end. */
export function withDisk(
  body: (rig: BlockRig) => Task,
  files: Readonly<Record<string, Uint8Array>> = {},
  prepare?: (machine: Dom0Machine) => void,
): Dom0Machine {
  let failed: { error: unknown } | undefined;
  const machine = new Dom0Machine({
    files,
    dom0MemoryMiB: 24,
    main: kernelMain(function* (kernel): Task {
      try {
        yield* body(new BlockRig(kernel));
      } catch (error) {
        failed = { error };
      }
      yield* kernel.host.exit(7);
    }),
  });
  prepare?.(machine);
  const status = machine.runToExit();
  if (failed) throw failed.error;
  if (status !== 7) throw new Error(`dom0 ended with ${status}:\n${machine.log}`);
  const problems = machine.machine.checker();
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return machine;
}

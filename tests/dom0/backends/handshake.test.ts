// Frontends that keep to no order: states in any sequence, back and forth, garbage in every node, nodes and the whole folder
// removed at any moment, references and ports that are no one's, twice the same, or another thing's. Whatever they did, the
// device can be taken away, nothing of it is left, and no thread of dom0 has failed.

import { expect, it } from "vitest";
import type { XsClient } from "../../../dom0/xenstored/index.ts";
import type { Kernel, Task } from "../../../guests/sdk/index.ts";
import { sleep, yieldNow } from "../../../guests/sdk/index.ts";
import type { GrantRef } from "../../../shared/brand.ts";
import { withDisk } from "../../harness/block.ts";
import { randomOf } from "../../harness/hostile_front.ts";
import { SELF, withNet } from "../../harness/net.ts";

const ROUNDS = Number(process.env.XENOLITH_FUZZ_RUNS ?? 4000);
const GARBAGE = [
  "",
  "x",
  "-1",
  "1e3",
  "0x1",
  "99999999999999999999",
  "4294967295",
  "4294967296",
  "\u001b[2J",
  "7",
  "\0",
  " 4",
];
const STATES = [
  "1",
  "1",
  "3",
  "4",
  "4",
  "4",
  "5",
  "6",
  "6",
  "0",
  "2",
  "7",
  "8",
  "9",
  "-1",
  "",
  "x",
  "4294967297",
  "4.0",
];

interface Front {
  readonly kernel: Kernel;
  readonly xs: XsClient;
  readonly path: string;
  readonly back: string;
  /** Nodes with values that are right, and with others that exist but are wrong. */
  readonly nodes: Readonly<Record<string, readonly string[]>>;
}

/** Returns how often it was connected. */
function* storm({ kernel, xs, path, back, nodes }: Front, seed: number): Task<number> {
  const random = randomOf(seed);
  const one = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)];
  const names = Object.keys(nodes);
  let connected = false;
  let connections = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const what = random();
    if (what < 0.5) xs.write(`${path}/state`, one(STATES));
    else if (what < 0.7) {
      const name = one(names);
      xs.write(`${path}/${name}`, one(nodes[name]));
    } else if (what < 0.72) for (const name of names) xs.write(`${path}/${name}`, nodes[name][0]);
    else if (what < 0.78) xs.write(`${path}/${one(names)}`, one(GARBAGE));
    else if (what < 0.8) xs.remove(`${path}/${one(names)}`);
    else if (what < 0.805) xs.remove(path);
    else if (what < 0.9) {
      // In the right order, all but the last moment: so that much gets as far as being connected.
      for (const state of ["6", "1"]) {
        xs.write(`${path}/state`, state);
        yield* sleep(1e5);
      }
      for (const name of names) xs.write(`${path}/${name}`, random() < 0.9 ? nodes[name][0] : one(nodes[name]));
      xs.write(`${path}/state`, "4");
    }
    if (random() < 0.3) yield* yieldNow();
    if (random() < 0.3) yield* sleep(random() * 1e6);
    const state = xs.read(`${back}/state`) ?? "";
    if (state === "4" && !connected) connections++;
    connected = state === "4";
  }
  kernel.log("the storm is over");
  return connections;
}

/** Something that is a page, granted, and something that is a port, free. */
function makings(kernel: Kernel): {
  ref: string;
  other: string;
  readonly: string;
  freed: string;
  port: string;
  bound: string;
} {
  const grant = (readonly: boolean): GrantRef => kernel.grants.grantAccess(SELF, kernel.allocPages(1).pfn, readonly);
  const freed = grant(false);
  kernel.grants.endAccess(freed);
  const own = kernel.events.allocUnbound(SELF);
  const bound = kernel.events.bindInterdomain(SELF, kernel.events.allocUnbound(SELF).port);
  return {
    ref: String(grant(false)),
    other: String(grant(false)),
    readonly: String(grant(true)),
    freed: String(freed),
    port: String(own.port),
    bound: String(bound.port),
  };
}

const none = ["0", "1", "8191", "8192", "4294967295"];

it("a network frontend", () => {
  const machine = withNet(function* (rig): Task {
    const { kernel, xs } = rig;
    const m = makings(kernel);
    yield* rig.attach(0);
    yield* rig.attach(1);
    const front: Front = {
      kernel,
      xs,
      path: rig.path(0),
      back: "/local/domain/0/backend/vif/0/0",
      nodes: {
        "tx-ring-ref": [m.ref, m.other, m.readonly, m.freed, ...none],
        "rx-ring-ref": [m.other, m.ref, m.readonly, m.freed, ...none],
        "event-channel": [m.port, m.port, m.bound, ...none],
        "request-rx-copy": ["1", "1", "0"],
        "feature-sg": ["1", "0"],
        "feature-gso-tcpv4": ["1", "0"],
        "feature-rx-notify": ["1"],
        "multi-queue-num-queues": ["1", "2", "1000000"],
      },
    };
    expect(yield* storm(front, 1)).toBeGreaterThan(ROUNDS / 100);
    expect(yield* rig.nics.detach(SELF, 0, true)).toBe(true);
    expect(xs.read(front.back)).toBeUndefined();
    // Its neighbour, and one that comes in its place, are served.
    yield* rig.attach(0);
    const stack = yield* rig.connect(0);
    expect(stack).toBeDefined();
    expect(rig.back("state", 1)).toBe("2");
  });
  expect(machine.log).not.toMatch(/thread |event \d|\x1b/);
  expect(machine.log.match(/backend vif/g)?.length).toBeLessThan(30);
});

it("a disk's frontend", () => {
  const machine = withDisk(
    function* (rig): Task {
      const { kernel, xs } = rig;
      const m = makings(kernel);
      yield* rig.attach("disk");
      const front: Front = {
        kernel,
        xs,
        path: "/local/domain/0/device/vbd/51712",
        back: "/local/domain/0/backend/vbd/0/51712",
        nodes: {
          "ring-ref": [m.ref, m.other, m.readonly, m.freed, ...none],
          "ring-ref0": [m.ref, m.other, m.freed, ...none],
          "ring-ref1": [m.other, m.ref, ...none],
          "ring-page-order": ["0", "1", "3", "4", "9"],
          "event-channel": [m.port, m.port, m.bound, ...none],
          protocol: ["x86_64-abi", "x86_32-abi", "\u001b[31m"],
          "feature-persistent": ["1", "0"],
        },
      };
      expect(yield* storm(front, 2)).toBeGreaterThan(ROUNDS / 100);
      expect(yield* rig.disks.detach(SELF, 51712, true)).toBe(true);
      expect(xs.read(front.back)).toBeUndefined();
      yield* rig.attach("disk");
      const disk = yield* rig.connect();
      expect(disk.sectors).toBe(128);
    },
    { disk: new Uint8Array(65536) },
  );
  expect(machine.log).not.toMatch(/thread |event \d|\x1b/);
  expect(machine.log.match(/backend vbd/g)?.length).toBeLessThan(30);
});

// A ring that is closed while an answer is under way: the answer ends first, nothing is answered afterwards, and all is let go.
import { expect, test } from "vitest";
import { type Backend, Backends, type Device, ServedRing } from "../../../dom0/backends/index.ts";
import { addDevice } from "../../../dom0/toolstack/devices.ts";
import { XenStoreDaemon, XsClient } from "../../../dom0/xenstored/index.ts";
import { type Kernel, kernelMain, sleep, type Task } from "../../../guests/sdk/index.ts";
import { FrontRing } from "../../../shared/request_ring.ts";
import { SELF } from "../../harness/block.ts";
import { Dom0Machine } from "../../harness/dom0.ts";

const ANSWER_NS = 1e6;
const SLOT_BYTES = 8;

/** Counts the answers that it begins and ends, each of which takes a while. */
function slowBackend(counts: { begun: number; ended: number }): Backend {
  const answer = function* (): Task {
    counts.begun++;
    yield* sleep(ANSWER_NS);
    counts.ended++;
  };
  return {
    kind: "vslow",
    *open(device: Device) {
      yield* [];
      let ring: ServedRing | undefined;
      return {
        announce: {},
        *connect(): Task {
          ring = yield* ServedRing.open(device, SLOT_BYTES, answer);
        },
        *disconnect(): Task {
          if (ring) yield* ring.close();
        },
      };
    },
  };
}

function* body(kernel: Kernel): Task {
  const counts = { begun: 0, ended: 0 };
  const server = new XenStoreDaemon(kernel).server;
  const xs = new XsClient(server);
  const backends = new Backends(kernel, new XsClient(server), [slowBackend(counts)]);
  kernel.spawn("backends", backends.run());
  const back = Object.entries({ "frontend-id": "0", online: "1", state: "1" });
  xs.transaction((view) => addDevice(view, { domid: SELF, kind: "vslow", devid: 0, back, front: [["state", "1"]] }));
  yield* backends.ready("vslow", SELF, 0);
  const page = kernel.allocPages(1);
  const ref = kernel.grants.grantAccess(SELF, page.pfn, false);
  const port = kernel.events.allocUnbound(SELF);
  const ring = new FrontRing([page.bytes], SLOT_BYTES);
  const front = "/local/domain/0/device/vslow/0";
  xs.write(`${front}/ring-ref`, String(ref));
  xs.write(`${front}/event-channel`, String(port.port));
  xs.write(`${front}/state`, "4");
  for (let i = 0; i < 3; i++) ring.send(new Uint8Array(SLOT_BYTES));
  if (ring.publish()) port.notify();
  yield* sleep(1.5 * ANSWER_NS);
  expect([counts, ring.waiting()]).toEqual([{ begun: 2, ended: 1 }, 1]);
  expect(kernel.grants.endAccess(ref)).toBe(false);
  const started = kernel.systemTimeNs();
  expect(yield* backends.detach("vslow", SELF, 0, true)).toBe(true);
  expect(kernel.systemTimeNs() - started).toBeGreaterThan(ANSWER_NS / 4);
  yield* sleep(5 * ANSWER_NS);
  expect([counts, ring.waiting()]).toEqual([{ begun: 2, ended: 2 }, 1]);
  expect(kernel.grants.endAccess(ref)).toBe(true);
}

test("a ring that is closed while an answer is under way waits for it, and then lets go", () => {
  let failed: unknown;
  const machine = new Dom0Machine({
    main: kernelMain(function* (kernel): Task {
      try {
        yield* body(kernel);
      } catch (error) {
        failed = error;
      }
      yield* kernel.host.exit(0);
    }),
  });
  machine.runToExit();
  if (failed) throw failed;
  expect(machine.machine.checker()).toEqual([]);
});

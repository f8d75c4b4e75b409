// The example of docs/BACKEND.md is the file beside this test, and it works: text comes back in capitals, wrong requests get
// errors, a wrong index closes the device.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Backends } from "../../../../dom0/backends/index.ts";
import { addDevice } from "../../../../dom0/toolstack/devices.ts";
import { XenStoreDaemon, XsClient } from "../../../../dom0/xenstored/index.ts";
import { kernelMain, sleep, type Task } from "../../../../guests/sdk/index.ts";
import { FrontRing } from "../../../../shared/request_ring.ts";
import { SELF } from "../../../harness/block.ts";
import { Dom0Machine } from "../../../harness/dom0.ts";
import { SLOT_BYTES, upper } from "./upper.ts";

describe("the example backend", () => {
  test("is the one in docs/BACKEND.md, of sixty lines at most", () => {
    const doc = readFileSync(new URL("../../../../docs/BACKEND.md", import.meta.url), "utf8");
    const code = /```ts\n([\s\S]*?)```/.exec(doc)?.[1];
    expect(code).toBe(readFileSync(new URL("./upper.ts", import.meta.url), "utf8"));
    expect(code?.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
  });

  test("serves a frontend, answers mistakes, and is closed by a bad index", () => {
    let failed: unknown;
    const machine = new Dom0Machine({
      main: kernelMain(function* (kernel): Task {
        const server = new XenStoreDaemon(kernel).server;
        const xs = new XsClient(server);
        const backends = new Backends(kernel, new XsClient(server), [upper]);
        kernel.spawn("backends", backends.run());
        const add = (mode: string, devid: number): void =>
          xs.transaction((view) =>
            addDevice(view, {
              domid: SELF,
              kind: "vupper",
              devid,
              back: [
                ["frontend-id", "0"],
                ["online", "1"],
                ["state", "1"],
                ["mode", mode],
              ],
              front: [["state", "1"]],
            }),
          );
        try {
          add("soft", 1);
          expect(yield* failure(backends.ready("vupper", SELF, 1))).toBe("mode must be loud");
          add("loud", 2);
          yield* backends.ready("vupper", SELF, 2);
          expect(xs.read("/local/domain/0/backend/vupper/0/2/max-length")).toBe("4096");
          const pages = kernel.allocPages(2);
          const grants = [0, 1].map((i) => kernel.grants.grantAccess(SELF, (pages.pfn + i) as never, false));
          const ring = new FrontRing([pages.bytes.subarray(0, 4096)], SLOT_BYTES);
          const port = kernel.events.allocUnbound(SELF);
          const front = "/local/domain/0/device/vupper/2";
          xs.write(`${front}/ring-ref`, String(grants[0]));
          xs.write(`${front}/event-channel`, String(port.port));
          xs.write(`${front}/state`, "4");
          const text = pages.bytes.subarray(4096, 4096 + 13);
          text.set(new TextEncoder().encode("Hello, world!"));
          const slot = new Uint32Array(4);
          const ask = function* (...words: number[]): Task<number[]> {
            slot.set(words);
            ring.send(new Uint8Array(slot.buffer));
            if (ring.publish()) port.notify();
            while (ring.waiting() === 0) yield* sleep(1e5);
            ring.take(new Uint8Array(slot.buffer));
            return [slot[0], slot[1]];
          };
          expect(yield* ask(7, grants[1], 5)).toEqual([7, 0]);
          expect(new TextDecoder().decode(text)).toBe("HELLO, world!");
          expect(yield* ask(8, grants[1], 4097)).toEqual([8, 1]);
          expect(yield* ask(9, 5000, 5)).toEqual([9, 1]);
          new Uint32Array(pages.bytes.buffer, pages.bytes.byteOffset, 1)[0] += 1e6;
          port.notify();
          yield* sleep(1e6);
          expect(xs.read("/local/domain/0/backend/vupper/0/2/state")).toBe("5");
          expect(yield* backends.detach("vupper", SELF, 2, true)).toBe(true);
          expect(grants.map((ref) => kernel.grants.endAccess(ref))).toEqual([true, true]);
          // An event channel that isn't there: the ring that was mapped already is let go.
          add("loud", 3);
          yield* backends.ready("vupper", SELF, 3);
          const ref = kernel.grants.grantAccess(SELF, pages.pfn, false);
          const other = "/local/domain/0/device/vupper/3";
          xs.write(`${other}/ring-ref`, String(ref));
          xs.write(`${other}/event-channel`, "4000");
          xs.write(`${other}/state`, "4");
          yield* sleep(1e6);
          expect(xs.read("/local/domain/0/backend/vupper/0/3/state")).toBe("5");
          expect(kernel.grants.endAccess(ref)).toBe(true);
          expect(yield* backends.detach("vupper", SELF, 3, true)).toBe(true);
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
});

function* failure(task: Task): Task<string> {
  try {
    yield* task;
    return "none";
  } catch (error) {
    return (error as Error).message;
  }
}

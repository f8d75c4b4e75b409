// Channels from the frontend's side: bytes both ways unchanged, back-pressure both ways, frontends that come and go or lie.
import { describe, expect, test } from "vitest";
import { sleep, type Task } from "../../../../guests/sdk/index.ts";
import { XenconsInterface } from "../../../../shared/abi/io/console.ts";
import { SELF } from "../../../harness/block.ts";
import { ChannelFront, type ChannelRig, withChannel } from "../../../harness/channel.ts";

const CHANNEL = { name: "org.example", path: "/tmp/x.sock" };
const pattern = (size: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => (i * 7 + seed + (i >> 8)) & 255);

function* connected(rig: ChannelRig): Task<ChannelFront> {
  yield* rig.channels.attach(SELF, 1, CHANNEL);
  const front = new ChannelFront(rig, 1);
  yield* rig.state(4);
  return front;
}

describe("a channel", () => {
  test("carries every byte both ways, in order, whatever it is", () => {
    withChannel(function* (rig): Task {
      const front = yield* connected(rig);
      expect(rig.host.path).toBe("/tmp/x.sock");
      rig.host.take(Infinity);
      const out = pattern(50_000, 1);
      expect(yield* front.write(out)).toBe(out.length);
      yield* sleep(1e6);
      expect(Uint8Array.from(rig.host.received)).toEqual(out);
      const typed = pattern(50_000, 2);
      rig.host.send(typed);
      expect(yield* front.read(typed.length)).toEqual(typed);
    });
  });

  test("makes the guest wait while nobody takes its bytes, holds a bounded amount of them, and loses none", () => {
    withChannel(function* (rig): Task {
      const front = yield* connected(rig);
      const out = pattern(100_000, 3);
      const held = yield* front.write(out, 100);
      expect(held).toBeGreaterThan(2048);
      expect(held).toBeLessThan(20_000);
      expect(yield* front.write(out.subarray(held), 100)).toBe(0);
      rig.host.take(Infinity);
      expect(yield* front.write(out.subarray(held))).toBe(out.length - held);
      yield* sleep(1e6);
      expect(Uint8Array.from(rig.host.received)).toEqual(out);
    });
  });

  test("doesn't read the program while the guest takes nothing", () => {
    withChannel(function* (rig): Task {
      const front = yield* connected(rig);
      const typed = pattern(100_000, 4);
      rig.host.send(typed);
      yield* sleep(1e8);
      expect(rig.host.waiting).toBeGreaterThan(80_000);
      expect(yield* front.read(typed.length)).toEqual(typed);
      expect(rig.host.waiting).toBe(0);
    });
  });

  test("goes on with the next frontend; the last output of one that closes still arrives", () => {
    withChannel(function* (rig): Task {
      const first = yield* connected(rig);
      yield* first.write(pattern(9000, 5));
      rig.front("state", "5");
      yield* rig.state(5);
      rig.front("state", "6");
      yield* rig.state(6);
      first.free();
      rig.host.take(Infinity);
      rig.host.send(pattern(10, 6));
      rig.front("state", "1");
      yield* rig.state(2);
      const second = new ChannelFront(rig, 1);
      yield* rig.state(4);
      expect(yield* second.read(10)).toEqual(pattern(10, 6));
      yield* second.write(pattern(10, 7));
      yield* sleep(1e6);
      expect(Uint8Array.from(rig.host.received)).toEqual(Uint8Array.from([...pattern(9000, 5), ...pattern(10, 7)]));
    });
  });

  test("ends with its domain: what was written goes to the program, and the ring is let go", () => {
    withChannel(function* (rig): Task {
      const front = yield* connected(rig);
      rig.host.take(1e6);
      front.out.write(pattern(100, 8)); // No event tells of it.
      yield* rig.backends.closeDomain(SELF);
      front.free();
      expect(Uint8Array.from(rig.host.received)).toEqual(pattern(100, 8));
      expect(rig.host.path).toBeUndefined();
      expect(rig.backends.count).toBe(0);
    });
  });

  test.each(["out_prod", "in_cons"] as const)(
    "whose ring has a senseless %s is closed, and the ring let go",
    (index) => {
      withChannel(function* (rig): Task {
        const front = yield* connected(rig);
        front.pages.bytes[XenconsInterface.offsets[index] + 3] = 0x80;
        rig.host.send([1]);
        front.port.notify();
        yield* rig.state(5);
        expect(rig.xs.read("/local/domain/0/error/backend/console/0/1/error")).toBe("its ring's indexes make no sense");
        front.free();
      });
    },
  );

  test.each([
    ["ring-ref", "70000", /grant/],
    ["port", "4000", /./],
    ["port", "-1", /port is no number/],
  ])("is refused a %s of %s", (name, value, reason) => {
    withChannel(function* (rig): Task {
      yield* rig.channels.attach(SELF, 1, CHANNEL);
      rig.front("ring-ref", String(rig.kernel.grants.grantAccess(SELF, rig.kernel.allocPages(1).pfn as never, false)));
      rig.front("port", String(rig.kernel.events.allocUnbound(SELF).port));
      rig.front(name, value);
      rig.front("state", "3");
      yield* rig.state(5);
      expect(rig.xs.read("/local/domain/0/error/backend/console/0/1/error")).toMatch(reason);
    });
  });

  test("has libxl's nodes; one whose socket can't be had leaves nothing behind", () => {
    withChannel(function* (rig): Task {
      yield* rig.channels.attach(SELF, 1, CHANNEL);
      const nodes = (path: string): Record<string, string | undefined> =>
        Object.fromEntries((rig.xs.directory(path) ?? []).map((name) => [name, rig.xs.read(`${path}/${name}`)]));
      expect(nodes("/local/domain/0/device/console/1")).toEqual({
        backend: "/local/domain/0/backend/console/0/1",
        "backend-id": "0",
        state: "1",
        protocol: "vt100",
        name: "org.example",
        limit: "1048576",
        type: "ioemu",
        output: "chardev:libxl-channel1",
        tty: "",
      });
      expect(nodes("/local/domain/0/backend/console/0/1")).toMatchObject({
        frontend: "/local/domain/0/device/console/1",
        "frontend-id": "0",
        online: "1",
        state: "2",
        name: "org.example",
        connection: "socket",
        path: "/tmp/x.sock",
      });
      expect(rig.channels.list(SELF)).toEqual([
        { devid: 1, state: 1, eventChannel: -1, ringRef: -1, connection: "socket" },
      ]);
      let said = "";
      try {
        yield* rig.channels.attach(SELF, 2, { name: "b", path: "/taken" });
      } catch (error) {
        said = (error as Error).message;
      }
      expect(said).toBe("channel b: /taken: Address already in use");
      expect(rig.xs.directory("/local/domain/0/device/console")).toEqual(["1"]);
      expect(rig.xs.directory("/local/domain/0/backend/console/0")).toEqual(["1"]);
    });
  });
});

// A file that grows or shrinks under a connected disk: the frontend is told as others' frontends expect it, and requests are held to
// the new size.
import { expect, test } from "vitest";
import { BlockError, sleep, type Task } from "../../../../guests/sdk/index.ts";
import { type BlockRig, SELF, withDisk } from "../../../harness/block.ts";

const SECTORS = 64;
const sized = (sectors: number): Uint8Array => new Uint8Array(sectors * 512).fill(7);

/** What the frontend's watch on the backend's state tells, as often as it is written. */
function* told(rig: BlockRig): Task {
  rig.xs.watch("/local/domain/0/backend/vbd/0/51712/state", "state");
  yield* sleep(1e6);
  while (rig.xs.events.tryReceive() !== undefined);
}

test("a disk whose file gets another size tells its frontend, and reaches as far as that", () => {
  let grow = (_sectors: number): void => {};
  const machine = withDisk(
    function* (rig): Task {
      yield* rig.attach("disk");
      const front = yield* rig.connect();
      const buffer = front.buffer(1);
      yield* told(rig);
      yield* sleep(30e9);
      // Nothing has changed, and nothing is told.
      expect(rig.xs.events.tryReceive()).toBe(undefined);
      for (const sectors of [100, 2048, SECTORS / 2]) {
        grow(sectors);
        yield* sleep(6e9);
        expect(rig.xs.events.tryReceive()).toMatchObject({ token: "state" });
        expect(rig.xs.events.tryReceive()).toBe(undefined);
        expect([rig.back("sectors"), rig.back("state")]).toEqual([String(sectors), "4"]);
        buffer.pages.bytes.fill(sectors);
        yield* front.write(sectors - 1, buffer, 0, 512);
        yield* front.read(sectors - 1, buffer, 512, 512);
        expect(buffer.pages.bytes[512]).toBe(sectors & 0xff);
        let error: unknown;
        try {
          yield* front.read(sectors, buffer, 0, 512);
        } catch (e) {
          error = e;
        }
        expect(error).toBeInstanceOf(BlockError);
      }
      // The next connection starts with that size.
      buffer.free();
      yield* front.close();
      rig.xs.write("/local/domain/0/device/vbd/51712/state", "1");
      yield* rig.store.waitFor("/local/domain/0/backend/vbd/0/51712/state", ["2"]);
      const again = yield* rig.connect();
      expect(again.sectors).toBe(SECTORS / 2);
      expect(yield* rig.disks.detach(SELF, 51712, true)).toBe(true);
    },
    { disk: sized(SECTORS) },
    ({ host }) => {
      grow = (sectors) => void host.disk.set("disk", sized(sectors));
    },
  );
  expect(machine.log).not.toMatch(/error/i);
});

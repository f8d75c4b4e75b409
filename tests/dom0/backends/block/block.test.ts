// The block backend from the frontend's side: through rings, grants, events and xenstore as a guest would, on simulated files.
import { describe, expect, test } from "vitest";
import { BlockError, sleep, type Task } from "../../../../guests/sdk/index.ts";
import { BLKIF_OP_READ, BLKIF_RSP_ERROR, BLKIF_RSP_OKAY, BlkifRequest } from "../../../../shared/abi/io/blkif.ts";
import { withDisk } from "../../../harness/block.ts";

const image = (sectors: number): Uint8Array => new Uint8Array(sectors * 512).map((_, i) => (i * 31 + (i >> 9)) & 0xff);

describe("a disk", () => {
  test("announces itself, and reads what the file holds, in pieces of every kind", () => {
    const disk = image(4096);
    const machine = withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        expect(rig.back("state")).toBe("2");
        expect(rig.back("sectors")).toBe("4096");
        expect(rig.back("physical-sector-size")).toBe("4096");
        const front = yield* rig.connect();
        expect(rig.back("state")).toBe("4");
        expect([front.sectors, front.readonly, front.maxSegments]).toEqual([4096, false, 256]);
        const buffer = front.buffer(64);
        for (const [sector, offset, size] of [
          [0, 0, 4096],
          [7, 512, 512],
          [8, 3584, 1024],
          [100, 0, 11 * 4096],
          [200, 0, 12 * 4096],
          [333, 1536, 63 * 4096],
          [4095, 0, 512],
        ]) {
          buffer.pages.bytes.fill(0xee);
          yield* front.read(sector, buffer, offset, size);
          const got = buffer.pages.bytes;
          const want = disk.subarray(sector * 512, sector * 512 + size);
          expect(Buffer.compare(got.subarray(offset, offset + size), want)).toBe(0);
          const around = Buffer.concat([got.subarray(0, offset), got.subarray(offset + size)]);
          expect(around.equals(Buffer.alloc(around.length, 0xee))).toBe(true);
        }
        buffer.free();
        yield* front.close();
        expect(rig.back("state")).toBe("6");
      },
      { disk },
    );
    expect(Buffer.compare(machine.host.disk.get("disk") as Uint8Array, disk)).toBe(0);
  });

  test("writes, flushes and discards; many requests at once on a ring of four pages", () => {
    const machine = withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect(51712, 4);
        const buffer = front.buffer(100);
        buffer.pages.bytes.forEach((_, i, all) => {
          all[i] = (i >> 12) + 1;
        });
        const threads = Array.from({ length: 100 }, (_, i) =>
          rig.kernel.spawn(`writer ${i}`, front.write((99 - i) * 8, buffer, i * 4096, 4096)),
        );
        for (const thread of threads) {
          yield* thread.join();
          expect(thread.error).toBeUndefined();
        }
        yield* front.flush();
        yield* front.discard(16, 8);
        buffer.free();
        yield* front.close();
      },
      { disk: new Uint8Array(1000 * 512) },
    );
    const data = machine.host.disk.get("disk") as Uint8Array;
    const wrong = Array.from({ length: 100 }, (_, i) => i).filter((page) => {
      const value = page === 2 ? 0 : 100 - page;
      return data.subarray(page * 4096, page * 4096 + 4096).some((b) => b !== value);
    });
    expect(wrong).toEqual([]);
    expect(machine.host.syncs).toBe(1);
  });

  test("connects again after it was closed, many times, and nothing stays taken", () => {
    withDisk(
      function* (rig): Task {
        const { kernel } = rig;
        yield* rig.attach("disk");
        const round = function* (): Task<number> {
          const front = yield* rig.connect();
          const buffer = front.buffer(20);
          yield* front.write(0, buffer, 0, 20 * 4096);
          buffer.free();
          yield* front.close();
          rig.xs.write("/local/domain/0/device/vbd/51712/state", "1");
          yield* rig.store.waitFor("/local/domain/0/backend/vbd/0/51712/state", ["2"]);
          return kernel.pages.freePages;
        };
        yield* round();
        const free = yield* round();
        for (let i = 0; i < 20; i++) expect(yield* round()).toBe(free);
      },
      { disk: image(512) },
    );
  });

  test("of which a file is the store belongs to one writer, or to readers; a mistake is one line", () => {
    const machine = withDisk(
      function* (rig): Task {
        const problems: string[] = [];
        const attach = function* (target: string, devid: number, writable: boolean): Task {
          try {
            yield* rig.attach(target, { devid, writable });
          } catch (error) {
            problems.push((error as Error).message);
          }
        };
        yield* attach("a", 1, true);
        yield* attach("a", 2, true);
        yield* attach("a", 3, false);
        yield* attach("b", 4, false);
        yield* attach("b", 5, false);
        yield* attach("b", 6, true);
        yield* attach("none", 7, true);
        yield* attach("small", 8, true);
        yield* attach("a", 1, false);
        expect(yield* rig.disks.detach(0 as never, 1, false)).toBe(true);
        yield* attach("a", 2, true);
        expect(problems).toEqual([
          "disk d2: a: already in use by domain 0 as d1, which writes to it",
          "disk d3: a: already in use by domain 0 as d1, which writes to it",
          "disk d6: b: already in use by domain 0 as d4",
          "disk d7: none: No such file or directory",
          "disk d8: small: smaller than a sector",
          "disk d1: domain 0 has one of that name",
        ]);
        expect(rig.xs.directory("/local/domain/0/backend/vbd/0")).toEqual(["4", "5", "2"]);
        for (const devid of [2, 4, 5]) yield* rig.disks.detach(0 as never, devid, false);
        expect(rig.xs.directory("/local/domain/0/backend/vbd")).toEqual([]);
        expect(rig.backends.count).toBe(0);
      },
      { a: image(8), b: image(8), small: new Uint8Array(511) },
    );
    expect(machine.host.openFiles).toBe(0);
  });

  test("of a dom0 that has no page left fails requests, and works again when there is one", () => {
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect();
        const buffer = front.buffer(2);
        // Two pages the wrong way round: two pieces of memory, for which the device queue needs a list.
        const request = () =>
          front.request((view) => {
            const r = BlkifRequest.at(view);
            r.operation = BLKIF_OP_READ;
            r.nr_segments = 2;
            for (let i = 0; i < 2; i++) {
              view.setUint32(24 + i * 8, buffer.refs[1 - i], true);
              view.setUint8(29 + i * 8, 7);
            }
          });
        yield* front.read(0, buffer, 0, 4096);
        const all = Array.from({ length: rig.kernel.pages.freePages }, () => rig.kernel.allocPages(1));
        expect(yield* request()).toBe(BLKIF_RSP_ERROR);
        yield* front.read(0, buffer, 0, 4096);
        for (const pages of all) pages.free();
        expect(yield* request()).toBe(BLKIF_RSP_OKAY);
        buffer.free();
        yield* front.close();
      },
      { disk: image(64) },
    );
  });

  test("that is read-only refuses writes and discards, and says so", () => {
    const machine = withDisk(
      function* (rig): Task {
        yield* rig.attach("disk", { writable: false });
        const front = yield* rig.connect();
        expect([front.readonly, front.discards]).toEqual([true, false]);
        const buffer = front.buffer(1);
        const failures: unknown[] = [];
        for (const task of [front.write(0, buffer, 0, 512), front.discard(0, 8)])
          try {
            yield* task;
          } catch (error) {
            failures.push((error as BlockError).status);
          }
        expect(failures).toEqual([-1, -2]);
        yield* front.read(0, buffer, 0, 512);
        expect([...buffer.pages.bytes.subarray(0, 3)]).toEqual([0, 31, 62]);
      },
      { disk: image(8) },
    );
    expect(machine.host.disk.get("disk")).toEqual(image(8));
  });

  test("of a host that fails gives errors, and works again when the host does", () => {
    let broken = false;
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect();
        const buffer = front.buffer(1);
        const outcome = function* (task: Task): Task<number> {
          try {
            yield* task;
            return 0;
          } catch (error) {
            if (!(error instanceof BlockError)) throw error;
            return error.status;
          }
        };
        broken = true;
        expect(yield* outcome(front.read(0, buffer, 0, 512))).toBe(-1);
        expect(yield* outcome(front.write(0, buffer, 0, 512))).toBe(-1);
        expect(yield* outcome(front.flush())).toBe(-1);
        expect(yield* outcome(front.discard(0, 8))).toBe(-1);
        broken = false;
        expect(yield* outcome(front.write(0, buffer, 0, 512))).toBe(0);
        expect(yield* outcome(front.flush())).toBe(0);
      },
      { disk: image(8) },
      ({ host }) => {
        const fail = (): void => {
          if (broken) throw Object.assign(new Error("injected"), { code: "EIO" });
        };
        for (const name of ["read", "write", "sync", "discard"] as const) {
          const real = host[name].bind(host) as (...args: unknown[]) => unknown;
          Object.assign(host, {
            [name]: (...args: unknown[]) => {
              if (typeof args[0] === "number" && args.length > 0) fail();
              return real(...args);
            },
          });
        }
      },
    );
  });

  test("a frontend that vanishes with requests under way leaves nothing mapped", () => {
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect();
        const buffer = front.buffer(32);
        for (let i = 0; i < 32; i++) rig.kernel.spawn("reader", front.read(i, buffer, i * 4096, 4096));
        yield* sleep(0);
        yield* rig.backends.closeDomain(0 as never);
        expect(rig.backends.count).toBe(0);
        // Would throw if the backend had one of them mapped.
        buffer.free();
      },
      { disk: image(512) },
    );
  });

  test("a domain that ends while the host still reads into its pages: they stay mapped until the host is done, then none is", () => {
    const held: (() => void)[] = [];
    let hold = false;
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect();
        const buffer = front.buffer(32);
        hold = true;
        for (let i = 0; i < 32; i++) rig.kernel.spawn("reader", front.read(i, buffer, i * 4096, 4096));
        yield* sleep(1e6);
        expect(held.length).toBe(32);
        const started = rig.kernel.systemTimeNs();
        yield* rig.backends.closeDomain(0 as never);
        // It is waited for as long as is sensible, not for ever.
        expect(rig.kernel.systemTimeNs() - started).toBeGreaterThan(4e9);
        expect(rig.backends.count).toBe(1);
        expect(buffer.refs.filter((ref) => rig.kernel.grants.endAccess(ref))).toEqual([]);
        expect(rig.back("state")).toBe("4");
        for (const release of held) release();
        yield* sleep(1e6);
        expect(rig.backends.count).toBe(0);
        expect(rig.back("state")).toBe("6");
        buffer.free();
      },
      { disk: image(512) },
      ({ host }) => {
        const read = host.read.bind(host) as (...args: unknown[]) => unknown;
        const patched: { read: unknown } = host;
        patched.read = (...args: unknown[]): unknown =>
          hold && args.length > 1
            ? // biome-ignore lint/suspicious/noThenProperty: a promise that is kept when the test says so, in the same turn.
              { then: (ok: (n: unknown) => void) => void held.push(() => ok(read(...args))) }
            : read(...args);
      },
    );
  });
});

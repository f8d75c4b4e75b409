// Requests that keep to no rule: each is answered once, with an error where it is wrong, nothing of the machine's is touched,
// and an honest frontend is served afterwards. The slow suite has more of them.
import { describe, expect, test } from "vitest";
import type { Task } from "../../../../guests/sdk/index.ts";
import {
  BLKIF_OP_INDIRECT,
  BLKIF_OP_READ,
  BLKIF_OP_WRITE,
  BLKIF_OP_WRITE_BARRIER,
  BlkifRequest,
  BlkifRequestIndirect,
} from "../../../../shared/abi/io/blkif.ts";
import { SELF, withDisk } from "../../../harness/block.ts";
import { HostileFront, randomOf } from "../../../harness/hostile_front.ts";

const ERROR = -1;
const UNSUPPORTED = -2;

describe("a wrong request", () => {
  test("gets an error, and nothing is read or written", () => {
    const machine = withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect();
        const buffer = front.buffer(1);
        const [ref] = buffer.refs;
        buffer.pages.bytes.fill(0xaa);
        const readOnly = rig.kernel.grants.grantAccess(SELF, buffer.pages.pfn, true);
        const one = function* (fields: {
          op?: number;
          count?: number;
          sector?: number;
          high?: number;
          ref?: number;
          first?: number;
          last?: number;
        }): Task<number> {
          return yield* front.request((view) => {
            const r = BlkifRequest.at(view);
            r.operation = fields.op ?? BLKIF_OP_WRITE;
            r.nr_segments = fields.count ?? 1;
            r.sector_number_lo = fields.sector ?? 0;
            r.sector_number_hi = fields.high ?? 0;
            for (let i = 0; i < 11; i++) {
              view.setUint32(24 + i * 8, fields.ref ?? ref, true);
              view.setUint8(28 + i * 8, fields.first ?? 0);
              view.setUint8(29 + i * 8, fields.last ?? 7);
            }
          });
        };
        const wrong: [string, Parameters<typeof one>[0]][] = [
          ["past the disk's end", { sector: 57 }],
          ["far past it", { sector: 0xffffffff }],
          ["wrapping round", { sector: 0xffffffff, high: 0xffffffff }],
          ["a segment past its page", { last: 8 }],
          ["a segment that ends before it begins", { first: 5, last: 4 }],
          ["no segments", { count: 0 }],
          ["too many segments", { count: 12 }],
          ["a grant that isn't one", { ref: 8000 }],
          ["a grant far outside of the table", { ref: 0xffffffff }],
          ["a reserved grant", { ref: 0 }],
        ];
        for (const [what, fields] of wrong) {
          expect([what, yield* one(fields)]).toEqual([what, ERROR]);
          expect([what, yield* one({ ...fields, op: BLKIF_OP_READ })]).toEqual([what, ERROR]);
        }
        expect(yield* one({ op: BLKIF_OP_READ, ref: readOnly })).toBe(ERROR);
        expect(yield* one({ op: BLKIF_OP_WRITE_BARRIER })).toBe(UNSUPPORTED);
        expect(yield* one({ op: 4 })).toBe(UNSUPPORTED);
        expect(yield* one({ op: 255 })).toBe(UNSUPPORTED);
        for (const [count, op] of [
          [0, BLKIF_OP_READ],
          [257, BLKIF_OP_READ],
          [65535, BLKIF_OP_WRITE],
          [1, BLKIF_OP_INDIRECT],
          [1, 5],
        ])
          expect(
            yield* front.request((view) => {
              const r = BlkifRequestIndirect.at(view);
              r.operation = BLKIF_OP_INDIRECT;
              r.indirect_op = op;
              r.nr_segments = count;
              for (let i = 0; i < 8; i++) view.setUint32(28 + i * 4, ref, true);
            }),
          ).toBe(ERROR);
        expect(buffer.pages.bytes.every((b) => b === 0xaa)).toBe(true);
        expect(yield* one({ sector: 56 })).toBe(0);
        rig.kernel.grants.endAccess(readOnly);
        buffer.free();
        yield* front.close();
      },
      { disk: new Uint8Array(64 * 512) },
    );
    const data = machine.host.disk.get("disk") as Uint8Array;
    expect([data.subarray(0, 56 * 512).every((b) => b === 0), data[56 * 512]]).toEqual([true, 0xaa]);
  });

  test.each([
    ["map for map", false],
    ["with persistent grants", true],
  ])("500 random ones and bad indexes leave the disk working, %s", (_, persistent) => {
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const hostile = new HostileFront(rig, randomOf(1), persistent);
        yield* hostile.connect();
        while (hostile.counts.cases < 500) yield* hostile.round();
        expect(hostile.counts.okay).toBeGreaterThan(10);
        expect(hostile.counts.error).toBeGreaterThan(100);
        expect(hostile.counts.unsupported).toBeGreaterThan(10);
        expect(hostile.counts.shut).toBeGreaterThan(0);
      },
      { disk: new Uint8Array(64 * 512) },
    );
  });

  test("nodes of a frontend that make no sense close the device with a reason", () => {
    withDisk(
      function* (rig): Task {
        const base = "/local/domain/0/device/vbd/51712";
        const good = { "ring-ref": "9", "event-channel": "1", protocol: "x86_64-abi" };
        const cases: [Record<string, string | undefined>, RegExp][] = [
          [{ ...good, "ring-ref": undefined }, /no ring-ref0/],
          [{ ...good, "ring-ref": "x" }, /ring-ref is no number/],
          [{ ...good, "ring-ref": "99999999999" }, /ring-ref is no number up to/],
          [{ ...good, "event-channel": undefined }, /no event-channel/],
          [{ ...good, protocol: "x86_32-abi" }, /"x86_32-abi" is not x86_64-abi/],
          [{ ...good, "ring-page-order": "4" }, /ring-page-order is no number up to 3/],
          [{ ...good, "ring-page-order": "1", "ring-ref0": "1" }, /no ring-ref1/],
          [good, /mapping grant 9 of domain 0/],
        ];
        for (const [nodes, reason] of cases) {
          yield* rig.attach("disk");
          for (const [name, value] of Object.entries(nodes))
            if (value !== undefined) rig.xs.write(`${base}/${name}`, value);
            else rig.xs.remove(`${base}/${name}`);
          rig.xs.write(`${base}/state`, "3");
          yield* rig.store.waitFor("/local/domain/0/backend/vbd/0/51712/state", ["5"]);
          expect(rig.xs.read("/local/domain/0/error/backend/vbd/0/51712/error")).toMatch(reason);
          expect(yield* rig.disks.detach(SELF, 51712, true)).toBe(true);
        }
      },
      { disk: new Uint8Array(64 * 512) },
    );
  });
});

// Frontends that lie: sizes, offsets, grants, chains of slots, indexes, nodes. Wrong packets get error responses and the ring
// goes on; a ring that can't be right is shut; the neighbours on the bridge never notice.
import { describe, expect, test } from "vitest";
import { sleep, type Task } from "../../../../guests/sdk/index.ts";
import { parseIp } from "../../../../guests/sdk/net/index.ts";
import {
  NETIF_RSP_ERROR,
  NETIF_RSP_NULL,
  NETIF_RSP_OKAY,
  NETTXF_extra_info,
  NETTXF_more_data,
  XEN_NETIF_EXTRA_FLAG_MORE,
} from "../../../../shared/abi/io/netif.ts";
import { checksumIsRight, fold, sum16 } from "../../../../shared/checksum.ts";
import { SELF } from "../../../harness/net.ts";
import { fuzz } from "./fuzz.ts";
import { RawFront, withRaw } from "./raw_front.ts";

const MORE = NETTXF_more_data;
/** The slow suite has more. */
const FUZZ_CASES = 3000;

/** Writes a TCP frame to all with `payload` bytes into the first data pages; its size. Flags: CWR, ACK, PSH, FIN. */
function tcpFrame(raw: RawFront, payload: number): number {
  raw.frame(0);
  const { bytes, view } = raw.data;
  bytes.set([0x08, 0x00, 0x45, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 12);
  view.setUint16(16, 40 + payload);
  bytes.set([0, 80, 0, 90, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 0x50, 0x99, 1, 0, 0, 0, 0, 0], 34);
  for (let i = 0; i < payload; i++) bytes[54 + i] = i & 255;
  return 54 + payload;
}

/** An extra slot. */
const extra = (type: number, flags = 0): Uint8Array => Uint8Array.from([type, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

describe("a packet that is wrong gets an error response, and the next one goes", () => {
  const ERROR = NETIF_RSP_ERROR;
  const cases: [string, (raw: RawFront) => void, number[]][] = [
    ["a reference that was never granted", (raw) => raw.tx({ gref: 1999 }), [ERROR]],
    ["a reference beyond the table", (raw) => raw.tx({ gref: 0xffffffff }), [ERROR]],
    ["a frame past its page's end", (raw) => raw.tx({ offset: 4090, size: 60 }), [ERROR]],
    ["an offset beyond the page", (raw) => raw.tx({ offset: 65535, size: 60 }), [ERROR]],
    ["less than a header", (raw) => raw.tx({ size: 13 }), [ERROR]],
    ["nothing", (raw) => raw.tx({ size: 0 }), [ERROR]],
    ["more than a page in one slot", (raw) => raw.tx({ size: 65535 }), [ERROR]],
    [
      "slots that hold more than the whole",
      (raw) => {
        raw.tx({ size: 100, flags: MORE });
        raw.tx({ size: 200, id: 1 });
      },
      [ERROR, ERROR],
    ],
    [
      "an empty slot in a chain",
      (raw) => {
        raw.tx({ size: 100, flags: MORE });
        raw.tx({ size: 0, id: 1 });
      },
      [ERROR, ERROR],
    ],
    [
      "a bad reference in the last slot",
      (raw) => {
        raw.tx({ size: 100, flags: MORE });
        raw.tx({ size: 40, gref: 1998 });
      },
      [ERROR, ERROR],
    ],
    [
      "nineteen slots",
      (raw) => {
        raw.tx({ size: 1900, flags: MORE });
        for (let i = 1; i < 19; i++) raw.tx({ size: 100, flags: i < 18 ? MORE : 0 });
      },
      Array(19).fill(ERROR),
    ],
    [
      "segmentation into nothing",
      (raw) => {
        raw.tx({ flags: NETTXF_extra_info });
        raw.txRaw(extra(1));
      },
      [ERROR, NETIF_RSP_NULL],
    ],
    [
      "two extra slots, where one means anything",
      (raw) => {
        raw.tx({ flags: NETTXF_extra_info });
        raw.txRaw(extra(1, XEN_NETIF_EXTRA_FLAG_MORE));
        raw.txRaw(extra(2));
      },
      [ERROR, NETIF_RSP_NULL, NETIF_RSP_NULL],
    ],
  ];
  test.each(cases)("%s", (_, send, statuses) => {
    withRaw(function* (_rig, raw): Task {
      expect(yield* raw.connect()).toBe("4");
      raw.frame(0);
      send(raw);
      raw.tx({ id: 77 });
      raw.push();
      yield* sleep(1e6);
      expect(raw.state).toBe("4");
      expect(raw.txResponses).toBe(statuses.length + 1);
      expect(statuses.map((__, i) => raw.txResponse(i).status)).toEqual(statuses);
      expect(raw.txResponse(statuses.length)).toEqual({ id: 77, status: NETIF_RSP_OKAY });
    });
  });

  test("a readonly page can be sent, but not received into", () => {
    withRaw(function* (rig, raw): Task {
      const other = yield* rig.station(1);
      expect(yield* raw.connect()).toBe("4");
      raw.frame(15);
      raw.tx({ gref: raw.refs[15] });
      raw.rx(raw.refs[16], 5);
      raw.rx(raw.refs[2], 6);
      raw.push();
      yield* sleep(1e6);
      expect(raw.txResponse(0).status).toBe(NETIF_RSP_OKAY);
      expect(other.front.received).toBe(1);
      raw.data.bytes.fill(0xcc, 16 * 4096, 17 * 4096);
      for (let i = 0; i < 2; i++) yield* other.resolve(parseIp("10.0.0.9")); // Broadcast questions.
      expect(raw.rxResponses).toBe(2);
      expect(raw.rxResponse(0)).toMatchObject({ id: 5, status: NETIF_RSP_ERROR });
      expect(raw.rxResponse(1)).toMatchObject({ id: 6, offset: 0, status: 42 });
      expect(raw.data.bytes.subarray(16 * 4096, 17 * 4096).every((byte) => byte === 0xcc)).toBe(true);
    });
  });

  test("a long TCP frame arrives whole where the frontend takes such frames, and cut where it doesn't", () => {
    withRaw(function* (rig, raw): Task {
      yield* rig.attach(1);
      const whole = new RawFront(rig, 1);
      yield* rig.attach(2);
      const cut = new RawFront(rig, 2);
      expect(yield* raw.connect()).toBe("4");
      expect(yield* whole.connect({ "feature-gso-tcpv4": "1" })).toBe("4");
      expect(yield* cut.connect()).toBe("4");
      for (const front of [whole, cut]) {
        for (let i = 0; i < 8; i++) front.rx(front.refs[i], i);
        front.push();
      }
      const size = tcpFrame(raw, 6000);
      raw.tx({ size, flags: MORE | NETTXF_extra_info | 1 });
      raw.txRaw(Uint8Array.from([1, 0, 1448 & 255, 1448 >> 8, 1, 0, 0, 0, 0, 0, 0, 0]));
      raw.tx({ gref: raw.refs[1], size: size - 4096 });
      raw.push();
      yield* sleep(1e6);
      expect([0, 1, 2].map((i) => raw.txResponse(i).status)).toEqual([NETIF_RSP_OKAY, NETIF_RSP_NULL, NETIF_RSP_OKAY]);
      expect(whole.rxResponses).toBe(3);
      expect(whole.rxResponse(0)).toMatchObject({ id: 0, flags: 4 | 8 | 3, status: 4096 });
      expect(whole.rxExtra(1)).toEqual([1, 0, 1448 & 255, 1448 >> 8, 1, 0, 0, 0]);
      expect(whole.rxResponse(2)).toMatchObject({ id: 2, flags: 0, status: size - 4096 });
      expect(cut.rxResponses).toBe(5);
      const sizes = [0, 1, 2, 3, 4].map((i) => cut.rxResponse(i).status);
      expect(sizes).toEqual([1502, 1502, 1502, 1502, 54 + 6000 - 4 * 1448]);
      for (let i = 0; i < 5; i++) {
        const at = cut.data.bytes.byteOffset + i * 4096;
        const view = new DataView(cut.data.bytes.buffer, at, sizes[i]);
        expect(checksumIsRight(view, sizes[i])).toBe(true);
        expect(fold(sum16(view, 14, 34))).toBe(0);
        expect([view.getUint16(16), view.getUint16(18)]).toEqual([sizes[i] - 14, (0xffff + i) & 0xffff]);
        expect(view.getUint32(38)).toBe((0xfffffff0 + i * 1448) >>> 0);
        expect(view.getUint8(47)).toBe(0x10 | (i === 4 ? 0x09 : 0) | (i === 0 ? 0x80 : 0));
        expect(view.getUint8(54)).toBe((i * 1448) & 255);
      }
      for (const devid of [1, 2]) expect(yield* rig.nics.detach(SELF, devid, true)).toBe(true);
      whole.close();
      cut.close();
    });
  });

  test("eighteen slots make one frame, and arrive as one in slots of a page", () => {
    withRaw(function* (rig, raw): Task {
      yield* rig.attach(1);
      const other = new RawFront(rig, 1);
      expect([yield* raw.connect(), yield* other.connect()]).toEqual(["4", "4"]);
      for (let i = 0; i < 5; i++) other.rx(other.refs[i], i);
      other.push();
      raw.frame(0, 100, 500);
      for (let i = 1; i < 18; i++) raw.data.bytes.fill(i, i * 4096, (i + 1) * 4096);
      raw.tx({ offset: 100, size: 500 + 17 * 900, flags: MORE });
      for (let i = 1; i < 18; i++) raw.tx({ gref: raw.refs[i], offset: i * 10, size: 900, flags: i < 17 ? MORE : 0 });
      raw.push();
      yield* sleep(1e6);
      expect(raw.txResponses).toBe(18);
      expect(other.rxResponses).toBe(4);
      const flags = [0, 1, 2, 3].map((i) => other.rxResponse(i).flags);
      expect(flags).toEqual([4, 4, 4, 0]);
      expect([0, 1, 2, 3].map((i) => other.rxResponse(i).status)).toEqual([4096, 4096, 4096, 15800 - 3 * 4096]);
      const got = other.data.bytes.subarray(0, 15800);
      expect([...got.subarray(0, 500)]).toEqual([...raw.data.bytes.subarray(100, 600)]);
      for (let i = 1; i < 18; i++) {
        const from = 500 + (i - 1) * 900;
        expect(got.subarray(from, from + 900).every((byte) => byte === i)).toBe(true);
      }
      expect(yield* rig.nics.detach(SELF, 1, true)).toBe(true);
      other.close();
    });
  });
});

describe("a ring that can't be right is shut, and can be begun anew", () => {
  const cases: [string, (raw: RawFront) => void][] = [
    ["an index that jumps", (raw) => void (raw.txProd += 257)],
    ["an index that goes back", (raw) => void (raw.txProd -= 2)],
    ["an rx index that jumps", (raw) => void (raw.rxProd += 300)],
    ["a packet without an end", (raw) => raw.tx({ flags: MORE })],
    ["an extra slot that is missing", (raw) => raw.tx({ flags: NETTXF_extra_info })],
    [
      "an extra slot of no type",
      (raw) => {
        raw.tx({ flags: NETTXF_extra_info });
        raw.txRaw(extra(0));
      },
    ],
  ];
  test.each(cases)("%s", (name, spoil) => {
    withRaw(function* (rig, raw): Task {
      expect(yield* raw.connect()).toBe("4");
      const other = yield* rig.station(1);
      raw.frame(0);
      raw.tx({ id: 3 });
      spoil(raw);
      raw.push();
      if (name.includes("rx")) yield* other.resolve(parseIp("10.0.0.9"));
      yield* sleep(1e6);
      expect(raw.state).toBe("5");
      expect(rig.xs.read("/local/domain/0/error/backend/vif/0/0/error")).toBeDefined();
      yield* raw.restart();
      expect(yield* raw.connect()).toBe("4");
      raw.tx({ id: 9 });
      raw.push();
      yield* sleep(1e6);
      expect(raw.txResponse(0)).toEqual({ id: 9, status: NETIF_RSP_OKAY });
    });
  });

  test.each([
    ["tx-ring-ref", "1999"],
    ["rx-ring-ref", "many"],
    ["event-channel", "4000"],
    ["event-channel", "-1"],
    ["request-rx-copy", "0"],
  ])("nodes: %s = %s", (name, value) => {
    withRaw(function* (_rig, raw): Task {
      expect(yield* raw.connect({ [name]: value })).toBe("5");
      yield* raw.restart();
      expect(yield* raw.connect()).toBe("4");
    });
  });
});

test(`${FUZZ_CASES} random slots, indexes and restarts`, () => {
  const counts = fuzz(Number(process.env["NET_RING_SEED"] ?? 20261120), FUZZ_CASES);
  expect(counts.cases).toBeGreaterThanOrEqual(FUZZ_CASES);
  expect(counts.okay).toBeGreaterThan(FUZZ_CASES / 20);
  expect(counts.errors).toBeGreaterThan(FUZZ_CASES / 20);
  expect(counts.shut).toBeGreaterThan(10);
});

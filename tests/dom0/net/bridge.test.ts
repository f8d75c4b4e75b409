// The learning switch, its queues and captures, on frames in plain memory.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bridge } from "../../../dom0/net/bridge.ts";
import { Csum, type Frame, FramePool } from "../../../dom0/net/frame.ts";
import { pcapHeader, pcapRecord } from "../../../dom0/net/pcap.ts";
import { FrameQueue } from "../../../dom0/net/queue.ts";
import { Credit } from "../../../dom0/net/rate.ts";
import type { Pages } from "../../../guests/sdk/index.ts";

/** A pool over ordinary memory; `chunks` counts what it took. */
function pool(limit = 1 << 20): FramePool & { chunks: number } {
  const made = new FramePool((count) => {
    made.chunks++;
    const bytes = new Uint8Array(new SharedArrayBuffer(count * 4096));
    return { bytes, mfn: made.chunks * 100, count } as unknown as Pages;
  }, limit) as FramePool & { chunks: number };
  made.chunks = 0;
  return made;
}

function frame(from: FramePool, target: number, source: number, size = 60): Frame {
  const made = from.alloc(size);
  if (made === undefined) throw new Error("no frame");
  const write = (at: number, mac: number): void => {
    made.view.setUint16(at, Math.floor(mac / 4294967296));
    made.view.setUint32(at + 2, mac >>> 0);
  };
  write(0, target);
  write(6, source);
  return made;
}

/** A bridge with ports "a", "b", "c", a clock, and what each port got: sources of frames. */
function setUp() {
  let now = 0;
  const frames = pool();
  const bridge = new Bridge("test", () => now);
  const got: Record<string, number> = { a: 0, b: 0, c: 0 };
  const ports = Object.fromEntries(
    ["a", "b", "c"].map((name) => [name, bridge.attach({ name, deliver: () => got[name]++ })]),
  );
  const send = (port: string, target: number, source: number): Record<string, number> => {
    for (const name of Object.keys(got)) got[name] = 0;
    const made = frame(frames, target, source);
    ports[port].receive(made);
    made.release();
    return { ...got };
  };
  return { bridge, ports, send, pass: (ns: number) => (now += ns) };
}

const A = 0x00163e000001;
const B = 0x00163e000002;
const ALL = 0xffffffffffff;

describe("the bridge", () => {
  test("floods what it doesn't know, then sends to the one port where the address was seen", () => {
    const { send, bridge } = setUp();
    expect(send("a", B, A)).toEqual({ a: 0, b: 1, c: 1 });
    expect(send("b", A, B)).toEqual({ a: 1, b: 0, c: 0 });
    expect(send("a", B, A)).toEqual({ a: 0, b: 1, c: 0 });
    expect(send("a", ALL, A)).toEqual({ a: 0, b: 1, c: 1 });
    expect([bridge.portOf(A), bridge.portOf(B)]).toEqual(["a", "b"]);
  });

  test("a station that moves is found at its new port, one on the sender's own side is left there", () => {
    const { send } = setUp();
    send("a", ALL, A);
    send("b", ALL, A);
    expect(send("c", A, B)).toEqual({ a: 0, b: 1, c: 0 });
    expect(send("b", A, 0x00163e000003)).toEqual({ a: 0, b: 0, c: 0 });
  });

  test("forgets an address after 300 s of silence, and a port's addresses with the port", () => {
    const { send, pass, ports, bridge } = setUp();
    send("b", ALL, B);
    pass(299e9);
    expect(send("a", B, A)).toEqual({ a: 0, b: 1, c: 0 });
    pass(2e9);
    expect(send("a", B, A)).toEqual({ a: 0, b: 1, c: 1 });
    send("b", ALL, B);
    ports["b"].detach();
    expect(bridge.portOf(B)).toBeUndefined();
    expect(send("a", B, A)).toEqual({ a: 0, b: 0, c: 1 });
    expect(send("b", A, B)).toEqual({ a: 0, b: 0, c: 0 });
  });

  test("learns no group or zero address, and forwards nothing to 802.1D's own addresses", () => {
    const { send } = setUp();
    expect(send("a", B, 0x01005e000001)).toEqual({ a: 0, b: 0, c: 0 });
    expect(send("a", B, 0)).toEqual({ a: 0, b: 0, c: 0 });
    expect(send("a", 0x0180c200000e, A)).toEqual({ a: 0, b: 0, c: 0 });
  });

  test("a flood of invented sources fills only the flooder's share of the table", () => {
    const { send, bridge } = setUp();
    for (let i = 0; i < 5000; i++) send("a", ALL, 0x020000000000 + i);
    send("b", ALL, B);
    expect(bridge.portOf(B)).toBe("b");
    expect(bridge.portOf(0x020000000000 + 1023)).toBe("a");
    expect(bridge.portOf(0x020000000000 + 1024)).toBeUndefined();
  });
});

describe("frames", () => {
  test("slots are used again, and memory is bounded by the limit", () => {
    const frames = pool(256 * 1024);
    for (let round = 0; round < 10; round++) {
      const held = Array.from({ length: 128 }, () => frames.alloc(1500) as Frame);
      expect(frames.alloc(1500)).toBeUndefined();
      expect(new Set(held.map((f) => f.mfn * 4096 + f.offset)).size).toBe(128);
      for (const f of held) f.release();
    }
    expect([frames.chunks, frames.used]).toEqual([4, 0]);
    const large = frames.alloc(65535) as Frame;
    expect(large.room).toHaveLength(65536);
    large.release();
    expect(() => large.release()).toThrow("twice");
  });

  test("a queue keeps order and its bound, and gives everything back", () => {
    const frames = pool();
    const queue = new FrameQueue(3 * 2048);
    const sent = [1, 2, 3, 4].map((n) => frame(frames, ALL, n));
    expect(sent.map((f) => queue.push(f))).toEqual([true, true, true, false]);
    for (const f of sent) f.release();
    expect([queue.length, queue.dropped, frames.used]).toEqual([3, 1, 3 * 2048]);
    const first = queue.shift() as Frame;
    expect(first).toBe(sent[0]);
    first.release();
    queue.close();
    expect([queue.length, frames.used]).toEqual([0, 0]);
    const late = frame(frames, ALL, 5);
    expect(queue.push(late)).toBe(false);
  });
});

describe("senders to one port", () => {
  const fill = (queue: FrameQueue, frames: FramePool, source: number, count: number, size = 60): boolean[] =>
    Array.from({ length: count }, () => {
      const f = frame(frames, ALL, source, size);
      const held = queue.push(f);
      f.release();
      return held;
    });
  const drain = (queue: FrameQueue): number[] => {
    const sources: number[] = [];
    for (let f = queue.shift(); f !== undefined; f = queue.shift()) {
      sources.push(f.view.getUint8(11));
      f.release();
    }
    return sources;
  };

  test("take turns, each one's frames in order", () => {
    const frames = pool();
    const queue = new FrameQueue();
    fill(queue, frames, 1, 4);
    fill(queue, frames, 2, 2);
    expect(queue.peek()?.view.getUint8(11)).toBe(1);
    expect(drain(queue)).toEqual([1, 2, 1, 2, 1, 1]);
    expect([queue.length, frames.used]).toEqual([0, 0]);
  });

  test("who floods loses its own frames, not others'", () => {
    const frames = pool();
    const queue = new FrameQueue(8 * 2048);
    expect(fill(queue, frames, 1, 20).filter(Boolean)).toHaveLength(8);
    expect(fill(queue, frames, 2, 4)).toEqual([true, true, true, true]);
    expect(fill(queue, frames, 2, 2)).toEqual([false, false]);
    expect(fill(queue, frames, 1, 2)).toEqual([false, false]);
    expect([queue.length, queue.dropped]).toEqual([8, 20]);
    expect(drain(queue)).toEqual([1, 2, 1, 2, 1, 2, 1, 2]);
    expect(frames.used).toBe(0);
  });

  test("one long frame makes room for short ones of others, and its sender is then without a turn", () => {
    const frames = pool();
    const queue = new FrameQueue(65536);
    expect(fill(queue, frames, 1, 1, 9000)).toEqual([true]);
    expect(fill(queue, frames, 2, 1)).toEqual([true]);
    expect([queue.length, queue.dropped, queue.peek()?.view.getUint8(11)]).toEqual([1, 1, 2]);
    expect(drain(queue)).toEqual([2]);
    expect(frames.used).toBe(0);
  });

  test("whatever comes and goes, the bound holds and no frame is lost or kept", () => {
    const step = fc.record({
      source: fc.integer({ min: 1, max: 5 }),
      long: fc.boolean(),
      take: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const frames = pool();
        const queue = new FrameQueue(3 * 65536);
        let taken = 0;
        for (const { source, long, take } of steps) {
          fill(queue, frames, source, 1, long ? 3000 : 60);
          for (let i = 0; i < take; i++) {
            const next = queue.peek();
            const f = queue.shift();
            if (f !== next) return false;
            if (f !== undefined) taken++;
            f?.release();
          }
          if (frames.used > 3 * 65536) return false;
        }
        return queue.length + queue.dropped + taken === steps.length && drain(queue).length >= 0 && frames.used === 0;
      }),
    );
  });
});

test("credit: so many bytes an interval, unused ones lost, a larger frame when it is whole", () => {
  const credit = new Credit({ bytesPerInterval: 1000, intervalUs: 1000 });
  expect(credit.take(600, 0)).toBe(0);
  expect(credit.take(600, 100_000)).toBe(900_000);
  expect(credit.take(600, 1_000_000)).toBe(0);
  expect(credit.take(400, 1_000_000)).toBe(0);
  expect(credit.take(1, 1_500_000)).toBe(500_000);
  expect(credit.take(5000, 9_000_000)).toBe(0);
  expect(credit.take(1, 9_000_000)).toBe(1_000_000);
  expect(new Credit(undefined).take(1e9, 0)).toBe(0);
});

test("a capture's records have time and size, and blank checksums filled in in the copy alone", () => {
  const view = new DataView(pcapHeader().buffer);
  expect([view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true), view.getUint32(20, true)]).toEqual(
    [0xa1b23c4d, 2, 4, 1],
  );
  const made = frame(pool(), ALL, A, 46);
  // IPv4, UDP from 1.2.3.4 to 5.6.7.8, ports 1 and 2, 4 bytes of data.
  const ip = [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0, 2, 0, 12, 0, 0, 9, 9, 9, 9];
  made.room.set([8, 0, ...ip], 12);
  made.csum = Csum.blank;
  const record = pcapRecord(made, 1_700_000_000_123.5);
  const head = new DataView(record.buffer, 0, 16);
  expect([0, 4, 8, 12].map((at) => head.getUint32(at, true))).toEqual([1_700_000_000, 123_500_000, 46, 46]);
  const words = [0x0102, 0x0304, 0x0506, 0x0708, 17, 12, 1, 2, 12, 0x0909, 0x0909];
  const sum = words.reduce((a, b) => a + b);
  expect(new DataView(record.buffer).getUint16(16 + 40)).toBe(~((sum & 0xffff) + (sum >> 16)) & 0xffff);
  expect(made.view.getUint16(40)).toBe(0);
});

// shared/ring.ts, the byte rings of consoles and xenstore: bytes come out as they went in, from any index, and indexes that
// the other side made up do no harm.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ByteRing,
  CONSOLE_IN,
  CONSOLE_OUT,
  RING_BAD,
  type RingLayout,
  XENSTORE_REQ,
  XENSTORE_RSP,
} from "../../shared/ring.ts";

const layouts: Record<string, RingLayout> = { CONSOLE_IN, CONSOLE_OUT, XENSTORE_REQ, XENSTORE_RSP };

function page(layout: RingLayout, index = 0) {
  const memory = new Uint8Array(new SharedArrayBuffer(8192));
  const view = new DataView(memory.buffer, 4096);
  view.setUint32(layout.cons, index, true);
  view.setUint32(layout.prod, index, true);
  return { memory, view, ring: new ByteRing(memory, 4096, layout) };
}

describe.each(Object.entries(layouts))("%s", (_name, layout) => {
  test("hands over the bytes of a queue, in order, from any starting index and in any pieces", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: layout.size + 50 })), { maxLength: 60 }),
        (index, steps) => {
          const { memory, ring, view } = page(layout, index);
          const queue: number[] = [];
          let next = 0;
          for (const [write, length] of steps) {
            if (write) {
              const data = Uint8Array.from({ length }, () => next++ & 0xff);
              const taken = ring.write(data);
              expect(taken).toBe(Math.min(length, layout.size - queue.length));
              queue.push(...data.subarray(0, taken));
              next -= length - taken;
            } else {
              const target = new Uint8Array(length);
              const got = ring.read(target);
              expect([...target.subarray(0, got)]).toEqual(queue.splice(0, length));
            }
            expect(ring.available()).toBe(queue.length);
            expect(ring.space()).toBe(layout.size - queue.length);
          }
          expect((view.getUint32(layout.prod, true) - view.getUint32(layout.cons, true)) >>> 0).toBe(queue.length);
          expect(memory.subarray(0, 4096).every((b) => b === 0)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("an index further away than the ring is long is reported and moves nothing", () => {
    for (const [cons, prod] of [
      [0, layout.size + 1],
      [1, 0],
      [0, 0x80000000],
      [0xffffffff, layout.size],
    ]) {
      const { memory, view, ring } = page(layout);
      view.setUint32(layout.cons, cons, true);
      view.setUint32(layout.prod, prod, true);
      const before = memory.slice();
      expect(ring.available()).toBe(RING_BAD);
      expect(ring.space()).toBe(RING_BAD);
      expect(ring.read(new Uint8Array(10))).toBe(RING_BAD);
      expect(ring.write(new Uint8Array([1, 2, 3]))).toBe(RING_BAD);
      expect(memory).toEqual(before);
    }
  });

  test("a full ring takes nothing and is not bad", () => {
    const { ring } = page(layout, 0xfffffff0);
    expect(ring.write(new Uint8Array(layout.size + 7))).toBe(layout.size);
    expect(ring.space()).toBe(0);
    expect(ring.write(new Uint8Array(1))).toBe(0);
    expect(ring.available()).toBe(layout.size);
  });
});

test("a page outside the memory is refused", () => {
  expect(() => new ByteRing(new Uint8Array(4096), 8, CONSOLE_IN)).toThrow(RangeError);
});

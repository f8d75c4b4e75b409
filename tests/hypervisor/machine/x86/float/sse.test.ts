// The two ways of SSE arithmetic, the host's own (sse_fast.ts) and the exact one (sse.ts), give the same bits and flags
// wherever the first says that it can do it; and it can in the usual cases.

import { describe, expect, it } from "vitest";
import { Operation } from "../../../../../hypervisor/machine/x86/float/arithmetic.ts";
import { F32, F64, type Format } from "../../../../../hypervisor/machine/x86/float/format.ts";
import { SseUnit } from "../../../../../hypervisor/machine/x86/float/sse.ts";
import { SseFast } from "../../../../../hypervisor/machine/x86/float/sse_fast.ts";
import { floatState } from "../../../../vectors/floats.ts";
import { Random, stateOf } from "../../../../vectors/format.ts";

const USUAL = 0x1f80;
const A = 0;
const B = 8;
const RESULT = 16;

const view = new DataView(new ArrayBuffer(64));
const exact = new SseUnit(view);
const fast = new SseFast(view);

/** Pairs of likely operands; every third has whole numbers, whose results are often exact. */
function* pairs(format: Format, count: number, seed: number): Generator<void> {
  const random = new Random(seed);
  for (let i = 0; i < count; ) {
    const state = stateOf(random.u32());
    floatState(state, format === F32 ? "s" : "d", random);
    const from = new DataView(state.fx.buffer, 160);
    for (let at = 0; at + 16 <= 256; at += 16, i++) {
      for (const [to, source] of [
        [A, at],
        [B, at + 8],
      ]) {
        view.setBigUint64(to, from.getBigUint64(source, true), true);
        if (i % 3 !== 0) continue;
        const whole = random.below(2000) - 1000;
        if (format === F32) view.setFloat32(to, whole, true);
        else view.setFloat64(to, whole, true);
      }
      yield;
    }
  }
}

const bits = (format: Format, at: number) =>
  format === F32 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);
const show = () => `${bits(F64, A).toString(16)} ${bits(F64, B).toString(16)}`;

describe.each([
  ["single", F32],
  ["double", F64],
] as const)("%s precision", (_, format) => {
  it.each(Object.entries(Operation))("%s agrees in result and flags", (_name, operation) => {
    let done = 0;
    for (const _pair of pairs(format, 6000, 11)) {
      exact.begin(USUAL);
      const wanted = exact.arithmetic(operation, format, A, B);
      view.setBigUint64(RESULT, view.getBigUint64(A, true), true);
      expect(fast.usual(USUAL)).toBe(true);
      if (!fast.arithmetic(operation, format, 1, RESULT, B)) continue;
      done++;
      if (bits(format, RESULT) !== wanted || fast.mxcsr !== exact.mxcsr) {
        expect(`${show()} -> ${bits(format, RESULT).toString(16)} ${fast.mxcsr.toString(16)}`).toBe(
          `${show()} -> ${wanted.toString(16)} ${exact.mxcsr.toString(16)}`,
        );
      }
    }
    expect(done).toBeGreaterThan(1500);
  });

  it("comparison, min, max and conversion to a whole number agree", () => {
    let done = 0;
    for (const _pair of pairs(format, 6000, 12)) {
      exact.begin(USUAL);
      fast.usual(USUAL);
      const order = fast.order(format, A, B);
      if (order !== undefined) {
        done++;
        expect(order).toBe(exact.order(format, A, B, true));
        for (const max of [false, true]) {
          view.setBigUint64(RESULT, view.getBigUint64(A, true), true);
          expect(fast.extreme(max, format, 1, RESULT, B)).toBe(true);
          expect(bits(format, RESULT)).toBe(exact.extreme(max, format, A, B));
        }
        expect(exact.mxcsr).toBe(USUAL);
      }
      const value = fast.truncated(format, A, 64);
      if (!Number.isNaN(value)) {
        expect(BigInt.asUintN(64, BigInt(value))).toBe(exact.integer(format, A, 64, true));
        expect(fast.mxcsr).toBe(exact.mxcsr);
      }
    }
    expect(done).toBeGreaterThan(3000);
  });

  it("the usual way is refused under any other MXCSR", () => {
    for (const mxcsr of [0x1f00, 0x3f80, 0x9f80, 0x1fc0, 0x7f80, 0]) expect(fast.usual(mxcsr)).toBe(false);
  });
});

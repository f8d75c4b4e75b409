// Lines out of pieces of bytes, cut anywhere.

import { expect, it } from "vitest";
import { LineReader, MAX_LINE } from "../../../dom0/shell/line_reader.ts";
import type { Task } from "../../../guests/sdk/index.ts";

function linesOf(pieces: readonly (string | Uint8Array)[]): string[] {
  const left = [...pieces];
  // biome-ignore lint/correctness/useYield: a task that never waits.
  const reader = new LineReader(function* (): Task<Uint8Array | undefined> {
    const piece = left.shift();
    return typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
  });
  const lines: string[] = [];
  for (;;) {
    const step = reader.next().next();
    if (!step.done) throw new Error("it waits");
    if (step.value === undefined) return lines;
    lines.push(step.value);
  }
}

it("puts lines together, whatever their ends", () => {
  expect(linesOf(["a\nb", "c\r", "\n\n", "d"])).toEqual(["a", "bc", "", "d"]);
  expect(linesOf([])).toEqual([]);
  const e = new TextEncoder().encode("é\n");
  expect(linesOf([e.subarray(0, 1), e.subarray(1)])).toEqual(["é"]);
  expect(linesOf([Uint8Array.of(0xff, 0, 10)])).toEqual(["\ufffd\0"]);
});

it("keeps of a line without end no more than shows that it is too long, and goes on behind it", () => {
  const endless = Array.from({ length: 2000 }, () => "x".repeat(1000));
  const [line, next] = linesOf([...endless, "\ny\n"]);
  expect(line.length).toBeGreaterThan(MAX_LINE);
  expect(line.length).toBeLessThanOrEqual(MAX_LINE + 1001);
  expect(next).toBe("y");
});

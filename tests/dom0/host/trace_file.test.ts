// Writing from a thread without an event loop: pieces, a full pipe, an end.

import { expect, it } from "vitest";
import { writeAll } from "../../../dom0/host/trace_file.ts";

const fault = (code: string): Error => Object.assign(new Error(code), { code });

/** writeSync of a pipe that takes `most` bytes at once and is full every second time. */
function pipe(most: number): { write: Parameters<typeof writeAll>[2]; taken: () => string } {
  let taken = "";
  let full = false;
  const write = (_fd: number, bytes: Uint8Array, at = 0): number => {
    full = !full;
    if (full) throw fault("EAGAIN");
    const piece = bytes.subarray(at, at + most);
    taken += Buffer.from(piece).toString("latin1");
    return piece.length;
  };
  return { write: write as Parameters<typeof writeAll>[2], taken: () => taken };
}

it("all is written, however small the pieces and however often the pipe is full", () => {
  const { write, taken } = pipe(3);
  writeAll(2, Buffer.from("a line of a trace\n"), write);
  expect(taken()).toBe("a line of a trace\n");
});

it("another failure is thrown", () => {
  const broken = (): never => {
    throw fault("EPIPE");
  };
  expect(() => writeAll(2, Buffer.from("x"), broken)).toThrow("EPIPE");
});

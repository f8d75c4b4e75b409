// Uplinks of the host: frames between two streams over a socket, neighbours that come late, go, or break the form.
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FrameSplitter } from "../../../dom0/host/frame_splitter.ts";
import { NodeNet } from "../../../dom0/host/net.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-uplink-"));
const net = new NodeNet();
afterAll(() => {
  net.closeAll();
  rmSync(folder, { recursive: true, force: true });
});

/** A frame in the stream's form. */
function framed(size: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(4 + size).fill(fill);
  new DataView(bytes.buffer).setUint32(0, size);
  return bytes;
}

const LIMIT = 70_000;

describe("streams", () => {
  test("two machines join over a socket, whoever is there first", async () => {
    const path = join(folder, "joined.sock");
    const early = await net.open(`unix:${path}`); // Nobody listens yet.
    const server = await net.open(`listen:unix:${path}`);
    const reading = net.read(server, LIMIT);
    const knock = setInterval(() => net.write(early, framed(60, 7)), 50); // Lost until it is connected.
    expect(Uint8Array.from((await reading).subarray(0, 64))).toEqual(framed(60, 7));
    clearInterval(knock);
    net.write(server, framed(1514, 8));
    net.write(server, framed(14, 9));
    let got = 0;
    while (got < 1518 + 18) got += (await net.read(early, LIMIT)).length;
    expect(got).toBe(1518 + 18);
    net.close(early);
    net.close(server);
  });

  test("a read waits, and ends with the stream; a neighbour that breaks the form is dropped, the next one served", async () => {
    const path = join(folder, "broken.sock");
    const server = await net.open(`listen:unix:${path}`);
    const bad = connect(path);
    await new Promise<void>((resolve) => bad.once("connect", () => resolve()));
    bad.write(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
    await new Promise<void>((resolve) => bad.once("close", () => resolve()));
    const good = connect(path);
    good.write(framed(60, 1));
    expect(Uint8Array.from(await net.read(server, LIMIT))).toEqual(framed(60, 1));
    const last = net.read(server, LIMIT);
    net.close(server);
    expect(await last).toHaveLength(0);
    good.destroy();
  });

  test("a neighbour that takes nothing loses frames, and takes no memory", async () => {
    const path = join(folder, "slow.sock");
    const server = await net.open(`listen:unix:${path}`);
    const neighbour = connect(path);
    neighbour.pause();
    await new Promise<void>((resolve) => neighbour.once("connect", () => resolve()));
    // A frame of its own shows that it is connected on both sides.
    neighbour.write(framed(60, 1));
    await net.read(server, LIMIT);
    const frame = framed(60_000, 2);
    const SENT = 400;
    for (let i = 0; i < SENT; i++) {
      net.write(server, frame);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const splitter = new FrameSplitter();
    let large = 0;
    let small = 0;
    neighbour.on("data", (bytes) => {
      splitter.add(bytes);
      for (let next = splitter.take(frame.length); next.length > 0; next = splitter.take(frame.length))
        if (next.length === frame.length) large++;
        else small++;
    });
    neighbour.resume();
    // As soon as it has taken what waited, it gets frames again.
    while (small === 0) {
      net.write(server, framed(14, 3));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(large).toBeGreaterThan(10);
    expect(large).toBeLessThan(SENT / 4);
    neighbour.destroy();
    net.close(server);
  });

  test("a neighbour that floods is held up, while dom0 takes nothing", async () => {
    const path = join(folder, "flood.sock");
    const server = await net.open(`listen:unix:${path}`);
    const neighbour = connect(path);
    const FRAMES = 400;
    for (let i = 0; i < FRAMES; i++) neighbour.write(framed(60_000, i));
    const left = (): number => neighbour.writableLength;
    // It goes on until nothing is taken any more.
    for (let before = -1; before !== left(); await new Promise((resolve) => setTimeout(resolve, 100))) before = left();
    expect(left()).toBeGreaterThan((FRAMES * 60_004) / 2);
    // Dom0 takes them all, in order.
    let frames = 0;
    while (frames < FRAMES) {
      const bytes = await net.read(server, LIMIT);
      for (let at = 0; at < bytes.length; at += 60_004) expect(bytes[at + 4]).toBe(frames++ & 255);
    }
    net.close(server);
    neighbour.destroy();
  });

  test.each(["pigeon", "tcp:host", "unix:", "listen:tcp:1"])("%s is refused", async (spec) => {
    await expect(net.open(spec)).rejects.toMatchObject({ code: "EINVAL" });
  });
});

test("the splitter gives whole frames, as many as fit, however the bytes arrive", () => {
  const stream = [framed(60, 1), framed(0, 0), framed(1514, 2), framed(65535, 3)];
  const bytes = Buffer.concat(stream);
  for (const step of [7, 63, 64, 65, 1500, bytes.length]) {
    const splitter = new FrameSplitter();
    const got: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += step) {
      expect(splitter.add(bytes.subarray(at, at + step))).toBe(true);
      if (step >= 60) got.push(splitter.take(LIMIT).slice());
    }
    for (let rest = splitter.take(LIMIT); rest.length > 0; rest = splitter.take(LIMIT)) got.push(rest.slice());
    expect(Buffer.compare(Buffer.concat(got), bytes)).toBe(0);
    expect(splitter.size).toBe(0);
  }
  expect(new FrameSplitter().add(Uint8Array.from([0, 1, 0, 0]))).toBe(false);
});

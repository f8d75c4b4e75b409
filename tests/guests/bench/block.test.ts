// The disk frontend in C behind `npm run bench -- block`: all that it says it did is on the disk, whatever of the backend's offers
// it takes, and bytes that aren't right don't escape it. On the virtual clock; how long it takes is for the bench to say.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dom0Kernel } from "../../../dom0/kernel.ts";
import { elfPath, root } from "../../../scripts/guests/build.ts";
import { Dom0Machine } from "../../harness/dom0.ts";

const FOLDER = "guests/bench/block";
const SECTORS = 2048;

/** Boots it with these jobs; its lines, and the disk as it left it. */
function boot(
  jobs: string,
  disk: Uint8Array = new Uint8Array(SECTORS * 512),
  disks = '"a.img,raw,xvda,rw"',
): { lines: string[]; words: Uint32Array } {
  const cfg = readFileSync(join(root, FOLDER, "block.cfg"), "utf8");
  const files = {
    "block.cfg": `${cfg}disk = [ ${disks} ]\nextra = "${jobs}"\n`,
    [elfPath(FOLDER)]: readFileSync(join(root, elfPath(FOLDER))),
    "a.img": disk,
  };
  const machine = new Dom0Machine({ main: dom0Kernel(), memoryMiB: 96, dom0MemoryMiB: 32, files });
  machine.host.type("xl create -q -c block.cfg\nxl list\n");
  machine.host.endInput();
  machine.runToExit();
  expect(machine.machine.checker()).toEqual([]);
  const after = Uint8Array.from(machine.host.disk.get("a.img") as Uint8Array);
  const { output } = machine.host;
  const lines = output.slice(0, output.lastIndexOf("Name ")).trimEnd().split("\n");
  return { lines, words: new Uint32Array(after.buffer) };
}

const word = (seed: number, sector: number, i: number): number =>
  (Math.imul(sector, 2654435761) + Math.imul(seed, 40503) + i * 97) >>> 0;

/** Sectors that don't hold the pattern, of those that `count` requests of `size` bytes write. */
function notWritten(
  words: Uint32Array,
  { seed, size, count }: { seed: number; size: number; count: number },
): number[] {
  const each = size / 512;
  const places = Math.floor(SECTORS / each);
  const sectors = Array.from({ length: count }, (_, i) => ((seed + i * 7919) % places) * each).flatMap((first) =>
    Array.from({ length: each }, (_, n) => first + n),
  );
  return sectors.filter((sector) =>
    words.subarray(sector * 128, sector * 128 + 128).some((value, i) => value !== word(seed, sector, i)),
  );
}

describe("the block bench kernel", () => {
  test.each([
    ["", "8 pages of ring, 256 indirect segments, grants persistent"],
    ["order=0 indirect=0 persistent=0 ", "1 pages of ring, 0 indirect segments, grants not persistent"],
    ["order=1 ", "2 pages of ring, 256 indirect segments"],
  ])("with %j writes what it says, flushes and finds it again", (options, connected) => {
    const cases = [
      { seed: 1, size: 4096, depth: 32, count: 40 },
      { seed: 2, size: 131072, depth: 8, count: 8 },
      { seed: 3, size: 512, depth: 1, count: 5 },
    ];
    for (const { seed, size, depth, count } of cases) {
      const { lines, words } = boot(`${options}op=verify size=${size} depth=${depth} count=${count} seed=${seed}`);
      expect(lines[0]).toContain(connected);
      expect(lines[1]).toMatch(
        new RegExp(`^block: verify ${size} bytes, depth ${depth}, ${2 * count} requests: \\d+ ns each, \\d+ MiB/s$`),
      );
      expect(lines.slice(2)).toEqual(["block: end"]);
      expect(notWritten(words, { seed, size, count })).toEqual([]);
      expect(notWritten(words, { seed: seed + 1, size, count: 1 })).toHaveLength(size / 512);
    }
  });

  test("does its jobs in turn, and says what is wrong with one", () => {
    const { lines } = boot(
      "op=read size=4K depth=4 count=20 rounds=2; op=write size=64K depth=2 count=6;op=erase; size=1000; depth=99; size=2M",
    );
    expect(lines.slice(1, 3)).toEqual(
      [0, 1].map(() => expect.stringMatching(/^block: read 4096 bytes, depth 4, 20 req/)),
    );
    expect(lines[3]).toMatch(/^block: write 65536 bytes, depth 2, 6 requests: \d+ ns each, \d+ MiB\/s$/);
    expect(lines.slice(4)).toEqual([
      "block: op is read, write, verify or check",
      "block: size is sectors, at most 4M",
      "block: depth is 1 to 64, and depth times size at most 4M",
      "block: size is more than the disk",
      "block: end",
    ]);
  });

  test("tells of what the backend refuses, and of no disk", () => {
    const { lines, words } = boot("op=write count=20 depth=3; op=read count=5", undefined, '"a.img,raw,xvda,r"');
    expect(lines[1]).toMatch(/^block: write 4096 bytes, depth 3, 20 requests: .* MiB\/s, 20 FAILED$/);
    expect(lines[2]).toMatch(/^block: read 4096 bytes, depth 1, 5 requests: .* MiB\/s$/);
    expect(words.every((value) => value === 0)).toBe(true);
    expect(boot("op=read", undefined, "").lines).toEqual(["block: there is no disk", "block: end"]);
  });

  test("tells of a wrong byte", () => {
    const job = "size=8K depth=2 count=10 seed=5";
    const { words } = boot(`op=verify ${job}`);
    const disk = new Uint8Array(words.buffer);
    expect(boot(`op=check ${job}`, disk).lines[1]).toMatch(/MiB\/s$/);
    disk[((5 + 7919 * 3) % 128) * 8192 + 4242] ^= 1;
    expect(boot(`op=check ${job}`, disk).lines[1]).toMatch(/MiB\/s, 1 words WRONG$/);
  });
});

// tests/system/disk_guest.test.ts at length: thirty kills, and a minute of attach, detach, pause and unpause.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { chaos, killRound } from "../harness/disk_guest.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-disk-guest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("thirty times killed, a guest's disk has all that was flushed", async () => {
  for (let round = 0; round < 30; round++) {
    const { problems, flushed } = await killRound(join(folder, "killed.img"), Math.random() * 3000);
    expect({ round, problems, flushed }).toMatchObject({ problems: [] });
    expect(flushed).toBeGreaterThan(0);
  }
});

test("for a minute of attach, detach, pause and unpause no byte is wrong", async () => {
  const outcome = await chaos(join(folder, "chaos.img"), 60_000);
  const { output, detached } = outcome;
  expect({ ...outcome, output: output.slice(-2000) }).toMatchObject({ problems: [], errors: "", status: 0 });
  expect(output.match(/^connected\n/gm)).toHaveLength(detached + 1);
  expect(detached).toBeGreaterThan(5);
});

// A guest with a block frontend of its own, in a machine of its own process, against what happens from outside: the whole machine
// is killed while it writes, its disk is taken away and given back, it is paused. tests/slow/disk_guest.test.ts has more of it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { chaos, DISK_BYTES, killRound, problems } from "../harness/disk_guest.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-disk-guest-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a guest's disk", () => {
  test("has all that was flushed when the machine is killed, at any moment", async () => {
    for (let round = 0; round < 3; round++) {
      const { problems, flushed } = await killRound(join(folder, "killed.img"), Math.random() * 500);
      expect({ problems, flushed }).toMatchObject({ problems: [] });
      expect(flushed).toBeGreaterThan(0);
    }
  });

  test("that lacked it would be noticed", () => {
    expect(problems(new Uint8Array(DISK_BYTES), 64)).toContain("sector 2848 is as request 0 left it, not 1");
  });

  test("never gives a wrong byte, whatever is attached, detached, paused and unpaused", async () => {
    const outcome = await chaos(join(folder, "chaos.img"), 4000);
    const { output, detached } = outcome;
    expect({ ...outcome, output: output.slice(-2000) }).toMatchObject({ problems: [], errors: "", status: 0 });
    expect(output).not.toMatch(/error|can't|not /i);
    expect(output.match(/^connected\n/gm)).toHaveLength(detached + 1);
    expect(outcome.paused).toBeGreaterThan(0);
    expect(output.slice(output.lastIndexOf("Domain-0"))).not.toMatch(/^disk/m);
  });
});

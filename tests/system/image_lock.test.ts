// Two machines, each a process of its own, and one image: the second gets one clear line, until the first is gone, killed or not.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RunningSession } from "../harness/running.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-image-lock-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const missing = spawnSync("flock", ["--version"]).error && "no flock";

test.skipIf(missing)(
  `two machines don't both write to an image${missing ? ` (skipped: ${missing})` : ""}`,
  async () => {
    const path = join(folder, "image");
    writeFileSync(path, new Uint8Array(1 << 20));
    const attach = (access: string): string => `xl block-attach ticker ${path},raw,xvda,${access}`;
    const machine = (): RunningSession =>
      new RunningSession(["xl create -q tests/guests/ticker/ticker.cfg"], { open: true });
    const one = machine();
    const two = machine();
    one.type(attach("rw"), "xl block-list ticker");
    await one.shows(/^51712 /m);
    const refused = `disk xvda: ${path}: already in use by another process\n`;
    two.type(attach("rw"), attach("ro"), "xl block-list ticker");
    await two.shows(`${refused}${refused}Vdev `);
    // A detached disk's lock is gone with it, and can be had again.
    one.type("xl block-detach ticker xvda", attach("rw"), "xenstore-write /again yes", "xenstore-read /again");
    await one.shows("yes\n");
    one.process.kill("SIGKILL");
    await one.ended;
    two.type(attach("rw"), "xl block-list ticker");
    const { output, errors } = await two.end();
    expect(errors).toBe("");
    expect(output.split("already in use")).toHaveLength(3);
    expect(output).toMatch(/^51712 /m);
  },
);

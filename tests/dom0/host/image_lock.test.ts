// One image and several processes: who writes has it alone, who reads shares it, a lock ends with its process.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { NodeFiles } from "../../../dom0/host/files.ts";
import { lockImage } from "../../../dom0/host/image_lock.ts";

const dir = mkdtempSync(join(tmpdir(), "xenolith-lock-"));
afterAll(() => rmSync(dir, { recursive: true }));
const missing = spawnSync("flock", ["--version"]).error && "no flock";

let images = 0;
function image(): string {
  const path = join(dir, `image${images++}`);
  writeFileSync(path, new Uint8Array(4096));
  return path;
}

/** A process that has the image open with a lock, until it is killed. */
async function holder(path: string, kind: "-x" | "-s"): Promise<ChildProcess> {
  const child = spawn("flock", [kind, path, "sh", "-c", "echo locked; exec sleep 100"], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child;
}

/** Its whole group: `flock` waits for the program that it runs. */
async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("close", resolve));
  process.kill(-(child.pid as number), "SIGKILL");
  await ended;
}

describe.skipIf(missing)(`an image${missing ? ` (skipped: ${missing})` : ""}`, () => {
  const BUSY = { code: "EBUSY" };

  test("belongs to one machine that writes, or to machines that read, until they close it", async () => {
    const path = image();
    // Each opens the file for itself, as processes do.
    const one = new NodeFiles();
    const two = new NodeFiles();
    const writer = await one.open(path, "r+", true);
    await expect(two.open(path, "r+", true)).rejects.toMatchObject(BUSY);
    await expect(two.open(path, "r", true)).rejects.toMatchObject(BUSY);
    // What is no disk takes no lock and minds none.
    await two.close((await two.open(path, "r")).handle);
    await one.close(writer.handle);

    const first = await one.open(path, "r", true);
    const second = await two.open(path, "r", true);
    await one.close(first.handle);
    await expect(one.open(path, "r+", true)).rejects.toMatchObject(BUSY);
    await two.close(second.handle);
    await one.close((await one.open(path, "r+", true)).handle);
  });

  test("that the same machine has is opened: dom0 says what it thinks of that", async () => {
    const path = image();
    const files = new NodeFiles();
    const first = await files.open(path, "r+", true);
    const second = await files.open(path, "r+", true);
    expect(second.identity).toBe(first.identity);
    await files.close(second.handle);
    await expect(new NodeFiles().open(path, "r", true)).rejects.toMatchObject(BUSY);
    await files.close(first.handle);
  });

  test("is free when the process that had it is killed", async () => {
    const path = image();
    const files = new NodeFiles();
    for (const kind of ["-x", "-s"] as const) {
      const child = await holder(path, kind);
      await expect(files.open(path, "r+", true)).rejects.toMatchObject(BUSY);
      const reading = files.open(path, "r", true);
      if (kind === "-x") await expect(reading).rejects.toMatchObject(BUSY);
      else await files.close((await reading).handle);
      await kill(child);
      await files.close((await files.open(path, "r+", true)).handle);
    }
  });

  test("can be used where nothing can be known of others", async () => {
    const path = image();
    const child = await holder(path, "-x");
    const fd = openSync(path, "r+");
    expect(await lockImage(fd, true)).toBe(false);
    const { PATH } = process.env;
    try {
      process.env["PATH"] = dir;
      expect(await lockImage(fd, true)).toBe(true);
    } finally {
      process.env["PATH"] = PATH;
      await kill(child);
    }
  });
});

// Logs of --log-dir: bounded files, the old ones kept in order, nothing lost within the bound.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Logs } from "../../../dom0/host/logs.ts";

const root = mkdtempSync(join(tmpdir(), "xenolith-logs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const text = (folder: string, name: string): string => readFileSync(join(folder, name), "utf8");
const bytes = (from: number, to: number): Uint8Array =>
  new TextEncoder().encode(Array.from({ length: to - from }, (_, i) => `${from + i}\n`.padStart(10, "0")).join(""));

describe("a log", () => {
  test("that reaches its limit is rotated; so many old files are kept, and no byte between them is lost", async () => {
    const folder = join(root, "rotate");
    const logs = new Logs(folder, 1000, 4);
    // 7000 bytes, not waited for one by one, in pieces that don't divide the limit, one of them longer than it.
    await Promise.all(
      [0, 30, 50, 51, 300, 320].map((from, i, all) => logs.append("guest-a.log", bytes(from, all[i + 1] ?? 700))),
    );
    await logs.append("other.log", bytes(0, 1));
    logs.close();
    expect(readdirSync(folder).sort()).toEqual([
      "guest-a.log",
      "guest-a.log.1",
      "guest-a.log.2",
      "guest-a.log.3",
      "guest-a.log.4",
      "other.log",
    ]);
    const kept = ["guest-a.log.4", "guest-a.log.3", "guest-a.log.2", "guest-a.log.1", "guest-a.log"];
    for (const name of kept) expect(text(folder, name).length).toBeLessThanOrEqual(1000);
    expect(kept.map((name) => text(folder, name)).join("")).toBe(new TextDecoder().decode(bytes(200, 700)));
  });

  test("is continued by the next machine, and what it holds counts", async () => {
    const folder = join(root, "continue");
    const first = new Logs(folder, 100, 1);
    await first.append("guest-b.log", bytes(0, 8));
    first.close();
    const second = new Logs(folder, 100, 1);
    await second.append("guest-b.log", bytes(8, 13));
    second.close();
    expect(text(folder, "guest-b.log.1") + text(folder, "guest-b.log")).toBe(new TextDecoder().decode(bytes(0, 13)));
    expect(readdirSync(folder)).toHaveLength(2);
  });

  test("that can't be written fails for who appends, and works again when it can be", async () => {
    const folder = join(root, "broken");
    const logs = new Logs(folder, 20, 1);
    await logs.append("guest-c.log", bytes(0, 2));
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "in the way");
    await expect(logs.append("guest-c.log", bytes(2, 3))).rejects.toMatchObject({ code: "ENOTDIR" });
    rmSync(folder);
    new Logs(folder);
    await logs.append("guest-c.log", bytes(3, 4));
    logs.close();
    expect(text(folder, "guest-c.log")).toBe(new TextDecoder().decode(bytes(3, 4)));
  });
});

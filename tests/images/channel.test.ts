// Linux's hvc_xen at a channel: /dev/hvc1 is a stream to a program of the host, which comes and goes; a bulk of bytes arrives whole.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { Configurations, lacking, session } from "./machine.ts";

const missing = lacking("vmlinuz", "shell");
const configurations = new Configurations();
const folder = mkdtempSync(join(tmpdir(), "xenolith-hvc1-"));
afterAll(() => {
  configurations.remove();
  rmSync(folder, { recursive: true, force: true });
});

const guest = { kernel: imagePath("vmlinuz"), memory: 160, ramdisk: imagePath("shell"), extra: "console=hvc0 quiet" };

/** Types a command, and waits until it is done. */
function typed(command: string, step: number): string {
  return `xl console linux --timeout 200 --send "${command}; echo done ${step}" --expect "done ${step}\\n"`;
}

describe.skipIf(missing)(`hvc_xen${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("is a stream to a program of the host, which may leave and come again", () => {
    const path = join(folder, "x.sock");
    const config = configurations.write("linux", {
      ...guest,
      channel: [`connection=socket,path=${path},name=org.example`],
    });
    const peer: ChildProcess = spawn(process.execPath, ["tests/images/channel_peer.mjs", path], { stdio: "inherit" });
    const { status, output, errors } = session([
      `xl create ${config}`,
      `xl console linux --timeout 200 --expect "xenolith# $"`,
      typed("exec 5<>/dev/hvc1; stty raw -echo <&5", 1),
      typed("echo hello >&5; head -n 1 <&5", 2),
      typed("echo again >&5; head -n 1 <&5", 3),
      typed("seq 5000 | tr -d '\\n' | cut -c 1-20000 > /f; cat /f >&5; head -n 1 <&5 | md5sum", 4),
      "xl channel-list linux",
      "xenstore-read /local/domain/1/device/console/1/name",
      "xl destroy linux",
    ]);
    peer.kill();
    expect(errors).toBe("");
    expect(output).toContain("HELLO\ndone 2\n");
    expect(output).toContain("AGAIN\ndone 3\n");
    const numbers = Array.from({ length: 5000 }, (_, i) => i + 1)
      .join("")
      .slice(0, 20_000);
    expect(output).toContain(createHash("md5").update(`${numbers}\n`.toUpperCase()).digest("hex"));
    expect(output).toMatch(/^1 {3}0 {2}4 +\d+ +\d+ +socket$/m);
    expect(output).toContain("\norg.example\n");
    expect(status).toBe(0);
  });
});

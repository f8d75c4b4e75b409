// Kernels in TypeScript as a person runs them: another process, its worker, the host's own bundling, files outside of the project.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const dir = mkdtempSync(join(tmpdir(), "xenolith-kernels-"));
afterAll(() => rmSync(dir, { recursive: true }));

function start(
  commands: readonly string[],
  options: readonly string[] = [],
): { status: number | null; output: string } {
  const input = commands.map((command) => `${command}\n`).join("");
  const args = ["scripts/start.mjs", ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { input, encoding: "utf8", timeout: 240_000 });
  return { status, output: stdout + stderr };
}

test("two guests of ours talk, and end", () => {
  const { status, output } = start([
    "xl create -q guests/udp-echo/server.cfg",
    "xl console echo-server --expect 'port 7$'",
    "xl create -q -c guests/udp-echo/client.cfg",
    "xl shutdown -w echo-server",
    "xl list",
  ]);
  expect(output).toContain("client: 20 of 20 came back right\n");
  expect(output.trimEnd().split("\n").at(-1)).toMatch(/^Domain-0/);
  expect(status).toBe(0);
});

test("a kernel outside of the project imports the SDK by name, and its stack has its own lines", () => {
  writeFileSync(
    join(dir, "own.ts"),
    `import { kernelMain } from "xenolith/sdk";
import { XENVER_version } from "xenolith/abi/version.ts";
import { say } from "./say.ts";

interface Version { readonly major: number }

export default kernelMain(function* (kernel) {
  const version: Version = { major: kernel.xen.xenVersion(XENVER_version) >> 16 };
  kernel.console.print(say(version.major));
  yield* kernel.console.drain();
  throw new Error("on line eleven");
});
`,
  );
  writeFileSync(join(dir, "say.ts"), `export const say = (n: number): string => "own: Xen " + n;\n`);
  writeFileSync(join(dir, "own.cfg"), 'name = "own"\nkernel = "own.ts"\nmemory = 8\n');
  const { output } = start([`xl create -q -c ${dir}/own.cfg`, "xl dmesg"]);
  expect(output).toContain("own: Xen 4\n");
  expect(output).toContain("(XEN) d1 Error: on line eleven\n");
  expect(output).toMatch(/\(XEN\) d1 {5}at .*own\.ts:11:/);
});

test("a machine may refuse them", () => {
  const { status, output } = start(["xl create -q guests/hello-ts/hello.cfg"], ["--no-typescript-kernels"]);
  expect(output).toBe("kernel guests/hello-ts/hello.ts: this machine was started with --no-typescript-kernels\n");
  expect(status).toBe(1);
});

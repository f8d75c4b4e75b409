// What `npm start` installs first: once, also for machines that start at once on a fresh clone. npm is one that takes notes.

import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "xenolith-install-"));
  mkdirSync(join(root, "scripts"));
  mkdirSync(join(root, "bin"));
  copyFileSync(
    fileURLToPath(new URL("../../scripts/install.mjs", import.meta.url)),
    join(root, "scripts", "install.mjs"),
  );
  writeFileSync(join(root, "package-lock.json"), "{}");
  writeNpm("0");
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** npm, which takes its time and ends with `status`. */
function writeNpm(status: string): void {
  const text = `#!/bin/sh\necho begin >> log\nsleep 0.3\nmkdir -p node_modules\necho end >> log\nexit ${status}\n`;
  writeFileSync(join(root, "bin", "npm"), text, { mode: 0o755 });
}

function install(): Promise<number | null> {
  const env = { ...process.env, PATH: `${join(root, "bin")}${delimiter}${process.env["PATH"]}` };
  const child = spawn(process.execPath, [join(root, "scripts", "install.mjs")], { env, stdio: "ignore" });
  return new Promise((resolve) => child.once("exit", resolve));
}

const log = (): string => readFileSync(join(root, "log"), "utf8");
const turn = (): string => join(root, ".xenolith-installing");

it("is done once for three that start at once", async () => {
  expect(await Promise.all([install(), install(), install()])).toEqual([0, 0, 0]);
  expect(log()).toBe("begin\nend\n");
  expect(existsSync(turn())).toBe(false);
});

it("is done again when the lock file has changed", async () => {
  await install();
  await install();
  writeFileSync(join(root, "package-lock.json"), "{ }");
  await install();
  expect(log()).toBe("begin\nend\nbegin\nend\n");
});

it("takes turns, and fails each time, when npm fails", async () => {
  writeNpm("1");
  expect(await Promise.all([install(), install()])).toEqual([1, 1]);
  expect(log()).toBe("begin\nend\nbegin\nend\n");
  expect(existsSync(turn())).toBe(false);
});

it("doesn't wait for one that was killed", async () => {
  writeFileSync(turn(), String(spawnSync(process.execPath, ["-e", ""]).pid));
  expect(await install()).toBe(0);
  expect(log()).toBe("begin\nend\n");
});

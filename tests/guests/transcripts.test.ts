// C guests whose transcript under real Xen 4.17 is committed, run here: each line is the same, but for what a guest can't
// know beforehand (its domain id, the digits of times), and for the differences listed with their reasons.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { dom0Kernel } from "../../dom0/kernel.ts";
import { build, compiler, elfPath, guestFolders, root } from "../../scripts/guests/build.ts";
import { Dom0Machine } from "../harness/dom0.ts";

/** What smoke prints here and why it isn't what Xen prints. A line that has become the same must be taken out. */
const DIFFERENT: Record<string, string> = {
  "smoke: invd: vector 13, error 0x0":
    "privileged by the processor manual; QEMU's TCG, under which it was recorded, lets it be",
};

/** Runs a guest to its end; what it printed. */
function run(folder: string, elf: Uint8Array): string {
  const cfg = `${folder}/${basename(folder)}.cfg`;
  const files = { [cfg]: readFileSync(join(root, cfg)), [elfPath(folder)]: elf };
  const machine = new Dom0Machine({ main: dom0Kernel(), memoryMiB: 64, dom0MemoryMiB: 16, files });
  machine.host.type(`xl create -q -c ${cfg}\n`);
  machine.host.endInput();
  machine.runToExit();
  expect(machine.machine.checker()).toEqual([]);
  return machine.host.output;
}

function masked(text: string): string[] {
  return text
    .replaceAll(/I am domain \d+/g, "I am domain #")
    .replaceAll(/system time [\d.]+/g, "system time #")
    .split("\n");
}

// Attacks have a test of their own: attacks.test.ts.
const recorded = guestFolders().filter(
  (folder) => !folder.startsWith("guests/attacks/") && existsSync(join(root, folder, "transcript.txt")),
);

test.each(recorded)("%s prints what it prints under real Xen", (folder) => {
  const want = masked(readFileSync(join(root, folder, "transcript.txt"), "utf8"));
  const got = masked(run(folder, readFileSync(join(root, elfPath(folder)))));
  const different = got.filter((line, i) => line !== want[i]);
  expect(different).toEqual(Object.keys(DIFFERENT).filter((line) => line.startsWith(`${basename(folder)}:`)));
  expect(got.length).toBe(want.length);
});

test.skipIf(compiler() === undefined)("hello, built anew, prints the same", () => {
  const dir = mkdtempSync(join(tmpdir(), "xenolith-hello-"));
  try {
    build("guests/hello", join(dir, "elf"));
    const want = readFileSync(join(root, "guests/hello/transcript.txt"), "utf8");
    expect(masked(run("guests/hello", readFileSync(join(dir, "elf"))))).toEqual(masked(want));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

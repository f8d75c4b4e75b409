// Every integer instruction in the text of Debian's vmlinux and of GRUB's Xen image is decoded and run: `npm run coverage`, which
// looks at all of them, lacks none.

import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { lacking } from "./machine.ts";

const missing = lacking("vmlinux", "grub");

describe.skipIf(missing)(`npm run coverage${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test.each([
    ["vmlinux", 400],
    ["grub", 350],
  ] as const)("finds no integer instruction of %s that the processor lacks", (image, forms) => {
    const args = ["--import", "tsx", "scripts/coverage.ts", imagePath(image)];
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 600_000 });
    const [, found, lacks] = /^ {2}integer: (\d+) forms, \d+ times; missing (\d+) forms$/m.exec(stdout) ?? [];
    expect(Number(found)).toBeGreaterThan(forms);
    expect([lacks, status]).toEqual(["0", 0]);
  });
});

// The committed guests belong to their sources, with or without a compiler at hand.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, compiler, elfPath, guestFolders, recorded, root, stale } from "../../scripts/guests/build.ts";

const gcc = compiler();

test("there are guests", () => {
  expect(guestFolders()).toContain("guests/hello");
});

describe.each(guestFolders())("%s", (folder) => {
  test("is built from the sources that are there (else: npm run guests)", () => {
    expect(stale(folder)).toEqual([]);
  });

  test("says at the head of its source what it is for", () => {
    const name = basename(folder);
    const source =
      Object.keys(recorded(folder)?.sources ?? {}).find((path) => path.startsWith(`${folder}/${name}.`)) ?? "";
    expect(readFileSync(join(root, source), "utf8")).toMatch(/^\/\* \w+: [\s\S]{80,}?\*\//);
  });

  test.skipIf(gcc === undefined)("builds anew, to the same bytes where the compiler is the same", () => {
    const dir = mkdtempSync(join(tmpdir(), "xenolith-guest-"));
    try {
      build(folder, join(dir, "elf"));
      const same = readFileSync(join(dir, "elf")).equals(readFileSync(join(root, elfPath(folder))));
      expect(same || gcc !== recorded(folder)?.compiler).toBe(true);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

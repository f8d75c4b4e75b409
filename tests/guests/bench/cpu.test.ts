// The benchmark's kernels: the committed images are those of the committed sources, and our processor computes with them
// what a real one did when they were made.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Guest } from "../../../scripts/bench/cpu.ts";

const folder = new URL("../../../guests/bench/cpu/", import.meta.url);
const images = JSON.parse(readFileSync(new URL("images.json", folder), "utf8")) as Record<
  string,
  { sources: string; checksum: number }
>;

describe.each(Object.entries(images))("the kernel %s", (name, { sources, checksum }) => {
  it("was made from the sources beside it", () => {
    const hash = createHash("sha256");
    for (const source of ["make.sh", "program.h", "program.ld", `${name}.c`])
      hash.update(readFileSync(new URL(source, folder)));
    expect(hash.digest("hex")).toBe(sources);
  });

  it("gives the checksum that it gives natively", () => {
    expect(new Guest(name).finish(1).checksum).toBe(checksum);
  });
});

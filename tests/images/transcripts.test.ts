// The transcripts in docs/ of Linux and GRUB, here and on real Xen, side by side: they differ in nothing but what docs/LINUX.md
// lists. Needs no images.

import { describe, expect, test } from "vitest";
import { normalized, onlyIn } from "./differences.ts";
import { transcript } from "./machine.ts";

describe("the committed transcripts", () => {
  test.each(["linux-6.1-1-vcpu", "linux-6.1-2-vcpus"])("of %s differ only where that is explained", (name) => {
    const here = normalized(transcript(`${name}.xenolith.txt`));
    const real = normalized(transcript(`${name}.txt`));
    expect(here.length).toBeGreaterThan(200);
    expect(onlyIn(here, real), "printed here, not on real Xen").toEqual([]);
    expect(onlyIn(real, here), "printed on real Xen, not here").toEqual([]);
  });

  test("of GRUB differ in the date alone", () => {
    const lines = (name: string): string =>
      transcript(name)
        .slice(transcript(name).indexOf("GNU GRUB"))
        .replace(/^\d{4}-\d\d-\d\d .*day$/m, "DATE");
    expect(lines("grub-2.06.xenolith.txt")).toBe(lines("grub-2.06.txt"));
  });
});

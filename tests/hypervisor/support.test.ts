// docs/SUPPORT.md stays true: every hypercall of the table is in it as supported, and none that isn't.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hypercallTable } from "../../hypervisor/hypercalls/table.ts";

test("SUPPORT lists exactly the hypercalls of the table as supported", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/SUPPORT.md"), "utf8");
  const supported = new Set<number>();
  for (const [, numbers, status] of text.matchAll(/^\| ([0-9, to]+) \| [a-z_0-9., ]+ \| (yes|part|no) \|/gm)) {
    if (status === "no") continue;
    for (const n of numbers.split(", ")) supported.add(Number(n));
  }
  const table = hypercallTable().flatMap((call) => (call === undefined ? [] : [call.nr]));
  expect([...supported].sort((a, b) => a - b)).toEqual(table);
});

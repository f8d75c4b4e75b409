// docs/SUPPORT.md stays true: every hypercall of the table is in it as supported, and none that isn't; and every sub-operation
// that a handler knows is named.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hypercallTable } from "../../hypervisor/hypercalls/table.ts";

const root = join(import.meta.dirname, "../..");
const text = readFileSync(join(root, "docs/SUPPORT.md"), "utf8");

test("SUPPORT lists exactly the hypercalls of the table as supported", () => {
  const supported = new Set<number>();
  for (const [, numbers, status] of text.matchAll(/^\| ([0-9, to]+) \| [a-z_0-9., ]+ \| (yes|part|no) \|/gm)) {
    if (status === "no") continue;
    for (const n of numbers.split(", ")) supported.add(Number(n));
  }
  const table = hypercallTable().flatMap((call) => (call === undefined ? [] : [call.nr]));
  expect([...supported].sort((a, b) => a - b)).toEqual(table);
});

test("SUPPORT names every sub-operation that the hypercalls' handlers tell apart", () => {
  const folder = join(root, "hypervisor/hypercalls");
  const sources = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
  // What the public headers call the commands of a call, and how a handler tells them apart.
  const prefixes =
    "CALLBACKOP|EVTCHNOP|GNTTABOP|MMUEXT|PHYSDEVOP|SCHEDOP|VCPUOP|XENMEM|XENNMI|XENVER|XEN_DOMCTL|XEN_SYSCTL";
  const known = sources.flatMap((source) => [
    ...source.matchAll(new RegExp(`(?:case |\\[)(?:${prefixes})_(\\w+)[:\\]]`, "g")),
  ]);
  expect(known.length).toBeGreaterThan(110);
  const [, start] = text.split("### Sub-operations");
  const words = new Set(start.split("\n## ")[0].match(/\w+/g));
  expect(known.map(([, name]) => name).filter((name) => !words.has(name))).toEqual([]);
});

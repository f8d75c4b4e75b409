// Every committed vector: what real hardware did with one instruction, our processor does too (tests/vectors/format.ts).
// `npm run vectors -- --random N` tries more than are committed, on a machine with a compiler.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseVector } from "../../../vectors/format.ts";
import { VectorMachine } from "../../../vectors/machine.ts";

const families = [
  "alu",
  "atomic",
  "bits",
  "flow",
  "mmx",
  "move",
  "muldiv",
  "shift",
  "sse",
  "string",
  "x87",
  "x87_functions",
];
const folder = new URL("../../../vectors/", import.meta.url);
const machine = new VectorMachine();

describe.each(families)("vectors of %s", (family) => {
  const forms = new Map<string, string[]>();
  let form: string[] = [];
  for (const line of readFileSync(new URL(`${family}.txt`, folder), "utf8")
    .trimEnd()
    .split("\n")
    .slice(1)) {
    if (line.startsWith("# ")) {
      const name = line.slice(2);
      form = forms.get(name) ?? [];
      forms.set(name, form);
    } else form.push(line);
  }
  it.each([...forms])("%s does what hardware does", (_, lines) => {
    const failures = lines.flatMap((line) => {
      const vector = parseVector(line);
      const differences = machine.run(vector);
      // Again with the TLB filled, by the loop's handler if there is one; a jump would go on somewhere.
      if (family !== "flow") differences.push(...machine.run(vector, true).map((text) => `in the loop: ${text}`));
      return differences.length > 0 ? [`${line}: ${differences.join("; ")}`] : [];
    });
    expect(failures).toEqual([]);
    expect(lines.length).toBeGreaterThan(0);
  });
});

// What `npm run mutate` makes of a piece of source: the places that are found, and only code among them.
import { describe, expect, test } from "vitest";
import { mutantsOf, sample } from "../../scripts/mutate/mutators.ts";
import { codeOnly, conditionStart } from "../../scripts/mutate/source.ts";

const SOURCE = `// if (a < b) return -1; in a comment
function f(a: Map<number, string>, b: number): number {
  if (b < 3 && text(")")) return -XEN_EINVAL;
  if (b === 4) note("if (x) return");
  frames.putPage(b);
  f.typeCount[b]--;
  for (let i = 0; i < b; i++) go(i);
  const c = ok(b) ? 0 : -XEN_EFAULT;
  return c;
}
`;

/** The changed line of each mutant of a kind. */
function changedBy(mutator: string): string[] {
  return mutantsOf("f.ts", SOURCE)
    .filter((m) => m.mutator === mutator)
    .map((m) => m.after);
}

describe("mutants", () => {
  test("of guards, and of no condition that guards nothing", () => {
    expect(changedBy("guard never taken")).toEqual(['if (false && (b < 3 && text(")"))) return -XEN_EINVAL;']);
    expect(changedBy("guard always taken")).toEqual(['if (true || (b < 3 && text(")"))) return -XEN_EINVAL;']);
    expect(changedBy("never refused")).toEqual(["const c = true || (ok(b)) ? 0 : -XEN_EFAULT;"]);
  });

  test("of comparisons, conjunctions and what tidies up", () => {
    expect(changedBy("comparison")).toEqual([
      'if (b <= 3 && text(")")) return -XEN_EINVAL;',
      'if (b !== 4) note("if (x) return");',
      "for (let i = 0; i <= b; i++) go(i);",
    ]);
    expect(changedBy("and, or")).toEqual(['if (b < 3 || text(")")) return -XEN_EINVAL;']);
    expect(changedBy("clean-up dropped")).toEqual(["void 0;"]);
    expect(changedBy("count dropped")).toEqual(["void 0;"]);
  });

  test("have one change each, and names that tell them apart", () => {
    const mutants = mutantsOf("f.ts", SOURCE);
    expect(new Set(mutants.map((m) => m.id)).size).toBe(mutants.length);
    for (const m of mutants) {
      const changed = m.text.split("\n").filter((line, i) => line !== SOURCE.split("\n")[i]);
      expect(changed.length).toBe(1);
    }
  });
});

test("comments and strings are blanked, the rest keeps its place", () => {
  const source = "a('x(', \"y\") // z\n/* b\n */ `c` d";
  expect(codeOnly(source)).toBe("a(    ,    )     \n    \n        d");
});

test("a condition begins after what it is the condition of", () => {
  const code = "  return a(b, c) && d ? 0 : 1";
  expect(code.slice(conditionStart(code, code.indexOf("?")), code.indexOf("?"))).toBe("a(b, c) && d ");
  const property = "f({ key: a.b ? 0 : 1 })";
  expect(conditionStart(property, property.indexOf("?"))).toBe(property.indexOf("a.b"));
});

test("a sample is the same for the same seed, in order, and none twice", () => {
  const items = Array.from({ length: 100 }, (_, i) => i);
  const got = sample(items, 10, 5);
  expect(got).toEqual(sample(items, 10, 5));
  expect(got).not.toEqual(sample(items, 10, 6));
  expect(got).toEqual([...new Set(got)].sort((a, b) => a - b));
  expect(sample(items, 1000, 5)).toEqual(items);
});

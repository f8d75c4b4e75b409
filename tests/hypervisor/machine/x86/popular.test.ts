// The lists of functions made ahead name what there is, once, in the form that functions.ts looks them up by.
import { expect, test } from "vitest";
import { shapeKey } from "../../../../hypervisor/machine/x86/describe.ts";
import { parseKey } from "../../../../hypervisor/machine/x86/functions.ts";
import { descriptionOf } from "../../../../hypervisor/machine/x86/instructions/index.ts";
import { COMMON, SYSTEM } from "../../../../hypervisor/machine/x86/popular.ts";

test("every name is an instruction's, every key comes back whole, none is there twice", () => {
  const keys = [...COMMON, ...SYSTEM];
  for (const key of keys) {
    const { name, shapes, lock } = parseKey(key);
    expect(descriptionOf(name), key).toBeDefined();
    expect(`${lock ? "lock " : ""}${name} ${shapeKey(shapes)}`.trimEnd()).toBe(key);
  }
  expect(new Set(keys).size).toBe(keys.length);
});

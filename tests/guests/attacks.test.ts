// Each hostile guest of guests/attacks/, beside a neighbour that counts and adds up: what is seen from outside. The same
// runs as `npm run attacks`, which prints a line for each.

import { basename } from "node:path";
import { expect, test } from "vitest";
import { attackFolders, LEAST_SHARE, runAttack } from "../harness/attack.ts";
import { accounted } from "../harness/attack_differences.ts";

test("there are attacks", () => {
  expect(attackFolders().length).toBeGreaterThan(3);
});

test.each(attackFolders().map((folder) => [basename(folder), folder]))("%s does no harm", (_name, folder) => {
  const v = runAttack(folder);
  expect(v.walker).toEqual([]);
  expect(v.neighbour).toEqual([]);
  expect(v.share ?? 1).toBeGreaterThan(LEAST_SHARE);
  expect(v.framesLost).toBe(0);
  expect(accounted(v)).toEqual([]);
});

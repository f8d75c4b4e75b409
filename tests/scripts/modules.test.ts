// What `npm start` loads: compiled once, kept, and made anew when a source has changed.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";

type Compiled = (root: string, entries: readonly string[]) => Promise<string[] | undefined>;
const { compiled } = (await import(new URL("../../scripts/modules.mjs", import.meta.url).href)) as {
  compiled: Compiled;
};

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "xenolith-modules-"));
  mkdirSync(join(root, "node_modules"));
  symlinkSync(fileURLToPath(new URL("../../node_modules/tsx", import.meta.url)), join(root, "node_modules", "tsx"));
  writeFileSync(join(root, "package.json"), "{}");
  writeFileSync(join(root, "number.ts"), "export const number: number = 1;\n");
  writeFileSync(join(root, "entry.ts"), 'export { number } from "./number.ts";\n');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

async function load(): Promise<{ url: string; number: number }> {
  const urls = await compiled(root, ["entry"]);
  if (urls === undefined) throw new Error("nothing was compiled");
  const { number } = (await import(urls[0])) as { number: number };
  return { url: urls[0], number };
}

it("is made once while no source changes", async () => {
  const first = await load();
  expect(first.number).toBe(1);
  expect((await load()).url).toBe(first.url);
});

it("is made anew when a source has changed, be it in its time alone", async () => {
  const { url } = await load();
  writeFileSync(join(root, "number.ts"), "export const number: number = 2;\n");
  utimesSync(join(root, "number.ts"), 1, 1);
  const changed = await load();
  expect(changed.url).not.toBe(url);
  expect(changed.number).toBe(2);
  utimesSync(join(root, "number.ts"), 2, 2);
  expect((await load()).url).not.toBe(changed.url);
});

it("keeps variables variable, and constants constant", async () => {
  writeFileSync(
    join(root, "number.ts"),
    "let count = 0;\nexport const step = 2;\nexport const next = (): number => (count += step);\n",
  );
  writeFileSync(
    join(root, "entry.ts"),
    'import { next } from "./number.ts";\nlet count = 5;\nnext();\ncount++;\nexport const number = next() * 10 + count;\n',
  );
  const { url, number } = await load();
  expect(number).toBe(46);
  const text = readFileSync(fileURLToPath(url), "utf8");
  expect(text).toMatch(/^var count = 0;/m);
  expect(text).toMatch(/^var count2 = 5;/m);
  expect(text).toMatch(/^const step = 2;/m);
});

it("is made anew when other entry points are asked for", async () => {
  const { url } = await load();
  expect((await compiled(root, ["number"]))?.[0]).not.toContain(new URL(".", url).href);
});

// What `npm start` loads: compiled once, kept, and made anew when a source has changed.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
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

const cache = (): string => join(root, "node_modules", ".cache", "xenolith");
const list = (): string => join(cache(), "modules.json");

/** Sets that are kept. */
const sets = (): string[] => readdirSync(cache()).filter((name) => name !== "modules.json");

it("is made anew when a source with its old size and time has other contents", async () => {
  utimesSync(join(root, "number.ts"), 1, 1);
  await load();
  writeFileSync(join(root, "number.ts"), "export const number: number = 2;\n");
  utimesSync(join(root, "number.ts"), 1, 1);
  expect((await load()).number).toBe(2);
});

it("is made anew when a source was changed while it was compiled", async () => {
  // The compiler here is one in whose work an editor saves a file.
  const own = join(root, "node_modules", "tsx");
  const real = createRequire(realpathSync(join(own, "package.json"))).resolve("esbuild");
  rmSync(own);
  mkdirSync(join(own, "node_modules", "esbuild"), { recursive: true });
  writeFileSync(join(own, "package.json"), '{ "main": "index.js" }');
  writeFileSync(join(own, "index.js"), "");
  writeFileSync(join(own, "node_modules", "esbuild", "package.json"), '{ "main": "index.mjs" }');
  writeFileSync(
    join(own, "node_modules", "esbuild", "index.mjs"),
    `import { writeFileSync } from "node:fs";
    import { build as real } from ${JSON.stringify(real)};
    export async function build(options) {
      const built = await real(options);
      writeFileSync(${JSON.stringify(join(root, "number.ts"))}, "export const number = 2;\\n");
      return built;
    }`,
  );
  expect((await load()).number).toBe(1);
  expect((await load()).number).toBe(2);
});

it("is made anew when what says how to compile has changed", async () => {
  const { url } = await load();
  writeFileSync(join(root, "tsconfig.json"), "{}");
  expect((await load()).url).not.toBe(url);
});

it("is made anew for another version of Node", async () => {
  const { url } = await load();
  writeFileSync(list(), readFileSync(list(), "utf8").replaceAll(process.version, "v19.0.0"));
  expect((await load()).url).not.toBe(url);
});

it("is made anew when a file of it is gone or cut off", async () => {
  const { url } = await load();
  truncateSync(fileURLToPath(url), 0);
  const second = await load();
  expect(second.url).not.toBe(url); // Its number says nothing: what was imported once is not read again.
  rmSync(new URL(".", second.url), { recursive: true });
  expect((await load()).url).not.toBe(second.url);
});

it("is made anew when its list makes no sense", async () => {
  await load();
  const whole = JSON.parse(readFileSync(list(), "utf8")) as object;
  const old = { root, entries: ["entry"], node: process.version, folder: "1-1" }; // What an older Xenolith may have left.
  for (const text of ["", "null", "{", JSON.stringify(old), JSON.stringify({ ...whole, files: undefined })]) {
    writeFileSync(list(), text);
    expect((await load()).number, text).toBe(1);
    expect(JSON.parse(readFileSync(list(), "utf8")), text).toMatchObject({ folder: expect.any(String) });
  }
});

it("is whole for each of two machines that start at once", async () => {
  const [one, two] = await Promise.all([load(), load()]);
  expect([one.number, two.number]).toEqual([1, 1]);
  expect([one.url, two.url]).toContain((await load()).url);
});

it("leaves it to tsx, and no rest, where nothing can be kept", async () => {
  mkdirSync(list(), { recursive: true }); // Nothing can be put there, whoever runs this.
  expect(await compiled(root, ["entry"])).toBeUndefined();
  expect(sets()).toEqual([]);
  rmSync(cache(), { recursive: true });
  writeFileSync(cache(), "");
  expect(await compiled(root, ["entry"])).toBeUndefined();
});

it("leaves it to tsx to tell of a source that can't be compiled, and compiles the next one", async () => {
  await load();
  writeFileSync(join(root, "number.ts"), "export const number: number = ;\n");
  expect(await compiled(root, ["entry"])).toBeUndefined();
  writeFileSync(join(root, "number.ts"), "export const number: number = 3;\n");
  expect((await load()).number).toBe(3);
});

it("keeps sets that a process uses, and removes others after an hour", async () => {
  const used = new URL(".", (await load()).url);
  const change = (number: number): void =>
    writeFileSync(join(root, "number.ts"), `export const number: number = ${number};\n`);
  change(2);
  const left = new URL(".", (await load()).url);
  change(3);
  await load(); // It looks whether it may use the set before.
  rmSync(new URL(`${process.pid}.pid`, left));
  writeFileSync(new URL(`${spawnSync(process.execPath, ["-e", ""]).pid}.pid`, left), ""); // One that has ended.
  for (const folder of [used, left]) utimesSync(folder, 1, 1);
  change(4);
  await load();
  expect(existsSync(used)).toBe(true);
  expect(existsSync(left)).toBe(false);
  expect(sets()).toHaveLength(3);
});

it("keeps variables variable whose own names end in numbers", async () => {
  writeFileSync(join(root, "number.ts"), "let count2 = 1;\ncount2++;\nexport const number = count2;\n");
  expect((await load()).number).toBe(2);
});

it("is used by a process for as long as that runs", () => {
  const script = `
    import { compiled } from ${JSON.stringify(new URL("../../scripts/modules.mjs", import.meta.url).href)};
    import { readdirSync } from "node:fs";
    const [url] = await compiled(${JSON.stringify(root)}, ["entry"]);
    console.log(readdirSync(new URL(".", url)).includes(process.pid + ".pid"), (await import(url)).number);`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(stdout).toBe("true 1\n");
  const [set] = sets();
  expect(readdirSync(join(cache(), set)).filter((name) => name.endsWith(".pid"))).toEqual([]);
});

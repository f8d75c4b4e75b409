// Where the machine's modules are loaded from. tsx compiles each module when it is loaded, in each thread: measured at 0.3 to
// 0.6 s for `npm start`. So the compiled whole is kept, made by the esbuild that tsx itself brings along, beside a list of
// the sources it was made from; when one of them has another size or time, it is made again. Where none can be made or
// kept, tsx loads the sources. Used by start.mjs. Plain JavaScript: it runs before anything is compiled.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** Compiled sets that a running machine may still use are kept for so long. */
const KEEP_MS = 3_600_000;

/**
 * URLs to import for the entry points (paths from `root`, without ".ts"), compiled; undefined when that is not possible.
 */
export async function compiled(root, entries) {
  const cache = join(root, "node_modules", ".cache", "xenolith");
  const list = join(cache, "modules.json");
  try {
    const known = readList(list, root, entries);
    const fresh = known?.sources.every(([path, stamp]) => stampOf(join(root, path)) === stamp);
    const folder = fresh ? known.folder : await compile(root, entries, cache, list);
    return entries.map((entry) => pathToFileURL(join(cache, folder, `${entry}.js`)).href);
  } catch (error) {
    if (process.env["XENOLITH_DEBUG_START"]) console.error(error);
    return undefined;
  }
}

function readList(list, root, entries) {
  try {
    const known = JSON.parse(readFileSync(list, "utf8"));
    return String(known.entries) === String(entries) && known.node === process.version && known.root === root
      ? known
      : undefined;
  } catch {
    return undefined;
  }
}

function stampOf(path) {
  const { mtimeMs, size } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: 0, size: -1 };
  return `${mtimeMs}:${size}`;
}

async function compile(root, entries, cache, list) {
  const tsx = createRequire(join(root, "package.json")).resolve("tsx");
  const { build } = await import(pathToFileURL(createRequire(tsx).resolve("esbuild")).href);
  const folder = `${Date.now()}-${process.pid}`;
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: entries.map((entry) => ({ in: `${entry}.ts`, out: entry })),
    outdir: join(cache, folder),
    bundle: true,
    splitting: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "linked",
    // It would define a name at each making of a closure, at several times the closure's cost.
    keepNames: false,
    metafile: true,
    write: false,
    logLevel: "silent",
  });
  const variables = new Set(Object.keys(metafile.inputs).flatMap((path) => variablesOf(join(root, path))));
  for (const { path, text } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, path.endsWith(".js") ? withConstants(text, variables) : text);
  }
  const inputs = [...Object.keys(metafile.inputs), "scripts/modules.mjs"]; // This file says how it is done.
  const sources = inputs.map((path) => [path, stampOf(join(root, path))]);
  mkdirSync(cache, { recursive: true });
  // Written whole under another name first: a machine started at the same moment sees the old list or the new one.
  writeFileSync(`${list}.${process.pid}`, JSON.stringify({ root, entries, node: process.version, folder, sources }));
  renameSync(`${list}.${process.pid}`, list);
  for (const old of readdirSync(cache))
    if (Number.parseInt(old, 10) < Date.now() - KEEP_MS) rmSync(join(cache, old), { recursive: true, force: true });
  return folder;
}

/** Names of a module's own variables. */
function variablesOf(path) {
  return [...readFileSync(path, "utf8").matchAll(/^(?:export )?let (\w+)/gm)].map(([, name]) => name);
}

/**
 * esbuild makes `var` of every module's `const`, as functions would look at each use whether it is there yet. But the engine's
 * optimizing compiler takes the value of a `const`, and loads and checks that of a `var` at each use: an empty hypercall took a
 * twentieth longer. A name that is taken twice has a number behind it.
 */
function withConstants(text, variables) {
  return text.replace(/^var ([\w$]+) = /gm, (declaration, name) =>
    variables.has(name.replace(/\d+$/, "")) ? declaration : `const ${name} = `,
  );
}

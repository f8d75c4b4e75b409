// Where the machine's modules are loaded from. tsx compiles each module when it is loaded, in each thread: measured at 0.3 to
// 0.6 s for `npm start`. So the compiled whole is kept, a set of files made by the esbuild that tsx itself brings along, beside a
// list of what it was made from and what it is made of; when one of those has another size or time, it is made again. Where none
// can be made or kept, tsx loads the sources. Used by start.mjs. Plain JavaScript: it runs before anything is compiled.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

/** What decides how sources are compiled; this file does, too. */
const SETTINGS = ["package.json", "tsconfig.json", "scripts/modules.mjs"];

/** A set may be in use for so long before its user is seen in it. */
const KEEP_MS = 3_600_000;

/** Names in a set that say which process uses it. */
const USER = /^(\d+)\.pid$/;

/**
 * URLs to import for the entry points (paths from `root`, without ".ts"), compiled; undefined when that is not possible.
 */
export async function compiled(root, entries) {
  const cache = join(root, "node_modules", ".cache", "xenolith");
  const list = join(cache, "modules.json");
  try {
    const folder = known(list, root, cache, entries) ?? (await compile(root, entries, cache, list));
    return entries.map((entry) => pathToFileURL(join(cache, folder, `${entry}.js`)).href);
  } catch (error) {
    if (process.env["XENOLITH_DEBUG_START"]) console.error(error);
    return undefined;
  }
}

/** The folder of the set that is kept, if it is what would be made now; undefined also for a list that makes no sense. */
function known(list, root, cache, entries) {
  try {
    const { made, folder, files } = JSON.parse(readFileSync(list, "utf8"));
    if (made !== how(root, entries)) return undefined;
    use(join(cache, folder)); // Before its files are looked at: whoever removes sets sees it, or has removed this one.
    return files.every(([path, stamp]) => stampOf(join(root, path)) === stamp) ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** By whom and from where a set is made: a folder that is moved or another Node wants its own. */
function how(root, entries) {
  return [process.version, root, ...entries].join(" ");
}

/**
 * Changes with the file. The time of its last change of state tells of contents that came with their old times, as by `cp -p` or
 * `mv`, and can't be set.
 */
function stampOf(path) {
  const { mtimeMs, ctimeMs, size } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: 0, ctimeMs: 0, size: -1 };
  return `${mtimeMs}:${ctimeMs}:${size}`;
}

const marks = new Set();
process.once("exit", () => {
  for (const mark of marks) rmSync(mark, { force: true });
});

/** Notes until its end that this process uses a set: disks' threads and the lines of errors are loaded from it later. */
function use(folder) {
  try {
    const mark = join(folder, `${process.pid}.pid`);
    writeFileSync(mark, "");
    marks.add(mark);
  } catch {
    // Where nothing can be written nobody removes sets, either.
  }
}

async function compile(root, entries, cache, list) {
  const tsx = createRequire(join(root, "package.json")).resolve("tsx");
  const { build } = await import(pathToFileURL(createRequire(tsx).resolve("esbuild")).href);
  // Stamps are taken before what they stand for is read: what changes meanwhile is noticed by the next start.
  const stamps = new Map(SETTINGS.map((path) => [path, stampOf(join(root, path))]));
  const variables = new Set();
  const folder = crypto.randomUUID();
  const outdir = join(cache, folder);
  const reader = {
    name: "reader",
    setup: ({ onLoad }) =>
      onLoad({ filter: /./, namespace: "file" }, ({ path }) => {
        stamps.set(relative(root, path), stampOf(path));
        const contents = readFileSync(path, "utf8");
        for (const name of variablesOf(contents)) variables.add(name);
        return { contents, loader: "default" };
      }),
  };
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: entries.map((entry) => ({ in: `${entry}.ts`, out: entry })),
    outdir,
    bundle: true,
    splitting: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "linked",
    // It would define a name at each making of a closure, at several times the closure's cost.
    keepNames: false,
    plugins: [reader],
    write: false,
    logLevel: "silent",
  });
  try {
    for (const { path, text } of outputFiles) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, path.endsWith(".js") ? withConstants(text, variables) : text);
      stamps.set(relative(root, path), stampOf(path));
    }
    use(outdir);
    // Written whole under another name first: a machine started at the same moment sees the old list or the new one.
    const draft = join(outdir, "modules.json");
    writeFileSync(draft, JSON.stringify({ made: how(root, entries), folder, files: [...stamps] }));
    renameSync(draft, list);
  } catch (error) {
    rmSync(outdir, { recursive: true, force: true });
    throw error;
  }
  tidy(cache, folder);
  return folder;
}

/** Removes sets other than `current` that nobody uses. */
function tidy(cache, current) {
  for (const name of readdirSync(cache)) {
    const set = join(cache, name);
    try {
      const { mtimeMs } = statSync(set);
      if (name === current || name === "modules.json" || mtimeMs > Date.now() - KEEP_MS) continue;
      if (!readdirSync(set).some((file) => runs(USER.exec(file)?.[1]))) rmSync(set, { recursive: true, force: true });
    } catch {
      // Another machine removes it at the same moment, or it is another user's.
    }
  }
}

function runs(pid) {
  if (pid === undefined) return false;
  try {
    return process.kill(Number(pid), 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Names of a module's own variables, without numbers at their ends. */
function variablesOf(text) {
  return [...text.matchAll(/^(?:export )?let ([\w$]+)/gm)].map(([, name]) => unnumbered(name));
}

function unnumbered(name) {
  return name.replace(/\d+$/, "");
}

/**
 * esbuild makes `var` of every module's `const`, as functions would look at each use whether it is there yet. But the engine's
 * optimizing compiler takes the value of a `const`, and loads and checks that of a `var` at each use: an empty hypercall took a
 * twentieth longer. A name that is taken twice has a number behind it.
 */
function withConstants(text, variables) {
  return text.replace(/^var ([\w$]+) = /gm, (declaration, name) =>
    variables.has(unnumbered(name)) ? declaration : `const ${name} = `,
  );
}

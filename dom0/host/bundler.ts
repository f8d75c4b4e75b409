// From a kernel's module to the text that its domain is given: the module and all that it imports, TypeScript taken away, in
// one piece (shared/script_image.ts). The work is done by the esbuild that tsx brings along. Imports of "xenolith/..." mean this
// project, wherever the kernel lies. Used by main.ts for DeviceOp.KernelBundle, and by tests.

import { readFileSync, realpathSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { KernelModule } from "../../shared/devices.ts";
import type { KernelService } from "./devices.ts";
import type { NodeFiles } from "./files.ts";
import { TextFile } from "./text_file.ts";

/** A kernel's module as one text, or what is wrong with it in one line. */
export type KernelBundle = { readonly name: string; readonly text: string } | { readonly error: string };

/** What of esbuild is used here. */
interface Esbuild {
  build(options: object): Promise<Built>;
  buildSync(options: object): Built;
}
interface Built {
  readonly outputFiles: readonly { readonly text: string }[];
}
interface Message {
  readonly text: string;
  readonly location: { readonly file: string; readonly line: number; readonly column: number } | null;
}

export class KernelBundler {
  readonly #root: string;
  #esbuild: Esbuild | undefined = undefined;

  /** `root` is the project's folder. */
  constructor(root: string) {
    this.#root = root;
  }

  /** The kernel at `path`, or what is wrong with it in one line. */
  async bundle(path: string): Promise<KernelBundle> {
    const file = resolve(path);
    try {
      const name = outputOf(realpathSync(file));
      const built = await this.#load().build({ ...this.#options(name), entryPoints: [file] });
      return { name, text: built.outputFiles[0].text };
    } catch (error) {
      return { error: describe(error, file) };
    }
  }

  /** The same for a module of which only the text is there; the caller waits. For tests, whose disks are simulated. */
  bundleText(path: string, contents: string): KernelBundle {
    const file = resolve(path);
    try {
      const name = outputOf(file);
      const stdin = {
        contents,
        sourcefile: file,
        resolveDir: dirname(file),
        loader: file.endsWith("ts") ? "ts" : "js",
      };
      const built = this.#load().buildSync({ ...this.#options(name), stdin });
      return { name, text: built.outputFiles[0].text };
    } catch (error) {
      return { error: describe(error, file) };
    }
  }

  #load(): Esbuild {
    const tsx = createRequire(join(this.#root, "package.json")).resolve("tsx");
    this.#esbuild ??= createRequire(tsx)("esbuild") as Esbuild;
    return this.#esbuild;
  }

  #options(outfile: string): object {
    return {
      absWorkingDir: "/",
      outfile,
      bundle: true,
      write: false,
      format: "cjs",
      platform: "browser", // There is no Node on a bare machine, so packages give what they have for elsewhere.
      target: "es2023",
      sourcemap: "inline",
      sourcesContent: false,
      legalComments: "none",
      keepNames: false,
      alias: this.#names(),
      logLevel: "silent",
    };
  }

  /** Where "xenolith/sdk" and the like are: package.json says it for this project's own files, this for all others. */
  #names(): Record<string, string> {
    const text = readFileSync(join(this.#root, "package.json"), "utf8");
    const { name, exports } = JSON.parse(text) as { name: string; exports: Record<string, string> };
    const folder = (path: string): string => path.replace(/\/\*$/, "");
    return Object.fromEntries(
      Object.entries(exports).map(([key, path]) => [join(name, folder(key)), join(this.#root, folder(path))]),
    );
  }
}

/** For the devices: bundles are opened among the files. */
export class NodeKernels implements KernelService {
  readonly #bundler: KernelBundler;
  readonly #files: NodeFiles;

  constructor(bundler: KernelBundler, files: NodeFiles) {
    this.#bundler = bundler;
    this.#files = files;
  }

  async bundle(path: string): Promise<KernelModule> {
    const bundle = await this.#bundler.bundle(path);
    if ("error" in bundle) return bundle;
    const { handle, size } = this.#files.add(new TextFile(bundle.text));
    return { name: bundle.name, handle, size };
  }
}

/** What the text is called: beside its source, so that the source map's paths are right. */
function outputOf(file: string): string {
  return join(dirname(file), `${basename(file).replace(/\.\w+$/, "")}.bundle.js`);
}

/** The first of what esbuild found, and where, unless that is in `entry` itself: "line 3, column 7: Expected ";"". */
function describe(error: unknown, entry: string): string {
  const [first] = (error as { errors?: readonly Message[] }).errors ?? [];
  if (first === undefined) return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0];
  const [, name] = /^Could not resolve "([^"]+)"/.exec(first.text) ?? [];
  const text =
    name !== undefined && isBuiltin(name)
      ? `can't import "${name}": a kernel has no Node below it`
      : first.text.split("\n", 1)[0];
  if (first.location === null) return text;
  const { file, line, column } = first.location;
  const where = `line ${line}, column ${column + 1}: ${text}`;
  const path = resolve("/", file);
  return path === entry ? where : `${relative(process.cwd(), path)}, ${where}`;
}

// From a kernel's module to the text that its domain is given: the module and all that it imports, TypeScript taken away, in
// one piece (shared/script_image.ts). The work is done by the esbuild that tsx brings along. Imports of "xenolith/..." mean this
// project, wherever the kernel lies. Used by main.ts for DeviceOp.KernelBundle, and by tests.

import { readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
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
    try {
      return this.#result(path, await this.#load().build(this.#options(path)));
    } catch (error) {
      return { error: describe(error) };
    }
  }

  /** The same, while the caller waits. */
  bundleSync(path: string): KernelBundle {
    try {
      return this.#result(path, this.#load().buildSync(this.#options(path)));
    } catch (error) {
      return { error: describe(error) };
    }
  }

  #load(): Esbuild {
    const tsx = createRequire(join(this.#root, "package.json")).resolve("tsx");
    this.#esbuild ??= createRequire(tsx)("esbuild") as Esbuild;
    return this.#esbuild;
  }

  #options(path: string): object {
    return {
      absWorkingDir: process.cwd(),
      entryPoints: [resolve(path)],
      outfile: outputOf(path),
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

  #result(path: string, built: Built): KernelBundle {
    return { name: outputOf(path), text: built.outputFiles[0].text };
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
function outputOf(path: string): string {
  const real = realpathSync(path);
  return join(dirname(real), `${basename(real).replace(/\.\w+$/, "")}.bundle.js`);
}

/** "echo.ts:3:7: Expected ";" but found "x"": the first of what esbuild found. */
function describe(error: unknown): string {
  const [first] = (error as { errors?: readonly Message[] }).errors ?? [];
  if (first === undefined) return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0];
  const { text, location } = first;
  const line = text.split("\n", 1)[0];
  return location === null ? line : `${location.file}:${location.line}:${location.column + 1}: ${line}`;
}

// Kernels' modules as texts: what becomes of good ones, the one line that is said of others, and that a text is read and closed
// like a file.

import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { KernelBundler, NodeKernels } from "../../../dom0/host/bundler.ts";
import { compileKernel } from "../../../dom0/host/compile_kernel.ts";
import { NodeFiles } from "../../../dom0/host/files.ts";
import { DeviceOp } from "../../../shared/devices.ts";
import { PageFault } from "../../../shared/kernel.ts";

const dir = mkdtempSync(join(tmpdir(), "xenolith-bundler-"));
afterAll(() => rmSync(dir, { recursive: true }));
const bundler = new KernelBundler(process.cwd());

function file(name: string, source: string): string {
  const path = join(dir, name);
  writeFileSync(path, source);
  return path;
}

async function textOf(path: string): Promise<string> {
  const bundle = await bundler.bundle(path);
  if ("error" in bundle) throw new Error(bundle.error);
  return bundle.text;
}

const errorOf = async (path: string): Promise<unknown> => await bundler.bundle(path);

describe("a kernel's module", () => {
  test("becomes one text, of which its default export is what is run; its types are gone", async () => {
    file("part.ts", "export const part: number = 20;");
    const path = file("whole.ts", 'import { part } from "./part.ts"; export default (): number => part + 1;');
    const main = compileKernel(await textOf(path), "whole") as unknown as () => number;
    expect(main()).toBe(21);
  });

  test("may be JavaScript, of any ending", async () => {
    for (const [name, source] of [
      ["a.js", "export default () => 1;"],
      ["b.mjs", "export default () => 1;"],
      ["c.cjs", "module.exports = { default: () => 1 };"],
      ["d.mts", "export default (): number => 1;"],
    ])
      expect((compileKernel(await textOf(file(name, source)), name) as unknown as () => number)()).toBe(1);
  });

  test("has copies of the SDK's classes; the machine's page fault is known all the same", async () => {
    const path = file(
      "sdk.ts",
      'import { PageFault } from "xenolith/sdk"; export default (e: unknown) => e instanceof PageFault;',
    );
    const main = compileKernel(await textOf(path), "sdk") as unknown as (error: unknown) => boolean;
    expect(main(new PageFault(4096 as never, true))).toBe(true);
    expect([new Error("other"), { name: "PageFault" }, undefined].map(main)).toEqual([false, false, false]);
  });

  test("is called by its own place, not by a link to it, so that stack traces find it", async () => {
    const path = file("real.ts", "export default 1;");
    symlinkSync(path, join(dir, "link.ts"));
    expect(await bundler.bundle(join(dir, "link.ts"))).toMatchObject({ name: join(dir, "real.bundle.js") });
  });

  test("that is wrong is one line", async () => {
    file("broken.ts", "let let;\n");
    expect(await errorOf(file("a.ts", "\n  const x = ;"))).toEqual({ error: 'line 2, column 13: Unexpected ";"' });
    expect(await errorOf(file("b.ts", 'import "./broken.ts";'))).toEqual({
      error: expect.stringMatching(/broken\.ts, line 1, column 5: /),
    });
    expect(await errorOf(file("c.ts", 'import fs from "fs"; fs;'))).toEqual({
      error: `line 1, column 16: can't import "fs": a kernel has no Node below it`,
    });
    expect(await errorOf(file("d.ts", 'import "xenolith/nothing";'))).toEqual({
      error: 'line 1, column 8: Could not resolve "xenolith/nothing"',
    });
    expect(await errorOf(join(dir, "gone.ts"))).toEqual({ error: expect.stringMatching(/^ENOENT/) });
  });
});

test("each request to the host has a number of its own, this one too", () => {
  const numbers = Object.values(DeviceOp);
  expect(new Set(numbers).size).toBe(numbers.length);
});

test("its text is read like a file, and is nobody's to write", async () => {
  const files = new NodeFiles();
  const kernels = new NodeKernels(bundler, files);
  const module = await kernels.bundle(file("k.ts", "export default 1;"));
  if ("error" in module) throw new Error(module.error);
  const bytes = new Uint8Array(new SharedArrayBuffer(module.size + 10));
  expect(await files.read(module.handle, [bytes.subarray(0, 5), bytes.subarray(5)], 0)).toBe(module.size);
  expect(new TextDecoder().decode(bytes.slice(0, module.size))).toContain("module.exports");
  expect(await files.read(module.handle, [bytes], module.size)).toBe(0);
  await expect(files.write(module.handle, [bytes], 0)).rejects.toMatchObject({ code: "EROFS" });
  await files.close(module.handle);
  await expect(files.read(module.handle, [bytes], 0)).rejects.toMatchObject({ code: "EBADF" });
  expect(await kernels.bundle(join(dir, "none.ts"))).toHaveProperty("error");
});

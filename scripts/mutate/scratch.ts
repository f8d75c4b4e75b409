// A copy of the project at a commit, in a temporary folder: what mutants are made in, so that the working tree is
// never touched and nobody's unfinished work is judged. Each worker of scripts/mutate.ts has one.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What came of a run of tests: passed, or which test failed first; or it took too long. */
export interface Outcome {
  readonly result: "passed" | "failed" | "time" | "invalid";
  /** The first failing test. */
  readonly by: string;
  readonly seconds: number;
}

export class Scratch {
  readonly dir: string;

  constructor(root: string, commit: string) {
    this.dir = mkdtempSync(join(tmpdir(), "xenolith-mutate-"));
    const archive = execFileSync("git", ["archive", commit], { cwd: root, maxBuffer: 1 << 30 });
    execFileSync("tar", ["-x", "-C", this.dir], { input: archive });
    symlinkSync(join(root, "node_modules"), join(this.dir, "node_modules"));
  }

  read(file: string): string {
    return readFileSync(join(this.dir, file), "utf8");
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.dir, file), text);
  }

  /** Runs tests up to the first that fails. */
  test(paths: readonly string[], limitSeconds: number): Promise<Outcome> {
    const start = performance.now();
    // One thread for all files: loading them costs more than most of the tests.
    const how = "run --bail=1 --no-isolate --pool=threads --maxWorkers=1 --no-cache --reporter=default".split(" ");
    const child = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", ...how, ...paths], {
      cwd: this.dir,
      env: { ...process.env, NO_COLOR: "1", CI: "1", NODE_OPTIONS: "--max-old-space-size=1500" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        if (output.length < 1 << 20) output += chunk.toString();
      });
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, limitSeconds * 1000);
    return new Promise((resolve) => {
      child.on("close", (code) => {
        clearTimeout(limit);
        const seconds = (performance.now() - start) / 1000;
        if (late) resolve({ result: "time", by: `over ${limitSeconds} s`, seconds });
        else if (code === 0) resolve({ result: "passed", by: "", seconds });
        else if (/Transform failed|PARSE_ERROR/.test(output)) resolve({ result: "invalid", by: "", seconds });
        else resolve({ result: "failed", by: /^ ?FAIL +(.*)$/m.exec(output)?.[1] ?? lastLine(output), seconds });
      });
    });
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function lastLine(output: string): string {
  return output.trimEnd().split("\n").at(-1) ?? "";
}

// Shared by the tests of this folder: a machine started as a person's script starts it, with commands on standard input,
// and what it printed, as text.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { IMAGE_FILES, type ImageName, missingImages } from "../../scripts/images/folder.ts";
import { plain, type Session } from "../harness/running.ts";

export { plain, RunningSession } from "../harness/running.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Runs dom0's commands, one a line, in a new machine, which may be given options. */
export function session(commands: readonly string[], timeoutS = 900, options: readonly string[] = []): Session {
  const run = spawnSync(process.execPath, ["scripts/start.mjs", ...options], {
    cwd: root,
    input: commands.map((command) => `${command}\n`).join(""),
    encoding: "utf8",
    timeout: timeoutS * 1000,
    maxBuffer: 1 << 26,
  });
  return { status: run.status, output: plain(run.stdout), errors: plain(run.stderr) };
}

/** A transcript in docs/transcripts/, in the form that `session` gives. */
export function transcript(name: string): string {
  return plain(readFileSync(join(root, "docs", "transcripts", name), "utf8"));
}

/** Says which images a skipped test lacks; undefined if it lacks none. */
export function lacking(...names: ImageName[]): string | undefined {
  const missing = missingImages(names).map((name) => IMAGE_FILES[name]);
  return missing.length === 0 ? undefined : `no ${missing.join(", ")}: npm run images`;
}

/** A folder for configuration files, and its end. */
export class Configurations {
  private readonly folder = mkdtempSync(join(tmpdir(), "xenolith-images-"));

  /** Writes an xl configuration; returns its path. */
  write(name: string, values: Record<string, string | number | readonly string[]>): string {
    const path = join(this.folder, `${name}.cfg`);
    const lines = Object.entries({ name, ...values }).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
    writeFileSync(path, lines.join(""));
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

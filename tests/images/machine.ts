// Shared by the tests of this folder: a machine started as a person's script starts it, with commands on standard input,
// and what it printed, as text.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { IMAGE_FILES, type ImageName, missingImages } from "../../scripts/images/folder.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export interface Session {
  status: number | null;
  /** Without carriage returns, escape sequences and spaces at the ends of lines. */
  output: string;
  errors: string;
}

/** Runs dom0's commands, one a line, in a new machine, which may be given options. */
export function session(commands: readonly string[], timeoutS = 240, options: readonly string[] = []): Session {
  const run = spawnSync(process.execPath, ["scripts/start.mjs", ...options], {
    cwd: root,
    input: commands.map((command) => `${command}\n`).join(""),
    encoding: "utf8",
    timeout: timeoutS * 1000,
    maxBuffer: 1 << 26,
  });
  return { status: run.status, output: plain(run.stdout), errors: plain(run.stderr) };
}

/** The same while the test does something else: kills a server, or the machine itself. */
export class RunningSession {
  readonly ended: Promise<Session>;
  readonly process: ChildProcess;
  #output = "";
  #errors = "";
  #over = false;

  constructor(commands: readonly string[], timeoutS = 240) {
    const child = spawn(process.execPath, ["scripts/start.mjs"], { cwd: root, timeout: timeoutS * 1000 });
    this.process = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
    // What it no longer reads when it is killed is no failure.
    child.stdin.on("error", () => {});
    child.stdin.end(commands.map((command) => `${command}\n`).join(""));
    this.ended = new Promise((resolve) => {
      child.once("close", (status) => {
        this.#over = true;
        resolve({ status, output: this.output, errors: plain(this.#errors) });
      });
    });
  }

  /** What it has shown so far, as in a Session. */
  get output(): string {
    return plain(this.#output);
  }

  /** Waits until it has shown `text`. */
  async shows(text: string): Promise<void> {
    while (!this.output.includes(text)) {
      if (this.#over) throw new Error(`it ended without "${text}":\n${this.output}${this.#errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export function plain(text: string): string {
  return text
    .replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "")
    .replaceAll("\r", "")
    .replaceAll(/ +$/gm, "");
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

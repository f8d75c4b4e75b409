// A machine started as a person's script starts it, in a process of its own, while the test goes on: for what happens from
// outside at any moment. Used by tests/images/, tests/system/ and tests/slow/.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Session {
  status: number | null;
  /** Without carriage returns, escape sequences and spaces at the ends of lines. */
  output: string;
  errors: string;
}

/** A machine that runs while the test does something else: types at random moments, kills a server, or the machine itself. */
export class RunningSession {
  readonly ended: Promise<Session>;
  readonly process: ChildProcess;
  #output = "";
  #errors = "";
  #over = false;

  /** With `open` the input goes on by `type`, to `end`. `options` are those of `npm start`, `within` a program that runs it. */
  constructor(
    commands: readonly string[],
    { timeoutS = 900, open = false, options = [] as readonly string[], within = [] as readonly string[] } = {},
  ) {
    const [program, ...args] = [...within, process.execPath, "scripts/start.mjs", ...options];
    const child = spawn(program, args, { cwd: root, timeout: timeoutS * 1000 });
    this.process = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
    // What it no longer reads when it is killed is no failure.
    child.stdin.on("error", () => {});
    child.stdin.write(commands.map((command) => `${command}\n`).join(""));
    if (!open) child.stdin.end();
    this.ended = new Promise((resolve) => {
      child.once("close", (status) => {
        this.#over = true;
        resolve({ status, output: this.output, errors: plain(this.#errors) });
      });
    });
  }

  type(...commands: readonly string[]): void {
    this.process.stdin?.write(commands.map((command) => `${command}\n`).join(""));
  }

  /** Ends the input; resolves when the machine has ended. */
  end(): Promise<Session> {
    this.process.stdin?.end();
    return this.ended;
  }

  /** What it has shown so far, as in a Session. */
  get output(): string {
    return plain(this.#output);
  }

  /** Waits until it has shown `text`, or what matches it. */
  async shows(text: string | RegExp): Promise<void> {
    while (typeof text === "string" ? !this.output.includes(text) : !text.test(this.output)) {
      if (this.#over) throw new Error(`it ended without ${text}:\n${this.output}${this.#errors}`);
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

// How long it takes to get going: from the start of the process to dom0's prompt, and from there from `xl create -c` of the
// hello guest to its first line. The process is what `npm start` runs, on a terminal of its own (util-linux's `script`
// makes one). BASELINE has no figure of the same thing: real Xen's dom0 is a whole Linux.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { type Bench, median, type Row } from "./form.ts";

const RUNS = 7;
const LIMIT_MS = 30_000;
const FIRST_LINE = "hello: I am domain";

interface Run {
  readonly promptMs: number;
  readonly helloMs: number;
}

export const run: Bench = async (context) => {
  if (spawnSync("script", ["--version"]).status !== 0)
    throw new Error("this benchmark needs util-linux's `script`, which makes a terminal");
  await once(); // Compiles what `npm start` keeps compiled, and warms the host's file cache.
  const runs: Run[] = [];
  for (let i = 0; i < RUNS; i++) runs.push(await once());
  const row = (name: string, of: (run: Run) => number): Row => ({
    name,
    value: context.calibrated(median(runs.map(of))),
    unit: "ms",
    runs: RUNS,
  });
  return [
    row("process start to dom0's prompt", (r) => r.promptMs),
    row("xl create -c hello to its first line", (r) => r.helloMs),
  ];
};

/** One machine, from its start to the guest's first line. */
async function once(): Promise<Run> {
  const started = performance.now();
  const child = spawn("script", ["-qfec", `"${process.execPath}" scripts/start.mjs`, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, TERM: "xterm" },
  });
  try {
    const terminal = new Terminal(child);
    await terminal.shows(/dom0#/);
    const prompt = performance.now();
    terminal.type("xl create -c guests/hello/hello.cfg\r");
    await terminal.shows(new RegExp(FIRST_LINE));
    const hello = performance.now();
    await terminal.shows(/dom0#/);
    terminal.type("exit\r");
    await terminal.ends();
    return { promptMs: prompt - started, helloMs: hello - prompt };
  } finally {
    child.kill();
  }
}

class Terminal {
  readonly #process: ChildProcess;
  #text = "";
  #look: () => void = () => {};

  constructor(child: ChildProcess) {
    this.#process = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
      this.#look();
    });
    child.on("exit", () => this.#look());
  }

  type(text: string): void {
    this.#text = "";
    this.#process.stdin?.write(text);
  }

  /** Waits for text that comes after what was waited for or typed before. */
  shows(pattern: RegExp): Promise<void> {
    return this.#until(`no ${pattern}`, () => {
      const found = pattern.exec(this.#text);
      if (found) this.#text = this.#text.slice(found.index + found[0].length);
      return found !== null;
    });
  }

  ends(): Promise<void> {
    return this.#until("no end", () => this.#process.exitCode !== null);
  }

  #until(what: string, reached: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`${what}; the terminal shows:\n${this.#text}`));
      const timer = setTimeout(fail, LIMIT_MS);
      this.#look = () => {
        const ok = reached();
        if (!ok && this.#process.exitCode === null) return;
        clearTimeout(timer);
        if (ok) resolve();
        else fail();
      };
      this.#look();
    });
  }
}

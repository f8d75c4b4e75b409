// A machine for benchmarks, as `npm start` runs it with commands on standard input: what it prints, and when. Used by the
// benchmarks that need domains; not one itself.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Timed {
  /** All that was printed, without carriage returns. */
  readonly output: string;
  readonly status: number | null;
  /** For each pattern: ms from the start at which it was first seen, and processor time used until then; undefined: never. */
  readonly seen: readonly (Moment | undefined)[];
}

export interface Moment {
  readonly ms: number;
  /** User and system time of all threads, ms; undefined where the host doesn't tell. */
  readonly cpuMs: number | undefined;
}

const TICK_MS = 10; // USER_HZ is 100 everywhere.

/** Runs dom0's commands in a new machine, and notes when each pattern is first printed. Throws when the limit is over. */
export function timedSession(
  commands: readonly string[],
  patterns: readonly RegExp[],
  limitMs: number,
  options: readonly string[] = [],
): Promise<Timed> {
  const started = performance.now();
  const child = spawn(process.execPath, ["scripts/start.mjs", ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const seen: (Moment | undefined)[] = patterns.map(() => undefined);
  let output = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill(), limitMs);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text.replaceAll("\r", "");
      patterns.forEach((pattern, i) => {
        if (seen[i] === undefined && pattern.test(output))
          seen[i] = { ms: performance.now() - started, cpuMs: cpuMs(child.pid as number) };
      });
    });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      if (signal === null) resolve({ output, status, seen });
      else reject(new Error(`the machine did not end in time; it printed:\n${output.slice(-2000)}`));
    });
    child.stdin.end(commands.map((command) => `${command}\n`).join(""));
  });
}

/** Processor time of a process that runs (proc(5): fields 14 and 15, counted behind the name in brackets). */
function cpuMs(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return undefined;
  }
}

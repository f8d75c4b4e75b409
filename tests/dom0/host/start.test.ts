// `npm start` as a person or a script starts it: a process with a worker, its exit status, its files.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const dir = mkdtempSync(join(tmpdir(), "xenolith-start-"));
afterAll(() => rmSync(dir, { recursive: true }));

function start(args: readonly string[], command = [process.execPath, "scripts/start.mjs"]): ReturnType<typeof run> {
  return run([...command, ...args]);
}

function run([file, ...args]: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(file, args, { input: "", encoding: "utf8", timeout: 120_000 });
}

describe("npm start", () => {
  test("without any input it starts, ends and says nothing on standard error", () => {
    const { status, stderr } = start([], ["npm", "start", "--silent"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test("on the virtual clock the run is the same each time, whatever the host's own timing was", () => {
    const traces = ["a", "b"].map((name) => {
      const file = join(dir, name);
      const { status, stderr } = start(["--clock", "virtual", "--seed", "3", "--trace", "--trace-file", file]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      return readFileSync(file, "utf8");
    });
    expect(traces[0].split("\n").length).toBeGreaterThan(10);
    expect(traces[1]).toBe(traces[0]);
  });

  test("a wrong option is one line on standard error, and status 1", () => {
    const { status, stdout, stderr } = start(["--memory", "lots"]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^--memory .*\n$/);
  });

  test.each(["--log-dir", "--trace=sched --trace-file", "--profile"])("%s somewhere impossible too", (option) => {
    for (const path of ["/dev/null/x", "/proc/x/y"]) {
      const { status, stdout, stderr } = start([...option.split(" "), path]);
      expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
      expect(stderr).toMatch(/^[^\n]*(\/dev\/null|\/proc)[^\n]*\n$/);
      expect(stderr.startsWith(`${option.split(" ").at(-1)}: `)).toBe(true);
    }
  });

  test("a trace whose disk is full ends with a line, and the machine goes on", () => {
    const { status, stderr } = start(["--trace", "--trace-file", "/dev/full"]);
    expect(status).toBe(0);
    expect(stderr).toMatch(/^the trace ends here: ENOSPC[^\n]*\n$/);
  });

  test("dom0 larger than the memory that is left is one line too", () => {
    const { status, stderr } = start(["--memory", "4096", "--dom0-memory", "4064"]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^.*dom0.*\n$/);
  });

  test("the trace and the hypervisor's log go where they are told to", () => {
    const trace = join(dir, "trace");
    const { status } = start(["--trace=hypercalls,sched", "--trace-file", trace, "--log-dir", join(dir, "logs")]);
    expect(status).toBe(0);
    expect(readFileSync(trace, "utf8")).toMatch(/set_callbacks/);
    expect(readFileSync(join(dir, "logs", "hypervisor.log"), "utf8")).toMatch(/^\(XEN\) /);
  });
});

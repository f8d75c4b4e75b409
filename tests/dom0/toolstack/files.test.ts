// Where files that a configuration names are looked for.

import { describe, expect, it } from "vitest";
import { describeError } from "../../../dom0/toolstack/errors.ts";
import { type Files, findFile, readWhole } from "../../../dom0/toolstack/files.ts";
import { HostError, type Task } from "../../../guests/sdk/index.ts";

const ENOENT = -2;
const EACCES = -13;

/** A disk of the paths given, 1 byte each; "folder/" stands for a folder, "!path" for one not allowed, "|path" for a pipe. */
function disk(...paths: string[]): Files {
  return {
    // biome-ignore lint/correctness/useYield: a task that never waits.
    *stat(path: string): ReturnType<Files["stat"]> {
      if (paths.includes(`!${path}`)) throw new HostError(path, EACCES);
      if (paths.includes(`${path}/`)) return { kind: "directory", size: 0, mtimeMs: 0 };
      if (paths.includes(`|${path}`)) return { kind: "other", size: 0, mtimeMs: 0 };
      if (!paths.includes(path)) throw new HostError(path, ENOENT);
      return { kind: "file", size: 1, mtimeMs: 0 };
    },
    // biome-ignore lint/correctness/useYield: a task that never waits.
    *readFile(path: string): Task<Uint8Array> {
      if (!paths.includes(path)) throw new HostError(path, ENOENT);
      return new Uint8Array([1]);
    },
  };
}

function run<T>(task: Task<T>): T {
  const step = task.next();
  if (!step.done) throw new Error("it waits");
  return step.value;
}

describe("a path in a configuration", () => {
  it("is looked for from the working directory, then beside the file", () => {
    expect(run(findFile(disk("k", "cfgs/k"), "kernel", "k", "cfgs/a.cfg"))).toBe("k");
    expect(run(findFile(disk("cfgs/k"), "kernel", "k", "cfgs/a.cfg"))).toBe("cfgs/k");
    expect(run(findFile(disk("/abs/k"), "kernel", "/abs/k", "cfgs/a.cfg"))).toBe("/abs/k");
  });

  it.each([
    [disk("cfgs//abs/k"), "/abs/k", "kernel /abs/k: No such file or directory"],
    [disk(), "k", "kernel k: No such file or directory"],
    [disk("k/"), "k", "kernel k: Is a directory"],
    [disk("!k", "cfgs/k"), "k", "kernel k: Permission denied"],
    [disk("|k"), "k", "kernel k: Not a regular file"],
  ])("that leads nowhere is one line", (files, path, message) => {
    expect(() => run(findFile(files, "kernel", path, "cfgs/a.cfg"))).toThrow(message);
  });

  it("that vanishes before it is read is one line too", () => {
    expect(() => run(readWhole(disk(), "ramdisk", "r", 1))).toThrow("ramdisk r: No such file or directory");
  });

  it.each([
    ["k", "kernel k: larger than 0 MiB, the most that can be"],
    ["d", "kernel d: Is a directory"],
    ["p", "kernel p: Not a regular file"],
  ])("isn't read when it is no file, has no end, or is too large (%s)", (path, message) => {
    const files: Files = {
      ...disk("k", "d/", "|p"),
      readFile: () => {
        throw new Error("it was read");
      },
    };
    expect(() => run(readWhole(files, "kernel", path, 0))).toThrow(message);
  });
});

it("an error of the host is put into words, one of our own is not", () => {
  expect(describeError(new HostError("a/b", ENOENT))).toBe("a/b: No such file or directory");
  expect(describeError(new TypeError("x is not a function"))).toBeUndefined();
});

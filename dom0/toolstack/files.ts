// Host files that a configuration names: where a relative path is looked for, and the content. Called by toolstack.ts, xl.

import { type Host, HostError, type Task } from "../../guests/sdk/index.ts";
import { hostErrorText, ToolstackError } from "./errors.ts";

/** What is needed of the machine's host; tests give a small disk. */
export type Files = Pick<Host, "readFile" | "stat">;

/**
 * Finds `path`, named in the file `from`: relative to the working directory, as xl does, or else to the folder of `from`.
 * Returns the path to open. Throws ToolstackError, naming `what` ("kernel").
 */
export function* findFile(files: Files, what: string, path: string, from: string): Task<string> {
  const beside = path.startsWith("/") ? undefined : from.slice(0, from.lastIndexOf("/") + 1) + path;
  for (const candidate of beside === undefined || beside === path ? [path] : [path, beside]) {
    try {
      const { kind } = yield* files.stat(candidate);
      if (kind === "directory") throw new ToolstackError(`${what} ${candidate}: Is a directory`);
      if (kind === "other") throw new ToolstackError(`${what} ${candidate}: ${SPECIAL}`);
      return candidate;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      if (error.code !== "ENOENT" && error.code !== "ENOTDIR")
        throw new ToolstackError(`${what} ${candidate}: ${hostErrorText(error)}`);
    }
  }
  throw new ToolstackError(`${what} ${path}: No such file or directory`);
}

/** A device or a pipe: it may have no end, or never begin. */
const SPECIAL = "Not a regular file";

/** The whole file, of at most `limitBytes`. Throws ToolstackError, naming `what`. */
export function* readWhole(files: Files, what: string, path: string, limitBytes: number): Task<Uint8Array> {
  try {
    const { kind, size } = yield* files.stat(path);
    if (kind === "directory") throw new ToolstackError(`${what} ${path}: Is a directory`);
    if (kind !== "file") throw new ToolstackError(`${what} ${path}: ${SPECIAL}`);
    if (size > limitBytes)
      throw new ToolstackError(
        `${what} ${path}: larger than ${Math.floor(limitBytes / 2 ** 20)} MiB, the most that can be`,
      );
    return yield* files.readFile(path);
  } catch (error) {
    if (error instanceof HostError) throw new ToolstackError(`${what} ${path}: ${hostErrorText(error)}`);
    throw error;
  }
}

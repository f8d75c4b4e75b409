// A person's mistake or a lack of something, in one line that can be shown as it is (STYLE 18). Thrown by the toolstack,
// printed by xl. `describeError` makes that line of whatever a command failed with.

import { HostError } from "../../guests/sdk/index.ts";

export class ToolstackError extends Error {
  override readonly name = "ToolstackError";
}

const HOST_TEXTS: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  EIO: "Input/output error",
  EINVAL: "Invalid argument",
  ENAMETOOLONG: "File name too long",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EADDRINUSE: "Address already in use",
  ECONNREFUSED: "Connection refused",
  ETIMEDOUT: "Connection timed out",
  EHOSTUNREACH: "No route to host",
  ENXIO: "No such device or address",
  ENODEV: "There is no such thing on this machine",
  ETXTBSY: "Text file busy",
  EBUSY: "Device or resource busy",
  EOPNOTSUPP: "Operation not supported",
};

/** What the host said about a file, as people know it. */
export const hostErrorText = (error: HostError): string => HOST_TEXTS[error.code] ?? error.code;

const EXPECTED = new Set([
  "ToolstackError",
  "ConfigError",
  "ImageError",
  "OutOfMemory",
  "XenError",
  "XsError",
  "GrantError",
]);

/** The line for a person; undefined for an error of our own making, which ought to be reported in full. */
export function describeError(error: unknown): string | undefined {
  if (error instanceof HostError) return `${error.message.replace(/: [^:]*$/, "")}: ${hostErrorText(error)}`;
  if (error instanceof Error && EXPECTED.has(error.name)) return error.message;
  return undefined;
}

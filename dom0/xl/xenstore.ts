// The xenstore commands: xenstore-ls, -read, -write, -list, -rm, -exists, -chmod, -watch, in the form of Xen's own. They act as
// dom0. Left out: -s, as there is no socket to choose.

import { printable } from "../printable.ts";
import type { XsClient, XsView } from "../xenstored/index.ts";
import { toByteString, XsError } from "../xenstored/index.ts";
import { type Command, CommandError } from "./context.ts";
import { expectWords, parseArguments } from "./options.ts";

/** How much of a line -ls leaves for what follows a cut value. */
const TAG_LENGTH = 10;
const PERMISSIONS_COLUMN = 60;

const TEXTS: Readonly<Record<string, string>> = {
  EINVAL: "Invalid path",
  ENOENT: "No such file or directory",
  EEXIST: "File exists",
  E2BIG: "Argument list too long",
};

/** Runs `body`, a failure of the store's turned into the line that the tools print. */
function onPath<T>(what: string, path: string, body: () => T | undefined): T {
  let result: T | undefined;
  try {
    result = body();
  } catch (error) {
    if (!(error instanceof XsError)) throw error;
    throw new CommandError(`${what} ${path}: ${TEXTS[error.code] ?? error.code}`);
  }
  if (result === undefined) throw new CommandError(`${what} ${path}: No such file or directory`);
  return result;
}

export const xenstoreLs: Command = {
  name: "xenstore-ls",
  usage: "[-f] [-p] [path]",
  summary: "List the xenstore's tree",
  options: ["-f                      Show full paths", "-p                      Show permissions"],
  *run({ io, xs }, args) {
    const { words, has } = parseArguments("xenstore-ls", args, { full: { letter: "f" }, permissions: { letter: "p" } });
    const [path = "/"] = expectWords("xenstore-ls", xenstoreLs.usage, words, 0, 1);
    onPath("xenstore-ls:", path, () => xs.directory(path));
    const width = has("full") ? Infinity : io.columns === undefined ? 80 : io.columns - 2;
    const form: LsForm = { full: has("full"), permissions: has("permissions"), width };
    yield* io.write(tree(xs, path, 0, form));
    return 0;
  },
};

interface LsForm {
  readonly full: boolean;
  readonly permissions: boolean;
  readonly width: number;
}

function tree(xs: XsClient, path: string, depth: number, form: LsForm): string {
  let text = "";
  for (const name of xs.directory(path) ?? []) {
    const child = path.endsWith("/") ? path + name : `${path}/${name}`;
    const value = sanitise(xs.readBytes(child) ?? "");
    const room = form.width - TAG_LENGTH;
    let line = form.full ? child : " ".repeat(depth) + name.slice(0, Math.max(0, room - depth));
    if (form.width < line.length + value.length + TAG_LENGTH)
      line += ` = "${value.slice(0, Math.max(0, room - line.length))}\\..."`;
    else {
      line += ` = "${value}"`;
      if (form.permissions) line += dots(line.length, form);
    }
    if (form.permissions) line += `  (${(xs.permissions(child) ?? []).join(",")})`;
    text += `${line}\n${tree(xs, child, depth + 1, form)}`;
  }
  return text;
}

/** A blank, then dots up to the column where permissions stand (none with full paths). */
function dots(length: number, form: LsForm): string {
  let text = " ";
  const until = form.full ? 0 : Math.min(PERMISSIONS_COLUMN, form.width);
  for (let column = length + 1; column < until; column++) text += column & 1 ? "." : " ";
  return text;
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

/** Bytes that are not plain ASCII text, and the backslash, as the escapes of the real tools. */
function sanitise(bytes: string): string {
  return bytes.replace(/[^ -~]|\\/g, (c) => {
    const code = c.charCodeAt(0);
    return (
      ESCAPES[c] ?? (code < 8 ? `\\${code.toString(8).padStart(3, "0")}` : `\\x${code.toString(16).padStart(2, "0")}`)
    );
  });
}

/** The bytes that a text with such escapes stands for. */
function unsanitise(text: string): string {
  const names: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };
  return toByteString(text).replace(/\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.?))/gs, (_, hex, octal, other: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 255);
    return names[other] ?? other;
  });
}

export const xenstoreRead: Command = {
  name: "xenstore-read",
  usage: "[-p] [-R] path...",
  summary: "Print values",
  options: [
    "-p                      Print the paths too",
    "-R                      Print the bytes as they are, without escapes and line ends",
  ],
  *run({ io, xs }, args) {
    const { words, has } = parseArguments("xenstore-read", args, { prefix: { letter: "p" }, raw: { letter: "R" } });
    for (const path of expectWords("xenstore-read", xenstoreRead.usage, words, 1, Infinity)) {
      const value = onPath("xenstore-read: couldn't read path", path, () => xs.readBytes(path));
      if (has("prefix")) yield* io.write(`${path}: `);
      if (has("raw")) yield* io.write(Uint8Array.from(value, (c) => c.charCodeAt(0)));
      else yield* io.write(`${sanitise(value)}\n`);
    }
    return 0;
  },
};

export const xenstoreList: Command = {
  name: "xenstore-list",
  usage: "[-p] path...",
  summary: "Print the names below a path",
  options: ["-p                      Print the paths too"],
  *run({ io, xs }, args) {
    const { words, has } = parseArguments("xenstore-list", args, { prefix: { letter: "p" } });
    for (const path of expectWords("xenstore-list", xenstoreList.usage, words, 1, Infinity)) {
      const names = onPath("xenstore-list: could not list path", path, () => xs.directory(path));
      yield* io.write(names.map((name) => `${has("prefix") ? `${path}/` : ""}${name}\n`).join(""));
    }
    return 0;
  },
};

export const xenstoreWrite: Command = {
  name: "xenstore-write",
  usage: "[-R] path value...",
  summary: "Set values",
  options: ["-R                      Take the values as they are, without escapes"],
  *run({ xs }, args) {
    const { words, has } = parseArguments("xenstore-write", args, { raw: { letter: "R" } });
    if (words.length === 0 || words.length % 2 !== 0)
      throw new CommandError(`Usage: xenstore-write ${xenstoreWrite.usage}`);
    xs.transaction((view) => {
      for (let i = 0; i < words.length; i += 2)
        onPath("xenstore-write: could not write path", words[i], () => {
          const value = words[i + 1];
          view.writeBytes(words[i], has("raw") ? toByteString(value) : unsanitise(value));
          return true;
        });
    });
    yield* [];
    return 0;
  },
};

export const xenstoreRm: Command = {
  name: "xenstore-rm",
  usage: "[-t] path...",
  summary: "Remove nodes with all below them",
  options: ["-t                      Remove those above too, as far as they are empty then"],
  *run({ xs }, args) {
    const { words, has } = parseArguments("xenstore-rm", args, { tidy: { letter: "t" } });
    for (const path of expectWords("xenstore-rm", xenstoreRm.usage, words, 1, Infinity)) {
      onPath("xenstore-rm: could not remove path", path, () => xs.read(path));
      onPath("xenstore-rm: could not remove path", path, () => {
        xs.remove(path);
        if (has("tidy")) tidyAbove(xs, path);
        return true;
      });
    }
    yield* [];
    return 0;
  },
};

/** Removes what is above `path` while it has neither value nor children. */
function tidyAbove(xs: XsClient, path: string): void {
  const above = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (above === "" || xs.readBytes(above) !== "" || xs.directory(above)?.length !== 0) return;
  xs.remove(above);
  tidyAbove(xs, above);
}

export const xenstoreChmod: Command = {
  name: "xenstore-chmod",
  usage: "[-u] [-r] path mode...",
  summary: "Set permissions",
  options: [
    "-u                      Also those of all above the path",
    "-r                      Also those of all below it",
    "mode                    n, r, w or b (none, read, write, both) and a domain's number; the first is the owner's",
  ],
  *run({ xs }, args) {
    const { words, has } = parseArguments("xenstore-chmod", args, { upto: { letter: "u" }, recurse: { letter: "r" } });
    const [path, ...modes] = expectWords("xenstore-chmod", xenstoreChmod.usage, words, 2, Infinity);
    const wrong = modes.find((mode) => !/^[nrwb]\d{1,5}$/.test(mode));
    if (wrong !== undefined) throw new CommandError(`Invalid permission specification: '${wrong}'`);
    const set = (view: XsView, at: string, below: boolean): void => {
      onPath("xenstore-chmod: Error occurred setting permissions on", at, () => {
        view.setPermissions(at, modes);
        return true;
      });
      if (below) for (const name of view.directory(at) ?? []) set(view, `${at}/${name}`, true);
    };
    xs.transaction((view) => {
      set(view, path, has("recurse"));
      if (!has("upto")) return;
      for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
        set(view, path.slice(0, end), false);
    });
    yield* [];
    return 0;
  },
};

export const xenstoreWatch: Command = {
  name: "xenstore-watch",
  usage: "[-n NR] path...",
  summary: "Print the paths of changes as they happen (Ctrl-C ends)",
  options: ["-n NR                   End after so many"],
  *run({ io, xs }, args) {
    const { words, lastOf } = parseArguments("xenstore-watch", args, { count: { letter: "n", value: true } });
    const paths = expectWords("xenstore-watch", xenstoreWatch.usage, words, 1, Infinity);
    const count = lastOf("count") ?? "Infinity";
    if (!/^(\d{1,9}|Infinity)$/.test(count))
      throw new CommandError(`xenstore-watch: "${count}" is no number of events`);
    const client = xs.another();
    try {
      for (const path of paths)
        onPath("xenstore-watch: Unable to add watch on", path, () => {
          client.watch(path, "token");
          return true;
        });
      for (let n = 0; n < Number(count); n++) {
        const event = yield* client.events.receive();
        if (event === undefined) break;
        yield* io.write(`${printable(event.path)}\n`);
      }
    } finally {
      client.close();
    }
    return 0;
  },
};

export const xenstoreExists: Command = {
  name: "xenstore-exists",
  usage: "path...",
  summary: "Exit status 0 when the nodes exist, 1 when not",
  *run({ xs }, args) {
    const { words } = parseArguments("xenstore-exists", args, {});
    yield* [];
    const paths = expectWords("xenstore-exists", xenstoreExists.usage, words, 1, Infinity);
    return paths.every((path) => onPath("xenstore-exists:", path, () => ({ found: xs.read(path) !== undefined })).found)
      ? 0
      : 1;
  },
};

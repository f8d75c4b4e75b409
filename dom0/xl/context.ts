// What a command of xl or of the xenstore tools works with: the person's terminal or pipe, and dom0's services. Made by the
// shell for each command that runs.

import type { Channel, Kernel, Task } from "../../guests/sdk/index.ts";
import type { ConsoleDaemon } from "../consoled/index.ts";
import type { Toolstack } from "../toolstack/toolstack.ts";
import type { XsClient } from "../xenstored/index.ts";

/** Where a command's output goes and its input comes from. */
export interface Io {
  write(data: string | Uint8Array): Task;
  /** Keys as they are typed, for `xl console`; undefined where input is a script, whose lines are commands. */
  readonly keys: Keys | undefined;
  /** Characters in a line; undefined when the output is no terminal. */
  readonly columns: number | undefined;
}

/** Typed bytes, with a place to put back what was read too much. */
export interface Keys {
  readonly channel: Channel<Uint8Array>;
  /** The next piece, undefined when there is none now. */
  tryRead(): Uint8Array | undefined;
  unread(bytes: Uint8Array): void;
  /** True while keys belong to a guest: Ctrl-C too is then only a key. */
  attached: boolean;
}

export interface XlContext {
  readonly io: Io;
  readonly kernel: Kernel;
  readonly toolstack: Toolstack;
  readonly consoles: ConsoleDaemon;
  readonly xs: XsClient;
}

/** A command: its words after the name, its exit status. */
export interface Command {
  readonly name: string;
  /** Arguments, as help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** Lines about options, for `help NAME`. */
  readonly options?: readonly string[];
  /** What an argument may be, for completion: a domain, a file, or nothing known. */
  readonly completes?: "domain" | "file";
  run(context: XlContext, args: readonly string[]): Task<number>;
}

/** A failure that a command ends with: `message` is printed as it is, `status` is the exit status. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly status: number;
  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

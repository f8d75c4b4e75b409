// Dom0's console: reads commands and runs them. On a terminal with a prompt, editing, history, completion and Ctrl-C; from
// a pipe or file line by line, with only the commands' output. Either way, at the end the remaining domains are
// destroyed; from a script the exit status tells whether any command failed.

import type { Host, Task, TerminalInfo, Thread } from "../../guests/sdk/index.ts";
import { clipped, printable } from "../printable.ts";
import { type Io, runCommand, type XlContext } from "../xl/index.ts";
import { complete, findCommand, helpText } from "./commands.ts";
import { Keyboard } from "./keyboard.ts";
import { KeyReader } from "./keys.ts";
import { LineEditor } from "./line_editor.ts";
import { LineReader, MAX_LINE } from "./line_reader.ts";
import { splitWords, WordError } from "./words.ts";

/** Dom0's services, without the terminal. */
export type Services = Omit<XlContext, "io">;

/** Exit status of a line that isn't a command: that of a shell. */
const NOT_FOUND = 127;

export class Shell {
  readonly #services: Services;
  readonly #host: Host;
  readonly #keyboard = new Keyboard();
  #info!: TerminalInfo;
  #editor: LineEditor | undefined = undefined;
  /** Files of the folder that was last looked at, for completion. */
  #files: readonly string[] = [];
  /** Set by `exit`. */
  #exitStatus: number | undefined = undefined;
  #failed = false;

  constructor(services: Services) {
    this.#services = services;
    this.#host = services.kernel.host;
  }

  /** Runs to the end of input or `exit`; the exit status of the machine. */
  *run(): Task<number> {
    this.#info = yield* this.#host.tty.info();
    if (this.#info.isTTY) yield* this.#interactive();
    else yield* this.#script();
    for (const { domid } of this.#services.toolstack.all) yield* this.#services.toolstack.destroy(domid);
    return this.#exitStatus ?? (this.#failed && !this.#info.isTTY ? 1 : 0);
  }

  *#script(): Task {
    const lines = new LineReader(() => this.#host.tty.read());
    const io: Io = {
      write: (data) => this.#host.tty.write(data),
      keys: undefined,
      columns: this.#info.outputIsTTY ? this.#info.columns : undefined,
    };
    while (this.#exitStatus === undefined) {
      const line = yield* lines.next();
      if (line === undefined) break;
      if ((yield* this.#runLine(line, io)) !== 0) this.#failed = true;
    }
  }

  *#interactive(): Task {
    const { tty } = this.#host;
    const { kernel } = this.#services;
    kernel.spawn("keyboard", this.#keyboard.pump(tty));
    const reader = new KeyReader();
    const prompt = this.#info.colour ? "\x1b[1;32mdom0#\x1b[0m " : "dom0# ";
    this.#editor = new LineEditor(prompt, (line) =>
      complete(
        line,
        () => this.#domainNames(),
        () => this.#files,
      ),
    );
    this.#editor.columns = usableColumns(this.#info);
    kernel.spawn("window size", this.#followSize(this.#editor));
    const { version } = yield* this.#host.config();
    yield* tty.write(`Xenolith ${version}: the console of dom0. "help" lists the commands, "exit" ends.\n`);
    while (this.#exitStatus === undefined) {
      const line = yield* this.#readLine(this.#editor, reader);
      if (line === undefined) break;
      yield* this.#runInterruptible(line);
    }
  }

  /** The next line that is typed; undefined at Ctrl-D or the end of input. */
  *#readLine(editor: LineEditor, reader: KeyReader): Task<string | undefined> {
    const { tty } = this.#host;
    yield* tty.write(editor.start());
    for (;;) {
      const bytes = yield* this.#keyboard.read();
      if (bytes === undefined) return undefined;
      for (let at = 0; at < bytes.length; at++) {
        for (const key of reader.feed(bytes.subarray(at, at + 1))) {
          if ("name" in key && key.name === "tab") yield* this.#loadFiles(editor.text);
          const { outcome, out } = editor.key(key);
          yield* tty.write(out);
          if (outcome.kind === "editing") continue;
          // What was typed ahead is for the next line, or for a guest.
          this.#keyboard.unread(bytes.slice(at + 1));
          return outcome.kind === "line" ? outcome.line : undefined;
        }
      }
    }
  }

  /** Runs a line in a thread of its own, which Ctrl-C cancels. */
  *#runInterruptible(line: string): Task {
    const io: Io = {
      write: (data) => this.#host.tty.write(data),
      keys: this.#keyboard,
      columns: usableColumns(this.#info),
    };
    const thread: Thread = this.#services.kernel.spawn(`command ${line}`, this.#runLine(line, io));
    let interrupted = false;
    this.#keyboard.onInterrupt = () => {
      if (interrupted) return; // Once: what it then undoes must not be broken off in turn.
      interrupted = true;
      thread.cancel();
    };
    yield* thread.join();
    this.#keyboard.onInterrupt = undefined;
    if (interrupted) yield* this.#host.tty.write("^C\r\n");
  }

  /** Runs one line; its exit status. */
  *#runLine(line: string, io: Io): Task<number> {
    let words: readonly string[];
    if (line.length > MAX_LINE) {
      yield* io.write(`a line of more than ${MAX_LINE} characters is ignored\n`);
      return 2;
    }
    try {
      words = splitWords(line);
    } catch (error) {
      if (!(error instanceof WordError)) throw error;
      yield* io.write(`syntax error: ${printable(error.message)}\n`);
      return 2;
    }
    if (words.length === 0) return 0;
    const found = findCommand(words);
    if (found.kind === "command") return yield* runCommand(found.command, { ...this.#services, io }, found.args);
    if (found.kind === "shell") return yield* this.#own(found.word, found.args, io);
    yield* io.write(`${printable(found.message)}\n`);
    return NOT_FOUND;
  }

  *#own(word: "help" | "history" | "clear" | "exit", args: readonly string[], io: Io): Task<number> {
    switch (word) {
      case "help": {
        const text = helpText(args);
        yield* io.write(text ?? `There is no command "${printable(clipped(args.at(-1) ?? ""))}".\n`);
        return text === undefined ? 1 : 0;
      }
      case "history":
        yield* io.write((this.#editor?.history ?? []).map((l, i) => `${String(i + 1).padStart(5)}  ${l}\n`).join(""));
        return 0;
      case "clear":
        if (io.columns !== undefined) yield* io.write("\x1b[H\x1b[2J");
        return 0;
      default:
        if (args.length > 1 || !/^\d{0,3}$/.test(args[0] ?? "")) {
          yield* io.write("Usage: exit [status]\n");
          return 2;
        }
        this.#exitStatus = args.length === 1 ? Number(args[0]) & 255 : this.#failed && !this.#info.isTTY ? 1 : 0;
        return 0;
    }
  }

  #domainNames(): string[] {
    const { toolstack } = this.#services;
    return toolstack.all.map(({ domid }) => toolstack.nameOf(domid) ?? String(domid));
  }

  /** Looks into the folder of the word that is typed, so that completion has its names. */
  *#loadFiles(line: string): Task {
    const typed = line.slice(line.lastIndexOf(" ") + 1);
    const folder = typed.slice(0, typed.lastIndexOf("/") + 1);
    try {
      const names = yield* this.#host.list(folder === "" ? "." : folder);
      this.#files = names.filter((name) => printable(name) === name).map((name) => folder + name);
    } catch {
      this.#files = []; // No such folder: nothing to complete.
    }
  }

  *#followSize(editor: LineEditor): Task {
    for (;;) {
      this.#info = yield* this.#host.tty.resized();
      editor.columns = usableColumns(this.#info);
    }
  }
}

/** Some terminals say that they have no columns at all. */
const usableColumns = (info: TerminalInfo): number => (info.columns >= 20 ? info.columns : 80);

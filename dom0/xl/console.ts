// xl console: a guest's console for a person, and, as an extension, for a script: --send types a line, --expect waits until
// the output matches, --timeout bounds each wait. They are carried out in the order given, any number of times.

import type { Task } from "../../guests/sdk/index.ts";
import type { ConsoleViewer } from "../consoled/index.ts";
import { attachConsole } from "./attach.ts";
import { type Command, CommandError, type XlContext } from "./context.ts";
import { findGuest } from "./domains.ts";
import { Expecter, unescapeSend } from "./expect.ts";
import { expectWords, parseArguments } from "./options.ts";

const OPTIONS = {
  type: { letter: "t", value: true },
  number: { letter: "n", value: true },
  send: { long: "send", value: true },
  expect: { long: "expect", value: true },
  timeout: { long: "timeout", value: true },
} as const;

const DEFAULT_TIMEOUT_S = 10;
const LF = 10;
const CR = 13;

export const console: Command = {
  name: "console",
  usage: "[options] <Domain>",
  summary: "Attach to domain's console",
  options: [
    "Ctrl-] leaves the console.",
    "-t <type>               console type: pv is the only one here",
    "-n <number>             console number: 0 is the only one here",
    "--send <text>           (extension) type the text and Enter; \\n \\r \\t \\e \\xHH \\\\ as in C, \\c at the end: no Enter",
    "--expect <regex>        (extension) wait until the output matches; escape sequences don't count",
    "--timeout <seconds>     (extension) give up after that long without a match (10)",
  ],
  completes: "domain",
  *run(context, args) {
    const parsed = parseArguments("xl console", args, OPTIONS);
    const [name] = expectWords("xl console", console.usage, parsed.words, 1);
    if ((parsed.lastOf("type") ?? "pv") !== "pv") throw new CommandError("xl console: only console type pv is there");
    if ((parsed.lastOf("number") ?? "0") !== "0") throw new CommandError("xl console: only console 0 is there");
    const domid = findGuest(context, name, "shown: its console is this one");
    const steps = parsed.options.filter((o) => o.name === "send" || o.name === "expect");
    if (steps.length === 0) {
      yield* attachConsole(context, domid);
      return 0;
    }
    const timeoutText = parsed.lastOf("timeout") ?? String(DEFAULT_TIMEOUT_S);
    if (!/^\d+(\.\d+)?$/.test(timeoutText))
      throw new CommandError(`xl console: "${timeoutText}" is no number of seconds`);
    const viewer = context.consoles.view(domid);
    if (viewer === undefined) throw new CommandError(`xl console: domain ${domid} has no console`);
    const dialogue = new Dialogue(context, viewer, Number(timeoutText));
    try {
      for (const { name: step, value } of steps)
        if (step === "send") yield* dialogue.send(value);
        else yield* dialogue.expect(value);
    } finally {
      const rest = dialogue.end();
      viewer.close(rest);
      yield* dialogue.endLine();
    }
    return 0;
  },
};

class Dialogue {
  readonly #context: XlContext;
  readonly #viewer: ConsoleViewer;
  readonly #timeoutS: number;
  readonly #expecter = new Expecter();
  /** The last byte shown. */
  #last = LF;

  constructor(context: XlContext, viewer: ConsoleViewer, timeoutS: number) {
    this.#context = context;
    this.#viewer = viewer;
    this.#timeoutS = timeoutS;
  }

  *send(text: string): Task {
    const taken = yield* this.#viewer.type(unescapeSend(text), this.#timeoutS * 1e9);
    if (!taken) throw new CommandError(`xl console: the guest took no input for ${this.#timeoutS} s`);
  }

  *expect(pattern: string): Task {
    let regex: RegExp;
    try {
      regex = new RegExp(pattern, "m");
    } catch {
      throw new CommandError(`xl console: ${JSON.stringify(pattern)} is not a regular expression`);
    }
    const { clock } = this.#context.kernel;
    const deadline = clock.systemTimeNs() + this.#timeoutS * 1e9;
    for (;;) {
      // What comes after the match is for the next step, or the next viewer.
      const { matched, show } = this.#expecter.step(regex);
      yield* this.#show(show);
      if (matched) return;
      // A guest that never stops printing doesn't get more time than one that prints nothing.
      const leftNs = deadline - clock.systemTimeNs();
      const output = leftNs > 0 ? yield* this.#viewer.read(leftNs) : undefined;
      if (output !== undefined) this.#expecter.add(output);
      else {
        const why = this.#viewer.atEnd ? "before the domain ended" : `within ${this.#timeoutS} s`;
        throw new CommandError(`xl console: /${pattern}/ did not appear ${why}`);
      }
    }
  }

  /** Takes the end of the line that the last match is on, as far as it has come; returns what was not shown. */
  end(): Uint8Array {
    const { rest } = this.#expecter;
    const lineEnd = rest[0] === CR && rest[1] === LF ? 2 : rest[0] === LF ? 1 : 0;
    return rest.slice(lineEnd);
  }

  /** Ends the line that is shown, so that what comes next begins its own. */
  *endLine(): Task {
    if (this.#last !== LF) yield* this.#context.io.write("\n");
  }

  *#show(bytes: Uint8Array): Task {
    if (bytes.length === 0) return;
    this.#last = bytes[bytes.length - 1];
    yield* this.#context.io.write(bytes);
  }
}

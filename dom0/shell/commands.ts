// The commands of dom0's console: `xl SUBCOMMAND`, the xenstore tools, and the shell's own (help, history, clear, exit).
// Finds the command that words name, completes what is typed, and writes help. Called by shell.ts.

import { clipped } from "../printable.ts";
import { type Command, describeCommand, XENSTORE_COMMANDS, XL_COMMANDS } from "../xl/index.ts";
import type { Completion } from "./line_editor.ts";
import { similar } from "./similar.ts";

export const SHELL_WORDS = ["help", "history", "clear", "exit"] as const;

/** What words ask for: a command with its arguments, a word of the shell's own, or a mistake in one line. */
export type Found =
  | { readonly kind: "command"; readonly command: Command; readonly args: readonly string[] }
  | { readonly kind: "shell"; readonly word: (typeof SHELL_WORDS)[number]; readonly args: readonly string[] }
  | { readonly kind: "error"; readonly message: string };

export function findCommand(words: readonly string[]): Found {
  const [first, second] = words;
  const word = SHELL_WORDS.find((w) => w === first);
  if (word !== undefined) return { kind: "shell", word, args: words.slice(1) };
  if (first === "xl") {
    if (second === undefined || ["help", "-h", "--help"].includes(second))
      return { kind: "shell", word: "help", args: second === undefined ? ["xl"] : words.slice(2) };
    const command = XL_COMMANDS.find((c) => c.name === second);
    if (command) return { kind: "command", command, args: words.slice(2) };
    return unknown(`xl: unknown command "${clipped(second)}"`, "xl ", second, XL_COMMANDS);
  }
  const command = XENSTORE_COMMANDS.find((c) => c.name === first);
  if (command) return { kind: "command", command, args: words.slice(1) };
  const what = `${clipped(first)}: unknown command`;
  const other = words.join(" ");
  if (XL_COMMANDS.some((c) => c.name === first) && other.length < 80)
    return { kind: "error", message: `${what}; did you mean "xl ${other}"?` };
  return unknown(what, "", first, [...XENSTORE_COMMANDS, ...SHELL_WORDS.map((name) => ({ name })), { name: "xl" }]);
}

function unknown(what: string, prefix: string, word: string, commands: readonly { name: string }[]): Found {
  const near = similar(
    word,
    commands.map((c) => c.name),
  );
  const hint = near === undefined ? "see help" : `did you mean "${prefix}${near}"?`;
  return { kind: "error", message: `${what}; ${hint}` };
}

/** Help on everything, or on the command named; undefined when there is none of that name. */
export function helpText(names: readonly string[]): string | undefined {
  const [name] = names[0] === "xl" ? names.slice(1) : names;
  if (name !== undefined && name !== "help") {
    const command = [...XL_COMMANDS, ...XENSTORE_COMMANDS].find((c) => c.name === name);
    return command && describeCommand(command);
  }
  const line = (command: string, summary: string): string => `  ${command.padEnd(22)} ${summary}\n`;
  return (
    "Commands of the dom0 console (help NAME tells more of one):\n\n" +
    XL_COMMANDS.map((c) => line(`xl ${c.name}`, c.summary)).join("") +
    XENSTORE_COMMANDS.map((c) => line(c.name, c.summary)).join("") +
    line("history", "Show the lines typed so far") +
    line("clear", "Clear the screen") +
    line("exit", "End the machine (or Ctrl-D)") +
    "\nCtrl-] leaves a guest's console. Tab completes commands, domains and files.\n"
  );
}

/** What Tab may put at the end of `line`. `domains` and `files` are those there are. */
export function complete(
  line: string,
  domains: () => readonly string[],
  files: (prefix: string) => readonly string[],
): Completion {
  const start = line.lastIndexOf(" ") + 1;
  const typed = line.slice(start);
  const words = line.slice(0, start).split(/\s+/).filter(Boolean);
  const matching = (all: readonly string[]): Completion => ({
    start,
    candidates: all.filter((c) => c.startsWith(typed)).toSorted(),
  });
  if (words.length === 0) return matching(["xl", ...XENSTORE_COMMANDS.map((c) => c.name), ...SHELL_WORDS]);
  if (words.length === 1 && words[0] === "xl") return matching([...XL_COMMANDS.map((c) => c.name), "help"]);
  if (words[0] === "help" || (words[0] === "xl" && words[1] === "help"))
    return matching([...XL_COMMANDS, ...XENSTORE_COMMANDS].map((c) => c.name));
  const found = findCommand(words);
  if (found.kind !== "command") return matching([]);
  if (typed.startsWith("-")) return matching(optionWords(found.command));
  if (found.command.completes === "domain") return matching(domains());
  if (found.command.completes === "file") return matching(files(typed));
  return matching([]);
}

/** `-c`, `--wait`: the options in a command's help. */
function optionWords(command: Command): string[] {
  return (command.options ?? [])
    .flatMap((text) => /^(-\S+?)(?:,|\s|$)(?:\s*(--[a-z-]+))?/.exec(text)?.slice(1) ?? [])
    .filter(Boolean);
}

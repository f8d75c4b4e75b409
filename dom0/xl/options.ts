// Options of a command line, as getopt_long reads them: `-c`, `-vw` (several in one), `--wait`, values after a blank or
// `=`; options and other words in any order; `--` ends the options. Called by every command.

import { CommandError } from "./context.ts";

/** Thrown for -h and --help, which every command has. */
export class HelpWanted extends Error {}

/** An option: its letter (if it has one), its long name (if it has one), and whether a value follows. */
export interface OptionSpec {
  readonly letter?: string;
  readonly long?: string;
  readonly value?: true;
}

export interface ParsedArguments<N extends string> {
  /** Options in the order given; `value` is empty for those without. */
  readonly options: readonly { readonly name: N; readonly value: string }[];
  readonly words: readonly string[];
  has(name: N): boolean;
  /** The last value given. */
  lastOf(name: N): string | undefined;
}

/** Throws CommandError (status 1, as xl) for an option that isn't in `specs`, or one without its value. */
export function parseArguments<N extends string>(
  command: string,
  args: readonly string[],
  specs: Readonly<Record<N, OptionSpec>>,
): ParsedArguments<N> {
  const options: { name: N; value: string }[] = [];
  const words: string[] = [];
  const byName = Object.entries(specs) as [N, OptionSpec][];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--") {
      words.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      words.push(arg);
      continue;
    }
    if (arg === "--help") throw new HelpWanted();
    if (arg.startsWith("--")) {
      const [long, given] = splitOnce(arg.slice(2));
      const [name, spec] = found(
        command,
        arg,
        byName.find(([, s]) => s.long === long),
      );
      if (!spec.value && given !== undefined) throw new CommandError(`${command}: option --${long} takes no value`);
      options.push({ name, value: spec.value ? (given ?? next(command, arg, args, ++i)) : "" });
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      if (arg[at] === "h") throw new HelpWanted();
      const [name, spec] = found(
        command,
        `-${arg[at]}`,
        byName.find(([, s]) => s.letter === arg[at]),
      );
      if (!spec.value) {
        options.push({ name, value: "" });
        continue;
      }
      const rest = arg.slice(at + 1);
      options.push({ name, value: rest !== "" ? rest : next(command, `-${arg[at]}`, args, ++i) });
      break;
    }
  }
  return {
    options,
    words,
    has: (name) => options.some((o) => o.name === name),
    lastOf: (name) => options.findLast((o) => o.name === name)?.value,
  };
}

/** The words, which must be from `min` to `max` many. Throws CommandError with the command's usage. */
export function expectWords(
  command: string,
  usage: string,
  words: readonly string[],
  min: number,
  max = min,
): readonly string[] {
  if (words.length < min || words.length > max) throw new CommandError(`Usage: ${command} ${usage}`.trim());
  return words;
}

function splitOnce(text: string): [string, string | undefined] {
  const eq = text.indexOf("=");
  return eq < 0 ? [text, undefined] : [text.slice(0, eq), text.slice(eq + 1)];
}

function found<T>(command: string, option: string, match: T | undefined): T {
  if (match === undefined)
    throw new CommandError(`${command}: unknown option ${option}; see help ${command.replace(/^xl /, "")}`);
  return match;
}

function next(command: string, option: string, args: readonly string[], index: number): string {
  if (index >= args.length) throw new CommandError(`${command}: option ${option} needs a value`);
  return args[index];
}

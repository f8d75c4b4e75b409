// xl create: reads the configuration, has the domain made, starts it, and with -c shows its console until it ends. Interrupted, it
// leaves nothing of the domain. Called by the shell, as all commands. Left out: options for HVM, VNC and migration.

import { printable } from "../printable.ts";
import { type DomainConfig, readDomainConfig } from "../toolstack/config/index.ts";
import { readWhole } from "../toolstack/files.ts";
import { attachConsole } from "./attach.ts";
import { type Command, CommandError } from "./context.ts";
import { parseArguments } from "./options.ts";

const OPTIONS = {
  console: { letter: "c" },
  paused: { letter: "p" },
  quiet: { letter: "q", long: "quiet" },
  exit: { letter: "e" },
  file: { letter: "f", long: "defconfig", value: true },
  dryRun: { letter: "n", long: "dryrun" },
} as const;

const MAX_CONFIG_BYTES = 2 ** 20;
const MAX_WARNINGS = 20;

export const create: Command = {
  name: "create",
  usage: "<ConfigFile> [options] [vars]",
  summary: "Create a domain from config file <filename>",
  options: [
    "-f, --defconfig=<file>  Use this configuration file.",
    "-c                      Connect to the console after the domain is created.",
    "-p                      Leave the domain paused after it is created.",
    "-q, --quiet             Quiet.",
    "-n, --dryrun            Read the configuration only.",
    "vars                    Settings as in the file, such as memory=64 or 'extra=\"quiet\"'.",
  ],
  completes: "file",
  *run(context, args) {
    const { words, has, lastOf } = parseArguments("xl create", args, OPTIONS);
    const file = lastOf("file") ?? words.find((word) => !word.includes("="));
    const overrides = words.filter((word) => word !== file);
    if (file === undefined) throw new CommandError(`Usage: xl create ${create.usage}`);
    const stray = overrides.find((word) => !word.includes("="));
    if (stray !== undefined) throw new CommandError(`xl create: "${stray}" is not a setting, as in memory=64`);
    const bytes = yield* readWhole(context.kernel.host, "Failed to read config file:", file, MAX_CONFIG_BYTES);
    if (!has("quiet")) yield* context.io.write(`Parsing config from ${printable(file)}\n`);
    const warnings: string[] = [];
    let config: DomainConfig;
    try {
      config = readDomainConfig(file, new TextDecoder().decode(bytes), overrides, (w) => warnings.push(w));
    } finally {
      // Also before an error: what is missing is often there under a name that was mistyped.
      for (const warning of warnings.slice(0, MAX_WARNINGS)) yield* context.io.write(`${printable(warning)}\n`);
    }
    if (has("dryRun")) return 0;
    const domid = yield* context.toolstack.create(config);
    if (!has("paused")) context.toolstack.unpause(domid);
    if (has("console")) yield* attachConsole(context, domid, { followRestarts: true });
    return 0;
  },
};

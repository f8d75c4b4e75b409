// The command line of `npm start`: what may be said, and one clear line for what may not. Used by main.ts; the worker gets
// the result by message, so it is plain data.

import type { CaptureConfig, UplinkConfig } from "../../shared/devices.ts";

export interface HostOptions {
  readonly memoryMiB: number;
  readonly dom0MemoryMiB: number;
  readonly clock: "real" | "virtual";
  readonly seed: number;
  /** Kinds of events to trace; empty: none. */
  readonly trace: readonly TraceKind[];
  /** How many instructions to trace one by one. */
  readonly traceInstructions: number;
  readonly traceFile: string | undefined;
  /** Where to write, at the end, what took how long. */
  readonly profileFile: string | undefined;
  readonly logDir: string | undefined;
  readonly guestConsoleIo: boolean;
  /** Run kernels in TypeScript, which have the rights of whoever starts the machine. */
  readonly typescriptKernels: boolean;
  /** Compile what guests execute often. */
  readonly hotTier: boolean;
  readonly uplinks: readonly UplinkConfig[];
  readonly captures: readonly CaptureConfig[];
}

export const TRACE_KINDS = ["hypercalls", "traps", "events", "sched"] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];

/** Said to the person and the end: `message` for standard output (help, version) or an error. */
export interface Said {
  readonly message: string;
  readonly status: number;
}

/** The options, or what to say instead. `args` are the words after `npm start --`. */
export async function parseOptions(args: readonly string[], version: string): Promise<HostOptions | Said> {
  // Most starts have no options, and loading yargs takes as long as all the rest of the main thread's modules.
  if (args.length === 0) return check({ memory: 1024, "dom0-memory": 32, clock: "real", seed: 0 });
  const { default: yargs } = await import("yargs");
  let said: Said | undefined;
  const parser = yargs([...args])
    .scriptName("npm start --")
    .usage(
      "$0 [options]\n\nRuns the machine; dom0's console is on this terminal, or reads commands from standard input.",
    )
    .option("memory", {
      type: "number",
      requiresArg: true,
      default: 1024,
      describe: "machine memory in MiB, 64 to 4096",
    })
    .option("dom0-memory", { type: "number", requiresArg: true, default: 32, describe: "dom0's share of it in MiB" })
    .option("clock", {
      type: "string",
      requiresArg: true,
      default: "real",
      describe: "real, or virtual: one ns an instruction from 2026-01-01 on, idle time skipped",
    })
    .option("seed", { type: "number", requiresArg: true, default: 0, describe: "seed of everything random" })
    .option("trace", { type: "string", describe: `trace all, or some of: ${TRACE_KINDS.join(",")},insn:COUNT` })
    .option("trace-file", {
      type: "string",
      requiresArg: true,
      describe: "where the trace goes (default: standard error)",
    })
    .option("profile", {
      type: "string",
      requiresArg: true,
      describe: "write to this file where the machine's time went (JSON)",
    })
    .option("log-dir", {
      type: "string",
      requiresArg: true,
      describe: "keep consoles and the hypervisor's log in this folder; of each log at most five files of 1 MiB",
    })
    .option("guest-console-io", {
      type: "boolean",
      default: false,
      describe: "let guests write to the hypervisor's log",
    })
    .option("typescript-kernels", {
      type: "boolean",
      default: true,
      describe: "run kernels in TypeScript, which can do on this computer whatever you can (--no-... refuses them)",
    })
    .option("hot-tier", {
      type: "boolean",
      default: true,
      describe: "compile what guests execute often (--no-... only interprets: slower, otherwise the same)",
    })
    .option("uplink", {
      type: "string",
      array: true,
      nargs: 1,
      describe:
        "join a bridge to what is outside: bridge=xenbr0,passt or tap:NAME, unix:PATH, tcp:HOST:PORT, listen:...",
    })
    .option("bridge", {
      type: "string",
      array: true,
      nargs: 1,
      describe: "NAME,pcap=FILE: write what a bridge forwards to a capture",
    })
    .version(version)
    .alias("h", "help")
    .strict()
    .wrap(100)
    .exitProcess(false);
  const parsed = await new Promise<Record<string, unknown>>((resolve) => {
    parser.parse([...args], (error: Error | undefined, argv: Record<string, unknown>, output: string) => {
      if (error) said = { message: output.trim().split("\n").at(-1) || error.message, status: 1 };
      else if (output) said = { message: output, status: 0 };
      resolve(argv);
    });
  });
  return said ?? check(parsed);
}

function check(o: Record<string, unknown>): HostOptions | Said {
  const wrong = (message: string): Said => ({ message, status: 1 });
  const twice = Object.keys(o).find((name) => Array.isArray(o[name]) && !["_", "uplink", "bridge"].includes(name));
  if (twice !== undefined) return wrong(`--${twice} is given more than once`);
  const memoryMiB = Number(o["memory"]);
  const dom0MemoryMiB = Number(o["dom0-memory"]);
  const seed = Number(o["seed"]);
  if (!Number.isInteger(memoryMiB) || memoryMiB < 64 || memoryMiB > 4096)
    return wrong(`--memory must be a whole number of MiB from 64 to 4096`);
  if (!Number.isInteger(dom0MemoryMiB) || dom0MemoryMiB < 16 || dom0MemoryMiB > memoryMiB - 32)
    return wrong(`--dom0-memory must be a whole number of MiB from 16 to ${memoryMiB - 32}, 32 less than --memory`);
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff)
    return wrong("--seed must be a whole number from 0 to 4294967295");
  if (o["clock"] !== "real" && o["clock"] !== "virtual") return wrong(`--clock must be real or virtual`);
  if (o["profile"] !== undefined && o["clock"] !== "real") return wrong("--profile needs the real clock");
  const trace = new Set<TraceKind>();
  let traceInstructions = 0;
  if (o["trace"] !== undefined) {
    const words = String(o["trace"]).split(",").filter(Boolean);
    if (words.length === 0) words.push("all");
    for (const word of words) {
      const count = /^insn:(\d{1,9})$/.exec(word);
      if (word === "all") for (const kind of TRACE_KINDS) trace.add(kind);
      else if (count) traceInstructions = Number(count[1]);
      else if ((TRACE_KINDS as readonly string[]).includes(word)) trace.add(word as TraceKind);
      else return wrong(`--trace: "${word}" is none of all, ${TRACE_KINDS.join(", ")}, insn:COUNT`);
    }
  }
  const uplinks: UplinkConfig[] = [];
  for (const text of (o["uplink"] as string[] | undefined) ?? []) {
    const [, bridge = "xenbr0", spec] = UPLINK.exec(String(text)) ?? [];
    if (spec === undefined)
      return wrong(
        `--uplink: "${text}" is not of the form [bridge=NAME,]passt[,OPTION...] or tap:NAME or [listen:]unix:PATH or [listen:]tcp:HOST:PORT`,
      );
    uplinks.push({ bridge, spec });
  }
  const captures: CaptureConfig[] = [];
  for (const text of (o["bridge"] as string[] | undefined) ?? []) {
    const [, bridge, file] = /^([A-Za-z0-9_.@-]{1,15}),pcap=(.+)$/.exec(String(text)) ?? [];
    if (bridge === undefined) return wrong(`--bridge: "${text}" is not of the form NAME,pcap=FILE`);
    captures.push({ bridge, file });
  }
  return {
    memoryMiB,
    dom0MemoryMiB,
    clock: o["clock"],
    seed,
    trace: [...trace],
    traceInstructions,
    traceFile: path(o["trace-file"]),
    profileFile: path(o["profile"]),
    logDir: path(o["log-dir"]),
    guestConsoleIo: o["guest-console-io"] === true,
    typescriptKernels: o["typescript-kernels"] !== false,
    hotTier: o["hot-tier"] !== false,
    uplinks,
    captures,
  };
}

/** The bridge, and the form of dom0/host/net.ts. */
const UPLINK =
  /^(?:bridge=([A-Za-z0-9_.@-]{1,15}),)?(passt(?:,.*)?|tap:[A-Za-z0-9_.-]+|(?:listen:)?(?:unix:.+|tcp:.+:\d{1,5}))$/;

function path(value: unknown): string | undefined {
  return value === undefined ? undefined : String(value);
}

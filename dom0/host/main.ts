// The main thread of `npm start`: the machine's device hardware. Parses the command line, hands memory and options to the
// worker (worker.ts), which runs the machine, and serves its devices. Watches that the worker still answers, and ends the
// process with the status that dom0 gave, the terminal restored. Started by scripts/start.mjs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { KernelBundler, NodeKernels } from "./bundler.ts";
import { NodeChannels } from "./channels.ts";
import { DeviceHost, LINGER_MS } from "./devices.ts";
import { DiskThreads } from "./disk_threads.ts";
import { NodeFiles } from "./files.ts";
import { Logs } from "./logs.ts";
import { type HostOptions, parseOptions } from "./options.ts";
import { NodeTerminal } from "./terminal.ts";

/** What the worker tells the main thread. "ring" is the doorbell. */
export type FromWorker = "ring" | { readonly log: string } | { readonly ended: number; readonly message: string };
/** What the worker is told, once. */
export interface ToWorker {
  readonly memory: WebAssembly.Memory;
  readonly options: HostOptions;
}

/** How often the watchdog looks, and how many looks without a sign of life are too many. */
const WATCH_MS = 2500;
const WATCH_LIMIT = 4;
/** How long the machine gets to end its main loop. */
const LEAVE_MS = 2000;

/**
 * `worker` was started, and loads its modules, while this module was loaded. `root` is the project's folder, `diskThread` the
 * module of a disk's thread.
 */
export async function main(worker: Worker, args: readonly string[], root: string, diskThread: URL): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const options = await parseOptions(args, version);
  if ("message" in options) {
    (options.status === 0 ? process.stdout : process.stderr).write(`${options.message}\n`, () =>
      process.exit(options.status),
    );
    return;
  }
  const pages = options.memoryMiB * 16;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const terminal = new NodeTerminal();
  let logs: Logs | undefined;
  try {
    if (options.logDir !== undefined) logs = new Logs(options.logDir);
  } catch (error) {
    process.stderr.write(`--log-dir: ${(error as Error).message}\n`, () => process.exit(1));
    return;
  }
  /** The status that dom0 has asked to exit with. */
  let exiting: number | undefined;
  const leave = (status: number): void => {
    logs?.close();
    // Output written before is on its way; the empty write ends after it.
    process.stdout.write("", () => process.exit(status));
  };
  const { uplinks, captures } = options;
  // Sockets and children are loaded only where there is an uplink.
  const net = uplinks.length === 0 ? undefined : new (await import("./net.ts")).NodeNet();
  const channels = new NodeChannels();
  // What a thread of its own does when, nobody waits for on the virtual clock.
  const files = new NodeFiles(options.clock === "real" ? new DiskThreads(memory, diskThread) : undefined);
  const kernels = options.typescriptKernels ? new NodeKernels(new KernelBundler(root), files) : undefined;
  process.on("exit", () => {
    net?.closeAll();
    channels.closeAll();
  });
  const devices = new DeviceHost(
    memory,
    {
      files,
      kernels,
      terminal,
      ...(net && { net }),
      channels,
      config: { version, logs: logs !== undefined, uplinks, captures },
      log: logs === undefined ? undefined : (name, bytes) => logs.append(name, bytes),
      exit: (status) => {
        exiting = status;
        // The machine then ends its loop and says so, unless it can't.
        setTimeout(() => leave(status), LEAVE_MS);
      },
    },
    LINGER_MS,
  );
  const fail = (message: string): void => {
    terminal.restore();
    process.stderr.write(`${message}\n`);
    leave(1);
  };
  worker.on("message", (message: FromWorker) => {
    if (message === "ring") devices.serve();
    else if ("log" in message) logs?.append("hypervisor.log", Buffer.from(message.log)).catch(() => {});
    else if (exiting !== undefined) leave(exiting);
    else if (message.ended === 0) leave(0);
    else fail(message.message);
  });
  worker.on("error", (error) => fail(`the machine has failed: ${error.stack ?? error}`));
  for (const [signal, number] of [
    ["SIGTERM", 15],
    ["SIGHUP", 1],
    ["SIGINT", 2],
  ] as const)
    process.on(signal, () => process.exit(128 + number));
  watch(devices, terminal);
  worker.postMessage({ memory, options } satisfies ToWorker);
}

/** Says so when the machine neither sleeps nor turns its main loop any more, and lets Ctrl-C end it then. */
function watch(devices: DeviceHost, terminal: NodeTerminal): void {
  let last = -1;
  let misses = 0;
  setInterval(() => {
    const { heartbeat, running } = devices.pulse();
    const alive = !running || heartbeat !== last;
    last = heartbeat;
    misses = alive ? 0 : misses + 1;
    if (misses === WATCH_LIMIT) {
      process.stderr.write("the machine has not answered for 10 seconds; Ctrl-C ends it\r\n");
      terminal.interrupt = () => process.exit(130);
    } else if (alive) terminal.interrupt = undefined;
  }, WATCH_MS).unref();
}

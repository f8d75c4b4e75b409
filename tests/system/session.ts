// Whole-run tests: a machine with dom0's real kernel on simulated devices and the virtual clock; commands go in as a script
// or at a terminal, and what a person would see comes out.

import { readFileSync } from "node:fs";
import type { ChannelService } from "../../dom0/host/devices.ts";
import { dom0Kernel } from "../../dom0/kernel.ts";
import type { KernelMain } from "../../shared/kernel.ts";
import { Dom0Machine } from "../harness/dom0.ts";

export interface SessionOptions {
  readonly memoryMiB?: number;
  /** Files on the simulated disk; a path alone is taken from the project's folder. */
  readonly files?: readonly (string | readonly [path: string, content: string | Uint8Array])[];
  readonly terminal?: boolean;
  /** Sockets for channel=; without it there are none. */
  readonly channels?: ChannelService;
  /** Kernels in TypeScript are run, unless this says no. */
  readonly typescriptKernels?: boolean;
  /** Dom0's kernel, as a rule the real one. */
  readonly main?: KernelMain;
}

const GUESTS = ["garbage", "badstack", "badtraps", "faultloop", "spin", "ticker", "echo"];

/** The guests that these tests use, with their configurations. */
export const GUEST_FILES: readonly string[] = [
  "guests/hello/hello.cfg",
  "guests/hello/hello.elf",
  ...GUESTS.flatMap((name) => [`tests/guests/${name}/${name}.cfg`, `tests/guests/${name}/${name}.elf`]),
];

export class Session {
  readonly #dom0: Dom0Machine;

  constructor({
    memoryMiB = 128,
    files = GUEST_FILES,
    terminal = false,
    main = dom0Kernel(),
    channels,
    typescriptKernels = true,
  }: SessionOptions = {}) {
    this.#dom0 = new Dom0Machine({ main, memoryMiB, dom0MemoryMiB: 16 });
    const { host } = this.#dom0;
    host.channels = channels;
    if (!typescriptKernels) host.kernels = undefined;
    if (terminal) host.tty = { isTTY: true, outputIsTTY: true, columns: 80, rows: 24, colour: false };
    for (const file of files) {
      const [path, content] = typeof file === "string" ? [file, readFileSync(file)] : file;
      host.disk.set(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    }
  }

  /** Types, without waiting for anything. */
  type(text: string): void {
    this.#dom0.host.type(text);
  }

  /** Runs until the terminal has shown `text` since the last wait. */
  waitFor(text: string, limitSteps = 300_000): string {
    const { host } = this.#dom0;
    let from = this.#seen;
    let found = -1;
    const shown = (): boolean => {
      found = host.output.indexOf(text, from);
      from = Math.max(from, host.output.length - text.length); // What has no match needs no second look.
      return found >= 0;
    };
    this.#dom0.runUntil(
      guarded(() => found >= 0 || shown()),
      limitSteps,
    );
    const end = found + text.length;
    const between = host.output.slice(this.#seen, end);
    this.#seen = end;
    return between;
  }
  #seen = 0;

  /** Ends the input and runs to the machine's end; its exit status. */
  end(limitSteps = 1_000_000): number {
    const { host } = this.#dom0;
    host.endInput();
    this.#dom0.runUntil(
      guarded(() => host.exitStatus !== undefined),
      limitSteps,
    );
    return host.exitStatus as number;
  }

  get output(): string {
    return this.#dom0.host.output;
  }

  /** The hypervisor's log. */
  get log(): string {
    return this.#dom0.log;
  }

  /** Logs that dom0 wrote on the host: guests' consoles and xl's. */
  get logs(): ReadonlyMap<string, string> {
    return this.#dom0.host.logs;
  }

  /** The simulated host, for a test that changes what it does. */
  get host(): Dom0Machine["host"] {
    return this.#dom0.host;
  }

  get machine(): Dom0Machine["machine"] {
    return this.#dom0.machine;
  }
}

/** A guest that spins makes the limit of steps a matter of hours: a test that can't end is broken off. */
function guarded(done: () => boolean): () => boolean {
  const start = performance.now();
  return () => {
    if (performance.now() - start > 240_000) throw new Error("this takes too long to be right");
    return done();
  };
}

/** Runs a script to its end. */
export function script(
  lines: readonly string[],
  options: SessionOptions = {},
): { status: number; output: string; session: Session } {
  const session = new Session(options);
  session.type(lines.map((line) => `${line}\n`).join(""));
  const status = session.end();
  return { status, output: session.output, session };
}

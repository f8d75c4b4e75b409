// The uplink "passt[,OPTION...]": passt as a child, which gives guests the host's network without root. Its options are passt's own.
// One that ends is started again. Used by net.ts.

import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fault } from "./raw_file.ts";
import { RETRY_MS, Stream } from "./stream.ts";

const NOBODY = 65534;
/** Characters of what it says that are looked at. */
const MAX_SAID = 4000;

/** Undefined while nobody listens there. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("error", () => resolve(undefined));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

/** What passt said last, but for how it is used and what it couldn't tell the system's log. */
function reason(said: string): string {
  const [before] = said.split(/^Usage: /m);
  return before.split("\n").findLast((line) => line !== "" && !line.startsWith("Failed to send")) ?? "no reason given";
}

/** passt as a child, in a folder of its own: it gives up root's rights, and must still be able to write its socket. */
export class PasstStream extends Stream {
  readonly #options: string[];
  readonly #folder = mkdtempSync(join(tmpdir(), "xenolith-passt-"));
  #child: ChildProcess | undefined = undefined;
  #runs = 0;

  constructor(spec: string) {
    super();
    this.#options = spec.split(",").slice(1);
    if (process.getuid?.() === 0) chownSync(this.#folder, NOBODY, NOBODY);
  }

  async start(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  protected override lost(): void {
    this.#child?.kill();
    setTimeout(() => this.#run().catch(() => this.lost()), RETRY_MS).unref();
  }

  override close(): void {
    super.close();
    this.#child?.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #run(): Promise<void> {
    if (this.closed) return;
    const path = join(this.#folder, `${this.#runs++}.sock`);
    const options = ["--foreground", "--one-off", "--quiet", "--mtu", "1500", "--socket", path, ...this.#options];
    const child = spawn("passt", options, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => {
      if (said.length < MAX_SAID) said += bytes.toString();
    });
    let ended: Error | undefined;
    child.once("error", (error: NodeJS.ErrnoException) => {
      const hint = error.code === "ENOENT" ? "it is not installed (Debian: apt-get install passt)" : error.code;
      ended = fault(error.code ?? "EIO", `passt can't be started: ${hint}`);
    });
    child.once("exit", () => {
      ended ??= fault("EIO", `passt has ended: ${reason(said)}`);
    });
    // Its socket has a name before anybody listens there.
    for (let waited = 0; ; waited += 10) {
      const socket = await connected(path);
      if (socket !== undefined) {
        if (this.closed) socket.destroy();
        else this.use(socket);
        return;
      }
      if (ended !== undefined) throw ended;
      if (waited > 5000) throw fault("ETIMEDOUT", "passt does not open its socket");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

// The terminal of `npm start`: standard input and output as dom0's byte device. A terminal is put into raw mode while the
// machine runs, so that every key goes to dom0, Ctrl-C too, and is given back on every way out that a process can see.
// Input is taken from the system only as dom0 asks for it, but for one buffer. Used by main.ts.

import type { TerminalInfo } from "../../shared/devices.ts";
import type { TerminalService } from "./devices.ts";

const BUFFER_BYTES = 65536;
const NOTHING = new Uint8Array(0);
const CTRL_C = 3;

export class NodeTerminal implements TerminalService {
  readonly #input = process.stdin;
  readonly #output = process.stdout;
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  #ended = false;
  #started = false;
  #reader: (() => void) | undefined = undefined;
  #resizers: (() => void)[] = [];
  /** Called instead of keeping a Ctrl-C for dom0: set while the machine doesn't answer. */
  interrupt: (() => void) | undefined = undefined;

  constructor() {
    // Whoever reads our output may be gone; there is nobody left to tell.
    this.#output.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") process.stderr.write(`standard output: ${error.message}\n`);
      process.exit(1);
    });
    this.#output.on("resize", () => {
      for (const resolve of this.#resizers.splice(0)) resolve();
    });
    process.once("exit", () => this.restore());
  }

  info(): TerminalInfo {
    return {
      isTTY: this.#input.isTTY === true,
      outputIsTTY: this.#output.isTTY === true,
      columns: this.#output.columns ?? 80,
      rows: this.#output.rows ?? 24,
      colour: this.#output.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
    };
  }

  async read(limit: number): Promise<Uint8Array> {
    this.#start();
    while (this.#buffered === 0 && !this.#ended) {
      this.#input.resume();
      await new Promise<void>((resolve) => {
        this.#reader = resolve;
      });
    }
    const first = this.#chunks[0];
    if (first === undefined) return NOTHING;
    const part = first.subarray(0, limit);
    if (part.length === first.length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(limit);
    this.#buffered -= part.length;
    return part;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#output.write(bytes, () => resolve());
    });
  }

  resized(): Promise<TerminalInfo> {
    return new Promise((resolve) => {
      this.#resizers.push(() => resolve(this.info()));
    });
  }

  /** Gives the terminal back as it was. */
  restore(): void {
    if (this.#started && this.#input.isTTY) this.#input.setRawMode(false);
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    if (this.#input.isTTY) this.#input.setRawMode(true);
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    this.#input.on("data", (chunk: Uint8Array) => {
      if (this.interrupt !== undefined && chunk.includes(CTRL_C)) {
        this.interrupt();
        return;
      }
      this.#chunks.push(chunk);
      this.#buffered += chunk.length;
      if (this.#buffered >= BUFFER_BYTES) this.#input.pause();
      this.#wake();
    });
    this.#input.on("end", end);
    this.#input.on("error", end); // A terminal that went away reads as an error: the end for dom0.
  }

  #wake(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.();
  }
}

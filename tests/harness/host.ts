// A simulated host for tests: files in a map, a terminal that is a script and a string, everything answered at once, in
// the test's own thread. What dom0 has asked for can be looked at afterwards.

import { type KernelBundle, KernelBundler } from "../../dom0/host/bundler.ts";
import type {
  ChannelService,
  FileService,
  HostServices,
  KernelService,
  TerminalService,
} from "../../dom0/host/devices.ts";
import type { FileInfo, KernelModule, OpenedFile, TerminalInfo } from "../../shared/devices.ts";

type Bytes = Uint8Array<SharedArrayBuffer>;

const BUNDLER = new KernelBundler(process.cwd());
/** What was bundled before in this process, by path and text. */
const BUNDLES = new Map<string, KernelBundle>();

function fail(code: string): never {
  throw Object.assign(new Error(code), { code });
}

/** A promise whose followers run as soon as it is resolved, so that a test needs no event loop. */
export class Later<T> implements PromiseLike<T> {
  #value: { is: T } | undefined = undefined;
  readonly #followers: ((value: T) => void)[] = [];

  resolve(value: T): void {
    this.#value = { is: value };
    for (const follower of this.#followers.splice(0)) follower(value);
  }

  // biome-ignore lint/suspicious/noThenProperty: being a thenable is what it is for.
  then<R1 = T, R2 = never>(ok?: ((value: T) => R1 | PromiseLike<R1>) | null): PromiseLike<R1 | R2> {
    const next = new Later<R1 | R2>();
    const follow = (value: T): void => next.resolve((ok ? ok(value) : value) as R1);
    if (this.#value) follow(this.#value.is);
    else this.#followers.push(follow);
    return next;
  }
}

export class SimulatedHost implements HostServices, FileService, TerminalService {
  readonly files = this;
  readonly terminal = this;
  channels: ChannelService | undefined = undefined;
  /** Kernels in TypeScript are taken from the simulated disk; what they import, from the real one. */
  kernels: KernelService | undefined = { bundle: (path) => this.#bundle(path) };
  readonly config = { version: "0.0.0", logs: true };
  /** What is on the disk, by path. */
  readonly disk = new Map<string, Uint8Array>();
  readonly logs = new Map<string, string>();
  /** What the machine has written to the terminal. */
  output = "";
  exitStatus: number | undefined = undefined;
  tty: TerminalInfo = { isTTY: false, outputIsTTY: false, columns: 80, rows: 24, colour: false };
  readonly #open = new Map<number, string>();
  #nextHandle = 1;
  #input: Uint8Array[] = [];
  #inputEnded = false;
  #reader: { limit: number; later: Later<Uint8Array> } | undefined = undefined;

  /** Types on the terminal. A read that waits is answered at once. */
  type(text: string): void {
    this.#input.push(new TextEncoder().encode(text));
    this.#feed();
  }

  /** Closes standard input. */
  endInput(): void {
    this.#inputEnded = true;
    this.#feed();
  }

  get openFiles(): number {
    return this.#open.size;
  }

  open(path: string, mode: "r" | "r+" | "w"): OpenedFile {
    if (mode === "w") this.disk.set(path, new Uint8Array(0));
    const data = this.disk.get(path) ?? fail("ENOENT");
    const handle = this.#nextHandle++;
    this.#open.set(handle, path);
    return { handle, size: data.length, identity: path };
  }

  read(handle: number, into: Bytes[], position: number): number;
  read(limit: number): Uint8Array | PromiseLike<Uint8Array>;
  read(first: number, into?: Bytes[], position = 0): number | Uint8Array | PromiseLike<Uint8Array> {
    if (into === undefined) return this.#readTerminal(first);
    const data = this.#data(first);
    let at = position;
    for (const piece of into) {
      const part = data.subarray(at, at + piece.length);
      piece.set(part);
      at += part.length;
    }
    return at - position;
  }

  write(handle: number, from: Bytes[], position: number): number;
  write(bytes: Uint8Array): void;
  write(first: number | Uint8Array, from: Bytes[] = [], position = 0): number | undefined {
    if (typeof first !== "number") {
      this.output += new TextDecoder().decode(first);
      return undefined;
    }
    const path = this.#open.get(first) ?? fail("EBADF");
    let at = position;
    for (const piece of from) {
      const old = this.#data(first);
      if (at + piece.length <= old.length) {
        old.set(piece, at);
        at += piece.length;
        continue;
      }
      const grown = new Uint8Array(Math.max(old.length, at + piece.length));
      grown.set(old);
      grown.set(piece, at);
      this.disk.set(path, grown);
      at += piece.length;
    }
    return at - position;
  }

  /** How often a file was synced. */
  syncs = 0;

  sync(handle: number): void {
    this.#data(handle);
    this.syncs++;
  }

  discard(handle: number, position: number, sizeBytes: number): void {
    this.#data(handle).fill(0, position, position + sizeBytes);
  }

  close(handle: number): void {
    if (!this.#open.delete(handle)) fail("EBADF");
  }

  size(handle: number): number {
    return this.#data(handle).length;
  }

  stat(path: string): FileInfo {
    const data = this.disk.get(path);
    if (data) return { kind: "file", size: data.length, mtimeMs: 0 };
    if (this.list(path).length === 0) fail("ENOENT");
    return { kind: "directory", size: 0, mtimeMs: 0 };
  }

  list(path: string): string[] {
    const prefix = path === "." ? "" : `${path.replace(/\/$/, "")}/`;
    const names = [...this.disk.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length).replace(/\/.*/, "/"));
    return [...new Set(names)].sort();
  }

  info(): TerminalInfo {
    return this.tty;
  }

  resized(): PromiseLike<TerminalInfo> {
    return new Later();
  }

  log = (name: string, bytes: Uint8Array): void => {
    this.logs.set(name, (this.logs.get(name) ?? "") + new TextDecoder().decode(bytes));
  };

  exit(status: number): void {
    this.exitStatus = status;
  }

  #bundle(path: string): KernelModule {
    const text = new TextDecoder().decode(this.disk.get(path) ?? fail("ENOENT"));
    const key = `${path}\n${text}`;
    const bundle = BUNDLES.get(key) ?? BUNDLER.bundleText(path, text);
    BUNDLES.set(key, bundle);
    if ("error" in bundle) return bundle;
    this.disk.set(bundle.name, new TextEncoder().encode(bundle.text));
    return { name: bundle.name, ...this.open(bundle.name, "r") };
  }

  #data(handle: number): Uint8Array {
    return this.disk.get(this.#open.get(handle) ?? fail("EBADF")) ?? fail("ENOENT");
  }

  #readTerminal(limit: number): Uint8Array | PromiseLike<Uint8Array> {
    const ready = this.#takeInput(limit);
    if (ready !== undefined) return ready;
    const later = new Later<Uint8Array>();
    this.#reader = { limit, later };
    return later;
  }

  #takeInput(limit: number): Uint8Array | undefined {
    const first = this.#input[0];
    if (first === undefined) return this.#inputEnded ? new Uint8Array(0) : undefined;
    if (first.length <= limit) this.#input.shift();
    else this.#input[0] = first.subarray(limit);
    return first.subarray(0, limit);
  }

  #feed(): void {
    const reader = this.#reader;
    const bytes = reader && this.#takeInput(reader.limit);
    if (reader === undefined || bytes === undefined) return;
    this.#reader = undefined;
    reader.later.resolve(bytes);
  }
}

// What can be settled about a domain before it exists: its files are found, read and understood, its start of day is
// planned, and there is memory for it. Called by toolstack.ts; most mistakes end here, with nothing to undo.

import { type Host, HostError, type Kernel, type Task } from "../../guests/sdk/index.ts";
import { type Layout, planLayout } from "./builder/layout.ts";
import type { DomainConfig } from "./config/index.ts";
import { hostErrorText, ToolstackError } from "./errors.ts";
import { findFile, readWhole } from "./files.ts";
import { ImageError, type ImageStore, unpackCached } from "./image/index.ts";
import { type KernelImage, parseKernelImage, scriptKernelImage } from "./kernel_image.ts";
import { physInfo } from "./xc_machine.ts";

export interface Prepared {
  readonly image: KernelImage;
  readonly layout: Layout;
  /** Empty: none. */
  readonly ramdisk: Uint8Array;
}

/** A kernel with all its debugging information has about half of it. */
const MAX_KERNEL_BYTES = 2 ** 30;
/** Frames beyond a domain's memory that making it takes: shared_info, grant table, vcpus. */
const SLACK_PAGES = 64;

/** `images` keeps what compressed kernels unpack to. Throws ToolstackError. */
export function* prepare(kernel: Kernel, config: DomainConfig, images: ImageStore): Task<Prepared> {
  const { host } = kernel;
  const kernelPath = yield* findFile(host, "kernel", config.kernel, config.file);
  const readImage = yield* isScript(kernelPath)
    ? readScript(host, kernelPath, config.maxVcpus)
    : readElf(host, kernelPath, images);
  const ramdiskPath = config.ramdisk && (yield* findFile(host, "ramdisk", config.ramdisk, config.file));
  const ramdisk = ramdiskPath
    ? yield* readWhole(host, "ramdisk", ramdiskPath, config.memoryMiB * 2 ** 20)
    : new Uint8Array(0);
  const { image, layout } = inFile(`kernel ${kernelPath}`, () => {
    const parsed = readImage();
    return { image: parsed, layout: planLayout(parsed, config.memoryMiB * 256, ramdisk.length) };
  });
  const free = physInfo(kernel).freePages;
  if (layout.totalPages + SLACK_PAGES > free)
    throw new ToolstackError(
      `not enough free memory: ${config.name} needs ${config.memoryMiB} MiB, ${Math.floor(free / 256)} MiB are free`,
    );
  return { image, layout, ramdisk };
}

const isScript = (path: string): boolean => /\.[cm]?[jt]s$/.test(path);

function* readElf(host: Host, path: string, images: ImageStore): Task<() => KernelImage> {
  const file = yield* readWhole(host, "kernel", path, MAX_KERNEL_BYTES);
  return () => parseKernelImage(unpackCached(file, images));
}

/** A kernel in TypeScript or JavaScript: the host makes one text of it. */
function* readScript(host: Host, path: string, vcpus: number): Task<() => KernelImage> {
  if (vcpus !== 1) throw new ToolstackError(`kernel ${path}: a kernel in TypeScript has one vcpu, not ${vcpus}`);
  try {
    const module = yield* host.bundleKernel(path);
    if ("error" in module) throw new ToolstackError(`kernel ${path}: ${module.error}`);
    return () => scriptKernelImage(module.name, module.text);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const refused = error.code === "ENODEV";
    throw new ToolstackError(
      `kernel ${path}: ${refused ? "this machine was started with --no-typescript-kernels" : hostErrorText(error)}`,
    );
  }
}

/** Puts a file's name in front of what is wrong with its content. */
function inFile<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof ImageError) throw new ToolstackError(`${what}: ${error.message}`);
    throw error;
  }
}

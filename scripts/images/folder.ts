// Where the images of other people's kernels are kept, and which of them are there. Used by `npm run images`, which
// fills the folder, and by tests and benchmarks, which skip when something is missing.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** XENOLITH_IMAGES, or xenolith/images in the user's cache folder. */
export function imagesFolder(env: Record<string, string | undefined> = process.env): string {
  return env.XENOLITH_IMAGES || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "xenolith", "images");
}

/** What the folder holds, by file name. */
export const IMAGE_FILES = {
  /** Debian's linux-image-amd64: a bzImage. */
  vmlinuz: "vmlinuz",
  /** The ELF file in it. */
  vmlinux: "vmlinux",
  /** How it was configured. */
  config: "config",
  /** GRUB's Xen image, 64 bits, from grub-xen-host. */
  grub: "grub-x86_64-xen.bin",
  /** busybox-static's program. */
  busybox: "busybox",
  /** Modules of that kernel: the disk's frontend, and ext4 with what it needs. */
  blkfront: "xen-blkfront.ko",
  ext4: "ext4.ko",
  jbd2: "jbd2.ko",
  mbcache: "mbcache.ko",
  crc16: "crc16.ko",
  crc32c: "crc32c_generic.ko",
  /** The network interface's frontend. */
  netfront: "xen-netfront.ko",
  /** The initramfs images (initramfs.ts). */
  report: "report.cpio",
  shell: "shell.cpio",
  disk: "disk.cpio",
  net: "net.cpio",
} as const;

/** Modules in the order in which they can be loaded. */
export const DISK_MODULES = ["crc16", "crc32c", "mbcache", "jbd2", "ext4", "blkfront"] as const;

export const NET_MODULES = ["netfront"] as const;

export type ImageName = keyof typeof IMAGE_FILES;

/** The path of an image, whether it is there or not. */
export function imagePath(name: ImageName, folder: string = imagesFolder()): string {
  return join(folder, IMAGE_FILES[name]);
}

/** Those of `names` that are not there. */
export function missingImages(names: readonly ImageName[], folder: string = imagesFolder()): ImageName[] {
  return names.filter((name) => !existsSync(imagePath(name, folder)));
}

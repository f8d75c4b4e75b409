// npm run images: brings the kernels that nobody here wrote into the images folder (XENOLITH_IMAGES, or xenolith/images
// in the user's cache folder), and makes the initramfs images for Linux. Needs Debian's apt and a network for what isn't
// there yet; no root. Exit status 1, with a line for each, if something can't be had; tests that need it then skip.

import { accessSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { unpackKernel } from "../../dom0/toolstack/image/index.ts";
import { FetchError, fetchSource, SOURCES } from "./fetch.ts";
import {
  DISK_MODULES,
  IMAGE_FILES,
  type ImageName,
  imagePath,
  imagesFolder,
  missingImages,
  NET_MODULES,
} from "./folder.ts";
import { type InitramfsKind, initramfs } from "./initramfs.ts";

const folder = imagesFolder();
try {
  mkdirSync(folder, { recursive: true });
  accessSync(folder, constants.W_OK);
} catch (error) {
  console.error(`images: ${(error as Error).message}: XENOLITH_IMAGES names another folder`);
  process.exit(1);
}

for (const source of SOURCES) {
  const missing = missingImages(
    source.files.map(({ name }) => name),
    folder,
  );
  if (missing.length === 0) continue;
  try {
    fetchSource(source, folder);
    // Of another kernel by now, perhaps.
    if (source.files.some(({ name }) => name === "vmlinuz")) rmSync(imagePath("vmlinux", folder), { force: true });
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    console.error(`images: ${missing.map((name) => IMAGE_FILES[name]).join(", ")}: ${error.message}`);
    process.exitCode = 1;
  }
}

const has = (name: ImageName) => missingImages([name], folder).length === 0;
if (has("vmlinuz") && !has("vmlinux")) {
  writeFileSync(imagePath("vmlinux", folder), unpackKernel(readFileSync(imagePath("vmlinuz", folder))));
}
if (has("busybox")) {
  // Made anew each time: they cost nothing, and their script lives here.
  const busybox = readFileSync(imagePath("busybox", folder));
  const kinds: InitramfsKind[] = ["report", "shell"];
  for (const kind of kinds) writeFileSync(imagePath(kind, folder), initramfs(kind, busybox));
  for (const [kind, names] of [
    ["disk", DISK_MODULES],
    ["net", NET_MODULES],
  ] as const) {
    if (!names.every(has)) continue;
    const modules = names.map((name) => ({ name: IMAGE_FILES[name], data: readFileSync(imagePath(name, folder)) }));
    writeFileSync(imagePath(kind, folder), initramfs(kind, busybox, modules));
  }
}

console.log(folder);
for (const name of Object.keys(IMAGE_FILES) as ImageName[]) {
  console.log(`  ${has(name) ? "there  " : "missing"} ${IMAGE_FILES[name]}`);
}

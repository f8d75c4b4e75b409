// Gets files out of Debian packages without installing them and without root: `apt-get download` into a temporary
// folder, `dpkg-deb --fsys-tarfile` and tar for the files wanted. Called by index.ts. A file that the system already has
// is taken from there.

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImageName, imagePath } from "./folder.ts";
import { isStaticElf } from "./initramfs.ts";

/** Why an image can't be had, in one line. */
export class FetchError extends Error {
  override readonly name = "FetchError";
}

interface Source {
  /** The package; "linux-image-amd64" is an empty one that depends on the one with the kernel. */
  package: string;
  /** Files wanted, by the path in the package without its leading slash. */
  files: { name: ImageName; pattern: RegExp }[];
  /** Where the system has a file once the package is installed. Kernels aren't taken from there: which is newest? */
  installed?: Partial<Record<ImageName, string>>;
}

export const SOURCES: readonly Source[] = [
  {
    package: "linux-image-amd64",
    files: [
      { name: "vmlinuz", pattern: /^boot\/vmlinuz-/ },
      { name: "config", pattern: /^boot\/config-/ },
      { name: "blkfront", pattern: /\/drivers\/block\/xen-blkfront\.ko$/ },
      { name: "netfront", pattern: /\/drivers\/net\/xen-netfront\.ko$/ },
      { name: "ext4", pattern: /\/fs\/ext4\/ext4\.ko$/ },
      { name: "jbd2", pattern: /\/fs\/jbd2\/jbd2\.ko$/ },
      { name: "mbcache", pattern: /\/fs\/mbcache\.ko$/ },
      { name: "crc16", pattern: /\/lib\/crc16\.ko$/ },
      { name: "crc32c", pattern: /\/crypto\/crc32c_generic\.ko$/ },
    ],
  },
  {
    package: "grub-xen-host",
    files: [{ name: "grub", pattern: /^usr\/lib\/grub-xen\/grub-x86_64-xen\.bin$/ }],
    installed: { grub: "/usr/lib/grub-xen/grub-x86_64-xen.bin" },
  },
  {
    package: "busybox-static",
    files: [{ name: "busybox", pattern: /^(usr\/)?bin\/busybox$/ }],
    installed: { busybox: "/bin/busybox" },
  },
];

/** Brings the files of one source into `folder`. Throws FetchError. */
export function fetchSource(source: Source, folder: string): void {
  if (source.files.every(({ name }) => takeInstalled(name, source.installed?.[name], folder))) return;
  const work = mkdtempSync(join(tmpdir(), "xenolith-images-"));
  try {
    const deb = download(realPackage(source.package), work);
    run("sh", ["-c", 'dpkg-deb --fsys-tarfile "$1" | tar -xf - --wildcards "./boot/*" "./*/busybox" "./*/grub-xen/*" "./*.ko"; true',
      "sh", deb], work); // biome-ignore format: one command
    const paths = readdirSync(work, { recursive: true, encoding: "utf8" });
    for (const { name, pattern } of source.files) {
      const path = paths.find((path) => pattern.test(path));
      if (path === undefined) throw new FetchError(`the package ${source.package} has no file like ${pattern}`);
      place(join(work, path), name, folder);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function takeInstalled(name: ImageName, path: string | undefined, folder: string): boolean {
  if (path === undefined) return false;
  try {
    if (name === "busybox" && !isStaticElf(readFileSync(path))) return false;
    place(path, name, folder);
    return true;
  } catch {
    return false;
  }
}

/** Copies, so that the file appears whole or not at all. */
function place(from: string, name: ImageName, folder: string): void {
  const to = imagePath(name, folder);
  copyFileSync(from, `${to}.part`);
  renameSync(`${to}.part`, to);
}

/** linux-image-amd64 depends on the kernel's package of the day; other packages are what they are. */
function realPackage(name: string): string {
  if (name !== "linux-image-amd64") return name;
  const found = /Depends: (linux-image-\S+)/.exec(run("apt-cache", ["depends", name]));
  if (!found)
    throw new FetchError(`apt knows no package ${name}: is this Debian, and has \`apt-get update\` been run?`);
  return found[1];
}

function download(name: string, work: string): string {
  // As root apt would fetch as its own user, who can't write here, and says so at length.
  run("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", name], work);
  const deb = readdirSync(work).find((file) => file.endsWith(".deb"));
  if (deb === undefined) throw new FetchError(`apt-get download ${name} brought no package`);
  return join(work, deb);
}

function run(program: string, args: readonly string[], cwd?: string): string {
  if (spawnSync(program, ["--version"], { stdio: "ignore" }).error && program !== "sh") {
    throw new FetchError(`there is no ${program} here: these images come from Debian's packages`);
  }
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      ...(cwd ? { cwd } : {}),
    });
  } catch (error) {
    const stderr = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    const line = stderr.split("\n").findLast((line) => line.trim() !== "") ?? "no reason given";
    throw new FetchError(`\`${program} ${args.slice(0, 6).join(" ")}\` failed: ${line}`);
  }
}

// Builds C guests: finds their folders, compiles one with gcc, and records what it was built from. Called by
// scripts/guests.ts (npm run guests) and by the tests. A guest is a folder that holds NAME.c or NAME.S of its own name;
// all its .c and .S files are compiled with those of guests/lib/, and sections that nothing uses are left out.

import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder; all paths here are relative to it, so that none of it gets into an ELF file. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

const FOLDERS = ["guests", "tests/guests", "guests/attacks", "guests/bench"];
const LIB = "guests/lib";

export const FLAGS = [
  ..."-std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -static -nostdlib".split(" "),
  // The kernel runs in the top 2 GiB, without SSE, and is interrupted on its own stack.
  ..."-mcmodel=kernel -mgeneral-regs-only -mno-red-zone".split(" "),
  // Nothing that varies between compilers' defaults.
  ..."-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing".split(" "),
  ..."-ffunction-sections -fdata-sections -Iguests/include -Iguests/lib".split(" "),
  ..."-Wl,--gc-sections -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack".split(" "),
  `-Wl,-T,${LIB}/guest.ld`,
];

/** What NAME.elf.sources holds: enough to tell, without a compiler, whether NAME.elf belongs to the sources. */
export interface Recorded {
  /** First line of `gcc --version`. Another compiler may give other bytes. */
  compiler: string;
  flags: string;
  /** SHA-256 of each source by path, headers included. */
  sources: Record<string, string>;
  /** SHA-256 of the ELF file. */
  elf: string;
}

/** Folders of all guests, such as "guests/hello". */
export function guestFolders(): string[] {
  return FOLDERS.filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((folder) => [".c", ".S"].some((ext) => existsSync(join(root, folder, basename(folder) + ext))))
    .sort();
}

/** The guest's ELF file, relative to the project. */
export function elfPath(folder: string): string {
  return `${folder}/${basename(folder)}.elf`;
}

/** First line of `gcc --version`, or undefined where there is no gcc. */
export function compiler(): string | undefined {
  const result = spawnSync("gcc", ["--version"], { encoding: "utf8" });
  return result.status === 0 ? result.stdout.split("\n")[0] : undefined;
}

function compiled(folder: string): string[] {
  return [LIB, folder].flatMap((from) =>
    readdirSync(join(root, from))
      .filter((name) => /\.[cS]$/.test(name))
      .sort()
      .map((name) => `${from}/${name}`),
  );
}

/** Compiles and links a guest into `target` (absolute). Throws with the compiler's words when it fails. */
export function build(folder: string, target: string): void {
  execFileSync("gcc", [...FLAGS, "-o", target, ...compiled(folder)], { cwd: root, encoding: "utf8", stdio: "pipe" });
}

/** Every file that the guest is made of, by the compiler's own account. */
export function dependencies(folder: string): string[] {
  const rules = execFileSync("gcc", [...FLAGS, "-MM", ...compiled(folder)], { cwd: root, encoding: "utf8" });
  const files = rules
    .replaceAll("\\\n", " ")
    .split(/\s+/)
    .filter((word) => word !== "" && !word.endsWith(":"));
  return [...new Set([...files.map((file) => posix.normalize(file)), `${LIB}/guest.ld`])].sort();
}

export function sha256(path: string): string {
  return createHash("sha256")
    .update(readFileSync(join(root, path)))
    .digest("hex");
}

/** What is recorded beside the committed ELF file, or undefined. */
export function recorded(folder: string): Recorded | undefined {
  const file = join(root, `${elfPath(folder)}.sources`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Recorded) : undefined;
}

/** Paths whose content is not what was recorded, the ELF file and the flags among them; empty when all is well. */
export function stale(folder: string): string[] {
  const was = recorded(folder);
  if (!was || !existsSync(join(root, elfPath(folder)))) return [elfPath(folder)];
  const all = { ...was.sources, [elfPath(folder)]: was.elf };
  const changed = Object.keys(all).filter((path) => !existsSync(join(root, path)) || sha256(path) !== all[path]);
  const added = compiled(folder).filter((path) => !(path in was.sources));
  return [...changed, ...added, ...(was.flags === FLAGS.join(" ") ? [] : ["scripts/guests/build.ts (FLAGS)"])];
}

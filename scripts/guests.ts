// `npm run guests [-- [--force] [NAME...]]`: builds the C guests whose sources changed since their committed ELF file was
// made (all those named, with --force), and records the hashes of their sources beside it.

import { renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  build,
  compiler,
  dependencies,
  elfPath,
  FLAGS,
  guestFolders,
  type Recorded,
  root,
  sha256,
  stale,
} from "./guests/build.ts";

const names = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const force = process.argv.includes("--force");
const version = compiler();
if (version === undefined) {
  console.error("guests: there is no gcc; the committed ELF files run without it");
  process.exit(1);
}

for (const name of names)
  if (!guestFolders().some((folder) => basename(folder) === name)) {
    console.error(`guests: no guest is called ${name}`);
    process.exitCode = 1;
  }

for (const folder of guestFolders()) {
  if (names.length > 0 && !names.includes(basename(folder))) continue;
  if (!force && stale(folder).length === 0) continue;
  const elf = elfPath(folder);
  const target = join(root, `${elf}.new`);
  try {
    build(folder, target);
  } catch (error) {
    rmSync(target, { force: true });
    console.error(`guests: ${folder}: ${(error as { stderr?: string }).stderr ?? String(error)}`);
    process.exitCode = 1;
    continue;
  }
  renameSync(target, join(root, elf));
  const record: Recorded = {
    compiler: version,
    flags: FLAGS.join(" "),
    sources: Object.fromEntries(dependencies(folder).map((path) => [path, sha256(path)])),
    elf: sha256(elf),
  };
  writeFileSync(join(root, `${elf}.sources`), `${JSON.stringify(record, null, 2)}\n`);
  console.log(`built ${elf}`);
}

// Brings node_modules up to date with the lock file, so that `npm start` and `npm test` work on a fresh clone.
// Run by npm before each command; costs a few milliseconds when there is nothing to do. Plain JavaScript: tsx may not
// be there yet. Prints nothing on success, npm's own words on standard error when it fails.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, "node_modules", ".xenolith-lock");
const read = (file) => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Xenolith needs Node 20.19 or later; this is ${process.versions.node}.`);
  process.exit(1);
}
const lock = read(join(root, "package-lock.json"));
if (read(stamp) !== lock) {
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (npm.status !== 0) {
    console.error(`npm ci failed:\n${npm.stdout ?? ""}${npm.stderr ?? ""}${npm.error ?? ""}`);
    process.exit(1);
  }
  writeFileSync(stamp, lock);
}

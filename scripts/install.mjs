// Brings node_modules up to date with the lock file, so that `npm start` and `npm test` work on a fresh clone.
// Run by npm before each command; costs a few milliseconds when there is nothing to do. Plain JavaScript: tsx may not
// be there yet. Prints nothing on success, npm's own words on standard error when it fails.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** No installation takes longer. */
const LONGEST_MS = 600_000;
const stamp = join(root, "node_modules", ".xenolith-lock");
const read = (file) => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

/** Whether a folder is one that can be written to, or could be made. */
function writable(folder) {
  if (!existsSync(folder)) return writable(dirname(folder));
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs npm with a cache of its own where the user's can't be written, as with a home folder that is read-only. */
function npm(args) {
  const cache = process.env["npm_config_cache"] ?? join(homedir(), ".npm");
  const own = writable(cache) ? undefined : mkdtempSync(join(tmpdir(), "xenolith-npm-"));
  try {
    return spawnSync("npm", own ? [...args, "--cache", own] : args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
      shell: process.platform === "win32",
    });
  } finally {
    if (own) rmSync(own, { recursive: true, force: true });
  }
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Xenolith needs Node 20.19 or later; this is ${process.versions.node}.`);
  process.exit(1);
}
const lock = read(join(root, "package-lock.json"));
if (read(stamp) !== lock && !alone(install)) process.exit(1);

function install() {
  if (read(stamp) === lock) return true; // Another start did it meanwhile.
  const { status, stdout, stderr, error } = npm(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (status === 0) writeFileSync(stamp, lock);
  else console.error(`npm ci failed:\n${stdout ?? ""}${stderr ?? ""}${error ?? ""}`);
  return status === 0;
}

/** Takes turns with other starts: two `npm ci` at once take away each other's files. */
function alone(work) {
  const turn = join(root, ".xenolith-installing");
  for (;;) {
    try {
      writeFileSync(turn, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") break; // npm will say what can't be written.
      if (abandoned(turn)) rmSync(turn, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  try {
    return work();
  } finally {
    rmSync(turn, { force: true });
  }
}

/** Whether the process whose turn it is was killed, or another has its number by now. */
function abandoned(turn) {
  const { mtimeMs } = statSync(turn, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
  if (Math.abs(Date.now() - mtimeMs) > LONGEST_MS) return true;
  const pid = Number(read(turn));
  if (!(pid > 0)) return false; // Being written, or just removed.
  try {
    return !process.kill(pid, 0);
  } catch (error) {
    return error.code === "ESRCH";
  }
}

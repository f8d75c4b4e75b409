// `npm run mutate`: mutation testing of the guards that keep domains apart. Each mutant takes one check, comparison or
// clean-up out of the hypervisor (mutate/mutators.ts), and some test must fail. Works on what is committed, in copies.
//   npm run mutate -- [--list] [--files PREFIX[,PREFIX]] [--only ID-PART[,ID-PART]] [--since COMMIT] [--sample N]
//                     [--seed S] [--quick] [--jobs N] [--limit SECONDS] [--json FILE]
// Prints a line for each mutant, the survivors, and the score: killed of all. Exit status 1 when the tests fail unmutated.
// --since takes those on lines that are newer than a commit.
// --quick asks only the tests of the mutant's own folder: for finding what they leave unwatched, not for the score.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Mutant, mutantsOf, sample, shuffle } from "./mutate/mutators.ts";
import { EVERYTHING, firstTests } from "./mutate/plan.ts";
import { type Outcome, Scratch } from "./mutate/scratch.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

const options = optionsOf(process.argv.slice(2));

interface Verdict {
  readonly mutant: Mutant;
  readonly outcome: Outcome;
}

const git = (...args: string[]): string =>
  execFileSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
// One commit for all of a run, whatever is committed meanwhile.
const commit = git("rev-parse", "HEAD").trim();
const gitFiles = git("ls-tree", "-r", "--name-only", commit, "hypervisor");
const prefixes = options.files.split(",");
const sources = gitFiles
  .split("\n")
  .filter((file) => firstTests(file).length > 0 && prefixes.some((prefix) => file.startsWith(prefix)))
  .sort();
let mutants = sources.flatMap((file) => mutantsOf(file, git("show", `${commit}:${file}`)));
const total = mutants.length;
const only = options.only?.split(",");
if (only !== undefined) mutants = mutants.filter(({ id }) => only.some((part) => id.includes(part)));
if (options.since !== undefined) {
  const newer = newerLines(git("diff", "-U0", options.since, commit, "--", "hypervisor"));
  mutants = mutants.filter(({ file, line }) => newer.has(`${file}:${line}`));
}
if (options.sample !== undefined) mutants = sample(mutants, Number(options.sample), Number(options.seed));

if (options.list) for (const { id, before, after } of mutants) console.log(`${id}\n  - ${before}\n  + ${after}`);
console.log(`${mutants.length} mutants of ${total} in ${sources.length} files`);
if (!options.list) await main();

/** A mistake is one line, and the end. */
function optionsOf(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        list: { type: "boolean", default: false },
        files: { type: "string", default: "hypervisor/" },
        sample: { type: "string" },
        seed: { type: "string", default: "1" },
        only: { type: "string" },
        since: { type: "string" },
        quick: { type: "boolean", default: false },
        jobs: { type: "string", default: "2" },
        limit: { type: "string" },
        json: { type: "string" },
      },
    });
    for (const name of ["sample", "seed", "jobs", "limit"] as const)
      if (!/^\d+$/.test(values[name] ?? "0")) throw new Error(`--${name} must be a whole number`);
    return values;
  } catch (error) {
    console.error(`mutate: ${(error as Error).message}`);
    process.exit(1);
  }
}

/** "file:line" of each line that a diff without context adds. */
function newerLines(diff: string): Set<string> {
  const lines = new Set<string>();
  let file = "";
  for (const [, path, from, count = "1"] of diff.matchAll(/^(?:\+\+\+ b\/(.*)|@@ .*?\+(\d+)(?:,(\d+))? @@.*)$/gm)) {
    if (path !== undefined) file = path;
    else for (let i = 0; i < Number(count); i++) lines.add(`${file}:${Number(from) + i}`);
  }
  return lines;
}

/** The tests of a mutant's own folder, and if it passes those, all. */
async function judge(scratch: Scratch, mutant: Mutant, limit: number): Promise<Outcome> {
  const original = scratch.read(mutant.file);
  scratch.write(mutant.file, mutant.text);
  try {
    const first = firstTests(mutant.file);
    const outcome = await scratch.test(first, limit / 4); // A folder's are less than a quarter of all.
    if (outcome.result !== "passed" || options.quick) return outcome;
    const rest = EVERYTHING.filter((path) => !first.includes(path));
    const second = await scratch.test(rest, limit);
    return { ...second, seconds: outcome.seconds + second.seconds };
  } finally {
    scratch.write(mutant.file, original);
  }
}

async function main(): Promise<void> {
  const jobs = Array.from({ length: Number(options.jobs) }, () => new Scratch(root, commit));
  try {
    const whole = await jobs[0].test(EVERYTHING, 600);
    if (whole.result !== "passed") {
      console.error(`mutate: the tests fail without any mutation: ${whole.by}`);
      process.exitCode = 1;
      return;
    }
    console.log(`unmutated: all pass, ${whole.seconds.toFixed(0)} s`);
    // What takes so much longer hangs, on a machine that others use as well.
    const limit = options.limit === undefined ? Math.ceil(30 + 6 * whole.seconds) : Number(options.limit);
    const verdicts: Verdict[] = [];
    const queue = shuffle(mutants, Number(options.seed)); // So that what a run stopped early has done is a sample too.
    await Promise.all(
      jobs.map(async (scratch) => {
        for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
          const outcome = await judge(scratch, mutant, limit);
          verdicts.push({ mutant, outcome });
          const word =
            outcome.result === "passed" ? "SURVIVED" : outcome.result === "failed" ? "killed" : outcome.result;
          console.log(`${word.padEnd(8)} ${outcome.seconds.toFixed(0).padStart(4)} s  ${mutant.id}  ${outcome.by}`);
          if (outcome.result === "passed") console.log(`    - ${mutant.before}\n    + ${mutant.after}`);
          if (options.json) writeFileSync(options.json, `${JSON.stringify(summary(verdicts), null, 1)}\n`);
        }
      }),
    );
    report(verdicts);
  } finally {
    for (const scratch of jobs) scratch.remove();
  }
}

function summary(verdicts: readonly Verdict[]): object {
  const of = (v: Verdict): object => ({ ...v.mutant, text: undefined, ...v.outcome });
  return { total, seed: Number(options.seed), ...score(verdicts), mutants: verdicts.map(of) };
}

/** An endless loop is a kill: the tests do not pass. What doesn't parse is no mutant. */
function score(verdicts: readonly Verdict[]): { killed: number; survived: number; invalid: number } {
  const count = (result: Outcome["result"]): number => verdicts.filter((v) => v.outcome.result === result).length;
  return { killed: count("failed") + count("time"), survived: count("passed"), invalid: count("invalid") };
}

function report(verdicts: readonly Verdict[]): void {
  const rows = new Map<string, Verdict[]>();
  for (const v of verdicts) {
    const folder = v.mutant.file.replace(/^hypervisor\//, "").replace(/\/.*/, "");
    for (const key of [folder, v.mutant.mutator]) rows.set(key, [...(rows.get(key) ?? []), v]);
  }
  console.log("\n                      mutants  killed");
  for (const [key, of] of [...rows].sort(([a], [b]) => a.localeCompare(b))) {
    const { killed, survived } = score(of);
    console.log(`${key.padEnd(22)}${String(killed + survived).padStart(7)}${String(killed).padStart(8)}`);
  }
  const { killed, survived, invalid } = score(verdicts);
  const share = ((100 * killed) / (killed + survived || 1)).toFixed(1);
  console.log(`\nscore: ${killed} of ${killed + survived} killed, ${share}%${invalid ? `; ${invalid} invalid` : ""}`);
}

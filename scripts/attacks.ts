// `npm run attacks [-- [--show] [NAME...]]`: runs each hostile guest of guests/attacks/ beside a neighbour and prints a
// line for each: what was seen from outside (tests/harness/attack.ts). Exit status 1 if any of them did harm. With --show,
// the attack's console and the machine's log as well.

import { basename } from "node:path";
import { attackFolders, LEAST_SHARE, runAttack, type Verdict } from "../tests/harness/attack.ts";
import { accounted } from "../tests/harness/attack_differences.ts";

const names = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const show = process.argv.includes("--show");

const ENDINGS: Record<number, string> = { [-1]: "destroyed", 0: "ended", 3: "crashed" };

const percent = (share: number | undefined): string => (share === undefined ? "-" : `${(share * 100).toFixed(1)}%`);

/** The faults found, each with what it is about. */
function harm(v: Verdict): string[] {
  const lines = accounted(v).map(
    ([at, want, got]) => `line ${at}: real Xen: ${want}\n${" ".repeat(12)}here:     ${got}`,
  );
  return [
    ...v.walker.map((what) => `walker: ${what}`),
    ...v.neighbour,
    ...((v.share ?? 1) < LEAST_SHARE ? [`the neighbour kept ${percent(v.share)} of its share`] : []),
    ...(v.framesLost !== 0 ? [`${v.framesLost} frames did not come back`] : []),
    ...lines,
  ];
}

const folders = attackFolders().filter((folder) => names.length === 0 || names.includes(basename(folder)));
for (const name of names)
  if (!folders.some((folder) => basename(folder) === name)) {
    console.error(`attacks: no attack is called ${name}`);
    process.exitCode = 1;
  }

console.log("attack        verdict   end        share  longest wait  virtual time  longest step");
for (const folder of folders) {
  const v = runAttack(folder);
  const found = harm(v);
  const cells = [
    v.name.padEnd(13),
    (found.length === 0 ? "harmless" : "HARM").padEnd(9),
    (ENDINGS[v.reason] ?? `reason ${v.reason}`).padEnd(10),
    percent(v.share).padStart(6),
    `${(v.longestWaitNs / 1e6).toFixed(2)} ms`.padStart(13),
    `${(v.elapsedNs / 1e6).toFixed(1)} ms`.padStart(13),
    `${v.longestStepMs.toFixed(0)} ms`.padStart(13),
  ];
  console.log(cells.join(" "));
  for (const what of found) console.log(`    ${what}`);
  if (found.length > 0) process.exitCode = 1;
  if (show) console.log(`${v.console}\n${v.log}`);
}

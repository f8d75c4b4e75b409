// The rows of `npm run bench -- block` for a guest: guests/bench/block, a disk frontend in C, in a machine as `npm start` runs it, so that
// a domain's processor, its switches and its events are in the figures. Beside the same plain access in the same run. Called by block.ts.

import { median, type Row } from "../form.ts";
import { timedSession } from "../session.ts";

const CONFIG = "guests/bench/block/block.cfg";
const LIMIT_MS = 120_000;
/** Boots of the machine. */
const BOOTS = 3;
/** In each boot every case is done so often; the last one counts, for what is compiled before is not to be in the figures. */
const ROUNDS = 8;

export interface Case {
  readonly write: boolean;
  readonly size: number;
  readonly depth: number;
  readonly requests: number;
}

/** `plain` does a case without any machine: ms; `row` makes a row of ms here and there. */
export async function guestRows<T extends Case>(
  path: string,
  cases: readonly T[],
  plain: (test: T) => Promise<number>,
  row: (test: T, ours: number, theirs: number) => Row,
): Promise<Row[]> {
  const ours: number[][] = cases.map(() => []);
  const theirs: number[][] = cases.map(() => []);
  for (let boot = 0; boot < BOOTS; boot++) {
    for (const [i, test] of cases.entries()) theirs[i].push(await plain(test));
    for (const [i, ms] of (await session(path, cases)).entries()) ours[i].push(ms);
  }
  return cases.map((test, i) => {
    const made = row(test, median(ours[i]), median(theirs[i]));
    return { ...made, name: `C frontend, ${made.name}`, runs: BOOTS };
  });
}

/** Milliseconds of each case. */
async function session(path: string, cases: readonly Case[]): Promise<number[]> {
  const jobs = cases.map(
    ({ write, size, depth, requests }) =>
      `op=${write ? "write" : "read"} size=${size} depth=${depth} count=${requests} rounds=${ROUNDS}`,
  );
  const command = `xl create -q -c ${CONFIG} 'disk=["${path},raw,xvda,rw"]' 'extra="${jobs.join("; ")}"'`;
  const { output } = await timedSession([command], [], LIMIT_MS);
  const lines = [...output.matchAll(/^block: \w+ \d+ bytes, depth \d+, \d+ requests: (\d+) ns each, \d+ MiB\/s$/gm)];
  if (lines.length !== ROUNDS * cases.length)
    throw new Error(`the bench kernel didn't do all its jobs; it printed:\n${output}`);
  return cases.map(({ requests }, i) => (Number(lines[ROUNDS * (i + 1) - 1][1]) * requests) / 1e6);
}

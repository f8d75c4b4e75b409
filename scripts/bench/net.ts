// Networking between guests, each a domain of its own, over netback and a bridge in dom0: frames of 1500 bytes a second, round
// trips, and a ping beside a bulk stream. The guests in TypeScript are in guests/bench/net-ts/ and measure themselves; a machine
// runs them as `npm start` does. The same for guests in C: net/guest.ts.

import { type Bench, median, type Row } from "./form.ts";
import { guestRows } from "./net/guest.ts";
import { timedSession } from "./session.ts";

const FRAME = 1514;
const WARM_UP = 2;
const RUNS = 5;
const LIMIT_MS = 120_000;
const GOAL_FRAMES = 300_000;
const GOAL_PING_MS = 2;

const create = (name: string): string => `xl create -q guests/bench/net-ts/${name}.cfg`;
const COMMANDS = [
  create("receiver"),
  "xl console receiver --expect 'ready$'",
  create("pinger"),
  "xl console pinger --expect 'quiet: .*$' --timeout 60",
  create("sender"),
  `xl console receiver --expect '^receiver: ${WARM_UP + RUNS}: .*$' --timeout 60`,
  "xl console pinger --send go --expect 'busy: .*$' --timeout 60",
  ...["sender", "pinger", "receiver"].map((name) => `xl destroy ${name}`),
];

export const run: Bench = async (context) => {
  const moments = [WARM_UP, WARM_UP + RUNS].map((n) => new RegExp(`^receiver: ${n}: `, "m"));
  const { output, status, seen } = await timedSession(COMMANDS, moments, LIMIT_MS);
  const lines = [...output.matchAll(/^receiver: \d+: (\d+) frames\/s, (\d+) in all$/gm)];
  const [rates, totals] = [1, 2].map((column) => lines.map((line) => Number(line[column])));
  const pings = (name: string): Pings => {
    const found = new RegExp(`^pinger: ${name}: (\\d+) answers, median (\\d+) ns, 99% (\\d+) ns$`, "m").exec(output);
    if (found === null || status !== 0) throw new Error(`the guests did not do what they should:\n${output}`);
    const [count, medianNs, worstNs] = found.slice(1).map(Number);
    return { count, medianNs: context.calibrated(medianNs), worstNs: context.calibrated(worstNs) };
  };
  const [quiet, busy] = [pings("quiet"), pings("busy")];
  // Work done in a second is calibrated by dividing where a time is multiplied.
  const frames = median(rates.slice(WARM_UP, WARM_UP + RUNS)) / context.calibrated(1);
  const [from, to] = seen.map((moment) => moment?.cpuMs);
  const cpuNs = from === undefined || to === undefined ? undefined : (to - from) * 1e6;
  const rows: Row[] = [
    {
      name: "frames of 1500 bytes a second",
      value: frames,
      unit: "1/s",
      runs: RUNS,
      goal: GOAL_FRAMES,
      goalIsLeast: true,
    },
    { name: "throughput of these", value: (frames * FRAME * 8) / 1e9, unit: "Gbit/s", runs: RUNS },
    ...(cpuNs === undefined
      ? []
      : [
          {
            name: "processor time of a frame, all domains and the host",
            value: context.calibrated(cpuNs / (totals[WARM_UP + RUNS - 1] - totals[WARM_UP - 1])) / 1e3,
            unit: "us",
            goal: Number((1e6 / GOAL_FRAMES).toFixed(2)),
          },
        ]),
    { name: "round trip of a ping, 56 bytes", value: quiet.medianNs / 1e3, unit: "us", runs: quiet.count },
    { name: "round trip of a ping, 99%", value: quiet.worstNs / 1e3, unit: "us", runs: quiet.count },
    {
      name: "ping beside a bulk stream, median",
      value: busy.medianNs / 1e6,
      unit: "ms",
      runs: busy.count,
      goal: GOAL_PING_MS,
    },
    {
      name: "ping beside a bulk stream, 99%",
      value: busy.worstNs / 1e6,
      unit: "ms",
      runs: busy.count,
      goal: GOAL_PING_MS,
    },
  ];
  context.note("sender, receiver and pinger are domains, dom0 is another; all share one processor");
  if (busy.count < quiet.count)
    context.note(
      `${quiet.count - busy.count} of ${quiet.count} pings beside the stream were dropped, as frames of the stream were`,
    );
  const all = rows.map((row) => ({ ...row, name: `TypeScript frontend, ${row.name}` }));
  return [...all, ...(await guestRows(context))];
};

interface Pings {
  readonly count: number;
  readonly medianNs: number;
  /** 99% were not slower. */
  readonly worstNs: number;
}

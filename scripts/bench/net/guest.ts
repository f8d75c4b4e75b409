// The rows of `npm run bench -- net` for guests: guests/bench/net, a network frontend in C, in domains of their own at one bridge of a
// machine as `npm start` runs it, so that their processors, switches between them and events are in the figures. Called by net.ts.

import { type Context, median, type Row } from "../form.ts";
import { timedSession } from "../session.ts";

const CONFIG = "guests/bench/net/net.cfg";
const LIMIT_MS = 180_000;
/** The first of each is for warming up. */
const ROUNDS = 4;
const FRAMES = 100_000;
const FRAME_BYTES = 1514;
const PINGS = 1000;
const GOAL_FRAMES = 300_000;
const GOAL_PING_MS = 2;

const create = (name: string, line: string, options = ""): string =>
  `xl create -q ${options} ${CONFIG} 'name="${name}"' 'extra="${line}"'`;
const PING = create("ping", `mode=ping ip=10.0.0.2 peer=10.0.0.1 count=${PINGS} rounds=${ROUNDS}`, "-c");

const COMMANDS = [
  create("sink", "mode=sink ip=10.0.0.1"),
  create("stream", `mode=stream ip=10.0.0.3 peer=10.0.0.1 count=${FRAMES} rounds=${ROUNDS}`, "-c"),
  PING,
  create("bulk", "mode=stream ip=10.0.0.4 peer=10.0.0.1 count=1000000000"),
  PING,
  "xl destroy bulk",
  "xl destroy sink",
];

export async function guestRows(context: Context): Promise<Row[]> {
  const { output } = await timedSession(COMMANDS, [], LIMIT_MS);
  const sent = [...output.matchAll(/^net: sent \d+ frames of \d+ bytes: (\d+) frames\/s, .* (\d+) arrived$/gm)];
  const pings = [...output.matchAll(/^net: \d+ round trips of \d+ bytes: median (\d+) ns, 99% (\d+) ns, 0 lost$/gm)];
  if (sent.length !== ROUNDS || pings.length !== 2 * ROUNDS || sent.some((line) => Number(line[2]) !== FRAMES))
    throw new Error(`the bench kernels didn't do all that they should; they printed:\n${output}`);
  // Work done in a second is calibrated by dividing where a time is multiplied.
  const frames = median(sent.slice(1).map((line) => Number(line[1]))) / context.calibrated(1);
  const idle = pings.slice(1, ROUNDS);
  const busy = pings.slice(ROUNDS + 1);
  const time = (rounds: readonly RegExpMatchArray[], column: number): number =>
    context.calibrated(median(rounds.map((line) => Number(line[column]))));
  const runs = ROUNDS - 1;
  const rows: Row[] = [
    { name: "frames of 1500 bytes a second", value: frames, unit: "1/s", runs, goal: GOAL_FRAMES, goalIsLeast: true },
    { name: "throughput of these", value: (frames * FRAME_BYTES * 8) / 1e9, unit: "Gbit/s", runs },
    { name: "round trip of a UDP echo, 56 bytes", value: time(idle, 1) / 1e3, unit: "us", runs },
    { name: "round trip of a UDP echo, 99%", value: time(idle, 2) / 1e3, unit: "us", runs },
    { name: "echo beside a bulk stream, median", value: time(busy, 1) / 1e6, unit: "ms", runs, goal: GOAL_PING_MS },
    { name: "echo beside a bulk stream, 99%", value: time(busy, 2) / 1e6, unit: "ms", runs, goal: GOAL_PING_MS },
  ];
  return rows.map((row) => ({ ...row, name: `C frontend, ${row.name}` }));
}

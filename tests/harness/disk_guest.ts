// Runs the guest tests/guests/disk, which writes and checks its disk for as long as it has one, and judges the disk: by what the
// guest says it has flushed, and by what each of its requests writes (word, request in disk.c). Used by tests/system/ and tests/slow/.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { RunningSession } from "./running.ts";

const GROUPS = 256;
const PAGES = 4;
export const DISK_BYTES = GROUPS * PAGES * 4096;

const config = "tests/guests/disk/disk.cfg";
/** Waits for the guest's next flush, and shows all that it has said. */
const progress = 'xl console disk --timeout 200 --expect "flushed [0-9]+\\n[^]*"';
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The group that request `n` writes, and how many of its blocks; undefined if it reads. */
function writes(n: number): { group: number; pages: number } | undefined {
  return n % 3 === 2 ? undefined : { group: (n * 89) % GROUPS, pages: 1 + (n % PAGES) };
}

/** What is wrong with a disk of which requests 1 to `flushed` were covered by a flush. */
export function problems(disk: Uint8Array, flushed: number): string[] {
  const least = new Uint32Array(GROUPS * PAGES);
  for (let n = 1; n <= flushed; n++) {
    const what = writes(n);
    if (what !== undefined) for (let i = 0; i < what.pages; i++) least[what.group * PAGES + i] = n;
  }
  const words = new Uint32Array(disk.buffer, disk.byteOffset, disk.length / 4);
  const found: string[] = [];
  for (let sector = 0; sector < disk.length / 512; sector++) {
    const block = sector >>> 3;
    const by = words[sector * 128];
    const what = writes(by);
    if (by < least[block]) found.push(`sector ${sector} is as request ${by} left it, not ${least[block]}`);
    else if (by !== 0 && !(what && what.group === block >>> 2 && (block & 3) < what.pages))
      found.push(`sector ${sector} is as request ${by} left it, which never wrote there`);
    else if (words.subarray(sector * 128, sector * 128 + 128).some((value, i) => value !== word(sector, by, i)))
      found.push(`sector ${sector} is not wholly as request ${by} left it`);
  }
  return found;
}

function word(sector: number, by: number, i: number): number {
  if (by === 0) return 0;
  if (i < 2) return i === 0 ? by : sector;
  return (Math.imul(by, 2654435761) + Math.imul(sector, 40503) + i * 97) >>> 0;
}

/** The last request that the guest says was flushed. */
function lastFlushed(output: string): number {
  return Number([...output.matchAll(/^flushed (\d+)\n/gm)].at(-1)?.[1] ?? 0);
}

export interface Outcome {
  readonly output: string;
  readonly flushed: number;
  readonly problems: readonly string[];
}

function judge(path: string, output: string): Outcome {
  const flushed = lastFlushed(output);
  const wrong = output.split("\n").filter((line) => line.startsWith("WRONG"));
  return { output, flushed, problems: [...wrong, ...problems(readFileSync(path), flushed)] };
}

/** Kills the whole machine (kill -9) at a moment when the guest writes; what is on its disk then. */
export async function killRound(path: string, afterMs: number): Promise<Outcome> {
  writeFileSync(path, Buffer.alloc(DISK_BYTES));
  const machine = new RunningSession([
    `xl create -q ${config} 'disk=["${path},raw,xvda,rw"]'`,
    'xl console disk --timeout 200 --expect "no such thing"',
  ]);
  await machine.shows(/^flushed \d+\n/m);
  await pause(afterMs);
  machine.process.kill("SIGKILL");
  const outcome = judge(path, (await machine.ended).output);
  rmSync(path);
  return outcome;
}

export interface ChaosOutcome extends Outcome {
  readonly errors: string;
  readonly status: number | null;
  readonly detached: number;
  readonly paused: number;
}

/** For `durationMs` takes the disk away and gives it back, pauses the guest and lets it go on, at random moments. */
export async function chaos(path: string, durationMs: number): Promise<ChaosOutcome> {
  writeFileSync(path, Buffer.alloc(DISK_BYTES));
  const disk = `${path},raw,xvda,rw`;
  const machine = new RunningSession([`xl create -q ${config} 'disk=["${disk}"]'`, progress], {
    timeoutS: 900 + durationMs / 1000,
    open: true,
  });
  await machine.shows("flushed ");
  let detached = 0;
  let paused = 0;
  let asked = 0;
  /** Lets the guest get on to its next flush, and shows what it has said. */
  const hear = async (): Promise<void> => {
    machine.type(progress, `xenstore-write /asked "asked ${++asked}"`, "xenstore-read /asked");
    await machine.shows(`asked ${asked}\n`);
  };
  const until = Date.now() + durationMs;
  for (let turn = 0; Date.now() < until; turn++) {
    const what = turn < 3 ? turn : Math.floor(Math.random() * 3);
    const moment = (): Promise<void> => pause(Math.random() * 100);
    await moment();
    if (what === 0) {
      paused++;
      machine.type("xl pause disk");
      await moment();
      machine.type("xl unpause disk");
    } else if (what === 1) {
      detached++;
      machine.type("xl block-detach disk xvda");
      await moment();
      machine.type(`xl block-attach disk ${disk}`);
    } else {
      machine.type("xl block-attach disk ram:1M,raw,xvdb,rw");
      await moment();
      machine.type("xl block-detach disk xvdb");
    }
    // A flush from before it lost its disk may be the first that is heard: it is to have it again before it loses it again.
    do await hear();
    while ((machine.output.match(/^connected\n/gm)?.length ?? 0) <= detached);
  }
  machine.type("xl block-detach disk xvda", "xl shutdown disk");
  machine.type('xl console disk --timeout 200 --expect "good bye\\n"', "xl destroy disk", "xl list");
  const { output, errors, status } = await machine.end();
  const outcome = { ...judge(path, output), errors, status, detached, paused };
  rmSync(path);
  return outcome;
}

// Runs an attack (guests/attacks/) beside a neighbour and judges it from outside: what the walker over page types finds,
// whether the neighbour's memory is what it was, whether it got its share of the processor, whether every frame comes
// back when the attacker is destroyed, and whether the attacker's console says what it said under real Xen. For
// `npm run attacks` and its tests. Everything is on the virtual clock, so a run is the same each time.

import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Domain } from "../../hypervisor/domain.ts";
import { CONTINUE } from "../../hypervisor/hypercalls/args.ts";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import type { Machine } from "../../hypervisor/index.ts";
import { createDomain, createVcpu, killDomain } from "../../hypervisor/lifecycle.ts";
import { elfPath, guestFolders, root } from "../../scripts/guests/build.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";
import { bareMachine, buildDomu, drainConsole } from "./domu.ts";

/** What was seen of one attack. All is well when the lists are empty, and the share is what it must be. */
export interface Verdict {
  readonly name: string;
  /** How it ended: SHUTDOWN_ reason, or -1 when it had to be destroyed. */
  readonly reason: number;
  /** What the walker found, at the first moment at which it found anything. */
  readonly walker: readonly string[];
  /** What of the neighbour's memory changed that should not. */
  readonly neighbour: readonly string[];
  /**
   * What the neighbour got done, as a part of what its weight entitles it to; above 1 when the attacker slept. Undefined
   * when the attack was over too soon to tell.
   */
  readonly share: number | undefined;
  /** Lines of the console that are not as under real Xen: [line, expected, got]. */
  readonly lines: readonly (readonly [number, string, string])[];
  /** Frames that did not come back. */
  readonly framesLost: number;
  /** The neighbour's longest wait, virtual ns; the longest turn of the main loop, real ms. */
  readonly longestWaitNs: number;
  readonly longestStepMs: number;
  readonly elapsedNs: number;
  readonly console: string;
  readonly log: string;
}

/** The least part of its weighted share that the neighbour must keep. */
export const LEAST_SHARE = 0.95;

/** Not one that the attacks name, for under real Xen they are alone with domain 0. */
const NEIGHBOUR_ID = 9 as DomId;
const SECRETIVE_ID = 10 as DomId;
const SECRET_FRAMES = 6000;
/** The halves of what the attack leak looks for. */
const SECRET = [0xc2e75ec2, 0x5ec2e75e] as const;
/** Attacks that want a second vcpu. */
const TWO_VCPUS: ReadonlySet<string> = new Set(["contexts", "races", "remote"]);
/** Context-switch allowance here, ns: the share's granularity. */
const ALLOWANCE_NS = 10_000;
const MEASURABLE_NS = 200 * ALLOWANCE_NS;
/** The longest that one operation lasts, an extent of 512 frames: what the neighbour may still be owed at the end. */
const OWED_NS = 512 * 400;
/** An attack is destroyed after so long, virtual ns. */
const TIME_LIMIT_NS = 3_000_000_000;
const REAL_LIMIT_MS = 240_000;
/** The neighbour alone, before: long enough for all of its memory to have been looked at, and to know its pace. */
const WARM_UP_NS = 20_000_000;
/** The walker looks after each of the first hypercalls, then after each so many. */
const WALK_FIRST = 100;
const WALK_EVERY = 50;
const WALK_AT_MOST = 400;

/** Attacks: folders of guests/attacks. */
export function attackFolders(): string[] {
  return guestFolders().filter((folder) => folder.startsWith("guests/attacks/"));
}

class Neighbour {
  readonly domain: Domain;
  readonly #hv: Hypervisor;
  readonly #counts: number;
  #still = new Map<Mfn, number>();

  constructor(hv: Hypervisor) {
    this.#hv = hv;
    const file = readFileSync(join(root, "tests/guests/neighbour/neighbour.elf"));
    this.domain = buildDomu(hv, file, NEIGHBOUR_ID, { domainMiB: 8 });
    // Grant entry 1 names the page of its xenstore ring.
    this.#counts = hv.memory.u32[this.domain.grants.frames[0] * 1024 + 3] * 1024;
  }

  /** Pages that it has added up. */
  get rounds(): number {
    return this.#hv.memory.u32[this.#counts];
  }

  #sums(): Map<Mfn, number> {
    const sums = new Map<Mfn, number>();
    for (const mfn of this.domain.memory) {
      let sum = 0;
      for (let i = mfn * 1024; i < (mfn + 1) * 1024; i++) sum = (Math.imul(sum, 31) + this.#hv.memory.u32[i]) | 0;
      sums.set(mfn, sum);
    }
    return sums;
  }

  /** To be called twice, with it running in between: the frames that don't change by themselves are remembered. */
  remember(): void {
    const sums = this.#sums();
    const before = this.#still;
    this.#still = before.size === 0 ? sums : new Map([...sums].filter(([mfn, sum]) => before.get(mfn) === sum));
  }

  /** What has changed since. */
  changes(): string[] {
    const found: string[] = [];
    const sums = this.#sums();
    for (const [mfn, sum] of this.#still)
      if (!sums.has(mfn)) found.push(`frame ${mfn} is no longer the neighbour's`);
      else if (sums.get(mfn) !== sum) found.push(`frame ${mfn} of the neighbour has changed`);
    const bad = this.#hv.memory.u32[this.#counts + 2];
    if (bad !== 0) found.push(`the neighbour saw ${bad} changes`);
    if (this.domain.isShutDown) found.push("the neighbour has shut down");
    if (this.#still.size < 1000) found.push("too little of the neighbour was watched");
    return found;
  }
}

/** A domain that wrote a secret into all of its memory, and is no more. */
function leaveSecrets(hv: Hypervisor): void {
  const domain = createDomain(hv, {
    id: SECRETIVE_ID,
    privileged: false,
    processor: hv.x86,
    handle: new Uint8Array(16),
    maxVcpus: 1,
    maxPages: SECRET_FRAMES,
    maxGrantFrames: 1,
    maxMaptrackFrames: 1,
  });
  for (let i = 0; i < SECRET_FRAMES; i++) {
    const mfn = domain?.memory.alloc() ?? -1;
    if (mfn !== -1) for (let word = 0; word < 1024; word++) hv.memory.u32[mfn * 1024 + word] = SECRET[word & 1];
  }
  if (domain !== undefined) while (killDomain(hv, domain) === CONTINUE);
}

function runFor(machine: Machine, ns: number): void {
  const end = machine.hv.time.now() + ns;
  machine.runUntil(() => machine.hv.time.now() >= end, 1e6);
}

/**
 * Runs one attack to its end, or to the time limit, and destroys it. `sabotage` is done to the hypervisor when the attacker
 * is about to start, with the neighbour at hand: for tests that the verdict sees harm.
 */
export function runAttack(folder: string, sabotage?: (hv: Hypervisor, neighbour: Domain) => void): Verdict {
  const name = basename(folder);
  const machine = bareMachine({ memoryMiB: 64, consoleIo: false });
  const { hv } = machine;
  hv.bvt.ctxAllowNs = ALLOWANCE_NS;
  const neighbour = new Neighbour(hv);
  // Stands for the domain at the other end of everybody's console; it never runs.
  const domain0 = createDomain(hv, {
    id: 0 as DomId,
    privileged: false,
    processor: hv.x86,
    handle: new Uint8Array(16),
    maxVcpus: 1,
    maxPages: 0,
    maxGrantFrames: 1,
    maxMaptrackFrames: 1,
  });
  if (domain0 !== undefined) createVcpu(hv, domain0);
  hv.sched.unpause(neighbour.domain);
  runFor(machine, WARM_UP_NS);
  neighbour.remember();
  const before = neighbour.rounds;
  runFor(machine, WARM_UP_NS);
  const nsPerRound = WARM_UP_NS / (neighbour.rounds - before);
  neighbour.remember();

  leaveSecrets(hv);
  const free = hv.frames.freeFrames;
  const attacker = buildDomu(hv, readFileSync(join(root, elfPath(folder))), 1 as DomId, {
    domainMiB: 16,
    spareFrames: 256,
    vcpus: TWO_VCPUS.has(name) ? 2 : 1,
  });
  sabotage?.(hv, neighbour.domain);
  hv.sched.unpause(attacker);
  const start = hv.time.now();
  const firstRound = neighbour.rounds;
  const until = performance.now() + REAL_LIMIT_MS;
  let console = "";
  let walker: string[] = [];
  let hypercalls = 0;
  let walks = 0;
  let walking = 0;
  hv.trace.hypercalls = true;
  hv.trace.emitter.on("hypercall", () => {
    if (walker.length > 0 || walks >= WALK_AT_MOST || (hypercalls++ >= WALK_FIRST && hypercalls % WALK_EVERY !== 0))
      return;
    const from = performance.now();
    walker = machine.checker();
    walks++;
    walking += performance.now() - from;
  });
  let longestStepMs = 0;
  let longestWaitNs = 0;
  let rounds = firstRound;
  let progressAt = start;
  while (!attacker.isShutDown && hv.time.now() - start < TIME_LIMIT_NS) {
    if (performance.now() > until) break;
    const from = performance.now();
    walking = 0;
    if (machine.step() > 0) machine.skipIdle();
    longestStepMs = Math.max(longestStepMs, performance.now() - from - walking);
    console += drainConsole(hv, attacker);
    if (neighbour.rounds !== rounds) {
      longestWaitNs = Math.max(longestWaitNs, hv.time.now() - progressAt);
      rounds = neighbour.rounds;
      progressAt = hv.time.now();
    }
  }
  console += drainConsole(hv, attacker);
  const elapsedNs = hv.time.now() - start;
  // Every vcpu has the same weight.
  const entitled = elapsedNs / (1 + attacker.vcpus.length) - 2 * ALLOWANCE_NS - OWED_NS;
  const share = elapsedNs < MEASURABLE_NS ? undefined : ((neighbour.rounds - firstRound) * nsPerRound) / entitled;
  const reason = attacker.isShutDown ? attacker.shutdownReason : -1;
  if (walker.length === 0) walker = machine.checker();
  while (killDomain(hv, attacker) === CONTINUE);
  if (walker.length === 0) walker = machine.checker();
  runFor(machine, WARM_UP_NS);
  const transcript = join(root, folder, "transcript.txt");
  return {
    name,
    reason,
    walker,
    neighbour: neighbour.changes(),
    share,
    lines: existsSync(transcript) ? differences(readFileSync(transcript, "utf8"), console) : [[0, "a transcript", ""]],
    framesLost: free - hv.frames.freeFrames,
    longestWaitNs,
    longestStepMs,
    elapsedNs,
    console,
    log: machine.log.read(0, Number.MAX_SAFE_INTEGER),
  };
}

function differences(wanted: string, got: string): (readonly [number, string, string])[] {
  const want = wanted.split("\n");
  const have = got.split("\n");
  const found: (readonly [number, string, string])[] = [];
  for (let i = 0; i < Math.max(want.length, have.length); i++)
    if (want[i] !== have[i]) found.push([i + 1, want[i] ?? "(nothing)", have[i] ?? "(nothing)"]);
  return found;
}

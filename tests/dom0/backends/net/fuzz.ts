// Slots, indexes and restarts that keep to no rule, for hostile.test.ts and the slow suite. What must hold: each request is answered
// once or its ring is shut, two honest neighbours on the bridge go on talking, and nothing is held afterwards.

import { expect } from "vitest";
import { sleep, type Task } from "../../../../guests/sdk/index.ts";
import { parseIp } from "../../../../guests/sdk/net/index.ts";
import { NETIF_RSP_OKAY, NETTXF_extra_info, NETTXF_more_data } from "../../../../shared/abi/io/netif.ts";
import { randomOf } from "../../../harness/hostile_front.ts";
import { DATA_PAGES, type RawFront, withRaw } from "./raw_front.ts";

export interface FuzzCounts {
  /** Slots written, in both rings. */
  cases: number;
  /** Rings shut. */
  shut: number;
  /** Tx responses that were good, and others. */
  okay: number;
  errors: number;
}

class Random {
  readonly #next;
  constructor(seed: number) {
    this.#next = randomOf(seed);
  }
  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }
  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

const MORE = NETTXF_more_data;
const NEIGHBOUR = parseIp("10.0.0.3");
/** What a frontend may say that it takes. */
const FEATURES = ["feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-no-csum-offload"];

/** Random rounds in one machine until there were `cases`; throws what is wrong, with the seed. */
export function fuzz(seed: number, cases: number): FuzzCounts {
  const counts: FuzzCounts = { cases: 0, shut: 0, okay: 0, errors: 0 };
  withRaw(function* (rig, raw): Task {
    const random = new Random(seed);
    const one = yield* rig.station(1);
    const socket = one.udp(1000);
    const sink = (yield* rig.station(2)).udp(9);
    let seen = 0;
    const connect = function* (): Task {
      seen = 0;
      const takes = (): string => (random.below(4) > 0 ? "1" : "0");
      yield* raw.connect(Object.fromEntries(FEATURES.map((name) => [name, takes()])));
    };
    yield* connect();
    for (let round = 0; counts.cases < cases; round++) {
      const before = raw.txProd;
      const offered = raw.rxProd;
      for (let n = random.below(12); n > 0; n--) randomPacket(random, raw);
      for (let n = random.below(4); n > 0; n--)
        raw.rx(random.of([...raw.refs, 1999, 0, 0xffffffff]), random.below(65536));
      counts.cases += raw.txProd - before + raw.rxProd - offered;
      if (random.below(40) === 0) raw.txProd = (before + random.of([-1, 257, 0x80000000, 255])) >>> 0;
      if (random.below(40) === 0) raw.rxProd = (raw.rxProd + random.of([-1, 300, 0x7fffffff])) >>> 0;
      raw.push();
      const note = `seed ${seed}, round ${round}`;
      if (round % 10 === 0) {
        yield* socket.send(NEIGHBOUR, 9, new Uint8Array([round & 255]));
        expect((yield* sink.receive(1e9))?.data[0], note).toBe(round & 255);
      }
      // Many requests at once take several turns of the backend.
      const answered = (): boolean => raw.state !== "4" || raw.txResponses === raw.txProd >>> 0;
      for (let turns = 0; turns < 50 && !answered(); turns++) yield* sleep(2e4);
      yield* sleep(2e4);
      for (; seen < raw.txResponses; seen++)
        if (raw.txResponse(seen).status === NETIF_RSP_OKAY) counts.okay++;
        else counts.errors++;
      if (raw.state === "4") {
        expect(raw.txResponses, note).toBe(raw.txProd >>> 0);
        continue;
      }
      counts.shut++;
      yield* raw.restart();
      yield* connect();
    }
  });
  return counts;
}

/** One slot with anything in it, or a packet of several slots that is nearly right. */
function randomPacket(random: Random, raw: RawFront): void {
  if (random.below(10) === 0) {
    raw.txRaw(Uint8Array.from({ length: 12 }, () => random.below(256)));
    return;
  }
  const slots = random.of([1, 1, 1, 1, 2, 3, 18, 19]);
  const gso = random.below(6) === 0;
  const pages = Array.from({ length: slots }, () => random.below(DATA_PAGES));
  const part = random.of([1, 14, 60, 100, 1514, 4000]);
  raw.frame(pages[0], 0, 60);
  for (let i = 0; i < slots; i++) {
    const first = i === 0;
    const whole = part * slots + (first ? 60 : 0);
    raw.tx({
      gref: random.below(20) === 0 ? 1999 : raw.refs[pages[i]],
      offset: first ? 0 : random.of([0, 0, 0, 0, 0, 100, 4095, 65535]),
      size: random.below(12) === 0 ? random.of([0, 1, 13, 4096, 5000, 65535]) : first ? whole : part,
      id: random.below(65536),
      flags:
        (i < slots - 1 ? MORE : 0) |
        (first && gso ? NETTXF_extra_info | random.of([0, 1, 3]) : random.of([0, 0, 0, 1, 2, 3])) |
        (random.below(200) === 0 ? random.of([MORE, NETTXF_extra_info, 0xffff]) : 0),
    });
    if (first && gso)
      raw.txRaw(Uint8Array.from([1, 0, random.below(256), random.below(8), random.of([0, 1, 1, 2, 9]), 0, 0, 0]));
  }
}

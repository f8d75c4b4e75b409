// A learning switch (IEEE 802.1D's forwarding, without spanning tree): it remembers behind which port an address was last
// seen, sends known unicast there alone and all else to every other port. Ports are backends of guests and uplinks; each
// queues what it can't deliver yet, up to its own bound, and drops the rest, so that a slow or dead receiver holds up
// nobody. Left out: VLANs, multicast snooping, spanning tree.

import { ETH_HEADER, type Frame } from "./frame.ts";

/** How long an address is remembered without a frame from it, as Linux's bridge has it. */
const AGEING_NS = 300e9;
/** Addresses remembered at most, in all and for one port: a flood of invented sources fills its own share only. */
const MAX_ADDRESSES = 8192;
const MAX_ADDRESSES_PORT = 1024;

/** One port: whoever has it attached gets frames by `deliver`. */
export interface PortOwner {
  readonly name: string;
  /** A frame for this port: it is retained if it is queued, and never changed. Must not throw. */
  deliver(frame: Frame): void;
}

interface Learned {
  port: Port;
  seenNs: number;
}

class Port {
  readonly owner: PortOwner;
  addresses = 0;
  constructor(owner: PortOwner) {
    this.owner = owner;
  }
}

/** An attached port, as its owner has it. */
export interface Attached {
  /** A frame that came in by this port. The caller keeps its own hold of it. */
  receive(frame: Frame): void;
  /** Takes the port away and forgets what was learned of it. Again: nothing. */
  detach(): void;
}

export class Bridge {
  readonly name: string;
  readonly #now: () => number;
  readonly #ports = new Set<Port>();
  readonly #table = new Map<number, Learned>();
  /** Sees each frame that the switch forwards, once: for a capture. */
  tap: ((frame: Frame) => void) | undefined = undefined;

  /** `now` is system time in nanoseconds. */
  constructor(name: string, now: () => number) {
    this.name = name;
    this.#now = now;
  }

  attach(owner: PortOwner): Attached {
    const port = new Port(owner);
    this.#ports.add(port);
    return {
      receive: (frame) => {
        if (this.#ports.has(port)) this.#receive(port, frame);
      },
      detach: () => {
        if (!this.#ports.delete(port)) return;
        for (const [mac, learned] of this.#table) if (learned.port === port) this.#table.delete(mac);
      },
    };
  }

  /** Names of the ports, in the order in which they came. */
  get portNames(): string[] {
    return [...this.#ports].map((port) => port.owner.name);
  }

  /** The port behind which `mac` (macNumber) was seen; undefined when it isn't known or too long ago. */
  portOf(mac: number): string | undefined {
    return this.#lookup(mac)?.owner.name;
  }

  #receive(from: Port, frame: Frame): void {
    if (frame.size < ETH_HEADER) return;
    const source = macNumber(frame.view, 6);
    if (isGroup(source) || source === 0) return; // No station has such an address.
    this.#learn(source, from);
    const target = macNumber(frame.view, 0);
    if (isLinkLocal(target)) return; // For the bridge itself: 802.1D lets none through.
    this.tap?.(frame);
    const known = isGroup(target) ? undefined : this.#lookup(target);
    if (known === undefined) {
      for (const port of this.#ports) if (port !== from) port.owner.deliver(frame);
    } else if (known !== from) known.owner.deliver(frame);
  }

  #lookup(mac: number): Port | undefined {
    const learned = this.#table.get(mac);
    if (learned === undefined) return undefined;
    if (this.#now() - learned.seenNs <= AGEING_NS) return learned.port;
    this.#forget(mac, learned);
    return undefined;
  }

  #learn(mac: number, port: Port): void {
    const learned = this.#table.get(mac);
    if (learned !== undefined && learned.port === port) {
      learned.seenNs = this.#now();
      return;
    }
    if (learned !== undefined) this.#forget(mac, learned);
    if (port.addresses >= MAX_ADDRESSES_PORT || this.#table.size >= MAX_ADDRESSES) {
      this.#age();
      if (port.addresses >= MAX_ADDRESSES_PORT || this.#table.size >= MAX_ADDRESSES) return;
    }
    port.addresses++;
    this.#table.set(mac, { port, seenNs: this.#now() });
  }

  #age(): void {
    // A full look at most once a second: a flood of addresses must not make each frame cost one.
    const now = this.#now();
    if (now - this.#agedNs < 1e9) return;
    this.#agedNs = now;
    for (const [mac, learned] of this.#table) if (now - learned.seenNs > AGEING_NS) this.#forget(mac, learned);
  }
  #agedNs = -1e9;

  #forget(mac: number, learned: Learned): void {
    this.#table.delete(mac);
    learned.port.addresses--;
  }
}

/** The six bytes at `at` as a number, the first the most significant. */
export function macNumber(view: DataView, at: number): number {
  return view.getUint32(at) * 65536 + view.getUint16(at + 4);
}

/** True for multicast and broadcast addresses. */
function isGroup(mac: number): boolean {
  return (Math.floor(mac / 0x10000000000) & 1) === 1;
}

/** 01:80:c2:00:00:00 to 0f. */
function isLinkLocal(mac: number): boolean {
  return mac >= 0x0180c2000000 && mac <= 0x0180c200000f;
}

// IPv4 fragments (RFC 791, 3.2): a datagram that is longer than a frame goes in pieces, and comes back together here, in whatever
// order they arrive. What comes from the wire can make nothing grow: so many datagrams at once, so many pieces of each, and
// half a minute. Pieces that overlap are nobody's honest work: their datagram is dropped. Used by stack.ts.

import { ETH, IP, type Ipv4, writeIpv4 } from "./packets.ts";

const MAX_DATAGRAMS = 16;
const MAX_PIECES = 128;
const MAX_BYTES = 65535 - IP;
const LIFE_NS = 30e9;

interface Partial {
  readonly sinceNs: number;
  readonly pieces: { readonly at: number; readonly bytes: Uint8Array }[];
  gotBytes: number;
  /** Of the whole payload; -1 while the last piece is missing. */
  totalBytes: number;
}

export class Reassembler {
  readonly #partial = new Map<string, Partial>();

  /**
   * Takes a fragment out of a frame. When it is the last that was missing: the whole packet as a frame of its own, with the
   * Ethernet header of the last.
   */
  take(ip: Ipv4, frame: Uint8Array, nowNs: number): Uint8Array<ArrayBuffer> | undefined {
    const key = `${ip.source} ${ip.target} ${ip.protocol} ${ip.id}`;
    const size = ip.to - ip.from;
    const end = ip.offset + size;
    const partial = this.#find(key, nowNs);
    const { pieces } = partial;
    const clash = pieces.some(({ at, bytes }) => ip.offset < at + bytes.length && at < end);
    const beyond = partial.totalBytes >= 0 && (!ip.more || end > partial.totalBytes);
    const odd = ip.more && size % 8 !== 0;
    if (clash || beyond || odd || size === 0 || end > MAX_BYTES || pieces.length === MAX_PIECES) {
      this.#partial.delete(key);
      return undefined;
    }
    pieces.push({ at: ip.offset, bytes: frame.slice(ip.from, ip.to) });
    partial.gotBytes += size;
    if (!ip.more) partial.totalBytes = end;
    if (partial.gotBytes !== partial.totalBytes) return undefined;
    this.#partial.delete(key);
    return assemble(ip, frame, partial);
  }

  #find(key: string, nowNs: number): Partial {
    for (const [other, { sinceNs }] of this.#partial) if (nowNs - sinceNs > LIFE_NS) this.#partial.delete(other);
    const known = this.#partial.get(key);
    if (known !== undefined) return known;
    const [oldest] = this.#partial.keys();
    if (this.#partial.size >= MAX_DATAGRAMS) this.#partial.delete(oldest);
    const partial: Partial = { sinceNs: nowNs, pieces: [], gotBytes: 0, totalBytes: -1 };
    this.#partial.set(key, partial);
    return partial;
  }
}

function assemble(ip: Ipv4, frame: Uint8Array, { pieces, totalBytes }: Partial): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(ETH + IP + totalBytes);
  const view = new DataView(whole.buffer);
  whole.set(frame.subarray(0, ETH));
  writeIpv4(view, ip.source, ip.target, ip.protocol, totalBytes);
  for (const { at, bytes } of pieces) whole.set(bytes, ETH + IP + at);
  return whole;
}

/** The pieces in which a payload goes, each fitting into `roomBytes` of a frame: where they begin and end. */
export function* piecesOf(payloadBytes: number, roomBytes: number): Generator<{ from: number; to: number }> {
  const step = roomBytes - (roomBytes % 8);
  for (let from = 0; from < payloadBytes; from += step) yield { from, to: Math.min(from + step, payloadBytes) };
}

// The Internet checksum (RFC 1071), and filling in the TCP or UDP checksum of an Ethernet frame whose sender left that to
// whoever carries it (public/io/netif.h, NETTXF_csum_blank). Used by dom0's bridge ports and by network stacks of TypeScript
// kernels. Headers that aren't IPv4 or IPv6 over Ethernet, or whose lengths lie, are left alone: false.

const ETH_HEADER = 14;
const TYPE_IPV4 = 0x0800;
const TYPE_IPV6 = 0x86dd;
const TYPE_VLAN = 0x8100;
const TCP = 6;
const UDP = 17;

/** The sum of the 16-bit words at `from` to `to`, added to `sum`; not folded. An odd last byte is a word's upper half. */
export function sum16(view: DataView, from: number, to: number, sum = 0): number {
  let at = from;
  for (; at + 1 < to; at += 2) sum += view.getUint16(at);
  if (at < to) sum += view.getUint8(at) << 8;
  return sum;
}

/** The complement of a folded sum: what a header's checksum field holds. */
export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return ~sum & 0xffff;
}

/** Where the transport header is, and what its checksum covers besides. */
interface Transport {
  readonly at: number;
  readonly end: number;
  readonly protocol: number;
  readonly pseudo: number;
}

/** Fills in the TCP or UDP checksum of the frame in the first `size` bytes of `view`. False when it has none. */
export function fillChecksum(view: DataView, size: number): boolean {
  const transport = findTransport(view, size);
  if (transport === undefined) return false;
  const { at, end, protocol, pseudo } = transport;
  const field = at + (protocol === TCP ? 16 : 6);
  if (field + 2 > end) return false;
  view.setUint16(field, 0);
  const sum = fold(sum16(view, at, end, pseudo));
  view.setUint16(field, sum === 0 && protocol === UDP ? 0xffff : sum);
  return true;
}

/** True when the frame has a TCP or UDP checksum, and it is right. */
export function checksumIsRight(view: DataView, size: number): boolean {
  const transport = findTransport(view, size);
  return transport !== undefined && fold(sum16(view, transport.at, transport.end, transport.pseudo)) === 0;
}

function findTransport(view: DataView, size: number): Transport | undefined {
  let at = ETH_HEADER;
  if (size < at) return undefined;
  let type = view.getUint16(12);
  if (type === TYPE_VLAN && size >= at + 4) {
    type = view.getUint16(at + 2);
    at += 4;
  }
  if (type === TYPE_IPV4) return transport4(view, at, size);
  if (type === TYPE_IPV6) return transport6(view, at, size);
  return undefined;
}

function transport4(view: DataView, at: number, size: number): Transport | undefined {
  if (at + 20 > size) return undefined;
  const header = (view.getUint8(at) & 15) * 4;
  const end = at + view.getUint16(at + 2);
  const protocol = view.getUint8(at + 9);
  const fragment = view.getUint16(at + 6) & 0x3fff;
  if (view.getUint8(at) >> 4 !== 4 || header < 20 || at + header > end || end > size) return undefined;
  if (fragment !== 0 || (protocol !== TCP && protocol !== UDP)) return undefined;
  const length = end - at - header;
  return { at: at + header, end, protocol, pseudo: sum16(view, at + 12, at + 20, protocol + length) };
}

/** Without extension headers: a sender that leaves the checksum to us has none here. */
function transport6(view: DataView, at: number, size: number): Transport | undefined {
  if (at + 40 > size) return undefined;
  const length = view.getUint16(at + 4);
  const end = at + 40 + length;
  const protocol = view.getUint8(at + 6);
  if (view.getUint8(at) >> 4 !== 6 || end > size || (protocol !== TCP && protocol !== UDP)) return undefined;
  return { at: at + 40, end, protocol, pseudo: sum16(view, at + 8, at + 40, protocol + length) };
}

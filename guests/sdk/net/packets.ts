// Packet forms of the small stack (stack.ts): Ethernet (RFC 894), ARP (RFC 826), IPv4 (RFC 791) without
// options, ICMP echo (RFC 792), UDP (RFC 768). Addresses of IPv4 are numbers, of Ethernet numbers too (48 bits). Everything
// read from the wire is checked against the frame's length before it is used.

import { checksumIsRight, fold, sum16 } from "../../../shared/checksum.ts";

export const ETH = 14;
export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const BROADCAST_MAC = 0xffffffffffff;
export const BROADCAST_IP = 0xffffffff;
export const IP = 20;
export const UDP = 8;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_UDP = 17;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;
const ARP_SIZE = 28;
/** Don't fragment; more fragments follow. */
const DF = 0x4000;
const MF = 0x2000;
const TTL = 64;

export function readMac(view: DataView, at: number): number {
  return view.getUint16(at) * 4294967296 + view.getUint32(at + 2);
}

export function writeMac(view: DataView, at: number, mac: number): void {
  view.setUint16(at, Math.floor(mac / 4294967296));
  view.setUint32(at + 2, mac >>> 0);
}

/** "10.0.2.15" as a number. Throws RangeError. */
export function parseIp(text: string): number {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || !parts.every((n) => Number.isInteger(n) && n >= 0 && n < 256))
    throw new RangeError(`${text} is no IPv4 address`);
  return ((parts[0] << 24) | (parts[1] << 16) | (parts[2] << 8) | parts[3]) >>> 0;
}

export function formatIp(ip: number): string {
  return [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join(".");
}

export function writeEth(view: DataView, target: number, source: number, type: number): void {
  writeMac(view, 0, target);
  writeMac(view, 6, source);
  view.setUint16(12, type);
}

export interface Arp {
  readonly op: number;
  readonly senderMac: number;
  readonly senderIp: number;
  readonly targetIp: number;
}

/** The ARP packet of a frame; undefined when it is none for IPv4 over Ethernet. */
export function readArp(view: DataView): Arp | undefined {
  if (view.byteLength < ETH + ARP_SIZE) return undefined;
  if (view.getUint32(ETH) !== 0x00010800 || view.getUint16(ETH + 4) !== 0x0604) return undefined;
  return {
    op: view.getUint16(ETH + 6),
    senderMac: readMac(view, ETH + 8),
    senderIp: view.getUint32(ETH + 14),
    targetIp: view.getUint32(ETH + 24),
  };
}

/** Writes a whole ARP frame; its size. */
export function writeArp(view: DataView, op: number, sender: Station, target: Station): number {
  writeEth(view, op === ARP_REQUEST ? BROADCAST_MAC : target.mac, sender.mac, TYPE_ARP);
  view.setUint32(ETH, 0x00010800);
  view.setUint16(ETH + 4, 0x0604);
  view.setUint16(ETH + 6, op);
  writeMac(view, ETH + 8, sender.mac);
  view.setUint32(ETH + 14, sender.ip);
  writeMac(view, ETH + 18, op === ARP_REQUEST ? 0 : target.mac);
  view.setUint32(ETH + 24, target.ip);
  return ETH + ARP_SIZE;
}

export interface Station {
  readonly mac: number;
  readonly ip: number;
}

export interface Ipv4 {
  readonly source: number;
  readonly target: number;
  readonly protocol: number;
  /** Of a fragment: which packet's it is, where in it, and whether more follow. `offset` 0 and no `more`: no fragment. */
  readonly id: number;
  readonly offset: number;
  readonly more: boolean;
  /** Where in the frame the payload lies. */
  readonly from: number;
  readonly to: number;
}

/** The IPv4 header of a frame; undefined when it is wrong or has a wrong checksum. */
export function readIpv4(view: DataView): Ipv4 | undefined {
  if (view.byteLength < ETH + IP || view.getUint8(ETH) >> 4 !== 4) return undefined;
  const header = (view.getUint8(ETH) & 15) * 4;
  const total = view.getUint16(ETH + 2);
  if (header < IP || total < header || ETH + total > view.byteLength) return undefined;
  if (fold(sum16(view, ETH, ETH + header)) !== 0) return undefined;
  const fragment = view.getUint16(ETH + 6);
  return {
    source: view.getUint32(ETH + 12),
    target: view.getUint32(ETH + 16),
    protocol: view.getUint8(ETH + 9),
    id: view.getUint16(ETH + 4),
    offset: (fragment & 0x1fff) * 8,
    more: (fragment & MF) !== 0,
    from: ETH + header,
    to: ETH + total,
  };
}

/** Writes an IPv4 header for `payload` bytes that follow it. */
export function writeIpv4(view: DataView, source: number, target: number, protocol: number, payload: number): void {
  view.setUint16(ETH, 0x4500);
  view.setUint16(ETH + 2, IP + payload);
  view.setUint16(ETH + 4, 0);
  view.setUint16(ETH + 6, DF);
  view.setUint8(ETH + 8, TTL);
  view.setUint8(ETH + 9, protocol);
  view.setUint16(ETH + 10, 0);
  view.setUint32(ETH + 12, source);
  view.setUint32(ETH + 16, target);
  view.setUint16(ETH + 10, fold(sum16(view, ETH, ETH + IP)));
}

/** Makes a fragment's header of one that writeIpv4 wrote: its packet's number, where in it, and whether more follow. */
export function markFragment(view: DataView, id: number, offset: number, more: boolean): void {
  view.setUint16(ETH + 4, id);
  view.setUint16(ETH + 6, offset / 8 + (more ? MF : 0));
  view.setUint16(ETH + 10, 0);
  view.setUint16(ETH + 10, fold(sum16(view, ETH, ETH + IP)));
}

export interface Udp {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly from: number;
  readonly to: number;
}

/** The UDP header of an IPv4 packet. `valid`: its checksum need not be looked at. */
export function readUdp(view: DataView, ip: Ipv4, valid: boolean): Udp | undefined {
  if (ip.to - ip.from < UDP) return undefined;
  const length = view.getUint16(ip.from + 4);
  if (length < UDP || ip.from + length > ip.to) return undefined;
  if (!valid && view.getUint16(ip.from + 6) !== 0 && !checksumIsRight(view, view.byteLength)) return undefined;
  return {
    sourcePort: view.getUint16(ip.from),
    targetPort: view.getUint16(ip.from + 2),
    from: ip.from + UDP,
    to: ip.from + length,
  };
}

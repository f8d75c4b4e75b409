// A network interface as xl-network-configuration(5) writes it: "mac=00:16:3e:01:02:03, bridge=xenbr0, rate=10Mb/s@50ms".
// `pcap=FILE`, a capture of its traffic, is an addition of ours. Called by domain_config.ts and by xl network-attach. What
// can't be had here is refused by name; hotplug scripts have nothing to do here, and are ignored with a warning.

import { ItemError } from "./errors.ts";

/** The interface that was asked for. */
export interface VifConfig {
  /** Lower case with colons; undefined: the toolstack chooses one. */
  readonly mac: string | undefined;
  readonly bridge: string;
  /** libxl's form: bytes in each interval, and the interval in microseconds. */
  readonly rate: { readonly bytesPerInterval: number; readonly intervalUs: number } | undefined;
  readonly vifname: string | undefined;
  readonly ip: string | undefined;
  readonly mtu: number;
  /** undefined: the next that is free. */
  readonly devid: number | undefined;
  readonly trusted: boolean;
  readonly pcap: string | undefined;
}

const DEFAULT_BRIDGE = "xenbr0";
const DEFAULT_MTU = 1500;
/** The least that IPv6 needs is 1280; IPv4 has 68. The most is a netif frame without its Ethernet header. */
const MIN_MTU = 68;
const MAX_MTU = 65521;
const DEFAULT_INTERVAL_US = 50_000;
const MAX_U32 = 0xffffffff;
const NAME = /^[A-Za-z0-9_.@-]{1,15}$/;

const wrong = (what: string): ItemError => new ItemError(what);

interface Draft {
  mac: string | undefined;
  bridge: string;
  rate: VifConfig["rate"];
  vifname: string | undefined;
  ip: string | undefined;
  mtu: number;
  devid: number | undefined;
  trusted: boolean;
  pcap: string | undefined;
}

/** `warn` gets a line for each thing that is ignored. Throws ItemError. */
export function parseVif(text: string, warn: (line: string) => void): VifConfig {
  const draft: Draft = {
    mac: undefined,
    bridge: DEFAULT_BRIDGE,
    rate: undefined,
    vifname: undefined,
    ip: undefined,
    mtu: DEFAULT_MTU,
    devid: undefined,
    trusted: true,
    pcap: undefined,
  };
  for (const part of text.split(",")) {
    const word = part.trim();
    if (word === "") continue;
    const equals = word.indexOf("=");
    if (equals > 0) setKey(draft, word.slice(0, equals), word.slice(equals + 1), warn);
    else if (word === "trusted" || word === "untrusted") draft.trusted = word === "trusted";
    else throw wrong(`unrecognized argument "${word}"`);
  }
  return draft;
}

function setKey(draft: Draft, key: string, value: string, warn: (line: string) => void): void {
  switch (key) {
    case "mac":
      draft.mac = address(value);
      return;
    case "bridge":
    case "vifname":
      if (!NAME.test(value))
        throw wrong(`${key} "${value}" is no name of an interface: 1 to 15 letters, digits, _ . @ -`);
      draft[key] = value;
      return;
    case "rate":
      draft.rate = parseRate(value);
      return;
    case "mtu":
      draft.mtu = wholeNumber(key, value, MIN_MTU, MAX_MTU);
      return;
    case "devid":
      draft.devid = wholeNumber(key, value, 0, 127);
      return;
    case "ip":
    case "pcap":
      if (value === "") throw wrong(`${key}= is empty`);
      draft[key] = value;
      return;
    case "type":
      if (value === "vif") return;
      throw wrong(`type=${value}: emulated interfaces are not for PV guests; use type=vif`);
    case "backend":
      if (value === "0" || value === "Domain-0") return;
      throw wrong(`backend=${value}: backends are in Domain-0 only`);
    case "script":
    case "gatewaydev":
    case "netdev":
    case "accel":
      warn(`vif: ${key}=${value} is ignored: there are no hotplug scripts here, bridges are dom0's own`);
      return;
    case "model":
      return; // Of an emulated interface: nothing for a PV guest, as with the real xl.
    default:
      throw wrong(`unrecognized argument "${key}=${value}"`);
  }
}

function address(text: string): string {
  const parts = text.toLowerCase().split(/[:-]/);
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-f]{1,2}$/.test(part)))
    throw wrong(`mac "${text}" is not six bytes, as in 00:16:3e:01:02:03`);
  const mac = parts.map((part) => part.padStart(2, "0")).join(":");
  if (Number.parseInt(parts[0], 16) & 1 || mac === "00:00:00:00:00:00")
    throw wrong(`mac "${text}" is not the address of one station`);
  return mac;
}

function wholeNumber(key: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw wrong(`${key}=${text} must be a number from ${min} to ${max}`);
  return value;
}

/** "10Mb/s@20ms": a rate in bits (b) or bytes (B) a second, and the interval at which credit is given. */
function parseRate(text: string): NonNullable<VifConfig["rate"]> {
  const [speed, interval, ...rest] = text.split("@");
  const parts = /^(\d+)([GMK]?)([Bb])\/s$/.exec(speed);
  if (parts === null || rest.length > 0) throw wrong(`invalid rate "${text}", as in 10Mb/s or 1MB/s@20ms`);
  const count = Number(parts[1]);
  if (count === 0 || count > MAX_U32) throw wrong(`rate overflow in "${text}"`);
  const scale = { "": 1, K: 1e3, M: 1e6, G: 1e9 }[parts[2] as "" | "K" | "M" | "G"];
  const bytesPerSecond = Math.floor((count * scale) / (parts[3] === "b" ? 8 : 1));
  const intervalUs = interval === undefined ? DEFAULT_INTERVAL_US : parseInterval(interval, text);
  // Not 0, which would be no limit at all.
  return { bytesPerInterval: Math.max(1, Math.floor((bytesPerSecond * intervalUs) / 1e6)), intervalUs };
}

function parseInterval(interval: string, text: string): number {
  const parts = /^(\d+)(s|ms|us|)$/.exec(interval);
  if (parts === null) throw wrong(`invalid replenishment interval in "${text}", as in @50ms`);
  const us = Number(parts[1]) * { "": 1e6, s: 1e6, ms: 1e3, us: 1 }[parts[2] as "" | "s" | "ms" | "us"];
  if (us === 0 || us > MAX_U32) throw wrong(`replenishment interval overflow in "${text}"`);
  return us;
}

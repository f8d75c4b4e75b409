// A disk as xl-disk-configuration(5) writes it: "/path/image,raw,xvda,rw", or "format=raw, vdev=xvda, access=rw, target=/path",
// or both ways mixed. And the device number that a name such as xvda1, hdb or d2p3 stands for (xen-vbd-interface(7)).
// Called by domain_config.ts and by xl block-attach. What can't be had here is refused by name.

import { ItemError } from "./errors.ts";

/** The disk that was asked for. */
export interface DiskConfig {
  /** A path for the host's files, as written, or with a prefix of dom0/host/files.ts: "ram:64M", "nbd:...". */
  readonly target: string;
  /** "xvda". */
  readonly vdev: string;
  readonly devid: number;
  readonly writable: boolean;
  readonly cdrom: boolean;
  readonly removable: boolean;
  readonly discard: boolean;
}

/** A mistake in a disk's text: `message` says which. */
export class DiskSyntaxError extends ItemError {}

const wrong = (what: string): DiskSyntaxError => new DiskSyntaxError(what);

/** Prefixes of old configurations that change nothing: `phy:/dev/sdb`. */
const OLD_PREFIX = /^(raw|phy|file|aio|tap2?|tapdisk|ioemu):(?=\/)/;
const FORMATS_ELSEWHERE = new Set(["qcow", "qcow2", "vhd", "qed", "vmdk"]);

class Draft {
  target: string | undefined = undefined;
  format: string | undefined = undefined;
  vdev: string | undefined = undefined;
  access: string | undefined = undefined;
  cdrom = false;
  removable = false;
  discard: boolean | undefined = undefined;

  set(name: "target" | "format" | "vdev" | "access", value: string): void {
    const old = this[name];
    if (old !== undefined && old !== "" && name !== "access")
      throw wrong(`${name} is given twice: ${old} and ${value}`);
    this[name] = value;
  }
}

/** Throws DiskSyntaxError. */
export function parseDisk(text: string): DiskConfig {
  const draft = new Draft();
  let rest = text.trimStart();
  while (rest !== "") {
    if (rest.startsWith("target=")) {
      draft.set("target", rest.slice(7).trimEnd());
      break;
    }
    const comma = rest.indexOf(",");
    const word = (comma < 0 ? rest : rest.slice(0, comma)).trim();
    rest = comma < 0 ? "" : rest.slice(comma + 1).trimStart();
    const equals = word.indexOf("=");
    if (equals > 0) setKey(draft, word.slice(0, equals), word.slice(equals + 1));
    else if (!setFlag(draft, word)) setPositional(draft, word);
  }
  return finish(draft);
}

function setKey(draft: Draft, key: string, value: string): void {
  switch (key) {
    case "format":
    case "vdev":
    case "access":
      draft.set(key, value);
      return;
    case "devtype":
      if (value !== "disk" && value !== "cdrom") throw wrong(`unknown value for devtype: ${value}; use disk or cdrom`);
      draft.cdrom = value === "cdrom";
      return;
    case "removable":
      draft.removable = value === "1";
      return;
    case "backendtype":
      // Both are served by the one backend that there is.
      if (value === "phy" || value === "qdisk") return;
      throw wrong(`backendtype ${value} is not supported; use phy`);
    case "backend":
      if (value === "0" || value === "Domain-0") return;
      throw wrong(`backend=${value}: backends are in Domain-0 only`);
    case "script":
      if (value === "block") return;
      throw wrong(`script=${value} is not supported; target= may name a file, a block device, ram:SIZE or nbd:ADDRESS`);
    case "specification":
      if (value === "xen") return;
      throw wrong(`specification=${value} is not supported; use xen`);
    default:
      throw wrong(`unknown parameter: ${key}=${value}`);
  }
}

function setFlag(draft: Draft, word: string): boolean {
  switch (word) {
    case "cdrom":
      draft.cdrom = true;
      return true;
    case "discard":
    case "no-discard":
      draft.discard = word === "discard";
      return true;
    case "direct-io-safe":
    case "trusted":
    case "untrusted":
      return true; // Nothing here depends on them.
    default:
      return false;
  }
}

function setPositional(draft: Draft, word: string): void {
  if (draft.target === undefined) {
    const prefix = OLD_PREFIX.exec(word)?.[0];
    draft.target = word.slice(prefix?.length ?? 0);
    if (prefix !== undefined) draft.format ??= "raw";
  } else if (draft.format === undefined) draft.format = word;
  else if (draft.vdev === undefined) {
    const [vdev, devtype] = word.split(":");
    draft.vdev = vdev;
    if (devtype !== undefined) setKey(draft, "devtype", devtype);
  } else if (draft.access === undefined) draft.access = word;
  else throw wrong(`too many positional parameters: ${word}`);
}

function finish(draft: Draft): DiskConfig {
  const format = draft.format || "raw";
  if (FORMATS_ELSEWHERE.has(format))
    throw wrong(`format=${format} is not supported; serve it by qemu-nbd and use target=nbd:unix:/path/of/socket`);
  if (format !== "raw" && format !== "empty") throw wrong(`unknown value for format: ${format}; use raw`);
  if (draft.vdev === undefined || draft.vdev === "") throw wrong("no vdev specified, as in vdev=xvda");
  const devid = deviceNumber(draft.vdev);
  if (devid === undefined) throw wrong(`Invalid or unsupported virtual disk identifier ${draft.vdev}`);
  if (format === "empty" || !draft.target)
    throw wrong(draft.cdrom ? "a drive without a medium is not supported" : "no target specified, as in target=/path");
  const access = draft.access ?? "";
  if (!["", "r", "ro", "w", "rw"].includes(access)) throw wrong(`unknown value for access: ${access}; use ro or rw`);
  const writable = !draft.cdrom && !access.startsWith("ro") && access !== "r";
  return {
    target: draft.target,
    vdev: draft.vdev,
    devid,
    writable,
    cdrom: draft.cdrom,
    removable: draft.cdrom || draft.removable,
    discard: draft.discard ?? writable,
  };
}

const XVD = 202;
const EXTENDED = 2 ** 28;

/** Undefined for a name that stands for nothing. A plain number stands for itself, as in xl block-detach. */
export function deviceNumber(name: string): number | undefined {
  if (/^(\d{1,9}|0x[0-9a-f]{1,8})$/i.test(name)) return Number(name);
  const named = /^(xvd|hd|sd)([a-z]{1,4})(\d{0,3})$/.exec(name);
  const plain = /^d(\d{1,7})(?:p(\d{1,3}))?$/.exec(name);
  const kind = named?.[1] ?? "xvd";
  const disk = named ? letters(named[2]) : plain ? Number(plain[1]) : Number.NaN;
  const partition = Number(named?.[3] || plain?.[2] || 0);
  if (kind === "hd")
    return disk < 4 && partition < 64 ? ((disk < 2 ? 3 : 22) << 8) | ((disk & 1) << 6) | partition : undefined;
  if (kind === "sd") return disk < 16 && partition < 16 ? (8 << 8) | (disk << 4) | partition : undefined;
  if (!(disk < 2 ** 20 && partition < 256)) return undefined;
  return disk < 16 && partition < 16 ? (XVD << 8) | (disk << 4) | partition : EXTENDED + disk * 256 + partition;
}

/** "a" is 0, "z" 25, "aa" 26. */
function letters(text: string): number {
  let n = 0;
  for (const c of text) n = n * 26 + (c.charCodeAt(0) - 96);
  return n - 1;
}

// What a toolstack writes to xenstore about dom0 and about each domain, in the field's paths, order and permissions
// (docs/misc/xenstore-paths.pandoc; libxl's order, as `xenstore-ls -f -p` shows it). Called by toolstack.ts. Left out:
// console/tty, as there are no pseudo-terminals here: `xl console` reaches the console daemon.

import { domainPath, type XsView } from "../xenstored/index.ts";
import type { DomainConfig } from "./config/index.ts";

export interface DomainFacts {
  readonly domid: number;
  readonly uuid: string;
  readonly config: DomainConfig;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
}

/** Where the guest's two rings are: frame numbers and event channels. */
export interface RingFacts {
  readonly domid: number;
  readonly storeFrame: number;
  readonly storePort: number;
  readonly consoleFrame: number;
  readonly consolePort: number;
}

const DOM0_STATIC_MAX_KIB = "17179869180"; // What libxl writes for a dom0 without a limit.
const CONSOLE_LIMIT_BYTES = "1048576";

export const vmPath = (uuid: string): string => `/vm/${uuid}`;
export const libxlPath = (domid: number): string => `/libxl/${domid}`;
const consoleBackend = (domid: number): string => `/local/domain/0/backend/console/${domid}/0`;

/** The store as it is before the first guest. */
export function writeDom0(view: XsView, memoryKiB: number): void {
  for (const path of ["/tool", "/tool/xenstored", "/local", "/local/domain", "/local/domain/0"]) view.write(path, "");
  for (const feature of ["poweroff", "reboot", "suspend"])
    view.write(`/local/domain/0/control/feature-${feature}`, "1");
  view.write("/local/domain/0/domid", "0");
  view.write("/local/domain/0/name", "Domain-0");
  view.write("/local/domain/0/memory/target", String(memoryKiB));
  view.write("/local/domain/0/memory/static-max", DOM0_STATIC_MAX_KIB);
  view.write("/local/pool/0/name", "Pool-0");
  view.write("/vm", "");
  view.write("/libxl", "");
}

/** A domain that has an id but no memory yet. */
export function writeDomain(view: XsView, { domid, uuid, config, startedMs }: DomainFacts): void {
  const base = domainPath(domid);
  const ro = [`n0`, `r${domid}`]; // The toolstack's, which the guest may read.
  const rw = [`n${domid}`]; // The guest's own.
  const readOnly = (path: string, value: string): void => view.write(`${base}/${path}`, value, ro);
  view.write(base, "", ro);
  const vm = vmPath(uuid);
  view.write(vm, "", ro);
  readOnly("vm", vm);
  readOnly("name", config.name);
  view.write(`${vm}/name`, config.name, ro);
  view.write(`${vm}/uuid`, uuid, ro);
  readOnly("cpu", "");
  for (let i = 0; i < config.maxVcpus; i++) {
    readOnly(`cpu/${i}`, "");
    readOnly(`cpu/${i}/availability`, i < config.vcpus ? "online" : "offline");
  }
  readOnly("memory", "");
  readOnly("memory/static-max", String(config.maxmemMiB * 1024));
  readOnly("memory/target", String(config.memoryMiB * 1024));
  readOnly("memory/videoram", "0");
  readOnly("device", "");
  readOnly("device/suspend", "");
  view.write(`${base}/device/suspend/event-channel`, "", rw);
  readOnly("control", "");
  for (const name of ["shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"])
    view.write(`${base}/control/${name}`, "", rw);
  readOnly("control/platform-feature-multiprocessor-suspend", "1");
  readOnly("control/platform-feature-xs_reset_watches", "1");
  for (const name of ["data", "drivers", "feature", "attr", "error"]) view.write(`${base}/${name}`, "", rw);
  readOnly("domid", String(domid));
  writeImage(view, vm, ro, config, startedMs);
  view.write(`${libxlPath(domid)}/type`, "pv");
  view.write(`${libxlPath(domid)}/dm-version`, "qemu_xen");
}

function writeImage(view: XsView, vm: string, ro: string[], config: DomainConfig, startedMs: number): void {
  view.write(`${vm}/image`, "", ro);
  view.write(`${vm}/image/ostype`, "linux", ro);
  view.write(`${vm}/image/kernel`, config.kernel, ro);
  if (config.ramdisk !== undefined) view.write(`${vm}/image/ramdisk`, config.ramdisk, ro);
  view.write(`${vm}/image/cmdline`, config.cmdline, ro);
  view.write(`${vm}/start_time`, (startedMs / 1000).toFixed(2), ro);
}

/** A domain whose rings exist: just before it is introduced. */
export function writeRings(view: XsView, rings: RingFacts): void {
  const { domid } = rings;
  const base = domainPath(domid);
  const ro = [`n0`, `r${domid}`];
  view.write(`${base}/store`, "", ro);
  view.write(`${base}/store/port`, String(rings.storePort), ro);
  view.write(`${base}/store/ring-ref`, String(rings.storeFrame), ro);

  const device = `${libxlPath(domid)}/device/console/0`;
  const backend = consoleBackend(domid);
  view.write(`${base}/console`, "", ro);
  view.write(`/local/domain/0/backend/console/${domid}`, "");
  view.write(backend, "", ro);
  for (const [path, perms] of [
    [device, undefined],
    [backend, ro],
  ] as const) {
    view.write(`${path}/frontend`, `${base}/console`, perms);
    if (path === device) view.write(`${path}/backend`, backend);
    view.write(`${path}/frontend-id`, String(domid), perms);
    view.write(`${path}/online`, "1", perms);
    view.write(`${path}/state`, "1", perms);
    view.write(`${path}/protocol`, "vt100", perms);
  }
  view.write(`${base}/console/backend`, backend, ro);
  view.write(`${base}/console/backend-id`, "0", [`n${domid}`, "r0"]);
  view.write(`${base}/console/limit`, CONSOLE_LIMIT_BYTES, ro);
  view.write(`${base}/console/type`, "xenconsoled", ro);
  view.write(`${base}/console/output`, "pty", ro);
  view.write(`${base}/console/port`, String(rings.consolePort), ro);
  view.write(`${base}/console/ring-ref`, String(rings.consoleFrame), ro);
}

/** Takes away all that the functions above wrote about a domain. */
export function removeDomain(view: XsView, domid: number, uuid: string): void {
  view.remove(`/local/domain/0/backend/console/${domid}`);
  view.remove(domainPath(domid));
  view.remove(libxlPath(domid));
  view.remove(vmPath(uuid));
}

/** Gives a domain another name. */
export function renameDomain(view: XsView, domid: number, uuid: string, name: string): void {
  const ro = [`n0`, `r${domid}`];
  view.write(`${domainPath(domid)}/name`, name, ro);
  view.write(`${vmPath(uuid)}/name`, name, ro);
}

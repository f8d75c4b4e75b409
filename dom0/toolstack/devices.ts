// Adding and removing a guest's devices in xenstore, as libxl lays them out: the frontend's folder in the guest's home, the
// backend's in dom0's, and a record of both below /libxl. What is special to disks is in disks.ts. Used by toolstack.ts.

import type { Task } from "../../guests/sdk/index.ts";
import type { DomId } from "../../shared/brand.ts";
import { type Backends, DeviceError } from "../backends/index.ts";
import { domainPath, type XsClient, type XsView } from "../xenstored/index.ts";
import { ToolstackError } from "./errors.ts";

/** Nodes of a folder in the order in which they are written. */
export type NodeList = readonly (readonly [name: string, value: string])[];

export interface NewDevice {
  readonly domid: DomId;
  /** "vbd". */
  readonly kind: string;
  readonly devid: number;
  readonly back: NodeList;
  readonly front: NodeList;
}

export const frontendPath = (domid: number, kind: string, devid: number): string =>
  `${domainPath(domid)}/device/${kind}/${devid}`;
export const backendPath = (domid: number, kind: string, devid: number): string =>
  `/local/domain/0/backend/${kind}/${domid}/${devid}`;
const recordPath = (domid: number, kind: string, devid: number): string => `/libxl/${domid}/device/${kind}/${devid}`;

/** Whether the domain has such a device. */
export function hasDevice(view: XsView, domid: number, kind: string, devid: number): boolean {
  return view.read(recordPath(domid, kind, devid)) !== undefined;
}

/** A number that the frontend, which may write anything there, has told in one of its nodes; -1 for none. */
export function frontNumber(view: XsView, domid: number, kind: string, devid: number, name: string): number {
  const text = view.read(`${frontendPath(domid, kind, devid)}/${name}`);
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : -1;
}

/** Numbers of the domain's devices of a kind. */
export function deviceIds(view: XsView, domid: number, kind: string): number[] {
  return (view.directory(`/libxl/${domid}/device/${kind}`) ?? []).map(Number).sort((a, b) => a - b);
}

export function addDevice(view: XsView, { domid, kind, devid, back, front }: NewDevice): void {
  const frontend = frontendPath(domid, kind, devid);
  const backend = backendPath(domid, kind, devid);
  const record = recordPath(domid, kind, devid);
  const guests = [`n${domid}`, "r0"];
  const dom0s = ["n0", `r${domid}`];
  view.remove(record);
  view.write(record, "");
  view.write(`${record}/frontend`, frontend);
  view.write(`${record}/backend`, backend);
  view.remove(frontend);
  view.write(frontend, "", guests);
  view.write(`${frontend}/backend`, backend, guests);
  for (const [name, value] of front) view.write(`${frontend}/${name}`, value, guests);
  view.remove(backend);
  view.write(backend, "", dom0s);
  view.write(`${backend}/frontend`, frontend, dom0s);
  for (const [name, value] of back) {
    view.write(`${backend}/${name}`, value, dom0s);
    view.write(`${record}/${name}`, value);
  }
}

/** Waits for the backend of a device that was just added. Throws ToolstackError; then, and when cancelled, nothing of it is left. */
export function* startDevice(
  xs: XsClient,
  backends: Backends,
  { domid, kind, devid }: Pick<NewDevice, "domid" | "kind" | "devid">,
  what: string,
): Task {
  let there = false;
  try {
    yield* backends.ready(kind, domid, devid);
    there = true;
  } catch (error) {
    throw error instanceof DeviceError ? new ToolstackError(`${what}: ${error.message}`) : error;
  } finally {
    if (!there) {
      yield* backends.detach(kind, domid, devid, true);
      xs.transaction((view) => removeDevice(view, domid, kind, devid));
    }
  }
}

/** Takes all of a device's nodes away, and folders that are empty then. */
export function removeDevice(view: XsView, domid: number, kind: string, devid: number): void {
  const folders = [
    [recordPath(domid, kind, devid), 2],
    [frontendPath(domid, kind, devid), 1],
    [backendPath(domid, kind, devid), 1],
    [`/local/domain/0/error/backend/${kind}/${domid}/${devid}`, 4],
  ] as const;
  for (const [path, parents] of folders) {
    if (view.read(path) === undefined) continue;
    view.remove(path);
    let above = path;
    for (let i = 0; i < parents; i++) {
      above = above.slice(0, above.lastIndexOf("/"));
      if (view.directory(above)?.length !== 0) break;
      view.remove(above);
    }
  }
}

/** Takes away what is left of a domain's devices outside of its own folders. */
export function removeBackends(view: XsView, domid: number, kinds: readonly string[]): void {
  for (const kind of kinds) {
    const above = `/local/domain/0/backend/${kind}`;
    for (const devid of view.directory(`${above}/${domid}`) ?? []) removeDevice(view, domid, kind, Number(devid));
    view.remove(`${above}/${domid}`);
  }
}

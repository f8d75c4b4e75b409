// What several commands need of domains: finding one by the name or number that a person typed, with the real xl's words when there
// is none, and the facts for the tables (tables.ts). Called by the commands in this folder.

import { SHUTDOWN_crash } from "../../shared/abi/sched.ts";
import type { DomId } from "../../shared/brand.ts";
import { formatUuid } from "../toolstack/uuid.ts";
import type { DomainInfo } from "../toolstack/xc.ts";
import { CommandError, type XlContext } from "./context.ts";
import type { ListRow } from "./tables.ts";

/** The domain of that name or number. Throws CommandError with xl's own words. */
export function findDomain({ toolstack }: XlContext, nameOrId: string): DomId {
  const domid = toolstack.find(nameOrId);
  if (domid === undefined) throw new CommandError(`${nameOrId} is an invalid domain identifier (rc=-6)`);
  return domid;
}

/** As findDomain, but not dom0, which nobody here may end or stop. */
export function findGuest(context: XlContext, nameOrId: string, doing: string): DomId {
  const domid = findDomain(context, nameOrId);
  if (domid === 0) throw new CommandError(`Domain 0 can't be ${doing}: it is the machine's own.`);
  return domid;
}

/** Infos of the named domains, or of all. */
export function infosOf(context: XlContext, names: readonly string[]): DomainInfo[] {
  const all = context.toolstack.xc.domains();
  if (names.length === 0) return all;
  return names.map((name) => {
    const domid = findDomain(context, name);
    return all.find((info) => info.domid === domid)!;
  });
}

export function nameOf({ toolstack }: XlContext, domid: number): string {
  return toolstack.nameOf(domid) ?? "(null)";
}

export function listRow(context: XlContext, info: DomainInfo): ListRow {
  return {
    name: nameOf(context, info.domid),
    domid: info.domid,
    memoryMiB: Math.floor(info.totPages / 256),
    vcpus: info.onlineVcpus,
    running: info.running,
    blocked: info.blocked,
    paused: info.paused,
    shutdown: info.shutdown,
    crashed: info.shutdown && info.shutdownReason === SHUTDOWN_crash,
    dying: info.dying,
    seconds: info.cpuTimeNs / 1e9,
    uuid: formatUuid(info.handle),
    shutdownReason: info.shutdownReason,
  };
}

// Who may do what with a node (docs/misc/xenstore.txt): the first entry names the owner, who may do everything, and what
// everybody without an entry may do; the others give single domains their rights. Privileged connections may do all.

import { XsError } from "./errors.ts";

export const READ = 1;
export const WRITE = 2;
export const OWNER = 4;

export interface Permission {
  readonly domid: number;
  /** READ and WRITE bits. */
  readonly rights: number;
}

/** The owner first; never empty. */
export type Permissions = readonly Permission[];

/** Who asks: a domain, perhaps privileged, perhaps with the rights of another (SET_TARGET). */
export interface Identity {
  readonly domid: number;
  readonly privileged: boolean;
  readonly target: number | undefined;
}

const LETTERS = ["n", "r", "w", "b"];

export function parsePermission(text: string): Permission {
  const match = /^([nrwb])(\d{1,5})$/.exec(text);
  if (!match || Number(match[2]) > 0xffff) throw new XsError("EINVAL", `permission ${text.slice(0, 20)}`);
  return { domid: Number(match[2]), rights: LETTERS.indexOf(match[1]) };
}

export const formatPermission = (p: Permission): string => `${LETTERS[p.rights]}${p.domid}`;

/** What `who` may do with a node of these permissions. */
export function rightsOf(who: Identity, perms: Permissions): number {
  if (who.privileged) return READ | WRITE | OWNER;
  const is = (domid: number): boolean => domid === who.domid || domid === who.target;
  if (is(perms[0].domid)) return READ | WRITE | OWNER;
  return (perms.slice(1).find((p) => is(p.domid)) ?? perms[0]).rights;
}

export const allows = (who: Identity, perms: Permissions, needed: number): boolean =>
  (rightsOf(who, perms) & needed) === needed;

/** The same without what was given to `domid`. */
export function withoutGrant(perms: Permissions, domid: number): Permissions {
  return perms.some((p, i) => i > 0 && p.domid === domid)
    ? perms.filter((p, i) => i === 0 || p.domid !== domid)
    : perms;
}

/** What a node made by `who` below a node of permissions `parent` gets: the parent's, but a guest owns what it makes. */
export function inherited(who: Identity, parent: Permissions): Permissions {
  if (who.privileged) return parent;
  return [{ domid: who.domid, rights: parent[0].rights }, ...parent.slice(1)];
}

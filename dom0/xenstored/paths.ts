// Xenstore paths (docs/misc/xenstore.txt): which are valid, relative ones, parents and children. Everything in xenstored
// that takes a path from a client passes it through here first. Strings are byte strings: one character, one byte.

import { XENSTORE_REL_PATH_MAX } from "../../shared/abi/io/xs_wire.ts";
import { XsError } from "./errors.ts";

/** The path that relative ones of a domain start from. */
export const domainPath = (domid: number): string => `/local/domain/${domid}`;

/** An absolute path of the store's tree. Throws EINVAL. `domid` is the caller. */
export function absolutePath(path: string, domid: number): string {
  if (path.startsWith("/")) {
    const home = /^\/local\/domain\/\d{1,5}\//.exec(path)?.[0].length ?? 0;
    if (path.length > home + XENSTORE_REL_PATH_MAX || !wellFormed(path)) throw new XsError("EINVAL", path.slice(0, 80));
    return path;
  }
  if (path === "" || isSpecial(path) || path.length > XENSTORE_REL_PATH_MAX || !wellFormed(`/${path}`))
    throw new XsError("EINVAL", path.slice(0, 80));
  return `${domainPath(domid)}/${path}`;
}

/** Letters, digits and -/_@, no empty component, no slash at the end but for the root. */
function wellFormed(path: string): boolean {
  return path === "/" || /^(\/[A-Za-z0-9\-_@]+)+$/.test(path);
}

/** True for the names of events that are not paths: `@introduceDomain` and the like. */
export const isSpecial = (path: string): boolean => path.startsWith("@");

/** The name of an event, as far as it can be one: some exist elsewhere only, and never come. Throws EINVAL. */
export function specialName(name: string): string {
  if (name.length > XENSTORE_REL_PATH_MAX) throw new XsError("EINVAL", name.slice(0, 80));
  return name;
}

/** Names of the special events that xenstored makes. */
export const INTRODUCE_DOMAIN = "@introduceDomain";
export const RELEASE_DOMAIN = "@releaseDomain";

/** Components of an absolute path; none for the root. */
export const components = (path: string): string[] => (path === "/" ? [] : path.slice(1).split("/"));

/** The path above; the root's is the root. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

export const childPath = (path: string, name: string): string => (path === "/" ? `/${name}` : `${path}/${name}`);

/** True when `path` is `ancestor` or lies below it. Special names are below nothing but themselves. */
export function isWithin(path: string, ancestor: string): boolean {
  if (path === ancestor) return true;
  if (isSpecial(path) || isSpecial(ancestor)) return false;
  return ancestor === "/" || path.startsWith(`${ancestor}/`);
}

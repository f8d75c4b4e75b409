// Watches: who wants to hear of which paths, and the events that they get. A change at a path is told to each watch on the
// path itself or above it, if the watcher can read the node or the one above it, or could before; a removal also to watches
// on what went with it. The special events @introduceDomain and @releaseDomain go to privileged watchers and to those that
// dom0 allowed.

import type { Change, StoreNode } from "./draft.ts";
import { XsError } from "./errors.ts";
import { XsLimits } from "./limits.ts";
import { absolutePath, components, isSpecial, isWithin, specialName } from "./paths.ts";
import { allows, type Identity, type Permissions, READ } from "./permissions.ts";
import { permissionsAt } from "./store.ts";

/** Whoever watches: its identity, and where its events go. */
export interface Watcher extends Identity {
  /** Delivers one event; the path is relative if the watch's was. */
  event(path: string, token: string): void;
}

interface Watch {
  readonly watcher: Watcher;
  /** As given. */
  readonly path: string;
  readonly token: string;
  readonly absolute: string;
  /** Characters to cut from an absolute path to make it relative, 0 for an absolute watch. */
  readonly cut: number;
}

export class Watches {
  /** By absolute path, each list in the order of registration. */
  readonly #byPath = new Map<string, Watch[]>();
  readonly #counts = new Map<Watcher, number>();
  readonly #specialPerms: (name: string) => Permissions;

  constructor(specialPerms: (name: string) => Permissions) {
    this.#specialPerms = specialPerms;
  }

  /** Registers, and tells the watcher once at once. Throws EINVAL, EEXIST, E2BIG. */
  add(watcher: Watcher, path: string, token: string): void {
    const absolute = isSpecial(path) ? specialName(path) : absolutePath(path, watcher.domid);
    const list = this.#byPath.get(absolute) ?? [];
    if (list.some((w) => w.watcher === watcher && w.token === token)) throw new XsError("EEXIST", path);
    const count = this.#counts.get(watcher) ?? 0;
    if (!watcher.privileged && count >= XsLimits.watches) throw new XsError("E2BIG", path);
    list.push({ watcher, path, token, absolute, cut: absolute.length - path.length });
    this.#byPath.set(absolute, list);
    this.#counts.set(watcher, count + 1);
    watcher.event(path, token);
  }

  /** Throws EINVAL, ENOENT. */
  remove(watcher: Watcher, path: string, token: string): void {
    const absolute = isSpecial(path) ? path : absolutePath(path, watcher.domid);
    const list = this.#byPath.get(absolute) ?? [];
    const index = list.findIndex((w) => w.watcher === watcher && w.token === token);
    if (index < 0) throw new XsError("ENOENT", path);
    list.splice(index, 1);
    if (list.length === 0) this.#byPath.delete(absolute);
    this.#counts.set(watcher, this.#counts.get(watcher)! - 1);
  }

  /** Removes all watches of one watcher. */
  removeAll(watcher: Watcher): void {
    if (!this.#counts.delete(watcher)) return;
    for (const [path, list] of this.#byPath) {
      const rest = list.filter((w) => w.watcher !== watcher);
      if (rest.length === 0) this.#byPath.delete(path);
      else if (rest.length < list.length) this.#byPath.set(path, rest);
    }
  }

  count(watcher: Watcher): number {
    return this.#counts.get(watcher) ?? 0;
  }

  /** Tells the watchers of changes that came into force. */
  fire(changes: readonly Change[], before: StoreNode, after: StoreNode): void {
    for (const change of changes) {
      // Most changes nobody hears of, and a guest can make a thousand of them, deep in the tree, by one request.
      const watches = this.#matching(change);
      if (watches.length === 0) continue;
      const names = components(change.path);
      const above = names.slice(0, -1); // Who may read that knows by its list of children anyhow.
      const perms = [before, after].flatMap((root) => [permissionsAt(root, names), permissionsAt(root, above)]);
      const mayRead = (who: Identity): boolean => perms.some((p) => p !== undefined && allows(who, p, READ));
      const told = new Map<Watcher, boolean>();
      for (const watch of watches) {
        const { watcher } = watch;
        const readable = told.get(watcher) ?? mayRead(watcher);
        told.set(watcher, readable);
        if (readable) this.#tell(watch, change.path);
      }
    }
  }

  /** A special event. */
  fireSpecial(name: string): void {
    const perms = this.#specialPerms(name);
    for (const watch of [...(this.#byPath.get(name) ?? [])])
      if (allows(watch.watcher, perms, READ)) watch.watcher.event(name, watch.token);
  }

  #matching(change: Change): Watch[] {
    if (this.#byPath.size === 0) return [];
    if (change.exact) return [...(this.#byPath.get(change.path) ?? [])];
    const found: Watch[] = [...(this.#byPath.get("/") ?? [])];
    if (change.path === "/") return found;
    for (let end = change.path.indexOf("/", 1); ; end = change.path.indexOf("/", end + 1)) {
      const path = end < 0 ? change.path : change.path.slice(0, end);
      found.push(...(this.#byPath.get(path) ?? []));
      if (end < 0) return found;
    }
  }

  #tell(watch: Watch, path: string): void {
    if (!isWithin(path, watch.absolute)) throw new Error(`event ${path} is not below ${watch.absolute}`);
    watch.watcher.event(watch.cut > 0 ? path.slice(watch.cut) : path, watch.token);
  }
}

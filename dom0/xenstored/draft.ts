// Reading and changing the store: one draft is one set of changes on top of a root, for a single request or for a whole
// transaction. It checks rights and quotas, records what was looked at (a conflict is a change to any of it) and what was
// changed (for watches). Made by store.ts, which also decides whether a draft becomes the store.

import { XsError, type XsErrorCode } from "./errors.ts";
import { XsLimits } from "./limits.ts";
import { childPath, components, parentPath } from "./paths.ts";
import { allows, type Identity, inherited, OWNER, type Permissions, READ, WRITE, withoutGrant } from "./permissions.ts";
import { depthOf, find, type Node, replace, walk } from "./tree.ts";

export type StoreNode = Node<Permissions>;

/** A change, for watches: at `path`, and for a removal at each node that went with it (`exact`: only watches right there). */
export interface Change {
  readonly path: string;
  readonly exact: boolean;
}

/** How many nodes each domain owns. */
export type NodeCounts = Map<number, number>;

/** Generation recorded for a path at which there was nothing. */
const ABSENT = -1;

/** Somebody asked for a path at which there was nothing: why it was refused is decided by the nearest node above. */
interface Refused {
  readonly who: Identity;
  readonly path: string;
  readonly rights: number;
}

export class Draft {
  root: StoreNode;
  /** The root that it started from. */
  readonly base: StoreNode;
  readonly changes: Change[] = [];
  /** Paths looked at, with the generation that they had in `base`. */
  readonly touched = new Map<string, number>();
  readonly refused = new Map<string, Refused>();
  readonly #counts: NodeCounts;
  /** Differences to the counts. */
  readonly counted: NodeCounts = new Map();
  readonly #nextGeneration: () => number;
  readonly #isDomain: (domid: number) => boolean;
  readonly #inTransaction: boolean;
  /** Bytes that a guest's transaction has us keep. */
  #bytes = 0;

  constructor(
    root: StoreNode,
    counts: NodeCounts,
    nextGeneration: () => number,
    isDomain: (domid: number) => boolean,
    inTransaction: boolean,
  ) {
    this.base = root;
    this.root = root;
    this.#counts = counts;
    this.#nextGeneration = nextGeneration;
    this.#isDomain = isDomain;
    this.#inTransaction = inTransaction;
  }

  /** The node, readable by `who`. Throws ENOENT, EACCES. */
  readable(who: Identity, path: string): StoreNode {
    return this.#get(who, path, READ);
  }

  /** The children's names. */
  directory(who: Identity, path: string): string[] {
    return [...this.readable(who, path).children.keys()];
  }

  /** Sets the value, making what is missing. Throws EACCES, ENOSPC. */
  write(who: Identity, path: string, value: string): void {
    if (!who.privileged && value.length > XsLimits.nodeSize) throw new XsError("ENOSPC", path);
    this.#keep(who, path, path.length + value.length);
    const node = this.#lookUp(who, path);
    if (node === undefined) this.#create(who, path, value);
    else {
      if (!allows(who, node.perms, WRITE)) throw new XsError("EACCES", path);
      this.#put(path, { ...node, value, generation: this.#nextGeneration() });
    }
    this.changes.push({ path, exact: false });
  }

  /** Makes the node and its parents where missing; leaves what is there. Throws EACCES, ENOSPC. */
  mkdir(who: Identity, path: string): void {
    const node = this.#lookUp(who, path);
    if (node !== undefined) {
      if (!allows(who, node.perms, WRITE)) throw new XsError("EACCES", path);
      return;
    }
    this.#create(who, path, "");
    this.changes.push({ path, exact: false });
  }

  /** Removes the node and all below. Throws EINVAL for the root, EACCES, ENOENT when the parent isn't there either. */
  remove(who: Identity, path: string): void {
    if (path === "/") throw new XsError("EINVAL", "the root can't be removed");
    const node = this.#lookUp(who, path);
    if (node === undefined) {
      // Who may not remove anything there isn't told whether there was something.
      const why = this.#refusal(who, path, WRITE);
      if (why === "EACCES" || this.#lookUp(who, parentPath(path)) === undefined) throw new XsError(why, path);
      return;
    }
    if (!allows(who, node.perms, WRITE)) throw new XsError("EACCES", path);
    this.#touch(who, parentPath(path));
    this.changes.push({ path, exact: false });
    walk(node, path, (at, gone) => {
      this.#touch(who, at);
      this.#count(gone.perms[0].domid, -1);
      if (at !== path) this.changes.push({ path: at, exact: true });
    });
    this.root = replace(this.root, components(path), undefined, this.#nextGeneration());
  }

  /** The permissions, readable by `who`. */
  permissions(who: Identity, path: string): Permissions {
    return this.readable(who, path).perms;
  }

  /** Throws EACCES for others than the owner, EPERM when a guest would give the node away, ENOSPC. */
  setPermissions(who: Identity, path: string, given: Permissions): void {
    const node = this.#get(who, path, WRITE | OWNER);
    let perms = given;
    if (!who.privileged) {
      if (perms.length > XsLimits.perms) throw new XsError("ENOSPC", path);
      if (perms[0].domid !== node.perms[0].domid) throw new XsError("EPERM", path);
      // Rights for a number that nobody has would be for whoever gets it. The toolstack gives them before a domain is there.
      for (const { domid } of given) if (!this.#isDomain(domid)) perms = withoutGrant(perms, domid);
    }
    this.#keep(who, path, path.length);
    this.#count(node.perms[0].domid, -1);
    this.#count(perms[0].domid, 1);
    this.#put(path, { ...node, perms, generation: this.#nextGeneration() });
    this.changes.push({ path, exact: false });
  }

  /** Nodes owned by `domid` as this draft has it. */
  nodesOf(domid: number): number {
    return (this.#counts.get(domid) ?? 0) + (this.counted.get(domid) ?? 0);
  }

  #get(who: Identity, path: string, rights: number): StoreNode {
    const node = this.#lookUp(who, path);
    if (node === undefined) throw new XsError(this.#refusal(who, path, rights), path);
    if (!allows(who, node.perms, rights)) throw new XsError("EACCES", path);
    return node;
  }

  /** Why there is nothing for `who` at a path where there is nothing; remembered. */
  #refusal(who: Identity, path: string, rights: number): XsErrorCode {
    if (this.#inTransaction) {
      const key = `${rights} ${path}`;
      if (!this.refused.has(key)) this.#keep(who, path, path.length);
      this.refused.set(key, { who, path, rights });
    }
    return refusal(this.root, who, path, rights);
  }

  /** Makes `path` and its missing parents, the last with `value`. */
  #create(who: Identity, path: string, value: string): void {
    const names = components(path);
    const above = nearest(this.root, path);
    const parent = find(this.root, above)!;
    this.#touch(who, above.length === 0 ? "/" : `/${above.join("/")}`);
    if (!allows(who, parent.perms, WRITE)) throw new XsError("EACCES", path);
    const missing = names.length - above.length;
    const perms = inherited(who, parent.perms);
    if (!who.privileged && this.nodesOf(who.domid) + missing > XsLimits.nodes) throw new XsError("ENOSPC", path);
    let node: StoreNode = { value, perms, children: new Map(), generation: this.#nextGeneration() };
    for (let i = names.length - 1; i > above.length; i--) {
      if (this.#inTransaction) this.#touch(who, `/${names.slice(0, i).join("/")}`);
      node = { value: "", perms, children: new Map([[names[i], node]]), generation: this.#nextGeneration() };
    }
    this.#count(perms[0].domid, missing);
    this.root = replace(this.root, [...above, names[above.length]], node, this.#nextGeneration());
  }

  #lookUp(who: Identity, path: string): StoreNode | undefined {
    this.#touch(who, path);
    return find(this.root, components(path));
  }

  /** Remembers what was looked at. Throws ENOSPC for a guest whose transaction looks at more than it may. */
  #touch(who: Identity, path: string): void {
    if (!this.#inTransaction || this.touched.has(path)) return;
    if (!who.privileged && this.touched.size >= XsLimits.transactionNodes) throw new XsError("ENOSPC", path);
    this.#keep(who, path, path.length);
    this.touched.set(path, find(this.base, components(path))?.generation ?? ABSENT);
  }

  /** Counts what stays until the transaction's end. Throws ENOSPC. */
  #keep(who: Identity, path: string, bytes: number): void {
    if (who.privileged || !this.#inTransaction) return;
    if (this.#bytes + bytes > XsLimits.transactionBytes) throw new XsError("ENOSPC", path);
    this.#bytes += bytes;
  }

  #put(path: string, node: StoreNode): void {
    this.root = replace(this.root, components(path), node, node.generation);
  }

  #count(domid: number, by: number): void {
    this.counted.set(domid, (this.counted.get(domid) ?? 0) + by);
  }
}

/** True when something that `draft` looked at is different under `root`. */
export function conflicts(draft: Draft, root: StoreNode): boolean {
  if (draft.base === root) return false;
  for (const [path, generation] of draft.touched)
    if ((find(root, components(path))?.generation ?? ABSENT) !== generation) return true;
  for (const { who, path, rights } of draft.refused.values())
    if (refusal(root, who, path, rights) !== refusal(draft.base, who, path, rights)) return true;
  return false;
}

function nearest(root: StoreNode, path: string): string[] {
  const names = components(path);
  return names.slice(0, depthOf(root, names));
}

/** Why nothing is to be had at `path`: who may not look into the nearest node above doesn't learn what is missing there. */
function refusal(root: StoreNode, who: Identity, path: string, rights: number): XsErrorCode {
  const above = find(root, nearest(root, path))!;
  return allows(who, above.perms, rights & (READ | WRITE)) ? "ENOENT" : "EACCES";
}

/** The tree without any right that its nodes' owners gave to `domid`. */
export function withoutGrants(node: StoreNode, domid: number): StoreNode {
  let children: Map<string, StoreNode> | undefined;
  for (const [name, child] of node.children) {
    const changed = withoutGrants(child, domid);
    if (changed === child) continue;
    children ??= new Map(node.children);
    children.set(name, changed);
  }
  const perms = withoutGrant(node.perms, domid);
  if (children === undefined && perms === node.perms) return node;
  return { ...node, perms, children: children ?? node.children };
}

/** Paths of the topmost nodes below `path` that belong to `domid`. */
export function ownedBy(node: StoreNode, path: string, domid: number): string[] {
  if (node.perms[0].domid === domid && path !== "/") return [path];
  return [...node.children].flatMap(([name, child]) => ownedBy(child, childPath(path, name), domid));
}

// The store itself: the current root, transactions on it, and who is told of changes. Single requests are drafts that
// become the root at once; a transaction's draft becomes it at its end, unless something that it looked at was changed
// meanwhile (EAGAIN). When only other things were changed, its operations are carried out again on the new root. Called
// by requests.ts for guests and by client.ts for dom0's own threads.

import { type Change, conflicts, Draft, type NodeCounts, ownedBy, type StoreNode, withoutGrants } from "./draft.ts";
import { XsError } from "./errors.ts";
import { XsLimits } from "./limits.ts";
import type { Identity, Permissions } from "./permissions.ts";
import { find, walk } from "./tree.ts";

/** An operation that changes the store, as it was asked for. */
export type Operation = (draft: Draft) => void;

export interface Transaction {
  readonly draft: Draft;
  readonly operations: Operation[];
  /** How many operations it may have: dom0's own have no bound. */
  readonly limit: number;
}

/** Told of each change that has come into force: the roots before and after it, for what a watcher could or can read. */
export type ChangeListener = (changes: readonly Change[], before: StoreNode, after: StoreNode) => void;

const ROOT_PERMISSIONS: Permissions = [{ domid: 0, rights: 0 }];

export class Store {
  #root: StoreNode = { value: "", perms: ROOT_PERMISSIONS, children: new Map(), generation: 0 };
  readonly #counts: NodeCounts = new Map([[0, 1]]);
  #generation = 0;
  readonly #onChange: ChangeListener;
  readonly #isDomain: (domid: number) => boolean;

  /** `isDomain` tells whether a domain is there that may be given rights. */
  constructor(onChange: ChangeListener, isDomain: (domid: number) => boolean) {
    this.#onChange = onChange;
    this.#isDomain = isDomain;
  }

  get root(): StoreNode {
    return this.#root;
  }

  /** Nodes owned by `domid`. */
  nodesOf(domid: number): number {
    return this.#counts.get(domid) ?? 0;
  }

  /** Reads in `transaction`, or in the store as it is. */
  read<T>(transaction: Transaction | undefined, body: (draft: Draft) => T): T {
    return body(transaction ? transaction.draft : this.#draft());
  }

  /** Changes the transaction's copy, or the store at once. What throws changes nothing. */
  change(transaction: Transaction | undefined, operation: Operation): void {
    if (transaction) {
      if (transaction.operations.length >= transaction.limit) throw new XsError("ENOSPC", "transaction too long");
      operation(transaction.draft);
      transaction.operations.push(operation);
      return;
    }
    const draft = this.#draft();
    operation(draft);
    this.#accept(draft);
  }

  begin(privileged: boolean): Transaction {
    return { draft: this.#draft(true), operations: [], limit: privileged ? Infinity : XsLimits.transactionOps };
  }

  /** Makes the transaction's changes the store's. Throws EAGAIN when they conflict with what happened since. */
  commit(transaction: Transaction): void {
    if (conflicts(transaction.draft, this.#root)) throw new XsError("EAGAIN");
    if (transaction.operations.length === 0) return;
    const draft = this.#draft();
    for (const operation of transaction.operations) operation(draft);
    this.#accept(draft);
  }

  /**
   * Removes what a domain that is gone has left: the nodes that it owns, with all below them, and the rights that others gave
   * it, which would be those of the next domain of its number (XSA-322). Nobody is told of the latter.
   */
  removeDomain(domid: number, as: Identity): void {
    for (const path of ownedBy(this.#root, "/", domid)) this.change(undefined, (draft) => draft.remove(as, path));
    this.#root = withoutGrants(this.#root, domid);
  }

  /** Checks counts against the tree; returns what is wrong. For tests and XS_CONTROL check. */
  check(): string[] {
    const counts: NodeCounts = new Map();
    walk(this.#root, "/", (_, node) => counts.set(node.perms[0].domid, (counts.get(node.perms[0].domid) ?? 0) + 1));
    const domids = new Set([...counts.keys(), ...this.#counts.keys()]);
    return [...domids]
      .filter((d) => (counts.get(d) ?? 0) !== this.nodesOf(d))
      .map((d) => `domain ${d} owns ${counts.get(d) ?? 0} nodes, counted ${this.nodesOf(d)}`);
  }

  #draft(inTransaction = false): Draft {
    return new Draft(this.#root, this.#counts, () => ++this.#generation, this.#isDomain, inTransaction);
  }

  #accept(draft: Draft): void {
    const before = this.#root;
    this.#root = draft.root;
    for (const [domid, by] of draft.counted) {
      const count = (this.#counts.get(domid) ?? 0) + by;
      if (count === 0) this.#counts.delete(domid);
      else this.#counts.set(domid, count);
    }
    if (draft.changes.length > 0) this.#onChange(distinct(draft.changes), before, this.#root);
  }
}

/** Each path once, at its first place; a change seen by watches above wins over one that isn't. */
function distinct(changes: readonly Change[]): Change[] {
  const byPath = new Map<string, Change>();
  for (const change of changes) {
    const known = byPath.get(change.path);
    if (known === undefined || (known.exact && !change.exact)) byPath.set(change.path, change);
  }
  return [...byPath.values()];
}

/** The permissions that decide whether a watcher may learn of a change at `path`. */
export function permissionsAt(root: StoreNode, path: readonly string[]): Permissions | undefined {
  return find(root, path)?.perms;
}

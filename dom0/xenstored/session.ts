// One client of xenstored as the server knows it: who it is, its transactions, and where its watch events go. A guest's
// session lies behind its ring (ring_connection.ts), a thread of dom0's behind client.ts.

import { XsError } from "./errors.ts";
import { XsLimits } from "./limits.ts";
import type { Transaction } from "./store.ts";
import type { Watcher } from "./watches.ts";

export class Session implements Watcher {
  readonly domid: number;
  readonly privileged: boolean;
  /** Domain whose rights it has too (XS_SET_TARGET). */
  target: number | undefined = undefined;
  readonly #onEvent: (path: string, token: string) => void;
  readonly #transactions = new Map<number, Transaction>();
  #lastTransaction = 0;

  constructor(domid: number, privileged: boolean, onEvent: (path: string, token: string) => void) {
    this.domid = domid;
    this.privileged = privileged;
    this.#onEvent = onEvent;
  }

  event(path: string, token: string): void {
    this.#onEvent(path, token);
  }

  /** Keeps a new transaction and returns its id, above 0. Throws ENOSPC. */
  open(transaction: Transaction): number {
    if (!this.privileged && this.#transactions.size >= XsLimits.transactions) throw new XsError("ENOSPC");
    do this.#lastTransaction = (this.#lastTransaction + 1) >>> 0;
    while (this.#lastTransaction === 0 || this.#transactions.has(this.#lastTransaction));
    this.#transactions.set(this.#lastTransaction, transaction);
    return this.#lastTransaction;
  }

  /** The transaction of a request: undefined for id 0. Throws ENOENT. */
  transaction(id: number): Transaction | undefined {
    if (id === 0) return undefined;
    const found = this.#transactions.get(id);
    if (found === undefined) throw new XsError("ENOENT", `transaction ${id}`);
    return found;
  }

  /** Forgets a transaction, committed or not. Throws ENOENT. */
  close(id: number): Transaction {
    const found = this.transaction(id);
    if (found === undefined) throw new XsError("ENOENT", "no transaction");
    this.#transactions.delete(id);
    return found;
  }

  closeAll(): void {
    this.#transactions.clear();
  }

  get openTransactions(): number {
    return this.#transactions.size;
  }
}

// What a guest may use of xenstore, so that no guest can fill dom0's memory or slow the others. The first six are the
// defaults of Xen 4.17's xenstored and don't bind privileged connections; the others bind every ring.

export const XsLimits = {
  /** Nodes owned by one domain. */
  nodes: 1000,
  /** Bytes of a node's value. */
  nodeSize: 2048,
  /** Watches of one domain. */
  watches: 128,
  /** Transactions of one domain open at once. */
  transactions: 10,
  /** Permission entries of a node. */
  perms: 5,
  /** Nodes, there or not, that one transaction may look at. */
  transactionNodes: 1024,
  /** Bytes of paths and values that one transaction has us keep: with the nodes' own, about Xen's quota of memory. */
  transactionBytes: 256 * 1024,
  /** Operations kept of one transaction, for carrying them out again when the store has moved on. */
  transactionOps: 512,
  /** Bytes of replies waiting for a guest to take them from its ring: above this its next request waits. */
  pendingBytes: 4 * 4096,
  /** Watch events waiting for one guest, and their bytes; further ones are dropped (equal ones are merged anyway). */
  pendingEvents: 1024,
  pendingEventBytes: 256 * 1024,
  /** Requests taken from one ring before the other rings have their turn, and how long that may take, but for the last one. */
  requestsPerTurn: 16,
  turnNs: 1e6,
} as const;

// xenstored without its transport: the store, the watches and the domains that are introduced, tied together. Guests
// reach it through rings (ring_connection.ts), dom0's threads through client.ts; daemon.ts gives it rings and tells it
// when domains end. What opening a ring takes (mapping, event channel) is injected, so that tests need no hypervisor.

import { XsError } from "./errors.ts";
import { INTRODUCE_DOMAIN, isSpecial, RELEASE_DOMAIN } from "./paths.ts";
import { type Permissions, withoutGrant } from "./permissions.ts";
import { Session } from "./session.ts";
import { Store } from "./store.ts";
import { Watches } from "./watches.ts";

/** A guest's connection: its session, and how it is taken down. */
export interface Connection {
  readonly session: Session;
  /** Gives back the ring and the event channel. Called once. */
  close(): void;
}

/**
 * Opens the ring of a domain. `frame` is the frame number and `port` the domain's event channel as INTRODUCE gave them.
 * Throws XsError when there is no such domain or the ring can't be had.
 */
export type OpenConnection = (server: XenStored, domid: number, frame: number, port: number) => Connection;

/** How a domain is; undefined when it is gone. */
export type DomainState = { readonly shutdown: boolean; readonly dying: boolean } | undefined;

interface Introduced {
  readonly connection: Connection;
  /** Its shutdown was announced. */
  announced: boolean;
}

const DEFAULT_SPECIAL: Permissions = [{ domid: 0, rights: 0 }];

export class XenStored {
  readonly store: Store;
  readonly watches: Watches;
  readonly #open: OpenConnection;
  /** Told of what a request failed with that no request should fail with. */
  readonly report: (error: unknown) => void;
  readonly #domains = new Map<number, Introduced>();
  readonly #special = new Map<string, Permissions>();
  /** dom0's own rights, for what xenstored does by itself. */
  readonly #self = new Session(0, true, () => {});

  constructor(
    open: OpenConnection,
    report: (error: unknown) => void = (error) => {
      throw error;
    },
  ) {
    this.#open = open;
    this.report = report;
    this.watches = new Watches((name) => this.specialPerms(name));
    this.store = new Store(
      (changes, before, after) => this.watches.fire(changes, before, after),
      (domid) => domid === 0 || this.#domains.has(domid),
    );
  }

  /** Registers a watch. The special names that no event exists for are accepted, as the protocol has it. */
  addWatch(session: Session, path: string, token: string): void {
    this.watches.add(session, path, token);
  }

  /** Connects to a domain's ring and announces it. A domain that is connected is announced again. */
  introduce(domid: number, frame: number, port: number): void {
    if (domid === 0 || domid >= 0x7ff0) throw new XsError("EINVAL", `domain ${domid}`);
    if (!this.#domains.has(domid))
      this.#domains.set(domid, { connection: this.#open(this, domid, frame, port), announced: false });
    this.watches.fireSpecial(INTRODUCE_DOMAIN);
  }

  /** Disconnects from a domain, removes what it owns, and announces it. */
  release(domid: number): void {
    if (domid === 0) throw new XsError("EINVAL", "domain 0");
    if (!this.#drop(domid)) throw new XsError("ENOENT", `domain ${domid}`);
    this.watches.fireSpecial(RELEASE_DOMAIN);
  }

  /** Has the next shutdown of a domain announced again. */
  resume(domid: number): void {
    this.#introduced(domid).announced = false;
  }

  /** Gives a domain the rights of another. */
  setTarget(domid: number, target: number): void {
    const { session } = this.#introduced(domid).connection;
    if (domid === target) throw new XsError("EINVAL");
    this.#introduced(target);
    session.target = target;
  }

  isIntroduced(domid: number): boolean {
    return this.#domains.has(domid);
  }

  /** Looks at every introduced domain: announces shutdowns, lets go of those that are dying or gone. */
  checkDomains(stateOf: (domid: number) => DomainState): void {
    let announce = false;
    for (const [domid, domain] of [...this.#domains]) {
      const state = stateOf(domid);
      if (state === undefined || state.dying) {
        this.#drop(domid);
        announce = true;
      } else if (state.shutdown && !domain.announced) {
        domain.announced = true;
        announce = true;
      }
    }
    if (announce) this.watches.fireSpecial(RELEASE_DOMAIN);
  }

  specialPerms(name: string): Permissions {
    return this.#special.get(name) ?? DEFAULT_SPECIAL;
  }

  /** Throws EINVAL for a name that no event has. */
  setSpecialPerms(name: string, perms: Permissions): void {
    if (!isSpecial(name) || (name !== INTRODUCE_DOMAIN && name !== RELEASE_DOMAIN)) throw new XsError("EINVAL", name);
    this.#special.set(name, perms);
  }

  /** Forgets all that a session holds: its watches and transactions. */
  forget(session: Session): void {
    this.watches.removeAll(session);
    session.closeAll();
  }

  #introduced(domid: number): Introduced {
    const found = this.#domains.get(domid);
    if (found === undefined) throw new XsError("ENOENT", `domain ${domid}`);
    return found;
  }

  #drop(domid: number): boolean {
    const domain = this.#domains.get(domid);
    if (domain === undefined) return false;
    this.#domains.delete(domid);
    this.forget(domain.connection.session);
    domain.connection.close();
    for (const { connection } of this.#domains.values())
      if (connection.session.target === domid) connection.session.target = undefined;
    this.store.removeDomain(domid, this.#self);
    for (const [name, perms] of this.#special) this.#special.set(name, withoutGrant(perms, domid));
    return true;
  }
}

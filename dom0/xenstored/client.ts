// xenstore for dom0's own threads: the toolstack, the consoles, the xenstore commands. Calls are plain and immediate, as
// the store lies in the same kernel; what a guest would get as an error reply is thrown as XsError. Watch events come
// through a channel that a thread waits on. Text is UTF-8 here, bytes in the store.

import { Channel } from "../../guests/sdk/threads.ts";
import { toByteString, toText } from "../../shared/xenstore_wire.ts";
import { XsError } from "./errors.ts";
import { absolutePath, domainPath } from "./paths.ts";
import { formatPermission, parsePermission } from "./permissions.ts";
import type { XenStored } from "./server.ts";
import { Session } from "./session.ts";
import type { Transaction } from "./store.ts";

export interface WatchEvent {
  readonly path: string;
  readonly token: string;
}

/** The calls that work on the store as it is and, the same, in a transaction. */
export class XsView {
  protected readonly server: XenStored;
  protected readonly session: Session;
  readonly #transaction: Transaction | undefined;

  constructor(server: XenStored, session: Session, transaction: Transaction | undefined) {
    this.server = server;
    this.session = session;
    this.#transaction = transaction;
  }

  /** The value, undefined when there is no such node. Throws EINVAL, EACCES. */
  read(path: string): string | undefined {
    const bytes = this.readBytes(path);
    return bytes === undefined ? undefined : toText(bytes);
  }

  /** The same as it is: one character for each byte. */
  readBytes(path: string): string | undefined {
    return this.#orMissing(() => this.#read((draft, at) => draft.readable(this.session, at).value, path));
  }

  /** The children's names, undefined when there is no such node. */
  directory(path: string): string[] | undefined {
    return this.#orMissing(() => this.#read((draft, at) => draft.directory(this.session, at), path));
  }

  /** Permissions as the protocol writes them: "n0", "r1". Undefined when there is no such node. */
  permissions(path: string): string[] | undefined {
    return this.#orMissing(() =>
      this.#read((draft, at) => draft.permissions(this.session, at), path).map(formatPermission),
    );
  }

  /** Writes `value`, making what is missing; with `perms` ("n0", "r1", ...) the node gets them too. */
  write(path: string, value: string, perms?: readonly string[]): void {
    this.writeBytes(path, toByteString(value), perms);
  }

  /** The same with one character for each byte. */
  writeBytes(path: string, bytes: string, perms?: readonly string[]): void {
    const at = this.#path(path);
    const parsed = perms?.map(parsePermission);
    this.server.store.change(this.#transaction, (draft) => {
      draft.write(this.session, at, bytes);
      if (parsed) draft.setPermissions(this.session, at, parsed);
    });
  }

  /** Makes an empty node unless there is one; with `perms` it gets them. */
  mkdir(path: string, perms?: readonly string[]): void {
    const at = this.#path(path);
    const parsed = perms?.map(parsePermission);
    this.server.store.change(this.#transaction, (draft) => {
      draft.mkdir(this.session, at);
      if (parsed) draft.setPermissions(this.session, at, parsed);
    });
  }

  /** Removes the node and all below; nothing when it or its parent isn't there. */
  remove(path: string): void {
    const at = this.#path(path);
    this.#orMissing(() => this.server.store.change(this.#transaction, (draft) => draft.remove(this.session, at)));
  }

  setPermissions(path: string, perms: readonly string[]): void {
    const at = this.#path(path);
    const parsed = perms.map(parsePermission);
    this.server.store.change(this.#transaction, (draft) => draft.setPermissions(this.session, at, parsed));
  }

  #read<T>(body: (draft: Transaction["draft"], path: string) => T, path: string): T {
    const at = this.#path(path);
    return this.server.store.read(this.#transaction, (draft) => body(draft, at));
  }

  #path(path: string): string {
    return absolutePath(path, this.session.domid);
  }

  #orMissing<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (error instanceof XsError && error.code === "ENOENT") return undefined;
      throw error;
    }
  }
}

export class XsClient extends XsView {
  /** Events of this client's watches, in order. */
  readonly events: Channel<WatchEvent>;

  constructor(server: XenStored) {
    const events = new Channel<WatchEvent>();
    super(server, new Session(0, true, (path, token) => events.send({ path, token })), undefined);
    this.events = events;
  }

  /** Another client of the same store: its watches are its own. */
  another(): XsClient {
    return new XsClient(this.server);
  }

  /** Carries out `body` as one change: all of it or, when it throws, nothing. */
  transaction<T>(body: (view: XsView) => T): T {
    const transaction = this.server.store.begin(true);
    const result = body(new XsView(this.server, this.session, transaction));
    this.server.store.commit(transaction);
    return result;
  }

  /** Each event of the path and below comes through `events`, the first at once. */
  watch(path: string, token: string): void {
    this.server.addWatch(this.session, path, token);
  }

  unwatch(path: string, token: string): void {
    this.server.watches.remove(this.session, path, token);
  }

  introduce(domid: number, frame: number, port: number): void {
    this.server.introduce(domid, frame, port);
  }

  /** Disconnects a domain; nothing when it isn't connected. */
  release(domid: number): void {
    if (this.server.isIntroduced(domid)) this.server.release(domid);
  }

  domainPath(domid: number): string {
    return domainPath(domid);
  }

  /** Ends this client: its watches are gone. */
  close(): void {
    this.server.forget(this.session);
    this.events.close();
  }
}

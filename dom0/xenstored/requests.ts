// The requests of the xenstore protocol (docs/misc/xenstore.txt, public/io/xs_wire.h): one table, each payload taken
// apart and checked here, then handed to the store, the watches or the domains. Called for guests by
// ring_connection.ts. Payloads are byte strings. What a handler throws as XsError becomes the reply.

import * as XS from "../../shared/abi/io/xs_wire.ts";
import type { Draft } from "./draft.ts";
import { XsError } from "./errors.ts";
import { absolutePath, domainPath, isSpecial } from "./paths.ts";
import { formatPermission, type Permission, parsePermission } from "./permissions.ts";
import type { XenStored } from "./server.ts";
import type { Session } from "./session.ts";

type Handler = (server: XenStored, session: Session, tx: number, payload: string) => string;

const OK = "OK\0";

// In the order of their numbers; "T" where the request runs in a transaction, and is refused when its id is unknown.
const REQUESTS: readonly (readonly [number, string, "T" | "-", Handler])[] = [
  [XS.XS_CONTROL, "CONTROL", "-", control],
  [XS.XS_DIRECTORY, "DIRECTORY", "T", directory],
  [XS.XS_READ, "READ", "T", read],
  [XS.XS_GET_PERMS, "GET_PERMS", "T", getPerms],
  [XS.XS_WATCH, "WATCH", "-", watch],
  [XS.XS_UNWATCH, "UNWATCH", "-", unwatch],
  [XS.XS_TRANSACTION_START, "TRANSACTION_START", "T", transactionStart],
  [XS.XS_TRANSACTION_END, "TRANSACTION_END", "T", transactionEnd],
  [XS.XS_INTRODUCE, "INTRODUCE", "-", introduce],
  [XS.XS_RELEASE, "RELEASE", "-", release],
  [XS.XS_GET_DOMAIN_PATH, "GET_DOMAIN_PATH", "-", getDomainPath],
  [XS.XS_WRITE, "WRITE", "T", write],
  [XS.XS_MKDIR, "MKDIR", "T", mkdir],
  [XS.XS_RM, "RM", "T", remove],
  [XS.XS_SET_PERMS, "SET_PERMS", "T", setPerms],
  [XS.XS_IS_DOMAIN_INTRODUCED, "IS_DOMAIN_INTRODUCED", "-", isDomainIntroduced],
  [XS.XS_RESUME, "RESUME", "-", resume],
  [XS.XS_SET_TARGET, "SET_TARGET", "-", setTarget],
  [XS.XS_RESET_WATCHES, "RESET_WATCHES", "-", resetWatches],
  [XS.XS_DIRECTORY_PART, "DIRECTORY_PART", "T", directoryPart],
];

const BY_TYPE = new Map(REQUESTS.map((row) => [row[0], row]));

/** Carries out one request and returns the reply's payload. Throws XsError; ENOSYS for a type that doesn't exist. */
export function handle(server: XenStored, session: Session, type: number, tx: number, payload: string): string {
  const row = BY_TYPE.get(type);
  if (row === undefined) throw new XsError("ENOSYS", `request ${type}`);
  const [, , inTransaction, handler] = row;
  if (inTransaction === "T") session.transaction(tx);
  const reply = handler(server, session, tx, payload);
  if (reply.length > XS.XENSTORE_PAYLOAD_MAX) throw new XsError("E2BIG");
  return reply;
}

/** The request's name, for logs. */
export const requestName = (type: number): string => BY_TYPE.get(type)?.[1] ?? `request ${type}`;

// Payloads.

/** Exactly `count` strings, each ended by a zero byte. */
function strings(payload: string, count: number): string[] {
  const parts = payload.split("\0");
  if (parts.length !== count + 1 || parts[count] !== "") throw new XsError("EINVAL");
  return parts;
}

/** A string ended by a zero byte, and all the bytes after it. */
function headAndRest(payload: string): [string, string] {
  const end = payload.indexOf("\0");
  if (end < 0) throw new XsError("EINVAL");
  return [payload.slice(0, end), payload.slice(end + 1)];
}

function decimal(text: string, max: number): number {
  if (!/^\d{1,16}$/.test(text) || Number(text) > max) throw new XsError("EINVAL", text.slice(0, 20));
  return Number(text);
}

const domainId = (text: string): number => decimal(text, 0xffff);
const list = (items: readonly string[]): string => items.map((item) => `${item}\0`).join("");
const onePath = (session: Session, payload: string): string => absolutePath(strings(payload, 1)[0], session.domid);

function privilegedOnly(session: Session): void {
  if (!session.privileged) throw new XsError("EACCES");
}

// Reading and writing.

function inStore<T>(server: XenStored, session: Session, tx: number, body: (draft: Draft) => T): T {
  return server.store.read(session.transaction(tx), body);
}

function changing(server: XenStored, session: Session, tx: number, operation: (draft: Draft) => void): string {
  server.store.change(session.transaction(tx), operation);
  return OK;
}

function directory(server: XenStored, session: Session, tx: number, payload: string): string {
  const path = onePath(session, payload);
  return list(inStore(server, session, tx, (draft) => draft.directory(session, path)));
}

function directoryPart(server: XenStored, session: Session, tx: number, payload: string): string {
  const [given, offsetText] = strings(payload, 2);
  const path = absolutePath(given, session.domid);
  const offset = decimal(offsetText, 2 ** 31);
  const node = inStore(server, session, tx, (draft) => draft.readable(session, path));
  const head = `${node.generation}\0`;
  const all = list([...node.children.keys()]);
  const room = XS.XENSTORE_PAYLOAD_MAX - head.length - 1;
  const left = all.slice(offset);
  // Whole names only; an empty one says that the list ends here.
  if (left.length <= room) return `${head}${left}\0`;
  return head + left.slice(0, left.lastIndexOf("\0", room - 1) + 1);
}

function read(server: XenStored, session: Session, tx: number, payload: string): string {
  const path = onePath(session, payload);
  return inStore(server, session, tx, (draft) => draft.readable(session, path).value);
}

function write(server: XenStored, session: Session, tx: number, payload: string): string {
  const [given, value] = headAndRest(payload);
  const path = absolutePath(given, session.domid);
  return changing(server, session, tx, (draft) => draft.write(session, path, value));
}

function mkdir(server: XenStored, session: Session, tx: number, payload: string): string {
  const path = onePath(session, payload);
  return changing(server, session, tx, (draft) => draft.mkdir(session, path));
}

function remove(server: XenStored, session: Session, tx: number, payload: string): string {
  const path = onePath(session, payload);
  return changing(server, session, tx, (draft) => draft.remove(session, path));
}

function getPerms(server: XenStored, session: Session, tx: number, payload: string): string {
  const [given] = strings(payload, 1);
  if (isSpecial(given)) {
    privilegedOnly(session);
    return list(server.specialPerms(given).map(formatPermission));
  }
  const path = absolutePath(given, session.domid);
  return list(inStore(server, session, tx, (draft) => draft.permissions(session, path)).map(formatPermission));
}

function setPerms(server: XenStored, session: Session, tx: number, payload: string): string {
  const [given, rest] = headAndRest(payload);
  const texts = rest.split("\0");
  if (texts.pop() !== "" || texts.length === 0) throw new XsError("EINVAL");
  const perms: readonly Permission[] = texts.map(parsePermission);
  if (isSpecial(given)) {
    privilegedOnly(session);
    server.setSpecialPerms(given, perms);
    return OK;
  }
  const path = absolutePath(given, session.domid);
  return changing(server, session, tx, (draft) => draft.setPermissions(session, path, perms));
}

// Watches.

function watch(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [path, token] = strings(payload, 2);
  server.addWatch(session, path, token);
  return OK;
}

function unwatch(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [path, token] = strings(payload, 2);
  server.watches.remove(session, path, token);
  return OK;
}

function resetWatches(server: XenStored, session: Session): string {
  server.watches.removeAll(session);
  session.closeAll();
  return OK;
}

// Transactions.

function transactionStart(server: XenStored, session: Session, tx: number): string {
  if (tx !== 0) throw new XsError("EBUSY");
  return `${session.open(server.store.begin(session.privileged))}\0`;
}

function transactionEnd(server: XenStored, session: Session, tx: number, payload: string): string {
  const [verdict] = strings(payload, 1);
  if (verdict !== "T" && verdict !== "F") throw new XsError("EINVAL");
  const transaction = session.close(tx);
  if (verdict === "T") server.store.commit(transaction);
  return OK;
}

// Domains.

function introduce(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [domid, frame, port] = strings(payload, 3);
  privilegedOnly(session);
  server.introduce(domainId(domid), decimal(frame, 2 ** 40), decimal(port, 2 ** 32 - 1));
  return OK;
}

function release(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [domid] = strings(payload, 1);
  privilegedOnly(session);
  server.release(domainId(domid));
  return OK;
}

function resume(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [domid] = strings(payload, 1);
  privilegedOnly(session);
  server.resume(domainId(domid));
  return OK;
}

function setTarget(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [domid, target] = strings(payload, 2);
  privilegedOnly(session);
  server.setTarget(domainId(domid), domainId(target));
  return OK;
}

function getDomainPath(_server: XenStored, _session: Session, _tx: number, payload: string): string {
  return `${domainPath(domainId(strings(payload, 1)[0]))}\0`;
}

function isDomainIntroduced(server: XenStored, _session: Session, _tx: number, payload: string): string {
  const domid = domainId(strings(payload, 1)[0]);
  return domid === 0 || server.isIntroduced(domid) ? "T\0" : "F\0";
}

function control(server: XenStored, session: Session, _tx: number, payload: string): string {
  const [command] = headAndRest(payload);
  privilegedOnly(session);
  if (command === "help") return list(["Supported commands:", "check", "help"]);
  if (command !== "check") throw new XsError("EINVAL", command.slice(0, 40));
  const wrong = server.store.check();
  return wrong.length === 0 ? OK : list(wrong);
}

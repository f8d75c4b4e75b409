// xenstored's public face: the daemon that main.ts starts, and the client that dom0's other threads use.

export { toByteString } from "../../shared/xenstore_wire.ts";
export { type WatchEvent, XsClient, XsView } from "./client.ts";
export { XenStoreDaemon } from "./daemon.ts";
export { XsError } from "./errors.ts";
export { domainPath, INTRODUCE_DOMAIN, RELEASE_DOMAIN } from "./paths.ts";
export { type DomainState, XenStored } from "./server.ts";

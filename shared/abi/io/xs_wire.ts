// table
// public/io/xs_wire.h: the xenstore wire protocol and its ring page. A message is a header, then `len` bytes; both ways.
// The ring works as the console's does (io/console.ts); shared/ring.ts reads and writes it.

import { bytes, struct, u32 } from "../struct.ts";

export const XS_CONTROL = 0;
export const XS_DIRECTORY = 1;
export const XS_READ = 2;
export const XS_GET_PERMS = 3;
export const XS_WATCH = 4;
export const XS_UNWATCH = 5;
export const XS_TRANSACTION_START = 6;
export const XS_TRANSACTION_END = 7;
export const XS_INTRODUCE = 8;
export const XS_RELEASE = 9;
export const XS_GET_DOMAIN_PATH = 10;
export const XS_WRITE = 11;
export const XS_MKDIR = 12;
export const XS_RM = 13;
export const XS_SET_PERMS = 14;
export const XS_WATCH_EVENT = 15;
export const XS_ERROR = 16;
export const XS_IS_DOMAIN_INTRODUCED = 17;
export const XS_RESUME = 18;
export const XS_SET_TARGET = 19;
export const XS_RESET_WATCHES = 21;
export const XS_DIRECTORY_PART = 22;
export const XS_TYPE_COUNT = 23;
export const XS_INVALID = 0xffff;

export const XS_WATCH_PATH = 0;
export const XS_WATCH_TOKEN = 1;

/** struct xsd_sockmsg: the header of every message. */
export const XsdSockmsg = struct("xsd_sockmsg", 16, {
  type: u32(0), // XS_*
  req_id: u32(4), // echoed in the reply
  tx_id: u32(8), // transaction, 0: none
  len: u32(12), // bytes that follow
});

/** Names of the errors that an XS_ERROR reply may carry, and no others. */
export const XSD_ERRORS = [
  "EINVAL",
  "EACCES",
  "EEXIST",
  "EISDIR",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "EIO",
  "ENOTEMPTY",
  "ENOSYS",
  "EROFS",
  "EBUSY",
  "EAGAIN",
  "EISCONN",
  "E2BIG",
  "EPERM",
] as const;

export const XENSTORE_RING_SIZE = 1024;

/** struct xenstore_domain_interface: the ring page. The front is the guest, the back xenstored. */
export const XenstoreDomainInterface = struct("xenstore_domain_interface", 2076, {
  req: bytes(0, XENSTORE_RING_SIZE), // [FRONT]
  rsp: bytes(1024, XENSTORE_RING_SIZE), // [BACK]
  req_cons: u32(2048), // [BACK]
  req_prod: u32(2052), // [FRONT]
  rsp_cons: u32(2056), // [FRONT]
  rsp_prod: u32(2060), // [BACK]
  server_features: u32(2064), // [BACK] XENSTORE_SERVER_FEATURE_*
  connection: u32(2068), // [FRONT] asks to reconnect, [BACK] clears
  error: u32(2072), // [BACK] XENSTORE_ERROR_*
});

export const XENSTORE_PAYLOAD_MAX = 4096;
export const XENSTORE_ABS_PATH_MAX = 3072;
export const XENSTORE_REL_PATH_MAX = 2048;
export const XENSTORE_SERVER_FEATURE_RECONNECTION = 1;
export const XENSTORE_SERVER_FEATURE_ERROR = 2;
export const XENSTORE_CONNECTED = 0;
export const XENSTORE_RECONNECT = 1;
export const XENSTORE_ERROR_NONE = 0;
export const XENSTORE_ERROR_COMM = 1;
export const XENSTORE_ERROR_RINGIDX = 2;
export const XENSTORE_ERROR_PROTO = 3;

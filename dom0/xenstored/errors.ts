// An error that a xenstore request ends with: one of the names that the wire protocol carries (public/io/xs_wire.h).
// Thrown inside xenstored, turned into an XS_ERROR reply, or caught by dom0's own threads.

import type { XSD_ERRORS } from "../../shared/abi/io/xs_wire.ts";

export type XsErrorCode = (typeof XSD_ERRORS)[number];

export class XsError extends Error {
  override readonly name = "XsError";
  readonly code: XsErrorCode;
  constructor(code: XsErrorCode, what = "") {
    super(what === "" ? code : `${code}: ${what}`);
    this.code = code;
  }
}

// A batch of grant copies between a guest's granted pages and dom0's own (GNTTABOP_copy, public/grant_table.h): one hypercall
// for many frames, nothing mapped, each with its own status. The arguments lie in a page of dom0's that is kept, so that a
// frame costs no allocation. Used by tx.ts and rx.ts.

import type { Kernel, Pages } from "../../../guests/sdk/index.ts";
import {
  GNTCOPY_dest_gref,
  GNTCOPY_source_gref,
  GNTST_general_error,
  GNTST_okay,
  GNTTABOP_copy,
  GnttabCopy,
} from "../../../shared/abi/grant_table.ts";
import { __HYPERVISOR_grant_table_op, DOMID_SELF } from "../../../shared/abi/xen.ts";
import type { DomId } from "../../../shared/brand.ts";
import { COPIES } from "./limits.ts";

const SIZE = GnttabCopy.size;
const SOURCE = GnttabCopy.offsets.source;
const DEST = GnttabCopy.offsets.dest;
const LEN = GnttabCopy.offsets.len;
const FLAGS = GnttabCopy.offsets.flags;
const STATUS = GnttabCopy.offsets.status;
/** Within a side: the reference or frame, the domain, the offset. */
const DOMID = 8;
const OFFSET = 10;

export class Copies {
  readonly #kernel: Kernel;
  readonly #domid: DomId;
  readonly #pages: Pages;
  readonly #view: DataView;
  /** Copies in the batch. */
  count = 0;

  /** Copies from and to pages that `domid` has granted. */
  constructor(kernel: Kernel, domid: DomId) {
    this.#kernel = kernel;
    this.#domid = domid;
    this.#pages = kernel.allocPages(1);
    this.#view = this.#pages.view;
  }

  /** Whether `count` more fit. */
  hasRoom(count: number): boolean {
    return this.count + count <= COPIES;
  }

  /** Adds a copy out of the guest's page. Neither side may cross its page's end. */
  fromGuest(ref: number, offset: number, mfn: number, mfnOffset: number, sizeBytes: number): void {
    const at = this.#add(sizeBytes, GNTCOPY_source_gref);
    this.#side(at + SOURCE, ref, this.#domid, offset);
    this.#side(at + DEST, mfn, DOMID_SELF, mfnOffset);
  }

  /** Adds a copy into the guest's page. */
  toGuest(mfn: number, mfnOffset: number, ref: number, offset: number, sizeBytes: number): void {
    const at = this.#add(sizeBytes, GNTCOPY_dest_gref);
    this.#side(at + SOURCE, mfn, DOMID_SELF, mfnOffset);
    this.#side(at + DEST, ref, this.#domid, offset);
  }

  /** Carries the batch out. Look at `okay` for each, then `clear`. */
  run(): void {
    if (this.count === 0) return;
    this.#kernel.xen.call("copy", __HYPERVISOR_grant_table_op, GNTTABOP_copy, this.#pages.va, this.count);
  }

  /** Whether all of `count` copies from number `first` on were done. */
  okay(first: number, count: number): boolean {
    for (let i = first; i < first + count; i++)
      if (this.#view.getInt16(i * SIZE + STATUS, true) !== GNTST_okay) return false;
    return true;
  }

  clear(): void {
    this.count = 0;
  }

  free(): void {
    this.#pages.free();
  }

  #add(sizeBytes: number, flags: number): number {
    if (this.count >= COPIES) throw new RangeError("too many grant copies at once");
    const at = this.count++ * SIZE;
    this.#view.setUint16(at + LEN, sizeBytes, true);
    this.#view.setUint16(at + FLAGS, flags, true);
    this.#view.setInt16(at + STATUS, GNTST_general_error, true);
    return at;
  }

  #side(at: number, refOrMfn: number, domid: number, offset: number): void {
    this.#view.setUint32(at, refOrMfn, true);
    this.#view.setUint32(at + 4, 0, true);
    this.#view.setUint16(at + DOMID, domid, true);
    this.#view.setUint16(at + OFFSET, offset, true);
  }
}

// Copying between frames on the strength of grants (GNTTABOP_copy), and giving a frame away (GNTTABOP_transfer). Called
// by hypercalls/grant_table_op.ts, one operation at a time; nothing stays mapped between operations. Public/
// grant_table.h; order of checks and status codes as in Xen 4.17. Left out: transitive and sub-page grants (version 2).

import {
  GNTCOPY_dest_gref,
  GNTCOPY_source_gref,
  GNTST_bad_copy_arg,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_page,
  GNTST_general_error,
  GNTST_okay,
  GNTST_permission_denied,
  type GnttabCopy,
  GTF_accept_transfer,
  GTF_transfer_committed,
  GTF_transfer_completed,
} from "../../shared/abi/grant_table.ts";
import type { Of } from "../../shared/abi/struct.ts";
import { DOMID_SELF } from "../../shared/abi/xen.ts";
import type { Mfn } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";
import type { Tlb } from "../machine/processor.ts";
import { PageType } from "../memory/frame_table.ts";
import type { MemoryManagement } from "../memory/mmu.ts";
import { Pin } from "./grant_table.ts";

/** One side of a copy while it lasts. */
class Side {
  domain: Domain | undefined = undefined;
  /** Grant reference in use, or -1 for a frame of the caller's own. */
  ref = -1;
  mfn = 0 as Mfn;
}

export class GrantCopies {
  readonly #u8: Uint8Array;
  readonly #tlb: Tlb;
  readonly #mm: MemoryManagement;
  readonly #find: (id: number) => Domain | undefined;
  readonly #source = new Side();
  readonly #dest = new Side();

  constructor(memory: MachineMemory, tlb: Tlb, mm: MemoryManagement, find: (id: number) => Domain | undefined) {
    this.#u8 = memory.u8;
    this.#tlb = tlb;
    this.#mm = mm;
    this.#find = find;
  }

  /** Carries out one copy for `caller`: GNTST_. `op` is the hypervisor's own copy of the argument. */
  copy(caller: Domain, op: Of<typeof GnttabCopy>): number {
    const { source, dest, flags, len } = op;
    let status = this.#name(this.#source, caller, source.domid, flags & GNTCOPY_source_gref);
    if (status === GNTST_okay) status = this.#name(this.#dest, caller, dest.domid, flags & GNTCOPY_dest_gref);
    if (status !== GNTST_okay) return status;
    status = this.#claim(this.#source, caller, flags & GNTCOPY_source_gref ? source.ref : -1, source.gmfn_num, true);
    if (status !== GNTST_okay) return status;
    status = this.#claim(this.#dest, caller, flags & GNTCOPY_dest_gref ? dest.ref : -1, dest.gmfn_num, false);
    if (status === GNTST_okay) {
      if (source.offset + len > FRAME_SIZE || dest.offset + len > FRAME_SIZE) status = GNTST_bad_copy_arg;
      else {
        const from = this.#source.mfn * FRAME_SIZE + source.offset;
        this.#u8.copyWithin(this.#dest.mfn * FRAME_SIZE + dest.offset, from, from + len);
        this.#tlb.dropCode(this.#dest.mfn);
      }
      this.#release(this.#dest, false);
    }
    this.#release(this.#source, true);
    return status;
  }

  /** Only the caller's own frames may be named as frames. */
  #name(side: Side, caller: Domain, domid: number, byGrant: number): number {
    if (domid !== DOMID_SELF && !byGrant) return GNTST_permission_denied;
    side.domain = domid === DOMID_SELF ? caller : this.#find(domid);
    return side.domain ? GNTST_okay : GNTST_bad_domain;
  }

  #claim(side: Side, caller: Domain, ref: number, gmfn: number, readonly: boolean): number {
    const { types, frames } = this.#mm;
    const { grants, id } = side.domain!;
    side.ref = ref;
    let mfn = gmfn;
    if (ref !== -1) {
      if (ref >= grants.entries) return GNTST_bad_gntref;
      const status = grants.acquire(ref, caller.id, readonly ? Pin.hstr : Pin.hstw, readonly, false);
      if (status !== GNTST_okay) return status;
      mfn = grants.mfns[ref];
    }
    side.mfn = mfn as Mfn;
    let status: number = GNTST_okay;
    if (!frames.getPage(mfn, id)) status = GNTST_bad_page;
    else if (!readonly && types.get(mfn as Mfn, PageType.Writable) !== 0) {
      frames.putPage(mfn as Mfn);
      status = GNTST_general_error;
    }
    if (status !== GNTST_okay && ref !== -1) grants.release(ref, readonly ? Pin.hstr : Pin.hstw, readonly);
    return status;
  }

  #release(side: Side, readonly: boolean): void {
    if (!readonly) this.#mm.types.put(side.mfn);
    this.#mm.frames.putPage(side.mfn);
    if (side.ref !== -1) side.domain!.grants.release(side.ref, readonly ? Pin.hstr : Pin.hstw, readonly);
  }

  /** Gives the caller's frame to the domain that has an entry to accept one: GNTST_. A frame in use is refused. */
  transfer(caller: Domain, mfn: number, domid: number, ref: number): number {
    const { frames } = this.#mm;
    if (!frames.steal(mfn, caller)) return GNTST_bad_page;
    const target = this.#find(domid);
    const status = target ? this.#accept(target, caller, ref) : GNTST_bad_domain;
    if (status !== GNTST_okay) {
      frames.freeXen(mfn); // As in Xen, the caller has lost the frame.
      return status;
    }
    frames.adopt(mfn, target!);
    frames.m2p.set(mfn, target!.grants.frameOf(ref)); // The accepting entry says what number the frame is to have.
    target!.grants.setFrame(ref, mfn);
    target!.grants.setFlags(ref, GTF_transfer_completed);
    return GNTST_okay;
  }

  #accept(target: Domain, caller: Domain, ref: number): number {
    const committed = GTF_accept_transfer | GTF_transfer_committed;
    const ready =
      target.memory.mayGrow(1) &&
      ref < target.grants.entries &&
      target.grants.exchangeFlags(ref, caller.id, GTF_accept_transfer, committed);
    return ready ? GNTST_okay : GNTST_general_error;
  }
}

// Mapping and unmapping of granted frames: GNTTABOP_map_grant_ref, unmap_grant_ref and unmap_and_replace, and what is
// left of it when a domain dies. A host mapping is a level-1 entry of the mapping domain's own tables, which holds the
// page reference (and type reference, if writable) as every level-1 entry does; maptrack and the pin counts stand beside
// it, so an entry that a guest overwrites instead of unmapping loses the references but stays marked as in use until the
// mapper dies, as in Xen 4.17. A device mapping holds references of its own, and a writable one makes the processor
// distrust what it decoded from the frame. Called by hypercalls/grant_table_op.ts.

import {
  _GNTMAP_guest_avail0,
  GNTMAP_application_map,
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_bad_dev_addr,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_bad_page,
  GNTST_general_error,
  GNTST_no_space,
  GNTST_okay,
} from "../../shared/abi/grant_table.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import { canonical } from "../machine/cpu_state.ts";
import { FRAME_SHIFT, FRAME_SIZE } from "../machine/memory.ts";
import type { Tlb } from "../machine/processor.ts";
import { Pte, PteHi, pteLo, pteMfn } from "../machine/pte.ts";
import { adjustHi, adjustLo } from "../memory/entries.ts";
import { PageType } from "../memory/frame_table.ts";
import type { MemoryManagement } from "../memory/mmu.ts";
import type { Vcpu } from "../vcpu.ts";
import { type GrantTable, Pin } from "./grant_table.ts";

/** A 64-bit address out of an argument, as halves. */
export interface Halves {
  readonly lo: number;
  readonly hi: number;
}

export class GrantMappings {
  readonly #mm: MemoryManagement;
  readonly #tlb: Tlb;
  readonly #find: (id: number) => Domain | undefined;
  /** Of the last successful map. */
  handle = 0;
  mfn = 0 as Mfn;

  /** `find` gives every domain that still exists, dying and dead ones included. */
  constructor(mm: MemoryManagement, tlb: Tlb, find: (id: number) => Domain | undefined) {
    this.#mm = mm;
    this.#tlb = tlb;
    this.#find = find;
  }

  /** Maps grant `ref` of domain `domid` at `address`: GNTST_okay with `handle` and `mfn` set, or what is wrong. */
  map(vcpu: Vcpu, domid: number, ref: number, flags: number, address: Halves): number {
    const readonly = (flags & GNTMAP_readonly) !== 0;
    const pin = pinOf(flags);
    if (pin === 0) return GNTST_bad_gntref;
    const remote = this.#find(domid);
    if (!remote) return GNTST_bad_domain;
    const { maptrack } = vcpu.domain.grants;
    const handle = maptrack.take();
    if (handle === -1) return GNTST_no_space;
    const status = this.#mapInto(vcpu, remote, ref, flags, pin, readonly, address);
    if (status !== GNTST_okay) {
      maptrack.put(handle);
      return status;
    }
    maptrack.set(handle, remote.grants, ref, flags);
    this.handle = handle;
    this.mfn = remote.grants.mfns[ref] as Mfn;
    if (flags & GNTMAP_device_map && !readonly) this.#tlb.deviceWrites(this.mfn, true);
    return GNTST_okay;
  }

  #mapInto(vcpu: Vcpu, remote: Domain, ref: number, flags: number, pin: number, ro: boolean, at: Halves): number {
    const grants = remote.grants;
    if (ref >= grants.entries) return GNTST_bad_gntref;
    const status = grants.acquire(ref, vcpu.domain.id, pin, ro, true);
    if (status !== GNTST_okay) return status;
    const mfn = grants.mfns[ref];
    const error = this.#takeAndStore(vcpu, remote, mfn, flags, ro, at);
    if (error !== GNTST_okay) grants.release(ref, pin, ro);
    return error;
  }

  /** One page reference, and a type reference if writable, for each of device and host mapping; then the entry. */
  #takeAndStore(vcpu: Vcpu, remote: Domain, mfn: number, flags: number, ro: boolean, at: Halves): number {
    const { frames } = this.#mm;
    if (!frames.getPage(mfn, remote.id)) return GNTST_bad_page;
    frames.putPage(mfn as Mfn); // Its owner's own reference keeps it.
    const uses = (flags & GNTMAP_device_map ? 1 : 0) + (flags & GNTMAP_host_map ? 1 : 0);
    for (let i = 0; i < uses; i++) {
      if (this.#take(remote, mfn, ro)) continue;
      while (i-- > 0) this.#drop(mfn as Mfn, ro);
      return GNTST_general_error;
    }
    if (!(flags & GNTMAP_host_map)) return GNTST_okay;
    const status = this.#store(vcpu, mfn as Mfn, flags, at);
    if (status !== GNTST_okay) for (let i = 0; i < uses; i++) this.#drop(mfn as Mfn, ro);
    return status;
  }

  #take(remote: Domain, mfn: number, ro: boolean): boolean {
    const { types, frames } = this.#mm;
    return ro ? frames.getPage(mfn, remote.id) : types.getPageAndType(mfn, remote.id, PageType.Writable) === 0;
  }

  #drop(mfn: Mfn, ro: boolean): void {
    if (ro) this.#mm.frames.putPage(mfn);
    else this.#mm.types.putPageAndType(mfn);
  }

  /** Puts the entry in place; whatever was mapped there before is let go. */
  #store(vcpu: Vcpu, mfn: Mfn, flags: number, at: Halves): number {
    const word = this.#entryFor(vcpu, flags, at);
    if (word === -1) return GNTST_general_error;
    const mm = this.#mm;
    const oldLo = mm.entryLo(word);
    const oldHi = mm.entryHi(word);
    const { lo, hi } = grantEntry(mfn, flags);
    mm.storeRaw(word, lo, hi);
    mm.types.putEntry(1, (word >>> 10) as Mfn, oldLo, oldHi);
    return GNTST_okay;
  }

  /** The level-1 entry that `at` names: by its machine address, or by the virtual address that it maps. -1: none. */
  #entryFor(vcpu: Vcpu, flags: number, at: Halves): number {
    if (!(flags & GNTMAP_contains_pte)) return this.#mm.findL1(vcpu, canonical(at.lo, at.hi));
    const table = (at.lo >>> 12) as Mfn;
    if (at.lo & 7 || at.hi !== 0 || !this.#mm.frames.isValid(table)) return -1;
    if (this.#mm.frames.owner[table] !== vcpu.domain.id || this.#mm.tableLevel(table) !== 1) return -1;
    return (table * FRAME_SIZE + (at.lo & 0xfff)) / 4;
  }

  /**
   * Unmaps what `handle` stands for, as far as `address` (host) and `deviceAddress` are not 0. With `replacement` not 0
   * the entry that maps that address moves to `address` instead of an empty one. GNTST_.
   */
  unmap(vcpu: Vcpu, handle: number, address: Halves, deviceAddress: Halves, replacement: Halves): number {
    const { maptrack } = vcpu.domain.grants;
    const flags = handle < maptrack.limit ? maptrack.flags[handle] : 0;
    if (flags === 0) return GNTST_bad_handle;
    const remote = maptrack.remotes[handle];
    if (!remote || remote.owner.memory.released) {
      // The entry was overwritten instead, and the granter has died since. Xen crashes the caller here.
      maptrack.put(handle);
      return GNTST_bad_domain;
    }
    const ref = maptrack.refs[handle];
    const mfn = remote.mfns[ref] as Mfn;
    const ro = (flags & GNTMAP_readonly) !== 0;
    const device = !isZero(deviceAddress) && (flags & GNTMAP_device_map) !== 0;
    if (device && (deviceAddress.hi !== 0 || deviceAddress.lo !== (mfn << FRAME_SHIFT) >>> 0))
      return GNTST_bad_dev_addr;
    if (!isZero(address) && flags & GNTMAP_host_map) {
      const status = this.#remove(vcpu, mfn, flags, address, replacement);
      if (status !== GNTST_okay) return status;
      maptrack.flags[handle] &= ~GNTMAP_host_map;
      remote.release(ref, ro ? Pin.hstr : Pin.hstw, ro);
      this.#drop(mfn, ro);
    }
    if (device) {
      maptrack.flags[handle] &= ~GNTMAP_device_map;
      this.#endDevice(remote, ref, ro);
    }
    if ((maptrack.flags[handle] & (GNTMAP_device_map | GNTMAP_host_map)) === 0) maptrack.put(handle);
    return GNTST_okay;
  }

  #endDevice(remote: GrantTable, ref: number, ro: boolean): void {
    const mfn = remote.mfns[ref] as Mfn;
    if (!ro) this.#tlb.deviceWrites(mfn, false);
    remote.release(ref, ro ? Pin.devr : Pin.devw, ro);
    this.#drop(mfn, ro);
  }

  /** Empties or replaces the entry, if it still maps the grant's frame as it was mapped. */
  #remove(vcpu: Vcpu, mfn: Mfn, flags: number, at: Halves, replacement: Halves): number {
    const mm = this.#mm;
    if (flags & GNTMAP_contains_pte && !isZero(replacement)) return GNTST_general_error;
    let newLo = 0;
    let newHi = 0;
    const source = isZero(replacement) ? -1 : mm.findL1(vcpu, canonical(replacement.lo, replacement.hi));
    if (!isZero(replacement) && source === -1) return GNTST_general_error;
    const word = this.#entryFor(vcpu, flags, at);
    if (word === -1 || word === source) return GNTST_general_error;
    const lo = mm.entryLo(word);
    const expected = grantEntry(mfn, flags);
    if (pteMfn(lo, mm.entryHi(word)) !== mfn || (lo ^ expected.lo) & (Pte.P | Pte.RW)) return GNTST_general_error;
    if (source !== -1) {
      newLo = mm.entryLo(source);
      newHi = mm.entryHi(source);
      mm.storeRaw(source, 0, 0);
      this.#tlb.flushPage(canonical(replacement.lo, replacement.hi) as Va); // The guest counts on that, as in Xen.
    }
    mm.storeRaw(word, newLo, newHi);
    // The owner may use the frame for other things from here on, so no translation to it may be left with the mapper.
    this.#tlb.retire(mfn);
    return GNTST_okay;
  }

  /**
   * A dying domain's mappings: marks and pins are taken back now; the references of host mappings go with its page
   * tables. Looks at up to `budget` handles and returns how many are left.
   */
  releaseAll(domain: Domain, budget: number): number {
    const { maptrack } = domain.grants;
    while (maptrack.limit > 0 && budget-- > 0) {
      const handle = --maptrack.limit;
      const flags = maptrack.flags[handle];
      const remote = maptrack.remotes[handle];
      if (flags === 0 || !remote || remote.owner.memory.released) continue;
      const ref = maptrack.refs[handle];
      const ro = (flags & GNTMAP_readonly) !== 0;
      maptrack.flags[handle] = 0;
      if (flags & GNTMAP_host_map) remote.release(ref, ro ? Pin.hstr : Pin.hstw, ro);
      if (flags & GNTMAP_device_map) this.#endDevice(remote, ref, ro);
    }
    return maptrack.limit;
  }
}

function isZero(a: Halves): boolean {
  return (a.lo | a.hi) === 0;
}

/** What a mapping with these GNTMAP_ flags adds to its grant's `pins`. */
export function pinOf(flags: number): number {
  const ro = flags & GNTMAP_readonly;
  return (
    (flags & GNTMAP_device_map ? (ro ? Pin.devr : Pin.devw) : 0) +
    (flags & GNTMAP_host_map ? (ro ? Pin.hstr : Pin.hstw) : 0)
  );
}

/** The level-1 entry for a grant mapping: never executable, accessed and dirty, the guest's three software bits in it. */
function grantEntry(mfn: Mfn, flags: number): { lo: number; hi: number } {
  const lo =
    pteLo(mfn, Pte.P | Pte.A | Pte.D) |
    (flags & GNTMAP_application_map ? Pte.US : 0) |
    (flags & GNTMAP_readonly ? 0 : Pte.RW) |
    (((flags >>> _GNTMAP_guest_avail0) << 9) & Pte.AVAIL);
  return { lo: adjustLo(1, lo, PteHi.NX), hi: adjustHi(1, lo, PteHi.NX) };
}

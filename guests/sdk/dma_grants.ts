// Granted pages for devices: mapped and unmapped in batches without being visible to this kernel (GNTMAP_device_map of
// public/grant_table.h), for a driver that moves another domain's data by DMA. Nothing is allocated for a page or a batch:
// arguments lie in pages of their own, results go into the caller's arrays. The hypervisor sees to it that no processor
// goes on with code that it decoded from a page that a device may write.

import {
  GNTCOPY_source_gref,
  GNTMAP_device_map,
  GNTMAP_readonly,
  GNTST_okay,
  GNTTABOP_copy,
  GNTTABOP_map_grant_ref,
  GNTTABOP_unmap_grant_ref,
  GnttabCopy,
  GnttabMapGrantRef,
  GnttabUnmapGrantRef,
} from "../../shared/abi/grant_table.ts";
import type { Of } from "../../shared/abi/struct.ts";
import { __HYPERVISOR_grant_table_op, DOMID_SELF } from "../../shared/abi/xen.ts";
import type { DomId, GrantRef } from "../../shared/brand.ts";
import { PAGE_SIZE, type PageAllocator, type Pages } from "./pages.ts";
import type { Xen } from "./xen.ts";

const BATCH = 256;
const LIST_PAGES = (BATCH * GnttabMapGrantRef.size) / PAGE_SIZE;

/** Pages that are mapped, by number: what `map` fills and `unmap` needs. */
export class DmaMappings {
  readonly addresses: number[] = [];
  readonly handles: number[] = [];
}

export class DmaGrants {
  readonly #xen: Xen;
  readonly #allocator: PageAllocator;
  #pages: Pages | undefined = undefined;
  #copy: Of<typeof GnttabCopy> | undefined = undefined;

  constructor(xen: Xen, allocator: PageAllocator) {
    this.#xen = xen;
    this.#allocator = allocator;
  }

  /**
   * Maps `refs[0]` to `refs[count - 1]` (at most 256) of `domain`: their machine addresses and handles into `into`, from 0. All
   * or nothing: GNTST_okay, or the status of the first that failed.
   */
  map(domain: DomId, refs: readonly number[], count: number, readonly: boolean, into: DmaMappings): number {
    const { view, va } = this.#list();
    const { offsets, size } = GnttabMapGrantRef;
    const flags = GNTMAP_device_map | (readonly ? GNTMAP_readonly : 0);
    for (let i = 0, at = 0; i < count; i++, at += size) {
      view.setUint32(at + offsets.host_addr, 0, true);
      view.setUint32(at + offsets.host_addr + 4, 0, true);
      view.setUint32(at + offsets.flags, flags, true);
      view.setUint32(at + offsets.ref, refs[i], true);
      view.setUint16(at + offsets.dom, domain, true);
    }
    this.#xen.call("map_grant_ref", __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, va, count);
    let failed: number = GNTST_okay;
    let mapped = 0;
    for (let i = 0, at = 0; i < count; i++, at += size) {
      const status = view.getInt16(at + offsets.status, true);
      if (status === GNTST_okay) {
        into.handles[mapped] = view.getUint32(at + offsets.handle, true);
        into.addresses[mapped++] = view.getUint32(at + offsets.dev_bus_addr, true);
      } else if (failed === GNTST_okay) failed = status;
    }
    if (failed !== GNTST_okay) this.unmap(into, 0, mapped);
    return failed;
  }

  /** Unmaps `count` pages from number `first` on, any number. The worst status: of a domain that is gone nothing is left to unmap. */
  unmap({ addresses, handles }: DmaMappings, first: number, count: number): number {
    let worst: number = GNTST_okay;
    for (let from = first; from < first + count; from += BATCH)
      worst = Math.min(worst, this.#unmap(addresses, handles, from, Math.min(BATCH, first + count - from)));
    return worst;
  }

  #unmap(addresses: readonly number[], handles: readonly number[], first: number, count: number): number {
    const { view, va } = this.#list();
    const { offsets, size } = GnttabUnmapGrantRef;
    for (let i = 0, at = 0; i < count; i++, at += size) {
      view.setUint32(at + offsets.host_addr, 0, true);
      view.setUint32(at + offsets.host_addr + 4, 0, true);
      view.setUint32(at + offsets.dev_bus_addr, addresses[first + i], true);
      view.setUint32(at + offsets.dev_bus_addr + 4, 0, true);
      view.setUint32(at + offsets.handle, handles[first + i], true);
    }
    this.#xen.call("unmap_grant_ref", __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, va, count);
    let worst: number = GNTST_okay;
    for (let i = 0, at = 0; i < count; i++, at += size)
      worst = Math.min(worst, view.getInt16(at + offsets.status, true));
    return worst;
  }

  /** Copies the first `sizeBytes` of a granted page into an own one: GNTST_. */
  copyFrom(domain: DomId, ref: GrantRef, into: Pages, sizeBytes: number): number {
    const { view, va } = this.#list();
    this.#copy ??= GnttabCopy.at(view);
    const op = this.#copy;
    op.source.ref = ref;
    op.source.domid = domain;
    op.source.offset = 0;
    op.dest.gmfn_num = into.mfn;
    op.dest.domid = DOMID_SELF;
    op.dest.offset = 0;
    op.len = sizeBytes;
    op.flags = GNTCOPY_source_gref;
    this.#xen.call("copy", __HYPERVISOR_grant_table_op, GNTTABOP_copy, va, 1);
    return op.status;
  }

  #list(): Pages {
    this.#pages ??= this.#allocator.alloc(LIST_PAGES);
    return this.#pages;
  }
}

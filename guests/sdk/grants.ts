// Grants of a TypeScript kernel (public/grant_table.h, version 1): mapping what another domain granted, and granting own
// pages through the kernel's grant table, which is set up when first used and has 16 frames (8192 entries).
// Taking a grant back follows the header's protocol: compare-and-exchange of the flags, which fails while Xen's
// GTF_reading or GTF_writing is set.

import {
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_okay,
  GNTTAB_NR_RESERVED_ENTRIES,
  GNTTABOP_map_grant_ref,
  GNTTABOP_setup_table,
  GNTTABOP_unmap_grant_ref,
  GnttabMapGrantRef,
  GnttabSetupTable,
  GnttabUnmapGrantRef,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_writing,
} from "../../shared/abi/grant_table.ts";
import { __HYPERVISOR_grant_table_op, DOMID_SELF } from "../../shared/abi/xen.ts";
import type { DomId, GrantRef, Mfn, Pfn } from "../../shared/brand.ts";
import { DmaGrants } from "./dma_grants.ts";
import { PAGE_SIZE, type PageAllocator } from "./pages.ts";
import type { Mapping, Window } from "./window.ts";
import type { Xen } from "./xen.ts";

/** A grant operation whose GNTST_ status was not okay. */
export class GrantError extends Error {
  override readonly name = "GrantError";
  /** GNTST_, negative. */
  readonly status: number;
  constructor(what: string, status: number) {
    super(`${what}: grant status ${status}`);
    this.status = status;
  }
}

/** Pages of another domain, mapped by its grants until `unmap`: nothing here may be used after that. */
export interface GrantedPages {
  readonly count: number;
  /** Machine address of page i: for DMA. */
  address(i: number): number;
  /** The bytes of page i. */
  page(i: number): Uint8Array<SharedArrayBuffer>;
  unmap(): void;
}

const TABLE_FRAMES = 16;
const ENTRIES_PER_FRAME = PAGE_SIZE / 8;
const ENTRIES = TABLE_FRAMES * ENTRIES_PER_FRAME;

/** A frame of the grant table, and an entry's number in it. */
interface TableFrame {
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
}

export class Grants {
  readonly #xen: Xen;
  readonly #window: Window;
  readonly #pages: PageAllocator;
  /** For pages that only devices touch. */
  readonly dma: DmaGrants;
  #frames: readonly TableFrame[] | undefined = undefined;
  readonly #free: number[] = [];

  constructor(xen: Xen, window: Window, pages: PageAllocator) {
    this.#xen = xen;
    this.#window = window;
    this.#pages = pages;
    this.dma = new DmaGrants(xen, pages);
  }

  /** Maps the page that `domain` granted as `ref`. Throws GrantError. */
  map(domain: DomId, ref: GrantRef, readonly: boolean): Mapping {
    const slot = this.#window.reserve(1);
    const va = this.#window.va(slot);
    const { status, handle } = this.#xen.grantTableOp(
      GNTTABOP_map_grant_ref,
      GnttabMapGrantRef,
      (s) => {
        s.host_addr_num = va;
        s.flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
        s.ref = ref;
        s.dom = domain;
      },
      (s) => ({ status: s.status, handle: s.handle }),
    );
    if (status !== GNTST_okay) {
      this.#window.release(slot, 1);
      throw new GrantError(`mapping grant ${ref} of domain ${domain}`, status);
    }
    return this.#window.mapping(slot, 1, !readonly, () => {
      const result = this.#xen.grantTableOp(
        GNTTABOP_unmap_grant_ref,
        GnttabUnmapGrantRef,
        (s) => {
          s.host_addr_num = va;
          s.handle = handle;
        },
        (s) => s.status,
      );
      if (result !== GNTST_okay) throw new GrantError(`unmapping grant ${ref} of domain ${domain}`, result);
    });
  }

  /**
   * Maps several granted pages in one hypercall. All or nothing: throws GrantError. For pages that only devices touch, and for
   * many of them, there is `dma`.
   */
  mapPages(domain: DomId, refs: readonly GrantRef[], readonly: boolean): GrantedPages {
    const count = refs.length;
    const slot = this.#window.reserve(count);
    const flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
    const pages = new MappedPages(this.#window, slot, count, readonly, (mapped) => this.#unmapPages(mapped));
    let failed = -1;
    this.#xen.arena.use((a) => {
      const list = a.alloc(count * GnttabMapGrantRef.size);
      const s = GnttabMapGrantRef.at(list.view);
      for (let i = 0; i < count; i++) {
        s.$at(i * GnttabMapGrantRef.size);
        s.host_addr_num = this.#window.va(slot + i);
        s.flags = flags;
        s.ref = refs[i];
        s.dom = domain;
        s.status = -1;
      }
      this.#xen.call("map_grant_ref", __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, list.va, count);
      for (let i = 0; i < count; i++) {
        s.$at(i * GnttabMapGrantRef.size);
        pages.statuses[i] = s.status;
        pages.handles[i] = s.handle;
        pages.addresses[i] = s.dev_bus_addr_num;
        if (s.status !== GNTST_okay && failed < 0) failed = i;
      }
    });
    if (failed >= 0) {
      pages.unmap();
      throw new GrantError(`mapping grant ${refs[failed]} of domain ${domain}`, pages.statuses[failed]);
    }
    return pages;
  }

  #unmapPages(pages: MappedPages): void {
    const { count, slot } = pages;
    let worst: number = GNTST_okay;
    this.#xen.arena.use((a) => {
      const list = a.alloc(count * GnttabUnmapGrantRef.size);
      const s = GnttabUnmapGrantRef.at(list.view);
      let n = 0;
      for (let i = 0; i < count; i++) {
        if (pages.statuses[i] !== GNTST_okay) continue;
        s.$at(n++ * GnttabUnmapGrantRef.size);
        s.host_addr_num = this.#window.va(slot + i);
        s.handle = pages.handles[i];
        s.status = -1;
      }
      if (n === 0) return;
      this.#xen.call("unmap_grant_ref", __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, list.va, n);
      for (let i = 0; i < n; i++) worst = Math.min(worst, s.$at(i * GnttabUnmapGrantRef.size).status);
    });
    this.#window.release(slot, count);
    if (worst !== GNTST_okay) throw new GrantError(`unmapping ${count} grants`, worst);
  }

  /** Lets `domain` map an own page. Throws RangeError when all entries are in use. */
  grantAccess(domain: DomId, pfn: Pfn, readonly: boolean): GrantRef {
    const frames = this.#setUp();
    const ref = this.#free.pop();
    if (ref === undefined) throw new RangeError(`all ${ENTRIES} grant entries are in use`);
    const { u16, u32 } = frames[Math.floor(ref / ENTRIES_PER_FRAME)];
    const at = ref % ENTRIES_PER_FRAME;
    u16[at * 4 + 1] = domain;
    Atomics.store(u32, at * 2 + 1, this.#pages.mfn(pfn));
    Atomics.store(u16, at * 4, GTF_permit_access | (readonly ? GTF_readonly : 0));
    return ref as GrantRef;
  }

  /** Takes a grant back; false while the other domain still has the page mapped. */
  endAccess(ref: GrantRef): boolean {
    const { u16 } = this.#setUp()[Math.floor(ref / ENTRIES_PER_FRAME)];
    const at = (ref % ENTRIES_PER_FRAME) * 4;
    for (;;) {
      const flags = Atomics.load(u16, at);
      if (flags & (GTF_reading | GTF_writing)) return false;
      if (Atomics.compareExchange(u16, at, flags, 0) === flags) break;
    }
    this.#free.push(ref);
    return true;
  }

  #setUp(): readonly TableFrame[] {
    if (this.#frames !== undefined) return this.#frames;
    const mfns = this.#xen.arena.use((a) => {
      const list = a.alloc(TABLE_FRAMES * 8);
      const s = a.struct(GnttabSetupTable);
      s.at.dom = DOMID_SELF;
      s.at.nr_frames = TABLE_FRAMES;
      s.at.frame_list_num = list.va;
      this.#xen.call("setup_table", __HYPERVISOR_grant_table_op, GNTTABOP_setup_table, s.va, 1);
      if (s.at.status !== GNTST_okay) throw new GrantError("setting up the grant table", s.at.status);
      return Array.from({ length: TABLE_FRAMES }, (_, i) => list.view.getUint32(i * 8, true) as Mfn);
    });
    const table = this.#window.map(DOMID_SELF as DomId, mfns, true);
    this.#frames = mfns.map((_, i) => {
      const page = table.page(i);
      return {
        u16: new Uint16Array(page.buffer, page.byteOffset, PAGE_SIZE / 2),
        u32: new Uint32Array(page.buffer, page.byteOffset, PAGE_SIZE / 4),
      };
    });
    for (let ref = ENTRIES - 1; ref >= GNTTAB_NR_RESERVED_ENTRIES; ref--) this.#free.push(ref);
    return this.#frames;
  }
}

class MappedPages implements GrantedPages {
  readonly count: number;
  /** In the window. */
  readonly slot: number;
  readonly statuses: number[] = [];
  readonly handles: number[] = [];
  readonly addresses: number[] = [];
  readonly #window: Window;
  readonly #readonly: boolean;
  readonly #unmap: (pages: MappedPages) => void;

  constructor(window: Window, slot: number, count: number, readonly: boolean, unmap: (pages: MappedPages) => void) {
    this.#window = window;
    this.slot = slot;
    this.count = count;
    this.#readonly = readonly;
    this.#unmap = unmap;
  }

  address(i: number): number {
    return this.addresses[i];
  }

  page(i: number): Uint8Array<SharedArrayBuffer> {
    if (!(i >= 0 && i < this.count)) throw new RangeError(`page ${i} of ${this.count}`);
    return this.#window.view(this.slot + i, !this.#readonly);
  }

  unmap(): void {
    this.#unmap(this);
  }
}

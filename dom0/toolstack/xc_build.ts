// The control calls that fill a new domain: frames, mapped frames, page-table pinning, grant table, hypercall page, registers.
// Like Xen's libxc. Called by builder/build.ts; stateless. What the hypervisor refuses is thrown as the SDK's XenError.

import type { Kernel } from "../../guests/sdk/index.ts";
import { VcpuGuestContext } from "../../shared/abi/arch_x86.ts";
import * as D from "../../shared/abi/domctl.ts";
import { GNTST_okay, GNTTABOP_setup_table, GnttabSetupTable } from "../../shared/abi/grant_table.ts";
import { XENMEM_populate_physmap, XenMemoryReservation } from "../../shared/abi/memory.ts";
import type { Accessor } from "../../shared/abi/struct.ts";
import { __HYPERVISOR_memory_op, MMUEXT_PIN_L4_TABLE } from "../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";
import { XEN_DOMCTL_script } from "../../shared/script_image.ts";

const POPULATE_BATCH = 4096;
/** Runs of 2 MiB, of 64 KiB, single frames. */
const RUN_ORDERS = [9, 4, 0] as const;
/** Frames mapped at a time. */
const MAP_BATCH = 512;

/** There is not enough free memory for what was asked. */
export class OutOfMemory extends Error {
  override readonly name = "OutOfMemory";
}

export class XcBuild {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * Gives the domain frames for its page frame numbers `first` to `first + count - 1`; returns their machine frames.
   * Throws OutOfMemory when fewer can be had (what was given stays the domain's, until it is destroyed).
   */
  populate(domid: DomId, first: number, count: number): Mfn[] {
    const mfns = this.#extents(domid, first, count, 0);
    if (mfns.length < count) throw new OutOfMemory();
    return mfns;
  }

  /** The same in runs of consecutive machine frames, as long as they can be had. */
  populateRuns(domid: DomId, first: number, count: number): Mfn[] {
    const mfns: Mfn[] = [];
    for (const order of RUN_ORDERS) {
      const extents = Math.floor((count - mfns.length) / 2 ** order);
      for (const mfn of this.#extents(domid, first + mfns.length, extents, order))
        for (let i = 0; i < 2 ** order; i++) mfns.push((mfn + i) as Mfn);
    }
    if (mfns.length < count) throw new OutOfMemory();
    return mfns;
  }

  /** The first machine frames of up to `count` extents of 2^order frames: as many as could be had. */
  #extents(domid: DomId, first: number, count: number, order: number): Mfn[] {
    const { xen } = this.#kernel;
    const mfns: Mfn[] = [];
    for (let at = 0; at < count; at += POPULATE_BATCH) {
      const n = Math.min(POPULATE_BATCH, count - at);
      xen.arena.use((a) => {
        const list = a.alloc(n * 8);
        for (let i = 0; i < n; i++) list.view.setUint32(i * 8, first + (at + i) * 2 ** order, true);
        const r = a.struct(XenMemoryReservation);
        r.at.extent_start_num = list.va;
        r.at.nr_extents_num = n;
        r.at.extent_order = order;
        r.at.domid = domid;
        const done = xen.call("populate_physmap", __HYPERVISOR_memory_op, XENMEM_populate_physmap, r.va);
        for (let i = 0; i < done; i++) mfns.push(list.view.getUint32(i * 8, true) as Mfn);
      });
      if (mfns.length < at + n) break;
    }
    return mfns;
  }

  /** Pins the domain's level-4 table: from then on it is one, and validated. */
  pinL4(domid: DomId, mfn: Mfn): void {
    this.#kernel.xen.mmuextOp((op) => {
      op.cmd = MMUEXT_PIN_L4_TABLE;
      op.arg1_mfn_num = mfn;
    }, domid);
  }

  /** Fills a frame of the domain with the hypercall page. */
  hypercallInit(domid: DomId, mfn: Mfn): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_hypercall_init, domid, (u) => {
      D.XenDomctlHypercallInit.at(u).gmfn_num = mfn;
    });
  }

  /** Has the domain run from a script image, at which its vcpu is then to enter. */
  setScript(domid: DomId): void {
    this.#kernel.xen.domctl(XEN_DOMCTL_script, domid);
  }

  /** Sets a vcpu's registers; `fill` gets a zeroed context. */
  setVcpuContext(domid: DomId, vcpu: number, fill: (c: Accessor<typeof VcpuGuestContext.fields>) => void): void {
    this.#kernel.xen.arena.use((a) => {
      const context = a.struct(VcpuGuestContext);
      fill(context.at);
      this.#kernel.xen.domctl(D.XEN_DOMCTL_setvcpucontext, domid, (u) => {
        const v = D.XenDomctlVcpucontext.at(u);
        v.vcpu = vcpu;
        v.ctxt_num = context.va;
      });
    });
  }

  /** The machine frame of the first page of the domain's grant table, made if need be. */
  grantTableFrame(domid: DomId): Mfn {
    const { xen } = this.#kernel;
    return xen.arena.use((a) => {
      const list = a.alloc(8);
      return xen.grantTableOp(
        GNTTABOP_setup_table,
        GnttabSetupTable,
        (s) => {
          s.dom = domid;
          s.nr_frames = 1;
          s.frame_list_num = list.va;
        },
        (s) => {
          if (s.status !== GNTST_okay) throw new Error(`grant table of domain ${domid}: grant status ${s.status}`);
          return list.view.getUint32(0, true) as Mfn;
        },
      );
    });
  }

  /** Calls `use` with the bytes of a frame of the domain, mapped writable meanwhile. */
  withFrame(domid: DomId, mfn: Mfn, use: (bytes: Uint8Array<SharedArrayBuffer>) => void): void {
    this.withFrames(domid, [mfn], (_, bytes) => use(bytes));
  }

  /** Calls `use` for each of the frames, some hundred of which are mapped at a time. */
  withFrames(domid: DomId, mfns: readonly Mfn[], use: (i: number, bytes: Uint8Array<SharedArrayBuffer>) => void): void {
    for (let at = 0; at < mfns.length; at += MAP_BATCH) {
      const mapping = this.#kernel.mapForeign(domid, mfns.slice(at, at + MAP_BATCH), true);
      try {
        for (let i = 0; i < mapping.count; i++) use(at + i, mapping.page(i));
      } finally {
        mapping.unmap();
      }
    }
  }
}

// The control calls of a toolstack as plain methods, like Xen's libxc: domctl, sysctl, memory_op and the rest, in numbers
// and small objects. Called by the domain builder, the toolstack and xl; stateless. A call that the hypervisor refuses
// throws the SDK's XenError.

import type { Kernel } from "../../guests/sdk/index.ts";
import { VcpuGuestContext } from "../../shared/abi/arch_x86.ts";
import * as D from "../../shared/abi/domctl.ts";
import { GNTST_okay, GNTTABOP_setup_table, GnttabSetupTable } from "../../shared/abi/grant_table.ts";
import {
  E820_RAM,
  E820Entry,
  XENMEM_populate_physmap,
  XENMEM_set_memory_map,
  XenForeignMemoryMap,
  XenMemoryReservation,
} from "../../shared/abi/memory.ts";
import type { Accessor } from "../../shared/abi/struct.ts";
import * as S from "../../shared/abi/sysctl.ts";
import { __HYPERVISOR_memory_op, MMUEXT_PIN_L4_TABLE } from "../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../shared/brand.ts";

/** What domctl getdomaininfo tells of a domain. */
export interface DomainInfo {
  readonly domid: DomId;
  readonly dying: boolean;
  readonly shutdown: boolean;
  readonly paused: boolean;
  readonly blocked: boolean;
  readonly running: boolean;
  /** SHUTDOWN_ reason; meaningful when `shutdown`. */
  readonly shutdownReason: number;
  readonly totPages: number;
  readonly maxPages: number;
  readonly sharedInfoMfn: Mfn;
  readonly cpuTimeNs: number;
  readonly onlineVcpus: number;
  readonly maxVcpuId: number;
  /** 16 bytes. */
  readonly handle: Uint8Array;
}

export interface VcpuState {
  readonly online: boolean;
  readonly blocked: boolean;
  readonly running: boolean;
  readonly cpuTimeNs: number;
  readonly cpu: number;
}

/** BVT parameters of a domain, as xl sched-bvt shows them. */
export interface BvtParameters {
  mcuAdvance: number;
  warp: boolean;
  warpValue: number;
  /** Milliseconds; 0: no bound. */
  warpLimitMs: number;
  unwarpLimitMs: number;
}

/** weight x mcuAdvance, as the hypervisor's BVT has it: a new domain's weight of 256 is an mcu_advance of 2^17. */
export const WEIGHT_SCALE = 1 << 25;

const POPULATE_BATCH = 4096;
const INFO_LIST = 64;

export class Xc {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Makes an empty, paused domain and returns its id. `handle` is its UUID, 16 bytes. */
  createDomain(handle: Uint8Array, maxVcpus: number): DomId {
    return this.#kernel.xen.domctl(
      D.XEN_DOMCTL_createdomain,
      0 as DomId, // No wish: the hypervisor chooses.
      (u) => {
        const c = D.XenDomctlCreatedomain.at(u);
        c.handle = handle;
        c.max_vcpus = maxVcpus;
        c.max_evtchn_port = 0x7fffffff;
        c.max_grant_frames = -1;
        c.max_maptrack_frames = -1;
        c.grant_opts = 1;
      },
      (_u, domid) => domid,
    );
  }

  /** Ends the domain and gives back its memory, as far as nobody has it mapped. */
  destroyDomain(domid: DomId): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_destroydomain, domid);
  }

  pauseDomain(domid: DomId): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_pausedomain, domid);
  }

  unpauseDomain(domid: DomId): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_unpausedomain, domid);
  }

  /** Undefined when there is no such domain. */
  domainInfo(domid: number): DomainInfo | undefined {
    try {
      // The call answers for the first domain from `domid` on.
      const info = this.#kernel.xen.domctl(D.XEN_DOMCTL_getdomaininfo, domid as DomId, undefined, (u) =>
        toInfo(D.XenDomctlGetdomaininfo.at(u)),
      );
      return info.domid === domid ? info : undefined;
    } catch (error) {
      if (isNamed(error, "ESRCH")) return undefined;
      throw error;
    }
  }

  /** All domains by rising id, dom0 first. */
  domains(): DomainInfo[] {
    const all: DomainInfo[] = [];
    for (;;) {
      const first = all.length === 0 ? 0 : all[all.length - 1].domid + 1;
      const batch = this.#domainsFrom(first);
      all.push(...batch);
      if (batch.length < INFO_LIST) return all;
    }
  }

  setMaxMem(domid: DomId, maxKiB: number): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_max_mem, domid, (u) => {
      D.XenDomctlMaxMem.at(u).max_memkb_num = maxKiB;
    });
  }

  /** Tells the domain by its memory map that it has RAM from physical address 0 on, as libxl does for a PV domain. */
  setMemoryMap(domid: DomId, sizeKiB: number): void {
    const { xen } = this.#kernel;
    xen.arena.use((a) => {
      const entry = a.struct(E820Entry);
      entry.at.size_lo = (sizeKiB * 1024) >>> 0;
      entry.at.size_hi = Math.floor((sizeKiB * 1024) / 4294967296);
      entry.at.type = E820_RAM;
      const r = a.struct(XenForeignMemoryMap);
      r.at.domid = domid;
      r.at.map.nr_entries = 1;
      r.at.map.buffer_num = entry.va;
      xen.call("set_memory_map", __HYPERVISOR_memory_op, XENMEM_set_memory_map, r.va);
    });
  }

  setMaxVcpus(domid: DomId, max: number): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_max_vcpus, domid, (u) => {
      D.XenDomctlMaxVcpus.at(u).max = max;
    });
  }

  /**
   * Gives the domain frames for its page frame numbers `first` to `first + count - 1`; returns their machine frames.
   * Throws XenError ENOMEM when fewer can be had (what was given stays the domain's, until it is destroyed).
   */
  populate(domid: DomId, first: number, count: number): Mfn[] {
    const { xen } = this.#kernel;
    const mfns: Mfn[] = [];
    for (let at = 0; at < count; at += POPULATE_BATCH) {
      const n = Math.min(POPULATE_BATCH, count - at);
      xen.arena.use((a) => {
        const list = a.alloc(n * 8);
        for (let i = 0; i < n; i++) list.view.setUint32(i * 8, first + at + i, true);
        const r = a.struct(XenMemoryReservation);
        r.at.extent_start_num = list.va;
        r.at.nr_extents_num = n;
        r.at.domid = domid;
        const done = xen.call("populate_physmap", __HYPERVISOR_memory_op, XENMEM_populate_physmap, r.va);
        if (done < n) throw new OutOfMemory();
        for (let i = 0; i < n; i++) mfns.push(list.view.getUint32(i * 8, true) as Mfn);
      });
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

  vcpuState(domid: DomId, vcpu: number): VcpuState {
    return this.#kernel.xen.domctl(
      D.XEN_DOMCTL_getvcpuinfo,
      domid,
      (u) => {
        D.XenDomctlGetvcpuinfo.at(u).vcpu = vcpu;
      },
      (u) => {
        const v = D.XenDomctlGetvcpuinfo.at(u);
        return {
          online: v.online !== 0,
          blocked: v.blocked !== 0,
          running: v.running !== 0,
          cpuTimeNs: v.cpu_time_num,
          cpu: v.cpu,
        };
      },
    );
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
    for (let at = 0; at < mfns.length; at += 512) {
      const mapping = this.#kernel.mapForeign(domid, mfns.slice(at, at + 512), true);
      try {
        for (let i = 0; i < mapping.count; i++) use(at + i, mapping.page(i));
      } finally {
        mapping.unmap();
      }
    }
  }

  getBvt(domid: DomId): BvtParameters {
    return this.#kernel.xen.domctl(
      D.XEN_DOMCTL_scheduler_op,
      domid,
      (u) => schedulerOp(u, D.XEN_DOMCTL_SCHEDOP_getinfo),
      (u) => {
        const b = D.XenDomctlSchedulerOp.at(u).bvt;
        return {
          mcuAdvance: b.mcu_adv,
          warp: b.warpback !== 0,
          warpValue: b.warpvalue,
          warpLimitMs: b.warpl_num,
          unwarpLimitMs: b.warpu_num,
        };
      },
    );
  }

  setBvt(domid: DomId, p: BvtParameters): void {
    this.#kernel.xen.domctl(D.XEN_DOMCTL_scheduler_op, domid, (u) => {
      schedulerOp(u, D.XEN_DOMCTL_SCHEDOP_putinfo);
      const b = D.XenDomctlSchedulerOp.at(u).bvt;
      b.mcu_adv = p.mcuAdvance;
      b.warpback = p.warp ? 1 : 0;
      b.warpvalue = p.warpValue;
      b.warpl_num = p.warpLimitMs;
      b.warpu_num = p.unwarpLimitMs;
    });
  }

  #domainsFrom(first: number): DomainInfo[] {
    const { xen } = this.#kernel;
    const size = D.XenDomctlGetdomaininfo.size;
    return xen.arena.use((a) => {
      const list = a.alloc(INFO_LIST * size);
      const n = xen.sysctl(
        S.XEN_SYSCTL_getdomaininfolist,
        (u) => {
          const g = S.XenSysctlGetdomaininfolist.at(u);
          g.first_domain = first;
          g.max_domains = INFO_LIST;
          g.buffer_num = list.va;
        },
        (u) => S.XenSysctlGetdomaininfolist.at(u).num_domains,
      );
      return Array.from({ length: n }, (_, i) => toInfo(D.XenDomctlGetdomaininfo.at(list.view, i * size)));
    });
  }
}

/** There is not enough free memory for what was asked. */
export class OutOfMemory extends Error {
  override readonly name = "OutOfMemory";
}

/** True for an error of the SDK (XenError, HostError) of that name: "ENOMEM". */
export function isNamed(error: unknown, code: string): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === code;
}

function schedulerOp(u: DataView, cmd: number): void {
  const s = D.XenDomctlSchedulerOp.at(u);
  s.sched_id = D.XEN_SCHEDULER_BVT;
  s.cmd = cmd;
}

function toInfo(i: Accessor<typeof D.XenDomctlGetdomaininfo.fields>): DomainInfo {
  const has = (flag: number): boolean => (i.flags & flag) !== 0;
  return {
    domid: i.domain as DomId,
    dying: has(D.XEN_DOMINF_dying),
    shutdown: has(D.XEN_DOMINF_shutdown),
    paused: has(D.XEN_DOMINF_paused),
    blocked: has(D.XEN_DOMINF_blocked),
    running: has(D.XEN_DOMINF_running),
    shutdownReason: (i.flags >>> D.XEN_DOMINF_shutdownshift) & D.XEN_DOMINF_shutdownmask,
    totPages: i.tot_pages_num,
    maxPages: i.max_pages_num,
    sharedInfoMfn: i.shared_info_frame_num as Mfn,
    cpuTimeNs: i.cpu_time_num,
    onlineVcpus: i.nr_online_vcpus,
    maxVcpuId: i.max_vcpu_id,
    handle: i.handle.slice(),
  };
}

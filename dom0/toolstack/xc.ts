// The control calls of a toolstack as plain methods, like Xen's libxc: the life of domains and what is known of them.
// xc_build.ts has those that fill a new domain, xc_bvt.ts the scheduler's, xc_machine.ts the machine's. Called by the
// toolstack and xl; stateless. A call that the hypervisor refuses throws the SDK's XenError.

import { type Kernel, type Task, yieldNow } from "../../guests/sdk/index.ts";
import * as D from "../../shared/abi/domctl.ts";
import { E820_RAM, E820Entry, XENMEM_set_memory_map, XenForeignMemoryMap } from "../../shared/abi/memory.ts";
import type { Accessor } from "../../shared/abi/struct.ts";
import * as S from "../../shared/abi/sysctl.ts";
import { __HYPERVISOR_memory_op } from "../../shared/abi/xen.ts";
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

const INFO_LIST = 64;
/** The highest port of a domain: xl's default for event_channels. */
const MAX_EVTCHN_PORT = 1023;

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
        c.max_evtchn_port = MAX_EVTCHN_PORT;
        c.max_grant_frames = -1;
        c.max_maptrack_frames = -1;
        c.grant_opts = 1;
      },
      (_u, domid) => domid,
    );
  }

  /** Ends the domain and gives back its memory, as far as nobody has it mapped. Others run while it is large. */
  *destroyDomain(domid: DomId): Task {
    let more = false;
    try {
      while ((more = this.#destroyOn(domid))) yield* yieldNow();
    } finally {
      // When the thread is cancelled nobody else would go on.
      while (more) more = this.#destroyOn(domid);
    }
  }

  /** A piece of that: whether there is more. */
  #destroyOn(domid: DomId): boolean {
    try {
      this.#kernel.xen.domctl(D.XEN_DOMCTL_destroydomain, domid);
      return false;
    } catch (error) {
      if (isNamed(error, "ERESTART")) return true;
      throw error;
    }
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

/** True for an error of the SDK (XenError, HostError) of that name: "ENOMEM". */
export function isNamed(error: unknown, code: string): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === code;
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

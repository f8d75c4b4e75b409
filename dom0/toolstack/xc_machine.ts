// What a toolstack asks of the machine as a whole: sysctl and xen_version, as plain calls. Called by xl and the toolstack.

import type { Kernel } from "../../guests/sdk/index.ts";
import * as S from "../../shared/abi/sysctl.ts";
import * as V from "../../shared/abi/version.ts";

export interface PhysInfo {
  readonly threadsPerCore: number;
  readonly coresPerSocket: number;
  readonly nrCpus: number;
  readonly maxCpuId: number;
  readonly nrNodes: number;
  readonly cpuKhz: number;
  readonly capabilities: number;
  readonly totalPages: number;
  readonly freePages: number;
  readonly outstandingPages: number;
  readonly hwCap: readonly number[];
}

export interface VersionInfo {
  readonly major: number;
  readonly minor: number;
  readonly extra: string;
  readonly compiler: string;
  readonly compileBy: string;
  readonly compileDomain: string;
  readonly compileDate: string;
  readonly capabilities: string;
  readonly changeset: string;
  readonly commandline: string;
  readonly virtStart: bigint;
  readonly pageSize: number;
  /** In hexadecimal; empty when there is none. */
  readonly buildId: string;
}

const BUILD_ID_BYTES = 64;

export function physInfo(kernel: Kernel): PhysInfo {
  return kernel.xen.sysctl(S.XEN_SYSCTL_physinfo, undefined, (u) => {
    const p = S.XenSysctlPhysinfo.at(u);
    return {
      threadsPerCore: p.threads_per_core,
      coresPerSocket: p.cores_per_socket,
      nrCpus: p.nr_cpus,
      maxCpuId: p.max_cpu_id,
      nrNodes: p.nr_nodes,
      cpuKhz: p.cpu_khz,
      capabilities: p.capabilities,
      totalPages: p.total_pages_num,
      freePages: p.free_pages_num,
      outstandingPages: p.outstanding_pages_num,
      hwCap: Array.from({ length: 8 }, (_, i) => p.hw_cap.get(i)),
    };
  });
}

/** A XEN_SCHEDULER_ number. */
export function schedulerId(kernel: Kernel): number {
  return kernel.xen.sysctl(S.XEN_SYSCTL_sched_id, undefined, (u) => S.XenSysctlSchedId.at(u).sched_id);
}

/** The hypervisor's log from its beginning; with `clear` it is emptied. */
export function readLog(kernel: Kernel, clear: boolean): string {
  const decoder = new TextDecoder();
  let text = "";
  let index = 0;
  for (;;) {
    const piece = kernel.xen.arena.use((a) => {
      const buffer = a.alloc(16384);
      return kernel.xen.sysctl(
        S.XEN_SYSCTL_readconsole,
        (u) => {
          const r = S.XenSysctlReadconsole.at(u);
          r.clear = clear ? 1 : 0;
          r.incremental = 1;
          r.index = index;
          r.buffer_num = buffer.va;
          r.count = buffer.bytes.length;
        },
        (u) => {
          const r = S.XenSysctlReadconsole.at(u);
          index = r.index;
          return buffer.bytes.slice(0, r.count);
        },
      );
    });
    if (piece.length === 0) return text + decoder.decode();
    text += decoder.decode(piece, { stream: true });
  }
}

/** Sends keys to the hypervisor, whose answer stands in its log. */
export function debugKeys(kernel: Kernel, keys: string): void {
  kernel.xen.arena.use((a) => {
    const bytes = new TextEncoder().encode(keys);
    const buffer = a.alloc(bytes.length);
    buffer.bytes.set(bytes);
    kernel.xen.sysctl(S.XEN_SYSCTL_debug_keys, (u) => {
      const d = S.XenSysctlDebugKeys.at(u);
      d.keys_num = buffer.va;
      d.nr_keys = bytes.length;
    });
  });
}

export function versionInfo(kernel: Kernel): VersionInfo {
  const { xen } = kernel;
  const text = (cmd: number, size: number): string =>
    xen.arena.use((a) => {
      const buffer = a.alloc(size);
      xen.xenVersion(cmd, buffer.va);
      const end = buffer.bytes.indexOf(0);
      return new TextDecoder().decode(buffer.bytes.slice(0, end < 0 ? size : end));
    });
  const version = xen.xenVersion(V.XENVER_version);
  return xen.arena.use((a) => {
    const compile = a.struct(V.XenCompileInfo);
    xen.xenVersion(V.XENVER_compile_info, compile.va);
    const platform = a.struct(V.XenPlatformParameters);
    xen.xenVersion(V.XENVER_platform_parameters, platform.va);
    return {
      major: version >>> 16,
      minor: version & 0xffff,
      extra: text(V.XENVER_extraversion, V.XEN_EXTRAVERSION_LEN),
      compiler: compile.at.compiler,
      compileBy: compile.at.compile_by,
      compileDomain: compile.at.compile_domain,
      compileDate: compile.at.compile_date,
      capabilities: text(V.XENVER_capabilities, V.XEN_CAPABILITIES_INFO_LEN),
      changeset: text(V.XENVER_changeset, V.XEN_CHANGESET_INFO_LEN),
      commandline: text(V.XENVER_commandline, V.XEN_COMMANDLINE_LEN),
      virtStart: platform.at.virt_start,
      pageSize: xen.xenVersion(V.XENVER_pagesize),
      buildId: buildId(kernel),
    };
  });
}

function buildId(kernel: Kernel): string {
  return kernel.xen.arena.use((a) => {
    const buffer = a.alloc(4 + BUILD_ID_BYTES);
    buffer.view.setUint32(0, BUILD_ID_BYTES, true);
    try {
      const n = kernel.xen.xenVersion(V.XENVER_build_id, buffer.va);
      return [...buffer.bytes.slice(4, 4 + n)].map((b) => b.toString(16).padStart(2, "0")).join("");
    } catch {
      return ""; // A hypervisor without one says so by an error.
    }
  });
}

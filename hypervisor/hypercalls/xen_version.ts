// HYPERVISOR_xen_version (public/version.h): version, build, features. Only dom0 is told the command line (a domU reads
// "<denied>") and the build id (-EPERM), as Debian's Xen does.

import { XEN_EFAULT, XEN_EINVAL, XEN_ENODATA, XEN_ENOSYS, XEN_EPERM } from "../../shared/abi/errno.ts";
import {
  XENFEAT_direct_mapped,
  XENFEAT_dom0,
  XENFEAT_gnttab_map_avail_bits,
  XENFEAT_highmem_assist,
  XENFEAT_memory_op_vnode_supported,
  XENFEAT_mmu_pt_update_preserve_ad,
  XENFEAT_pae_pgdir_above_4gb,
} from "../../shared/abi/features.ts";
import {
  XEN_CAPABILITIES_INFO_LEN,
  XEN_CHANGESET_INFO_LEN,
  XEN_EXTRAVERSION_LEN,
  XENVER_build_id,
  XENVER_capabilities,
  XENVER_changeset,
  XENVER_commandline,
  XENVER_compile_info,
  XENVER_extraversion,
  XENVER_get_features,
  XENVER_guest_handle,
  XENVER_pagesize,
  XENVER_platform_parameters,
  XENVER_version,
  XenCompileInfo,
  XenFeatureInfo,
} from "../../shared/abi/version.ts";
import { VMASST_TYPE_pae_extended_cr3 } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Domain } from "../domain.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { FRAME_SIZE } from "../machine/memory.ts";
import type { Vcpu } from "../vcpu.ts";
import type { Handler } from "./args.ts";
import { copyIn, copyOut } from "./copy.ts";
import * as info from "./version_info.ts";

/** What a domU reads instead of the command line, and the bytes that are written. */
const DENIED = "<denied>";
const XEN_COMMANDLINE_LEN_SHOWN = DENIED.length + 1;

/** (command, buffer) */
export const xenVersion: Handler = (hv, vcpu, a) => {
  const command = a.i32(0);
  if (command === XENVER_version) return info.XEN_MAJOR * 65536 + info.XEN_MINOR;
  const va = a.va(1);
  switch (command) {
    case XENVER_extraversion:
      return text(hv, vcpu, va, info.EXTRAVERSION, XEN_EXTRAVERSION_LEN);
    case XENVER_compile_info:
      return compileInfo(hv, vcpu, va);
    case XENVER_capabilities:
      return text(hv, vcpu, va, info.CAPABILITIES, XEN_CAPABILITIES_INFO_LEN);
    case XENVER_changeset:
      return text(hv, vcpu, va, info.CHANGESET, XEN_CHANGESET_INFO_LEN);
    case XENVER_platform_parameters:
      hv.scratch.setBigUint64(0, info.VIRT_START, true);
      return hv.access.write(vcpu, va, hv.scratchBytes, 0, 8) ? 0 : -XEN_EFAULT;
    case XENVER_get_features: {
      const arg = copyIn(hv, vcpu, va, XenFeatureInfo);
      if (arg === undefined) return -XEN_EFAULT;
      if (arg.submap_idx !== 0) return -XEN_EINVAL;
      arg.submap = features(vcpu.domain);
      return copyOut(hv, vcpu, va, XenFeatureInfo) ? 0 : -XEN_EFAULT;
    }
    case XENVER_pagesize:
      return a.isNull(1) ? FRAME_SIZE : -XEN_EINVAL;
    case XENVER_guest_handle:
      hv.scratchBytes.set(vcpu.domain.handle, 0);
      return hv.access.write(vcpu, va, hv.scratchBytes, 0, 16) ? 0 : -XEN_EFAULT;
    case XENVER_commandline:
      return text(hv, vcpu, va, vcpu.domain.privileged ? "" : DENIED, XEN_COMMANDLINE_LEN_SHOWN);
    case XENVER_build_id:
      return vcpu.domain.privileged ? -XEN_ENODATA : -XEN_EPERM; // There is no build.
    default:
      return -XEN_ENOSYS;
  }
};

/** Submap 0 of the features, as a PV domain of Xen 4.17 sees it. */
export function features(domain: Domain): number {
  const set = [
    XENFEAT_mmu_pt_update_preserve_ad,
    XENFEAT_highmem_assist,
    XENFEAT_gnttab_map_avail_bits,
    XENFEAT_memory_op_vnode_supported,
    XENFEAT_direct_mapped,
  ];
  if (domain.assists(VMASST_TYPE_pae_extended_cr3)) set.push(XENFEAT_pae_pgdir_above_4gb);
  if (domain.privileged) set.push(XENFEAT_dom0);
  return set.reduce((word, bit) => word | (1 << bit), 0) >>> 0;
}

/** Writes a string with its NUL, padded to `size` bytes. */
function text(hv: Hypervisor, vcpu: Vcpu, va: Va | -1, s: string, size: number): number {
  hv.scratchBytes.fill(0, 0, size);
  for (let i = 0; i < Math.min(s.length, size - 1); i++) hv.scratchBytes[i] = s.charCodeAt(i);
  return hv.access.write(vcpu, va, hv.scratchBytes, 0, size) ? 0 : -XEN_EFAULT;
}

function compileInfo(hv: Hypervisor, vcpu: Vcpu, va: Va | -1): number {
  const arg = XenCompileInfo.at(hv.scratch, 0);
  arg.compiler = info.COMPILER;
  arg.compile_by = info.COMPILE_BY;
  arg.compile_domain = info.COMPILE_DOMAIN;
  arg.compile_date = info.COMPILE_DATE;
  return copyOut(hv, vcpu, va, XenCompileInfo) ? 0 : -XEN_EFAULT;
}

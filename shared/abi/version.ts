// table
// public/version.h: what Xen says about itself. Features are in features.ts.

import { array, bytes, chars, struct, u8, u32, u64 } from "./struct.ts";

export const XENVER_version = 0;
export const XENVER_extraversion = 1;
export const XENVER_compile_info = 2;
export const XENVER_capabilities = 3;
export const XENVER_changeset = 4;
export const XENVER_platform_parameters = 5;
export const XENVER_get_features = 6;
export const XENVER_pagesize = 7;
export const XENVER_guest_handle = 8;
export const XENVER_commandline = 9;
export const XENVER_build_id = 10;

// Sizes of the plain strings. [XEN] all of them.
export const XEN_EXTRAVERSION_LEN = 16;
export const XEN_CAPABILITIES_INFO_LEN = 1024;
export const XEN_CHANGESET_INFO_LEN = 64;
export const XEN_COMMANDLINE_LEN = 1024;

/** [XEN] all of it. */
export const XenCompileInfo = struct("xen_compile_info", 144, {
  compiler: chars(0, 64),
  compile_by: chars(64, 16),
  compile_domain: chars(80, 32),
  compile_date: chars(112, 32),
});

/** [XEN] */
export const XenPlatformParameters = struct("xen_platform_parameters", 8, { virt_start: u64(0) });

export const XenFeatureInfo = struct("xen_feature_info", 8, {
  submap_idx: u32(0),
  submap: u32(4), // [XEN] bit n: XENFEAT n
});

/** XENVER_guest_handle. [XEN] */
export const XenGuestHandleUuid = struct("xen_guest_handle_uuid", 16, { a: bytes(0, 16) });

/** The head of XENVER_build_id's argument; `buf` follows at byte 4. */
export const XenBuildId = struct("xen_build_id", 4, { len: u32(0), buf: array(u8, 4, 0) });

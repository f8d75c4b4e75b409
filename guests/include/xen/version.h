/* Generated from shared/abi/version.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_VERSION_H
#define XENOLITH_VERSION_H

#define XENVER_version 0
#define XENVER_extraversion 1
#define XENVER_compile_info 2
#define XENVER_capabilities 3
#define XENVER_changeset 4
#define XENVER_platform_parameters 5
#define XENVER_get_features 6
#define XENVER_pagesize 7
#define XENVER_guest_handle 8
#define XENVER_commandline 9
#define XENVER_build_id 10
#define XEN_EXTRAVERSION_LEN 16
#define XEN_CAPABILITIES_INFO_LEN 0x400
#define XEN_CHANGESET_INFO_LEN 64
#define XEN_COMMANDLINE_LEN 0x400

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xen_compile_info {
  char compiler[64];
  char compile_by[16];
  char compile_domain[32];
  char compile_date[32];
};
_Static_assert(offsetof(struct xen_compile_info, compiler) == 0, "xen_compile_info.compiler");
_Static_assert(offsetof(struct xen_compile_info, compile_by) == 64, "xen_compile_info.compile_by");
_Static_assert(offsetof(struct xen_compile_info, compile_domain) == 80, "xen_compile_info.compile_domain");
_Static_assert(offsetof(struct xen_compile_info, compile_date) == 112, "xen_compile_info.compile_date");
_Static_assert(sizeof(struct xen_compile_info) == 144, "xen_compile_info");

struct xen_platform_parameters {
  uint64_t virt_start;
};
_Static_assert(offsetof(struct xen_platform_parameters, virt_start) == 0, "xen_platform_parameters.virt_start");
_Static_assert(sizeof(struct xen_platform_parameters) == 8, "xen_platform_parameters");

struct xen_feature_info {
  uint32_t submap_idx;
  uint32_t submap;
};
_Static_assert(offsetof(struct xen_feature_info, submap_idx) == 0, "xen_feature_info.submap_idx");
_Static_assert(offsetof(struct xen_feature_info, submap) == 4, "xen_feature_info.submap");
_Static_assert(sizeof(struct xen_feature_info) == 8, "xen_feature_info");

struct xen_guest_handle_uuid {
  uint8_t a[16];
};
_Static_assert(offsetof(struct xen_guest_handle_uuid, a) == 0, "xen_guest_handle_uuid.a");
_Static_assert(sizeof(struct xen_guest_handle_uuid) == 16, "xen_guest_handle_uuid");

struct xen_build_id {
  uint32_t len;
  uint8_t buf[];
};
_Static_assert(offsetof(struct xen_build_id, len) == 0, "xen_build_id.len");
_Static_assert(offsetof(struct xen_build_id, buf) == 4, "xen_build_id.buf");
_Static_assert(sizeof(struct xen_build_id) == 4, "xen_build_id");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_VERSION_H */

/* xen_version: what Xen says about itself. */
#include "smoke.h"

#include <xen/features.h>
#include <xen/version.h>

void smoke_version(void) {
  static char text[1024];
  show_hex("version", (unsigned long)HYPERVISOR_xen_version(XENVER_version, 0));
  show("extraversion", HYPERVISOR_xen_version(XENVER_extraversion, text));
  show("extraversion begins with", text[0]);
  show("compile_info", HYPERVISOR_xen_version(XENVER_compile_info, text));
  show("changeset", HYPERVISOR_xen_version(XENVER_changeset, text));
  show("capabilities", HYPERVISOR_xen_version(XENVER_capabilities, text));
  text[14] = 0;
  printf("smoke: capabilities begin with: %s\n", text);
  struct xen_platform_parameters platform;
  show("platform_parameters", HYPERVISOR_xen_version(XENVER_platform_parameters, &platform));
  show_hex("virt_start", platform.virt_start);
  struct xen_feature_info features = {.submap_idx = 0};
  show("get_features", HYPERVISOR_xen_version(XENVER_get_features, &features));
  show_hex("features", features.submap);
  features.submap_idx = 1;
  show("get_features of submap 1", HYPERVISOR_xen_version(XENVER_get_features, &features));
  show("pagesize", HYPERVISOR_xen_version(XENVER_pagesize, 0));
  struct xen_guest_handle_uuid uuid;
  show("guest_handle", HYPERVISOR_xen_version(XENVER_guest_handle, &uuid));
  show("commandline", HYPERVISOR_xen_version(XENVER_commandline, text));
  show("build_id of no room", HYPERVISOR_xen_version(XENVER_build_id, 0) > 0);
  show("a command that isn't one", HYPERVISOR_xen_version(99, text));
  show("features to nowhere", HYPERVISOR_xen_version(XENVER_get_features, (void *)NOWHERE));
  show("extraversion to nowhere", HYPERVISOR_xen_version(XENVER_extraversion, (void *)NOWHERE));
  show("extraversion to Xen's memory", HYPERVISOR_xen_version(XENVER_extraversion, (void *)HYPERVISOR_VIRT_START));
  show("extraversion to an address that isn't canonical", HYPERVISOR_xen_version(XENVER_extraversion, (void *)0x800000000000));
}

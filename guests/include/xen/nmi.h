/* Generated from shared/abi/nmi.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_NMI_H
#define XENOLITH_NMI_H

#define XENNMI_register_callback 0
#define XENNMI_unregister_callback 1
#define XEN_NMIREASON_io_error 1
#define XEN_NMIREASON_pci_serr 2
#define XEN_NMIREASON_unknown 4

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xennmi_callback {
  uint64_t handler_address;
  uint64_t pad;
};
_Static_assert(offsetof(struct xennmi_callback, handler_address) == 0, "xennmi_callback.handler_address");
_Static_assert(offsetof(struct xennmi_callback, pad) == 8, "xennmi_callback.pad");
_Static_assert(sizeof(struct xennmi_callback) == 16, "xennmi_callback");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_NMI_H */

/* Generated from shared/abi/io/ring.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_IO_RING_H
#define XENOLITH_IO_RING_H


#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xen_sring {
  uint32_t req_prod;
  uint32_t req_event;
  uint32_t rsp_prod;
  uint32_t rsp_event;
  uint8_t pvt;
  uint8_t _gap0[47];
};
_Static_assert(offsetof(struct xen_sring, req_prod) == 0, "xen_sring.req_prod");
_Static_assert(offsetof(struct xen_sring, req_event) == 4, "xen_sring.req_event");
_Static_assert(offsetof(struct xen_sring, rsp_prod) == 8, "xen_sring.rsp_prod");
_Static_assert(offsetof(struct xen_sring, rsp_event) == 12, "xen_sring.rsp_event");
_Static_assert(offsetof(struct xen_sring, pvt) == 16, "xen_sring.pvt");
_Static_assert(sizeof(struct xen_sring) == 64, "xen_sring");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_IO_RING_H */

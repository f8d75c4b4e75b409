/* Generated from shared/abi/io/netif.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_IO_NETIF_H
#define XENOLITH_IO_NETIF_H

#define XEN_NETIF_NR_SLOTS_MIN 18
#define XEN_NETIF_MAX_TX_SIZE 0xffff
#define NETTXF_csum_blank 1
#define NETTXF_data_validated 2
#define NETTXF_more_data 4
#define NETTXF_extra_info 8
#define NETRXF_data_validated 1
#define NETRXF_csum_blank 2
#define NETRXF_more_data 4
#define NETRXF_extra_info 8
#define NETRXF_gso_prefix 16
#define NETIF_RSP_DROPPED (-2)
#define NETIF_RSP_ERROR (-1)
#define NETIF_RSP_OKAY 0
#define NETIF_RSP_NULL 1
#define XEN_NETIF_EXTRA_TYPE_NONE 0
#define XEN_NETIF_EXTRA_TYPE_GSO 1
#define XEN_NETIF_EXTRA_TYPE_MCAST_ADD 2
#define XEN_NETIF_EXTRA_TYPE_MCAST_DEL 3
#define XEN_NETIF_EXTRA_TYPE_HASH 4
#define XEN_NETIF_EXTRA_TYPE_MAX 5
#define XEN_NETIF_EXTRA_FLAG_MORE 1
#define XEN_NETIF_GSO_TYPE_NONE 0
#define XEN_NETIF_GSO_TYPE_TCPV4 1
#define XEN_NETIF_GSO_TYPE_TCPV6 2

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct netif_tx_request {
  uint32_t gref;
  uint16_t offset;
  uint16_t flags;
  uint16_t id;
  uint16_t size;
};
_Static_assert(offsetof(struct netif_tx_request, gref) == 0, "netif_tx_request.gref");
_Static_assert(offsetof(struct netif_tx_request, offset) == 4, "netif_tx_request.offset");
_Static_assert(offsetof(struct netif_tx_request, flags) == 6, "netif_tx_request.flags");
_Static_assert(offsetof(struct netif_tx_request, id) == 8, "netif_tx_request.id");
_Static_assert(offsetof(struct netif_tx_request, size) == 10, "netif_tx_request.size");
_Static_assert(sizeof(struct netif_tx_request) == 12, "netif_tx_request");

struct netif_tx_response {
  uint16_t id;
  int16_t status;
};
_Static_assert(offsetof(struct netif_tx_response, id) == 0, "netif_tx_response.id");
_Static_assert(offsetof(struct netif_tx_response, status) == 2, "netif_tx_response.status");
_Static_assert(sizeof(struct netif_tx_response) == 4, "netif_tx_response");

struct netif_rx_request {
  uint16_t id;
  uint16_t pad;
  uint32_t gref;
};
_Static_assert(offsetof(struct netif_rx_request, id) == 0, "netif_rx_request.id");
_Static_assert(offsetof(struct netif_rx_request, pad) == 2, "netif_rx_request.pad");
_Static_assert(offsetof(struct netif_rx_request, gref) == 4, "netif_rx_request.gref");
_Static_assert(sizeof(struct netif_rx_request) == 8, "netif_rx_request");

struct netif_rx_response {
  uint16_t id;
  uint16_t offset;
  uint16_t flags;
  int16_t status;
};
_Static_assert(offsetof(struct netif_rx_response, id) == 0, "netif_rx_response.id");
_Static_assert(offsetof(struct netif_rx_response, offset) == 2, "netif_rx_response.offset");
_Static_assert(offsetof(struct netif_rx_response, flags) == 4, "netif_rx_response.flags");
_Static_assert(offsetof(struct netif_rx_response, status) == 6, "netif_rx_response.status");
_Static_assert(sizeof(struct netif_rx_response) == 8, "netif_rx_response");

struct netif_extra_info {
  uint8_t type;
  uint8_t flags;
  uint16_t gso_size;
  uint8_t gso_type;
  uint8_t _gap0[1];
  uint16_t gso_features;
};
_Static_assert(offsetof(struct netif_extra_info, type) == 0, "netif_extra_info.type");
_Static_assert(offsetof(struct netif_extra_info, flags) == 1, "netif_extra_info.flags");
_Static_assert(offsetof(struct netif_extra_info, gso_size) == 2, "netif_extra_info.gso_size");
_Static_assert(offsetof(struct netif_extra_info, gso_type) == 4, "netif_extra_info.gso_type");
_Static_assert(offsetof(struct netif_extra_info, gso_features) == 6, "netif_extra_info.gso_features");
_Static_assert(sizeof(struct netif_extra_info) == 8, "netif_extra_info");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_IO_NETIF_H */

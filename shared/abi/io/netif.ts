// table
// public/io/netif.h: network slots. A frame is one request, then slots for extra information (if the first says so), then
// further requests while NETTXF_more_data is set. Left out: control ring, hashing.

import { i16, overlay, struct, u8, u16, u32 } from "../struct.ts";

export const XEN_NETIF_NR_SLOTS_MIN = 18;
export const XEN_NETIF_MAX_TX_SIZE = 0xffff;

export const NETTXF_csum_blank = 1;
export const NETTXF_data_validated = 2;
export const NETTXF_more_data = 4;
export const NETTXF_extra_info = 8;

/** [FRONT] */
export const NetifTxRequest = struct("netif_tx_request", 12, {
  gref: u32(0),
  offset: u16(4),
  flags: u16(6), // NETTXF_*
  id: u16(8),
  size: u16(10), // of the whole frame in its first request
});

/** [BACK] */
export const NetifTxResponse = struct("netif_tx_response", 4, {
  id: u16(0),
  status: i16(2), // NETIF_RSP_*
});

/** [FRONT] a page to receive into. */
export const NetifRxRequest = struct("netif_rx_request", 8, { id: u16(0), pad: u16(2), gref: u32(4) });

export const NETRXF_data_validated = 1;
export const NETRXF_csum_blank = 2;
export const NETRXF_more_data = 4;
export const NETRXF_extra_info = 8;
export const NETRXF_gso_prefix = 16;

/** [BACK] */
export const NetifRxResponse = struct("netif_rx_response", 8, {
  id: u16(0),
  offset: u16(2),
  flags: u16(4), // NETRXF_*
  status: i16(6), // bytes received, or NETIF_RSP_*
});

export const NETIF_RSP_DROPPED = -2;
export const NETIF_RSP_ERROR = -1;
export const NETIF_RSP_OKAY = 0;
export const NETIF_RSP_NULL = 1;

export const XEN_NETIF_EXTRA_TYPE_NONE = 0;
export const XEN_NETIF_EXTRA_TYPE_GSO = 1;
export const XEN_NETIF_EXTRA_TYPE_MCAST_ADD = 2;
export const XEN_NETIF_EXTRA_TYPE_MCAST_DEL = 3;
export const XEN_NETIF_EXTRA_TYPE_HASH = 4;
export const XEN_NETIF_EXTRA_TYPE_MAX = 5;
export const XEN_NETIF_EXTRA_FLAG_MORE = 1;
export const XEN_NETIF_GSO_TYPE_NONE = 0;
export const XEN_NETIF_GSO_TYPE_TCPV4 = 1;
export const XEN_NETIF_GSO_TYPE_TCPV6 = 2;

/** struct netif_extra_info, in a slot of either ring. */
export const NetifExtraInfo = struct("netif_extra_info", 8, {
  type: u8(0), // XEN_NETIF_EXTRA_TYPE_*
  flags: u8(1), // XEN_NETIF_EXTRA_FLAG_*
  gso_size: overlay(u16(2), "u.gso.size"), // bytes of payload of each segment
  gso_type: overlay(u8(4), "u.gso.type"),
  gso_features: overlay(u16(6), "u.gso.features"),
});

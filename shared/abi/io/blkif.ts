// table
// public/io/blkif.h: block device requests and responses (64-bit layout). A sector is 512 bytes in every request unless
// the frontend negotiated feature-large-sector-size. Devices are set up through xenstore (xenbus.ts).

import { array, i16, struct, u8, u16, u32, u64 } from "../struct.ts";

export const BLKIF_OP_READ = 0;
export const BLKIF_OP_WRITE = 1;
export const BLKIF_OP_WRITE_BARRIER = 2;
export const BLKIF_OP_FLUSH_DISKCACHE = 3;
export const BLKIF_OP_RESERVED_1 = 4;
export const BLKIF_OP_DISCARD = 5;
export const BLKIF_OP_INDIRECT = 6;

export const BLKIF_MAX_SEGMENTS_PER_REQUEST = 11;
export const BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST = 8;

export const BlkifRequestSegment = struct("blkif_request_segment", 8, {
  gref: u32(0),
  first_sect: u8(4),
  last_sect: u8(5), // inclusive
});

/** [FRONT] all of it, as the other forms of request. */
export const BlkifRequest = struct("blkif_request", 112, {
  operation: u8(0), // BLKIF_OP_*
  nr_segments: u8(1),
  handle: u16(2),
  id: u64(8), // echoed in the response
  sector_number: u64(16),
  seg: array(BlkifRequestSegment, 24, BLKIF_MAX_SEGMENTS_PER_REQUEST),
});

export const BlkifRequestDiscard = struct("blkif_request_discard", 32, {
  operation: u8(0),
  flag: u8(1), // BLKIF_DISCARD_SECURE
  handle: u16(2),
  id: u64(8),
  sector_number: u64(16),
  nr_sectors: u64(24),
});
export const BLKIF_DISCARD_SECURE = 1;

export const BlkifRequestIndirect = struct("blkif_request_indirect", 64, {
  operation: u8(0), // BLKIF_OP_INDIRECT
  indirect_op: u8(1),
  nr_segments: u16(2),
  id: u64(8),
  sector_number: u64(16),
  handle: u16(24),
  indirect_grefs: array(u32, 28, BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST), // pages of blkif_request_segment
});

/** [BACK] */
export const BlkifResponse = struct("blkif_response", 16, {
  id: u64(0),
  operation: u8(8),
  status: i16(10), // BLKIF_RSP_*
});
export const BLKIF_RSP_EOPNOTSUPP = -2;
export const BLKIF_RSP_ERROR = -1;
export const BLKIF_RSP_OKAY = 0;

// Bits of the xenstore node `info`.
export const VDISK_CDROM = 1;
export const VDISK_REMOVABLE = 2;
export const VDISK_READONLY = 4;

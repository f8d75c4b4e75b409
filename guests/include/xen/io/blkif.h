/* Generated from shared/abi/io/blkif.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_IO_BLKIF_H
#define XENOLITH_IO_BLKIF_H

#define BLKIF_OP_READ 0
#define BLKIF_OP_WRITE 1
#define BLKIF_OP_WRITE_BARRIER 2
#define BLKIF_OP_FLUSH_DISKCACHE 3
#define BLKIF_OP_RESERVED_1 4
#define BLKIF_OP_DISCARD 5
#define BLKIF_OP_INDIRECT 6
#define BLKIF_MAX_SEGMENTS_PER_REQUEST 11
#define BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST 8
#define BLKIF_DISCARD_SECURE 1
#define BLKIF_RSP_EOPNOTSUPP (-2)
#define BLKIF_RSP_ERROR (-1)
#define BLKIF_RSP_OKAY 0
#define VDISK_CDROM 1
#define VDISK_REMOVABLE 2
#define VDISK_READONLY 4

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct blkif_request_segment {
  uint32_t gref;
  uint8_t first_sect;
  uint8_t last_sect;
  uint8_t _gap0[2];
};
_Static_assert(offsetof(struct blkif_request_segment, gref) == 0, "blkif_request_segment.gref");
_Static_assert(offsetof(struct blkif_request_segment, first_sect) == 4, "blkif_request_segment.first_sect");
_Static_assert(offsetof(struct blkif_request_segment, last_sect) == 5, "blkif_request_segment.last_sect");
_Static_assert(sizeof(struct blkif_request_segment) == 8, "blkif_request_segment");

struct blkif_request {
  uint8_t operation;
  uint8_t nr_segments;
  uint16_t handle;
  uint8_t _gap0[4];
  uint64_t id;
  uint64_t sector_number;
  struct blkif_request_segment seg[11];
};
_Static_assert(offsetof(struct blkif_request, operation) == 0, "blkif_request.operation");
_Static_assert(offsetof(struct blkif_request, nr_segments) == 1, "blkif_request.nr_segments");
_Static_assert(offsetof(struct blkif_request, handle) == 2, "blkif_request.handle");
_Static_assert(offsetof(struct blkif_request, id) == 8, "blkif_request.id");
_Static_assert(offsetof(struct blkif_request, sector_number) == 16, "blkif_request.sector_number");
_Static_assert(offsetof(struct blkif_request, seg) == 24, "blkif_request.seg");
_Static_assert(sizeof(struct blkif_request) == 112, "blkif_request");

struct blkif_request_discard {
  uint8_t operation;
  uint8_t flag;
  uint16_t handle;
  uint8_t _gap0[4];
  uint64_t id;
  uint64_t sector_number;
  uint64_t nr_sectors;
};
_Static_assert(offsetof(struct blkif_request_discard, operation) == 0, "blkif_request_discard.operation");
_Static_assert(offsetof(struct blkif_request_discard, flag) == 1, "blkif_request_discard.flag");
_Static_assert(offsetof(struct blkif_request_discard, handle) == 2, "blkif_request_discard.handle");
_Static_assert(offsetof(struct blkif_request_discard, id) == 8, "blkif_request_discard.id");
_Static_assert(offsetof(struct blkif_request_discard, sector_number) == 16, "blkif_request_discard.sector_number");
_Static_assert(offsetof(struct blkif_request_discard, nr_sectors) == 24, "blkif_request_discard.nr_sectors");
_Static_assert(sizeof(struct blkif_request_discard) == 32, "blkif_request_discard");

struct blkif_request_indirect {
  uint8_t operation;
  uint8_t indirect_op;
  uint16_t nr_segments;
  uint8_t _gap0[4];
  uint64_t id;
  uint64_t sector_number;
  uint16_t handle;
  uint8_t _gap1[2];
  uint32_t indirect_grefs[8];
  uint8_t _gap2[4];
};
_Static_assert(offsetof(struct blkif_request_indirect, operation) == 0, "blkif_request_indirect.operation");
_Static_assert(offsetof(struct blkif_request_indirect, indirect_op) == 1, "blkif_request_indirect.indirect_op");
_Static_assert(offsetof(struct blkif_request_indirect, nr_segments) == 2, "blkif_request_indirect.nr_segments");
_Static_assert(offsetof(struct blkif_request_indirect, id) == 8, "blkif_request_indirect.id");
_Static_assert(offsetof(struct blkif_request_indirect, sector_number) == 16, "blkif_request_indirect.sector_number");
_Static_assert(offsetof(struct blkif_request_indirect, handle) == 24, "blkif_request_indirect.handle");
_Static_assert(offsetof(struct blkif_request_indirect, indirect_grefs) == 28, "blkif_request_indirect.indirect_grefs");
_Static_assert(sizeof(struct blkif_request_indirect) == 64, "blkif_request_indirect");

struct blkif_response {
  uint64_t id;
  uint8_t operation;
  uint8_t _gap0[1];
  int16_t status;
  uint8_t _gap1[4];
};
_Static_assert(offsetof(struct blkif_response, id) == 0, "blkif_response.id");
_Static_assert(offsetof(struct blkif_response, operation) == 8, "blkif_response.operation");
_Static_assert(offsetof(struct blkif_response, status) == 10, "blkif_response.status");
_Static_assert(sizeof(struct blkif_response) == 16, "blkif_response");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_IO_BLKIF_H */

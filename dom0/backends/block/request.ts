// What a blkif request asks for, taken apart and checked (public/io/blkif.h). The slot is a copy, so what is checked here is
// what is used. The object is filled anew for each request: none is made for a slot of the ring. Used by connection.ts.

import {
  BLKIF_MAX_SEGMENTS_PER_REQUEST,
  BLKIF_OP_DISCARD,
  BLKIF_OP_FLUSH_DISKCACHE,
  BLKIF_OP_INDIRECT,
  BLKIF_OP_READ,
  BLKIF_OP_WRITE,
  BlkifRequest,
  BlkifRequestDiscard,
  BlkifRequestIndirect,
  BlkifRequestSegment,
} from "../../../shared/abi/io/blkif.ts";
import type { GrantRef } from "../../../shared/brand.ts";
import { BlockLimits } from "./limits.ts";

export const SECTOR = 512;
const SECTORS_PER_PAGE = 8;
const HIGH = 2 ** 32;

export const Kind = {
  /** Data from or to `parts`. */
  Transfer: 0,
  /** The same; the parts are listed in the granted page `list`, to be read by `listed`. */
  Indirect: 1,
  /** The data, if there are parts, is written and stable then too. */
  Flush: 2,
  Discard: 3,
  /** Nothing that this backend offers: BLKIF_RSP_EOPNOTSUPP. */
  Unknown: 4,
  /** Against the protocol: BLKIF_RSP_ERROR. */
  Bad: 5,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export class BlockRequest {
  kind: Kind = Kind.Bad;
  /** For the response, as the id. */
  operation = 0;
  idLo = 0;
  idHi = 0;
  write = false;
  /** A whole number, rounded if above 2^53: then it is too large anyhow. */
  sector = 0;
  sectors = 0;
  /** Parts of granted pages, whole sectors each. */
  parts = 0;
  readonly refs: number[] = [];
  readonly offsets: number[] = [];
  readonly sizes: number[] = [];
  list = 0 as GrantRef;

  /** `slot` is a copy of the request, BlkifRequest.size bytes. */
  parse(slot: DataView): void {
    const { offsets } = BlkifRequest;
    this.operation = slot.getUint8(offsets.operation);
    this.idLo = slot.getUint32(offsets.id, true);
    this.idHi = slot.getUint32(offsets.id + 4, true);
    // All forms have it there.
    this.sector = slot.getUint32(offsets.sector_number, true) + slot.getUint32(offsets.sector_number + 4, true) * HIGH;
    this.sectors = 0;
    this.parts = 0;
    this.kind = this.#kindOf(slot);
  }

  #kindOf(slot: DataView): Kind {
    switch (this.operation) {
      case BLKIF_OP_READ:
      case BLKIF_OP_WRITE:
      case BLKIF_OP_FLUSH_DISKCACHE: {
        const flush = this.operation === BLKIF_OP_FLUSH_DISKCACHE;
        const count = slot.getUint8(BlkifRequest.offsets.nr_segments);
        this.write = this.operation !== BLKIF_OP_READ;
        if (count > BLKIF_MAX_SEGMENTS_PER_REQUEST || (count === 0 && !flush)) return Kind.Bad;
        if (!this.#readParts(slot, BlkifRequest.offsets.seg, count)) return Kind.Bad;
        return flush ? Kind.Flush : Kind.Transfer;
      }
      case BLKIF_OP_INDIRECT: {
        const { offsets } = BlkifRequestIndirect;
        // Linux holds the response to that of what the request does, not to BLKIF_OP_INDIRECT.
        this.operation = slot.getUint8(offsets.indirect_op);
        this.parts = slot.getUint16(offsets.nr_segments, true);
        this.write = this.operation === BLKIF_OP_WRITE;
        if (this.parts === 0 || this.parts > BlockLimits.indirectSegments) return Kind.Bad;
        if (!this.write && this.operation !== BLKIF_OP_READ) return Kind.Bad;
        this.list = slot.getUint32(offsets.indirect_grefs, true) as GrantRef;
        return Kind.Indirect;
      }
      case BLKIF_OP_DISCARD: {
        const at = BlkifRequestDiscard.offsets.nr_sectors;
        this.sectors = slot.getUint32(at, true) + slot.getUint32(at + 4, true) * HIGH;
        return slot.getUint8(BlkifRequestDiscard.offsets.flag) === 0 ? Kind.Discard : Kind.Unknown;
      }
      default:
        return Kind.Unknown;
    }
  }

  /** Bytes of the list of an indirect request, which are at most a page. */
  get listBytes(): number {
    return this.parts * BlkifRequestSegment.size;
  }

  /** Reads the parts of an indirect request out of a copy of its list. False when one goes past its page. */
  listed(list: DataView): boolean {
    return this.#readParts(list, 0, this.parts);
  }

  #readParts(view: DataView, start: number, count: number): boolean {
    const { offsets, size } = BlkifRequestSegment;
    this.parts = count;
    this.sectors = 0;
    for (let i = 0, at = start; i < count; i++, at += size) {
      const first = view.getUint8(at + offsets.first_sect);
      const last = view.getUint8(at + offsets.last_sect);
      if (first > last || last >= SECTORS_PER_PAGE) return false;
      this.refs[i] = view.getUint32(at + offsets.gref, true);
      this.offsets[i] = first * SECTOR;
      this.sizes[i] = (last - first + 1) * SECTOR;
      this.sectors += last - first + 1;
    }
    return true;
  }
}

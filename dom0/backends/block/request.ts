// What a blkif request asks for, taken apart and checked (public/io/blkif.h). The slot is a copy, so what is checked here is
// what is used. Called by connection.ts, and by tests with anything at all.

import {
  BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST,
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
const SEGMENTS_PER_PAGE = 4096 / BlkifRequestSegment.size;

/** A part of a granted page: whole sectors. */
export interface PagePart {
  readonly ref: GrantRef;
  readonly offset: number;
  readonly sizeBytes: number;
}

export type BlockRequest =
  | {
      readonly kind: "read" | "write" | "flush";
      /** For the response. */
      readonly operation: number;
      readonly sector: number;
      readonly parts: readonly PagePart[];
    }
  | {
      /** The parts are in granted pages, to be read by `indirectParts`. */
      readonly kind: "indirect";
      readonly operation: number;
      readonly write: boolean;
      readonly sector: number;
      readonly count: number;
      readonly pages: readonly GrantRef[];
    }
  | { readonly kind: "discard"; readonly operation: number; readonly sector: number; readonly sectors: number }
  /** Nothing that this backend offers: BLKIF_RSP_EOPNOTSUPP. */
  | { readonly kind: "unknown"; readonly operation: number }
  /** Against the protocol: BLKIF_RSP_ERROR. */
  | { readonly kind: "bad"; readonly operation: number; readonly why: string };

/** `slot` is a copy of the request, BlkifRequest.size bytes. */
export function parseRequest(slot: DataView): BlockRequest {
  const r = BlkifRequest.at(slot);
  const { operation } = r;
  const bad = (why: string): BlockRequest => ({ kind: "bad", operation, why });
  switch (operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
    case BLKIF_OP_FLUSH_DISKCACHE: {
      const count = r.nr_segments;
      if (count > BLKIF_MAX_SEGMENTS_PER_REQUEST) return bad(`${count} segments`);
      if (count === 0 && operation !== BLKIF_OP_FLUSH_DISKCACHE) return bad("no segments");
      const parts = readParts(slot, BlkifRequest.offsets.seg, count);
      if (parts === undefined) return bad("a segment past its page");
      const kind = operation === BLKIF_OP_READ ? "read" : operation === BLKIF_OP_WRITE ? "write" : "flush";
      return { kind, operation, sector: r.sector_number_num, parts };
    }
    case BLKIF_OP_INDIRECT: {
      const i = BlkifRequestIndirect.at(slot);
      // Linux holds the response to that of what the request does, not to BLKIF_OP_INDIRECT.
      const asked = i.indirect_op;
      const badIndirect = (why: string): BlockRequest => ({ kind: "bad", operation: asked, why });
      const count = i.nr_segments;
      if (count === 0 || count > BlockLimits.indirectSegments) return badIndirect(`${count} indirect segments`);
      if (asked !== BLKIF_OP_READ && asked !== BLKIF_OP_WRITE) return badIndirect(`indirect operation ${asked}`);
      const pages = Math.ceil(count / SEGMENTS_PER_PAGE);
      if (pages > BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST) return badIndirect(`${pages} indirect pages`);
      const refs = Array.from(
        { length: pages },
        (_, n) => slot.getUint32(BlkifRequestIndirect.offsets.indirect_grefs + n * 4, true) as GrantRef,
      );
      const write = asked === BLKIF_OP_WRITE;
      return { kind: "indirect", operation: asked, write, sector: i.sector_number_num, count, pages: refs };
    }
    case BLKIF_OP_DISCARD: {
      const d = BlkifRequestDiscard.at(slot);
      if (d.flag !== 0) return { kind: "unknown", operation };
      return { kind: "discard", operation, sector: d.sector_number_num, sectors: d.nr_sectors_num };
    }
    default:
      return { kind: "unknown", operation };
  }
}

/** The parts of an indirect request; `pages` are copies. Undefined when a segment goes past its page. */
export function indirectParts(pages: readonly Uint8Array[], count: number): PagePart[] | undefined {
  const all: PagePart[] = [];
  for (let at = 0; at < count; at += SEGMENTS_PER_PAGE) {
    const page = pages[at / SEGMENTS_PER_PAGE];
    const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    const parts = readParts(view, 0, Math.min(SEGMENTS_PER_PAGE, count - at));
    if (parts === undefined) return undefined;
    all.push(...parts);
  }
  return all;
}

function readParts(view: DataView, offset: number, count: number): PagePart[] | undefined {
  const parts: PagePart[] = [];
  const s = BlkifRequestSegment.at(view);
  for (let i = 0; i < count; i++) {
    s.$at(offset + i * BlkifRequestSegment.size);
    const { first_sect: first, last_sect: last } = s;
    if (first > last || last >= SECTORS_PER_PAGE) return undefined;
    parts.push({ ref: s.gref as GrantRef, offset: first * SECTOR, sizeBytes: (last - first + 1) * SECTOR });
  }
  return parts;
}

/** Bytes of all parts. */
export function totalBytes(parts: readonly PagePart[]): number {
  return parts.reduce((sum, part) => sum + part.sizeBytes, 0);
}

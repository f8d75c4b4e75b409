// What one disk may take of dom0.

import { MAX_SEGMENTS } from "../../../shared/devices.ts";

export const BlockLimits = {
  /** Pages of a ring, as a power of two: 8 pages hold 256 requests, more than the device queue takes. */
  ringPageOrder: 3,
  /** Segments of an indirect request: what one request of the device queue takes. */
  indirectSegments: MAX_SEGMENTS,
  /** Requests that the host works on at once. The device queue has 128 entries for all of dom0. */
  inFlight: 64,
  /** Pages that requests have in use at once: one that would have more waits. As many stay mapped of persistent grants. */
  mappedPages: 2048,
  /** Requests taken before other threads have their turn. */
  requestsPerTurn: 32,
  /** How often a connected disk's file is looked at for another size. */
  sizeLookNs: 5e9,
} as const;

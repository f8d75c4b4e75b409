// table
// public/io/console.h: the PV console's ring page. Indexes are free-running; shared/ring.ts reads and writes the rings.
// 1. A writer copies bytes to the ring at its producer index, then advances the index, then sends an event.
// 2. A reader takes bytes from its consumer index up to the other side's producer index, then advances its own.

import { bytes, struct, u32 } from "../struct.ts";

/** struct xencons_interface. The guest writes `out` and reads `in`; the backend is the console daemon. */
export const XenconsInterface = struct("xencons_interface", 3088, {
  in: bytes(0, 1024), // [BACK]
  out: bytes(1024, 2048), // [FRONT]
  in_cons: u32(3072), // [FRONT]
  in_prod: u32(3076), // [BACK]
  out_cons: u32(3080), // [BACK]
  out_prod: u32(3084), // [FRONT]
});

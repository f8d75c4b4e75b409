// table
// public/io/ring.h: the head of a page of request and response slots, as block and network devices use it. Slots begin
// at byte 64; there are as many as fit, rounded down to a power of two, each as long as the longer of request and
// response. Indexes are free-running.
// 1. The front writes requests at req_prod and advances it; it sends an event if req_event lies in what it advanced over.
// 2. The back takes requests, answers in the same slots at rsp_prod, advances it; an event goes by rsp_event likewise.
// 3. Before sleeping, each side sets its event index to the next one it waits for, and looks once more.

import { struct, u8, u32 } from "../struct.ts";

/** The head shared by all rings of this form. */
export const Sring = struct("xen_sring", 64, {
  req_prod: u32(0), // [FRONT]
  req_event: u32(4), // [BACK]
  rsp_prod: u32(8), // [BACK]
  rsp_event: u32(12), // [FRONT]
  pvt: u8(16),
});

/** Slots of `slotBytes` bytes in a ring of `pages` pages of 4096 bytes. */
export function ringSize(pages: number, slotBytes: number): number {
  return 2 ** Math.floor(Math.log2((pages * 4096 - 64) / slotBytes));
}

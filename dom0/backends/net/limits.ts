// The limits of the network backend, each with its reason.

/** Slots of one frame's data: the least that a backend must take (XEN_NETIF_NR_SLOTS_MIN), and all that this one does. */
export const MAX_SLOTS = 18;
/** Least payload of a segment: a frame of 64 KiB must not become thousands. */
export const MIN_SEGMENT = 256;
/** Packets taken from a tx ring before others have their turn. */
export const TX_BATCH = 64;
/** Frames put into an rx ring before others have their turn. */
export const RX_BATCH = 64;
/** Grant copies in one hypercall: 40 bytes each, in one page. */
export const COPIES = 100;

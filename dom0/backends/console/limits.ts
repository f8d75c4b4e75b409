// How much of a channel dom0 holds: under 40 KiB, and as much again at the host.

export const ChannelLimits = {
  /** Output of the guest that the host hasn't taken, above which the guest waits. */
  outBytes: 8192,
  /** A frontend's last output comes on top: the ring's size. */
  lastBytes: 2048,
  /** Given to the host at once. */
  pieceBytes: 4096,
  /** Bytes for the guest that it hasn't taken, above which the host isn't asked for more. */
  inBytes: 8192,
  /** What the host gives at once. */
  readBytes: 4096,
} as const;

// What the host keeps for a machine at most.

export const HostLimits = {
  /** Of one log, before it becomes the first of the old ones: a guest that floods its console must not fill a disk. */
  logBytes: 1 << 20,
  /** Old files of each log, NAME.1 the newest. */
  oldLogs: 4,
  /** Channels at once. Each has two requests outstanding in the device queue of 128. */
  channels: 16,
  /** Peers that wait for their turn at one channel. */
  waitingPeers: 8,
  /** Bytes from a peer that dom0 hasn't taken, above which its socket isn't read. */
  channelUnread: 65536,
} as const;

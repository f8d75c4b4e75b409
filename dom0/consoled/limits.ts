// How much of a guest's console dom0 holds. Together under 200 KiB for each guest.

export const ConsoleLimits = {
  /** Taken from a ring before the others have their turn: the ring's size. */
  bytesPerTurn: 2048,
  /** Output kept while nobody looks; older output is dropped (it is in the log). */
  unseenBytes: 65536,
  /** Typed bytes that wait for the guest to take them. */
  typedBytes: 16384,
  /** Output that a viewer hasn't taken yet, above which the guest waits. */
  viewerBytes: 32768,
  /** The same for the log. */
  logBytes: 65536,
} as const;

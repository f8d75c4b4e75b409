// What a disk is to the block backend: storage with a size, addressed in bytes, whose data goes to and from machine addresses.
// An open host file is one (HostFile); a test puts others in its place. Failures but those of `move` are thrown.

import type { Completion, HostFile, SegmentList, Task } from "../../../guests/sdk/index.ts";

export interface Disk {
  readonly sizeBytes: number;
  /**
   * Begins to read into `segments`, or to write (`write`) from there. `sender` is told the bytes that were moved, or a negative
   * errno, now or later; `segments` stay as they are until then.
   */
  move(write: boolean, position: number, segments: SegmentList, sender: Completion): void;
  /** Returns when all writes that have returned are on stable storage. */
  sync(): Task;
  discard(position: number, sizeBytes: number): Task;
  close(): Task;
}

/** Compile-time proof that a host file is a disk. */
export type FileIsDisk = HostFile extends Disk ? true : never;

// What a disk is to the block backend: storage with a size, addressed in bytes, whose data goes to and from machine addresses.
// An open host file is one (HostFile); a test puts others in its place. Failures are thrown.

import type { HostFile, Segment, Task } from "../../../guests/sdk/index.ts";

export interface Disk {
  readonly sizeBytes: number;
  /** Bytes read, fewer only at the end. */
  readInto(position: number, segments: readonly Segment[]): Task<number>;
  writeFrom(position: number, segments: readonly Segment[]): Task;
  /** Returns when all writes that have returned are on stable storage. */
  sync(): Task;
  discard(position: number, sizeBytes: number): Task;
  close(): Task;
}

/** Compile-time proof that a host file is a disk. */
export type FileIsDisk = HostFile extends Disk ? true : never;

// What is behind a file handle of dom0: a file or block device (raw_file.ts), memory (ram_disk.ts), a server (nbd.ts). Failures
// are thrown as Node's are, with a `code` such as "EIO".

/** Views of machine frames. */
export type Bytes = Uint8Array<SharedArrayBuffer>;

/** The pieces without their first `count` bytes: what a call that moved so many has left to do. */
export function rest(pieces: Bytes[], count: number): Bytes[] {
  if (count === 0) return pieces;
  let left = count;
  return pieces.flatMap((piece) => {
    const gone = Math.min(left, piece.length);
    left -= gone;
    return gone === piece.length ? [] : [piece.subarray(gone)];
  });
}

export interface OpenFile {
  /** Bytes; of a file when it was opened. */
  readonly size: number;
  /** The same for two openings of one thing; undefined: nothing else can be the same. */
  readonly identity: string | undefined;
  /** Fills `into` in order from `position`; the bytes read, fewer only at the end. */
  read(into: Bytes[], position: number): Promise<number>;
  write(from: Bytes[], position: number): Promise<number>;
  /** Resolves when what was written before is on stable storage. */
  sync(): Promise<void>;
  /** The range's content is no longer needed. EOPNOTSUPP where that means nothing. */
  discard(position: number, sizeBytes: number): Promise<void>;
  /** Bytes by now, where that can differ from `size`. */
  sizeNow?(): Promise<number>;
  close(): Promise<void>;
}

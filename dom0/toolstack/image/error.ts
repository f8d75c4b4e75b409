// The one error that unpacking an image can throw, and the bounds that it keeps to. Everything in this folder reads
// bytes that somebody else wrote: whatever they are, the result is an ELF file's bytes or an ImageError.

/** What is wrong with an image, in one line without the file's name: the caller knows it and puts it in front. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** Bounds on what an image may unpack to. */
export const ImageLimits = {
  /**
   * Most bytes that one image may unpack to. Debian's kernel is 63 MiB; a debug kernel with symbols is a few hundred.
   * It is also what a decompression bomb can make us hold.
   */
  unpackedBytes: 512 * 1024 * 1024,
  /** How deep compressed forms may nest: a compressed bzImage (two) and one more. */
  depth: 3,
} as const;

// From the bytes of a file named by `kernel=` to the ELF file in it. Called by the domain builder, and by scripts and
// tests that look into kernels. Recognizes each form by its magic; what an ELF file must hold is the builder's matter.

import { bzImagePayload, isBzImage } from "./bzimage.ts";
import { ImageError, ImageLimits } from "./error.ts";
import { isGzip, unpackGzip } from "./gzip.ts";
import { isLz4Legacy, unpackLz4 } from "./lz4.ts";
import { isLzmaAlone, unpackLzmaAlone } from "./lzma_alone.ts";
import { Output } from "./output.ts";
import { isXz, unpackXz } from "./xz.ts";
import { isZstd, unpackZstd } from "./zstd.ts";

/** Linux's build appends the unpacked size, 32 bits little-endian, to every payload but gzip's, which has its own. */
const TRAILER = 4;

/** True for the magic of an ELF file. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * The ELF file in a kernel image: the image itself, or what is compressed in it (a bzImage; gzip, xz, zstd, lz4's legacy
 * frame, lzma). The result may be a view of `bytes`. Throws ImageError, a line that follows the file's name, for
 * everything else; `limit` bounds what it may unpack to.
 */
export function unpackKernel(bytes: Uint8Array, limit: number = ImageLimits.unpackedBytes): Uint8Array {
  let image = bytes;
  let isPayload = false;
  for (let depth = 0; depth < ImageLimits.depth; depth++) {
    if (!isPayload && isBzImage(image)) {
      image = bzImagePayload(image);
      isPayload = true;
    }
    if (isElf(image)) return image;
    image = decompress(image, limit, isPayload);
    isPayload = false;
  }
  if (isElf(image)) return image;
  throw new ImageError("is compressed more often than a kernel image is");
}

function decompress(packed: Uint8Array, limit: number, isPayload: boolean): Uint8Array {
  const trailer = isPayload && !isGzip(packed) ? TRAILER : 0;
  if (packed.length < trailer) throw new ImageError("is truncated");
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  // For gzip the last word is the member's own size; for other files that aren't payloads the size isn't known.
  const known = isPayload || (isGzip(packed) && packed.length >= 18);
  const size = known ? view.getUint32(packed.length - 4, true) : 0;
  const output = new Output(limit, size);
  const data = packed.subarray(0, packed.length - trailer);
  if (isGzip(data)) unpackGzip(data, output);
  else if (isXz(data)) unpackXz(data, output);
  else if (isZstd(data)) unpackZstd(data, output);
  else if (isLz4Legacy(data)) unpackLz4(data, output);
  else if (isLzmaAlone(data)) unpackLzmaAlone(data, output);
  else throw new ImageError(unknownForm(data, isPayload));
  const image = output.finish();
  if (trailer > 0 && image.length !== size) {
    throw new ImageError(`is corrupt: it unpacks to ${image.length} bytes, and says ${size}`);
  }
  return image;
}

/** Names the forms that people are likely to try, so that the message says what would be right. */
function unknownForm(bytes: Uint8Array, isPayload: boolean): string {
  const starts = (...magic: number[]) => magic.every((byte, i) => bytes[i] === byte);
  const supported = "gzip, xz, zstd, lz4 (legacy frame) and lzma are";
  if (starts(0x42, 0x5a, 0x68)) return `is compressed with bzip2, which isn't supported: ${supported}`;
  if (starts(0x89, 0x4c, 0x5a, 0x4f)) return `is compressed with lzo, which isn't supported: ${supported}`;
  if (starts(0x04, 0x22, 0x4d, 0x18)) return "is an lz4 frame of the newer form; a kernel's is the legacy one (lz4 -l)";
  if (isPayload) return `is a Linux image compressed in a way that isn't supported: ${supported}`;
  return "is not a kernel image: neither an ELF file, nor a Linux bzImage, nor one of them compressed";
}

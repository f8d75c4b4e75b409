// Kernel images: the public face of this folder. The domain builder calls `unpackKernel` (or `unpackCached` around it)
// with a file's bytes and gets an ELF file's; everything that can be wrong with them is an ImageError.

export { contentHash, FORGETFUL, type ImageStore, openCached, sealForCache, unpackCached } from "./cache.ts";
export { ImageError, ImageLimits } from "./error.ts";
export { isElf, unpackKernel } from "./unpack.ts";

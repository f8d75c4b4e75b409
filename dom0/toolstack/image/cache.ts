// Keeps unpacked kernels, by what they were unpacked from: Debian's takes about a second to unpack, and half a tenth to
// read back. Where they are kept is the host's matter and comes in as an ImageStore; folder_store.ts is one. What comes
// back from a store is checked, because files get cut off and disks fill up.

import { crc32 } from "./checksums.ts";
import { sha256 } from "./sha256.ts";
import { isElf, unpackKernel } from "./unpack.ts";

/** A place to keep bytes under a name of lower-case hexadecimal digits. It may forget them, and `put` may do nothing. */
export interface ImageStore {
  get(key: string): Uint8Array | undefined;
  put(key: string, bytes: Uint8Array): void;
}

/** A store that keeps nothing. */
export const FORGETFUL: ImageStore = { get: () => undefined, put: () => {} };

/** CRC32 and length, little-endian, at the end of what is stored. */
const SEAL_SIZE = 8;

/** The name under which what `bytes` unpack to is kept: their SHA-256, 64 hexadecimal digits. */
export function contentHash(bytes: Uint8Array): string {
  return Array.from(sha256(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What to store for an unpacked image, so that `openCached` can tell whether it came back whole. */
export function sealForCache(elf: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(elf.length + SEAL_SIZE);
  sealed.set(elf);
  const view = new DataView(sealed.buffer);
  view.setUint32(elf.length, crc32(elf), true);
  view.setUint32(elf.length + 4, elf.length, true);
  return sealed;
}

/** The image in what a store gave back, a view of it; undefined if it isn't whole. */
export function openCached(sealed: Uint8Array): Uint8Array | undefined {
  const size = sealed.length - SEAL_SIZE;
  if (size < 4 || !isElf(sealed)) return undefined;
  const view = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  if (view.getUint32(size + 4, true) !== size || view.getUint32(size, true) !== crc32(sealed, 0, size))
    return undefined;
  return sealed.subarray(0, size);
}

/** `unpackKernel`, looking into `store` first. An ELF file needs no unpacking and isn't stored. Throws ImageError. */
export function unpackCached(bytes: Uint8Array, store: ImageStore, limit?: number): Uint8Array {
  if (isElf(bytes) || store === FORGETFUL) return unpackKernel(bytes, limit);
  const key = contentHash(bytes);
  const stored = store.get(key);
  const known = stored && openCached(stored);
  if (known) return known;
  const elf = unpackKernel(bytes, limit);
  store.put(key, sealForCache(elf));
  return elf;
}

import { ImageError } from "./error.ts";
import type { Output } from "./output.ts";
export function isZstd(bytes: Uint8Array): boolean {
  return bytes[0] === 0x28 && bytes[1] === 0xb5 && bytes[2] === 0x2f && bytes[3] === 0xfd;
}
export function unpackZstd(_input: Uint8Array, _output: Output): void {
  throw new ImageError("is compressed with zstd, which is not supported yet");
}

// Linux's bzImage, as far as a PV domain builder needs it: where in it the compressed kernel lies. Called by unpack.ts.
// Implements the header of Documentation/arch/x86/boot.rst, protocol 2.08 or later (2.6.26, 2008). Leaves out everything
// about booting it: a PV kernel starts in its payload, an ELF file with Xen notes, and the rest is never run.

import { ImageError } from "./error.ts";

const BOOT_FLAG = 0xaa55;
/** "HdrS". */
const HEADER_MAGIC = 0x53726448;
const FIRST_WITH_PAYLOAD = 0x208;

const SETUP_SECTS = 0x1f1;
const SYSSIZE = 0x1f4;
const BOOT_FLAG_AT = 0x1fe;
const HEADER = 0x202;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;

/** True for a file with the x86 boot protocol's header. */
export function isBzImage(bytes: Uint8Array): boolean {
  if (bytes.length < 0x250) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint16(BOOT_FLAG_AT, true) === BOOT_FLAG && view.getUint32(HEADER, true) === HEADER_MAGIC;
}

/** The compressed kernel in a bzImage. Throws ImageError when there is none, or when the file is cut off. */
export function bzImagePayload(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint16(VERSION, true);
  if (version < FIRST_WITH_PAYLOAD) {
    const text = `${version >> 8}.${String(version & 0xff).padStart(2, "0")}`;
    throw new ImageError(`is a Linux image of boot protocol ${text}; a PV kernel needs 2.08 or later`);
  }
  // Zero sectors means four, for history's sake.
  const setup = ((bytes[SETUP_SECTS] || 4) + 1) * 512;
  const codeSize = view.getUint32(SYSSIZE, true) * 16;
  const offset = view.getUint32(PAYLOAD_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH, true);
  if (length === 0 || offset + length > codeSize) {
    throw new ImageError("is a Linux image whose header gives no compressed kernel inside it");
  }
  if (setup + offset + length > bytes.length) {
    throw new ImageError(
      `is truncated: a Linux image with its compressed kernel at ${setup + offset} to ${setup + offset + length}, ` +
        `and ${bytes.length} bytes in all`,
    );
  }
  return bytes.subarray(setup + offset, setup + offset + length);
}

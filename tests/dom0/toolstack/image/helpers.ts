// Shared by the tests of this folder: the vectors, and bzImages made around a payload.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "vectors");

export function vector(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, name)));
}

export function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A size as Linux's build appends it. */
export const sizeWord = (size: number) => [size & 255, (size >> 8) & 255, (size >> 16) & 255, size >>> 24];

/** A bzImage: boot sector with the header, setup sectors, some code, the payload, some more code. */
export function bzImage(payload: ArrayLike<number>, change: (header: DataView) => void = () => {}): Uint8Array {
  const setupSectors = 7;
  const codeBefore = 333;
  const setup = new Uint8Array((setupSectors + 1) * 512);
  const code = concat(new Uint8Array(codeBefore).fill(0x90), payload, new Uint8Array(100));
  const padded = concat(code, new Uint8Array((16 - (code.length % 16)) % 16));
  const header = new DataView(setup.buffer);
  header.setUint8(0x1f1, setupSectors);
  header.setUint32(0x1f4, padded.length / 16, true);
  header.setUint16(0x1fe, 0xaa55, true);
  header.setUint32(0x202, 0x53726448, true);
  header.setUint16(0x206, 0x20f, true);
  header.setUint32(0x248, codeBefore, true);
  header.setUint32(0x24c, payload.length, true);
  change(header);
  return concat(setup, padded);
}

// UUIDs of domains, as text and as the 16 bytes of a domain's handle. New ones are version 4 in form; their bits come from a
// hash of what the caller gives, so that a run on the virtual clock always makes the same.

import { sha256 } from "./image/sha256.ts";

/** A UUID made of `seed`: different seeds, different UUIDs. */
export function makeUuid(seed: string): string {
  const bytes = sha256(new TextEncoder().encode(seed)).slice(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return formatUuid(bytes);
}

export function formatUuid(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** The bytes of a UUID in its usual form. */
export function parseUuid(text: string): Uint8Array {
  const hex = text.replaceAll("-", "");
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

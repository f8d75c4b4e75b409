// The x86 branch filter of the xz format (section 5.3.2), undone: compressors turn the operands of CALL and JMP rel32
// into absolute addresses, which repeat more. Called by xz.ts on a whole block, in place.
//
// The rule, from the published description of the filter: at an opcode 0xe8 or 0xe9 whose operand's top byte is 0x00 or
// 0xff, the operand is an address; subtract the position after the instruction. Opcodes seen in the four bytes
// before make it doubtful, and `recent` keeps them as a mask: bit n set means an opcode byte n + 1 back.

/** For each mask of opcodes in the last three bytes: whether an operand may still be converted... */
const MAY_CONVERT = [true, true, true, false, true, false, false, false];
/** ...and which byte of the operand the overlap reaches. */
const OVERLAP_BYTE = [0, 1, 2, 2, 3, 3, 3, 3];

const isAddressTop = (byte: number) => byte === 0x00 || byte === 0xff;

/** Undoes the filter on `bytes` from `start` to `end`; positions count from `start`, plus `startOffset`. */
export function undoBcjX86(bytes: Uint8Array, start: number, end: number, startOffset: number): void {
  let recent = 0;
  let lastOpcode = start - 5;
  for (let at = start; at + 5 <= end; at++) {
    if ((bytes[at] & 0xfe) !== 0xe8) continue;
    const gap = at - lastOpcode;
    lastOpcode = at;
    if (gap > 3) {
      recent = 0;
    } else {
      recent = (recent << (gap - 1)) & 7;
      if (recent !== 0) {
        const overlapped = bytes[at + 4 - OVERLAP_BYTE[recent]];
        if (!MAY_CONVERT[recent] || isAddressTop(overlapped)) {
          recent = ((recent << 1) & 7) | 1;
          continue;
        }
      }
    }
    if (!isAddressTop(bytes[at + 4])) {
      recent = ((recent << 1) & 7) | 1;
      continue;
    }
    let address = bytes[at + 1] | (bytes[at + 2] << 8) | (bytes[at + 3] << 16) | (bytes[at + 4] << 24);
    const next = (at - start + startOffset + 5) | 0;
    for (;;) {
      address = (address - next) | 0;
      if (recent === 0) break;
      const shift = OVERLAP_BYTE[recent] * 8;
      if (!isAddressTop((address >>> (24 - shift)) & 0xff)) break;
      address ^= (1 << (32 - shift)) - 1;
    }
    bytes[at + 1] = address;
    bytes[at + 2] = address >>> 8;
    bytes[at + 3] = address >>> 16;
    // The top byte is the sign of what lies in the 25 bits below.
    bytes[at + 4] = address & 0x1000000 ? 0xff : 0x00;
    at += 4;
    recent = 0;
  }
}

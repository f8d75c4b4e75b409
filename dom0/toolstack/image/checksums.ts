// Checksums of the compressed forms: CRC32 (gzip, xz), CRC64 (xz's default) and, in sha256.ts, SHA-256. Called by the
// decoders in this folder. Both CRCs are the reflected ones of the xz format's section 6, computed from tables.

const CRC32_POLYNOMIAL = 0xedb88320;
const CRC64_LO = 0xd7870f42;
const CRC64_HI = 0xc96c5795;

/** Eight tables, so that a step of the loop takes eight bytes: 1.0 ns a byte; with one table 2.3. */
const crc32Tables = makeCrc32Tables();

function makeCrc32Tables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ CRC32_POLYNOMIAL : c >>> 1;
    tables[i] = c;
  }
  for (let i = 256; i < tables.length; i++) {
    const c = tables[i - 256];
    tables[i] = (c >>> 8) ^ tables[c & 0xff];
  }
  return tables;
}

/** CRC32 of `bytes` from `start` to `end`, unsigned. */
export function crc32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const t = crc32Tables;
  let c = -1;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    c ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    c =
      t[1792 + (c & 0xff)] ^
      t[1536 + ((c >>> 8) & 0xff)] ^
      t[1280 + ((c >>> 16) & 0xff)] ^
      t[1024 + (c >>> 24)] ^
      t[768 + bytes[i + 4]] ^
      t[512 + bytes[i + 5]] ^
      t[256 + bytes[i + 6]] ^
      t[bytes[i + 7]];
  }
  for (; i < end; i++) c = (c >>> 8) ^ t[(c ^ bytes[i]) & 0xff];
  return ~c >>> 0;
}

/** CRC64's table, low halves then high halves. Made at first use: kernels carry CRC32, files people make CRC64. */
let crc64Table: Int32Array | undefined;

function makeCrc64Table(): Int32Array {
  const table = new Int32Array(512);
  for (let i = 0; i < 256; i++) {
    let lo = i;
    let hi = 0;
    for (let bit = 0; bit < 8; bit++) {
      const odd = lo & 1;
      lo = (lo >>> 1) | (hi << 31);
      hi >>>= 1;
      if (odd) {
        lo ^= CRC64_LO;
        hi ^= CRC64_HI;
      }
    }
    table[i] = lo;
    table[256 + i] = hi;
  }
  return table;
}

/** CRC64 of `bytes` from `start` to `end`, as two unsigned halves. */
export function crc64(bytes: Uint8Array, start = 0, end = bytes.length): { lo: number; hi: number } {
  crc64Table ??= makeCrc64Table();
  const t = crc64Table;
  let lo = -1;
  let hi = -1;
  for (let i = start; i < end; i++) {
    const at = (lo ^ bytes[i]) & 0xff;
    lo = ((lo >>> 8) | (hi << 24)) ^ t[at];
    hi = (hi >>> 8) ^ t[256 + at];
  }
  return { lo: ~lo >>> 0, hi: ~hi >>> 0 };
}

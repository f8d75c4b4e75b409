// Makes ELF64 files for tests: a header, segments and Xen notes, each field of which a test can spoil.

export interface TestSegment {
  type?: number;
  paddr?: bigint;
  data?: Uint8Array;
  memSize?: bigint;
  /** Overrides of what the file says, to tell lies. */
  offset?: bigint;
  fileSize?: bigint;
}

export interface TestElf {
  class?: number;
  endian?: number;
  machine?: number;
  type?: number;
  entry?: bigint;
  segments?: TestSegment[];
  sections?: { name: string; type: number; data: Uint8Array }[];
  /** Keep only so many bytes of the file. */
  cut?: number;
}

export function note(type: number, desc: Uint8Array | bigint | string, owner = "Xen"): Uint8Array {
  const body =
    typeof desc === "string"
      ? new TextEncoder().encode(`${desc}\0`)
      : typeof desc === "bigint"
        ? new Uint8Array(new BigUint64Array([desc]).buffer)
        : desc;
  const name = new TextEncoder().encode(`${owner}\0`);
  const pad = (n: number): number => Math.ceil(n / 4) * 4;
  const out = new Uint8Array(12 + pad(name.length) + pad(body.length));
  new Uint32Array(out.buffer, 0, 3).set([name.length, body.length, type]);
  out.set(name, 12);
  out.set(body, 12 + pad(name.length));
  return out;
}

export function join(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The notes that every kernel has: LOADER and XEN_VERSION. */
export const BASIC_NOTES = join(note(8, "generic"), note(5, "xen-3.0"));

/** A kernel of one page at physical 1 MiB, entry at its start, with BASIC_NOTES and what `spoil` changes. */
export function kernelElf(spoil: TestElf = {}, notes: Uint8Array = BASIC_NOTES): Uint8Array {
  return buildElf({
    entry: 0x100000n,
    segments: [
      { paddr: 0x100000n, data: new Uint8Array(4096).fill(0x90) },
      { type: 4, data: notes, memSize: 0n },
    ],
    ...spoil,
  });
}

export function buildElf(elf: TestElf): Uint8Array {
  const segments = elf.segments ?? [];
  const names = join(new Uint8Array(1), ...(elf.sections ?? []).map((s) => new TextEncoder().encode(`${s.name}\0`)));
  const sections = elf.sections ? [...elf.sections, { name: "", type: 3, data: names }] : [];
  const headers = 64 + 56 * segments.length + 64 * sections.length;
  const size = headers + [...segments, ...sections].reduce((n, s) => n + (s.data?.length ?? 0), 0);
  const out = new Uint8Array(size);
  const v = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, elf.class ?? 2, elf.endian ?? 1, 1]);
  v.setUint16(16, elf.type ?? 2, true);
  v.setUint16(18, elf.machine ?? 62, true);
  v.setBigUint64(24, elf.entry ?? 0n, true);
  v.setBigUint64(32, 64n, true);
  v.setBigUint64(40, BigInt(64 + 56 * segments.length), true);
  v.setUint16(54, 56, true);
  v.setUint16(56, segments.length, true);
  v.setUint16(58, 64, true);
  v.setUint16(60, sections.length, true);
  v.setUint16(62, Math.max(0, sections.length - 1), true);
  let data = headers;
  segments.forEach((s, i) => {
    const at = 64 + 56 * i;
    const bytes = s.data ?? new Uint8Array(0);
    v.setUint32(at, s.type ?? 1, true);
    v.setBigUint64(at + 8, s.offset ?? BigInt(data), true);
    v.setBigUint64(at + 24, s.paddr ?? 0n, true);
    v.setBigUint64(at + 32, s.fileSize ?? BigInt(bytes.length), true);
    v.setBigUint64(at + 40, s.memSize ?? BigInt(bytes.length), true);
    out.set(bytes, data);
    data += bytes.length;
  });
  let nameAt = 1;
  sections.forEach((s, i) => {
    const at = 64 + 56 * segments.length + 64 * i;
    v.setUint32(at, s.name === "" ? 0 : nameAt, true);
    nameAt += s.name.length + 1;
    v.setUint32(at + 4, s.type, true);
    v.setBigUint64(at + 24, BigInt(data), true);
    v.setBigUint64(at + 32, BigInt(s.data.length), true);
    out.set(s.data, data);
    data += s.data.length;
  });
  return out.subarray(0, elf.cut ?? out.length);
}

// Writes cpio archives in the "newc" form (magic 070701), which is what Linux unpacks as its initramfs
// (Documentation/driver-api/early-userspace/buffer-format.rst). Called by initramfs.ts. Everything belongs to root and has
// the time 0, so that the same content gives the same bytes.

/** What an entry is, in the mode's upper bits (S_IFMT of stat(2)). */
const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

const HEADER_SIZE = 110;
const TRAILER = "TRAILER!!!";

/** Written in the order given: a folder before what is in it. Paths have no leading slash. */
export type CpioEntry =
  | { type: "file"; path: string; mode: number; data: Uint8Array | string }
  | { type: "dir"; path: string; mode: number }
  | { type: "link"; path: string; target: string }
  | { type: "char"; path: string; mode: number; major: number; minor: number };

const encoder = new TextEncoder();
const pad = (size: number) => (4 - (size % 4)) % 4;

/** The archive. Throws RangeError for what the form has no room for. */
export function cpio(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let inode = 1;
  for (const entry of entries) parts.push(...record(entry, inode++));
  parts.push(...header({ path: TRAILER, mode: 0, inode: 0, size: 0, links: 1, major: 0, minor: 0 }));
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const archive = new Uint8Array(size + ((512 - (size % 512)) % 512));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

function record(entry: CpioEntry, inode: number): Uint8Array[] {
  const common = { path: entry.path, inode, links: 1, size: 0, major: 0, minor: 0 };
  switch (entry.type) {
    case "dir":
      return header({ ...common, mode: S_IFDIR | entry.mode, links: 2 });
    case "char":
      return header({ ...common, mode: S_IFCHR | entry.mode, major: entry.major, minor: entry.minor });
    case "link":
      return withData({ ...common, mode: S_IFLNK | 0o777 }, encoder.encode(entry.target));
    case "file": {
      const data = typeof entry.data === "string" ? encoder.encode(entry.data) : entry.data;
      return withData({ ...common, mode: S_IFREG | entry.mode }, data);
    }
  }
}

interface Header {
  path: string;
  mode: number;
  inode: number;
  links: number;
  size: number;
  major: number;
  minor: number;
}

function withData(fields: Header, data: Uint8Array): Uint8Array[] {
  return [...header({ ...fields, size: data.length }), data, new Uint8Array(pad(data.length))];
}

function header(fields: Header): Uint8Array[] {
  const { path, mode, inode, links, size, major, minor } = fields;
  if (path.startsWith("/") || path === "") throw new RangeError(`cpio: "${path}" is not a relative path`);
  const name = encoder.encode(`${path}\0`);
  // magic, inode, mode, uid, gid, links, mtime, size, device, device number, length of the name, no checksum
  const words = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name.length, 0];
  let text = "070701";
  for (const word of words) {
    if (word > 0xffffffff) throw new RangeError(`cpio: ${path}: ${word} doesn't fit in 32 bits`);
    text += word.toString(16).padStart(8, "0").toUpperCase();
  }
  return [encoder.encode(text), name, new Uint8Array(pad(HEADER_SIZE + name.length))];
}

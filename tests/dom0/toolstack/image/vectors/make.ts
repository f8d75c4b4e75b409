// Makes the vectors in this folder with the system's own compressors: npx tsx tests/dom0/toolstack/image/vectors/make.ts.
// They are committed, so that the tests run where the compressors aren't.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { original } from "./original.ts";

const folder = dirname(fileURLToPath(import.meta.url));
const work = mkdtempSync(join(tmpdir(), "vectors-"));
const bytes = original();
writeFileSync(join(work, "original"), bytes);
writeFileSync(join(work, "first"), bytes.subarray(0, 50001));
writeFileSync(join(work, "second"), bytes.subarray(50001));

/** From file `original`, and for those in two parts `first` and `second`. */
const commands: Record<string, string> = {
  "kernel.xz": "xz --check=crc32 --x86 --lzma2=dict=1MiB -c original",
  "default.xz": "xz -6 -c original",
  "sha256.xz": "xz -1 --check=sha256 -c original",
  "nocheck.xz": "xz -9e --check=none --lzma2=lc=0,lp=2,pb=0 -c original",
  "blocks.xz": "xz --block-size=20000 --x86=start=4096 --lzma2=preset=1 -T2 -c original",
  "streams.xz": "{ xz -c first; head -c 8 /dev/zero; xz --check=crc32 -c second; }",
  "default.gz": "gzip -9 -n -c original",
  "named.gz": "gzip -1 -c original",
  "stored.gz":
    "{ gzip -n -c first; python3 -c 'import sys,zlib;d=sys.stdin.buffer.read();c=zlib.compressobj(0,8,31);sys.stdout.buffer.write(c.compress(d)+c.flush())' < second; }",
  "fixed.gz":
    "python3 -c 'import sys,zlib;d=sys.stdin.buffer.read();c=zlib.compressobj(9,8,31,9,zlib.Z_FIXED);sys.stdout.buffer.write(c.compress(d)+c.flush())' < original",
  "legacy.lz4": "lz4 -q -l -9 -c original",
  "frames.lz4": "{ lz4 -q -l -c first; lz4 -q -l -c second; }",
  "unknown.lzma": "xz --format=lzma -c original",
  "sized.lzma":
    "python3 -c 'import sys,lzma,struct;d=sys.stdin.buffer.read();b=lzma.compress(d,lzma.FORMAT_ALONE);sys.stdout.buffer.write(b[:5]+struct.pack(\"<Q\",len(d))+b[13:])' < original",
  "fast.zst": "zstd -q -1 -c original",
  "best.zst": "zstd -q -19 --no-check -c original",
  "kernel.zst": "cat original | zstd -q -22 --ultra -c",
  "frames.zst": "{ zstd -q -c first; printf '\\x52\\x2a\\x4d\\x18\\x03\\x00\\x00\\x00abc'; zstd -q -5 -c < second; }",
  "modern.lz4": "lz4 -q -c first",
  "other.bz2": "bzip2 -c first",
};

for (const [name, command] of Object.entries(commands)) {
  const vector = execFileSync("bash", ["-c", command], { cwd: work, maxBuffer: 1 << 24 });
  // The two that only need to be refused are cut short.
  const refused = name === "modern.lz4" || name === "other.bz2";
  writeFileSync(join(folder, name), refused ? vector.subarray(0, 64) : vector);
}
rmSync(work, { recursive: true });

// The host's files, moved straight from and to shared memory in scattered pieces.
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { NodeFiles } from "../../../dom0/host/files.ts";

const dir = mkdtempSync(join(tmpdir(), "xenolith-files-"));
writeFileSync(join(dir, "f"), "0123456789");
afterAll(() => rmSync(dir, { recursive: true }));

function pieces(...sizes: number[]): Uint8Array<SharedArrayBuffer>[] {
  return sizes.map((size) => new Uint8Array(new SharedArrayBuffer(size)));
}

const joined = (parts: Uint8Array[]): string => parts.map((part) => Buffer.from(part).toString("latin1")).join("|");

describe("the host's files", () => {
  test("a read fills the pieces in order and stops at the end of the file", async () => {
    const files = new NodeFiles();
    const { handle, size } = await files.open(join(dir, "f"), "r");
    expect(size).toBe(10);
    const into = pieces(3, 0, 4, 5);
    expect(await files.read(handle, into, 1)).toBe(9);
    expect(joined(into)).toBe("123||4567|89\0\0\0");
    expect(await files.read(handle, pieces(4), 10)).toBe(0);
    await files.close(handle);
    await expect(files.read(handle, pieces(1), 0)).rejects.toMatchObject({ code: "EBADF" });
  });

  test("a write puts the pieces down in order, at its position", async () => {
    const files = new NodeFiles();
    const { handle } = await files.open(join(dir, "w"), "w");
    const [a, b] = pieces(2, 3);
    a.set(Buffer.from("ab"));
    b.set(Buffer.from("cde"));
    expect(await files.write(handle, [a, b], 3)).toBe(5);
    await files.close(handle);
    expect(readFileSync(join(dir, "w"), "latin1")).toBe("\0\0\0abcde");
  });

  test("what can't be opened is told by its error's name, and a folder is no file", async () => {
    const files = new NodeFiles();
    await expect(files.open(join(dir, "none"), "r")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(files.open(dir, "r")).rejects.toMatchObject({ code: "EISDIR" });
    expect(await files.stat(dir)).toMatchObject({ kind: "directory" });
    mkdirSync(join(dir, "names", "a"), { recursive: true });
    for (const name of ["c", "b"]) writeFileSync(join(dir, "names", name), "");
    expect(await files.list(join(dir, "names"))).toEqual(["a/", "b", "c"]);
  });

  test("a dom0 that never closes runs out of handles, not the host", async () => {
    const files = new NodeFiles();
    const open = [];
    let refused: unknown;
    for (let i = 0; i < 300 && refused === undefined; i++) {
      try {
        open.push((await files.open(join(dir, "f"), "r")).handle);
      } catch (error) {
        refused = error;
      }
    }
    expect(refused).toMatchObject({ code: "EMFILE" });
    for (const handle of open) await files.close(handle);
    const { handle } = await files.open(join(dir, "f"), "r");
    await files.close(handle);
  });
});

describe("disks", () => {
  test("a file opened for reading and writing is synced, and a hole made in it reads as zeros", async () => {
    const files = new NodeFiles();
    const path = join(dir, "disk");
    writeFileSync(path, new Uint8Array(65536).fill(7));
    const { handle, size, identity } = await files.open(path, "r+");
    const again = await files.open(join(dir, ".", "disk"), "r");
    expect({ size, identity }).toEqual({ size: 65536, identity: again.identity });
    await files.sync(handle);
    const { blocks } = statSync(path);
    const refused = await files.discard(handle, 4096, 8192).then(
      () => undefined,
      (error: { code: string }) => error.code,
    );
    const data = readFileSync(path);
    expect(data.length).toBe(65536);
    // A host without holes says so, and leaves everything as it was.
    if (refused === undefined) {
      expect(data.subarray(4096, 12288).every((byte) => byte === 0)).toBe(true);
      expect(statSync(path).blocks).toBeLessThan(blocks);
    } else expect({ refused, byte: data[4096] }).toEqual({ refused: "EOPNOTSUPP", byte: 7 });
    expect([data[4095], data[12288]]).toEqual([7, 7]);
    truncateSync(path, 100_000);
    expect(await files.size(handle)).toBe(100_000);
    // The size is the open file's, whatever the path names by now.
    renameSync(path, `${path}.old`);
    writeFileSync(path, "another");
    expect(await files.size(handle)).toBe(100_000);
    await files.close(handle);
    await files.close(again.handle);
    await expect(files.size(handle)).rejects.toMatchObject({ code: "EBADF" });
  });

  test("a disk in memory reads as zeros where nothing was written, forgets what is discarded, and ends at its size", async () => {
    const files = new NodeFiles();
    const { handle, size } = await files.open("ram:1M", "r+");
    expect(size).toBe(1048576);
    const data = pieces(100_000, 5);
    data[0].fill(1);
    data[1].fill(2);
    expect(await files.write(handle, data, 65530)).toBe(100_005);
    const into = pieces(65530, 100_006);
    expect(await files.read(handle, into, 0)).toBe(165_536);
    expect(into[0].every((byte) => byte === 0)).toBe(true);
    expect([into[1][0], into[1][99_999], into[1][100_000], into[1][100_005]]).toEqual([1, 1, 2, 0]);
    await files.discard(handle, 65531, 100_000);
    const one = pieces(2);
    await files.read(handle, one, 65530);
    expect([...one[0]]).toEqual([1, 0]);
    expect(await files.read(handle, pieces(600), 1048576 - 512)).toBe(512);
    for (const bad of ["ram:", "ram:0", "ram:10X", "ram:99999999G"])
      await expect(files.open(bad, "r+")).rejects.toMatchObject({ code: "EINVAL" });
    await files.close(handle);
  });
});

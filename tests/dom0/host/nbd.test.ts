// The NBD client against a small server of our own: handshakes, reads and writes into scattered memory, and a server that dies with
// what it hadn't flushed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { NodeFiles } from "../../../dom0/host/files.ts";
import { NbdDisk } from "../../../dom0/host/nbd.ts";
import { parseAddress } from "../../../dom0/host/nbd_handshake.ts";
import { type NbdOptions, NbdServer } from "../../harness/nbd_server.ts";

const dir = mkdtempSync(join(tmpdir(), "xenolith-nbd-"));
afterAll(() => rmSync(dir, { recursive: true }));
const data = Buffer.from(Uint8Array.from({ length: 65536 }, (_, i) => (i * 7) & 0xff));

function pieces(...sizes: number[]): Uint8Array<SharedArrayBuffer>[] {
  return sizes.map((size) => new Uint8Array(new SharedArrayBuffer(size)));
}

let sockets = 0;
async function serve(options?: NbdOptions): Promise<{ server: NbdServer; path: string }> {
  const path = join(dir, `s${sockets++}`);
  const server = new NbdServer(data, options);
  await server.listen(path);
  return { server, path };
}

describe("an NBD address", () => {
  test.each([
    ["nbd:unix:/run/x.sock", { where: { path: "/run/x.sock" }, name: "" }],
    ["nbd:unix:/run/x.sock:exportname=a", { where: { path: "/run/x.sock" }, name: "a" }],
    ["nbd:localhost:1234", { where: { host: "localhost", port: 1234 }, name: "" }],
    ["nbd:host", { where: { host: "host", port: 10809 }, name: "" }],
    ["nbd://host/disk", { where: { host: "host", port: 10809 }, name: "disk" }],
    ["nbd://[::1]:99", { where: { host: "::1", port: 99 }, name: "" }],
    ["nbd+unix:///a%20b?socket=/run/x", { where: { path: "/run/x" }, name: "a b" }],
  ])("%s", (text, expected) => {
    expect(parseAddress(text)).toEqual(expected);
  });

  test.each(["nbd:", "nbd:unix:", "nbd+unix:///x", "nbd://"])("%s is none", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe("an NBD disk", () => {
  test.each([{}, { old: true }, { name: "two words" }])("reads, writes, flushes and trims (%j)", async (options) => {
    const { server, path } = await serve(options);
    const files = new NodeFiles();
    const name = options.name === undefined ? "" : `:exportname=${options.name}`;
    const { handle, size } = await files.open(`nbd:unix:${path}${name}`, "r+");
    expect(size).toBe(65536);
    const into = pieces(512, 0, 1024, 512);
    expect(await files.read(handle, into, 65536 - 1536)).toBe(1536);
    expect(Buffer.concat(into).subarray(0, 1536).equals(data.subarray(-1536))).toBe(true);
    const from = pieces(512, 512);
    from[0].fill(1);
    from[1].fill(2);
    expect(await files.write(handle, from, 1024)).toBe(1024);
    expect(server.stable[1024]).toBe(data[1024]);
    await files.sync(handle);
    expect([server.stable[1024], server.stable[1536]]).toEqual([1, 2]);
    await files.discard(handle, 0, 512);
    expect(server.seen[5]).toBe(0);
    await expect(files.write(handle, pieces(1024), 65536 - 512)).rejects.toMatchObject({ code: "ENOSPC" });
    await files.close(handle);
    await server.die();
  });

  test("is reached by TCP too", async () => {
    const server = new NbdServer(data);
    const port = await server.listen("");
    for (const path of [`nbd:127.0.0.1:${port}`, `nbd://127.0.0.1:${port}`, `nbd://localhost:${port}/`]) {
      const disk = await NbdDisk.open(path, "r+");
      const [piece] = pieces(512);
      await disk.write([piece.fill(9)], 1024);
      await disk.sync();
      await disk.read([piece], 512);
      expect([disk.size, piece[0], server.stable[1024]]).toEqual([65536, data[512], 9]);
      await disk.close();
    }
    await server.die();
    await expect(NbdDisk.open(`nbd:127.0.0.1:${port}`, "r")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("many requests at once are each answered with their own", async () => {
    const { server, path } = await serve();
    const files = new NodeFiles();
    const { handle } = await files.open(`nbd:unix:${path}`, "r");
    const buffers = Array.from({ length: 100 }, () => pieces(512));
    await Promise.all(buffers.map((into, i) => files.read(handle, into, i * 512)));
    buffers.forEach(([piece], i) => {
      expect(Buffer.compare(piece, data.subarray(i * 512, i * 512 + 512))).toBe(0);
    });
    await files.close(handle);
    await server.die();
  });

  test("a server that dies and comes back loses nothing that was answered, and answers what it hadn't", async () => {
    const { server, path } = await serve();
    const files = new NodeFiles();
    const { handle } = await files.open(`nbd:unix:${path}`, "r+");
    const write = async (sector: number, value: number): Promise<void> => {
      const [piece] = pieces(512);
      piece.fill(value);
      await files.write(handle, [piece], sector * 512);
    };
    await write(0, 10);
    await files.sync(handle);
    await write(1, 11);
    await write(2, 12);
    await write(2, 13);
    server.mute = true;
    const unanswered = Promise.all([write(3, 14), files.sync(handle)]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server.die();
    expect([0, 1, 2, 3].map((n) => server.seen[n * 512])).toEqual([10, data[512], data[1024], data[1536]]);
    server.mute = false;
    await server.listen(path);
    await unanswered;
    await files.sync(handle);
    expect([0, 1, 2, 3].map((n) => server.stable[n * 512])).toEqual([10, 11, 13, 14]);
    await files.close(handle);
    await server.die();
  });

  test("a server that comes back with another size: what fits goes on, what lies past the end fails", async () => {
    const { server, path } = await serve();
    const disk = await NbdDisk.open(`nbd:unix:${path}`, "r+");
    const [piece] = pieces(512);
    const write = async (sector: number, value: number): Promise<number> =>
      await disk.write([piece.fill(value)], sector * 512);
    const back = async (sizeBytes: number): Promise<void> => {
      await server.die();
      server.resize(sizeBytes);
      await server.listen(path);
      server.mute = false;
    };
    const read = async (sector: number): Promise<number> => {
      const [into] = pieces(512);
      return (await disk.read([into], sector * 512)) === 512 ? into[0] : -1;
    };
    // Answered, not flushed: on both sides of the end that is to come, and across it.
    await write(10, 1);
    await write(100, 2);
    const across = pieces(1024);
    across[0].fill(3);
    await disk.write(across, 63 * 512);
    // And not answered.
    server.mute = true;
    const asked = [write(20, 4), write(64, 5), read(64), read(63), disk.sync()].map((task) =>
      task.then(
        () => "done",
        (error: { code: string }) => error.code,
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    await back(64 * 512);
    expect(await Promise.all(asked)).toEqual(["done", "EIO", "EIO", "done", "done"]);
    expect(disk.size).toBe(64 * 512);
    expect([10, 20, 63].map((sector) => server.stable[sector * 512])).toEqual([1, 4, 3]);
    expect(await read(64)).toBe(-1);
    await expect(write(64, 6)).rejects.toMatchObject({ code: "ENOSPC" });
    await back(1024 * 512);
    await disk.sync();
    expect(disk.size).toBe(1024 * 512);
    expect([await write(1023, 7), await read(1023), await read(63)]).toEqual([512, 7, 3]);
    await disk.close();
    await server.die();
  });

  test("what can't be opened says why", async () => {
    const files = new NodeFiles();
    await expect(files.open(`nbd:unix:${dir}/none`, "r")).rejects.toMatchObject({ code: "ENOENT" });
    const { server, path } = await serve({ name: "x", flags: 3 });
    await expect(files.open(`nbd:unix:${path}`, "r")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(files.open(`nbd:unix:${path}:exportname=x`, "r+")).rejects.toMatchObject({ code: "EROFS" });
    const { handle } = await files.open(`nbd:unix:${path}:exportname=x`, "r");
    await files.close(handle);
    await server.die();
    await expect(files.open("nbd:unix:", "r")).rejects.toMatchObject({ code: "EINVAL" });
  });
});

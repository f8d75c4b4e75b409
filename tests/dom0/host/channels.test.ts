// Channels at unix sockets: programs that come late, go and come again, wait for their turn, or are slow.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { NodeChannels } from "../../../dom0/host/channels.ts";
import { HostLimits } from "../../../dom0/host/limits.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-channel-"));
const channels = new NodeChannels();
afterAll(() => {
  channels.closeAll();
  rmSync(folder, { recursive: true, force: true });
});
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const NONE = new Uint8Array(0);

/** What a program gets until the end, or until it has `count` bytes. */
function heard(socket: Socket, count = Infinity): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (data) => {
      text += data;
      if (text.length >= count) resolve(text);
    });
    socket.on("end", () => resolve(text));
  });
}

async function read(handle: number, count: number): Promise<string> {
  let text = "";
  while (text.length < count) text += Buffer.from(await channels.read(handle, 4096)).toString();
  return text;
}

describe("a channel's socket", () => {
  test("holds what is written until somebody connects; the next program is served when the first has gone", async () => {
    const path = join(folder, "turns.sock");
    const handle = await channels.open(path);
    const written = channels.write(handle, bytes("early"));
    const first = connect(path);
    expect(await heard(first, 5)).toBe("early");
    await written;
    const second = connect(path);
    second.write("from the second");
    first.write("from the first; ");
    first.end();
    expect(await read(handle, 31)).toBe("from the first; from the second");
    await channels.write(handle, bytes("for the second"));
    const all = heard(second);
    channels.close(handle, bytes(", and the last"));
    expect(await all).toBe("for the second, and the last");
    expect(existsSync(path)).toBe(false);
  });

  test("makes each side wait for the other", async () => {
    const path = join(folder, "slow.sock");
    const handle = await channels.open(path);
    const program = connect(path);
    program.pause();
    // A program that doesn't read: a write is not done before it does.
    let done = 0;
    const piece = new Uint8Array(4096).fill(65);
    const pieces = Array.from({ length: 500 }, () => channels.write(handle, piece).then(() => done++));
    await pieces[0];
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBeLessThan(500);
    const all = heard(program, 500 * 4096);
    program.resume();
    expect((await all).length).toBe(500 * 4096);
    await Promise.all(pieces);
    // A guest that doesn't read: the program's bytes stay with it.
    const big = Buffer.alloc(4 << 20, "z");
    let taken = false;
    program.write(big, () => {
      taken = true;
    });
    expect((await channels.read(handle, 100)).length).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taken).toBe(false);
    let got = 100;
    while (got < big.length) got += (await channels.read(handle, 65536)).length;
    channels.close(handle, NONE);
    program.destroy();
  });

  test("a read ends when the channel is closed, and a write that nobody took", async () => {
    const handle = await channels.open(join(folder, "closed.sock"));
    const [reading, writing] = [channels.read(handle, 10), channels.write(handle, bytes("x"))];
    channels.close(handle, NONE);
    expect(await reading).toHaveLength(0);
    await writing;
    expect(() => channels.read(handle, 10)).toThrow(expect.objectContaining({ code: "EBADF" }));
  });

  test("takes the place of one that a dead process has left, but of nothing else", async () => {
    const path = join(folder, "left.sock");
    const leave = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", leave]);
    expect(existsSync(path)).toBe(true);
    const handle = await channels.open(path);
    await expect(channels.open(path)).rejects.toMatchObject({ code: "EADDRINUSE" });
    channels.close(handle, NONE);
    writeFileSync(path, "a file");
    await expect(channels.open(path)).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(channels.open(`/tmp/${"x".repeat(110)}`)).rejects.toMatchObject({ code: "ENAMETOOLONG" });
    await expect(channels.open(join(folder, "none", "x.sock"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("there are so many at once", async () => {
    const handles: number[] = [];
    for (let i = 0; i < HostLimits.channels; i++) handles.push(await channels.open(join(folder, `${i}.sock`)));
    await expect(channels.open(join(folder, "more.sock"))).rejects.toMatchObject({ code: "EMFILE" });
    for (const handle of handles) channels.close(handle, NONE);
  });
});
